//! An SMPP link: binds, and binds again after a loss with growing pauses and jitter. When the
//! credentials are refused the pauses are long from the first, because repeated wrong passwords get
//! accounts locked.

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
use message::{ChannelId, event::Cause};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;

use crate::{
    actor::link::{
        LinkArguments,
        smpp_connection::{self, Command, Connection, End},
    },
    context::Context,
    domain::backoff::{Backoff, CREDENTIALS},
    protocol::{
        channel::ChannelMessage,
        link::{LinkCommand, LinkEvent, LinkPart, LinkReport, LinkStatus, PartAnswer},
        recipient::Recipient,
    },
    seams::{Target, Tls},
};

/// First pause before another attempt to bind, in milliseconds.
const BACKOFF_FIRST_MS: u64 = 1_000;
/// Longest pause before another attempt to bind, in milliseconds.
const BACKOFF_MAX_MS: u64 = 60_000;
/// A bind that holds so long, in milliseconds, ends the growth of the pauses. A provider that
/// unbinds at once is tried more and more rarely.
const STABLE_MS: u64 = 10_000;

pub(crate) struct SmppLink;

/// Input of an SMPP link's actor: commands of its channel, and its own notes.
pub(crate) enum SmppLinkInput {
    Command(LinkCommand),
    /// The pause after the connection of this number is over.
    ConnectDue(u32),
    /// The connection of this number ended.
    Ended(u32, End),
}

impl From<LinkCommand> for SmppLinkInput {
    fn from(command: LinkCommand) -> Self {
        Self::Command(command)
    }
}

pub(crate) struct SmppLinkState {
    context: Arc<Context>,
    channel: ChannelId,
    myself: ActorRef<SmppLinkInput>,
    owner: Recipient<ChannelMessage>,
    account: Account,
    errors: BTreeMap<u32, Class>,
    bind: BindKind,
    link: u16,
    run: u32,
    /// The number of the newest connection.
    number: u32,
    connection: Option<mpsc::UnboundedSender<Command>>,
    backoff: Backoff,
    /// Pauses after refused credentials.
    refusals: Backoff,
    attempts: u32,
    /// The number of restarts by an operator.
    epoch: u32,
    /// Connections up to this number were begun before the last restart: their refusal says nothing
    /// about the credentials now.
    begun_before: u32,
    /// Whether it stays away because the credentials are refused.
    is_suspended: bool,
    is_stopped: bool,
}

impl Actor for SmppLink {
    type Msg = SmppLinkInput;
    type State = SmppLinkState;
    type Arguments = LinkArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SmppLinkInput>,
        arguments: LinkArguments,
    ) -> Result<SmppLinkState, ActorProcessingErr> {
        let LinkArguments { context, channel, link, run, epoch, owner } = arguments;
        let entry = context.directory.channel(channel).ok_or("no such channel")?;
        let LinkKind::Smpp(account) = entry.channel().link() else { return Err("no SMPP account".into()) };
        let (account, channel) = (account.clone(), entry.config.id.clone());
        let errors = account.errors.clone();
        let bind = account.connections().get(usize::from(link)).copied().unwrap_or(BindKind::Transceiver);
        myself.cast(SmppLinkInput::ConnectDue(0))?;
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        Ok(SmppLinkState {
            context,
            channel,
            myself,
            owner,
            account,
            errors,
            bind,
            link,
            run,
            number: 0,
            connection: None,
            backoff,
            refusals: CREDENTIALS,
            attempts: 0,
            epoch,
            begun_before: 0,
            is_suspended: false,
            is_stopped: false,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<SmppLinkInput>,
        input: SmppLinkInput,
        state: &mut SmppLinkState,
    ) -> Result<(), ActorProcessingErr> {
        match input {
            SmppLinkInput::Command(command) => state.on_command(command),
            SmppLinkInput::ConnectDue(number) => {
                if number == state.number && state.connection.is_none() && !state.is_stopped {
                    state.connect();
                }
            }
            SmppLinkInput::Ended(number, end) => {
                if number == state.number {
                    state.on_ended(end);
                }
            }
        }
        Ok(())
    }
}

impl SmppLinkState {
    fn on_command(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Submit(parts) => self.submit(parts),
            LinkCommand::Acknowledge(tokens) => {
                self.command(Command::Acknowledge(tokens));
            }
            LinkCommand::Query(queries) => {
                self.command(Command::Query(queries));
            }
            LinkCommand::Restart { epoch } => self.restart(epoch),
            LinkCommand::Suspend(cause) => self.suspend(&cause),
            LinkCommand::Stop => {
                self.is_stopped = true;
                if self.command(Command::Close).is_some() {
                    self.report_status(LinkStatus::Stopped, "stopped".to_owned());
                }
            }
            // Only HTTP links make calls.
            LinkCommand::FireAndForget(_) | LinkCommand::Profile(..) => {}
        }
    }

    fn restart(&mut self, epoch: u32) {
        (self.epoch, self.begun_before) = (epoch, self.number);
        (self.is_stopped, self.is_suspended) = (false, false);
        self.backoff.reset();
        self.refusals.reset();
        if self.connection.is_none() {
            self.connect();
        }
    }

    /// Stays away because the channel's credentials are refused.
    fn suspend(&mut self, cause: &Cause) {
        if self.is_suspended || self.is_stopped {
            return;
        }
        self.is_suspended = true;
        if self.connection.is_some() {
            self.command(Command::Close);
        } else {
            self.wait(format!("{} ({})", cause.reason, cause.code));
        }
    }

    fn report(&self, events: Vec<LinkEvent>) {
        self.owner.tell(ChannelMessage::FromLink(LinkReport { link: self.link, run: self.run, events }));
    }

    fn report_status(&self, status: LinkStatus, reason: String) {
        self.report(vec![LinkEvent::Trying { attempts: self.attempts, status, reason, next_ms: None }]);
    }

    /// Sends a command to the connection; returns it if none is open.
    fn command(&self, command: Command) -> Option<Command> {
        match &self.connection {
            Some(connection) => connection.send(command).err().map(|e| e.0),
            None => Some(command),
        }
    }

    fn submit(&mut self, parts: Vec<LinkPart>) {
        if let Some(Command::Submit(parts)) = self.command(Command::Submit(parts)) {
            let unsent = parts.iter().map(|p| LinkEvent::Answered(p.token, PartAnswer::NotSent));
            self.report(unsent.collect());
        }
    }

    fn connect(&mut self) {
        self.number = self.number.wrapping_add(1);
        self.attempts = self.attempts.saturating_add(1);
        self.is_suspended = false;
        let (commands, receiver) = mpsc::unbounded_channel();
        self.connection = Some(commands);
        metrics::counter!("patchbay_link_attempts_total", "channel" => self.channel.to_string()).increment(1);
        self.report_status(LinkStatus::Connecting, String::new());
        let tls = match self.account.tls {
            true => Tls::trusting(self.account.tls_ca.as_deref().map(Arc::from)),
            false => Tls::Off,
        };
        let connection = Connection {
            context: self.context.clone(),
            owner: self.owner.clone(),
            link: self.link,
            run: self.run,
            number: self.number,
            account: self.account.clone(),
            config: self.config(),
            errors: self.errors.clone(),
            target: Target { host: Arc::from(&*self.account.host), port: self.account.port, tls },
        };
        let (myself, number) = (self.myself.clone(), self.number);
        #[allow(clippy::disallowed_methods, reason = "the connection reports its end to this actor")]
        tokio::spawn(async move {
            let end = smpp_connection::run(connection, receiver).await;
            let _link_gone = myself.cast(SmppLinkInput::Ended(number, end));
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
            addr_ton: self.account.addr_ton,
            addr_npi: self.account.addr_npi,
            bind_timeout_ms: ms(self.account.bind_timeout),
            peer: PeerConfig {
                window: usize::from(self.account.window),
                enquire_link_ms: ms(self.account.enquire_link),
                reply_timeout_ms: ms(self.account.reply_timeout),
                ..PeerConfig::default()
            },
        }
    }

    /// Decides from the end of a connection when to connect again.
    fn on_ended(&mut self, end: End) {
        self.connection = None;
        if end.has_accepted || end.bound_ms >= STABLE_MS {
            self.backoff.reset();
            self.attempts = 0;
        }
        if end.has_accepted {
            self.refusals.reset();
        }
        if self.is_stopped {
            return self.report_status(LinkStatus::Stopped, "stopped".to_owned());
        }
        match end.close {
            Some(CloseReason::BindRefused(code)) if self.refuses_credentials(code) => {
                if self.number <= self.begun_before {
                    return self.connect();
                }
                self.is_suspended = true;
                self.wait(end.reason);
                let cause = Cause::new(format!("0x{code:08X}"), status::describe(code));
                self.report(vec![LinkEvent::CredentialsRefused { cause, epoch: self.epoch }]);
            }
            _ => self.wait(end.reason),
        }
    }

    fn refuses_credentials(&self, code: u32) -> bool {
        status::class(code, &self.errors) == Class::CredentialsRefused
    }

    /// Connects again after a pause.
    fn wait(&mut self, reason: String) {
        let (pause, status) = match self.is_suspended {
            true => (self.refusals.next_ms(), LinkStatus::Stopped),
            false => (self.backoff.next_ms(), LinkStatus::Waiting),
        };
        let pause = self.context.with_jitter(pause);
        let reason = format!("{reason}; next try in {} s", pause.div_ceil(1_000));
        if self.is_suspended {
            tracing::warn!(channel = %self.channel, link = self.link + 1, reason, "credentials refused");
        }
        let (attempts, next_ms) = (self.attempts, Some(pause));
        self.report(vec![LinkEvent::Trying { attempts, status, reason, next_ms }]);
        // A timer of an earlier pause must not end this one.
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        let due = move || SmppLinkInput::ConnectDue(number);
        self.myself.send_after(Duration::from_millis(pause), due);
    }
}
