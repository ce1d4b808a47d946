//! An SMPP link: binds, and binds again after a loss with growing pauses and jitter. It stops when
//! the credentials are refused, because repeated wrong passwords get accounts locked.

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
        smpp_connection::{self, Command, Connection, End},
    },
    context::Context,
    domain::backoff::Backoff,
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
    attempts: u32,
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
        let LinkArguments { context, channel, link, run, owner } = arguments;
        let entry = context.directory.channel(channel).ok_or("no such channel")?;
        let LinkKind::Smpp(account) = entry.channel().link() else { return Err("no SMPP account".into()) };
        let account = account.clone();
        let errors = account.errors.clone();
        let bind = account.connections().get(usize::from(link)).copied().unwrap_or(BindKind::Transceiver);
        myself.cast(SmppLinkInput::ConnectDue(0))?;
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        Ok(SmppLinkState {
            context,
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
            attempts: 0,
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
            LinkCommand::Restart => {
                self.is_stopped = false;
                self.backoff.reset();
                if self.connection.is_none() {
                    self.connect();
                }
            }
            LinkCommand::Stop => {
                self.is_stopped = true;
                self.command(Command::Close);
            }
            // Only HTTP links make calls.
            LinkCommand::FireAndForget(_) | LinkCommand::Profile(..) => {}
        }
    }

    fn report(&self, events: Vec<LinkEvent>) {
        self.owner.tell(ChannelMessage::FromLink(LinkReport { link: self.link, run: self.run, events }));
    }

    fn report_status(&self, status: LinkStatus, reason: String) {
        self.report(vec![LinkEvent::Trying { attempts: self.attempts, status, reason }]);
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
        let (commands, receiver) = mpsc::unbounded_channel();
        self.connection = Some(commands);
        metrics::counter!("patchbay_link_attempts_total").increment(1);
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

    /// Decides from the end of a connection when to connect again.
    fn on_ended(&mut self, end: End) {
        self.connection = None;
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
            self.report_status(LinkStatus::Stopped, end.reason);
            let cause = Cause::new(format!("0x{code:08X}"), status::describe(code));
            return self.report(vec![LinkEvent::CredentialsRefused(cause)]);
        }
        if self.is_stopped {
            return self.report_status(LinkStatus::Stopped, "stopped".to_owned());
        }
        let pause = match class {
            Some(Class::BindRetryLater { after_ms }) => after_ms,
            _ => self.backoff.next_ms(),
        };
        let pause = self.context.with_jitter(pause);
        let reason = format!("{}; next try in {} s", end.reason, pause.div_ceil(1_000));
        self.report_status(LinkStatus::Waiting, reason);
        let number = self.number;
        let due = move || SmppLinkInput::ConnectDue(number);
        self.myself.send_after(Duration::from_millis(pause), due);
    }
}
