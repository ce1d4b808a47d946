//! Sockets around a simulated REST provider: one task per connection, requests read whole, webhooks posted over
//! plain HTTP. It calls nobody but the webhooks it is told.

use std::{future::Future, sync::PoisonError, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Uri,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::Simulator;
use crate::toolkit::http::{Outgoing, Request, Response};

/// The most connections at a time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 10_000;
/// The most octets of a request's body: what the largest upload needs.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most octets of an answer: a webhook's, or a file.
const ANSWER_BYTES_MAX: usize = BODY_BYTES_MAX;
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type Client = Pool<HttpConnector, Full<Bytes>>;

/// What a webhook answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Closed;

pub(crate) fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Pool::builder(TokioExecutor::new()).build(connector)
}

impl Simulator {
    /// Serves all connections and sends what is due, until `shutdown` is there; then cuts everything.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        if let Ok(address) = listener.local_addr() {
            let mut state = self.state();
            if state.base.is_empty() {
                state.base = format!("http://{address}");
            }
        }
        let mut tasks = JoinSet::new();
        let driver = self.drive();
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
                        let simulator = self.clone();
                        tasks.spawn(async move { simulator.connection(stream).await });
                    }
                    Ok(_) => {}
                    Err(error) => {
                        // Out of file handles, mostly: some connection must end first.
                        tracing::warn!(%error, "the simulated provider could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        self.state().records.counts.connections += 1;
        _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.request(request));
        // It ends with an error when it is closed on purpose, or by its client.
        _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn request(
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Full<Bytes>>, Closed> {
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
            return Ok(hyper_response(self.control(&request).await));
        }
        self.answer(&request).await.map(hyper_response).ok_or(Closed)
    }

    /// Posts to a webhook, and gives what it answered, or why it did not.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Answered, String> {
        let (uri, host) = self.target(&outgoing.url)?;
        let mut request = hyper::Request::builder().method(outgoing.method).uri(uri).header(HOST, host);
        for (name, value) in &outgoing.headers {
            request = request.header(name.as_ref(), value);
        }
        let request = request.body(Full::new(outgoing.body.into())).map_err(|e| e.to_string())?;
        let answer = self.shared.client.request(request).await.map_err(|e| whole(&e))?;
        let retry_after_s =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| format!("the answer could not be read: {e}"))?.to_bytes();
        Ok(Answered { status, retry_after_s, content_type, body })
    }

    /// The address to call, and the host to name.
    fn target(&self, url: &str) -> Result<(Uri, String), String> {
        let url = url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().map_err(|e| format!("{url:?} is no URL: {e}"))?;
        let host = uri.authority().ok_or_else(|| format!("{url:?} names no host"))?.to_string();
        let host = host.rsplit('@').next().unwrap_or_default().to_owned();
        let deliver_to = self.shared.deliver_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(to) = deliver_to else {
            return if uri.scheme_str() == Some("http") {
                Ok((uri, host))
            } else {
                Err(format!("{url:?} is no http URL; say where it is to be delivered to"))
            };
        };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let to = format!("{}{path}", to.trim_end_matches('/'));
        Ok((to.parse().map_err(|e| format!("{to:?} is no URL: {e}"))?, host))
    }
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

/// An error with what caused it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
