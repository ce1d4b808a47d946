//! A router with one SMPP channel on a disk in memory, an SMSC that does what a test says, and a
//! business that writes down what it is sent.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actors::{
    Config, Origin, Router, Seams,
    config::{ChannelConfig, DestinationConfig, Did, HttpConfig, Limits, OnUnknown},
    seams::{
        BoxFuture, Call, CallError, Connector, HttpClient, Post, PostAnswer, PostResult, Poster, Stream,
        Target,
    },
    view::{ChannelView, MessageView},
};
use bytes::BytesMut;
use channels::{
    http::Response,
    smpp::{
        CloseReason, ReplyToken,
        pdu::{Address, ShortMessage},
        server::{Server, ServerConfig, ServerEvent},
        tlv::{self, Tlv, Tlvs},
    },
};
use message::cim;
use serde_json::{Value, json};
use storage::{Log, MemoryDisk, Options};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::Notify,
};

use crate::support::{CountedIds, ToldClock};

pub(crate) const DID: &str = "5155";
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A deliver_sm.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) esm_class: u8,
    pub(crate) text: String,
    /// `receipted_message_id` and `message_state`.
    pub(crate) id: Option<String>,
    pub(crate) state: Option<u8>,
}

/// A delivery that is, or looks like, a customer's message.
pub(crate) fn writes(customer: &str, text: &str) -> Delivery {
    let (source, destination) = (customer.to_owned(), DID.to_owned());
    Delivery { source, destination, esm_class: 0, text: text.to_owned(), id: None, state: None }
}

/// A receipt of appendix B for a part to a customer.
pub(crate) fn receipt(customer: &str, id: &str, word: &str) -> Delivery {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2611301200 done date:2611301201 stat:{word} err:000 text:Hi"
    );
    Delivery { esm_class: 0x04, ..writes(customer, &text) }
}

#[derive(Default)]
struct Puppet {
    /// The ids of the next answers; `None`: no answer. Without any, ids are counted from 1000.
    answers: VecDeque<Option<String>>,
    counted: u64,
    /// The submits; those without an answer still have their tokens.
    submits: Vec<Option<ReplyToken>>,
    late: Vec<(ReplyToken, String)>,
    deliveries: VecDeque<Delivery>,
    acknowledged: usize,
    /// How many connections the router unbound, and how many are over.
    unbound: usize,
    over: usize,
}

/// Everything outside of the router.
pub(crate) struct World {
    disk: MemoryDisk,
    ids: Arc<CountedIds>,
    taken: Mutex<Vec<Value>>,
    puppet: Mutex<Puppet>,
    wake: Notify,
}

/// A router and its world.
pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) router: Router,
    account: String,
}

impl Stage {
    /// Starts a router whose account has these further keys.
    pub(crate) async fn start(account: &str) -> Self {
        let world = Arc::new(World {
            disk: MemoryDisk::new(),
            ids: Arc::default(),
            taken: Mutex::default(),
            puppet: Mutex::default(),
            wake: Notify::new(),
        });
        let router = world.start(account).await;
        Self { world, router, account: account.to_owned() }
    }

    /// Kills the router and starts it again on what is durable.
    pub(crate) async fn kill(self) -> Self {
        let Self { world, router, account } = self;
        world.disk.crash(storage::Crash::Lose);
        drop(router);
        let router = world.start(&account).await;
        Self { world, router, account }
    }

    /// The ids of the next answers; `None`: no answer.
    pub(crate) fn answers(&self, ids: &[Option<&str>]) {
        let ids = ids.iter().map(|id| id.map(str::to_owned));
        self.world.puppet.lock().unwrap().answers.extend(ids);
    }

    /// Sends a text, and waits until the SMSC has all its parts.
    pub(crate) async fn send(&self, id: &str, customer: &str, text: &str) {
        let before = self.submits();
        let message = json!({
            "id": id,
            "header": { "channelData": { "channelCustomerIdentifier": customer, "serviceIdentifier": DID } },
            "body": { "type": "PLAIN", "markdownText": text },
        });
        let message = cim::parse(message.to_string().as_bytes()).unwrap();
        self.router.accept(vec![message], &Origin::default()).await.pop().unwrap().unwrap();
        let parts = text.len().div_ceil(153).max(1);
        self.until("its parts", || self.submits() >= before + parts).await;
    }

    pub(crate) fn submits(&self) -> usize {
        self.world.puppet.lock().unwrap().submits.len()
    }

    /// Answers a submit that was not answered.
    pub(crate) fn answer_late(&self, submit: usize, id: &str) {
        let mut puppet = self.world.puppet.lock().unwrap();
        let token = puppet.submits[submit].take().unwrap();
        puppet.late.push((token, id.to_owned()));
        drop(puppet);
        self.world.wake.notify_one();
    }

    /// Delivers, and waits until the router acknowledged it.
    pub(crate) async fn deliver(&self, delivery: Delivery) {
        let due = {
            let mut puppet = self.world.puppet.lock().unwrap();
            let due = puppet.acknowledged + puppet.deliveries.len() + 1;
            puppet.deliveries.push_back(delivery);
            due
        };
        self.world.wake.notify_one();
        self.until("its acknowledgement", || self.world.puppet.lock().unwrap().acknowledged >= due).await;
    }

    /// Waits until the router has unbound its connection and closed it.
    pub(crate) async fn until_unbound(&self, within: Duration) {
        let started = Instant::now();
        let seen = || {
            let puppet = self.world.puppet.lock().unwrap();
            (puppet.unbound, puppet.over)
        };
        while seen() != (1, 1) {
            assert!(started.elapsed() < within, "unbound and over: {:?}", seen());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < SOON, "{what} never came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn view(&self, id: &str) -> MessageView {
        self.router.message(&id.into()).await.unwrap()
    }

    pub(crate) async fn status(&self, id: &str) -> &'static str {
        self.view(id).await.status.as_str()
    }

    /// Waits until a message has a status; fails when it takes longer than `within`.
    pub(crate) async fn until_status(&self, id: &str, status: &str, within: Duration) {
        let started = Instant::now();
        loop {
            let view = self.view(id).await;
            if view.status.as_str() == status {
                return;
            }
            assert!(started.elapsed() < within, "{id} is {view:#?}, expected {status}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a part of a message has a status; fails when it takes longer than `within`.
    pub(crate) async fn until_part(&self, id: &str, part: usize, status: &str, within: Duration) {
        let started = Instant::now();
        loop {
            let view = self.view(id).await;
            if view.parts[part].status.as_str() == status {
                return;
            }
            assert!(started.elapsed() < within, "part {part} of {view:#?} is not {status}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn channel(&self) -> ChannelView {
        self.router.channels().await.remove(0)
    }

    /// The customers' messages that the business has, with their customers.
    pub(crate) fn words(&self) -> Vec<(String, String)> {
        let taken = self.world.taken.lock().unwrap();
        let words = taken.iter().filter(|v| v["body"]["type"] == "PLAIN").map(|v| {
            let said = |value: &Value| value.as_str().unwrap().to_owned();
            let customer = &v["header"]["channelData"]["channelCustomerIdentifier"];
            (said(customer).trim_start_matches('+').to_owned(), said(&v["body"]["markdownText"]))
        });
        words.collect()
    }

    /// The statuses of which the business was told, in order.
    pub(crate) fn told(&self, id: &str) -> Vec<String> {
        let taken = self.world.taken.lock().unwrap();
        let of = taken.iter().filter(|v| v["body"]["messageId"] == id);
        of.map(|v| v["body"]["status"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the business has a customer's words.
    pub(crate) async fn until_words(&self, customer: &str, text: &str, within: Duration) {
        let started = Instant::now();
        let wanted = (customer.to_owned(), text.to_owned());
        while !self.words().contains(&wanted) {
            assert!(started.elapsed() < within, "{wanted:?} is not among {:?}", self.words());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn pause(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl World {
    async fn start(self: &Arc<Self>, account: &str) -> Router {
        let options = Options { disk_reserve_bytes: 0, ..Options::default() };
        let (log, _) = Log::open(self.disk.engine(), options).unwrap();
        let seams = Seams {
            clock: Arc::new(ToldClock { wall_ms: real_ms, monotonic_ms: real_ms }),
            ids: self.ids.clone(),
            connector: Arc::new(Hand(self.clone())),
            poster: Arc::new(Hand(self.clone())),
            client: Arc::new(Hand(self.clone())),
        };
        Router::start(config(account), log, seams).await.unwrap()
    }

    /// One connection of the SMSC.
    async fn serve(self: Arc<Self>, mut stream: DuplexStream) {
        let started = Instant::now();
        let now = || u64::try_from(started.elapsed().as_millis()).unwrap();
        let mut server: Server<u64> = Server::new(ServerConfig::default(), now());
        let mut buffer = BytesMut::new();
        loop {
            while let Some(event) = server.poll_event() {
                self.on_event(&mut server, event, now());
            }
            self.act(&mut server, now());
            let mut out = BytesMut::new();
            server.peer_mut().take_output(&mut out);
            if !out.is_empty() && stream.write_all(&out).await.is_err() {
                return;
            }
            tokio::select! {
                read = stream.read_buf(&mut buffer) => match read {
                    Ok(octets) if octets > 0 => {
                        let octets = buffer.split();
                        server.handle_bytes(&octets, now());
                    }
                    _ => {
                        self.puppet.lock().unwrap().over += 1;
                        return;
                    }
                },
                () = self.wake.notified() => {}
            }
        }
    }

    fn on_event(&self, server: &mut Server<u64>, event: ServerEvent<u64>, now: u64) {
        let mut puppet = self.puppet.lock().unwrap();
        match event {
            ServerEvent::Bind(request) => server.accept_bind(&request),
            ServerEvent::Submitted { reply, .. } => {
                puppet.counted += 1;
                let counted = Some((1_000 + puppet.counted).to_string());
                match puppet.answers.pop_front().unwrap_or(counted) {
                    Some(id) => {
                        server.reply_submit(reply, 0, id.as_bytes(), now).unwrap();
                        puppet.submits.push(None);
                    }
                    None => puppet.submits.push(Some(reply)),
                }
            }
            ServerEvent::Answered { status: 0, .. } => puppet.acknowledged += 1,
            ServerEvent::Closed { reason: CloseReason::PeerUnbound } => puppet.unbound += 1,
            _ => {}
        }
    }

    fn act(&self, server: &mut Server<u64>, now: u64) {
        let mut puppet = self.puppet.lock().unwrap();
        for (token, id) in std::mem::take(&mut puppet.late) {
            server.reply_submit(token, 0, id.as_bytes(), now).unwrap();
        }
        while server.bound().is_some()
            && let Some(delivery) = puppet.deliveries.pop_front()
        {
            let (id, state) = (delivery.id.unwrap_or_default() + "\0", [delivery.state.unwrap_or_default()]);
            let mut list = Vec::new();
            if id.len() > 1 {
                list.push(Tlv { tag: tlv::RECEIPTED_MESSAGE_ID, value: id.as_bytes() });
            }
            if delivery.state.is_some() {
                list.push(Tlv { tag: tlv::MESSAGE_STATE, value: &state });
            }
            let message = ShortMessage {
                source: Address { ton: 1, npi: 1, text: delivery.source.as_bytes() },
                destination: Address { ton: 3, npi: 0, text: delivery.destination.as_bytes() },
                esm_class: delivery.esm_class,
                short_message: delivery.text.as_bytes(),
                tlvs: Tlvs::list(&list),
                ..ShortMessage::default()
            };
            server.deliver(0, &message, now).unwrap();
        }
    }
}

fn config(account: &str) -> Config {
    let second = Duration::from_secs(1);
    let account = format!("host = \"smsc\"\nsystem_id = \"pb\"\npassword = \"pw\"\n{account}");
    let provider = channels::provider("smpp").unwrap();
    let channel = ChannelConfig {
        id: "sms".into(),
        name: "SMS".into(),
        channel: provider.open(account.parse().unwrap()).unwrap(),
        dids: vec![Did { number: DID.into(), destination: "support".into() }],
        send_rate: Some(1_000.0),
        unsigned: false,
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
        reassembly_timeout: second,
        http: HttpConfig::default(),
    };
    let destination = DestinationConfig {
        id: "support".into(),
        url: "http://support".into(),
        batch_max: 1,
        secret: None,
        signing_keys: [].into(),
        connections: 4,
        timeout: second,
        backoff: Duration::from_millis(10),
        backoff_max: second,
        give_up_after: None,
    };
    Config {
        channels: vec![channel],
        destinations: vec![destination],
        limits: Limits::default(),
        retention: None,
        media: None,
        stream_key: message::address::StreamKey::new([7; 32]),
    }
}

/// Nobody changes the clock meanwhile, so the wall clock is good for both.
fn real_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

struct Hand(Arc<World>);

impl Connector for Hand {
    fn connect(&self, _target: Target) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let world = self.0.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(1 << 16);
            tokio::spawn(world.serve(far));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

impl Poster for Hand {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        let mut taken = self.0.taken.lock().unwrap();
        if !taken.iter().any(|v| v["id"] == body["id"]) {
            taken.push(body);
        }
        Box::pin(async { Ok(PostAnswer { status: 200, retry_after_s: None }) })
    }
}

impl HttpClient for Hand {
    fn call(&self, _call: Call) -> BoxFuture<'static, Result<Response, CallError>> {
        Box::pin(async { panic!("nothing is called") })
    }
}
