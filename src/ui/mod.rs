//! The web page on the admin port, rendered here, with script and style from the binary. It works
//! offline, changes nothing by being viewed, and shows only what the admin API shows.

mod layout;
mod lists;
mod message;
mod overview;
mod parts;
mod session;

use actors::Router;
use axum::{
    Router as Routes,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;

pub(crate) use self::{layout::login, message::EXCHANGES_OF_MESSAGE_MAX};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");
const ICON: &str = include_str!("icon.svg");

/// Returns the routes of the pages.
pub(crate) fn pages<S>(router: Router) -> Routes<S> {
    Routes::new()
        .route("/", get(overview::show))
        .route("/tail", get(lists::tail))
        .route("/message", get(message::show))
        .route("/sessions", get(session::list))
        .route("/session", get(session::show))
        .route("/doubt", get(lists::doubt))
        .route("/receipts", get(lists::receipts))
        .route("/dead", get(lists::dead))
        .with_state(router)
}

/// Returns the routes of style, script and icon. They hold no secrets, so the login page may use
/// them.
pub(crate) fn assets<S: Clone + Send + Sync + 'static>() -> Routes<S> {
    Routes::new()
        .route("/ui/style.css", get(|| async { asset(STYLE, "text/css; charset=utf-8") }))
        .route("/ui/app.js", get(|| async { asset(SCRIPT, "text/javascript; charset=utf-8") }))
        .route("/ui/icon.svg", get(|| async { asset(ICON, "image/svg+xml") }))
}

fn asset(text: &'static str, kind: &'static str) -> Response {
    let cache = "max-age=300";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], text).into_response()
}
