//! A real router in process, for the tests of the HTTP listeners: its event log is in memory, its
//! providers are simulated, and its business accepts every delivery. Never part of the binary.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use actors::{Origin, Router, config::MediaConfig};
use axum::body::Body;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use message::{MessageId, MessageStatus, cim};
use serde_json::Value;
use simulators::{
    rest::{self, Simulator},
    smsc::{self, Smsc},
};
use storage::{Log, MemoryDisk, Options};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use crate::{
    config::{self, EdgeLimits},
    http::serve::Listener,
    seams,
};

/// The limits of the listeners under test, and of the business.
pub(crate) const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 16,
    body_bytes_max: 8 * 1024,
    connections_max: 64,
    header_timeout: Duration::from_secs(5),
    ..EdgeLimits::DEFAULT
};
/// The URL at which providers reach the router under test, as configured.
pub(crate) const PUBLIC_URL: &str = "https://example.org/";
/// A customer's number.
pub(crate) const CUSTOMER: &str = "+4917600000001";
/// How long a test waits for a fact on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest number of messages that a session queues in these tests.
pub(crate) const QUEUE_MAX: usize = 10;

/// A running router with everything around it.
pub(crate) struct TestRouter {
    pub(crate) router: Router,
    pub(crate) log: Log,
    pub(crate) disk: MemoryDisk,
    /// The SMSC of `sms-main` (own address 5155; inbound to 5156 goes to a destination that
    /// accepts nothing). `sms-spare` (own address 6000) has the wrong password for it.
    pub(crate) smsc: Smsc,
    /// The provider of the channel `chat`.
    pub(crate) twilio: Simulator,
    /// The provider of the channel `meta`, which calls the shared webhook.
    pub(crate) facebook: Simulator,
    /// Every delivery that the business accepted: the path and the CIM message.
    deliveries: Arc<Mutex<Vec<(String, Value)>>>,
    _stop: watch::Sender<bool>,
    _players: JoinSet<()>,
    _folder: TempDir,
}

impl TestRouter {
    /// Starts a router with its providers and its business.
    pub(crate) async fn start() -> Self {
        let mut players = JoinSet::new();
        let (stop, stopping) = watch::channel(false);
        let (smsc, smsc_port) = start_smsc(&mut players).await;
        let twilio = start_rest("twilio", "webhooks/chat?a=b", &mut players).await;
        let facebook = start_rest("facebook", "ccm/webhook", &mut players).await;
        let deliveries = Arc::<Mutex<Vec<_>>>::default();
        let business = Listener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
        let business_url = business.url();
        let heard = deliveries.clone();
        players.spawn(business.serve(
            LIMITS,
            move |_, request| business_answer(heard.clone(), request),
            stopping,
        ));
        let folder = tempfile::tempdir().unwrap();
        let text = configuration(&business_url, smsc_port, &twilio, &facebook);
        let settings = config::parse(&text, "test", folder.path()).unwrap();
        let disk = MemoryDisk::new();
        let log_options = Options { disk_reserve_bytes: 1 << 20, ..Options::default() };
        let (log, _) = Log::open(disk.engine(), log_options).unwrap();
        let config = actors::Config { media: Some(media(folder.path())), ..settings.router };
        let router = Router::start(config, log.clone(), seams::real(None, 64).unwrap()).await.unwrap();
        Self {
            router,
            log,
            disk,
            smsc,
            twilio,
            facebook,
            deliveries,
            _stop: stop,
            _players: players,
            _folder: folder,
        }
    }

    /// Gives the router a message, as JSON, and returns once it is durable.
    pub(crate) async fn accept(&self, json: &str) {
        let message = cim::parse(json.as_bytes()).unwrap();
        self.router.accept(vec![message], &Origin::default()).await.remove(0).unwrap();
    }

    /// Waits until a message has a status.
    pub(crate) async fn until_status(&self, id: &str, status: MessageStatus) {
        let id = MessageId::new(id);
        eventually(&format!("{id} {status:?}"), async || {
            (self.router.message(&id).await.ok()?.status == status).then_some(())
        })
        .await;
    }

    /// Waits for a delivery to the business.
    pub(crate) async fn delivery(&self, what: &str, is: impl Fn(&str, &Value) -> bool) -> Value {
        eventually(what, async || {
            let deliveries = self.deliveries.lock().unwrap();
            deliveries.iter().find(|(path, body)| is(path, body)).map(|(_, body)| body.clone())
        })
        .await
    }

    /// Whether the business has accepted such a delivery.
    pub(crate) fn was_delivered(&self, is: impl Fn(&str, &Value) -> bool) -> bool {
        self.deliveries.lock().unwrap().iter().any(|(path, body)| is(path, body))
    }

    /// Waits until `sms-spare` has given up its login: its messages stay queued from then on.
    pub(crate) async fn until_spare_is_stopped(&self) {
        self.until_channel("sms-spare", "credentials_refused").await;
    }

    /// Waits until a channel has a status.
    pub(crate) async fn until_channel(&self, id: &str, status: &str) {
        eventually(&format!("{id} {status}"), async || {
            let channels = self.router.channels().await;
            channels.iter().any(|c| c.id.as_str() == id && c.status == status).then_some(())
        })
        .await;
    }
}

/// Polls for a fact; fails the test when it does not come true in time.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A plain CIM message to a customer.
pub(crate) fn message_to(customer: &str, id: &str, own: &str) -> String {
    format!(
        r#"{{"id":"{id}","header":{{"channelData":{{"channelCustomerIdentifier":"{customer}","serviceIdentifier":"{own}"}},"sender":{{"id":"a","type":"AGENT","senderName":"a"}}}},"body":{{"type":"PLAIN","markdownText":"Hello"}}}}"#
    )
}

/// A plain CIM message to [`CUSTOMER`].
pub(crate) fn message(id: &str, own: &str) -> String {
    message_to(CUSTOMER, id, own)
}

/// The status, the head in lower case, and the body of an HTTP answer.
pub(crate) type RawAnswer = (u16, String, String);

/// Sends a request as it stands and reads the answer to its end.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "no end to the answer of {request}");
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, head.to_lowercase(), body.to_owned())
}

/// Sends a request with a method and path, further header lines, and a body.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> RawAnswer {
    let host = if headers.contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n");
    exchange(address, &format!("{head}{headers}\r\n{body}")).await
}

async fn start_smsc(players: &mut JoinSet<()>) -> (Smsc, u16) {
    let smsc = Smsc::new(smsc::SmscScript {
        accounts: [("test".to_owned(), "test".to_owned())].into(),
        ..smsc::SmscScript::default()
    });
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let served = smsc.clone();
    players.spawn(async move { served.run(tcp, std::future::pending()).await });
    (smsc, port)
}

/// Starts a provider that calls back at a path of the public URL.
async fn start_rest(provider: &str, path: &str, players: &mut JoinSet<()>) -> Simulator {
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let simulator = Simulator::new(rest::Options {
        provider: provider.into(),
        webhook: Some(format!("{PUBLIC_URL}{path}")),
        base_url: Some(format!("http://{}", tcp.local_addr().unwrap())),
        script: rest::Script { webhook_tries_max: 1, ..rest::Script::default() },
        ..rest::Options::default()
    })
    .unwrap();
    let served = simulator.clone();
    players.spawn(async move { served.run(tcp, std::future::pending()).await });
    simulator
}

fn configuration(business: &str, smsc_port: u16, twilio: &Simulator, facebook: &Simulator) -> String {
    let sms = |id: &str, name: &str, dids: &str, password: &str| {
        format!(
            "[[channel]]\nid = \"{id}\"\nname = \"{name}\"\nprovider = \"smpp\"\non_unknown = \"hold\"\n\
             doubt_grace = \"off\"\ndids = [{dids}]\n[channel.account]\nhost = \"127.0.0.1\"\n\
             port = {smsc_port}\nsystem_id = \"test\"\npassword = \"{password}\"\n"
        )
    };
    let main = r#"{ number = "5155", destination = "support" }, { number = "5156", destination = "closed" }"#;
    let spare = r#"{ number = "6000", destination = "support" }"#;
    [
        format!("[http]\npublic_url = \"{PUBLIC_URL}\"\n[limits]\nsession_queue_max = {QUEUE_MAX}\n"),
        format!("[[destination]]\nid = \"support\"\nurl = \"{business}/support\"\n"),
        format!("[[destination]]\nid = \"crm\"\nurl = \"{business}/crm\"\n"),
        format!("[[destination]]\nid = \"closed\"\nurl = \"{business}/closed\"\ngive_up_after = \"1ms\"\n"),
        sms("sms-main", "Main SMS", main, "test"),
        sms("sms-spare", "Spare SMS", spare, "wrong"),
        twilio.channel_of("chat", "support"),
        facebook.channel_of("meta", "support"),
    ]
    .concat()
}

fn media(folder: &Path) -> MediaConfig {
    MediaConfig {
        public_url: PUBLIC_URL.into(),
        key: b"key".as_slice().into(),
        folder: folder.join("media").into(),
        bytes_max: 1 << 20,
        readers_max: 8,
    }
}

/// The business: takes every delivery, except those posted to `/closed`.
async fn business_answer(
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    request: hyper::Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let mut answer = Response::new(Body::empty());
    if path == "/closed" {
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return answer;
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    heard.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
    answer
}
