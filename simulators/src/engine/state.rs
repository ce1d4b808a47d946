//! Everything that a simulated REST provider remembers, behind one lock. No IO, no clock.

use std::sync::Arc;

use super::{
    agenda::Agenda, options::Options, polls::PollQueue, records::Records, script::Script, script::Triggers,
    windows::Windows,
};
use crate::{contract::WebhookConfig, toolkit::media::Media};

/// The state of one simulator.
pub(super) struct State {
    pub(super) script: Arc<Script>,
    pub(super) triggers: Triggers,
    pub(super) records: Records,
    pub(super) webhook: Option<WebhookConfig>,
    pub(super) media: Media,
    /// The simulator's own address, without a trailing slash; empty until it listens.
    pub(super) base: String,
    pub(super) polls: PollQueue,
    pub(super) windows: Windows,
    pub(super) agenda: Agenda,
    next: u64,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        let base = options.base_url.clone().unwrap_or_default();
        let mut state = Self {
            script: Arc::new(options.script.clone()),
            triggers: Triggers::new(options.script.seed),
            records: Records::default(),
            webhook: None,
            media: Media::default(),
            base: base.trim_end_matches('/').to_owned(),
            polls: PollQueue::default(),
            windows: Windows::default(),
            agenda: Agenda::default(),
            next: 0,
        };
        state.start_customers(0);
        state
    }

    /// Returns to the state at start, except for numbers and the own address.
    pub(super) fn reset(&mut self, options: &Options) {
        let new = Self::new(options);
        let old = std::mem::replace(self, new);
        self.polls = old.polls.emptied();
        (self.base, self.next) = (old.base, old.next);
    }

    /// Returns a number that no other request or event has.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Notes that a customer wrote: the window is open.
    pub(super) fn open_window(&mut self, customer: &str, now_ms: u64) {
        if self.script.window_ms > 0 {
            self.windows.open(customer, now_ms);
        }
    }

    /// Returns whether a customer's window is open, or windows are not watched.
    pub(super) fn is_window_open(&self, customer: &str, now_ms: u64) -> bool {
        let window_ms = self.script.window_ms;
        window_ms == 0 || self.windows.is_open(customer, window_ms, now_ms)
    }

    /// Starts or stops the background customers, as the script says.
    pub(super) fn start_customers(&mut self, now_ms: u64) {
        self.agenda.set_customers(self.script.inbound_per_second > 0, now_ms);
    }
}
