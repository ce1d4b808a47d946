//! The routes of the public port. Messages, webhooks and files are answered before the router.

use std::sync::Arc;

use actors::view::{MessageView, PlanView, SessionView};
use axum::body::Body;
use http::{Method, Response};

use super::{
    messages,
    sessions::{self, OPENING, Opening},
    state::Public,
};
use crate::http::{
    answer,
    docs::{
        Described, Route, RouteDoc, Table,
        cim::{AnyBody, BeforeEvent, Cancelled, CimMessages, Ended, SendFlags, SendResult},
    },
    problem::Kind,
};

/// The paths that take messages.
pub(super) const MESSAGES: [&str; 3] = ["/v1/messages", "/ccm-msg/receive", "/message/receive"];
const MESSAGE: &str = r#"{"id":"order-4711","header":{"channelData":{"channelCustomerIdentifier":"+4917600000001","serviceIdentifier":"5155"}},"body":{"type":"PLAIN","markdownText":"Hello"}}"#;
const CALL: &str = "as the provider sends it";

/// Returns the descriptions of all routes of the port.
pub fn docs() -> Vec<RouteDoc> {
    public().docs()
}

/// Returns the table.
pub(super) fn public() -> Table<Arc<Public>> {
    let mut routes = Vec::from(MESSAGES.map(sending));
    routes.extend([
        Route::get("/v1/messages/{id}", "A message: its status, parts and events", messages::show)
            .answers::<MessageView>()
            .fails(&[Kind::NotFound]),
        Route::delete("/v1/messages/{id}", "Cancels a message before a part of it is sent", messages::cancel)
            .answers::<Cancelled>()
            .fails(&[Kind::NotFound, Kind::TooLate]),
        Route::post(
            "/v1/sessions",
            "Opens a session with a customer, or returns the open one",
            sessions::open,
        )
        .takes::<Opening>(OPENING)
        .answers::<SessionView>()
        .fails(&[Kind::UnknownChannel, Kind::Unsendable, Kind::SessionHeld]),
        Route::get("/v1/sessions/{id}", "A session and its newest events", sessions::show)
            .query::<BeforeEvent>()
            .answers::<SessionView>()
            .fails(&[Kind::NotFound]),
        Route::delete("/v1/sessions/{id}", "Ends a session", sessions::end)
            .answers::<Ended>()
            .fails(&[Kind::NotFound, Kind::WrongParameter]),
    ]);
    for path in ["/webhooks/{channel}", "/ccm/webhook"] {
        routes.push(webhook(Method::GET, path, "Answers a provider that checks the address"));
        routes.push(webhook(Method::POST, path, "Takes a provider's call").takes_as::<AnyBody>("*/*", CALL));
    }
    let file = Route::new(Method::GET, "/media/{channel}/{token}", "A file of a customer", None);
    routes.push(file.open().gives(200, "*/*").fails(&[Kind::NotFound, Kind::FileRefused, Kind::Busy]));
    routes.extend(Described::routes(|public: &Arc<Public>| &public.described));
    Table::new(routes)
}

fn sending(path: &'static str) -> Route<Arc<Public>> {
    Route::post(
        path,
        "Sends a message, or up to 1,000 as an array or as lines (application/x-ndjson)",
        before_router,
    )
    .query::<SendFlags>()
    .takes::<CimMessages>(MESSAGE)
    .answers_with::<SendResult>(202)
    .answers::<PlanView>()
    .fails(&[Kind::UnknownChannel, Kind::Unsendable, Kind::IdUsed, Kind::SessionHeld])
    .notifies()
}

fn webhook(method: Method, path: &'static str, summary: &'static str) -> Route<Arc<Public>> {
    Route::new(method, path, summary, None).open().gives(200, "*/*").fails(&[
        Kind::UnknownWebhook,
        Kind::WrongSignature,
        Kind::MalformedCall,
        Kind::Busy,
    ])
}

/// Never called: messages are matched before the router. The route exists for the 405 of other
/// methods.
async fn before_router() -> Response<Body> {
    answer::error(Kind::Internal, "a message reached the router of the other routes")
}
