//! One run: lives of the router one after the other on one disk, each ended as the script says,
//! then quiet, then the oracle.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actors::{
    Router,
    view::{ChannelView, DestinationView, DoubtView, MessageView, UnmatchedView},
};
use message::{
    Event, MessageStatus, SessionId, StreamId,
    event::{CloseReason, DoubtCause},
};
use storage::{Crash, Driver, FileDamage, Log, MemoryDisk, Options, Stored};
use tokio::time::{sleep, sleep_until, timeout};

use crate::{
    api, business, oracle,
    pairs::{Fault, Operation, Pairs, UnderWay},
    script::{EMFILE, ENOSPC, End, QUIET_MS},
    smsc::JobState,
    world::{World, wall},
};

/// How long everything may take to settle after the last fault, in virtual milliseconds.
const SETTLE_MS: u64 = 900_000;
/// A kept receipt is tried three times in so long: one whose answer came late finds its part by
/// then.
const RETRIED_MS: u64 = 12_000;
/// How long a router whose disk refused a flush may take to say that it failed.
const FAIL_WAIT: Duration = Duration::from_secs(60);

/// Time between two looks at what was flushed.
const REMEMBER_MS: u64 = 3_000;
/// A run with retention goes on for this many times of it, so that what is owed outlives it.
const RETENTIONS: u64 = 4;

/// How long the log's writer may sleep while there is nothing to write.
const IDLE_FLUSH_MS: u64 = 30;

thread_local! {
    /// The panics on this thread.
    pub(crate) static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The result of a run.
pub(crate) struct Outcome {
    pub(crate) failures: Vec<String>,
    pub(crate) hash: u64,
    pub(crate) virtual_ms: u64,
    pub(crate) events: u64,
    /// How often things happened that a run should meet now and then.
    pub(crate) met: BTreeMap<&'static str, u64>,
    pub(crate) pairs: Pairs,
    /// The trace with the log's events among it, if it was asked for.
    pub(crate) trace: Vec<(u64, String)>,
}

/// The router's views at the end of a run.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) messages: BTreeMap<usize, MessageView>,
    pub(crate) doubts: Vec<DoubtView>,
    pub(crate) unmatched: Vec<UnmatchedView>,
    pub(crate) channels: Vec<ChannelView>,
    pub(crate) destinations: Vec<DestinationView>,
    pub(crate) events: Vec<Stored>,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, verbose: bool) -> Outcome {
    run_world(&World::new(seed, verbose))
}

pub(crate) fn run_world(world: &Arc<World>) -> Outcome {
    let disk = MemoryDisk::new();
    let ends = world.lock().script.ends.clone();
    for end in ends {
        if world.now_ms() < end.at_ms() && world.lock().failures.is_empty() {
            live(world, &disk, Some(end));
        }
    }
    let mut shown = live(world, &disk, None).unwrap_or_default();
    if world.lock().failures.is_empty() {
        // Once more, on what the disk holds: nothing may look different.
        if let Some(again) = live(world, &disk, None) {
            oracle::same(world, &shown, &again);
            shown = again;
        }
    }
    if world.lock().failures.is_empty() {
        oracle::judge(world, &shown);
    }
    let panics = PANICS.with(|panics| std::mem::take(&mut *panics.borrow_mut()));
    let mut inner = world.lock();
    inner.failures.extend(panics);
    let mut trace = inner.lines.take().unwrap_or_default();
    trace.extend(shown.events.iter().map(|stored| {
        let stream = stored.stream.to_string();
        (
            crate::world::virtual_ms(stored.at),
            format!("  log {} {} {:?}", stored.seq, &stream[..6], stored.event),
        )
    }));
    trace.sort_by_key(|(at, _)| *at);
    let (failures, events) = (std::mem::take(&mut inner.failures), shown.events.len() as u64);
    let (mut met, pairs) = (std::mem::take(&mut inner.met), std::mem::take(&mut inner.pairs));
    drop(inner);
    for name in shown.events.iter().filter_map(|stored| corner(&stored.event)) {
        *met.entry(name).or_default() += 1;
    }
    Outcome { failures, hash: world.hash(), virtual_ms: world.now_ms(), events, met, pairs, trace }
}

/// Everything that many runs together must have met, or they prove less than they seem to.
pub(crate) const CORNERS: [&str; 33] = [
    "away",
    "cancelled all",
    "paused over a crash",
    "reloaded",
    "reloaded destination",
    "tried now",
    "cancelled",
    "crash",
    "crash in a flush",
    "carried",
    "clock jumped",
    "damaged file",
    "deferred",
    "failed calls",
    "failed start",
    "faulty read",
    "doubt held",
    "doubt resent",
    "doubt by restart",
    "expired",
    "failed flush",
    "incomplete block cut",
    "late receipt",
    "message repeated after a lost link",
    "part failed",
    "part received",
    "queried",
    "receipt kept",
    "kept receipt matched",
    "revived",
    "settled",
    "stopped channel",
    "closed by business",
];

fn corner(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Cancelled { .. } => "cancelled",
        Event::Carried { .. } => "carried",
        Event::Deferred { .. } => "deferred",
        Event::InDoubt { cause: DoubtCause::Restart, .. } => "doubt by restart",
        Event::InDoubt { resend_at: None, .. } => "doubt held",
        Event::InDoubt { .. } => "doubt resent",
        Event::Expired { .. } => "expired",
        Event::LateReceipt(_) => "late receipt",
        Event::PartFailed { .. } => "part failed",
        Event::PartReceived(_) => "part received",
        Event::Queried { .. } => "queried",
        Event::ReceiptUnmatched(_) => "receipt kept",
        Event::ReceiptSettled { matched: true, .. } => "kept receipt matched",
        Event::Revived(_) => "revived",
        Event::Settled { .. } => "settled",
        Event::ChannelStopped { .. } => "stopped channel",
        Event::SessionClosed { reason: CloseReason::Business } => "closed by business",
        _ => return None,
    })
}

/// One life; without an end it goes on until everything is settled, and shows what is there.
fn live(world: &Arc<World>, disk: &MemoryDisk, end: Option<End>) -> Option<Shown> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let shown = runtime.block_on(life(world, disk, end));
    // Outside of its runtime, time would be the machine's.
    let inside = runtime.enter();
    world.note(|| format!("the router ends: {end:?}"));
    let how = Crash::from_seed(world.lock().rng.next());
    world.freeze();
    drop(inside);
    // The plug is pulled before anything is dropped: what is dropped must not write any more.
    disk.crash(how);
    drop(runtime);
    damage_files(world, disk);
    shown
}

/// Damages or removes files that can be rebuilt.
fn damage_files(world: &World, disk: &MemoryDisk) {
    for (name, file) in disk.files() {
        let damage = {
            let mut inner = world.lock();
            let most = inner.script.damaged_files;
            let rng = &mut inner.rng;
            let (is_chosen, bit) = (rng.chance(most), rng.next());
            is_chosen.then(|| rng.pick(&[FileDamage::Flip(bit), FileDamage::Cut, FileDamage::Remove]))
        };
        if let Some(damage) = damage
            && disk.damage_file(&name, &file, damage)
        {
            world.note(|| format!("{name}/{file}: {damage:?}"));
            world.met("damaged file");
            let damage = match damage {
                FileDamage::Flip(_) => Fault::CorruptFile,
                FileDamage::Cut => Fault::ShortFile,
                FileDamage::Remove => Fault::MissingFile,
            };
            // The next start finds it.
            *world.lock().pairs.entry((damage, Operation::Start)).or_default() += 1;
        }
    }
}

/// Remembers what is flushed long before retention could remove it.
async fn remember(world: Arc<World>, log: Log) {
    if world.lock().script.retention_s.is_none() {
        return;
    }
    loop {
        sleep(Duration::from_millis(REMEMBER_MS)).await;
        world.remember(&log);
    }
}

/// Makes some reads of files return what is not there.
async fn fault_reads(world: Arc<World>, disk: MemoryDisk) {
    let faulty = world.lock().script.faulty_reads.clone();
    for at_ms in faulty {
        if at_ms < world.now_ms() {
            continue;
        }
        sleep_until(world.instant(at_ms)).await;
        let damage = {
            let rng = &mut world.lock().rng;
            let bit = rng.next();
            rng.pick(&[FileDamage::Flip(bit), FileDamage::Cut])
        };
        fault_read(&world, &disk, 0, damage);
    }
}

fn fault_read(world: &World, disk: &MemoryDisk, after: u64, damage: FileDamage) {
    disk.fault_read_after(after, damage);
    world.met("faulty read");
    world.fell(match damage {
        FileDamage::Flip(_) => Fault::CorruptRead,
        FileDamage::Cut | FileDamage::Remove => Fault::ShortRead,
    });
}

/// Makes a call or a read of a start fail now and then. Returns whether the router may fail
/// because of it.
fn fault_start(world: &World, disk: &MemoryDisk, is_last: bool) -> bool {
    let (is_chosen, after, kind) = {
        let rng = &mut world.lock().rng;
        (rng.chance(150) && !is_last, rng.below(40), rng.below(4))
    };
    if !is_chosen {
        return false;
    }
    match kind {
        0 => fault_read(world, disk, after, FileDamage::Flip(after * 7)),
        1 => fault_read(world, disk, after, FileDamage::Cut),
        _ => {
            let reason = if kind == 2 { EMFILE } else { ENOSPC };
            disk.fail_calls_after(after, 1, reason);
            world.fell(fault_of(reason));
        }
    }
    kind >= 2
}

fn fault_of(reason: &str) -> Fault {
    if reason == EMFILE { Fault::NoDescriptor } else { Fault::NoSpace }
}

/// Counts the jumps of the clock as they come.
async fn count_jumps(world: Arc<World>) {
    let mut jumps = world.lock().script.jumps.clone();
    jumps.sort_by_key(|jump| jump.during.start);
    for jump in jumps.into_iter().filter(|jump| jump.during.start >= world.now_ms()) {
        sleep_until(world.instant(jump.during.start)).await;
        world.fell(if jump.by_ms > 0 { Fault::ClockAhead } else { Fault::ClockBack });
    }
}

async fn life(world: &Arc<World>, disk: &MemoryDisk, end: Option<End>) -> Option<Shown> {
    let (pause, segment_bytes) = {
        let mut inner = world.lock();
        (inner.rng.pick(&[5, 200, 1_500]), inner.script.segment_bytes)
    };
    world.begin(pause);
    let starting = UnderWay::begin(world, Operation::Start);
    let may_fail = fault_start(world, disk, end.is_none());
    let options = Options {
        driver: Driver::Inline,
        segment_bytes,
        disk_reserve_bytes: 0,
        checkpoint_pause: Duration::ZERO,
        ..Options::default()
    };
    let (log, recovery) = match Log::open(disk.engine(), options) {
        Ok(opened) => opened,
        Err(error) if may_fail => return failed_start(world, &error),
        Err(error) => {
            world.fail(format!("the log cannot be opened: {error}"));
            return None;
        }
    };
    world.note(|| format!("the router begins: {recovery:?}"));
    if recovery.torn.is_some() {
        world.met("incomplete block cut");
    }
    let config = world.lock().script.config();
    let router = match Router::start(config, log.clone(), world.seams()).await {
        Ok(router) => router,
        Err(error) if may_fail => return failed_start(world, &error),
        Err(error) => {
            world.fail(format!("the router cannot be started: {error}"));
            return None;
        }
    };
    drop(starting);
    // What did not fail until here does not fail any more.
    disk.fail_calls_after(0, 0, EMFILE);
    tokio::spawn(drive(world.clone(), log.clone()));
    tokio::spawn(count_jumps(world.clone()));
    tokio::spawn(fault_reads(world.clone(), disk.clone()));
    tokio::spawn(remember(world.clone(), log.clone()));
    business::start(world, &router);
    let apis: Vec<usize> = {
        let inner = world.lock();
        let brings = |n: &usize| inner.script.channels[*n].api.is_some_and(|api| !api.polls);
        (0..inner.smscs.len()).filter(brings).collect()
    };
    for api in apis {
        tokio::spawn(api::call_back(world.clone(), router.clone(), api));
    }
    match end {
        Some(end) => {
            tokio::select! {
                biased;
                why = router.failed(), if may_fail => drop(failed_start(world, &why)),
                () = until(world, disk, &log, &router, end) => {}
            }
            None
        }
        None => finish(world, &log, &router).await,
    }
}

/// A start that failed because it was made to.
fn failed_start(world: &World, why: &dyn std::fmt::Display) -> Option<Shown> {
    world.note(|| format!("the start failed: {why}"));
    world.met("failed start");
    None
}

/// The log's writer: writes after a while, so that flushes lag behind.
pub(crate) async fn drive(world: Arc<World>, log: Log) {
    let mut idle = false;
    loop {
        let pause = {
            let mut inner = world.lock();
            let most = inner.script.flush_ms_max;
            inner.rng.within(1, if idle { most.max(IDLE_FLUSH_MS) } else { most })
        };
        sleep(Duration::from_millis(pause)).await;
        idle = true;
        while log.drive() {
            idle = false;
        }
    }
}

async fn until(world: &Arc<World>, disk: &MemoryDisk, log: &Log, router: &Router, end: End) {
    tokio::select! {
        biased;
        why = router.failed() => return world.fail(format!("the router failed: {why}")),
        () = sleep_until(world.instant(end.at_ms())) => {}
    }
    world.met(match end {
        End::Kill { .. } => "crash",
        End::KillInFlush { .. } => "crash in a flush",
        End::FlushFails { .. } => "failed flush",
        End::CallsFail { .. } => "failed calls",
    });
    world.fell(match end {
        End::Kill { .. } => Fault::Kill,
        End::KillInFlush { .. } => Fault::KillInFlush,
        End::FlushFails { .. } => Fault::FailedFlush,
        End::CallsFail { reason, .. } => fault_of(reason),
    });
    match end {
        End::Kill { look_first, .. } => {
            if look_first {
                replays(world, log, router).await;
            }
        }
        End::KillInFlush { .. } => {
            disk.fail_flush_after(0);
            log.drive();
        }
        End::CallsFail { after, count, reason, .. } => {
            disk.fail_calls_after(after, count, reason);
            // It may go on, if nothing that it cannot do without was among them.
            let _went_on = timeout(FAIL_WAIT, router.failed()).await;
        }
        End::FlushFails { .. } => {
            let after = world.lock().rng.below(3);
            let failing = disk.flushes() + after;
            disk.fail_flush_after(after);
            // A router with nothing to write cannot know.
            if timeout(FAIL_WAIT, router.failed()).await.is_err() && disk.flushes() > failing {
                world.fail("a flush failed, and the router did not".to_owned());
            }
        }
    }
}

/// Every session as it is live equals what its log says.
async fn replays(world: &World, log: &Log, router: &Router) {
    let sessions: Vec<SessionId> = world.lock().sessions.keys().copied().collect();
    let mut lives = Vec::new();
    for id in sessions {
        if let Ok(view) = router.session(id, None).await {
            // A finished session has no state any more.
            lives.extend(view.snapshot.map(|live| (id, live)));
        }
    }
    let events = world.remember(log);
    for (id, live) in lives {
        if let Some(lines) = oracle::replay_lacks(&events, id.stream, &live) {
            world.fail(format!("{id} is not what its log says: {lines}"));
        }
    }
}

async fn finish(world: &Arc<World>, log: &Log, router: &Router) -> Option<Shown> {
    tokio::select! {
        biased;
        why = router.failed() => {
            world.fail(format!("the router failed: {why}"));
            None
        }
        shown = settle(world, log, router) => Some(shown),
    }
}

async fn settle(world: &Arc<World>, log: &Log, router: &Router) -> Shown {
    sleep_until(world.instant(QUIET_MS)).await;
    world.lock().quiet = true;
    world.note(|| "quiet".to_owned());
    loop {
        sleep(Duration::from_millis(3_000)).await;
        let mut shown = Shown::default();
        let outlives_ms = world.lock().script.retention_s.map_or(0, |s| RETENTIONS * s * 1_000);
        let why = match waiting(world) {
            None if world.now_ms() < outlives_ms => continue,
            Some(why) => Some(why),
            None => show(world, router, &mut shown).await,
        };
        let late = world.now_ms() > QUIET_MS + SETTLE_MS;
        match why {
            Some(why) if late => world.fail(format!("not settled: {why}")),
            Some(_) => continue,
            None => replays(world, log, router).await,
        }
        shown.events = world.remember(log);
        return shown;
    }
}

/// Everything for which the world still waits.
fn waiting(world: &World) -> Option<String> {
    let inner = world.lock();
    if let Some(op) = inner.done.iter().position(|done| !done) {
        return Some(format!("the business waits for {:?}", inner.script.ops[op]));
    }
    for (n, smsc) in inner.smscs.iter().enumerate() {
        if let Some(job) = smsc.jobs.iter().position(|job| job.state != JobState::Done) {
            return Some(format!("SMSC {n} waits for the acknowledgement of delivery {job}"));
        }
    }
    None
}

/// Looks at everything, or at as much as it takes to know what it still waits for.
async fn show(world: &World, router: &Router, shown: &mut Shown) -> Option<String> {
    shown.channels = router.channels().await;
    if let Some(view) = shown.channels.iter().find(|c| c.sessions_waiting > 0 || c.parts_outstanding > 0) {
        return Some(format!("{view:?}"));
    }
    shown.destinations = router.destinations().await;
    let waits = |d: &&DestinationView| d.sessions_waiting > 0 || d.posts_outstanding > 0;
    if let Some(view) = shown.destinations.iter().find(waits) {
        return Some(format!("{view:?}"));
    }
    shown.doubts = router.in_doubt(None, None, 10_000).await.map(|page| page.items).unwrap_or_default();
    shown.unmatched = router.unmatched(None, 0, 10_000).await;
    let now = wall(world.now_ms());
    if let Some(kept) = shown.unmatched.iter().find(|kept| now.since_ms(kept.received_at) < RETRIED_MS) {
        return Some(format!("{kept:?} is to be tried again"));
    }
    let count = world.lock().known.len();
    for n in 0..count {
        let view = business::look(world, router, n).await;
        if world.lock().known[n].accepted.is_none() {
            continue;
        }
        let Some(view) = view else {
            if world.lock().script.retention_s.is_some() {
                // The oracle knows whether it was owed.
                continue;
            }
            return Some(format!("m{n} is not shown"));
        };
        let over = view.events.iter().any(|e| matches!(e.event, "settled" | "cancelled"));
        if !over && goes_on(&view, &shown.doubts) {
            return Some(format!("m{n} is {:?}: {:?}", view.status, view.parts));
        }
        shown.messages.insert(n, view);
    }
    // Nothing else waits any more: what is counted as waiting is what is held.
    let held: BTreeSet<_> = shown.doubts.iter().filter(|d| d.held).map(|d| &d.message_id).collect();
    let counted = router.waiting(None).map(|waiting| waiting.messages).unwrap_or_default();
    if counted != held.len() as u64 {
        return Some(format!("{counted} messages are counted as waiting, {} are held", held.len()));
    }
    None
}

/// Whether a message that is not over goes on without an operator. Beside a part that is held, the
/// others may still wait out a pause of their customer.
fn goes_on(view: &MessageView, doubts: &[DoubtView]) -> bool {
    let held: Vec<u16> = doubts
        .iter()
        .filter(|doubt| doubt.held && doubt.message_id == view.message_id)
        .map(|doubt| doubt.part)
        .collect();
    match held.is_empty() {
        true => view.parts.iter().any(|part| part.status <= MessageStatus::Sent),
        // Held parts keep the message from being settled, whatever became of the others.
        false => view
            .parts
            .iter()
            .zip(1..)
            .any(|(part, number)| part.status < MessageStatus::Sent && !held.contains(&number)),
    }
}

/// The streams of all sessions.
pub(crate) fn streams(events: &[Stored]) -> Vec<StreamId> {
    let mut streams: Vec<StreamId> = events.iter().map(|e| e.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}
