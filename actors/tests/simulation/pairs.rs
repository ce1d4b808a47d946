//! Counts which faults fell while which operations were under way, over all seeds: about a pair
//! that no seed meets, nothing is proved.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    smsc::{JobKind, JobState},
    world::World,
};

/// Time after an operation, in milliseconds, in which a fault still meets its consequences.
const LINGER_MS: u64 = 100;
/// How long after the call a channel that is restarted is connecting again.
pub(crate) const RESTART_MS: u64 = 1_000;

/// Something that takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Start,
    Accept,
    Steal,
    Cancel,
    End,
    Restart,
    Look,
    Connect,
    Submit,
    Poll,
    Receipt,
    Message,
    Delivery,
}

pub(crate) const OPERATIONS: [Operation; 13] = [
    Operation::Start,
    Operation::Accept,
    Operation::Steal,
    Operation::Cancel,
    Operation::End,
    Operation::Restart,
    Operation::Look,
    Operation::Connect,
    Operation::Submit,
    Operation::Poll,
    Operation::Receipt,
    Operation::Message,
    Operation::Delivery,
];

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Kill,
    KillInFlush,
    FailedFlush,
    NoDescriptor,
    NoSpace,
    CorruptRead,
    ShortRead,
    CorruptFile,
    ShortFile,
    MissingFile,
    ClockAhead,
    ClockBack,
    LinkLost,
    AnswerLost,
    AnswerLate,
    Refused,
    Unreachable,
}

const FAULTS: [Fault; 17] = [
    Fault::Kill,
    Fault::KillInFlush,
    Fault::FailedFlush,
    Fault::NoDescriptor,
    Fault::NoSpace,
    Fault::CorruptRead,
    Fault::ShortRead,
    Fault::CorruptFile,
    Fault::ShortFile,
    Fault::MissingFile,
    Fault::ClockAhead,
    Fault::ClockBack,
    Fault::LinkLost,
    Fault::AnswerLost,
    Fault::AnswerLate,
    Fault::Refused,
    Fault::Unreachable,
];

/// How many operations of one kind are under way, and how long they count after their end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Running {
    count: u32,
    until_ms: u64,
}

/// How often a fault fell during an operation.
pub(crate) type Pairs = BTreeMap<(Fault, Operation), u64>;

/// Why a fault cannot fall during an operation.
fn excused(fault: Fault, operation: Operation) -> Option<&'static str> {
    let is_start = operation == Operation::Start;
    match fault {
        Fault::CorruptFile | Fault::ShortFile | Fault::MissingFile => {
            (!is_start).then_some("files are damaged while no router runs")
        }
        Fault::NoDescriptor | Fault::NoSpace | Fault::CorruptRead | Fault::ShortRead => None,
        _ => is_start.then_some("a start takes no virtual time"),
    }
}

/// Returns the pairs as a table, and the empty cells that can be met.
pub(crate) fn table(pairs: &Pairs) -> (String, Vec<(Fault, Operation)>) {
    let (mut text, mut empty) = (format!("{:13}", ""), Vec::new());
    for operation in OPERATIONS {
        let _infallible = write!(text, "{:>9}", format!("{operation:?}"));
    }
    for fault in FAULTS {
        let _infallible = write!(text, "\n{:13}", format!("{fault:?}"));
        for operation in OPERATIONS {
            let cell = match (pairs.get(&(fault, operation)), excused(fault, operation)) {
                (Some(times), _) => times.to_string(),
                (None, Some(_)) => "-".to_owned(),
                (None, None) => {
                    empty.push((fault, operation));
                    "0".to_owned()
                }
            };
            let _infallible = write!(text, "{cell:>9}");
        }
    }
    (text, empty)
}

/// An operation until it is dropped.
pub(crate) struct UnderWay {
    world: Arc<World>,
    operation: Operation,
    life: u64,
}

impl UnderWay {
    pub(crate) fn begin(world: &Arc<World>, operation: Operation) -> Self {
        let life = world.life.load(Ordering::Relaxed);
        world.lock().under_way.entry(operation).or_default().count += 1;
        Self { world: world.clone(), operation, life }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Those of an ended router are forgotten with it.
        if self.world.life.load(Ordering::Relaxed) != self.life {
            return;
        }
        let until_ms = self.world.now_ms() + LINGER_MS;
        if let Some(running) = self.world.lock().under_way.get_mut(&self.operation) {
            running.count = running.count.saturating_sub(1);
            running.until_ms = until_ms;
        }
    }
}

impl World {
    /// Counts a fault that falls now.
    pub(crate) fn fell(&self, fault: Fault) {
        let now = self.now_ms();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let is_running = |running: &Running| running.count > 0 || now < running.until_ms;
        let under_way = inner.under_way.iter().filter(|(_, running)| is_running(running));
        let mut during: Vec<Operation> = under_way.map(|(operation, _)| *operation).collect();
        let with_link = |wanted: fn(&JobKind) -> bool| {
            let mut jobs = inner.smscs.iter().flat_map(|smsc| &smsc.jobs);
            jobs.any(|job| matches!(job.state, JobState::With(_)) && wanted(&job.kind))
        };
        if with_link(|kind| matches!(kind, JobKind::Receipt { .. })) {
            during.push(Operation::Receipt);
        }
        if with_link(|kind| matches!(kind, JobKind::Mo { .. })) {
            during.push(Operation::Message);
        }
        during.sort_unstable();
        during.dedup();
        for operation in during {
            *inner.pairs.entry((fault, operation)).or_default() += 1;
        }
    }

    /// A router begins or has ended: what was under way is over.
    pub(crate) fn forget_under_way(&self) {
        self.life.fetch_add(1, Ordering::Relaxed);
        self.lock().under_way.clear();
    }
}
