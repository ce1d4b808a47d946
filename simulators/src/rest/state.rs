//! Everything a simulated REST provider remembers, behind one lock. No IO, no clock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Options, Script,
    media::Media,
    provider::{Hook, Message, Signature},
    records::Records,
    script::Triggers,
};

/// The most receipts and webhooks that wait; more are lost.
const JOBS_MAX: usize = 1_000_000;
/// The most events that wait for a poll; the oldest go.
const UPDATES_MAX: usize = 100_000;

/// The most customers whose windows are watched.
const CUSTOMERS_MAX: usize = 1_000_000;

/// An address without what only one direction has.
fn bare(address: &str) -> &str {
    address.trim_start_matches("whatsapp:").trim_start_matches('+')
}

pub(super) struct State {
    pub(super) script: Arc<Script>,
    pub(super) triggers: Triggers,
    pub(super) records: Records,
    pub(super) hook: Option<Hook>,
    pub(super) media: Media,
    pub(super) base: String,
    /// Events that wait for a poll, by their number.
    pub(super) updates: VecDeque<(i64, Value)>,
    /// Grows with each poll, so that an older one knows that it is over.
    pub(super) poller: u64,
    /// When each customer last wrote, where windows are watched.
    wrote: BTreeMap<String, u64>,
    /// By when they are due, then by age.
    pub(super) jobs: BTreeMap<(u64, u64), Job>,
    /// When the next customer writes by himself.
    pub(super) customers_due: Option<u64>,
    next: u64,
}

/// What is to be done later.
pub(super) enum Job {
    Receipt { message: Arc<Message>, status: &'static str, code: Option<String> },
    Webhook(Delivery),
    Fetch { id: String, url: String },
}

/// A webhook on its way.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) events: Arc<[Value]>,
    /// From 1.
    pub(super) attempt: u32,
    pub(super) signature: Signature,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        let base = options.base_url.clone().unwrap_or_default();
        let mut state = Self {
            script: Arc::new(options.script.clone()),
            wrote: BTreeMap::new(),
            triggers: Triggers::new(options.script.seed),
            records: Records::default(),
            hook: None,
            media: Media::default(),
            base: base.trim_end_matches('/').to_owned(),
            updates: VecDeque::new(),
            poller: 0,
            jobs: BTreeMap::new(),
            customers_due: None,
            next: 0,
        };
        state.start_customers(0);
        state
    }

    /// As new; but numbers and own address stay.
    pub(super) fn reset(&mut self, options: &Options) {
        let new = Self::new(options);
        let old = std::mem::replace(self, new);
        (self.base, self.next, self.poller) = (old.base, old.next, old.poller + 1);
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn later(&mut self, due: u64, job: Job) {
        if self.jobs.len() < JOBS_MAX {
            let number = self.number();
            self.jobs.insert((due, number), job);
        }
    }

    pub(super) fn update(&mut self, id: i64, event: Value) {
        if self.updates.len() >= UPDATES_MAX {
            self.updates.pop_front();
        }
        self.updates.push_back((id, event));
    }

    /// A customer wrote: his window is open.
    pub(super) fn wrote(&mut self, customer: &str, now: u64) {
        if self.script.window_ms > 0 && self.wrote.len() < CUSTOMERS_MAX {
            self.wrote.insert(bare(customer).to_owned(), now);
        }
    }

    /// Whether a customer's window is open, or windows are not watched.
    pub(super) fn is_open(&self, customer: &str, now: u64) -> bool {
        let window = self.script.window_ms;
        window == 0 || self.wrote.get(bare(customer)).is_some_and(|at| at.saturating_add(window) > now)
    }

    /// Begins or ends what customers do by themselves.
    pub(super) fn start_customers(&mut self, now: u64) {
        self.customers_due = match self.script.inbound_per_second {
            0 => None,
            _ => Some(self.customers_due.unwrap_or(now)),
        };
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let job = self.jobs.first_key_value().map(|((due, _), _)| *due);
        [job, self.customers_due].into_iter().flatten().min()
    }
}
