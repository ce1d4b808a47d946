//! A router on a disk in memory with a channel on paper and one destination that writes down what
//! it is sent. The clock is set by hand.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actors::{
    Config, Router, Seams,
    config::MediaConfig,
    config::{ChannelConfig, DestinationConfig, Did, HttpConfig, Limits, OnUnknown},
    seams::{
        BoxFuture, Call, CallError, Clock, Connector, HttpClient, Post, PostAnswer, PostResult, Poster,
        Purpose, Stream, Target,
    },
};
use channels::{
    Channel,
    http::{Body, Response},
};
use message::ChannelId;
use serde_json::Value;
use storage::{Log, MemoryDisk, Options};

use crate::support::{CountedIds, ToldClock};

pub(crate) const DID: &str = "5155";
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Everything that survives the router.
pub(crate) struct World {
    pub(crate) disk: MemoryDisk,
    now: AtomicU64,
    ids: Arc<CountedIds>,
    taken: Mutex<Vec<Value>>,
    sent: Mutex<Vec<Value>>,
    /// Files at the provider: address, type, octets; and how often one was asked for.
    pub(crate) files: Mutex<Vec<(String, &'static str, Vec<u8>)>>,
    pub(crate) fetches: AtomicU64,
    /// By how many milliseconds the wall clock is wrong.
    pub(crate) skew: AtomicI64,
    /// Whether the destination answers 503.
    pub(crate) is_down: AtomicBool,
    /// Where the router keeps its own.
    folder: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            disk: MemoryDisk::new(),
            now: AtomicU64::new(1_790_000_000_000),
            ids: Arc::default(),
            taken: Mutex::default(),
            sent: Mutex::default(),
            files: Mutex::default(),
            fetches: AtomicU64::new(0),
            skew: AtomicI64::new(0),
            is_down: AtomicBool::new(false),
            folder: None,
        })
    }

    /// Moved by hand, both clocks agree unless the wall clock is wrong.
    fn clock(self: &Arc<Self>) -> impl Clock + 'static {
        let (of_wall, of_time) = (self.clone(), self.clone());
        ToldClock {
            wall_ms: move || of_wall.now().saturating_add_signed(of_wall.skew.load(Ordering::SeqCst)),
            monotonic_ms: move || of_time.now(),
        }
    }

    /// With a folder for files.
    pub(crate) fn with_files() -> Arc<Self> {
        let mut world = Self::new();
        if let Some(world) = Arc::get_mut(&mut world) {
            world.folder = Some(tempfile::tempdir().unwrap());
        }
        world
    }

    /// The files that the router keeps.
    pub(crate) fn kept(&self) -> Vec<std::path::PathBuf> {
        let below = |path: &std::path::Path| {
            let entries = std::fs::read_dir(path).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        below(self.folder.as_ref().unwrap().path()).iter().flat_map(|path| below(path)).collect()
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    /// The deliveries at the destination, each once.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    /// The messages at the provider, in order.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.sent.lock().unwrap().clone()
    }

    /// Waits until the provider was sent something for which `which` holds.
    pub(crate) async fn wait_sent(&self, what: &str, which: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            if let Some(found) = self.sent().into_iter().find(|v| which(v)) {
                return found;
            }
            assert!(started.elapsed() < SOON, "no {what} among {:#?}", self.sent());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the destination was sent something for which `which` holds.
    pub(crate) async fn wait(&self, what: &str, which: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            if let Some(found) = self.taken().into_iter().find(|v| which(v)) {
                return found;
            }
            assert!(started.elapsed() < SOON, "no {what} among {:#?}", self.taken());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn text(&self, text: &str) -> Value {
        self.wait(text, |v| v["body"]["markdownText"] == text).await
    }

    /// Starts a router with the channel `paper` on the disk as it is.
    pub(crate) async fn start(self: &Arc<Self>, channel: Arc<dyn Channel>) -> Router {
        self.start_all(vec![("paper", channel)]).await
    }

    pub(crate) async fn start_all(self: &Arc<Self>, channels: Vec<(&str, Arc<dyn Channel>)>) -> Router {
        self.start_with(Limits::default(), channels).await
    }

    pub(crate) async fn start_with(
        self: &Arc<Self>,
        limits: Limits,
        channels: Vec<(&str, Arc<dyn Channel>)>,
    ) -> Router {
        self.start_on_log(limits, channels).await.0
    }

    /// Starts a router, and returns its log too.
    pub(crate) async fn start_on_log(
        self: &Arc<Self>,
        limits: Limits,
        channels: Vec<(&str, Arc<dyn Channel>)>,
    ) -> (Router, Log) {
        self.start_as(Options::default(), Config { limits, ..config(channels) }).await
    }

    /// Starts a router with a configuration of [`config`], changed.
    pub(crate) async fn start_as(self: &Arc<Self>, options: Options, config: Config) -> (Router, Log) {
        let options = Options { disk_reserve_bytes: 0, ..options };
        let (log, _) = Log::open(self.disk.engine(), options).unwrap();
        let seams = Seams {
            clock: Arc::new(self.clock()),
            ids: self.ids.clone(),
            connector: Arc::new(Hand(self.clone())),
            poster: Arc::new(Hand(self.clone())),
            client: Arc::new(Hand(self.clone())),
        };
        let media = self.folder.as_ref().map(|folder| MediaConfig {
            public_url: "https://example.org/".into(),
            key: b"key".as_slice().into(),
            folder: folder.path().into(),
            bytes_max: 1 << 20,
            readers_max: 2,
        });
        let config = Config { media, ..config };
        (Router::start(config, log.clone(), seams).await.unwrap(), log)
    }
}

pub(crate) fn config(channels: Vec<(&str, Arc<dyn Channel>)>) -> Config {
    let second = Duration::from_secs(1);
    let channel = |(n, (id, channel)): (usize, (&str, Arc<dyn Channel>))| ChannelConfig {
        id: id.into(),
        name: "Paper".into(),
        channel,
        dids: vec![Did { number: (5155 + n).to_string().into(), destination: "support".into() }],
        send_rate: Some(1_000.0),
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
        unsigned: false,
        preferred: None,
        default_country: None,
    };
    Config {
        stream_key: message::address::StreamKey::new([7; 32]),
        channels: channels.into_iter().enumerate().map(channel).collect(),
        destinations: vec![DestinationConfig {
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
        }],
        limits: Limits::default(),
        retention: None,
        media: None,
    }
}

pub(crate) fn id() -> ChannelId {
    "paper".into()
}

struct Hand(Arc<World>);

impl Connector for Hand {
    fn connect(&self, _target: Target) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::Error::other("there is nobody")) })
    }
}

impl Poster for Hand {
    fn post(&self, post: Post) -> BoxFuture<'static, PostResult> {
        if self.0.is_down.load(Ordering::SeqCst) {
            return Box::pin(async { Ok(PostAnswer { status: 503, retry_after_s: None }) });
        }
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        let mut taken = self.0.taken.lock().unwrap();
        if !taken.iter().any(|v| v["id"] == body["id"]) {
            taken.push(body);
        }
        Box::pin(async { Ok(PostAnswer { status: 200, retry_after_s: None }) })
    }
}

impl HttpClient for Hand {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Response, CallError>> {
        if call.purpose == Purpose::File {
            self.0.fetches.fetch_add(1, Ordering::SeqCst);
            let files = self.0.files.lock().unwrap();
            let found = files.iter().find(|(url, ..)| *url == call.request.url);
            let answer = match found {
                Some((_, kind, octets)) => Response {
                    status: 200,
                    headers: vec![("content-type".into(), (*kind).into())],
                    body: octets.clone().into(),
                },
                None => Response { status: 404, headers: Vec::new(), body: "key=hush is gone".into() },
            };
            return Box::pin(async { Ok(answer) });
        }
        let said = match &call.request.body {
            Body::Json(json) => serde_json::from_str(json).unwrap(),
            _ => Value::Null,
        };
        let mut sent = self.0.sent.lock().unwrap();
        sent.push(said);
        let body = format!("p-{}", sent.len()).into_bytes().into();
        Box::pin(async { Ok(Response { status: 200, headers: Vec::new(), body }) })
    }
}
