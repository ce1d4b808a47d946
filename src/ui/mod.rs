//! The web page on the admin port: rendered here, with a little script and style of its own from the binary. It
//! works offline, changes nothing by being looked at, and shows only what the admin API shows.

mod lists;
mod message;
mod overview;
mod parts;
mod session;

use std::sync::Arc;

use axum::{
    Router as Routes,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};

pub(crate) use self::parts::{encoded, rfc3339};
use crate::http::admin::Inner;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");
const ICON: &str = include_str!("icon.svg");

/// The pages, in the order of the menu: address and name.
const MENU: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/tail", "Live"),
    ("/message", "Messages"),
    ("/sessions", "Sessions"),
    ("/doubt", "In doubt"),
    ("/receipts", "Receipts"),
    ("/dead", "Dead letters"),
];

/// The pages.
pub(crate) fn pages() -> Routes<Arc<Inner>> {
    Routes::new()
        .route("/", get(overview::page))
        .route("/tail", get(lists::tail))
        .route("/message", get(message::page))
        .route("/sessions", get(session::list))
        .route("/session", get(session::page))
        .route("/doubt", get(lists::doubt))
        .route("/receipts", get(lists::receipts))
        .route("/dead", get(lists::dead))
}

/// Style, script and icon: no secrets in them, so that the login page can use them.
pub(crate) fn assets() -> Routes<Arc<Inner>> {
    Routes::new()
        .route("/ui/style.css", get(|| async { asset(STYLE, "text/css; charset=utf-8") }))
        .route("/ui/app.js", get(|| async { asset(SCRIPT, "text/javascript; charset=utf-8") }))
        .route("/ui/icon.svg", get(|| async { asset(ICON, "image/svg+xml") }))
}

fn asset(text: &'static str, kind: &'static str) -> Response {
    let cache = "max-age=300";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], text).into_response()
}

/// The page that asks for the token.
pub(crate) fn login(wrong: bool) -> Response {
    let body = html! {
        main.login {
            h1 { "Patchbay" }
            form method="post" action="/login" {
                label for="token" { "Admin token" }
                input #token type="password" name="token" autocomplete="current-password" autofocus required;
                @if wrong { p.bad { "That is not the token." } }
                button type="submit" { "Sign in" }
            }
            p.quiet { "It is the value of token in the [admin] table of the configuration." }
        }
    };
    document("Sign in", None, &body)
}

/// A page with the menu. `refresh_s`: its content is fetched again so often.
fn page(at: &str, title: &str, refresh_s: Option<u32>, content: &Markup) -> Response {
    let body = html! {
        header.top {
            a.brand href="/" { img src="/ui/icon.svg" alt="" width="22" height="22"; "Patchbay" }
            nav {
                @for (href, name) in MENU {
                    a href=(href) aria-current=[(href == at).then_some("page")] { (name) }
                }
            }
        }
        main #content data-refresh=[refresh_s] { (content) }
        footer { span #live-state {} }
    };
    document(title, Some(at), &body)
}

fn document(title: &str, at: Option<&str>, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Patchbay" }
                link rel="icon" href="/ui/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/ui/style.css";
                script src="/ui/app.js" defer {}
            }
            body data-page=[at] { (body) }
        }
    };
    let mut answer = (StatusCode::OK, Html(page.into_string())).into_response();
    let headers = answer.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}
