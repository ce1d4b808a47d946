//! The public listener: messages, sessions, webhooks and files. Sending a single message takes a
//! short path: it is matched before all other routes, and its answer is written by hand.

mod intents;
mod media;
mod messages;
mod meters;
mod outcome;
mod sessions;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod webhooks;

use std::sync::Arc;

use actors::Router;
use axum::{
    Router as Routes,
    body::Body,
    extract::{Request, State},
};
use http::{Method, Response, header};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::{sync::Semaphore, time::Instant};

pub use self::table::docs as public_docs;
use self::{
    meters::Meters,
    state::{Public, SharedPublic},
    table::MESSAGES,
};
use super::{
    answer,
    body::Bodies,
    connections::Seat,
    docs::{Described, DescribedPort},
    keys::Keys,
    problem::{Kind, ProblemDetails},
    site::{is_foreign, is_local_name},
    wrong_port::admin_is_elsewhere,
};
use crate::config::EdgeLimits;

/// Retry-After when too many requests are in flight, in seconds.
const BUSY_RETRY_AFTER_S: u32 = 1;
/// The handler of the public listener.
#[derive(Clone)]
pub struct PublicHandler {
    public: Arc<Public>,
    routes: Routes,
}

impl PublicHandler {
    /// Returns a handler in front of a router.
    pub fn new(
        router: Router,
        keys: impl Into<Arc<Keys>>,
        limits: EdgeLimits,
        public_url: Option<String>,
    ) -> Self {
        let table = table::public();
        let described = Described::new(DescribedPort::Public, &table.docs());
        let room = Semaphore::new(limits.max_in_flight);
        let open_room = Semaphore::new(limits.max_in_flight);
        let bodies = Bodies::new(limits.bodies_bytes_max, limits.unverified_bytes_max);
        let public = Arc::new(Public {
            router,
            keys: keys.into(),
            room,
            open_room,
            bodies,
            limits,
            public_url,
            meters: Meters::new(),
            described,
        });
        let routes = table
            .into_router()
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .with_state(public.clone());
        Self { public, routes }
    }

    /// Answers one request.
    pub async fn handle(self, seat: Arc<Seat>, mut request: hyper::Request<Incoming>) -> Response<Body> {
        // Everything but messages is boxed: a future is as large as its largest branch and is moved
        // as a whole.
        let is_media = media::is_media(request.uri().path());
        if is_media || webhooks::is_webhook(request.uri().path()) {
            let Ok(_permit) = self.public.open_room.try_acquire() else { return self.busy() };
            return match is_media {
                true => Box::pin(media::handle(&self.public, request)).await,
                false => Box::pin(webhooks::handle(&self.public, &seat, request)).await,
            };
        }
        if let Some(elsewhere) = admin_is_elsewhere(request.uri().path()) {
            return elsewhere;
        }
        let Some(origin) = self.public.keys.origin(request.headers()) else {
            if let Some(answer) = self.described(&request) {
                return answer;
            }
            self.public.meters.no_key.increment(1);
            return unauthorized();
        };
        let Ok(_permit) = self.public.room.try_acquire() else { return self.busy() };
        // A request with a key is made by no page of another site: the header that carries the key
        // needs the permission of this listener, which no site has.
        if self.public.keys.is_open() {
            if let Some(refused) = refused_page(&request) {
                self.public.meters.foreign_page.increment(1);
                return refused;
            }
        } else {
            seat.trust();
        }
        if request.method() == Method::POST && is_messages(request.uri().path()) {
            let started = Instant::now();
            let answer = messages::post(&self.public, &origin, request).await;
            if answer.status().is_success() {
                seat.trust();
            }
            self.public.meters.answered(answer.status(), started.elapsed());
            return answer;
        }
        request.extensions_mut().insert(origin);
        let request = request.map(Body::new);
        match Box::pin(TowerToHyperService::new(self.routes).call(request)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

impl PublicHandler {
    /// Answers a request for the documentation, which needs no key.
    fn described(&self, request: &hyper::Request<Incoming>) -> Option<Response<Body>> {
        let path = request.uri().path();
        let is_asked = *request.method() == Method::GET && Described::has(path);
        if is_asked { self.public.described.answer(path) } else { None }
    }

    /// Refuses a request because too many are in flight.
    fn busy(&self) -> Response<Body> {
        self.public.meters.no_room.increment(1);
        answer::busy("too many requests in flight ([http] max_in_flight)", BUSY_RETRY_AFTER_S)
    }
}

fn is_messages(path: &str) -> bool {
    MESSAGES.contains(&path)
}

async fn no_route(State(public): SharedPublic, request: Request) -> Response<Body> {
    let text = format!("no route matches {} {}", request.method(), request.uri().path());
    let routes = format!("the routes are: {}", public.described.told());
    ProblemDetails::new(Kind::UnknownRoute, text).fix(routes).answer()
}

async fn no_method(State(public): SharedPublic, request: Request) -> Response<Body> {
    let text = format!("{} is not allowed on {}", request.method(), request.uri().path());
    let routes = format!("the routes are: {}", public.described.told());
    ProblemDetails::new(Kind::WrongMethod, text).fix(routes).answer()
}

/// Refuses a request that a page of another site may have made, where no key is needed.
fn refused_page<B>(request: &hyper::Request<B>) -> Option<Response<Body>> {
    let headers = request.headers();
    if is_foreign(request.method(), headers) {
        let text = "this request was made by a page of another site";
        return Some(answer::error(Kind::ForeignPage, text));
    }
    if !is_local_name(headers) {
        let fix = "use the IP address or localhost as host name, or set api_keys in [http]";
        let text = "without api_keys in [http], only local host names are answered";
        return Some(ProblemDetails::new(Kind::ForeignHost, text).fix(fix).answer());
    }
    if request.method() == Method::POST && !messages::is_declared_json(headers) {
        let text = "expected Content-Type application/json (one message or an array) or \
                    application/x-ndjson; without api_keys in [http] it must be given";
        return Some(answer::error(Kind::UnsupportedType, text));
    }
    None
}

fn unauthorized() -> Response<Body> {
    ProblemDetails::new(Kind::WrongKey, "the API key is missing or wrong")
        .fix("send one of [http] api_keys as Authorization: Bearer or X-Api-Key")
        .answer_with(header::WWW_AUTHENTICATE, "Bearer")
}
