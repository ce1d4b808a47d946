//! The routes of a port as one table. The router is built from it, and so are the OpenAPI document
//! and the page `/docs`: a route that is not described cannot exist.

pub mod cim;
mod document;
mod page;
mod port;
mod table;

use axum::{body::Body, extract::State, routing::get};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};

pub use self::{
    document::document,
    port::DescribedPort,
    table::{Route, RouteDoc, Table},
};
use super::answer;

/// The path of the OpenAPI document.
const DOCUMENT_PATH: &str = "/openapi.json";
/// The path of the page, and the beginning of those beside it.
const PAGE_PATH: &str = "/docs";
const STYLE: &str = include_str!("style.css");

/// The document and the pages of a port, written once.
#[derive(Clone)]
pub struct Described {
    document: Bytes,
    page: Bytes,
    errors: Bytes,
    told: String,
}

impl Described {
    /// Writes the document and the pages of these routes.
    pub fn new(port: DescribedPort, routes: &[RouteDoc]) -> Self {
        let document = document(port, routes);
        Self {
            page: page::routes(port, routes, &document).into_string().into(),
            errors: page::errors().into_string().into(),
            document: document.to_string().into(),
            told: table::told(routes),
        }
    }

    /// Returns the routes in words, for requests that match none.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// Whether this path belongs to the documentation, which needs no key.
    pub fn has(path: &str) -> bool {
        path == DOCUMENT_PATH
            || path.strip_prefix(PAGE_PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the answer for a path of the documentation.
    pub fn answer(&self, path: &str) -> Option<Response<Body>> {
        let (body, kind) = match path {
            DOCUMENT_PATH => (self.document.clone(), "application/json"),
            PAGE_PATH => (self.page.clone(), "text/html; charset=utf-8"),
            "/docs/errors" => (self.errors.clone(), "text/html; charset=utf-8"),
            "/docs/style.css" => (Bytes::from_static(STYLE.as_bytes()), "text/css; charset=utf-8"),
            _ => return None,
        };
        let mut answer = answer::json_bytes(StatusCode::OK, body);
        for (name, value) in [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("referrer-policy"), "same-origin"),
        ] {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Some(answer)
    }

    /// Returns the routes of the documentation; `described` finds it in the state.
    pub fn routes<S: Clone + Send + Sync + 'static>(described: fn(&S) -> &Described) -> Vec<Route<S>> {
        let served = move |path: &'static str| {
            get(
                move |State(state): State<S>| async move { described(&state).answer(path).unwrap_or_default() },
            )
        };
        vec![
            Route::new(
                Method::GET,
                DOCUMENT_PATH,
                "This description, as an OpenAPI 3.1 document",
                served(DOCUMENT_PATH),
            )
            .open()
            .gives(200, "application/json"),
            Route::new(Method::GET, PAGE_PATH, "This description, as a page", served(PAGE_PATH))
                .open()
                .gives(200, "text/html"),
            Route::new(
                Method::GET,
                "/docs/errors",
                "The kinds of errors, and their fixes",
                served("/docs/errors"),
            )
            .open()
            .gives(200, "text/html"),
            Route::new(Method::GET, "/docs/style.css", "The style of these pages", served("/docs/style.css"))
                .open()
                .gives(200, "text/css"),
        ]
    }
}
