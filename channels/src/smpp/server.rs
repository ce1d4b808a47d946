//! The SMSC's side of one SMPP connection, for simulators and tests: the counterpart of
//! [`super::session`]. Never answers a bind or a submit on its own: its caller does, in any order,
//! late, wrongly, or not at all.

mod event;

use std::collections::VecDeque;

pub use self::event::{BindRequest, PeerRequest, ServerConfig, ServerEvent};
use super::{
    Millis,
    ending::{CloseReason, NoReply, Warning},
    exchange::{Answer, Inbound, ReplyToken},
    frame::Frame,
    limits::SubmitError,
    pdu::{
        self, Alert, BindKind, BindReply, CommandId, DataSm, EncodeError, IdReply, Outbind, Pdu, PduHeader,
        ShortMessage, Tlv, Tlvs,
    },
    peer::{Matched, Peer},
    status, tlv,
    window::Pending,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerState {
    Open { deadline: Option<Millis> },
    Deciding { deadline: Option<Millis> },
    Bound(BindKind),
    Unbinding { sequence: u32, deadline: Millis },
    Closed,
}

/// One connection from an ESME. `T` identifies the caller's deliveries.
#[derive(Debug)]
pub struct Server<T> {
    config: ServerConfig,
    state: ServerState,
    peer: Peer<T>,
    events: VecDeque<ServerEvent<T>>,
}

impl<T: Copy> Server<T> {
    /// Returns a new connection that waits for a bind.
    pub fn new(config: ServerConfig, now: Millis) -> Self {
        let deadline = (config.bind_timeout_ms > 0).then(|| now.saturating_add(config.bind_timeout_ms));
        let peer = Peer::new(config.peer, config.epoch, now);
        Self { config, state: ServerState::Open { deadline }, peer, events: VecDeque::new() }
    }

    /// Accepts a bind; the peer may then use the connection.
    pub fn accept_bind(&mut self, request: &BindRequest) {
        let version = [self.config.interface_version.unwrap_or_default()];
        let list = [Tlv { tag: tlv::SC_INTERFACE_VERSION, value: &version }];
        let tlvs = if self.config.interface_version.is_some() { Tlvs::list(&list) } else { Tlvs::default() };
        let system_id = self.config.system_id.as_bytes();
        let accepted = Pdu::BindResp(request.kind, BindReply { system_id, tlvs });
        let fallback = Pdu::BindResp(request.kind, BindReply::default());
        if self.peer.reply(&accepted, status::OK, request.sequence).is_err() {
            // A name that is too long for the protocol is left out.
            let _ = self.peer.reply(&fallback, status::OK, request.sequence);
        }
        if matches!(self.state, ServerState::Deciding { .. }) {
            self.state = ServerState::Bound(request.kind);
        }
    }

    /// Refuses a bind; the peer may try again on the same connection.
    pub fn refuse_bind(&mut self, request: &BindRequest, code: u32) {
        self.peer.reply_bare(request.kind.command(), request.sequence, code);
        if let ServerState::Deciding { deadline } = self.state {
            self.state = ServerState::Open { deadline };
        }
    }

    /// Replies to a submit_sm or data_sm: 0 with the message's id, or an error without a body.
    ///
    /// # Errors
    ///
    /// The id is too long; the peer receives no reply.
    pub fn reply_submit(
        &mut self,
        token: ReplyToken,
        code: u32,
        message_id: &[u8],
        now: Millis,
    ) -> Result<(), EncodeError> {
        let reply = IdReply { message_id, tlvs: Tlvs::default() };
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
    /// The PDU breaks the protocol's limits; the peer receives no reply.
    pub fn reply(
        &mut self,
        token: ReplyToken,
        code: u32,
        pdu: &Pdu<'_>,
        now: Millis,
    ) -> Result<(), EncodeError> {
        if self.peer.settle(&token, now) && self.state != ServerState::Closed {
            return self.peer.reply(pdu, code, token.sequence);
        }
        Ok(())
    }

    /// Replies with a status and no body.
    pub fn refuse(&mut self, token: ReplyToken, code: u32, now: Millis) {
        if self.peer.settle(&token, now) && self.state != ServerState::Closed {
            let header = PduHeader { command: token.command.reply(), status: code, sequence: token.sequence };
            self.write_bare(header);
        }
    }

    /// Leaves a request without a reply.
    pub fn ignore(&mut self, token: ReplyToken, now: Millis) {
        self.peer.settle(&token, now);
    }

    fn write_bare(&mut self, header: PduHeader) {
        let mut out = Vec::new();
        // A frame without a body always fits.
        let _ = pdu::write_frame(header, &[], &mut out);
        self.peer.raw(&out);
    }

    /// Writes any octets.
    pub fn raw(&mut self, octets: &[u8]) {
        self.peer.raw(octets);
    }

    /// Delivers a message or receipt; its outcome is reported by an event with `token`.
    ///
    /// # Errors
    ///
    /// The message cannot be sent now, or never; nothing was written.
    pub fn deliver(&mut self, token: T, message: &ShortMessage<'_>, now: Millis) -> Result<(), SubmitError> {
        self.may_deliver()?;
        self.peer.request(token, CommandId::DELIVER_SM, now, |sequence, out| {
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
        self.peer.request(token, CommandId::DATA_SM, now, |sequence, out| {
            pdu::write(&Pdu::DataSm(*data), 0, sequence, out)
        })
    }

    fn may_deliver(&self) -> Result<(), SubmitError> {
        match self.state {
            ServerState::Bound(kind) if kind.receives() => Ok(()),
            ServerState::Bound(_) => Err(SubmitError::WrongBind),
            _ => Err(SubmitError::NotBound),
        }
    }

    /// Asks the peer to bind.
    ///
    /// # Errors
    ///
    /// A field is too long.
    pub fn outbind(&mut self, outbind: &Outbind<'_>) -> Result<(), EncodeError> {
        self.peer.send(&Pdu::Outbind(*outbind)).map(drop)
    }

    /// Reports that a handset is reachable.
    ///
    /// # Errors
    ///
    /// A field is too long.
    pub fn alert(&mut self, alert: &Alert<'_>) -> Result<(), EncodeError> {
        self.peer.send(&Pdu::AlertNotification(*alert)).map(drop)
    }

    /// Sends an enquire_link now.
    pub fn enquire_link(&mut self, now: Millis) {
        self.peer.enquire(now);
    }

    /// Returns the number of deliveries that may be sent now.
    pub fn window_free(&self) -> usize {
        if self.may_deliver().is_ok() { self.peer.window_free() } else { 0 }
    }

    /// Returns the kind of the peer's bind.
    pub fn bound(&self) -> Option<BindKind> {
        match self.state {
            ServerState::Bound(kind) => Some(kind),
            _ => None,
        }
    }

    /// Returns whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.state == ServerState::Closed
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
        if self.state == ServerState::Closed {
            return;
        }
        self.peer.push(bytes, now);
        loop {
            match self.peer.next_frame() {
                Ok(Some(frame)) => self.handle_frame(frame),
                Ok(None) => break,
                Err(error) => self.end(CloseReason::Framing(error)),
            }
            if self.state == ServerState::Closed {
                return;
            }
        }
        self.peer.note_partial(now);
    }

    /// Performs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Millis) {
        match self.state {
            ServerState::Closed => return,
            ServerState::Open { deadline: Some(deadline) } if deadline <= now => {
                return self.end(CloseReason::BindTimeout);
            }
            ServerState::Unbinding { deadline, .. } if deadline <= now => {
                return self.end(CloseReason::Requested);
            }
            _ => {}
        }
        while let Some(pending) = self.peer.expired(now) {
            self.events.push_back(ServerEvent::Unanswered { token: pending.token, cause: NoReply::Timeout });
        }
        if !matches!(self.state, ServerState::Bound(_)) {
            return;
        }
        if let Err(reason) = self.peer.check_life(now) {
            self.end(reason);
        }
    }

    /// Reports the end of the connection.
    pub fn handle_eof(&mut self, _now: Millis) {
        let reason = match self.state {
            ServerState::Unbinding { .. } => CloseReason::Requested,
            _ => CloseReason::Eof,
        };
        self.end(reason);
    }

    /// Unbinds the peer, waits for its reply, closes.
    pub fn unbind(&mut self, now: Millis) {
        match self.state {
            ServerState::Bound(_) => match self.peer.send(&Pdu::Unbind) {
                Ok(sequence) => {
                    let deadline = now.saturating_add(self.peer.config.unbind_timeout_ms);
                    self.state = ServerState::Unbinding { sequence, deadline };
                }
                Err(_) => self.end(CloseReason::Requested),
            },
            ServerState::Open { .. } | ServerState::Deciding { .. } => self.end(CloseReason::Requested),
            ServerState::Unbinding { .. } | ServerState::Closed => {}
        }
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent<T>> {
        self.events.pop_front()
    }

    /// Returns the time at which [`Server::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.state {
            ServerState::Closed | ServerState::Deciding { .. } => None,
            ServerState::Open { deadline } => deadline,
            ServerState::Unbinding { deadline, .. } => {
                Some(self.peer.oldest_deadline().map_or(deadline, |due| due.min(deadline)))
            }
            ServerState::Bound(_) => self.peer.next_deadline(),
        }
    }
}

/// Interpretation of PDUs.
impl<T: Copy> Server<T> {
    fn warn(&mut self, warning: Warning) {
        self.events.push_back(ServerEvent::Protocol(warning));
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == ServerState::Closed {
            return;
        }
        self.state = ServerState::Closed;
        for pending in self.peer.abandon() {
            self.events.push_back(ServerEvent::Unanswered { token: pending.token, cause: NoReply::LinkLost });
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
            CommandId::ENQUIRE_LINK => self.peer.reply_bare(header.command, header.sequence, status::OK),
            CommandId::UNBIND => {
                self.peer.reply_bare(header.command, header.sequence, status::OK);
                self.end(CloseReason::PeerUnbound);
            }
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

    fn refuse_bad_body(&mut self, header: PduHeader, error: pdu::BodyError) {
        self.peer.counters.bad_bodies += 1;
        self.peer.refuse(header, status::INVALID_COMMAND_LENGTH);
        self.warn(Warning::BadBody(header.command, error));
    }

    fn handle_bind(&mut self, kind: BindKind, frame: Frame) {
        let ServerState::Open { deadline } = self.state else {
            self.peer.counters.wrong_state += 1;
            self.peer.refuse(frame.header, status::ALREADY_BOUND);
            return self.warn(Warning::WrongState(frame.header.command));
        };
        match Pdu::read(frame.header.command, frame.header.status, &frame.body) {
            Ok((_, salvage)) => {
                self.peer.note(salvage);
                self.state = ServerState::Deciding { deadline };
                let request = BindRequest { kind, sequence: frame.header.sequence, body: frame.body };
                self.events.push_back(ServerEvent::Bind(request));
            }
            Err(error) => self.refuse_bad_body(frame.header, error),
        }
    }

    fn handle_submit(&mut self, frame: Frame) {
        let header = frame.header;
        if !matches!(self.state, ServerState::Bound(kind) if kind.submits()) {
            return self.refuse_wrong_state(header);
        }
        match Inbound::new(header.command, frame.body) {
            Ok((message, salvage)) => {
                self.peer.note(salvage);
                if let Some(reply) = self.peer.admit(header) {
                    self.events.push_back(ServerEvent::Submitted { reply, message });
                }
            }
            Err(error) => self.refuse_bad_body(header, error),
        }
    }

    fn handle_request(&mut self, frame: Frame) {
        let header = frame.header;
        if !matches!(self.state, ServerState::Bound(kind) if kind.submits()) {
            return self.refuse_wrong_state(header);
        }
        match Pdu::read(header.command, header.status, &frame.body) {
            Ok((_, salvage)) => {
                self.peer.note(salvage);
                if let Some(reply) = self.peer.admit(header) {
                    let request = PeerRequest { command: header.command, body: frame.body };
                    self.events.push_back(ServerEvent::Requested { reply, request });
                }
            }
            Err(error) => self.refuse_bad_body(header, error),
        }
    }

    fn handle_reply(&mut self, frame: &Frame) {
        let header = frame.header;
        if let ServerState::Unbinding { sequence, .. } = self.state
            && sequence == header.sequence
            && (header.command == CommandId::UNBIND.reply() || header.command == CommandId::GENERIC_NACK)
        {
            return self.end(CloseReason::Requested);
        }
        let code = |pending: &Pending<T>| match header.command {
            CommandId::GENERIC_NACK => (pending.token, Answer::nack(header.status).status),
            _ => (pending.token, header.status),
        };
        match self.peer.matched(header) {
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
