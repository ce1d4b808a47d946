//! The business: an HTTP server that receives a destination's messages, checks their signatures,
//! records them, and is slow or refuses on request.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, Mac};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use super::until;

pub(crate) const SECRET: &str = "the-destination's-secret";

/// A received CIM message.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) event_id: String,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Inner {
    taken: Mutex<Vec<Taken>>,
    /// The status of every answer; 0: 200.
    refuse_with: AtomicU16,
    hang: AtomicBool,
    refused: AtomicU64,
    unsigned: AtomicU64,
}

/// The server; ends with its last handle.
#[derive(Clone)]
pub(crate) struct Sink {
    inner: Arc<Inner>,
    pub(crate) url: String,
    _server: Arc<JoinSet<()>>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/cim", tcp.local_addr().unwrap());
        let inner = Arc::new(Inner::default());
        let mut server = JoinSet::new();
        server.spawn(serve(tcp, inner.clone()));
        Self { inner, url, _server: Arc::new(server) }
    }

    /// Refuses everything with this status; 0 accepts again.
    pub(crate) fn refuse_with(&self, status: u16) {
        self.inner.refuse_with.store(status, Ordering::SeqCst);
    }

    /// Leaves everything unanswered.
    pub(crate) fn hang(&self) {
        self.inner.hang.store(true, Ordering::SeqCst);
    }

    pub(crate) fn refused(&self) -> u64 {
        self.inner.refused.load(Ordering::SeqCst)
    }

    /// Returns everything received, in order and with repeats. Panics if a signature was wrong.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        assert_eq!(self.inner.unsigned.load(Ordering::SeqCst), 0, "POSTs with a missing or wrong signature");
        self.inner.taken.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.taken.lock().unwrap().len()
    }

    /// Returns customers' messages as customer and text, each event once.
    pub(crate) fn texts(&self) -> Vec<(String, String)> {
        let mut seen = BTreeMap::new();
        let mut texts = Vec::new();
        for taken in self.taken() {
            let (body, header) = (&taken.body["body"], &taken.body["header"]);
            if body["type"] == "PLAIN"
                && header["intent"].is_null()
                && seen.insert(taken.event_id.clone(), ()).is_none()
            {
                let customer = text_of(&header["channelData"]["channelCustomerIdentifier"]);
                texts.push((customer, text_of(&body["markdownText"])));
            }
        }
        texts
    }

    /// Returns the notifications by message: their statuses in order, each event once.
    pub(crate) fn notifications(&self) -> BTreeMap<String, Vec<String>> {
        let mut seen = BTreeMap::new();
        let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for taken in self.taken() {
            let body = &taken.body["body"];
            if body["type"] == "DELIVERYNOTIFICATION" && seen.insert(taken.event_id.clone(), ()).is_none() {
                of.entry(text_of(&body["messageId"])).or_default().push(text_of(&body["status"]));
            }
        }
        of
    }

    /// Returns the number of messages with a notification of this status.
    pub(crate) fn notified(&self, status: &str) -> usize {
        self.notifications().values().filter(|all| all.iter().any(|s| s == status)).count()
    }

    /// Waits for the first message that `which` selects.
    #[track_caller]
    pub(crate) fn wait_for<'a>(
        &'a self,
        what: &'a str,
        within: Duration,
        which: impl Fn(&Value) -> bool + 'a,
    ) -> impl Future<Output = Taken> + 'a {
        until(what, within, move || {
            let found = self.taken().into_iter().find(|taken| which(&taken.body));
            async move { found.ok_or_else(|| format!("not among {} taken", self.len())) }
        })
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn serve(tcp: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tcp.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let inner = inner.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| take(inner.clone(), request));
            // The router may be killed at any moment, so errors of its connections are ignored.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn take(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header =
        |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (event_id, signature) = (header("x-patchbay-event-id"), header("x-patchbay-signature"));
    let Ok(body) = request.into_body().collect().await else {
        return Ok(answer(400));
    };
    let body = body.to_bytes();
    if inner.hang.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let refuse_with = inner.refuse_with.load(Ordering::SeqCst);
    if refuse_with != 0 {
        inner.refused.fetch_add(1, Ordering::SeqCst);
        return Ok(answer(refuse_with));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&body);
    if signature != format!("sha256={}", hex::encode(mac.finalize().into_bytes())) {
        inner.unsigned.fetch_add(1, Ordering::SeqCst);
    }
    let at = Instant::now();
    let body: Value = serde_json::from_slice(&body).expect("destinations are sent JSON");
    let mut taken = inner.taken.lock().unwrap();
    match body {
        // Each item of a batch carries the id of its event.
        Value::Array(items) => taken.extend(items.into_iter().map(|item| Taken {
            event_id: text_of(&item["id"]),
            body: item,
            at,
        })),
        body => taken.push(Taken { event_id, body, at }),
    }
    Ok(answer(200))
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer
}
