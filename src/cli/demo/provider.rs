//! The simulated providers of the demo, one for each channel, in this process.

use std::net::SocketAddr;

use actors::seams::Clock;
use simulators::{
    rest::{self, Inbound, Kind, NewMessages, Options, Signature, Simulator},
    smsc::{self, Mo, MoOrder, Seen, Smsc},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::{
    channel::Channel,
    fact::{FACTS_MAX, Fact, Shown},
};
use crate::{cli::sim::Sms, run::Failure, seams::SystemClock};

/// How long the simulated providers take to answer, and until a message is sent, delivered and
/// read.
const LATENCY_MS: u64 = 10;
const SENT_MS: u64 = 40;
const DELIVERED_MS: u64 = 80;
const READ_MS: u64 = 160;
/// The business's number for SMS.
const SMS_NUMBER: &str = "5155";
/// The number of the customer who writes SMS.
const SMS_CUSTOMER: &str = "4917600000001";
/// A picture of a damaged parcel.
const PICTURE: &[u8] = include_bytes!("parcel.png");

/// The provider of a channel.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) channel: Channel,
    /// The business's own address at the provider.
    pub(super) did: String,
    /// The customer of the script.
    pub(super) customer: String,
    /// The address it listens on.
    pub(super) address: SocketAddr,
    side: Side,
}

#[derive(Clone)]
enum Side {
    Smsc(Smsc),
    Rest(Simulator),
}

impl Provider {
    /// Starts a provider on a loopback port; 0 is any free one. It reports what it sees, and calls
    /// webhooks below `public_url`.
    pub(super) async fn start(
        channel: Channel,
        port: u16,
        public_url: &str,
        players: &mut JoinSet<()>,
        tell: mpsc::Sender<Fact>,
    ) -> Result<Self, Failure> {
        let tcp = TcpListener::bind(("127.0.0.1", port)).await.map_err(|e| {
            Failure::Running(format!("cannot listen on 127.0.0.1:{port}: {e}; choose another --port"))
        })?;
        let address = tcp.local_addr().map_err(Failure::running)?;
        if channel == Channel::Sms {
            let smsc = smsc();
            let seen = smsc.observe(FACTS_MAX);
            players.spawn(watch_smsc(seen, tell));
            let served = smsc.clone();
            players.spawn(async move { served.run(tcp, std::future::pending()).await });
            let (did, customer) = (SMS_NUMBER.to_owned(), SMS_CUSTOMER.to_owned());
            return Ok(Self { channel, did, customer, address, side: Side::Smsc(smsc) });
        }
        let simulator = rest(channel, address, public_url)?;
        players.spawn(watch_rest(channel, simulator.clone(), tell));
        let served = simulator.clone();
        players.spawn(async move { served.run(tcp, std::future::pending()).await });
        let (did, customer) = (simulator.did(), simulator.about().customer.to_owned());
        Ok(Self { channel, did, customer, address, side: Side::Rest(simulator) })
    }

    /// Returns the provider's name for people.
    pub(super) fn title(&self) -> &'static str {
        match &self.side {
            Side::Smsc(_) => "SMS centre (SMPP)",
            Side::Rest(simulator) => simulator.about().title,
        }
    }

    /// Returns the URL of the control API; `None` for the SMSC.
    pub(super) fn control(&self) -> Option<String> {
        matches!(self.side, Side::Rest(_)).then(|| format!("http://{}", self.address))
    }

    /// Returns the `[[channel]]` that a user would write for this provider.
    pub(super) fn configuration(&self) -> String {
        match &self.side {
            Side::Smsc(_) => {
                let sms = Sms {
                    id: self.channel.id(),
                    name: "SMS centre, simulated",
                    number: &self.did,
                    destination: "bot",
                    address: self.address,
                    account: ("demo", "demo"),
                };
                sms.configuration()
            }
            Side::Rest(simulator) => simulator.channel_of(self.channel.id(), "bot"),
        }
    }

    /// Whether an address is the business's own, in any spelling.
    pub(super) fn is_own(&self, did: &str) -> bool {
        self.did.trim_start_matches('+') == did.trim_start_matches('+')
    }

    /// Lets a customer write a text.
    pub(super) async fn write(&self, from: &str, text: &str) -> Result<(), Failure> {
        self.does(from, Inbound { text: text.into(), ..Inbound::default() }).await
    }

    /// Lets the script's customer write a text; if it has several parts, they arrive in reverse
    /// order.
    pub(super) async fn write_shuffled(&self, text: &str) -> Result<(), Failure> {
        match &self.side {
            Side::Smsc(smsc) => self.mo(smsc, &self.customer, text, MoOrder::Reversed),
            Side::Rest(_) => self.write(&self.customer, text).await,
        }
    }

    /// Lets the script's customer tap a button.
    pub(super) async fn choose(&self, shown: &Shown, title: &str, payload: &str) -> Result<(), Failure> {
        let kind = Kind::Button;
        let (text, payload, about) = (title.into(), payload.into(), shown.id.clone());
        self.does(&self.customer, Inbound { kind, text, payload, about, ..Inbound::default() }).await
    }

    /// Lets the script's customer send a picture.
    pub(super) async fn send_picture(&self, caption: &str) -> Result<(), Failure> {
        let inbound = Inbound {
            kind: Kind::Image,
            text: caption.into(),
            content: channels::toolkit::auth::base64(PICTURE),
            mime: "image/png".into(),
            file_name: "parcel.png".into(),
            ..Inbound::default()
        };
        self.does(&self.customer, inbound).await
    }

    /// Calls the webhook with a wrong signature; returns the status of the answer.
    pub(super) async fn forge(&self, text: &str) -> Result<Option<u16>, Failure> {
        let Side::Rest(simulator) = &self.side else { return Ok(None) };
        let inbound = Inbound { text: text.into(), signature: Signature::Wrong, ..Inbound::default() };
        // A forger does not try again.
        simulator.change(|script| script.webhook_tries_max = 1);
        let attempts = simulator.inbound(&inbound).await;
        simulator.change(|script| script.webhook_tries_max = 0);
        let attempts = attempts.map_err(Failure::running)?;
        Ok(attempts.last().and_then(|attempt| attempt.status))
    }

    async fn does(&self, from: &str, inbound: Inbound) -> Result<(), Failure> {
        let simulator = match &self.side {
            Side::Smsc(smsc) => return self.mo(smsc, from, &inbound.text, MoOrder::Straight),
            Side::Rest(simulator) => simulator,
        };
        let attempts = simulator.inbound(&Inbound { from: from.into(), ..inbound }).await;
        match attempts.map_err(Failure::running)?.iter().find(|attempt| !attempt.taken) {
            // The provider tries again by itself; the script waits for the result.
            Some(attempt) => Err(Failure::Running(format!(
                "{}: the router refused the webhook: {}",
                self.channel.label(),
                attempt.error.as_deref().unwrap_or(&attempt.body)
            ))),
            None => Ok(()),
        }
    }

    fn mo(&self, smsc: &Smsc, from: &str, text: &str, order: MoOrder) -> Result<(), Failure> {
        let mo = Mo { from: from.into(), to: self.did.clone(), text: text.into(), order, ..Mo::default() };
        smsc.send_mo(&mo).map(|_| ()).map_err(Failure::running)
    }
}

fn smsc() -> Smsc {
    Smsc::new(smsc::SmscScript {
        accounts: [("demo".to_owned(), "demo".to_owned())].into(),
        latency_ms: LATENCY_MS,
        receipt_delay_ms: DELIVERED_MS,
        started_at_s: SystemClock.now().0 / 1000,
        ..smsc::SmscScript::default()
    })
}

fn rest(channel: Channel, address: SocketAddr, public_url: &str) -> Result<Simulator, Failure> {
    let options = Options {
        provider: channel.provider().into(),
        webhook: Some(format!("{public_url}/webhooks/{}", channel.id())),
        base_url: Some(format!("http://{address}")),
        script: rest::Script {
            latency_ms: LATENCY_MS,
            receipt_sent_ms: SENT_MS,
            receipt_delivered_ms: DELIVERED_MS,
            receipt_read_ms: READ_MS,
            ..rest::Script::default()
        },
        started_at_ms: SystemClock.now().0,
        ..Options::default()
    };
    Simulator::new(options).map_err(Failure::running)
}

async fn watch_smsc(mut seen: mpsc::Receiver<Seen>, tell: mpsc::Sender<Fact>) {
    while let Some(seen) = seen.recv().await {
        let fact = match seen {
            Seen::Bound { .. } => Fact::Bound,
            Seen::Message(m) => {
                let (to, text) = (m.destination.into(), m.text.into());
                let shown = Shown { to, text, parts: m.parts, ..Shown::default() };
                Fact::Shown { channel: Channel::Sms, shown }
            }
            _ => continue,
        };
        if tell.send(fact).await.is_err() {
            return;
        }
    }
}

async fn watch_rest(channel: Channel, simulator: Simulator, tell: mpsc::Sender<Fact>) {
    let mut told = 0;
    loop {
        simulator.wait_for(|counts| counts.accepted > told).await;
        let NewMessages { accepted, messages } = simulator.messages_after(told);
        told = accepted;
        for message in messages {
            let rest::Message { id, to, text, buttons, .. } = message;
            let shown = Shown { id, to, text, buttons, parts: 1 };
            if tell.send(Fact::Shown { channel, shown }).await.is_err() {
                return;
            }
        }
    }
}
