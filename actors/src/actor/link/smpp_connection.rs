//! One SMPP connection from connect to close: moves bytes between the socket and the sans-IO
//! session, and reports events to the channel. Each part gets exactly one answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::BytesMut;
use channels::{
    SendError,
    smpp::{
        Answer as Reply, CloseReason, NoReply, ReplyToken, SubmitError,
        account::Account,
        pdu::QuerySm,
        session::{Config, Session, SessionEvent},
        status::{self, Class},
        submit::{self, Expiry},
    },
};
use message::event::{Cause, DoubtCause};
use storage::invariant;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    context::Context,
    protocol::{
        channel::ChannelMessage,
        link::{LinkEvent, LinkPart, LinkReport, LinkToken, PartAnswer, QUERY},
        part::Query,
        recipient::Recipient,
    },
    seams::{Stream, Target},
};

/// Size of the read buffer, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Maximum time to write the last bytes when the session is over, in milliseconds.
const LAST_WRITE_MS: u64 = 1_000;
/// Time until the loop wakes when no timer is armed, in milliseconds.
const IDLE_MS: u64 = 60_000;

/// Age of a bind, in milliseconds, from which on the credentials that it proved may have changed: a
/// submit that is refused because of them makes the link bind again.
const PROOF_MS: u64 = 60_000;
/// Pause of the channel while a link rebinds, in milliseconds.
const REBIND_PAUSE_MS: u64 = 1_000;

/// A command from the link to its connection.
pub(crate) enum Command {
    Submit(Vec<LinkPart>),
    Acknowledge(Vec<ReplyToken>),
    Query(Vec<Query>),
    Close,
}

/// The parameters of a connection.
pub(crate) struct Connection {
    pub(crate) context: Arc<Context>,
    pub(crate) owner: Recipient<ChannelMessage>,
    pub(crate) link: u16,
    /// The run of the link's actor, for its reports.
    pub(crate) run: u32,
    /// The number of this connection of the link.
    pub(crate) number: u32,
    pub(crate) account: Account,
    pub(crate) config: Config,
    pub(crate) target: Target,
    /// Command statuses whose meaning the account overrides.
    pub(crate) errors: BTreeMap<u32, Class>,
}

/// The end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    /// How long it was bound, in milliseconds.
    pub(crate) bound_ms: u64,
    /// Whether the provider accepted a part.
    pub(crate) has_accepted: bool,
    pub(crate) close: Option<CloseReason>,
    pub(crate) reason: String,
}

impl End {
    fn unbound(reason: String) -> Self {
        Self { bound_ms: 0, has_accepted: false, close: None, reason }
    }
}

/// Runs one connection to its end. Reports `Down` last, after the answers to all parts.
pub(crate) async fn run(connection: Connection, mut commands: mpsc::UnboundedReceiver<Command>) -> End {
    let connecting = connection.context.seams.connector.connect(connection.target.clone());
    let end = match timeout(connection.account.connect_timeout, connecting).await {
        Err(_) => End::unbound(format!("no connection to {}", place(&connection.target))),
        Ok(Err(error)) => End::unbound(format!("no connection to {}: {error}", place(&connection.target))),
        Ok(Ok(stream)) => connected(&connection, stream, &mut commands).await,
    };
    commands.close();
    let mut events = Vec::new();
    while let Ok(command) = commands.try_recv() {
        if let Command::Submit(parts) = command {
            events.extend(parts.iter().map(|p| LinkEvent::Answered(p.token, PartAnswer::NotSent)));
        }
    }
    events.push(LinkEvent::Down { reason: end.reason.clone() });
    report(&connection, events);
    end
}

fn place(target: &Target) -> String {
    format!("{}:{}", target.host, target.port)
}

fn report(connection: &Connection, events: Vec<LinkEvent>) {
    let report = LinkReport { link: connection.link, run: connection.run, events };
    connection.owner.tell(ChannelMessage::FromLink(report));
}

struct Driver<'a> {
    connection: &'a Connection,
    session: Session<LinkToken>,
    /// When it was bound, in monotonic milliseconds.
    bound_at_ms: Option<u64>,
    has_accepted: bool,
    closed: Option<CloseReason>,
    bad_pdus: u64,
    /// The provider reports the wrong bind state: unbind and bind again.
    must_rebind: bool,
    events: Vec<LinkEvent>,
}

async fn connected(
    connection: &Connection,
    stream: Box<dyn Stream>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> End {
    let session = match Session::new(
        &connection.config,
        u64::from(connection.number),
        connection.context.monotonic_ms(),
    ) {
        Ok(session) => session,
        Err(error) => {
            let reason = format!("the bind cannot be written: {error}");
            return End::unbound(reason);
        }
    };
    let (mut read, mut write) = tokio::io::split(stream);
    let mut driver = Driver {
        connection,
        session,
        bound_at_ms: None,
        has_accepted: false,
        closed: None,
        bad_pdus: 0,
        must_rebind: false,
        events: Vec::new(),
    };
    driver.drive(&mut read, &mut write, commands).await;
    let left = driver.events.len();
    invariant!(left == 0, "link {} ends with {left} events that nobody was told", connection.link);
    let rest = write.write_all(driver.session.peer().transmit());
    let _lost = timeout(Duration::from_millis(LAST_WRITE_MS), rest).await;
    let _lost = timeout(Duration::from_millis(LAST_WRITE_MS), write.shutdown()).await;
    let close = driver.closed;
    End {
        bound_ms: driver.bound_ms(),
        has_accepted: driver.has_accepted,
        close,
        reason: reason_of(close, &connection.target),
    }
}

impl Driver<'_> {
    async fn drive(
        &mut self,
        read: &mut ReadHalf<Box<dyn Stream>>,
        write: &mut WriteHalf<Box<dyn Stream>>,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        // Without its owner the connection still waits for the answer to its unbind.
        let mut has_owner = true;
        loop {
            let now = self.now();
            if self.session.poll_timeout().is_some_and(|at| at <= now) {
                self.session.handle_timeout(now);
            }
            self.drain_events();
            if self.closed.is_some() {
                return;
            }
            let wait = self.session.poll_timeout().map_or(IDLE_MS, |at| at.saturating_sub(now).max(1));
            let reads = self.session.peer().wants_read();
            let has_output = !self.session.peer().transmit().is_empty();
            tokio::select! {
                biased;
                command = commands.recv(), if has_owner => match command {
                    Some(command) => {
                        self.command(command);
                        while let Ok(command) = commands.try_recv() {
                            self.command(command);
                        }
                    }
                    None => {
                        has_owner = false;
                        self.session.close(now);
                    }
                },
                written = write.write(self.session.peer().transmit()), if has_output => match written {
                    Ok(octets) if octets > 0 => self.session.peer_mut().transmitted(octets),
                    _ => self.session.handle_eof(self.connection.context.monotonic_ms()),
                },
                got = read.read_buf(&mut buffer), if reads => match got {
                    Ok(octets) if octets > 0 => {
                        let now = self.now();
                        self.session.handle_bytes(&buffer, now);
                        buffer.clear();
                    }
                    _ => self.session.handle_eof(self.connection.context.monotonic_ms()),
                },
                () = sleep_until(Instant::now() + Duration::from_millis(wait)) => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.connection.context.monotonic_ms()
    }

    /// How long it has been bound, in milliseconds.
    fn bound_ms(&self) -> u64 {
        self.bound_at_ms.map_or(0, |at| self.now().saturating_sub(at))
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Submit(parts) => {
                for part in parts {
                    self.submit(part);
                }
            }
            Command::Acknowledge(tokens) => {
                let now = self.now();
                for token in tokens {
                    self.session.ack(token, 0, now);
                }
            }
            Command::Query(queries) => {
                for query in queries {
                    self.query(&query);
                }
            }
            Command::Close => self.session.close(self.now()),
        }
    }

    fn submit(&mut self, part: LinkPart) {
        let LinkPart { token, message } = part;
        let account = &self.connection.account;
        let wall = self.connection.context.now();
        let expiry = message.expires_at.map(|at| Expiry { at, now: wall });
        if !message.did.is_ascii() {
            let reason =
                format!("the sender {:?} is not ASCII, and SMPP carries nothing else there", message.did);
            let error = SendError::Rejected(Cause::new("400", reason));
            return self.events.push(LinkEvent::Answered(token, PartAnswer::Refused(error)));
        }
        let Some(encoded) = submit::part(account, &message.content, message.split, token.part.part, expiry)
        else {
            let error = SendError::Rejected(Cause::new("400", "the stored message has no such part"));
            return self.events.push(LinkEvent::Answered(token, PartAnswer::Refused(error)));
        };
        let now = self.now();
        let session = &mut self.session;
        let sent = encoded.with_submit(account, &message.did, &message.customer_shown, 0, |submit| {
            session.submit(token, submit, now)
        });
        match sent {
            Ok(()) => {}
            Err(SubmitError::Invalid(error)) => {
                let error = SendError::Rejected(Cause::new("400", error.to_string()));
                self.events.push(LinkEvent::Answered(token, PartAnswer::Refused(error)));
            }
            Err(_) => self.events.push(LinkEvent::Answered(token, PartAnswer::NotSent)),
        }
    }

    fn query(&mut self, query: &Query) {
        // The source must be the one of the submit (SMPP 3.4, 4.8.1).
        let source = submit::source_address(&self.connection.account, &query.did);
        let asks = QuerySm { message_id: query.provider_id.as_bytes(), source: source.address() };
        let token = LinkToken { token: QUERY, part: query.part, scope: 0 };
        let now = self.now();
        // A query that cannot be sent now is dropped: the receipt may still arrive.
        let _not_asked = self.session.query(token, &asks, now);
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.event(event);
        }
        if std::mem::take(&mut self.must_rebind) {
            self.session.close(self.now());
        }
        if !self.events.is_empty() {
            report(self.connection, std::mem::take(&mut self.events));
        }
    }

    fn event(&mut self, event: SessionEvent<LinkToken>) {
        let event = match event {
            SessionEvent::Bound { .. } => {
                self.bound_at_ms = Some(self.now());
                LinkEvent::Up { window: self.session.window_free() }
            }
            SessionEvent::Answered { token, .. } if token.token == QUERY => return,
            SessionEvent::Unanswered { token, .. } if token.token == QUERY => return,
            SessionEvent::Answered { token, answer } => {
                self.has_accepted |= answer.status == status::OK;
                let answered = self.answer_of(&answer);
                // The bind proved the credentials: a new one shows whether they still hold.
                let is_denied = matches!(answered, PartAnswer::Refused(SendError::Forbidden(_)));
                self.must_rebind |= answer.status == status::INVALID_BIND_STATE;
                self.must_rebind |= is_denied && self.bound_ms() >= PROOF_MS;
                LinkEvent::Answered(token, answered)
            }
            SessionEvent::Unanswered { token, cause } => {
                let cause = match cause {
                    NoReply::Timeout => DoubtCause::NoAnswer,
                    NoReply::LinkLost => DoubtCause::LinkLost,
                };
                LinkEvent::Answered(token, PartAnswer::Unanswered(cause))
            }
            SessionEvent::LateAnswer { token, answer } => match self.answer_of(&answer) {
                PartAnswer::Accepted { id, customer } if token.token != QUERY => {
                    LinkEvent::Answered(token, PartAnswer::AcceptedLate { id, customer })
                }
                _ => return,
            },
            SessionEvent::QueryAnswered { token, answer } if answer.status == 0 => {
                LinkEvent::Queried { part: token.part, status: answer.message_state }
            }
            SessionEvent::QueryAnswered { .. } => return,
            SessionEvent::Delivered { ack, message } => LinkEvent::Delivered { token: ack, message },
            SessionEvent::Congestion { state } => LinkEvent::Congested(state),
            SessionEvent::Protocol(warning) => {
                self.bad_pdus += 1;
                tracing::debug!(?warning, link = self.connection.link, "odd PDU");
                LinkEvent::Malformed(1)
            }
            SessionEvent::Closed { reason } => {
                self.closed = Some(reason);
                return;
            }
        };
        self.events.push(event);
    }

    fn answer_of(&self, reply: &Reply) -> PartAnswer {
        if reply.status == 0 {
            return PartAnswer::Accepted {
                id: Arc::from(String::from_utf8_lossy(&reply.message_id)),
                customer: None,
            };
        }
        let described = status::describe(reply.status);
        let words = match reply.tlvs().get(channels::smpp::tlv::ADDITIONAL_STATUS_INFO_TEXT) {
            Some(tlv) => {
                let text: String = String::from_utf8_lossy(tlv.text()).chars().take(200).collect();
                format!("{described}: {text}")
            }
            None => described,
        };
        PartAnswer::Refused(refusal(reply.status, words, &self.connection.errors))
    }
}

/// Returns the meaning of a command status for the part.
fn refusal(code: u32, words: String, errors: &BTreeMap<u32, Class>) -> SendError {
    let cause = Cause::new(format!("0x{code:08X}"), words);
    match status::class(code, errors) {
        Class::Throttled { .. } => SendError::Throttled { after_ms: 0, cause },
        Class::QueueFull => SendError::Busy { after_ms: 0, cause },
        Class::Rebind | Class::BindRetry => SendError::Throttled { after_ms: REBIND_PAUSE_MS, cause },
        Class::RetryOnce => SendError::RetryOnce(cause),
        Class::Accepted | Class::Retry { .. } => SendError::Unavailable(cause),
        // The account says so of a code of its own. Otherwise the bind is the proof.
        Class::CredentialsRefused if errors.contains_key(&code) => SendError::CredentialsRefused(cause),
        Class::CredentialsRefused => SendError::Forbidden(cause),
        Class::Permanent | Class::Config => SendError::Rejected(cause),
    }
}

fn reason_of(close: Option<CloseReason>, target: &Target) -> String {
    let place = place(target);
    match close {
        None => format!("the connection to {place} ended"),
        Some(CloseReason::Requested) => "unbound".to_owned(),
        Some(CloseReason::PeerUnbound) => format!("{place} unbound"),
        Some(CloseReason::BindRefused(code)) => {
            format!("{place} refused the bind: {}", status::describe(code))
        }
        Some(CloseReason::BindTimeout) => format!("{place} did not answer the bind"),
        Some(CloseReason::NoEnquireReply) => format!("{place} did not answer an enquire_link"),
        Some(CloseReason::Inactive) => format!("{place} was silent for too long"),
        Some(CloseReason::Stalled) => format!("{place} stopped in the middle of a PDU"),
        Some(CloseReason::Eof) => format!("{place} closed the connection"),
        Some(CloseReason::Framing(error)) => format!("{place} sent no SMPP: {error}"),
    }
}
