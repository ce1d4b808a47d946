//! The public listener: messages and sessions. The way of a single message to the router and back is kept
//! short: it is matched before all other routes and its answer is written by hand.

mod intents;
mod media;
mod messages;
mod meters;
mod sessions;
#[cfg(test)]
mod tests;
mod webhooks;

use std::{sync::Arc, time::Duration};

use axum::{
    Router as Routes,
    body::Body,
    extract::{Path, Request, State},
    routing,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::{sync::Semaphore, time::Instant};

use self::meters::Meters;
use super::{answer, keys::Keys};
use crate::{config::EdgeLimits, core::Core};

/// A request's body may take so long to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a body that is too large, so much is read before it is refused, and for so long.
const DRAIN_BYTES: usize = 16 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// When a client that found no room should come again, in seconds.
const BUSY_RETRY_AFTER_S: u32 = 1;
/// The routes, for those who missed them.
const ROUTES: &str = "POST /v1/messages (also /ccm-msg/receive, /message/receive), GET and DELETE \
                      /v1/messages/{id}, POST /v1/sessions, GET and DELETE /v1/sessions/{id}, GET and POST \
                      /webhooks/{channel id} and /ccm/webhook";

/// What the public listener works with.
pub struct Public {
    core: Arc<dyn Core>,
    keys: Keys,
    room: Semaphore,
    limits: EdgeLimits,
    /// How providers reach this listener, when it is configured.
    public_url: Option<String>,
    meters: Meters,
}

/// The public listener's handler.
#[derive(Clone)]
pub struct Handler {
    public: Arc<Public>,
    routes: Routes,
}

impl Handler {
    /// A handler over a router.
    pub fn new(core: Arc<dyn Core>, keys: Keys, limits: EdgeLimits, public_url: Option<String>) -> Self {
        let room = Semaphore::new(limits.max_in_flight);
        let public = Arc::new(Public { core, keys, room, limits, public_url, meters: Meters::new() });
        let routes = Routes::new()
            .route("/v1/messages", routing::post(unreachable_post))
            .route("/ccm-msg/receive", routing::post(unreachable_post))
            .route("/message/receive", routing::post(unreachable_post))
            .route("/v1/messages/{id}", routing::get(messages::show).delete(messages::cancel))
            .route("/v1/sessions", routing::post(sessions::open))
            .route("/v1/sessions/{id}", routing::get(sessions::show).delete(sessions::end))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .with_state(public.clone());
        Self { public, routes }
    }

    /// Answers one request.
    pub async fn handle(self, request: hyper::Request<Incoming>) -> Response<Body> {
        let Ok(_permit) = self.public.room.try_acquire() else {
            self.public.meters.no_room.increment(1);
            return answer::busy("too many requests under way ([http] max_in_flight)", BUSY_RETRY_AFTER_S);
        };
        // All but messages on the heap: a future is as large as its largest branch, and moved as a whole.
        if media::is_media(request.uri().path()) {
            return Box::pin(media::handle(&self.public, request)).await;
        }
        if webhooks::is_webhook(request.uri().path()) {
            return Box::pin(webhooks::handle(&self.public, request)).await;
        }
        let Some(origin) = self.public.keys.origin(request.headers()) else {
            self.public.meters.no_key.increment(1);
            return unauthorized();
        };
        if request.method() == Method::POST && is_messages(request.uri().path()) {
            let started = Instant::now();
            let answer = messages::post(&self.public, &origin, request).await;
            self.public.meters.answered(answer.status(), started.elapsed());
            return answer;
        }
        let request = request.map(Body::new);
        match Box::pin(TowerToHyperService::new(self.routes).call(request)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

fn is_messages(path: &str) -> bool {
    matches!(path, "/v1/messages" | "/ccm-msg/receive" | "/message/receive")
}

/// Only there so that another method on these paths is told which one exists.
async fn unreachable_post() -> Response<Body> {
    answer::error(StatusCode::NOT_FOUND, ROUTES)
}

async fn no_route(request: Request) -> Response<Body> {
    let text = format!("there is no {} {}; there are: {ROUTES}", request.method(), request.uri().path());
    answer::error(StatusCode::NOT_FOUND, &text)
}

async fn no_method(request: Request) -> Response<Body> {
    let text = format!("{} is not for {}; there are: {ROUTES}", request.method(), request.uri().path());
    answer::error(StatusCode::METHOD_NOT_ALLOWED, &text)
}

fn unauthorized() -> Response<Body> {
    answer::error_with(
        StatusCode::UNAUTHORIZED,
        "the API key is missing or wrong; send one of [http] api_keys as Authorization: Bearer or X-Api-Key",
        header::WWW_AUTHENTICATE,
        "Bearer",
    )
}

/// Reads a body within the bounds.
async fn body<B>(max: usize, headers: &HeaderMap, mut body: B) -> Result<Bytes, Box<Response<Body>>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let text =
            format!("the body is larger than {max} bytes ([http] body_max); send fewer messages at once");
        // The rest is not read to its end: the client must not use this connection again.
        Box::new(answer::error_with(StatusCode::PAYLOAD_TOO_LARGE, &text, header::CONNECTION, "close"))
    };
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let text = "compressed bodies are not taken; send it without Content-Encoding";
        return Err(Box::new(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)));
    }
    if body.size_hint().lower() > max as u64 {
        // Who asks first has sent nothing, and is told before it does.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(&mut body, max).collect()).await;
    match read {
        Ok(Ok(all)) => Ok(all.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            drain(&mut body).await;
            Err(too_large())
        }
        Ok(Err(e)) => Err(Box::new(answer::error(
            StatusCode::BAD_REQUEST,
            &format!("the body did not arrive whole: {e}"),
        ))),
        Err(_) => {
            let text = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
            Err(Box::new(answer::error(StatusCode::REQUEST_TIMEOUT, &text)))
        }
    }
}

/// Reads on, within bounds, what nobody wants: a client that is still writing when the connection ends sees a broken pipe
/// instead of its answer.
async fn drain<B: hyper::body::Body<Data = Bytes> + Unpin>(body: &mut B) {
    let whole = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _late = tokio::time::timeout(DRAIN_TIMEOUT, whole).await;
}

/// A boolean of the query: `?plan=true`, `?plan=1` or `?plan`.
fn flag(uri: &http::Uri, name: &str) -> bool {
    uri.query().unwrap_or_default().split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        key == name && matches!(value, "true" | "1")
    })
}

type Shared = State<Arc<Public>>;
type Id = Path<String>;
