//! An SMPP link: binds, binds again after a loss with growing pauses and jitter, and stays away when the
//! credentials are refused, since repeated wrong passwords get accounts locked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use channels::{
    LinkKind,
    smpp::{
        CloseReason, PeerConfig,
        account::Account,
        pdu::BindKind,
        session::Config,
        status::{self, Class},
    },
};
use message::event::Cause;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;

use crate::{
    actor::link::{
        LinkArguments,
        smpp_connection::{self, Command, End, Pump},
    },
    context::Shared,
    domain::backoff::{Backoff, jitter_of},
    protocol::{
        channel::ChannelMessage,
        link::{Answer, LinkEvent, LinkMessage, LinkPart},
    },
    seams::Target,
};

const BACKOFF_FIRST_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 60_000;

/// The actor.
pub(crate) struct SmppLink;

/// Its state.
pub(crate) struct State {
    shared: Arc<Shared>,
    myself: ActorRef<LinkMessage>,
    owner: ActorRef<ChannelMessage>,
    account: Account,
    errors: BTreeMap<u32, Class>,
    bind: BindKind,
    link: u16,
    /// Counts connections; each has its own.
    epoch: u32,
    pump: Option<mpsc::UnboundedSender<Command>>,
    backoff: Backoff,
    attempts: u32,
    is_stopped: bool,
}

impl Actor for SmppLink {
    type Msg = LinkMessage;
    type State = State;
    type Arguments = LinkArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<LinkMessage>,
        arguments: LinkArguments,
    ) -> Result<State, ActorProcessingErr> {
        let LinkArguments { shared, channel, link, owner } = arguments;
        let entry = shared.channels.get(channel).ok_or("no such channel")?;
        let LinkKind::Smpp(account) = entry.channel().link() else { return Err("no SMPP account".into()) };
        let account = account.clone();
        let errors = account.errors.clone();
        let bind = account.connections().get(usize::from(link)).copied().unwrap_or(BindKind::Transceiver);
        myself.cast(LinkMessage::Connect(0))?;
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        Ok(State {
            shared,
            myself,
            owner,
            account,
            errors,
            bind,
            link,
            epoch: 0,
            pump: None,
            backoff,
            attempts: 0,
            is_stopped: false,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<LinkMessage>,
        message: LinkMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            LinkMessage::Submit(parts) => state.submit(parts),
            LinkMessage::Acknowledge(tokens) => {
                state.command(Command::Acknowledge(tokens));
            }
            LinkMessage::Query(queries) => {
                state.command(Command::Query(queries));
            }
            LinkMessage::Connect(epoch) => {
                if epoch == state.epoch && state.pump.is_none() && !state.is_stopped {
                    state.connect();
                }
            }
            LinkMessage::Restart => {
                state.is_stopped = false;
                state.backoff.reset();
                if state.pump.is_none() {
                    state.connect();
                }
            }
            LinkMessage::Stop => {
                state.is_stopped = true;
                state.command(Command::Close);
            }
            // These are of links that call an API.
            LinkMessage::Told(_) | LinkMessage::Extra(_) | LinkMessage::Profile(..) | LinkMessage::SetUp => {}
            LinkMessage::Ended(epoch, end) => {
                if epoch == state.epoch {
                    state.ended(end);
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn tell(&self, events: Vec<LinkEvent>) {
        let _channel_gone = self.owner.cast(ChannelMessage::FromLink(self.link, self.epoch, events));
    }

    /// Gives a command to the connection; back when there is none.
    fn command(&self, command: Command) -> Option<Command> {
        match &self.pump {
            Some(pump) => pump.send(command).err().map(|e| e.0),
            None => Some(command),
        }
    }

    fn submit(&mut self, parts: Vec<LinkPart>) {
        if let Some(Command::Submit(parts)) = self.command(Command::Submit(parts)) {
            self.tell(parts.iter().map(|p| LinkEvent::Answered(p.token, Answer::NotSent)).collect());
        }
    }

    fn connect(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.attempts = self.attempts.saturating_add(1);
        let (commands, receiver) = mpsc::unbounded_channel();
        self.pump = Some(commands);
        metrics::counter!("patchbay_link_attempts_total").increment(1);
        self.tell(vec![LinkEvent::Trying {
            attempts: self.attempts,
            status: "connecting",
            reason: String::new(),
        }]);
        let tls = self.account.tls.then(|| self.account.tls_ca.as_deref().map(Arc::from));
        let pump = Pump {
            shared: self.shared.clone(),
            owner: self.owner.clone(),
            link: self.link,
            epoch: self.epoch,
            account: self.account.clone(),
            config: self.config(),
            errors: self.errors.clone(),
            target: Target { host: Arc::from(&*self.account.host), port: self.account.port, tls },
        };
        let (myself, epoch) = (self.myself.clone(), self.epoch);
        #[allow(
            clippy::disallowed_methods,
            reason = "the connection belongs to this actor, which is told of its end"
        )]
        tokio::spawn(async move {
            let end = smpp_connection::run(pump, receiver).await;
            let _link_gone = myself.cast(LinkMessage::Ended(epoch, end));
        });
    }

    fn config(&self) -> Config {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Config {
            bind: self.bind,
            system_id: self.account.system_id.to_string(),
            password: self.account.password.expose_secret().to_owned(),
            system_type: self.account.system_type.to_string(),
            interface_version: self.account.interface_version,
            address_range: self.account.address_range.to_string(),
            bind_timeout_ms: ms(self.account.bind_timeout),
            peer: PeerConfig {
                window: usize::from(self.account.window),
                enquire_link_ms: ms(self.account.enquire_link),
                reply_timeout_ms: ms(self.account.reply_timeout),
                ..PeerConfig::default()
            },
            ..Config::default()
        }
    }

    /// The connection ended: when it is tried again follows from why.
    fn ended(&mut self, end: End) {
        self.pump = None;
        if end.was_bound {
            self.backoff.reset();
            self.attempts = 0;
        }
        let refused = match end.close {
            Some(CloseReason::BindRefused(code)) => Some(code),
            _ => None,
        };
        let class = refused.map(|code| status::class(code, &self.errors));
        if let (Some(code), Some(Class::CredentialsRefused)) = (refused, class) {
            self.is_stopped = true;
            let cause = Cause::new(format!("0x{code:08X}"), status::describe(code));
            self.tell(vec![
                LinkEvent::Trying { attempts: self.attempts, status: "stopped", reason: end.reason },
                LinkEvent::Refused(cause),
            ]);
            return;
        }
        if self.is_stopped {
            let reason = "stopped".to_owned();
            self.tell(vec![LinkEvent::Trying { attempts: self.attempts, status: "stopped", reason }]);
            return;
        }
        let pause = match class {
            Some(Class::BindRetryLater { after_ms }) => after_ms,
            _ => self.backoff.next_ms(),
        };
        let pause = pause + self.shared.seams.ids.jitter(jitter_of(pause));
        let reason = format!("{}; next try in {} s", end.reason, pause.div_ceil(1_000));
        self.tell(vec![LinkEvent::Trying { attempts: self.attempts, status: "waiting", reason }]);
        let epoch = self.epoch;
        self.myself.send_after(Duration::from_millis(pause), move || LinkMessage::Connect(epoch));
    }
}
