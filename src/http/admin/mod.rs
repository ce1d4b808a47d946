//! The admin listener: health, metrics, inspection, an operator's actions, and the web page.
//! Refuses requests without the configured token and those made by pages of other sites.

mod actions;
mod control;
mod guard;
mod health;
mod lists;
mod messages;
mod query;
mod session;
mod state;
mod status;
mod tail;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router as Routes,
    body::Body,
    extract::Request,
    middleware,
    routing::{get, post},
};
use http::{Response, StatusCode};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use super::{answer, body::Bodies, connections::Seat};
use crate::ui;

use self::state::AdminState;
pub use self::{health::log_figures, state::Admin};

/// The largest number of live tails; further ones get 503.
const TAILS_MAX: usize = 64;
/// The largest number of searches for messages at once; further ones get 503.
const SEARCHES_MAX: usize = 4;
/// The memory for bodies, in bytes: for those with the token, and for all others.
const BODIES_BYTES_MAX: usize = 1024 * 1024;
/// The routes, as told to requests that match none.
const ROUTES: &str = "/healthz, /readyz, /metrics, /api/status, /api/channels, /api/channels/{id}/exchanges?message=, \
     POST /api/channels/{id}/pause (resume, restart, try-now, cancel-queued), /api/destinations, POST /api/destinations/{id}/try-now, \
     POST /api/reload, \
     /api/sessions, /api/sessions/{id}?at=&diff=, /api/messages?list=, /api/messages/{id}, POST /api/test-messages, /api/series?channel=, /api/tail, /api/receipts/unmatched, \
     /api/in-doubt (POST settles), /api/dead-letters, POST /api/dead-letters/{id}/replay, POST /api/dead-letters/replay, /api/log, and the web page at /";

/// The handler of the admin listener.
#[derive(Clone)]
pub struct AdminHandler(Routes);

impl AdminHandler {
    /// Returns a handler in front of a router.
    pub fn new(admin: Admin) -> Self {
        let router = admin.router.clone();
        let bodies = Bodies::new(BODIES_BYTES_MAX, BODIES_BYTES_MAX);
        let tails = Arc::new(Semaphore::new(TAILS_MAX));
        let searches = Arc::new(Semaphore::new(SEARCHES_MAX));
        let inner = Arc::new(AdminState { admin, bodies, tails, searches: searches.clone() });
        let guarded = Routes::new()
            .route("/metrics", get(health::metrics))
            .route("/api/status", get(status::show))
            .route("/api/channels", get(lists::channels))
            .route("/api/channels/{id}/exchanges", get(lists::exchanges))
            .route("/api/channels/{id}/{action}", post(control::channel))
            .route("/api/destinations", get(lists::destinations))
            .route("/api/destinations/{id}/try-now", post(control::try_destination_now))
            .route("/api/reload", post(control::reload))
            .route("/api/sessions", get(lists::sessions))
            .route("/api/sessions/{id}", get(session::show))
            .route("/api/messages", get(messages::list))
            .route("/api/messages/{id}", get(lists::message))
            .route("/api/test-messages", post(actions::send_test))
            .route("/api/series", get(messages::series))
            .route("/api/tail", get(tail::stream))
            .route("/api/receipts/unmatched", get(lists::unmatched))
            .route("/api/in-doubt", get(lists::in_doubt).post(actions::settle))
            .route("/api/dead-letters", get(lists::dead_letters))
            .route("/api/dead-letters/replay", post(control::replay_all))
            .route("/api/dead-letters/{id}/replay", post(actions::replay))
            .route("/api/log", get(health::log))
            .merge(ui::pages(router, searches))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(middleware::from_fn_with_state(inner.clone(), guard::check));
        let open = Routes::new()
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/login", post(guard::login))
            .merge(ui::assets());
        Self(guarded.merge(open).with_state(inner))
    }

    /// Answers one request.
    pub async fn handle(self, seat: Arc<Seat>, mut request: hyper::Request<Incoming>) -> Response<Body> {
        request.extensions_mut().insert(seat);
        match TowerToHyperService::new(self.0).call(request.map(Body::new)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

async fn no_route(request: Request) -> Response<Body> {
    let text =
        format!("no route matches {} {}; the routes are: {ROUTES}", request.method(), request.uri().path());
    answer::error(StatusCode::NOT_FOUND, &text)
}

async fn no_method(request: Request) -> Response<Body> {
    let text =
        format!("{} is not allowed on {}; the routes are: {ROUTES}", request.method(), request.uri().path());
    answer::error(StatusCode::METHOD_NOT_ALLOWED, &text)
}
