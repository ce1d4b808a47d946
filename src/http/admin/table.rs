//! The routes of the admin port.

use std::sync::Arc;

use actors::view::{
    ChannelView, DeadLetterView, DestinationView, DoubtView, ExchangeView, SessionView, UnmatchedView,
};

use super::{
    actions::{self, SETTLEMENT, Settlement, TEST_MESSAGE, TestSent},
    control::{self, ACTIONS, Acted, Reload, Replay},
    guard,
    health::{self, Alive, LogFigures, Ready},
    lists::{self, Exchanges, Page, Trace},
    messages::{self, AskedMessages, AskedSeries, ListedMessages, Series},
    session::{self, Instants, ShownSession},
    state::AdminState,
    status::{self, Status},
    tail::{self, TailFilter},
};
use crate::{
    http::{
        docs::{Described, Route, RouteDoc, Table, cim::AnyBody},
        problem::Kind,
        reload::Reloaded,
    },
    ui::{self, PageState, TestMessage},
};

type AdminRoute = Route<Arc<AdminState>>;

/// Returns the descriptions of all routes of the port.
pub fn docs() -> Vec<RouteDoc> {
    let mut all = guarded().docs();
    all.extend(open().docs());
    all.extend(pages().docs());
    all
}

/// Returns the pages for people.
pub(super) fn pages() -> Table<PageState> {
    Table::new(ui::pages().into_routes().map(|(path, handler)| Route::page(path, handler)))
}

/// Returns the routes that need the token.
pub(super) fn guarded() -> Table<Arc<AdminState>> {
    Table::new(figures().into_iter().chain(records()).chain(orders()))
}

/// Returns the routes that need no token.
pub(super) fn open() -> Table<Arc<AdminState>> {
    let mut routes = vec![
        Route::get("/healthz", "Whether the process runs", health::alive).open().answers::<Alive>(),
        Route::get("/readyz", "Whether messages are accepted, and the state of each channel", health::ready)
            .open()
            .answers::<Ready>()
            .answers_with::<Ready>(503),
        Route::post("/login", "Takes the token of the web page's form", guard::login)
            .open()
            .takes_as::<AnyBody>("application/x-www-form-urlencoded", "token=TOKEN")
            .gives(303, "text/html")
            .gives(401, "text/html")
            .fails(&[Kind::ForeignPage]),
    ];
    routes.extend(ui::assets().into_routes().map(|(path, handler)| Route::asset(path, handler)));
    routes.extend(Described::routes(|inner: &Arc<AdminState>| &inner.described));
    Table::new(routes)
}

/// The routes that show the state.
fn figures() -> Vec<AdminRoute> {
    vec![
        Route::get("/metrics", "Metrics for Prometheus", health::metrics).gives(200, "text/plain"),
        Route::get("/api/status", "Whether all is well; if not, the causes and the fixes", status::show)
            .answers::<Status>(),
        Route::get("/api/channels", "The channels, their state and counts", lists::channels)
            .answers::<Vec<ChannelView>>(),
        Route::get(
            "/api/channels/{id}/exchanges",
            "The newest calls to a channel's provider, and their answers",
            lists::exchanges,
        )
        .query::<Exchanges>()
        .answers::<Vec<ExchangeView>>()
        .fails(&[Kind::UnknownChannel]),
        Route::get("/api/destinations", "The destinations and their state", lists::destinations)
            .answers::<Vec<DestinationView>>(),
        Route::get("/api/series", "Counts over time", messages::series)
            .query::<AskedSeries>()
            .answers::<Series<'_>>()
            .fails(&[Kind::UnknownChannel]),
        Route::get("/api/log", "The sizes and counts of the event log", health::log)
            .answers::<LogFigures>()
            .fails(&[Kind::Internal]),
        Route::get("/api/tail", "Events as they happen, as server-sent events", tail::stream)
            .query::<TailFilter>()
            .gives(200, "text/event-stream"),
    ]
}

/// The routes that list and show messages, sessions and what is left over.
fn records() -> Vec<AdminRoute> {
    vec![
        Route::get("/api/messages", "Messages: the newest, or those that a search finds", messages::list)
            .query::<AskedMessages>()
            .answers::<ListedMessages<'_>>()
            .fails(&[Kind::UnknownChannel]),
        Route::get("/api/messages/{id}", "A message, and the calls about it", lists::message)
            .answers::<Trace>()
            .fails(&[Kind::NotFound]),
        Route::get("/api/sessions", "The sessions", lists::sessions)
            .query::<Page>()
            .answers::<Vec<SessionView>>()
            .fails(&[Kind::UnknownChannel]),
        Route::get("/api/sessions/{id}", "A session, now or as it was", session::show)
            .query::<Instants>()
            .answers::<ShownSession>()
            .fails(&[Kind::NotFound]),
        Route::get("/api/receipts/unmatched", "Receipts that match no message", lists::unmatched)
            .query::<Page>()
            .answers::<Vec<UnmatchedView>>(),
        Route::get("/api/in-doubt", "Parts of which nobody knows whether they were sent", lists::in_doubt)
            .query::<Page>()
            .answers::<Vec<DoubtView>>()
            .fails(&[Kind::UnknownChannel]),
        Route::get("/api/dead-letters", "Deliveries that were given up", lists::dead_letters)
            .query::<Page>()
            .answers::<Vec<DeadLetterView>>()
            .fails(&[Kind::UnknownChannel]),
    ]
}

/// The routes that change something.
fn orders() -> Vec<AdminRoute> {
    vec![
        Route::post("/api/channels/{id}/{action}", "Gives an order to a channel", control::channel)
            .values("action", &ACTIONS)
            .answers::<Acted>()
            .fails(&[Kind::UnknownChannel, Kind::UnknownRoute]),
        Route::post(
            "/api/destinations/{id}/try-now",
            "Ends the pauses of a destination",
            control::try_destination_now,
        )
        .answers::<Acted>()
        .fails(&[Kind::NotFound]),
        Route::post("/api/reload", "Reads the configuration again", control::reload)
            .takes::<Reload>(r#"{"plan":true}"#)
            .answers::<Reloaded>()
            .fails(&[Kind::BrokenConfiguration, Kind::NotReloaded]),
        Route::post("/api/test-messages", "Sends a text to a customer", actions::send_test)
            .takes::<TestMessage>(TEST_MESSAGE)
            .answers::<TestSent>()
            .fails(&[Kind::UnknownChannel, Kind::Unsendable, Kind::SessionHeld]),
        Route::post("/api/in-doubt", "Settles a part in doubt", actions::settle)
            .takes::<Settlement>(SETTLEMENT)
            .answers::<Acted>()
            .fails(&[Kind::NotFound, Kind::TooLate]),
        Route::post("/api/dead-letters/replay", "Posts all dead letters again, or some", control::replay_all)
            .takes::<Replay>(r#"{"destination":"support"}"#)
            .answers::<Acted>()
            .fails(&[Kind::NotFound]),
        Route::post("/api/dead-letters/{id}/replay", "Posts a dead letter again", actions::replay)
            .answers::<Acted>()
            .fails(&[Kind::NotFound]),
    ]
}
