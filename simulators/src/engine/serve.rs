//! Sockets around a simulated REST provider: one task per connection, requests read whole.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{answer::answer, control::control, core::Engine, webhooks};
use crate::toolkit::http::{Request, Response};

/// Maximum number of connections; further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Maximum size of a request's body, in bytes: room for the largest upload. A larger one gets 413.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a client may take for a request's headers.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, until some connection has freed its descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that a fault closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct ClosedOnPurpose;

/// Serves all connections and posts due webhooks until `shutdown` resolves; then cuts everything.
pub(super) async fn run(engine: &Arc<Engine>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    if let Ok(address) = listener.local_addr() {
        let mut state = engine.state();
        if state.base.is_empty() {
            state.base = format!("http://{address}");
        }
    }
    let mut tasks = JoinSet::new();
    let driver = webhooks::drive(engine);
    tokio::pin!(shutdown);
    tokio::pin!(driver);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            () = &mut driver => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if tasks.len() < CONNECTIONS_MAX => {
                    let engine = engine.clone();
                    tasks.spawn(async move { serve_connection(&engine, stream).await });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the simulated provider could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve_connection(engine: &Engine, stream: TcpStream) {
    engine.state().records.counts.connections += 1;
    _ = stream.set_nodelay(true);
    let service = service_fn(|request| serve_request(engine, request));
    // Ends with an error when the script or the client closes it.
    _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve_request(
    engine: &Engine,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, ClosedOnPurpose> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(hyper_response(Response::text(413, "the body is too large\n")));
    };
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    if request.path.starts_with("/_sim/") {
        return Ok(hyper_response(control(engine, &request).await));
    }
    answer(engine, &request).await.map(hyper_response).ok_or(ClosedOnPurpose)
}

fn hyper_response(answer: Response) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(answer.body));
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&answer.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name.as_bytes()), value.parse()) {
            headers.insert(name, value);
        }
    }
    response
}
