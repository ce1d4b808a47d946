//! The business's side: an HTTP server on one thread that reads and writes by hand to cost little,
//! accepts every callback and records its message. Notices every repeated callback.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    Result,
    driver::Driven,
    process::{LOOK, now},
};

/// The form of a callback: the message's number stands between the two texts.
#[derive(Clone, Copy)]
pub struct Marks {
    pub before: &'static str,
    pub after: &'static str,
}

/// Notifications of Patchbay, alone or in arrays.
pub const DELIVERED: Marks = Marks { before: "\"messageId\":\"b-", after: "\",\"status\":\"DELIVERED\"" };
/// Customers' messages from Patchbay.
pub const WRITTEN: Marks = Marks { before: "\"markdownText\":\"Hello ", after: "\"" };
/// Kannel's `dlr-url`, as the driver asks for it.
pub const DLR: Marks = Marks { before: "id=b-", after: "&status=1" };
/// Kannel's `get-url`, as configured.
pub const MO: Marks = Marks { before: "text=Hello+", after: "" };

struct Seen {
    marks: Marks,
    times: Vec<AtomicU8>,
    /// When each callback first arrived, in microseconds after `base`.
    came_us: Vec<AtomicU32>,
    once: AtomicU64,
    again: AtomicU64,
    strange: AtomicU64,
    requests: AtomicU64,
    base: Instant,
    /// When the first and the last callback arrived, in microseconds after `base`.
    first_us: AtomicU64,
    last_us: AtomicU64,
    stop: AtomicBool,
}

pub struct Sink {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Sink {
    /// Starts a sink for messages with numbers below `numbers`.
    pub fn start(marks: Marks, numbers: u64) -> Result<Self> {
        let seen = Arc::new(Seen {
            marks,
            times: (0..numbers).map(|_| AtomicU8::new(0)).collect(),
            came_us: (0..numbers).map(|_| AtomicU32::new(0)).collect(),
            once: AtomicU64::new(0),
            again: AtomicU64::new(0),
            strange: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            base: now(),
            first_us: AtomicU64::new(u64::MAX),
            last_us: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let serving = seen.clone();
        thread::spawn(move || runtime.block_on(serve(listener, serving)));
        Ok(Self { address, seen })
    }

    /// Returns the number of different messages seen.
    pub fn count(&self) -> u64 {
        self.seen.once.load(Ordering::Acquire)
    }

    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Returns the times from sending to callback, sorted, each reduced by `less`.
    pub fn latencies(&self, driven: &Driven, less: Duration) -> Vec<Duration> {
        let begun = (driven.begun - self.seen.base).as_micros() as u64;
        let took = |(sent, came): (&u32, &AtomicU32)| {
            let came = u64::from(came.load(Ordering::Relaxed));
            let took = came.checked_sub(begun + u64::from(*sent))?;
            Some(Duration::from_micros(took).saturating_sub(less))
        };
        let mut all: Vec<Duration> = driven.sent_us.iter().zip(&self.seen.came_us).filter_map(took).collect();
        all.sort_unstable();
        all
    }

    pub fn first(&self) -> Instant {
        self.seen.base + Duration::from_micros(self.seen.first_us.load(Ordering::Relaxed))
    }

    pub fn last(&self) -> Instant {
        self.seen.base + Duration::from_micros(self.seen.last_us.load(Ordering::Relaxed))
    }

    /// Waits until a number of different messages were seen; fails when none arrives for `silence`.
    pub fn wait(&self, messages: u64, silence: Duration) -> Result<()> {
        let (mut before, mut since) = (self.count(), now());
        while self.count() < messages {
            thread::sleep(LOOK);
            let count = self.count();
            if count != before {
                (before, since) = (count, now());
            }
            if since.elapsed() > silence {
                return Err(
                    format!("only {count} of {messages} callbacks arrived; none for {silence:?}").into()
                );
            }
        }
        Ok(())
    }

    /// Returns the number of repeated and of unknown callbacks.
    pub fn faults(&self) -> (u64, u64) {
        (self.seen.again.load(Ordering::Relaxed), self.seen.strange.load(Ordering::Relaxed))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Release);
    }
}

async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    while !seen.stop.load(Ordering::Acquire) {
        let Ok(accepted) = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await else {
            continue;
        };
        let Ok((stream, _)) = accepted else { return };
        let _ = stream.set_nodelay(true);
        let seen = seen.clone();
        connections.spawn(async move {
            // A gateway may close a connection at any time.
            let _ = connection(stream, &seen).await;
        });
    }
}

/// Serves the requests of one connection in turn.
async fn connection(mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(64 * 1024);
    loop {
        let head = loop {
            if let Some(head) = read(&request)
                && request.len() >= head.end + head.body
            {
                break head;
            }
            if request.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        };
        let (start, rest) = request.split_at(head.end);
        seen.requests.fetch_add(1, Ordering::Relaxed);
        match head.body {
            0 => seen.note(query(start)),
            body => seen.note(std::str::from_utf8(&rest[..body]).unwrap_or_default()),
        }
        request.drain(..head.end + head.body);
        if head.closes {
            return stream.write_all(CLOSING).await;
        }
        stream.write_all(TAKEN).await?;
    }
}

/// The largest request, in bytes.
const REQUEST_BYTES_MAX: usize = 16 << 20;
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The head of a request.
struct Head {
    /// The position where the head ends.
    end: usize,
    /// The length of the body.
    body: usize,
    /// Whether the client closes the connection after this request.
    closes: bool,
}

/// Parses a head; `None` while it is incomplete.
fn read(request: &[u8]) -> Option<Head> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let old =
        request[..end].split(|byte| *byte == b'\n').next().is_some_and(|line| line.ends_with(b"HTTP/1.0\r"));
    let (mut body, mut closes) = (0, old);
    for line in request[..end].split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = || std::str::from_utf8(&line[colon + 1..]).unwrap_or_default().trim();
        match &line[..colon] {
            name if name.eq_ignore_ascii_case(b"content-length") => body = value().parse().unwrap_or(0),
            name if name.eq_ignore_ascii_case(b"connection") => {
                closes = value().eq_ignore_ascii_case("close")
                    || closes && !value().eq_ignore_ascii_case("keep-alive");
            }
            _ => {}
        }
    }
    Some(Head { end, body, closes })
}

/// Returns the query of a request.
fn query(head: &[u8]) -> &str {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let target = std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1));
    target.and_then(|target| target.split_once('?')).map_or("", |(_, query)| query)
}

impl Seen {
    fn note(&self, text: &str) {
        let at = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut rest = text;
        let mut any = false;
        while let Some((_, tail)) = rest.split_once(self.marks.before) {
            any = true;
            let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = tail.split_at(digits);
            let times = number.parse().ok().and_then(|n: usize| self.times.get(n));
            match times {
                Some(times) if after.starts_with(self.marks.after) => {
                    self.last_us.fetch_max(at, Ordering::Relaxed);
                    self.first_us.fetch_min(at, Ordering::Relaxed);
                    match times.fetch_add(1, Ordering::Relaxed) {
                        0 => {
                            if let Some(came) = number.parse().ok().and_then(|n: usize| self.came_us.get(n)) {
                                came.store(at as u32, Ordering::Relaxed);
                            }
                            self.once.fetch_add(1, Ordering::Release)
                        }
                        _ => self.again.fetch_add(1, Ordering::Relaxed),
                    };
                }
                _ => _ = self.strange.fetch_add(1, Ordering::Relaxed),
            }
            rest = after;
        }
        if !any {
            self.strange.fetch_add(1, Ordering::Relaxed);
        }
    }
}
