//! A provider's HTTP API in Telnyx's form: accepts messages, and refuses, hangs, delays or
//! disconnects on request. Records every call.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use super::{Setup, until};

/// The secret of the accounts in these tests; it must never be shown.
pub(crate) const API_KEY: &str = "KEY0123456789-very-secret";

/// The reaction to calls that send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Accepts.
    Takes,
    /// Refuses with a status, and a `Retry-After` in seconds.
    Refuses(u16, u32),
    /// Records the call, and never answers.
    Hangs,
    /// Accepts, and answers after this delay.
    Late(Duration),
    /// Accepts, and closes the connection without an answer.
    BreaksOff,
}

/// A received call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

struct Inner {
    mood: Mutex<Mood>,
    /// The reaction to probes.
    look: Mutex<Mood>,
    calls: Mutex<Vec<Call>>,
}

/// The API; ends with its last handle.
#[derive(Clone)]
pub(crate) struct Api {
    inner: Arc<Inner>,
    pub(crate) address: SocketAddr,
    _server: Arc<JoinSet<()>>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn start_on(address: SocketAddr) -> Self {
        let tcp = TcpListener::bind(address).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (mood, look) = (Mutex::new(Mood::Takes), Mutex::new(Mood::Takes));
        let inner = Arc::new(Inner { mood, look, calls: Mutex::default() });
        let mut server = JoinSet::new();
        server.spawn(serve(tcp, inner.clone()));
        Self { inner, address, _server: Arc::new(server) }
    }

    /// Sets the reaction to calls that send.
    pub(crate) fn set(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// Sets the reaction to probes.
    pub(crate) fn set_look(&self, mood: Mood) {
        *self.inner.look.lock().unwrap() = mood;
    }

    /// Returns all calls, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().unwrap().clone()
    }

    /// Returns the calls that sent a message.
    pub(crate) fn sent(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.method == "POST").collect()
    }

    /// Waits for this number of calls that sent a message.
    pub(crate) async fn until_sent(&self, count: usize, within: Duration) {
        until("calls", within, || async {
            let sent = self.sent().len();
            if sent >= count { Ok(()) } else { Err(format!("{sent} of {count}")) }
        })
        .await;
    }
}

/// Returns the configuration of a channel to this API.
pub(crate) fn channel(
    setup: Setup,
    id: &str,
    did: &str,
    address: SocketAddr,
    keys: &str,
    http: &str,
) -> Setup {
    setup.tables(&format!(
        "[[channel]]\nid = \"{id}\"\nprovider = \"telnyx\"\ndids = [{{ number = \"{did}\", destination = \"support\" }}]\n\
         backoff = \"100ms\"\n{keys}\n[channel.http]\n{http}\n[channel.account]\napi_key = \"{API_KEY}\"\n\
         public_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\nbase_url = \"http://{address}\"\n"
    ))
}

async fn serve(tcp: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tcp.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let inner = inner.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| take(inner.clone(), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

#[derive(Debug, thiserror::Error)]
#[error("broken off")]
struct BrokenOff;

impl From<Infallible> for BrokenOff {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn take(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, BrokenOff> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| BrokenOff)?.to_bytes();
    let sends = head.method == http::Method::POST;
    let number = {
        let mut calls = inner.calls.lock().unwrap();
        calls.push(Call {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            at: Instant::now(),
        });
        calls.len()
    };
    let mood = if sends { *inner.mood.lock().unwrap() } else { *inner.look.lock().unwrap() };
    let taken = json!({ "data": { "id": format!("tx-{number}"), "echo": API_KEY } });
    Ok(match mood {
        Mood::Takes => answer(200, 0, &taken),
        Mood::Refuses(status, pause) => {
            let code = if status == 401 { json!([{ "code": "10009", "title": API_KEY }]) } else { json!([]) };
            answer(status, pause, &json!({ "errors": code }))
        }
        Mood::Hangs => std::future::pending().await,
        Mood::Late(pause) => {
            tokio::time::sleep(pause).await;
            answer(200, 0, &taken)
        }
        Mood::BreaksOff => return Err(BrokenOff),
    })
}

fn answer(status: u16, pause: u32, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::builder().status(status);
    if pause > 0 {
        answer = answer.header("retry-after", pause);
    }
    answer.body(Full::from(body.to_string())).unwrap()
}
