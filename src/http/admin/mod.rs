//! The admin listener: health, metrics, inspection, the few things an operator can do, and the web page. Never
//! reachable without the token when one is configured, nor from another site's page.

mod actions;
mod guard;
mod health;
mod lists;
mod query;
mod session;
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
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};

use super::answer;
use crate::{core::Core, ui};

pub(crate) use lists::EXCHANGES_OF_MESSAGE_MAX;
pub use query::{at_of, limit_of};

/// Live tails at once.
const TAILS_MAX: usize = 64;
/// The routes, for those who missed them.
const ROUTES: &str = "/healthz, /readyz, /metrics, /api/channels, /api/channels/{id}/exchanges?message=, POST /api/channels/{id}/restart, /api/destinations, \
     /api/sessions, /api/sessions/{id}?at=&diff=, /api/messages/{id}, /api/tail, /api/receipts/unmatched, \
     /api/in-doubt (POST settles), /api/dead-letters, POST /api/dead-letters/{id}/replay, /api/log, and the web page at /";

/// Figures of the event log as JSON, or why there are none.
pub type LogFigures = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What the admin listener works with.
pub struct Admin {
    /// The router.
    pub core: Arc<dyn Core>,
    /// Required when set.
    pub token: Option<SecretString>,
    /// Renders the metrics; absent in tests.
    pub metrics: Option<PrometheusHandle>,
    /// The event log's figures.
    pub log: LogFigures,
    /// Turns true when the process stops: live tails end.
    pub stop: watch::Receiver<bool>,
    /// Whether it may be used by any host name: not when it is open on loopback, where a page on another site
    /// could point its own name at it.
    pub any_host: bool,
}

pub(crate) struct Inner {
    pub(crate) admin: Admin,
    tails: Arc<Semaphore>,
}

pub(crate) type Shared = axum::extract::State<Arc<Inner>>;

/// The admin listener's handler.
#[derive(Clone)]
pub struct Handler(Routes);

impl Handler {
    /// A handler over a router.
    pub fn new(admin: Admin) -> Self {
        let inner = Arc::new(Inner { admin, tails: Arc::new(Semaphore::new(TAILS_MAX)) });
        let guarded = Routes::new()
            .route("/metrics", get(health::metrics))
            .route("/api/channels", get(lists::channels))
            .route("/api/channels/{id}/exchanges", get(lists::exchanges))
            .route("/api/channels/{id}/restart", post(actions::restart))
            .route("/api/destinations", get(lists::destinations))
            .route("/api/sessions", get(lists::sessions))
            .route("/api/sessions/{id}", get(session::show))
            .route("/api/messages/{id}", get(lists::message))
            .route("/api/tail", get(tail::stream))
            .route("/api/receipts/unmatched", get(lists::unmatched))
            .route("/api/in-doubt", get(lists::in_doubt).post(actions::settle))
            .route("/api/dead-letters", get(lists::dead_letters))
            .route("/api/dead-letters/{id}/replay", post(actions::replay))
            .route("/api/log", get(health::log))
            .merge(ui::pages())
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
    pub async fn handle(self, request: hyper::Request<Incoming>) -> Response<Body> {
        match TowerToHyperService::new(self.0).call(request.map(Body::new)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

async fn no_route(request: Request) -> Response<Body> {
    let text = format!("there is no {} {}; there are: {ROUTES}", request.method(), request.uri().path());
    answer::error(StatusCode::NOT_FOUND, &text)
}

async fn no_method(request: Request) -> Response<Body> {
    let text = format!("{} is not for {}; there are: {ROUTES}", request.method(), request.uri().path());
    answer::error(StatusCode::METHOD_NOT_ALLOWED, &text)
}
