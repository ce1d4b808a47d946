//! Someone without a key opens connections, sends slowly, and does not read what he asked for. A
//! sender never notices: its messages are accepted, the log goes on, memory stays bounded. The
//! figures are printed; `STRANGERS=long` runs the attacks in full size.

use std::time::Duration;

use serde_json::json;
use simulators::rest::{Inbound, Kind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    providers::{self, Keys, PUBLIC_URL, Simulated},
    support::{
        Patchbay, Peer, SOON, Setup, Sink,
        api::{self, Api},
        cim, figure,
        peer::With,
        until,
    },
};

/// How long a message of a sender may take while strangers attack, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a size for the short form or, with `STRANGERS=long`, for the long one.
fn size(short: usize, long: usize) -> usize {
    let is_long = std::env::var("STRANGERS").is_ok_and(|form| form == "long");
    if is_long { long } else { short }
}

/// Allows this process as many connections as the system does.
fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn place(patchbay: &Patchbay) -> String {
    patchbay.public.trim_start_matches("http://").to_owned()
}

/// Sends messages one after the other, and returns the longest time until one was accepted.
async fn slowest_of(patchbay: &Patchbay, prefix: &str, count: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for n in 0..count {
        let started = Instant::now();
        let message = cim::text(&format!("{prefix}-{n}"), &cim::customer(n % 50), "Your parcel is here.");
        patchbay.send(&message).await;
        slowest = slowest.max(started.elapsed());
    }
    slowest
}

fn told(what: &str, before: Duration, during: Duration, patchbay: &Patchbay, memory_before: u64) {
    let megabytes = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    figure(&format!(
        "{what}: slowest acceptance {:.1} ms alone, {:.1} ms meanwhile; memory {:.0} MB before, {:.0} MB at most",
        before.as_secs_f64() * 1e3,
        during.as_secs_f64() * 1e3,
        megabytes(memory_before),
        megabytes(patchbay.memory_peak()),
    ));
    assert!(during < PATIENCE, "{what}: a message took {during:?}");
}

async fn metric(patchbay: &Patchbay, line: &str) -> f64 {
    let text = patchbay.http.get(&format!("{}/metrics", patchbay.admin)).await.unwrap().text;
    let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{line} is not among\n{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit() {
    raise_own_limit();
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let limit = size(256, 1_024);
    for engine in ["sled", "file"] {
        // The log opens files all the time: at each checkpoint, and for each segment.
        let setup = Setup::simple(peer.port, &sink.url)
            .engine(engine)
            .descriptors(limit)
            .top("segment_size = \"1MB\"")
            .tables("[limits]\ncheckpoint_events = 20\ncheckpoint_every = \"50ms\"");
        let patchbay = setup.start().await;
        patchbay.until_channel("sms", "connected").await;
        let before = slowest_of(&patchbay, &format!("{engine}-before"), 50).await;
        let memory = patchbay.memory_peak();
        let place = place(&patchbay);
        let mut strangers = Vec::new();
        for n in 0..limit + 1_000 {
            // Some are refused once the system's own queue is full.
            if let Ok(Ok(mut stream)) = timeout(SOON, TcpStream::connect(&place)).await {
                if n % 2 == 0 {
                    _ = stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\n").await;
                }
                strangers.push(stream);
            }
        }
        let during = slowest_of(&patchbay, &format!("{engine}-during"), size(200, 2_000)).await;
        told(&format!("{} connections, {engine}", strangers.len()), before, during, &patchbay, memory);
        assert_eq!(metric(&patchbay, "process_max_fds").await as usize, limit);
        assert!(metric(&patchbay, "process_open_fds").await < limit as f64);
        let evicted = "patchbay_http_connections_evicted_total{listener=\"public\"}";
        assert!(metric(&patchbay, evicted).await > 500.0);
        let lines = patchbay.stderr().lines().count();
        assert!(lines < 300, "strangers wrote {lines} lines into the log");
        drop(strangers);
        let patchbay = patchbay.restart().await;
        assert_eq!(
            patchbay.message(&format!("{engine}-during-0")).await["parts"].as_array().unwrap().len(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_slowly() {
    raise_own_limit();
    let api = Api::start().await;
    let sink = Sink::start().await;
    let peer = Peer::start(With::Sim, json!({})).await;
    let setup = Setup::simple(peer.port, &sink.url).http("public_url = \"https://example.org\"");
    let patchbay =
        api::channel(setup, "chat", "6000", api.address, "", "allow_private = [\"127.0.0.1\"]").start().await;
    patchbay.until_channel("sms", "connected").await;
    let before = slowest_of(&patchbay, "before", 50).await;
    let memory = patchbay.memory_peak();
    let place = place(&patchbay);
    // Nobody waits for the body of a call to nothing.
    for path in ["/webhooks/nothing", "/webhooks/sms", "/ccm/webhook"] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n");
        let mut stream = TcpStream::connect(&place).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer at once").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404", "{path}");
    }
    let mut slow = Vec::new();
    for n in 0..size(250, 300) {
        let mut stream = TcpStream::connect(&place).await.unwrap();
        let path = if n % 2 == 0 { "/webhooks/chat" } else { "/v1/messages" };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut answer, mut body) = stream.into_split();
        let sent = tokio::spawn(async move {
            for _ in 0..99 {
                if body.write_all(&[b' '; 10_000]).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        slow.push(tokio::spawn(async move {
            let mut text = Vec::new();
            _ = answer.read_to_end(&mut text).await;
            sent.abort();
            String::from_utf8_lossy(&text).chars().take(12).collect::<String>()
        }));
    }
    let during = slowest_of(&patchbay, "during", size(100, 1_000)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    told(&format!("{} slow bodies", slow.len()), before, during, &patchbay, memory);
    let grown = patchbay.memory_peak() - memory;
    // The budget of 32 MB, the buffers of the connections, and what the allocator has not returned.
    assert!(grown < 160 << 20, "memory grew by {} MB", grown >> 20);
    let mut answers = std::collections::BTreeMap::new();
    for slow in slow {
        let answer = timeout(Duration::from_secs(40), slow).await.expect("a slow body is given up").unwrap();
        *answers.entry(answer).or_insert(0) += 1;
    }
    figure(&format!("their answers: {answers:?}"));
    assert!(answers.keys().all(|answer| ["", "HTTP/1.1 503", "HTTP/1.1 408"].contains(&&**answer)));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read() {
    raise_own_limit();
    let one = Simulated::start("twilio", providers::no_receipts()).await;
    let sink = Sink::start().await;
    let setup = providers::setup(&sink);
    let patchbay = providers::start(one.channel(setup, Keys { channel: "", http: "" }), &[&one]).await;
    let octets = vec![b'x'; size(4 << 20, 14 << 20)];
    let content = channels::toolkit::auth::base64(&octets);
    one.write(Inbound { kind: Kind::Image, content, ..Inbound::default() }).await;
    let got = sink.wait_for("a picture", SOON, |message| message["body"]["type"] == "IMAGE").await.body;
    let url = got["body"]["attachment"]["mediaUrl"].as_str().unwrap();
    let path = url.strip_prefix(PUBLIC_URL).unwrap();
    let file = format!("{}{path}", patchbay.public);
    until("the file", SOON, || async {
        let (status, _, read) = patchbay.http.octets(http::Method::GET, &file, "", "").await?;
        if status == 200 && read == octets { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
    let reply = |id: &str| providers::out(id, &got, json!({ "type": "PLAIN", "markdownText": "Thanks!" }));
    let started = Instant::now();
    patchbay.send(&reply("before")).await;
    let (before, memory) = (started.elapsed(), patchbay.memory_peak());
    let place = place(&patchbay);
    let mut readers = Vec::new();
    for _ in 0..size(60, 150) {
        let mut stream = TcpStream::connect(&place).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        readers.push(stream);
    }
    let mut during = Duration::ZERO;
    for n in 0..50 {
        let started = Instant::now();
        patchbay.send(&reply(&format!("during-{n}"))).await;
        during = during.max(started.elapsed());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    told(&format!("{} readers that do not read", readers.len()), before, during, &patchbay, memory);
    let grown = patchbay.memory_peak() - memory;
    assert!(grown < 64 << 20, "memory grew by {} MB", grown >> 20);
    // They are given up, and their files are closed.
    until("the end of their connections", 3 * SOON, || async {
        let open = metric(&patchbay, "patchbay_http_connections{listener=\"public\"}").await;
        if open < 10.0 { Ok(()) } else { Err(format!("{open} are open")) }
    })
    .await;
    drop(readers);
}
