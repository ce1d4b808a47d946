//! The ESME's side of one SMPP connection, from bind to close, as a state machine: bytes, timeouts
//! and submits go in, events and bytes come out. A lost link needs a new session. Never
//! acknowledges a delivery on its own: the caller does, once the message is durable.
//!
//! A driver connects, creates a [`Session`], and repeats: write [`Peer::transmit`]; read while
//! [`Peer::wants_read`], into [`Session::handle_bytes`]; sleep until [`Session::poll_timeout`],
//! then call [`Session::handle_timeout`]; after each of these take all events. After
//! [`SessionEvent::Closed`] it writes the remaining output and drops the connection.

mod event;

use std::collections::VecDeque;

use bytes::Bytes;

pub use self::event::{Config, QueryAnswer, SessionEvent};
pub use super::exchange::ReplyToken as AckToken;
use super::{
    Millis,
    ending::{CloseReason, NoReply, Warning},
    exchange::{Answer, Inbound},
    frame::Frame,
    limits::SubmitError,
    pdu::{
        self, Address, Bind, BindKind, CancelSm, CommandId, DataSm, EncodeError, Pdu, PduHeader, QuerySm,
        ReplaceSm, ShortMessage,
    },
    peer::{Matched, Peer},
    status, tlv,
    window::Pending,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionState {
    Binding { sequence: u32, deadline: Millis },
    Bound,
    Unbinding { sequence: u32, deadline: Millis },
    Closed,
}

/// One connection to an SMSC. `T` identifies the caller's requests.
#[derive(Debug)]
pub struct Session<T> {
    bind: BindKind,
    state: SessionState,
    peer: Peer<T>,
    events: VecDeque<SessionEvent<T>>,
    congestion: u8,
}

impl<T: Copy> Session<T> {
    /// Returns a session on a new connection; its bind waits in [`Peer::transmit`].
    ///
    /// `epoch` differs for each connection of a channel: an acknowledgement that arrives after a
    /// reconnect must not confirm another delivery with the same sequence number.
    ///
    /// # Errors
    ///
    /// A field of the bind is too long; the error names it.
    pub fn new(config: &Config, epoch: u64, now: Millis) -> Result<Self, EncodeError> {
        let mut peer = Peer::new(config.peer, epoch, now);
        let address_range =
            Address { ton: config.addr_ton, npi: config.addr_npi, text: config.address_range.as_bytes() };
        let bind = Bind {
            system_id: config.system_id.as_bytes(),
            password: config.password.as_bytes(),
            system_type: config.system_type.as_bytes(),
            interface_version: config.interface_version,
            address_range,
        };
        let sequence = peer.send(&Pdu::Bind(config.bind, bind))?;
        let deadline = now.saturating_add(config.bind_timeout_ms);
        let state = SessionState::Binding { sequence, deadline };
        Ok(Self { bind: config.bind, state, peer, events: VecDeque::new(), congestion: 0 })
    }

    /// Submits a part; its outcome is reported by an event with `token`.
    ///
    /// # Errors
    ///
    /// The part cannot be sent now, or never; nothing was written.
    pub fn submit(&mut self, token: T, part: &ShortMessage<'_>, now: Millis) -> Result<(), SubmitError> {
        self.may_submit()?;
        self.peer.request(token, CommandId::SUBMIT_SM, now, |sequence, out| {
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

    /// Asks for the state of a message.
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
        self.peer.request(token, pdu.command(), now, |sequence, out| pdu::write(pdu, 0, sequence, out))
    }

    fn may_submit(&self) -> Result<(), SubmitError> {
        match self.state {
            SessionState::Bound if self.bind.submits() => Ok(()),
            SessionState::Bound => Err(SubmitError::WrongBind),
            _ => Err(SubmitError::NotBound),
        }
    }

    /// Returns the number of requests that may be sent now.
    pub fn window_free(&self) -> usize {
        if self.may_submit().is_ok() { self.peer.window_free() } else { 0 }
    }

    /// Acknowledges a delivery: 0 once it is durable, 0x64 or 0x58 to receive it again later, 0x65
    /// to never receive it again. A token of another connection, or one used after the end, is
    /// ignored.
    pub fn ack(&mut self, ack: AckToken, status: u32, now: Millis) {
        if self.peer.settle(&ack, now) && self.state != SessionState::Closed {
            self.peer.reply_bare(ack.command, ack.sequence, status);
        }
    }

    /// Returns the connection's output, counters and window.
    pub fn peer(&self) -> &Peer<T> {
        &self.peer
    }

    /// Returns the connection, to take its output.
    pub fn peer_mut(&mut self) -> &mut Peer<T> {
        &mut self.peer
    }

    /// Takes input in pieces of any size.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Millis) {
        if self.state == SessionState::Closed {
            return;
        }
        self.peer.push(bytes, now);
        loop {
            match self.peer.next_frame() {
                Ok(Some(frame)) => self.handle_frame(frame),
                Ok(None) => break,
                Err(error) => self.end(CloseReason::Framing(error)),
            }
            if self.state == SessionState::Closed {
                return;
            }
        }
        self.peer.note_partial(now);
    }

    /// Performs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Millis) {
        match self.state {
            SessionState::Closed => return,
            SessionState::Binding { deadline, .. } if deadline <= now => {
                return self.end(CloseReason::BindTimeout);
            }
            SessionState::Unbinding { deadline, .. } if deadline <= now => {
                return self.end(CloseReason::Requested);
            }
            _ => {}
        }
        while let Some(pending) = self.peer.expired(now) {
            self.events.push_back(SessionEvent::Unanswered { token: pending.token, cause: NoReply::Timeout });
        }
        if self.state != SessionState::Bound {
            return;
        }
        if let Err(reason) = self.peer.check_life(now) {
            self.end(reason);
        }
    }

    /// Reports the end of the connection.
    pub fn handle_eof(&mut self, _now: Millis) {
        let reason = match self.state {
            SessionState::Unbinding { .. } => CloseReason::Requested,
            _ => CloseReason::Eof,
        };
        self.end(reason);
    }

    /// Unbinds, waits for the reply, closes. The caller waits for outstanding answers first: what
    /// is unanswered at the end is in doubt.
    pub fn close(&mut self, now: Millis) {
        match self.state {
            SessionState::Bound => match self.peer.send(&Pdu::Unbind) {
                Ok(sequence) => {
                    let deadline = now.saturating_add(self.peer.config.unbind_timeout_ms);
                    self.state = SessionState::Unbinding { sequence, deadline };
                }
                Err(_) => self.end(CloseReason::Requested),
            },
            SessionState::Binding { .. } => self.end(CloseReason::Requested),
            SessionState::Unbinding { .. } | SessionState::Closed => {}
        }
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<SessionEvent<T>> {
        self.events.pop_front()
    }

    /// Returns the time at which [`Session::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.state {
            SessionState::Closed => None,
            SessionState::Binding { deadline, .. } => Some(deadline),
            SessionState::Unbinding { deadline, .. } => {
                Some(self.peer.oldest_deadline().map_or(deadline, |due| due.min(deadline)))
            }
            SessionState::Bound => self.peer.next_deadline(),
        }
    }

    /// Returns whether requests may be sent.
    pub fn is_bound(&self) -> bool {
        self.state == SessionState::Bound
    }

    /// Returns whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.state == SessionState::Closed
    }
}

/// Interpretation of PDUs.
impl<T: Copy> Session<T> {
    fn warn(&mut self, warning: Warning) {
        self.events.push_back(SessionEvent::Protocol(warning));
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == SessionState::Closed {
            return;
        }
        self.state = SessionState::Closed;
        for pending in self.peer.abandon() {
            self.events
                .push_back(SessionEvent::Unanswered { token: pending.token, cause: NoReply::LinkLost });
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
            CommandId::ENQUIRE_LINK => self.peer.reply_bare(header.command, header.sequence, status::OK),
            CommandId::UNBIND => {
                self.peer.reply_bare(header.command, header.sequence, status::OK);
                self.end(CloseReason::PeerUnbound);
            }
            CommandId::OUTBIND => self.warn(Warning::Outbind),
            CommandId::ALERT_NOTIFICATION => self.warn(Warning::Alert),
            command if command.name().is_some() => self.refuse_wrong_state(header),
            command => {
                self.peer.counters.unknown_commands += 1;
                self.peer.nack(header.sequence, status::INVALID_COMMAND);
                self.warn(Warning::UnknownCommand(command));
            }
        }
    }

    fn refuse_wrong_state(&mut self, header: PduHeader) {
        self.peer.counters.wrong_state += 1;
        self.peer.refuse(header, status::INVALID_BIND_STATE);
        self.warn(Warning::WrongState(header.command));
    }

    fn handle_delivery(&mut self, frame: Frame) {
        let header = frame.header;
        match self.state {
            SessionState::Bound if self.bind.receives() => {}
            // The peer keeps the delivery for the next bind.
            SessionState::Unbinding { .. } => return self.peer.refuse(header, status::RETRY_LATER),
            _ => return self.refuse_wrong_state(header),
        }
        match Inbound::new(header.command, frame.body) {
            Ok((message, salvage)) => {
                self.peer.note(salvage);
                if let Some(ack) = self.peer.admit(header) {
                    self.events.push_back(SessionEvent::Delivered { ack, message });
                }
            }
            Err(error) => {
                self.peer.counters.bad_bodies += 1;
                self.peer.refuse(header, status::INVALID_COMMAND_LENGTH);
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
            // Some peers answer every bind as a transceiver's.
            SessionState::Binding { sequence, .. }
                if sequence == header.sequence
                    && (BindKind::of(header.command).is_some() || answers(self.bind.command())) =>
            {
                return self.handle_bind_reply(&frame);
            }
            SessionState::Unbinding { sequence, .. }
                if sequence == header.sequence && answers(CommandId::UNBIND) =>
            {
                return self.end(CloseReason::Requested);
            }
            _ => {}
        }
        match self.peer.matched(header) {
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
        // A generic_nack with status 0 does not bind.
        let Ok((Pdu::BindResp(_, reply), salvage)) =
            Pdu::read(frame.header.command, frame.header.status, &frame.body)
        else {
            return self.end(CloseReason::BindRefused(status::BIND_FAILED));
        };
        self.peer.note(salvage);
        self.state = SessionState::Bound;
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
                self.peer.note(salvage);
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
        let PduHeader { command, status: code, .. } = frame.header;
        let mut answer = QueryAnswer {
            status: if is_nack { Answer::nack(code).status } else { code },
            message_id: Bytes::new(),
            final_date: Bytes::new(),
            message_state: 0,
            error_code: 0,
        };
        match Pdu::read(command, code, &frame.body) {
            Ok((Pdu::QuerySmResp(reply), salvage)) => {
                self.peer.note(salvage);
                answer.message_id = Bytes::copy_from_slice(reply.message_id);
                answer.final_date = Bytes::copy_from_slice(reply.final_date);
                (answer.message_state, answer.error_code) = (reply.message_state, reply.error_code);
            }
            Ok(_) => {}
            // An unreadable reply counts as a refusal.
            Err(error) => {
                self.peer.counters.bad_bodies += 1;
                self.warn(Warning::BadBody(command, error));
                answer.status = if code == status::OK { status::UNKNOWN_ERROR } else { code };
            }
        }
        answer
    }
}
