//! A whole router with one channel on a disk in memory, in virtual time; the provider sends what an
//! item holds, and the business writes down what it is sent.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use actors::{
    Config, Origin, Router, Seams,
    config::{ChannelConfig, DestinationConfig, Did, HttpConfig, Limits, OnUnknown},
    seams::{
        BoxFuture, Call, CallError, Clock, Connector, HttpClient, Post, PostAnswer, PostResult, Poster,
        Purpose, Stream, Target,
    },
    webhook::{WebhookAnswer, WebhookCall},
};
use channels::{
    Channel, InEvent, LinkKind, Signature,
    events::Fate,
    http::{Body, Response, Webhook},
};
use message::{MessageId, cim};
use serde_json::{Value, json};
use storage::{Driver, Log, MemoryDisk, Options};
use tokio::time::{Instant, sleep};

use crate::{
    case::NOW_MS,
    corpus::{self, CallForm, CapturedFile, Item},
    opened,
    sign::Unsigned,
    smsc::RawSmsc,
    support::{CountedIds, ToldClock},
};

const URL: &str = "https://example.org/webhooks/ch1";
/// Longer than anything that the router waits for before it tells the business: texts in the form
/// of a receipt wait ten seconds for their part.
const SETTLED: Duration = Duration::from_secs(20);

struct World {
    started: Instant,
    drawn: Arc<CountedIds>,
    /// Ids for the next messages.
    ids: Mutex<VecDeque<String>>,
    answer: String,
    taken: Mutex<Vec<Value>>,
    smsc: RawSmsc,
}

/// Replays an item and returns what becomes of it, as lines.
pub(crate) fn replay(file: &CapturedFile, item: &Item) -> String {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(replayed(file, item))
}

async fn replayed(file: &CapturedFile, item: &Item) -> String {
    let world = Arc::new(World {
        started: Instant::now(),
        drawn: Arc::default(),
        ids: Mutex::default(),
        answer: file.answer.clone(),
        taken: Mutex::default(),
        smsc: RawSmsc::default(),
    });
    let account = file.account(item);
    let channel = opened(file.provider, account.clone())
        .unwrap_or_else(|error| panic!("{} {}: {error}", file.name, item.name));
    let options = Options { driver: Driver::Inline, disk_reserve_bytes: 0, ..Options::default() };
    let (log, _) = Log::open(MemoryDisk::new().engine(), options).unwrap();
    let router = Router::start(config(file, channel.clone()), log.clone(), seams(&world)).await.unwrap();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(20)).await;
            while log.drive() {}
        }
    });
    let mut lines = Vec::new();
    let sent = send(file, item, &router, &world).await;
    world.smsc.answers();
    let told_before = world.taken.lock().unwrap().len();
    for pdu in &item.pdus {
        world.smsc.write(corpus::octets(pdu));
        sleep(Duration::from_secs(1)).await;
        lines.extend(world.smsc.answers());
    }
    let mut ignored = 0;
    for call in item.webhooks() {
        let headers = headers(file, &account, &call);
        let made = webhook_call(&call, headers);
        lines.push(answered(&router.webhook(&"ch1".into(), &made).await));
        let (count, broken) = unread(&*channel, &made);
        ignored += count;
        lines.extend(broken);
    }
    lines.extend(named(&*channel, &item.ignored, ignored));
    sleep(SETTLED).await;
    lines.extend(world.smsc.answers());
    let taken = world.taken.lock().unwrap().clone();
    lines.extend(shown(&taken, told_before));
    for (n, id) in sent.iter().enumerate() {
        let view = router.message(id).await.unwrap();
        lines.push(format!("m{} is {}", n + 1, view.status.as_str()));
    }
    let view = router.channels().await.remove(0);
    lines.extend(view.account.iter().map(|fact| format!("account {}: {}", fact.about, fact.says)));
    if view.receipts_unmatched > 0 {
        lines.push(format!("receipts without a part: {}", view.receipts_unmatched));
    }
    lines.iter().fold(String::new(), |mut out, line| {
        writeln!(out, "{line}").unwrap();
        out
    })
}

/// Sends what the business sent before, and waits until the provider has it.
async fn send(file: &CapturedFile, item: &Item, router: &Router, world: &World) -> Vec<MessageId> {
    world.smsc.give_ids(item.sent.iter().map(|sent| sent.id.clone()));
    world.ids.lock().unwrap().extend(item.sent.iter().map(|sent| sent.id.clone()));
    if !item.sent.is_empty() && !file.opening.is_empty() {
        let opening = CallForm::of(&file.opening);
        let call = webhook_call(&opening, headers(file, &file.account(item), &opening));
        let answer = answered(&router.webhook(&"ch1".into(), &call).await);
        assert!(answer.starts_with("200"), "{}: the opening is {answer}", file.name);
        sleep(Duration::from_secs(1)).await;
    }
    let mut ids = Vec::new();
    for (n, sent) in item.sent.iter().enumerate() {
        let id = format!("m{}", n + 1);
        let message = json!({
            "id": id,
            "header": { "channelData": {
                "channelCustomerIdentifier": sent.to, "serviceIdentifier": file.did } },
            "body": { "type": "PLAIN", "markdownText": sent.text },
        });
        let message = cim::parse(message.to_string().as_bytes()).unwrap();
        router.accept(vec![message], &Origin::default()).await.pop().unwrap().unwrap();
        sleep(Duration::from_secs(2)).await;
        ids.push(MessageId::new(id));
    }
    sleep(Duration::from_secs(1)).await;
    ids
}

fn headers(file: &CapturedFile, account: &toml::Table, call: &CallForm) -> Vec<(Box<str>, Box<str>)> {
    let own = file.headers.iter();
    let mut headers: Vec<(Box<str>, Box<str>)> =
        own.map(|(name, value)| (name.to_lowercase().into(), value.as_str().unwrap().into())).collect();
    let url = url(call);
    let unsigned = Unsigned { method: &call.method, url: &url, body: &call.body };
    headers.extend(call.signing().headers(file.provider, account, &unsigned));
    headers
}

fn url(call: &CallForm) -> String {
    if call.query.is_empty() { URL.to_owned() } else { format!("{URL}?{}", call.query) }
}

fn webhook_call(call: &CallForm, headers: Vec<(Box<str>, Box<str>)>) -> WebhookCall {
    WebhookCall {
        method: call.method.as_str().into(),
        url: url(call).into(),
        query: call.query.as_str().into(),
        headers,
        body: call.body.clone().into(),
    }
}

fn answered(answer: &WebhookAnswer) -> String {
    match answer {
        WebhookAnswer::Reply(reply) => format!("{} {}", reply.status, reply.body).trim_end().to_owned(),
        WebhookAnswer::Refused { status, reason, .. } => format!("refused with {status}: {reason}"),
        WebhookAnswer::Malformed(reason) => format!("refused with 400: {reason}"),
        other => format!("{other:?}"),
    }
}

/// Returns the number of events of a call that are ignored, and what could not be read.
fn unread(channel: &dyn Channel, call: &WebhookCall) -> (usize, Vec<String>) {
    let LinkKind::Http(http) = channel.link() else { panic!("no HTTP provider") };
    let WebhookCall { method, url, query, headers, body } = call;
    let webhook = Webhook { method, url, query, headers, body, now_ms: NOW_MS };
    let Ok(received) = http.receive(&webhook) else { return (0, Vec::new()) };
    let broken = received.events.iter().filter_map(|event| match event {
        InEvent::Broken(problem) => Some(format!("not read: {problem}")),
        _ => None,
    });
    (received.ignored, broken.collect())
}

/// Why events are ignored, by the rows that an item names: one for each.
fn named(channel: &dyn Channel, rows: &[String], ignored: usize) -> Vec<String> {
    let provider = channel.provider();
    assert_eq!(ignored, rows.len(), "{provider:?} ignores events; the item names {rows:?}");
    let reason = |row: &String| {
        let kind = provider.events.iter().find(|kind| format!("{} {}", kind.place, kind.name) == *row);
        let kind = kind.unwrap_or_else(|| panic!("{provider:?} has no row {row:?}"));
        match kind.fate {
            Fate::Ignored(reason) => format!("ignored {row}: {reason}"),
            _ => panic!("{row:?} is not ignored: {}", kind.fate.words()),
        }
    };
    rows.iter().map(reason).collect()
}

/// Returns what the business was sent; sessions are named in the order of their first delivery.
fn shown(taken: &[Value], told_before: usize) -> Vec<String> {
    let mut sessions: Vec<&Value> = Vec::new();
    let mut lines = Vec::new();
    for (n, cim) in taken.iter().enumerate() {
        let session = &cim["header"]["channelSessionId"];
        let at = sessions.iter().position(|known| *known == session).unwrap_or_else(|| {
            sessions.push(session);
            sessions.len() - 1
        });
        if n < told_before {
            continue;
        }
        lines.push(format!("s{} {}", at + 1, told(cim)));
    }
    lines
}

fn told(cim: &Value) -> String {
    let (header, mut body) = (&cim["header"], cim["body"].clone());
    let data = &header["channelData"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut line = format!(
        "{} {} -> {}",
        word(&body["type"]),
        word(&data["channelCustomerIdentifier"]),
        word(&data["serviceIdentifier"])
    );
    if let Some(members) = body.as_object_mut() {
        members.remove("type");
        if let Some(text) = members.remove("markdownText") {
            write!(line, " {text}").unwrap();
        }
        for (key, value) in members {
            write!(line, "\n    {key}: {value}").unwrap();
        }
    }
    for key in ["intent", "replyToMessageId", "providerMessageId"] {
        if let Some(value) = header.get(key) {
            write!(line, "\n    {key}: {value}").unwrap();
        }
    }
    for attribute in data["additionalAttributes"].as_array().into_iter().flatten() {
        write!(line, "\n    {}: {}", word(&attribute["key"]), attribute["value"]).unwrap();
    }
    line
}

fn config(file: &CapturedFile, channel: Arc<dyn Channel>) -> Config {
    let second = Duration::from_secs(1);
    let channel = ChannelConfig {
        id: "ch1".into(),
        name: "Captured".into(),
        channel,
        dids: vec![Did { number: file.did.as_str().into(), destination: "support".into() }],
        send_rate: None,
        unsigned: file.provider.signature() == Signature::None,
        preferred: None,
        default_country: None,
        inactivity_timeout: None,
        on_unknown: OnUnknown::Resend,
        doubt_grace: second,
        validity: None,
        tries_max: 3,
        backoff: second,
        backoff_max: second,
        receipt_timeout: 3_600 * second,
        reassembly_timeout: 10 * second,
        http: HttpConfig::default(),
    };
    let destination = DestinationConfig {
        id: "support".into(),
        url: "http://support".into(),
        batch_max: 1,
        secret: None,
        signing_keys: [].into(),
        connections: 1,
        timeout: second,
        backoff: second,
        backoff_max: second,
        give_up_after: None,
    };
    Config {
        channels: vec![channel],
        destinations: vec![destination],
        limits: Limits { hosts: 1, ..Limits::default() },
        retention: None,
        media: None,
        stream_key: message::address::StreamKey::new([7; 32]),
    }
}

fn seams(world: &Arc<World>) -> Seams {
    Seams {
        clock: Arc::new(clock(world.started)),
        ids: world.drawn.clone(),
        connector: Arc::new(Hand(world.clone())),
        poster: Arc::new(Hand(world.clone())),
        client: Arc::new(Hand(world.clone())),
    }
}

fn clock(started: Instant) -> impl Clock + 'static {
    let since_ms = move || u64::try_from(started.elapsed().as_millis()).unwrap();
    ToldClock { wall_ms: move || NOW_MS as u64 + since_ms(), monotonic_ms: since_ms }
}

struct Hand(Arc<World>);

impl Connector for Hand {
    fn connect(&self, _target: Target) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let world = self.0.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move { world.smsc.serve(far).await });
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

impl Poster for Hand {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        self.0.taken.lock().unwrap().push(body);
        Box::pin(async { Ok(PostAnswer { status: 200, retry_after_s: None }) })
    }
}

impl HttpClient for Hand {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Response, CallError>> {
        let is_message = call.request.effect && !matches!(call.request.body, Body::None);
        let id = if is_message { self.0.ids.lock().unwrap().pop_front() } else { None };
        let (status, body) = match (call.purpose, id) {
            (Purpose::File, _) => (404, String::new()),
            (Purpose::Answer, Some(id)) => (200, self.0.answer.replace("{id}", &id)),
            (Purpose::Answer, None) => (200, "{}".to_owned()),
        };
        Box::pin(async move { Ok(Response { status, headers: Vec::new(), body: body.into() }) })
    }
}
