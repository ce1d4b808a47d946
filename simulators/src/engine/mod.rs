//! REST providers with faults on demand, for demos, tests and benches: the other side of Patchbay's HTTP channels,
//! built from the providers' documentation. It stores nothing on disk and never calls a real provider.
//!
//! | file | what |
//! |---|---|
//! | `script` | what goes wrong, and when |
//! | `provider` | what a provider is: pure functions |
//! | `state`, `records`, `media` | what is remembered |
//! | `answer` | what becomes of a request to the provider's API |
//! | `deliver` | receipts and customers' messages on their way to the webhook, until taken |
//! | `control` | the questions and orders of a test, under `/_sim/` |
//! | `serve` | sockets and time around it |
//! | `wire`, `sign`, `time` | forms, signatures and dates |
//! | the others | one provider each |

mod answer;
mod control;
mod deliver;
mod records;
mod sample;
mod script;
mod serve;
mod state;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{net::TcpListener, sync::Notify, time::Instant};

pub use self::{
    deliver::{DeliverError, WEBHOOKS_AT_ONCE_MAX},
    records::{Attempt, Counts, Fetched, RECENT_MAX, Webhook},
    script::Script,
    serve::{BODY_BYTES_MAX, CONNECTIONS_MAX},
};
use self::{serve::Client, state::State};
use crate::{
    contract::{About, Context, Credentials, Message, Provider, Signature},
    provider::{all, providers},
};

/// What a simulator is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The provider's name.
    pub provider: String,
    /// Where events are posted, for providers that keep such an address.
    pub webhook: Option<String>,
    /// Where webhooks are really sent, as `http://host:port`: what a reverse proxy would do. Address, `Host` and
    /// signature stay those of the webhook.
    pub deliver_to: Option<String>,
    /// The simulator's own address, as its clients know it; nothing: that of its listener.
    pub base_url: Option<String>,
    /// What is not as by default.
    pub credentials: BTreeMap<String, String>,
    /// What goes wrong.
    pub script: Script,
    /// The time at start, in milliseconds since 1970.
    pub started_at_ms: u64,
}

/// Options that make no simulator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Nobody has this name.
    #[error("no simulated provider is called {name:?}; there are {known}")]
    Provider {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// The provider has no such credential.
    #[error("{provider} has no credential {key:?}; it has {known}")]
    Credential {
        /// Who.
        provider: &'static str,
        /// The key.
        key: String,
        /// All keys.
        known: String,
    },
}

/// A simulated REST provider; clones are handles to the same one.
#[derive(Clone)]
pub struct Simulator {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) provider: &'static dyn Provider,
    credentials: Credentials,
    options: Options,
    state: Mutex<State>,
    client: Client,
    /// Where webhooks are really sent; as in the options until it is changed.
    deliver_to: Mutex<Option<String>>,
    started: Instant,
    /// Told after each step, for those who wait for a fact.
    changed: Notify,
    /// Told when something may be due earlier.
    wake: Notify,
}

/// Serves a simulated provider on this listener until `shutdown` is there.
///
/// # Errors
///
/// Fails when there is no such provider or credential.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), OptionsError> {
    Simulator::new(options)?.run(listener, shutdown).await;
    Ok(())
}

impl Simulator {
    /// A simulator. Its clock starts now; a paused tokio clock is followed.
    ///
    /// # Errors
    ///
    /// Fails when there is no such provider or credential.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        let named = all().iter().find(|provider| provider.about().name == options.provider);
        let provider = *named.ok_or_else(|| OptionsError::Provider {
            name: options.provider.clone(),
            known: providers().map(|about| about.name).collect::<Vec<_>>().join(", "),
        })?;
        let about = provider.about();
        let mut credentials: Credentials =
            about.credentials.iter().map(|one| (one.key, one.default.to_owned())).collect();
        for (key, value) in &options.credentials {
            let place = credentials.get_mut(key.as_str()).ok_or_else(|| OptionsError::Credential {
                provider: about.name,
                key: key.clone(),
                known: about.credentials.iter().map(|one| one.key).collect::<Vec<_>>().join(", "),
            })?;
            place.clone_from(value);
        }
        let shared = Shared {
            provider,
            credentials,
            state: Mutex::new(State::new(&options)),
            client: serve::client(),
            deliver_to: Mutex::new(options.deliver_to.clone()),
            started: Instant::now(),
            changed: Notify::new(),
            wake: Notify::new(),
            options,
        };
        let simulator = Self { shared: Arc::new(shared) };
        simulator.set_hook_of_options();
        Ok(simulator)
    }

    /// What it simulates.
    pub fn about(&self) -> &'static About {
        self.shared.provider.about()
    }

    /// What it takes for its credential of this key.
    pub fn credential(&self, key: &str) -> &str {
        self.shared.credentials.get(key).map_or("", String::as_str)
    }

    /// Its own address, once it is served.
    pub fn base_url(&self) -> String {
        self.state().base.clone()
    }

    /// The business's own address: a channel's DID.
    pub fn did(&self) -> String {
        let state = self.state();
        self.shared.provider.did(&self.context(&state, 0)).to_owned()
    }

    /// A channel in Patchbay's configuration that fits, with the provider's name as its id: lines of TOML.
    pub fn channel(&self, destination: &str) -> String {
        self.channel_of(self.about().name, destination)
    }

    /// The same with an id of its own.
    pub fn channel_of(&self, id: &str, destination: &str) -> String {
        let state = self.state();
        let (provider, cx) = (self.shared.provider, self.context(&state, 0));
        let About { name, title, .. } = provider.about();
        let did = provider.did(&cx);
        let mut text = format!(
            "[[channel]]\nid = {id:?}\nname = \"{title}, simulated\"\nprovider = {name:?}\n\
             dids = [{{ number = {did:?}, destination = {destination:?} }}]\n[channel.account]\n"
        );
        let account = provider.account(&cx);
        for (key, value) in &account {
            text.push_str(&format!("{key} = {value}\n"));
        }
        if !account.iter().any(|(key, _)| *key == "base_url") {
            // Patchbay calls private addresses only where it is told to: by `base_url`, or so.
            let host = cx.base.split("://").nth(1).unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            text.push_str(&format!("[channel.http]\nallow_private = [{host:?}]\n"));
        }
        text
    }

    /// The script as it is.
    pub fn script(&self) -> Script {
        (*self.state().script).clone()
    }

    /// Changes the script, from now on.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        let now = self.now();
        let mut state = self.state();
        change(Arc::make_mut(&mut state.script));
        state.start_customers(now);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// From now on webhooks are really sent to this `http://host:port`: their receiver has moved.
    pub fn deliver_to(&self, place: &str) {
        *self.shared.deliver_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(place.to_owned());
    }

    /// Where webhooks go, as the client or the options set it.
    pub fn webhook_url(&self) -> Option<String> {
        self.state().hook.as_ref().map(|hook| hook.url.clone())
    }

    /// Forgets what was seen and what is under way; the script and the webhook are as they were at start.
    pub fn reset(&self) {
        self.state().reset(&self.shared.options);
        self.set_hook_of_options();
        self.shared.changed.notify_waiters();
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.state().records.counts
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

    /// The accepted messages, oldest first, at most [`RECENT_MAX`].
    pub fn messages(&self) -> Vec<Message> {
        self.state().records.messages.iter().cloned().collect()
    }

    /// Those that were accepted after the first `seen`, oldest first, and how many there are now.
    pub fn messages_after(&self, seen: u64) -> (u64, Vec<Message>) {
        let state = self.state();
        let (accepted, messages) = (state.records.counts.accepted, &state.records.messages);
        let new = usize::try_from(accepted.saturating_sub(seen)).unwrap_or(usize::MAX);
        (accepted, messages.iter().skip(messages.len().saturating_sub(new)).cloned().collect())
    }

    /// How often this text was accepted for this recipient.
    pub fn times(&self, to: &str, text: &str) -> u32 {
        self.state().records.times(to, text)
    }

    /// The webhooks, oldest first, at most [`RECENT_MAX`].
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.state().records.webhooks.iter().cloned().collect()
    }

    /// The files of messages that were fetched, oldest first, at most [`RECENT_MAX`].
    pub fn fetched(&self) -> Vec<Fetched> {
        self.state().records.fetched.iter().cloned().collect()
    }

    fn set_hook_of_options(&self) {
        let mut state = self.state();
        let url = self.shared.options.webhook.clone();
        let hook = url.map(|url| self.shared.provider.hook(url, &self.context(&state, 0)));
        state.hook = hook;
    }

    /// Nothing that holds the lock runs foreign code or can panic half way, so a poisoned lock is usable.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn context<'a>(&'a self, state: &'a State, number: u64) -> Context<'a> {
        let started = self.shared.options.started_at_ms;
        Context {
            credentials: &self.shared.credentials,
            hook: state.hook.as_ref(),
            media: &state.media,
            base: &state.base,
            now_ms: started.saturating_add(self.now()),
            number,
            run: started ^ self.shared.options.script.seed.rotate_left(52),
            started_ms: started,
            path: "",
            attempt: 1,
            signature: Signature::Right,
        }
    }
}
