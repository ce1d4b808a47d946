//! One simulator: its provider, clock and configuration, and its state behind a lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::Notify, time::Instant};

use super::{client::WebhookClient, options::Options, script::Script, state::State};
use crate::{
    contract::{About, Context, Credentials, Provider, Signature},
    toolkit::changes::Changes,
};

/// A running simulator.
pub(super) struct Engine {
    pub(super) provider: &'static dyn Provider,
    pub(super) credentials: Credentials,
    pub(super) client: WebhookClient,
    /// Announced after each step.
    pub(super) changes: Changes,
    /// Notified when something may be due earlier than planned.
    pub(super) wake: Notify,
    pub(super) started: Instant,
    options: Options,
    state: Mutex<State>,
}

impl Engine {
    /// Starts the clock.
    pub(super) fn new(provider: &'static dyn Provider, credentials: Credentials, options: Options) -> Self {
        let engine = Self {
            provider,
            credentials,
            client: WebhookClient::new(options.deliver_to.clone()),
            changes: Changes::default(),
            wake: Notify::new(),
            started: Instant::now(),
            state: Mutex::new(State::new(&options)),
            options,
        };
        engine.set_webhook_of_options();
        engine
    }

    pub(super) fn about(&self) -> &'static About {
        self.provider.about()
    }

    /// Locks the state. No holder of the lock can panic half way, so a poisoned lock is usable.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns milliseconds since the start.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn context<'a>(&'a self, state: &'a State, number: u64) -> Context<'a> {
        let started = self.options.started_at_ms;
        Context {
            credentials: &self.credentials,
            webhook: state.webhook.as_ref(),
            media: &state.media,
            base: &state.base,
            now_ms: started.saturating_add(self.now_ms()),
            number,
            run: started ^ self.options.script.seed.rotate_left(52),
            started_ms: started,
            path: "",
            attempt: 1,
            signature: Signature::Right,
        }
    }

    /// Changes the script, from now on.
    pub(super) fn change(&self, change: impl FnOnce(&mut Script)) {
        let now = self.now_ms();
        let mut state = self.state();
        change(Arc::make_mut(&mut state.script));
        state.start_customers(now);
        drop(state);
        self.wake.notify_one();
    }

    /// Forgets all records and planned work; script and webhook become those of the start.
    pub(super) fn reset(&self) {
        self.state().reset(&self.options);
        self.set_webhook_of_options();
        self.changes.announce();
    }

    fn set_webhook_of_options(&self) {
        let mut state = self.state();
        let url = self.options.webhook.clone();
        let webhook = url.map(|url| self.provider.webhook(url, &self.context(&state, 0)));
        state.webhook = webhook;
    }
}
