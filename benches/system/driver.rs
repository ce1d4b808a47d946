//! The HTTP load driver: keep-alive connections on one thread, each with one request in flight,
//! HTTP written and read by hand to cost little. A message answered with anything but 202 is sent
//! again or ends the run.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    Result,
    patchbay::{APP_SECRET, FIRST_DID},
    process::now,
};

/// The text of every message: 100 characters.
pub const TEXT: &str =
    "Your parcel arrives between 10:00 and 12:00 today. Reply 1 to confirm or 2 to choose another time...";
/// The pause before a refused request (503) is sent again.
const AGAIN: Duration = Duration::from_millis(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);

/// Writes the request for the messages `from..to`.
pub type Requests = Arc<dyn Fn(&mut Vec<u8>, u64, u64) + Send + Sync>;

/// The load to send.
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    pub messages: u64,
    /// The number of messages in a request.
    pub batch: u64,
    /// Requests per second; `None` for full speed.
    pub pace: Option<f64>,
    pub requests: Requests,
    /// The text in an answer that marks an accepted message; empty to check the status only.
    pub accepted: &'static str,
}

/// The result of a run.
pub struct Driven {
    pub begun: Instant,
    pub ended: Instant,
    /// The time of each request, sorted.
    pub latencies: Vec<Duration>,
    /// When each message was sent first, in microseconds after `begun`.
    pub sent_us: Vec<u32>,
    /// The number of requests that were sent again.
    pub refused: u64,
}

impl Driven {
    pub fn quantile(&self, share: f64) -> Duration {
        quantile(&self.latencies, share)
    }
}

/// Returns a percentile of sorted values.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Starts sending, on a thread of its own.
pub fn start(load: Load) -> JoinHandle<Result<Driven>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drive(Arc::new(load)))
    })
}

struct Progress {
    next: AtomicU64,
    refused: AtomicU64,
    /// Sent requests: first message, time of sending, and time to the answer.
    latencies: Mutex<Vec<(u64, Duration, Duration)>>,
    begun: Instant,
}

async fn drive(load: Arc<Load>) -> Result<Driven> {
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        let stream = TcpStream::connect(load.address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let begun = now();
    let progress = Arc::new(Progress {
        next: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        latencies: Mutex::default(),
        begun,
    });
    let mut tasks = tokio::task::JoinSet::new();
    for stream in streams {
        tasks.spawn(connection(load.clone(), progress.clone(), stream));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let ended = now();
    let requests = std::mem::take(&mut *progress.latencies.lock().unwrap());
    let mut sent_us = vec![0; load.messages as usize];
    for (from, at, _) in &requests {
        let to = (from + load.batch).min(load.messages);
        sent_us[*from as usize..to as usize].fill(u32::try_from(at.as_micros()).unwrap_or(u32::MAX));
    }
    let mut latencies: Vec<Duration> = requests.into_iter().map(|(_, _, took)| took).collect();
    latencies.sort_unstable();
    Ok(Driven { begun, ended, latencies, sent_us, refused: progress.refused.load(Ordering::Relaxed) })
}

async fn connection(load: Arc<Load>, progress: Arc<Progress>, mut stream: TcpStream) -> Result<()> {
    let (mut request, mut answer) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let mut latencies = Vec::new();
    loop {
        let from = progress.next.fetch_add(load.batch, Ordering::Relaxed);
        if from >= load.messages {
            break;
        }
        if let Some(pace) = load.pace {
            let due = Duration::from_secs_f64((from / load.batch) as f64 / pace);
            tokio::time::sleep_until((progress.begun + due).into()).await;
        }
        let to = (from + load.batch).min(load.messages);
        request.clear();
        (load.requests)(&mut request, from, to);
        let sent = now();
        loop {
            stream.write_all(&request).await?;
            let status = tokio::time::timeout(ANSWER, read(&mut stream, &mut answer)).await??;
            match status {
                200 | 202 => break,
                429 | 503 => {
                    progress.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(AGAIN).await;
                }
                _ => return Err(format!("answered {status}: {}", String::from_utf8_lossy(&answer)).into()),
            }
        }
        latencies.push((from, sent - progress.begun, sent.elapsed()));
        let body = std::str::from_utf8(&answer)?;
        if !load.accepted.is_empty() && body.matches(load.accepted).count() as u64 != to - from {
            return Err(format!("not all of {from}..{to} were accepted: {body}").into());
        }
    }
    progress.latencies.lock().unwrap().extend(latencies);
    Ok(())
}

/// Reads one answer and returns its status.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<u16> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err(
                format!("the connection was closed after {:?}", String::from_utf8_lossy(answer)).into()
            );
        }
        if let Some((status, from, length)) = head(answer)
            && answer.len() >= from + length
        {
            return Ok(status);
        }
    }
}

/// Parses an answer: its status, where its body starts, and the body's length. `None` while the
/// head is incomplete.
pub fn head(answer: &[u8]) -> Option<(u16, usize, usize)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, end + 4, length.unwrap_or(0)))
}

/// Returns the customer of a message, digits only.
pub fn customer(message: u64, customers: u64) -> u64 {
    4_917_600_000_000 + message % customers
}

/// Returns a writer of CIM messages over HTTP, one or an array in a request, with ids `b-<number>`.
pub fn cim(customers: u64, batch: u64) -> Requests {
    Cim { customers, batch, ..Cim::default() }.requests()
}

/// Messages of the business.
pub struct Cim {
    pub customers: u64,
    /// The number of messages in a request.
    pub batch: u64,
    /// The first channel, and how many channels take turns.
    pub channels: u64,
    pub first_channel: u64,
    /// The number added to a message's number in its id.
    pub first_id: u64,
    pub text: Arc<str>,
}

impl Default for Cim {
    fn default() -> Self {
        Self { customers: 1, batch: 1, channels: 1, first_channel: 0, first_id: 0, text: TEXT.into() }
    }
}

impl Cim {
    /// Writes the messages `from..to`.
    pub fn requests(self) -> Requests {
        Arc::new(move |request, from, to| self.write(request, from, to))
    }

    fn write(&self, request: &mut Vec<u8>, from: u64, to: u64) {
        let Self { customers, batch, channels, first_channel, first_id, text } = self;
        let mut body = Vec::with_capacity((300 + text.len()) * (to - from) as usize);
        if *batch > 1 {
            body.push(b'[');
        }
        for message in from..to {
            let comma = if message > from { "," } else { "" };
            let customer = customer(message, *customers);
            let (id, did) = (first_id + message, FIRST_DID + first_channel + message % channels);
            // Writing to a Vec cannot fail.
            let _ = write!(
                body,
                "{comma}{{\"id\":\"b-{id}\",\"header\":{{\"channelData\":{{\"channelCustomerIdentifier\":\"+{customer}\",\
                 \"serviceIdentifier\":\"{did}\"}},\"sender\":{{\"id\":\"bench\",\"type\":\"BOT\",\"senderName\":\"bench\"}}}},\
                 \"body\":{{\"type\":\"PLAIN\",\"markdownText\":\"{text}\"}}}}"
            );
        }
        if *batch > 1 {
            body.push(b']');
        }
        post(request, "/v1/messages", "", &body);
    }
}

/// Returns a writer of texts from customers on WhatsApp, each in a signed webhook: `Hello
/// <number>`.
pub fn whatsapp(customers: u64) -> Requests {
    Arc::new(move |request, from, to| {
        for message in from..to {
            let customer = customer(message, customers);
            let body = format!(
                r#"{{"object":"whatsapp_business_account","entry":[{{"id":"WABA1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550100001","phone_number_id":"PN1"}},"contacts":[{{"profile":{{"name":"Ann"}},"wa_id":"{customer}"}}],"messages":[{{"from":"{customer}","id":"wamid.{message}","timestamp":"1790000000","type":"text","text":{{"body":"Hello {message}"}}}}]}}}}]}}]}}"#
            );
            let signature = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()).map(|mut mac| {
                mac.update(body.as_bytes());
                hex::encode(mac.finalize().into_bytes())
            });
            let header = format!("x-hub-signature-256: sha256={}\r\n", signature.unwrap_or_default());
            post(request, "/webhooks/wa", &header, body.as_bytes());
        }
    })
}

fn post(request: &mut Vec<u8>, path: &str, headers: &str, body: &[u8]) {
    // Writing to a Vec cannot fail.
    let _ = write!(
        request,
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    request.extend_from_slice(body);
}
