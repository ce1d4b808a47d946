//! The SMSC's side of one SMPP connection, for simulators and for tests: the opposite of [`super::session`]. Never
//! answers a bind or a submit on its own: its caller does, in any order, late, wrongly, or not at all.

mod event;

use std::collections::VecDeque;

use bytes::BytesMut;

pub use self::event::{BindRequest, Request, ServerConfig, ServerEvent};
use super::{
    Millis,
    exchange::{Answer, Inbound, ReplyToken},
    frame::Frame,
    limits::{Counters, SubmitError},
    line::{Dead, Line, Matched},
    pdu::{
        self, Alert, BindKind, BindReply, CommandId, DataSm, EncodeError, Header, Outbind, Pdu, Reply,
        ShortMessage, Tlv, Tlvs,
    },
    session::{Cause, CloseReason, Warning},
    status, tlv,
    window::Pending,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open { deadline: Option<Millis> },
    Deciding { deadline: Option<Millis> },
    Bound(BindKind),
    Unbinding { sequence: u32, deadline: Millis },
    Closed,
}

/// One connection from an ESME. `T` names the caller's deliveries.
#[derive(Debug)]
pub struct Server<T> {
    config: ServerConfig,
    state: State,
    line: Line<T>,
    events: VecDeque<ServerEvent<T>>,
}

impl<T: Copy> Server<T> {
    /// A fresh connection, waiting for a bind.
    pub fn new(config: ServerConfig, now: Millis) -> Self {
        let deadline = (config.bind_timeout_ms > 0).then(|| now.saturating_add(config.bind_timeout_ms));
        let line = Line::new(config.line, config.epoch, now);
        Self { config, state: State::Open { deadline }, line, events: VecDeque::new() }
    }

    /// Lets the peer in.
    pub fn accept_bind(&mut self, request: &BindRequest) {
        let version = [self.config.interface_version.unwrap_or_default()];
        let list = [Tlv { tag: tlv::SC_INTERFACE_VERSION, value: &version }];
        let tlvs = if self.config.interface_version.is_some() { Tlvs::list(&list) } else { Tlvs::default() };
        let system_id = self.config.system_id.as_bytes();
        let accepted = Pdu::BindResp(request.kind, BindReply { system_id, tlvs });
        let fallback = Pdu::BindResp(request.kind, BindReply::default());
        if self.line.reply(&accepted, status::OK, request.sequence).is_err() {
            // A name too long for the protocol is left out.
            let _ = self.line.reply(&fallback, status::OK, request.sequence);
        }
        if matches!(self.state, State::Deciding { .. }) {
            self.state = State::Bound(request.kind);
        }
    }

    /// Keeps the peer out; it may try again on the same connection.
    pub fn refuse_bind(&mut self, request: &BindRequest, code: u32) {
        self.line.reply_bare(request.kind.command(), request.sequence, code);
        if let State::Deciding { deadline } = self.state {
            self.state = State::Open { deadline };
        }
    }

    /// Replies to a submit_sm or data_sm: 0 with the message's id, or an error without a body.
    ///
    /// # Errors
    ///
    /// Fails, and the peer gets no reply, when the id is too long.
    pub fn reply_submit(
        &mut self,
        token: ReplyToken,
        code: u32,
        message_id: &[u8],
        now: Millis,
    ) -> Result<(), EncodeError> {
        let reply = Reply { message_id, tlvs: Tlvs::default() };
        let pdu = match token.command {
            CommandId::DATA_SM => Pdu::DataSmResp(reply),
            _ => Pdu::SubmitSmResp(reply),
        };
        if code != status::OK && message_id.is_empty() {
            self.refuse(token, code, now);
            return Ok(());
        }
        self.reply(token, code, &pdu, now)
    }

    /// Replies with any PDU, right or wrong, under the request's sequence number.
    ///
    /// # Errors
    ///
    /// Fails, and the peer gets no reply, when the PDU breaks the protocol's limits.
    pub fn reply(
        &mut self,
        token: ReplyToken,
        code: u32,
        pdu: &Pdu<'_>,
        now: Millis,
    ) -> Result<(), EncodeError> {
        if self.line.settle(&token, now) && self.state != State::Closed {
            return self.line.reply(pdu, code, token.sequence);
        }
        Ok(())
    }

    /// Replies with a status and no body.
    pub fn refuse(&mut self, token: ReplyToken, code: u32, now: Millis) {
        if self.line.settle(&token, now) && self.state != State::Closed {
            let header = Header { command: token.command.reply(), status: code, sequence: token.sequence };
            self.write_bare(header);
        }
    }

    /// Never replies.
    pub fn ignore(&mut self, token: ReplyToken, now: Millis) {
        self.line.settle(&token, now);
    }

    fn write_bare(&mut self, header: Header) {
        let mut out = Vec::new();
        // Without a body it always fits.
        let _ = pdu::write_frame(header, &[], &mut out);
        self.line.raw(&out);
    }

    /// Writes any octets.
    pub fn raw(&mut self, octets: &[u8]) {
        self.line.raw(octets);
    }

    /// Delivers a message or receipt; its outcome comes as an event with `token`.
    ///
    /// # Errors
    ///
    /// Fails without effect when it cannot be sent now, or ever.
    pub fn deliver(&mut self, token: T, message: &ShortMessage<'_>, now: Millis) -> Result<(), SubmitError> {
        self.may_deliver()?;
        self.line.request(token, CommandId::DELIVER_SM, now, |sequence, out| {
            pdu::write_submit(CommandId::DELIVER_SM, message, sequence, out)
        })
    }

    /// Delivers as data_sm.
    ///
    /// # Errors
    ///
    /// As [`Server::deliver`].
    pub fn deliver_data(&mut self, token: T, data: &DataSm<'_>, now: Millis) -> Result<(), SubmitError> {
        self.may_deliver()?;
        self.line.request(token, CommandId::DATA_SM, now, |sequence, out| {
            pdu::write(&Pdu::DataSm(*data), 0, sequence, out)
        })
    }

    fn may_deliver(&self) -> Result<(), SubmitError> {
        match self.state {
            State::Bound(kind) if kind.receives() => Ok(()),
            State::Bound(_) => Err(SubmitError::WrongBind),
            _ => Err(SubmitError::NotBound),
        }
    }

    /// Asks the peer to bind.
    ///
    /// # Errors
    ///
    /// Fails when a field is too long.
    pub fn outbind(&mut self, outbind: &Outbind<'_>) -> Result<(), EncodeError> {
        self.line.send(&Pdu::Outbind(*outbind)).map(drop)
    }

    /// Tells the peer that a handset is reachable.
    ///
    /// # Errors
    ///
    /// Fails when a field is too long.
    pub fn alert(&mut self, alert: &Alert<'_>) -> Result<(), EncodeError> {
        self.line.send(&Pdu::AlertNotification(*alert)).map(drop)
    }

    /// Asks for a sign of life now.
    pub fn enquire_link(&mut self, now: Millis) {
        self.line.enquire(now);
    }

    /// How many deliveries may be sent now.
    pub fn window_free(&self) -> usize {
        if self.may_deliver().is_ok() { self.line.window_free() } else { 0 }
    }

    /// How many deliveries wait for their acknowledgement.
    pub fn window_used(&self) -> usize {
        self.line.window_used()
    }

    /// How the peer is bound.
    pub fn bound(&self) -> Option<BindKind> {
        match self.state {
            State::Bound(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
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
            State::Open { deadline: Some(deadline) } if deadline <= now => {
                return self.end(CloseReason::BindTimeout);
            }
            State::Unbinding { deadline, .. } if deadline <= now => return self.end(CloseReason::Requested),
            _ => {}
        }
        while let Some(pending) = self.line.expired(now) {
            self.events.push_back(ServerEvent::Unanswered { token: pending.token, cause: Cause::Timeout });
        }
        if !matches!(self.state, State::Bound(_)) {
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

    /// Unbinds the peer, waits for its reply, closes.
    pub fn unbind(&mut self, now: Millis) {
        match self.state {
            State::Bound(_) => match self.line.send(&Pdu::Unbind) {
                Ok(sequence) => {
                    let deadline = now.saturating_add(self.line.config.unbind_timeout_ms);
                    self.state = State::Unbinding { sequence, deadline };
                }
                Err(_) => self.end(CloseReason::Requested),
            },
            State::Open { .. } | State::Deciding { .. } => self.end(CloseReason::Requested),
            State::Unbinding { .. } | State::Closed => {}
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ServerEvent<T>> {
        self.events.pop_front()
    }

    /// When [`Server::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.state {
            State::Closed | State::Deciding { .. } => None,
            State::Open { deadline } => deadline,
            State::Unbinding { deadline, .. } => {
                Some(self.line.oldest_deadline().map_or(deadline, |due| due.min(deadline)))
            }
            State::Bound(_) => self.line.next_deadline(),
        }
    }

    /// Whether more should be read.
    pub fn wants_read(&self) -> bool {
        self.line.wants_read()
    }

    /// All that is to be written.
    pub fn transmit(&self) -> &[u8] {
        self.line.output()
    }

    /// So much of [`Server::transmit`] was written.
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
impl<T: Copy> Server<T> {
    fn warn(&mut self, warning: Warning) {
        self.events.push_back(ServerEvent::Protocol(warning));
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        for pending in self.line.abandon() {
            self.events.push_back(ServerEvent::Unanswered { token: pending.token, cause: Cause::LinkLost });
        }
        self.events.push_back(ServerEvent::Closed { reason });
    }

    fn handle_frame(&mut self, frame: Frame) {
        let header = frame.header;
        if header.command.is_reply() {
            return self.handle_reply(&frame);
        }
        if let Some(kind) = BindKind::of(header.command) {
            return self.handle_bind(kind, frame);
        }
        match header.command {
            CommandId::SUBMIT_SM | CommandId::DATA_SM => self.handle_submit(frame),
            CommandId::QUERY_SM | CommandId::CANCEL_SM | CommandId::REPLACE_SM | CommandId::SUBMIT_MULTI => {
                self.handle_request(frame);
            }
            CommandId::ENQUIRE_LINK => self.line.reply_bare(header.command, header.sequence, status::OK),
            CommandId::UNBIND => {
                self.line.reply_bare(header.command, header.sequence, status::OK);
                self.end(CloseReason::PeerUnbound);
            }
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

    fn refuse_bad_body(&mut self, header: Header, error: pdu::BodyError) {
        self.line.counters.bad_bodies += 1;
        self.line.refuse(header, status::INVALID_COMMAND_LENGTH);
        self.warn(Warning::BadBody(header.command, error));
    }

    fn handle_bind(&mut self, kind: BindKind, frame: Frame) {
        let State::Open { deadline } = self.state else {
            self.line.counters.wrong_state += 1;
            self.line.refuse(frame.header, status::ALREADY_BOUND);
            return self.warn(Warning::WrongState(frame.header.command));
        };
        match Pdu::read(frame.header.command, frame.header.status, &frame.body) {
            Ok((_, salvage)) => {
                self.line.note(salvage);
                self.state = State::Deciding { deadline };
                let request = BindRequest { kind, sequence: frame.header.sequence, body: frame.body };
                self.events.push_back(ServerEvent::Bind(request));
            }
            Err(error) => self.refuse_bad_body(frame.header, error),
        }
    }

    fn handle_submit(&mut self, frame: Frame) {
        let header = frame.header;
        if !matches!(self.state, State::Bound(kind) if kind.submits()) {
            return self.refuse_wrong_state(header);
        }
        match Inbound::new(header.command, frame.body) {
            Ok((message, salvage)) => {
                self.line.note(salvage);
                if let Some(reply) = self.line.admit(header) {
                    self.events.push_back(ServerEvent::Submitted { reply, message });
                }
            }
            Err(error) => self.refuse_bad_body(header, error),
        }
    }

    fn handle_request(&mut self, frame: Frame) {
        let header = frame.header;
        if !matches!(self.state, State::Bound(kind) if kind.submits()) {
            return self.refuse_wrong_state(header);
        }
        match Pdu::read(header.command, header.status, &frame.body) {
            Ok((_, salvage)) => {
                self.line.note(salvage);
                if let Some(reply) = self.line.admit(header) {
                    let request = Request { command: header.command, body: frame.body };
                    self.events.push_back(ServerEvent::Requested { reply, request });
                }
            }
            Err(error) => self.refuse_bad_body(header, error),
        }
    }

    fn handle_reply(&mut self, frame: &Frame) {
        let header = frame.header;
        if let State::Unbinding { sequence, .. } = self.state
            && sequence == header.sequence
            && (header.command == CommandId::UNBIND.reply() || header.command == CommandId::GENERIC_NACK)
        {
            return self.end(CloseReason::Requested);
        }
        let code = |pending: &Pending<T>| match header.command {
            CommandId::GENERIC_NACK => (pending.token, Answer::nack(header.status).status),
            _ => (pending.token, header.status),
        };
        match self.line.matched(header) {
            Matched::Waiting(pending) => {
                let (token, status) = code(&pending);
                self.events.push_back(ServerEvent::Answered { token, status });
            }
            Matched::Late(pending) => {
                let (token, status) = code(&pending);
                self.events.push_back(ServerEvent::LateAnswer { token, status });
            }
            Matched::Enquire => {}
            Matched::Nothing => self.events.push_back(ServerEvent::UnknownReply(header)),
        }
    }
}
