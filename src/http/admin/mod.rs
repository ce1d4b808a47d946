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
mod table;
mod tail;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router as Routes,
    body::Body,
    extract::{Request, State},
    middleware,
};
use http::Response;
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use self::state::{AdminState, SharedAdmin};
pub use self::{health::log_figures, state::Admin, table::docs as admin_docs};
use super::{
    body::Bodies,
    connections::Seat,
    docs::{Described, DescribedPort},
    problem::{Kind, ProblemDetails},
};
use crate::ui::PageState;

/// The largest number of live tails; further ones get 503.
const TAILS_MAX: usize = 64;
/// The largest number of searches for messages at once; further ones get 503.
const SEARCHES_MAX: usize = 4;
/// The memory for bodies, in bytes: for those with the token, and for all others.
const BODIES_BYTES_MAX: usize = 1024 * 1024;

/// The handler of the admin listener.
#[derive(Clone)]
pub struct AdminHandler(Routes);

impl AdminHandler {
    /// Returns a handler in front of a router.
    pub fn new(admin: Admin) -> Self {
        let router = admin.router.clone();
        let bodies = Bodies::new(BODIES_BYTES_MAX, BODIES_BYTES_MAX);
        let tails = Arc::new(Semaphore::new(TAILS_MAX));
        let (guarded, open, pages) = (table::guarded(), table::open(), table::pages());
        let described = Described::new(DescribedPort::Admin, &table::docs());
        let searches = Arc::new(Semaphore::new(SEARCHES_MAX));
        let shown = PageState { router, searches: searches.clone() };
        let inner = Arc::new(AdminState { admin, bodies, tails, searches, described });
        let guarded = guarded
            .into_router()
            .merge(pages.into_router().with_state(shown))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(middleware::from_fn_with_state(inner.clone(), guard::check));
        let open = open.into_router().method_not_allowed_fallback(no_method);
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

async fn no_route(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let text = format!("no route matches {} {}", request.method(), request.uri().path());
    let routes = format!("the routes are: {}, and the web page at /", inner.described.told());
    ProblemDetails::new(Kind::UnknownRoute, text).fix(routes).answer()
}

async fn no_method(State(inner): SharedAdmin, request: Request) -> Response<Body> {
    let text = format!("{} is not allowed on {}", request.method(), request.uri().path());
    let routes = format!("the routes are: {}, and the web page at /", inner.described.told());
    ProblemDetails::new(Kind::WrongMethod, text).fix(routes).answer()
}
