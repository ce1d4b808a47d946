//! A route with its description, and tables of them.

use axum::{Router, routing::MethodRouter};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::http::problem::Kind;

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The description of a route.
#[derive(Clone)]
pub struct RouteDoc {
    /// GET, POST or DELETE.
    pub(super) method: Method,
    /// The path, with `{name}` for each parameter.
    pub(super) path: &'static str,
    /// The purpose, in a sentence without a full stop.
    pub(super) summary: &'static str,
    /// Whether the route is answered without a key.
    pub(super) is_open: bool,
    /// The type of the query's parameters.
    pub(super) query: Option<SchemaOf>,
    /// The values that a parameter of the path may have.
    pub(super) values: Vec<(&'static str, &'static [&'static str])>,
    /// The type of the body, its media type, and an example.
    pub(super) body: Option<(SchemaOf, &'static str, &'static str)>,
    /// The answers of success: status, media type, and the type of JSON ones.
    pub(super) answers: Vec<(u16, &'static str, Option<SchemaOf>)>,
    /// The kinds of errors that only some routes have.
    pub(super) errors: Vec<Kind>,
    /// Whether errors about one message are answered with a notification.
    pub(super) notifies: bool,
}

/// A route: its description and its handler, unless it is answered before the router.
pub struct Route<S> {
    doc: RouteDoc,
    handler: Option<MethodRouter<S>>,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    /// Begins a route.
    pub fn new(
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: impl Into<Option<MethodRouter<S>>>,
    ) -> Self {
        let doc = RouteDoc {
            method,
            path,
            summary,
            is_open: false,
            query: None,
            values: Vec::new(),
            body: None,
            answers: Vec::new(),
            errors: Vec::new(),
            notifies: false,
        };
        Self { doc, handler: handler.into() }
    }

    /// Begins a route to a page.
    pub fn page(path: &'static str, handler: MethodRouter<S>) -> Self {
        Self::new(Method::GET, path, "A page for people", handler).gives(200, "text/html")
    }

    /// Begins a route to the style, script or icon of the pages.
    pub fn asset(path: &'static str, handler: MethodRouter<S>) -> Self {
        Self::new(Method::GET, path, "A part of the pages for people", handler).open().gives(200, "*/*")
    }

    /// Begins a GET route.
    pub fn get<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::GET, path, summary, axum::routing::get(handler))
    }

    /// Begins a POST route.
    pub fn post<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::POST, path, summary, axum::routing::post(handler))
    }

    /// Begins a DELETE route.
    pub fn delete<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, S>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, summary, axum::routing::delete(handler))
    }

    /// Needs no key.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.doc.is_open = true;
        self
    }

    /// Takes the fields of a type as parameters of the query.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.doc.query = Some(schema_of::<T>);
        self
    }

    /// Takes one of these values as a parameter of the path.
    #[must_use]
    pub fn values(mut self, name: &'static str, values: &'static [&'static str]) -> Self {
        self.doc.values.push((name, values));
        self
    }

    /// Takes a JSON body.
    #[must_use]
    pub fn takes<T: JsonSchema>(self, example: &'static str) -> Self {
        self.takes_as::<T>("application/json", example)
    }

    /// Takes a body of a media type.
    #[must_use]
    pub fn takes_as<T: JsonSchema>(mut self, media_type: &'static str, example: &'static str) -> Self {
        self.doc.body = Some((schema_of::<T>, media_type, example));
        self
    }

    /// Answers 200 with JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self) -> Self {
        self.answers_with::<T>(200)
    }

    /// Answers with JSON and a status.
    #[must_use]
    pub fn answers_with<T: JsonSchema>(mut self, status: u16) -> Self {
        self.doc.answers.push((status, "application/json", Some(schema_of::<T>)));
        self
    }

    /// Answers with something that has no schema.
    #[must_use]
    pub fn gives(mut self, status: u16, media_type: &'static str) -> Self {
        self.doc.answers.push((status, media_type, None));
        self
    }

    /// Adds kinds of errors that not every route has.
    #[must_use]
    pub fn fails(mut self, kinds: &[Kind]) -> Self {
        self.doc.errors.extend(kinds);
        self
    }

    /// Answers errors about one message with a notification.
    #[must_use]
    pub fn notifies(mut self) -> Self {
        self.doc.notifies = true;
        self
    }
}

/// The routes of a port.
pub struct Table<S>(Vec<Route<S>>);

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// Takes the routes.
    pub fn new(routes: impl IntoIterator<Item = Route<S>>) -> Self {
        Self(routes.into_iter().collect())
    }

    /// Returns the descriptions.
    pub fn docs(&self) -> Vec<RouteDoc> {
        self.0.iter().map(|route| route.doc.clone()).collect()
    }

    /// Returns the router, without those that are answered before it.
    pub fn into_router(self) -> Router<S> {
        let routed = self.0.into_iter().filter_map(|route| Some((route.doc.path, route.handler?)));
        routed.fold(Router::new(), |router, (path, handler)| router.route(path, handler))
    }
}

/// Returns the paths with their methods, as told to requests that match none. Pages are left out.
pub(super) fn told(docs: &[RouteDoc]) -> String {
    let mut paths: Vec<(&str, Vec<&str>)> = Vec::new();
    let is_page = |doc: &&RouteDoc| doc.answers.iter().any(|(_, kind, _)| *kind == "text/html");
    for doc in docs.iter().filter(|doc| !is_page(doc)) {
        match paths.iter_mut().find(|(path, _)| *path == doc.path) {
            Some((_, methods)) => methods.push(doc.method.as_str()),
            None => paths.push((doc.path, vec![doc.method.as_str()])),
        }
    }
    let one = |(path, methods): (&str, Vec<&str>)| format!("{} {path}", methods.join(" and "));
    paths.into_iter().map(one).collect::<Vec<_>>().join(", ")
}
