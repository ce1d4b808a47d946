//! Everything a simulated REST provider remembers, behind one lock. No IO, no clock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use super::{Options, Script, records::Records, script::Triggers};
use crate::{
    contract::{Hook, Message, Signature},
    toolkit::media::Media,
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

pub(crate) struct State {
    pub(crate) script: Arc<Script>,
    pub(crate) triggers: Triggers,
    pub(crate) records: Records,
    pub(crate) hook: Option<Hook>,
    pub(crate) media: Media,
    pub(crate) base: String,
    /// Events that wait for a poll, by their number.
    pub(crate) updates: VecDeque<(i64, Value)>,
    /// Grows with each poll, so that an older one knows that it is over.
    pub(crate) poller: u64,
    /// When each customer last wrote, where windows are watched.
    wrote: BTreeMap<String, u64>,
    /// By when they are due, then by age.
    pub(crate) jobs: BTreeMap<(u64, u64), Job>,
    /// When the next customer writes by himself.
    pub(crate) customers_due: Option<u64>,
    next: u64,
}

/// What is to be done later.
pub(crate) enum Job {
    Receipt { message: Arc<Message>, status: &'static str, code: Option<String> },
    Webhook(Delivery),
    Fetch { id: String, url: String },
}

/// A webhook on its way.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) number: u64,
    pub(crate) url: String,
    pub(crate) events: Arc<[Value]>,
    /// From 1.
    pub(crate) attempt: u32,
    pub(crate) signature: Signature,
}

impl State {
    pub(crate) fn new(options: &Options) -> Self {
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
    pub(crate) fn reset(&mut self, options: &Options) {
        let new = Self::new(options);
        let old = std::mem::replace(self, new);
        (self.base, self.next, self.poller) = (old.base, old.next, old.poller + 1);
    }

    /// A number that nothing else has.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn later(&mut self, due: u64, job: Job) {
        if self.jobs.len() < JOBS_MAX {
            let number = self.number();
            self.jobs.insert((due, number), job);
        }
    }

    pub(crate) fn update(&mut self, id: i64, event: Value) {
        if self.updates.len() >= UPDATES_MAX {
            self.updates.pop_front();
        }
        self.updates.push_back((id, event));
    }

    /// A customer wrote: his window is open.
    pub(crate) fn wrote(&mut self, customer: &str, now: u64) {
        if self.script.window_ms > 0 && self.wrote.len() < CUSTOMERS_MAX {
            self.wrote.insert(bare(customer).to_owned(), now);
        }
    }

    /// Whether a customer's window is open, or windows are not watched.
    pub(crate) fn is_open(&self, customer: &str, now: u64) -> bool {
        let window = self.script.window_ms;
        window == 0 || self.wrote.get(bare(customer)).is_some_and(|at| at.saturating_add(window) > now)
    }

    /// Begins or ends what customers do by themselves.
    pub(crate) fn start_customers(&mut self, now: u64) {
        self.customers_due = match self.script.inbound_per_second {
            0 => None,
            _ => Some(self.customers_due.unwrap_or(now)),
        };
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        let job = self.jobs.first_key_value().map(|((due, _), _)| *due);
        [job, self.customers_due].into_iter().flatten().min()
    }
}
