//! The handle of a simulator: what tests, the demo and the command line use.

use std::{future::Future, sync::Arc};

use tokio::net::TcpListener;

use super::{
    core::Engine,
    options::{Options, OptionsError},
    records::{Attempt, Counts, Fetched, Webhook},
    script::Script,
    serve,
    webhooks::{self, DeliverError},
};
use crate::{
    contract::{About, Credentials, Inbound, Message},
    provider::{all, providers},
};

/// A simulated REST provider; clones are handles to the same one.
#[derive(Clone)]
pub struct Simulator {
    engine: Arc<Engine>,
}

/// Messages that were accepted since a test last asked.
#[derive(Clone, Debug)]
pub struct NewMessages {
    /// Number of all accepted messages.
    pub accepted: u64,
    /// The new ones, oldest first.
    pub messages: Vec<Message>,
}

impl Simulator {
    /// Creates a simulator. Its clock starts now and follows a paused tokio clock.
    ///
    /// # Errors
    ///
    /// Fails when the provider or a credential is unknown.
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
        Ok(Self { engine: Arc::new(Engine::new(provider, credentials, options)) })
    }

    /// Serves all connections and posts due webhooks until `shutdown` resolves; then cuts
    /// everything.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        serve::run(&self.engine, listener, shutdown).await;
    }

    /// Returns the description of the provider.
    pub fn about(&self) -> &'static About {
        self.engine.about()
    }

    /// Returns the value of a credential; empty when the account has none with this key.
    pub fn credential(&self, key: &str) -> &str {
        self.engine.credentials.get(key).map_or("", String::as_str)
    }

    /// Returns the simulator's own address; empty before it listens, unless the options name one.
    pub fn base_url(&self) -> String {
        self.engine.state().base.clone()
    }

    /// Returns the business's own address: a channel's DID.
    pub fn did(&self) -> String {
        let state = self.engine.state();
        self.engine.provider.did(&self.engine.context(&state, 0)).to_owned()
    }

    /// Returns the TOML of a matching channel in Patchbay's configuration, with the provider's name
    /// as its id.
    pub fn channel(&self, destination: &str) -> String {
        self.channel_of(self.about().name, destination)
    }

    /// Returns the TOML of a matching channel with another id.
    pub fn channel_of(&self, id: &str, destination: &str) -> String {
        let state = self.engine.state();
        let (provider, cx) = (self.engine.provider, self.engine.context(&state, 0));
        let About { name, title, .. } = provider.about();
        let did = provider.did(&cx);
        let mut text = format!(
            "[[channel]]\nid = {id:?}\nname = \"{title}, simulated\"\nprovider = {name:?}\n\
             dids = [{{ number = {did:?}, destination = {destination:?} }}]\n{}[channel.account]\n",
            if is_unsigned(name) { "unsigned = true\n" } else { "" }
        );
        let account = provider.account(&cx);
        for line in &account {
            text.push_str(&format!("{} = {:?}\n", line.key, line.value));
        }
        if !account.iter().any(|line| line.key == "base_url") {
            // Patchbay calls private addresses only if `base_url` or this names them.
            let host = cx.base.split("://").nth(1).unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            text.push_str(&format!("[channel.http]\nallow_private = [{host:?}]\n"));
        }
        text
    }

    /// Returns the current script.
    pub fn script(&self) -> Script {
        (*self.engine.state().script).clone()
    }

    /// Changes the script, from now on.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        self.engine.change(change);
    }

    /// Connects webhooks to this `http://host:port` from now on: their receiver has moved.
    pub fn deliver_to(&self, place: &str) {
        self.engine.client.deliver_to(place);
    }

    /// Returns the webhook's address, as the options or a client set it.
    pub fn webhook_url(&self) -> Option<String> {
        self.engine.state().webhook.as_ref().map(|webhook| webhook.url.clone())
    }

    /// Forgets all records and planned work; script and webhook become those of the start.
    pub fn reset(&self) {
        self.engine.reset();
    }

    /// Returns the counts.
    pub fn counts(&self) -> Counts {
        self.engine.state().records.counts
    }

    /// Waits until the counts satisfy `until`, and returns them. Never times out.
    pub async fn wait_for(&self, until: impl Fn(&Counts) -> bool) -> Counts {
        self.engine.changes.wait_for(|| self.counts(), until).await
    }

    /// Returns the accepted messages, oldest first, at most [`RECENT_MAX`](super::RECENT_MAX).
    pub fn messages(&self) -> Vec<Message> {
        self.engine.state().records.messages.iter().cloned().collect()
    }

    /// Returns the messages accepted after the first `seen`, oldest first.
    pub fn messages_after(&self, seen: u64) -> NewMessages {
        let state = self.engine.state();
        let (accepted, messages) = (state.records.counts.accepted, &state.records.messages);
        let new = usize::try_from(accepted.saturating_sub(seen)).unwrap_or(usize::MAX);
        let messages = messages.iter().skip(messages.len().saturating_sub(new)).cloned().collect();
        NewMessages { accepted, messages }
    }

    /// Returns how often this text was accepted for this recipient.
    pub fn times(&self, to: &str, text: &str) -> u32 {
        self.engine.state().records.times(to, text)
    }

    /// Returns the webhooks, oldest first, at most [`RECENT_MAX`](super::RECENT_MAX).
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.engine.state().records.webhooks.iter().cloned().collect()
    }

    /// Returns the newest attempt of a webhook.
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.engine.state().records.last_attempt.clone()
    }

    /// Returns the fetched files of messages, oldest first, at most
    /// [`RECENT_MAX`](super::RECENT_MAX).
    pub fn fetched(&self) -> Vec<Fetched> {
        self.engine.state().records.fetched.iter().cloned().collect()
    }

    /// Lets a customer write, and returns the webhook's first answers; none when the events wait
    /// for a poll. While the simulator is served, webhooks that were not acknowledged are retried
    /// in the background.
    ///
    /// # Errors
    ///
    /// Fails when the provider has no such event, or no webhook.
    pub async fn inbound(&self, inbound: &Inbound) -> Result<Vec<Attempt>, DeliverError> {
        webhooks::inbound(&self.engine, inbound).await
    }

    /// Reports on a message, and returns the webhook's first answers; none when the provider has no
    /// such report or no webhook. `status` is `sent`, `delivered`, `read`, `failed` or the
    /// provider's own word.
    ///
    /// # Errors
    ///
    /// Fails when the message is unknown.
    pub async fn receipt(
        &self,
        id: &str,
        status: &str,
        code: Option<&str>,
    ) -> Result<Vec<Attempt>, DeliverError> {
        webhooks::receipt(&self.engine, id, status, code).await
    }

    /// Performs the handshake by which the provider verifies a webhook; `None` when it has none.
    ///
    /// # Errors
    ///
    /// Fails when no webhook is configured.
    pub async fn verify(&self) -> Result<Option<Attempt>, DeliverError> {
        webhooks::verify(&self.engine).await
    }
}

/// Whether a provider offers no proof of its webhooks, so that a channel must accept that.
fn is_unsigned(provider: &str) -> bool {
    channels::provider(provider).is_some_and(|known| known.webhook == channels::Protection::Unsigned)
}
