//! Providers over HTTP, end to end: the binary against the simulated provider, configured from the
//! simulator's description. Expectations follow from a provider's description, never from its name.

use std::{collections::BTreeSet, time::Duration};

use channels::{Capabilities, Provider, Signature as Protection};
use serde_json::{Value, json};
use simulators::rest::{Attempt, Inbound, Message, Options, Script, Simulator};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{Patchbay, Setup, Sink};

mod a_bot_that_echoes_everything;
mod a_flood_of_webhooks;
mod a_provider_hangs_then_throttles;
mod a_provider_is_told_where_we_are;
mod a_provider_says_who_wrote;
mod every_one_carries_a_conversation;
mod killed_while_both_ways_run;
mod one_address_for_all_of_meta;
mod strangers;
mod what_was_accepted_is_found;

/// Patchbay's public address, as providers know and sign it.
pub(crate) const PUBLIC_URL: &str = "https://patchbay.example";

/// Further keys of a channel, beyond those of the simulator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    /// Lines below `[[channel]]`.
    pub(crate) channel: &'static str,
    /// Lines below `[channel.http]`.
    pub(crate) http: &'static str,
}

/// A simulated provider, served until it is dropped.
pub(crate) struct Simulated {
    /// The provider's name, which is also the channel's id.
    pub(crate) name: &'static str,
    pub(crate) simulator: Simulator,
    _served: JoinSet<()>,
}

impl Simulated {
    /// Starts the simulator of this provider; panics when the registry lacks one.
    pub(crate) async fn start(name: &str, script: Script) -> Self {
        Self::begin(name, script, Some(format!("{PUBLIC_URL}/webhooks/{name}"))).await
    }

    /// Starts it without a webhook: events wait for a poll, where the provider has that.
    pub(crate) async fn start_without_webhook(name: &str, script: Script) -> Self {
        Self::begin(name, script, None).await
    }

    async fn begin(name: &str, script: Script, webhook: Option<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let started_at_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap();
        let options = Options {
            provider: name.into(),
            webhook,
            base_url: Some(format!("http://{address}")),
            script,
            started_at_ms,
            ..Options::default()
        };
        let simulator = Simulator::new(options).unwrap_or_else(|e| panic!("{name} cannot be tested: {e}"));
        let (served, mut tasks) = (simulator.clone(), JoinSet::new());
        tasks.spawn(async move { served.run(listener, std::future::pending()).await });
        Self { name: simulator.about().name, simulator, _served: tasks }
    }

    /// Returns Patchbay's provider of this name.
    pub(crate) fn provider(&self) -> &'static Provider {
        channels::provider(self.name).unwrap_or_else(|| panic!("no provider is called {}", self.name))
    }

    /// Returns the capabilities of its channel in Patchbay.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let channel = match self.provider().signature() {
            Protection::None => self.provider().open_unsigned(self.account()),
            _ => self.provider().open(self.account()),
        };
        channel.unwrap().capabilities()
    }

    /// Returns `[channel.account]` from the simulator's description.
    fn account(&self) -> toml::Table {
        self.tables().1.parse().unwrap()
    }

    /// Splits the lines of `[[channel]]` from those of `[channel.account]`.
    fn tables(&self) -> (String, String) {
        let channel = self.simulator.channel("support");
        let (head, account) = channel.split_once("[channel.account]\n").unwrap();
        let account = account.split("[channel.http]").next().unwrap_or_default();
        (head.to_owned(), account.to_owned())
    }

    /// Returns every secret of the account.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let account = self.account();
        let values = self.provider().secrets.iter().filter_map(|key| account.get(*key)?.as_str());
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// Adds its channel with these keys. Private addresses are allowed, since the simulator has
    /// one.
    pub(crate) fn channel(&self, setup: Setup, keys: Keys) -> Setup {
        let (head, account) = self.tables();
        setup.tables(&format!(
            "{head}{}\n[channel.http]\nallow_private = [\"127.0.0.1\"]\n{}\n[channel.account]\n{account}",
            keys.channel, keys.http
        ))
    }

    /// Lets a customer act; returns the webhook's answers.
    pub(crate) async fn inbound(&self, inbound: Inbound) -> Vec<Attempt> {
        self.simulator.inbound(&inbound).await.unwrap_or_else(|e| panic!("{}: {inbound:?}: {e}", self.name))
    }

    /// Lets a customer act; the webhook must acknowledge it.
    pub(crate) async fn write(&self, inbound: Inbound) {
        let attempts = self.inbound(inbound).await;
        assert!(attempts.iter().all(|attempt| attempt.taken), "{}: {attempts:?}", self.name);
    }

    /// Returns the newest accepted message with this text.
    pub(crate) fn message(&self, words: &str) -> Option<Message> {
        self.simulator.messages().into_iter().rev().find(|message| message.text.contains(words))
    }
}

/// Returns a configuration for providers over HTTP, with one destination.
pub(crate) fn setup(sink: &Sink) -> Setup {
    Setup::new().http(&format!("public_url = \"{PUBLIC_URL}\"")).destination("support", &sink.url, "")
}

/// Starts Patchbay, and directs the webhooks of these simulators to it.
pub(crate) async fn start(setup: Setup, simulated: &[&Simulated]) -> Patchbay {
    let patchbay = setup.start().await;
    follow(&patchbay, simulated);
    for one in simulated {
        patchbay.until_channel(one.name, "connected").await;
    }
    patchbay
}

/// Directs webhooks to Patchbay's current address.
pub(crate) fn follow(patchbay: &Patchbay, simulated: &[&Simulated]) {
    for one in simulated {
        one.simulator.deliver_to(&patchbay.public);
    }
}

/// Returns an outbound message with this body, between the addresses of an inbound one.
pub(crate) fn out(id: &str, about: &Value, body: Value) -> Value {
    let of = |key: &str| about["header"]["channelData"][key].clone();
    json!({
        "id": id,
        "header": {
            "channelData": {
                "channelCustomerIdentifier": of("channelCustomerIdentifier"),
                "serviceIdentifier": of("serviceIdentifier"),
            },
            "sender": { "id": "agent-7", "type": "AGENT", "senderName": "Ann" },
        },
        "body": body,
    })
}

/// Returns an outbound text, between the addresses of an inbound message.
pub(crate) fn text(id: &str, about: &Value, words: &str) -> Value {
    out(id, about, json!({ "type": "PLAIN", "markdownText": words }))
}

/// Returns a script without automatic receipts.
pub(crate) fn no_receipts() -> Script {
    Script { receipt_sent_ms: 0, receipt_delivered_ms: 0, receipt_read_ms: 0, ..Script::default() }
}

/// Returns a number from the environment, or the suite's default.
pub(crate) fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// Time within which an event that must not happen would have happened.
pub(crate) const NEVER: Duration = Duration::from_millis(300);
