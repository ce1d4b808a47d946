//! All that outlives a crash of the router: the clock, chance, the providers, the destinations,
//! what the business remembers, and the trace by which two runs are compared.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use actors::seams::{BoxFuture, Clock, Connector, Ids, Seams, Stream, Target};
use message::{MessageId, MessageStatus, Seq, SessionId, Timestamp};
use storage::{Log, Stored};
use tokio::{sync::Notify, time::Instant};

use crate::{
    api::Apis,
    connection,
    destination::{Destinations, Taken},
    pairs::{Fault, Operation, Pairs, Running, UnderWay},
    rng::Rng,
    script::{IdStyle, Script},
    smsc::Smsc,
};

/// Wall-clock time at the beginning of every run.
const EPOCH_MS: u64 = 1_780_000_000_000;

/// A message as the business knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Acknowledged, with this session.
    pub(crate) accepted: Option<SessionId>,
    /// Refused for good.
    pub(crate) refused: Option<String>,
    /// Withdrawn: acknowledged (`Some(true)`), or asked for without an answer.
    pub(crate) cancelled: Option<bool>,
    pub(crate) seen: Option<MessageStatus>,
}

pub(crate) struct Inner {
    pub(crate) script: Script,
    pub(crate) rng: Rng,
    pub(crate) quiet: bool,
    pub(crate) smscs: Vec<Smsc>,
    pub(crate) taken: Vec<Taken>,
    pub(crate) known: Vec<Known>,
    /// Operations that are done.
    pub(crate) done: Vec<bool>,
    pub(crate) failures: Vec<String>,
    /// Every event that was flushed, also those that retention has removed since.
    pub(crate) flushed: BTreeMap<Seq, Stored>,
    pub(crate) sessions: BTreeMap<SessionId, ()>,
    /// Channels whose pause was acknowledged and not ended, with the time of it.
    pub(crate) paused: BTreeMap<usize, u64>,
    /// Pauses that were ended: channel, from, to.
    pub(crate) pauses: Vec<(usize, u64, u64)>,
    next_connection: u64,
    next_id: u64,
    hash: u64,
    pub(crate) lines: Option<Vec<(u64, String)>>,
    pub(crate) met: BTreeMap<&'static str, u64>,
    pub(crate) under_way: BTreeMap<Operation, Running>,
    pub(crate) pairs: Pairs,
}

/// Everything outside of the router.
pub(crate) struct World {
    inner: Mutex<Inner>,
    time: Mutex<Time>,
    /// The number of the router.
    pub(crate) life: AtomicU64,
    pub(crate) wakers: Vec<Notify>,
}

struct Time {
    base_ms: u64,
    started: Option<Instant>,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let script = Script::new(&mut rng);
        Self::with(script, rng, verbose)
    }

    pub(crate) fn with(mut script: Script, mut rng: Rng, verbose: bool) -> Arc<Self> {
        let base = 1_000_000_000 + rng.below(1_000_000);
        for (n, mo) in script.mos.iter_mut().enumerate().filter(|(_, mo)| mo.forged) {
            // Often the id of a part, mostly of somebody else's.
            let from = if script.channels[mo.channel].style == IdStyle::Nodes { 0 } else { base };
            mo.text = format!(
                "id:{} stat:{} text:<o{n}>",
                from + rng.within(1, 12),
                rng.pick(&["DELIVRD", "FAILED"])
            );
            mo.parts = vec![mo.text.clone().into_bytes()];
        }
        let mut smscs: Vec<Smsc> = script.channels.iter().map(|plan| Smsc::new(base, plan.style)).collect();
        for (n, mo) in script.mos.iter().enumerate() {
            smscs[mo.channel].write(n, mo, &mut rng);
        }
        let inner = Inner {
            known: vec![Known::default(); script.messages.len()],
            done: vec![false; script.ops.len()],
            script,
            rng,
            quiet: false,
            smscs,
            taken: Vec::new(),
            failures: Vec::new(),
            flushed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            paused: BTreeMap::new(),
            pauses: Vec::new(),
            next_connection: 0,
            next_id: 0,
            hash: 0xCBF2_9CE4_8422_2325,
            lines: verbose.then(Vec::new),
            met: BTreeMap::new(),
            under_way: BTreeMap::new(),
            pairs: Pairs::new(),
        };
        let wakers = inner.smscs.iter().map(|_| Notify::new()).collect();
        Arc::new(Self {
            inner: Mutex::new(inner),
            time: Mutex::new(Time { base_ms: 0, started: None }),
            life: AtomicU64::new(0),
            wakers,
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual milliseconds since the run began; stands still between two lives.
    pub(crate) fn now_ms(&self) -> u64 {
        let time = self.time();
        time.base_ms + time.started.map_or(0, |started| started.elapsed().as_millis() as u64)
    }

    /// The instant of the runtime at which the run is so old.
    pub(crate) fn instant(&self, at_ms: u64) -> Instant {
        let time = self.time();
        let since = at_ms.saturating_sub(time.base_ms);
        time.started.unwrap_or_else(Instant::now) + Duration::from_millis(since)
    }

    /// A runtime begins.
    pub(crate) fn begin(&self, pause_ms: u64) {
        {
            let mut time = self.time();
            time.base_ms += pause_ms;
            time.started = Some(Instant::now());
        }
        self.forget_under_way();
        let mut inner = self.lock();
        inner.smscs.iter_mut().for_each(Smsc::all_gone);
    }

    /// A runtime is about to end.
    pub(crate) fn freeze(&self) {
        let now = self.now_ms();
        *self.time() = Time { base_ms: now, started: None };
    }

    /// Adds to the trace.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let now = self.now_ms();
        let line = line();
        let mut inner = self.lock();
        for byte in now.to_le_bytes().iter().chain(line.as_bytes()) {
            inner.hash = (inner.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if let Some(lines) = &mut inner.lines {
            lines.push((now, line));
        }
    }

    /// Remembers what was flushed, before retention can remove it, and returns all of it.
    pub(crate) fn remember(&self, log: &Log) -> Vec<Stored> {
        let next = self.lock().flushed.last_key_value().map_or(Seq(1), |(last, _)| Seq(last.0 + 1));
        let newer: Vec<Stored> = log.read(next).map_while(Result::ok).collect();
        let mut inner = self.lock();
        inner.flushed.extend(newer.into_iter().map(|stored| (stored.seq, stored)));
        inner.flushed.values().cloned().collect()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.lock().hash
    }

    /// Counts something that a run should meet now and then.
    pub(crate) fn met(&self, what: &'static str) {
        *self.lock().met.entry(what).or_default() += 1;
    }

    pub(crate) fn fail(&self, failure: String) {
        self.note(|| format!("FAILURE {failure}"));
        self.lock().failures.push(failure);
    }

    pub(crate) fn seams(self: &Arc<Self>) -> Seams {
        Seams {
            clock: Arc::new(SimClock(self.clone())),
            ids: Arc::new(SimIds(self.clone())),
            connector: Arc::new(SimConnector(self.clone())),
            poster: Arc::new(Destinations(self.clone())),
            client: Arc::new(Apis(self.clone())),
        }
    }
}

/// Wall-clock time of a virtual instant.
pub(crate) fn wall(at_ms: u64) -> Timestamp {
    Timestamp(EPOCH_MS + at_ms)
}

/// The virtual instant of a wall-clock time.
pub(crate) fn virtual_ms(at: Timestamp) -> u64 {
    at.0.saturating_sub(EPOCH_MS)
}

struct SimClock(Arc<World>);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let now = self.0.now_ms();
        let mut inner = self.0.lock();
        let off =
            inner.script.jumps.iter().find(|jump| jump.during.contains(&now)).map_or(0, |jump| jump.by_ms);
        if off != 0 {
            *inner.met.entry("clock jumped").or_default() += 1;
        }
        Timestamp(wall(now).0.saturating_add_signed(off))
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.now_ms()
    }
}

struct SimIds(Arc<World>);

impl Ids for SimIds {
    fn message_id(&self) -> MessageId {
        let mut inner = self.0.lock();
        inner.next_id += 1;
        MessageId::new(format!("drawn-{}", inner.next_id))
    }

    fn jitter(&self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.0.lock().rng.below(below) }
    }
}

struct SimConnector(Arc<World>);

impl Connector for SimConnector {
    fn connect(&self, target: Target) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let world = self.0.clone();
        Box::pin(async move {
            let _connecting = UnderWay::begin(&world, Operation::Connect);
            let number: usize = target.host.trim_start_matches("smsc").parse().unwrap_or(0);
            let now = world.now_ms();
            let (delay, hangs, closed, connection) = {
                let mut inner = world.lock();
                inner.next_connection += 1;
                inner.smscs[number].attempts += 1;
                let closed =
                    inner.script.channels[number].closed.iter().any(|(a, b)| (*a..*b).contains(&now));
                let (quiet, connection) = (inner.quiet, inner.next_connection);
                let rng = &mut inner.rng;
                (rng.pick(&[0, 3, 30]), !quiet && rng.chance(20), closed, connection)
            };
            world.note(|| format!("smsc{number}: connection {connection} closed={closed} hangs={hangs}"));
            if hangs {
                world.fell(Fault::AnswerLost);
                return std::future::pending().await;
            }
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if closed {
                world.fell(Fault::Unreachable);
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "refused"));
            }
            let (near, far) = tokio::io::duplex(1 << 20);
            tokio::spawn(connection::serve(world, number, connection, far));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}
