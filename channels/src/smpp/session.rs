//! The ESME's side of one SMPP connection, from bind to close, as a state machine: bytes, timeouts and submits go
//! in, events and bytes come out. After a lost link a fresh one is made. Never answers a delivery on its own: the
//! caller does, when the message is safe.
//!
//! A driver connects, makes a [`Session`], and repeats: write what [`Session::transmit`] holds; read while
//! [`Session::wants_read`], into [`Session::handle_bytes`]; sleep until [`Session::poll_timeout`], then
//! [`Session::handle_timeout`]; after each of these take all events. After [`SessionEvent::Closed`] it writes what
//! is left and drops the connection.

mod event;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

pub use self::event::{Cause, CloseReason, Config, QueryAnswer, SessionEvent, Warning};
pub use super::exchange::ReplyToken as AckToken;
use super::{
    Millis,
    exchange::{Answer, Inbound},
    frame::Frame,
    limits::{Counters, SubmitError},
    line::{Dead, Line, Matched},
    pdu::{
        self, Address, Bind, BindKind, CancelSm, CommandId, DataSm, EncodeError, Header, Pdu, QuerySm,
        ReplaceSm, ShortMessage,
    },
    status, tlv,
    window::Pending,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Binding { sequence: u32, deadline: Millis },
    Bound,
    Unbinding { sequence: u32, deadline: Millis },
    Closed,
}

/// One connection to an SMSC. `T` names the caller's requests.
#[derive(Debug)]
pub struct Session<T> {
    bind: BindKind,
    state: State,
    line: Line<T>,
    events: VecDeque<SessionEvent<T>>,
    congestion: u8,
}

impl<T: Copy> Session<T> {
    /// A session on a fresh connection; its bind waits in [`Session::transmit`].
    ///
    /// `epoch` is another number for each connection of a channel: an acknowledgement that comes after a
    /// reconnect must not confirm another delivery, one that happens to have the same sequence number.
    ///
    /// # Errors
    ///
    /// Fails when a field of the bind is too long, and names it.
    pub fn new(config: &Config, epoch: u64, now: Millis) -> Result<Self, EncodeError> {
        let mut line = Line::new(config.line, epoch, now);
        let address_range =
            Address { ton: config.addr_ton, npi: config.addr_npi, text: config.address_range.as_bytes() };
        let bind = Bind {
            system_id: config.system_id.as_bytes(),
            password: config.password.as_bytes(),
            system_type: config.system_type.as_bytes(),
            interface_version: config.interface_version,
            address_range,
        };
        let sequence = line.send(&Pdu::Bind(config.bind, bind))?;
        let deadline = now.saturating_add(config.bind_timeout_ms);
        let state = State::Binding { sequence, deadline };
        Ok(Self { bind: config.bind, state, line, events: VecDeque::new(), congestion: 0 })
    }

    /// Submits a part; its outcome comes as an event with `token`.
    ///
    /// # Errors
    ///
    /// Fails without effect when it cannot be sent now, or ever.
    pub fn submit(&mut self, token: T, part: &ShortMessage<'_>, now: Millis) -> Result<(), SubmitError> {
        self.may_submit()?;
        self.line.request(token, CommandId::SUBMIT_SM, now, |sequence, out| {
            pdu::write_submit(CommandId::SUBMIT_SM, part, sequence, out)
        })
    }

    /// Submits a part as data_sm.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`].
    pub fn submit_data(&mut self, token: T, part: &DataSm<'_>, now: Millis) -> Result<(), SubmitError> {
        self.request(token, &Pdu::DataSm(*part), now)
    }

    /// Asks what became of a message.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`].
    pub fn query(&mut self, token: T, query: &QuerySm<'_>, now: Millis) -> Result<(), SubmitError> {
        self.request(token, &Pdu::QuerySm(*query), now)
    }

    /// Asks to cancel messages.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`].
    pub fn cancel(&mut self, token: T, cancel: &CancelSm<'_>, now: Millis) -> Result<(), SubmitError> {
        self.request(token, &Pdu::CancelSm(*cancel), now)
    }

    /// Asks to replace a message.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`].
    pub fn replace(&mut self, token: T, replace: &ReplaceSm<'_>, now: Millis) -> Result<(), SubmitError> {
        self.request(token, &Pdu::ReplaceSm(*replace), now)
    }

    fn request(&mut self, token: T, pdu: &Pdu<'_>, now: Millis) -> Result<(), SubmitError> {
        self.may_submit()?;
        self.line.request(token, pdu.command(), now, |sequence, out| pdu::write(pdu, 0, sequence, out))
    }

    fn may_submit(&self) -> Result<(), SubmitError> {
        match self.state {
            State::Bound if self.bind.submits() => Ok(()),
            State::Bound => Err(SubmitError::WrongBind),
            _ => Err(SubmitError::NotBound),
        }
    }

    /// How many requests may be sent now.
    pub fn window_free(&self) -> usize {
        if self.may_submit().is_ok() { self.line.window_free() } else { 0 }
    }

    /// How many requests wait for their answers.
    pub fn window_used(&self) -> usize {
        self.line.window_used()
    }

    /// Acknowledges a delivery: 0 once it is safe, 0x64 or 0x58 to get it again later, 0x65 for never. A token of
    /// another connection, or one that comes after the end, does nothing.
    pub fn ack(&mut self, ack: AckToken, status: u32, now: Millis) {
        if self.line.settle(&ack, now) && self.state != State::Closed {
            self.line.reply_bare(ack.command, ack.sequence, status);
        }
    }

    /// How many deliveries wait for their acknowledgement.
    pub fn unacknowledged(&self) -> usize {
        self.line.inbound()
    }

    /// Takes what was read, in pieces of any size.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Millis) {
        if self.state == State::Closed {
            return;
        }
        self.line.push(bytes, now);
        loop {
            match self.line.next_frame() {
                Ok(Some(frame)) => self.handle_frame(frame),
                Ok(None) => break,
                Err(error) => self.end(CloseReason::Framing(error)),
            }
            if self.state == State::Closed {
                return;
            }
        }
        self.line.note_partial(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Millis) {
        match self.state {
            State::Closed => return,
            State::Binding { deadline, .. } if deadline <= now => return self.end(CloseReason::BindTimeout),
            State::Unbinding { deadline, .. } if deadline <= now => return self.end(CloseReason::Requested),
            _ => {}
        }
        while let Some(pending) = self.line.expired(now) {
            self.events.push_back(SessionEvent::Unanswered { token: pending.token, cause: Cause::Timeout });
        }
        if self.state != State::Bound {
            return;
        }
        match self.line.check_life(now) {
            Ok(()) => {}
            Err(Dead::Stalled) => self.end(CloseReason::Stalled),
            Err(Dead::NoReply) => self.end(CloseReason::NoEnquireReply),
            Err(Dead::Silent) => self.end(CloseReason::Inactive),
        }
    }

    /// The connection ended.
    pub fn handle_eof(&mut self, _now: Millis) {
        let reason = match self.state {
            State::Unbinding { .. } => CloseReason::Requested,
            _ => CloseReason::Eof,
        };
        self.end(reason);
    }

    /// Unbinds, waits for the reply, closes. Wait for the outstanding answers first: what is unanswered at the end
    /// is in doubt.
    pub fn close(&mut self, now: Millis) {
        match self.state {
            State::Bound => match self.line.send(&Pdu::Unbind) {
                Ok(sequence) => {
                    let deadline = now.saturating_add(self.line.config.unbind_timeout_ms);
                    self.state = State::Unbinding { sequence, deadline };
                }
                Err(_) => self.end(CloseReason::Requested),
            },
            State::Binding { .. } => self.end(CloseReason::Requested),
            State::Unbinding { .. } | State::Closed => {}
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent<T>> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.state {
            State::Closed => None,
            State::Binding { deadline, .. } => Some(deadline),
            State::Unbinding { deadline, .. } => {
                Some(self.line.oldest_deadline().map_or(deadline, |due| due.min(deadline)))
            }
            State::Bound => self.line.next_deadline(),
        }
    }

    /// Whether more should be read. No while too many deliveries are unacknowledged, or the peer does not read.
    pub fn wants_read(&self) -> bool {
        self.line.wants_read()
    }

    /// Whether requests may be sent.
    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// All that is to be written.
    pub fn transmit(&self) -> &[u8] {
        self.line.output()
    }

    /// So much of [`Session::transmit`] was written.
    pub fn transmitted(&mut self, octets: usize) {
        self.line.transmitted(octets);
    }

    /// Moves all that is to be written.
    pub fn take_output(&mut self, into: &mut BytesMut) {
        self.line.take_output(into);
    }

    /// What was tolerated so far.
    pub fn counters(&self) -> Counters {
        self.line.counters
    }
}

/// What PDUs mean.
impl<T: Copy> Session<T> {
    fn warn(&mut self, warning: Warning) {
        self.events.push_back(SessionEvent::Protocol(warning));
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        for pending in self.line.abandon() {
            self.events.push_back(SessionEvent::Unanswered { token: pending.token, cause: Cause::LinkLost });
        }
        self.events.push_back(SessionEvent::Closed { reason });
    }

    fn handle_frame(&mut self, frame: Frame) {
        let header = frame.header;
        if header.command.is_reply() {
            return self.handle_reply(frame);
        }
        match header.command {
            CommandId::DELIVER_SM | CommandId::DATA_SM => self.handle_delivery(frame),
            CommandId::ENQUIRE_LINK => self.line.reply_bare(header.command, header.sequence, status::OK),
            CommandId::UNBIND => {
                self.line.reply_bare(header.command, header.sequence, status::OK);
                self.end(CloseReason::PeerUnbound);
            }
            CommandId::OUTBIND => self.warn(Warning::Outbind),
            CommandId::ALERT_NOTIFICATION => self.warn(Warning::Alert),
            command if command.name().is_some() => self.refuse_wrong_state(header),
            command => {
                self.line.counters.unknown_commands += 1;
                self.line.nack(header.sequence, status::INVALID_COMMAND);
                self.warn(Warning::UnknownCommand(command));
            }
        }
    }

    fn refuse_wrong_state(&mut self, header: Header) {
        self.line.counters.wrong_state += 1;
        self.line.refuse(header, status::INVALID_BIND_STATE);
        self.warn(Warning::WrongState(header.command));
    }

    fn handle_delivery(&mut self, frame: Frame) {
        let header = frame.header;
        match self.state {
            State::Bound if self.bind.receives() => {}
            // Once we leave, the peer keeps it for the next bind.
            State::Unbinding { .. } => return self.line.refuse(header, status::RETRY_LATER),
            _ => return self.refuse_wrong_state(header),
        }
        match Inbound::new(header.command, frame.body) {
            Ok((message, salvage)) => {
                self.line.note(salvage);
                if let Some(ack) = self.line.admit(header) {
                    self.events.push_back(SessionEvent::Delivered { ack, message });
                }
            }
            Err(error) => {
                self.line.counters.bad_bodies += 1;
                self.line.refuse(header, status::INVALID_COMMAND_LENGTH);
                self.warn(Warning::BadBody(header.command, error));
            }
        }
    }

    fn handle_reply(&mut self, frame: Frame) {
        let header = frame.header;
        let answers = |request: CommandId| {
            header.command == CommandId::GENERIC_NACK || header.command == request.reply()
        };
        match self.state {
            // Some answer every bind as a transceiver's.
            State::Binding { sequence, .. }
                if sequence == header.sequence
                    && (BindKind::of(header.command).is_some() || answers(self.bind.command())) =>
            {
                return self.handle_bind_reply(&frame);
            }
            State::Unbinding { sequence, .. }
                if sequence == header.sequence && answers(CommandId::UNBIND) =>
            {
                return self.end(CloseReason::Requested);
            }
            _ => {}
        }
        match self.line.matched(header) {
            Matched::Waiting(pending) => self.answered(pending, frame, false),
            Matched::Late(pending) => self.answered(pending, frame, true),
            Matched::Enquire => {}
            Matched::Nothing => self.warn(Warning::UnknownReply(header.command, header.sequence)),
        }
    }

    fn handle_bind_reply(&mut self, frame: &Frame) {
        if frame.header.status != status::OK {
            return self.end(CloseReason::BindRefused(frame.header.status));
        }
        // A generic_nack of "no error" is still no bind.
        let Ok((Pdu::BindResp(_, reply), salvage)) =
            Pdu::read(frame.header.command, frame.header.status, &frame.body)
        else {
            return self.end(CloseReason::BindRefused(status::BIND_FAILED));
        };
        self.line.note(salvage);
        self.state = State::Bound;
        let peer_version = reply.tlvs.number(tlv::SC_INTERFACE_VERSION).and_then(|v| u8::try_from(v).ok());
        let system_id = Bytes::copy_from_slice(reply.system_id);
        self.events.push_back(SessionEvent::Bound { system_id, peer_version });
    }

    fn answered(&mut self, pending: Pending<T>, frame: Frame, late: bool) {
        let (token, code) = (pending.token, frame.header.status);
        let is_nack = frame.header.command == CommandId::GENERIC_NACK;
        if pending.command == CommandId::QUERY_SM && !late {
            let answer = self.query_answer(&frame, is_nack);
            return self.events.push_back(SessionEvent::QueryAnswered { token, answer });
        }
        let answer = match pending.command {
            _ if is_nack => Answer::nack(code),
            CommandId::SUBMIT_SM | CommandId::DATA_SM => {
                let (answer, salvage) = Answer::read(code, frame.body);
                self.line.note(salvage);
                answer
            }
            _ => Answer::bare(code),
        };
        if let Some(state) = answer.congestion()
            && state != self.congestion
        {
            self.congestion = state;
            self.events.push_back(SessionEvent::Congestion { state });
        }
        self.events.push_back(match late {
            true => SessionEvent::LateAnswer { token, answer },
            false => SessionEvent::Answered { token, answer },
        });
    }

    fn query_answer(&mut self, frame: &Frame, is_nack: bool) -> QueryAnswer {
        let Header { command, status: code, .. } = frame.header;
        let mut answer = QueryAnswer {
            status: if is_nack { Answer::nack(code).status } else { code },
            message_id: Bytes::new(),
            final_date: Bytes::new(),
            message_state: 0,
            error_code: 0,
        };
        match Pdu::read(command, code, &frame.body) {
            Ok((Pdu::QuerySmResp(reply), salvage)) => {
                self.line.note(salvage);
                answer.message_id = Bytes::copy_from_slice(reply.message_id);
                answer.final_date = Bytes::copy_from_slice(reply.final_date);
                (answer.message_state, answer.error_code) = (reply.message_state, reply.error_code);
            }
            Ok(_) => {}
            // It says nothing that can be read: as good as refused.
            Err(error) => {
                self.line.counters.bad_bodies += 1;
                self.warn(Warning::BadBody(command, error));
                answer.status = if code == status::OK { status::UNKNOWN_ERROR } else { code };
            }
        }
        answer
    }
}
