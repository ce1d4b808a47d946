//! The web page on the admin port, rendered here, with script and style from the binary. It works
//! offline, changes nothing by being viewed, and shows only what the admin API shows.

mod channel;
mod charts;
mod conversation;
mod health;
mod layout;
mod lists;
mod message;
mod messages;
mod overview;
mod parts;
mod send;
mod session;
mod state;

use actors::Router;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use http::header;
use maud::html;

pub(crate) use self::{
    layout::login, message::EXCHANGES_OF_MESSAGE_MAX, send::TestMessage, state::PageState,
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");
const ICON: &str = include_str!("icon.svg");
const SVG: &str = "image/svg+xml";

/// The colours of the icon: that of the file, and those that say that something is wrong.
const ICON_COLOURS: [&str; 3] = ["#15803d", "#b45309", "#b91c1c"];

/// Routes by their paths, which the admin port serves and describes.
pub(crate) struct Pages<S>(Vec<(&'static str, MethodRouter<S>)>);

impl<S> Pages<S> {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn route(mut self, path: &'static str, handler: MethodRouter<S>) -> Self {
        self.0.push((path, handler));
        self
    }

    /// Returns the paths and their handlers.
    pub(crate) fn into_routes(self) -> impl Iterator<Item = (&'static str, MethodRouter<S>)> {
        self.0.into_iter()
    }
}

/// Returns the routes of the pages.
pub(crate) fn pages() -> Pages<PageState> {
    Pages::new()
        .route("/", get(overview::show))
        .route("/channel", get(channel::show))
        .route("/tail", get(lists::tail))
        .route("/messages", get(messages::show))
        .route("/message", get(message::show))
        .route("/sessions", get(session::list))
        .route("/session", get(session::show))
        .route("/send", get(send::show))
        .route("/doubt", get(lists::doubt))
        .route("/receipts", get(lists::receipts))
        .route("/dead", get(lists::dead))
        .route("/state", get(top_line))
}

/// Answers with a page of which only the top line counts: pages that are not fetched anew ask for
/// it.
async fn top_line(State(router): State<Router>) -> Response {
    layout::Frame { at: "/state", title: "State", refresh_s: None }.show(&router, &html! {}).await
}

/// Returns the routes of style, script and icon. They hold no secrets, so the login page may use
/// them.
pub(crate) fn assets<S: Clone + Send + Sync + 'static>() -> Pages<S> {
    let [_, warn, bad] = ICON_COLOURS;
    Pages::new()
        .route("/ui/style.css", get(|| async { asset(STYLE, "text/css; charset=utf-8") }))
        .route("/ui/app.js", get(|| async { asset(SCRIPT, "text/javascript; charset=utf-8") }))
        .route("/ui/icon.svg", get(|| async { asset(ICON, SVG) }))
        .route("/ui/icon-warn.svg", get(move || async move { icon(warn) }))
        .route("/ui/icon-bad.svg", get(move || async move { icon(bad) }))
}

fn icon(colour: &str) -> Response {
    let [good, ..] = ICON_COLOURS;
    asset(ICON.replace(good, colour), SVG)
}

fn asset(text: impl IntoResponse, kind: &'static str) -> Response {
    let cache = "max-age=300";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], text).into_response()
}
