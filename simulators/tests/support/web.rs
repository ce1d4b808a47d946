//! A minimal HTTP client and webhook, and a simulated provider between them. Shares no code with
//! the simulators.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use simulators::rest::{Attempt, Inbound, Options, Script, Simulator};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

/// The time at which the simulators of all tests start: 2026-09-21 10:00:00.
pub(crate) const STARTED_AT_MS: u64 = 1_789_984_800_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        pairs(&self.text())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Computes an HMAC-SHA256 in hexadecimal digits, as most providers sign.
pub(crate) fn hmac256(key: &str, octets: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(octets);
    hex::encode(mac.finalize().into_bytes())
}

/// Decodes the fields of a form.
pub(crate) fn pairs(text: &str) -> BTreeMap<String, String> {
    channels::url::form_fields(text.as_bytes()).collect()
}

/// Reads one message from a connection; `None` when the connection ended before it.
async fn read(stream: &mut TcpStream) -> Option<Http> {
    let mut octets = Vec::new();
    let end = loop {
        if let Some(end) = octets.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(octets[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = octets[end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Http {
        method: first[0].to_owned(),
        path: first[1].to_owned(),
        status: first[1].parse().unwrap_or_default(),
        headers,
        body,
    })
}

/// Sends a request; returns `None` when the connection ended without an answer.
pub(crate) async fn try_call(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Http> {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).await.unwrap();
    let mut head = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    read(&mut stream).await
}

pub(crate) async fn call(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Http {
    let answer = timeout(PATIENCE, try_call(method, url, headers, body)).await;
    answer.expect("no answer in time").expect("the connection was closed")
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A server that records webhooks.
pub(crate) struct Hook {
    pub(crate) url: String,
    came: mpsc::UnboundedReceiver<Http>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    usual: Arc<Mutex<String>>,
    _tasks: JoinSet<()>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tell, came) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<VecDeque<(u16, String)>>> = Arc::default();
        let usual: Arc<Mutex<String>> = Arc::default();
        let mut tasks = JoinSet::new();
        let (queue, default) = (answers.clone(), usual.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (tell, queue, default) = (tell.clone(), queue.clone(), default.clone());
                connections.spawn(async move {
                    while let Some(request) = read(&mut stream).await {
                        let next = queue.lock().unwrap().pop_front();
                        let (status, body) = next.unwrap_or_else(|| (200, default.lock().unwrap().clone()));
                        // Answers a handshake with its challenge.
                        let query = request.path.split_once('?').map_or("", |(_, query)| query);
                        let body = pairs(query).remove("hub.challenge").unwrap_or(body);
                        tell.send(request).unwrap();
                        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, came, answers, usual, _tasks: tasks }
    }

    /// Sets the answers to the next requests.
    pub(crate) fn answer(&self, answers: &[u16]) {
        self.answers.lock().unwrap().extend(answers.iter().map(|status| (*status, String::new())));
    }

    pub(crate) fn answer_usually(&self, body: &str) {
        body.clone_into(&mut self.usual.lock().unwrap());
    }

    /// Waits for the next request.
    pub(crate) async fn next(&mut self) -> Http {
        timeout(PATIENCE, self.came.recv()).await.expect("no webhook in time").unwrap()
    }

    /// Returns the requests that no test waited for.
    pub(crate) fn left(&mut self) -> usize {
        let mut count = 0;
        while self.came.try_recv().is_ok() {
            count += 1;
        }
        count
    }
}

/// A simulated provider, and a webhook for it.
pub(crate) struct World {
    pub(crate) sim: Simulator,
    pub(crate) hook: Hook,
    pub(crate) base: String,
    _tasks: JoinSet<()>,
}

impl World {
    /// Returns the accepted messages from the control API.
    pub(crate) async fn accepted(&self) -> Vec<Value> {
        self.ask("messages").await["messages"].as_array().unwrap().clone()
    }

    pub(crate) async fn start(provider: &str) -> Self {
        Self::scripted(provider, |_| {}).await
    }

    pub(crate) async fn scripted(provider: &str, change: impl FnOnce(&mut Script)) -> Self {
        let mut script = Script { receipt_sent_ms: 1, receipt_delivered_ms: 20, ..Script::default() };
        script.webhook_retry_ms = 1;
        change(&mut script);
        Self::with(provider, script, |_| {}).await
    }

    pub(crate) async fn with(provider: &str, script: Script, change: impl FnOnce(&mut Options)) -> Self {
        let hook = Hook::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut options = Options {
            provider: provider.to_owned(),
            webhook: Some(hook.url.clone()),
            script,
            started_at_ms: STARTED_AT_MS,
            ..Options::default()
        };
        change(&mut options);
        let sim = Simulator::new(options).unwrap();
        let mut tasks = JoinSet::new();
        let served = sim.clone();
        tasks.spawn(async move { served.run(listener, std::future::pending()).await });
        Self { sim, hook, base, _tasks: tasks }
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Http {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        call("POST", &format!("{}{path}", self.base), &all, body.to_string().as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Http {
        call("GET", &format!("{}{path}", self.base), headers, b"").await
    }

    /// Gives an order to the control API.
    pub(crate) async fn order(&self, path: &str, body: Value) -> Value {
        let answer = self.post(&format!("/_sim/{path}"), &[], &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    pub(crate) async fn ask(&self, path: &str) -> Value {
        self.get(&format!("/_sim/{path}"), &[]).await.json()
    }

    /// Lets a customer write, and returns the webhook's request.
    pub(crate) async fn writes(&mut self, inbound: Value) -> Http {
        let told = self.order("inbound", inbound).await;
        assert_eq!(told["status"], json!(200), "{told}");
        self.hook.next().await
    }
}

/// Returns a text message of a customer.
pub(crate) fn text(words: &str) -> Inbound {
    Inbound { text: words.to_owned(), ..Inbound::default() }
}

pub(crate) fn statuses(attempts: &[Attempt]) -> Vec<Option<u16>> {
    attempts.iter().map(|attempt| attempt.status).collect()
}
