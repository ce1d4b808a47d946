//! An SMSC with faults on demand, for demos, tests and benches: SMPP 3.4's other side. It stores nothing, and
//! is no example of how an SMSC should be built.
//!
//! | file | what |
//! |---|---|
//! | `script` | what goes wrong, and when |
//! | `core` | connections and timers: octets in, octets out |
//! | `bind` | who may bind |
//! | `submit` | what becomes of a submit |
//! | `deliver` | receipts and customers' messages on their way, until acknowledged |
//! | `receipt`, `mo`, `text` | what they look like |
//! | `records` | what was seen, for the questions of a test |
//! | `serve` | sockets and time around it |

mod bind;
mod core;
mod deliver;
mod mo;
mod receipt;
mod records;
mod script;
mod serve;
mod submit;
mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use channels::smpp::Millis;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use self::core::{Core, End};
pub use self::{
    core::MoState,
    deliver::QUEUE_MAX,
    mo::{MO_PARTS_MAX, Mo, MoConcat, MoError, MoOrder},
    records::{Counts, Message, RECENT_MAX, Repeated, Seen, Submit},
    script::{IdStyle, NoPattern, Pattern, ReceiptForm, ReceiptVia, Receipts, Remember, Script},
    serve::Accept,
};
pub(crate) use self::{
    receipt::civil,
    script::{Chance, Trigger},
};

/// Names a customer's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoId(pub u64);

/// An SMSC; clones are handles to the same one.
#[derive(Clone)]
pub struct Smsc {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    started: Instant,
    /// Told after each step, for those who wait for a fact.
    changed: Notify,
}

impl Smsc {
    /// An SMSC that follows the script. Its clock starts now; a paused tokio clock is followed.
    pub fn new(script: Script) -> Self {
        let core = Mutex::new(Core::new(script));
        Self { shared: Arc::new(Shared { core, started: Instant::now(), changed: Notify::new() }) }
    }

    /// The script as it is.
    pub fn script(&self) -> Script {
        (*self.core().script).clone()
    }

    /// Changes the script, from now on.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        let now = self.now();
        let mut core = self.core();
        change(Arc::make_mut(&mut core.script));
        core.start_background(now);
    }

    /// Sends a customer's message; before the first bind it waits for it.
    ///
    /// # Errors
    ///
    /// Fails when it does not fit into PDUs.
    pub fn send_mo(&self, mo: &Mo) -> Result<MoId, MoError> {
        let now = self.now();
        self.core().send_mo(mo, now)
    }

    /// How a customer's message stands.
    pub fn mo(&self, id: MoId) -> Option<MoState> {
        self.core().mos.get(&id).copied()
    }

    /// Cuts all connections, without unbind.
    pub fn drop_connections(&self) {
        let mut core = self.core();
        let all: Vec<_> = core.connections.keys().copied().collect();
        for id in all {
            core.records.counts.dropped += 1;
            core.end(id, End::Now);
        }
    }

    /// Sends an unbind on all binds.
    pub fn unbind_all(&self) {
        let now = self.now();
        let mut core = self.core();
        let all: Vec<_> = core.connections.keys().copied().collect();
        for id in all {
            core.unbind(id, now);
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.core().records.counts
    }

    /// Waits until the counts satisfy `until`. There is no limit in time: put a timeout around it.
    pub async fn wait_for(&self, until: impl Fn(&Counts) -> bool) -> Counts {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let counts = self.counts();
            if until(&counts) {
                return counts;
            }
            changed.await;
        }
    }

    /// How many binds each system_id has now.
    pub fn binds(&self) -> Vec<(Arc<str>, usize)> {
        let core = self.core();
        core.accounts.iter().map(|account| (account.name.clone(), account.connections.len())).collect()
    }

    /// How many deliveries wait, or are unacknowledged.
    pub fn deliveries_open(&self) -> usize {
        let core = self.core();
        let waiting: usize = core.accounts.iter().map(|account| account.queue.len()).sum();
        let in_flight: usize = core.connections.values().map(|other| other.in_flight.len()).sum();
        core.unclaimed.len() + waiting + in_flight
    }

    /// The accepted submits, oldest first, at most [`RECENT_MAX`].
    pub fn submits(&self) -> Vec<Submit> {
        self.core().records.submits.iter().cloned().collect()
    }

    /// The complete messages, joined of their parts, oldest first, at most [`RECENT_MAX`].
    pub fn messages(&self) -> Vec<Message> {
        self.core().records.messages.iter().cloned().collect()
    }

    /// How often this text came to this destination, as a complete message.
    pub fn times(&self, destination: &str, text: &str) -> u32 {
        self.core().records.times(destination, text)
    }

    /// The parts that came more than once: same destination, same text, same place in its message.
    pub fn repeated(&self) -> Vec<Repeated> {
        self.core().records.repeated()
    }

    /// The texts of the complete messages to one destination, in the order of their completion.
    pub fn texts_to(&self, destination: &str) -> Vec<Box<str>> {
        self.core().records.texts_to(destination)
    }

    /// The most submits (parts, refused ones too) in any window of so many milliseconds.
    pub fn most_in(&self, window_ms: Millis) -> u64 {
        self.core().records.most_in(window_ms)
    }

    /// Tells what happens from now on; the last observer is the only one. What it is too slow for is counted
    /// as [`Counts::missed`].
    pub fn observe(&self, capacity: usize) -> mpsc::Receiver<Seen> {
        self.core().records.observe(capacity)
    }

    /// Nothing that holds the lock runs foreign code or can panic half way, so a poisoned lock is usable.
    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Millis {
        let elapsed = self.shared.started.elapsed().as_millis();
        Millis::try_from(elapsed).unwrap_or(Millis::MAX)
    }
}
