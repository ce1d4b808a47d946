//! The part of an SMPP connection that both ends share: frames in, bytes out, the window of own
//! requests, the peer's unanswered requests, and keep-alive. Decides nothing: its owner interprets
//! PDUs and deadlines.

use std::fmt;

use bytes::BytesMut;

use super::{
    Millis,
    ending::CloseReason,
    exchange::ReplyToken,
    frame::{Frame, FrameError, Frames},
    limits::{Counters, PeerConfig, SubmitError},
    pdu::{self, CommandId, EncodeError, Pdu, PduHeader, Salvage},
    window::{Late, Pending, RequestWindow},
};

/// Maximum number of octets that wait for a peer that does not read; beyond it nothing is sent or
/// read.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// The request that a reply belongs to.
pub(super) enum Matched<T> {
    Waiting(Pending<T>),
    Late(Pending<T>),
    Enquire,
    Nothing,
}

/// One connection as both of its ends see it. `T` names the owner's requests.
pub struct Peer<T> {
    pub(super) config: PeerConfig,
    /// Distinguishes this connection's tokens from those of others.
    epoch: u64,
    pub(super) counters: Counters,
    frames: Frames,
    output: Vec<u8>,
    sent: usize,
    window: RequestWindow<T>,
    late: Late<T>,
    heard: Millis,
    partial_since: Option<Millis>,
    enquire: Option<(u32, Millis)>,
    inbound: usize,
    /// Deadlines before this are postponed to it, because reading was paused.
    grace: Millis,
}

impl<T> fmt::Debug for Peer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The output is left out: a bind in it holds the password.
        f.debug_struct("Peer")
            .field("counters", &self.counters)
            .field("output_octets", &self.output.len())
            .field("enquire", &self.enquire)
            .field("inbound", &self.inbound)
            .finish_non_exhaustive()
    }
}

impl<T: Copy> Peer<T> {
    pub(super) fn new(config: PeerConfig, epoch: u64, now: Millis) -> Self {
        Self {
            config,
            epoch,
            counters: Counters::default(),
            frames: Frames::new(config.pdu_bytes_max),
            output: Vec::new(),
            sent: 0,
            window: RequestWindow::new(config.window, config.first_sequence),
            late: Late::new(),
            heard: now,
            partial_since: None,
            enquire: None,
            inbound: 0,
            grace: 0,
        }
    }

    /// Returns how often a deviation was tolerated.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    // Input.

    pub(super) fn push(&mut self, bytes: &[u8], now: Millis) {
        self.heard = self.heard.max(now);
        self.frames.push(bytes);
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let frame = self.frames.next_frame()?;
        if frame.is_some() {
            self.counters.received += 1;
            self.partial_since = None;
        }
        Ok(frame)
    }

    /// Records since when a PDU is incomplete. Call it after all complete frames are taken.
    pub(super) fn note_partial(&mut self, now: Millis) {
        match self.frames.is_partial() {
            true => self.partial_since = self.partial_since.or(Some(now)),
            false => self.partial_since = None,
        }
    }

    pub(super) fn note(&mut self, salvage: Salvage) {
        self.counters.salvaged += u64::from(!salvage.is_clean());
    }

    // Output.

    /// Returns the octets to be written.
    pub fn transmit(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// Drops the first octets of [`transmit`](Self::transmit), which were written.
    pub fn transmitted(&mut self, octets: usize) {
        self.sent = self.sent.saturating_add(octets);
        if self.sent >= self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
    }

    /// Moves everything that is to be written into a buffer.
    pub fn take_output(&mut self, into: &mut BytesMut) {
        into.extend_from_slice(self.transmit());
        self.transmitted(usize::MAX);
    }

    pub(super) fn raw(&mut self, octets: &[u8]) {
        self.output.extend_from_slice(octets);
    }

    fn backlogged(&self) -> bool {
        self.transmit().len() > OUTPUT_BYTES_MAX
    }

    // Own requests.

    pub(super) fn window_free(&self) -> usize {
        if self.backlogged() { 0 } else { self.window.free() }
    }

    /// Returns the number of own requests that wait for their replies.
    pub fn window_used(&self) -> usize {
        self.window.used()
    }

    fn sequence(&mut self) -> u32 {
        let (late, enquire) = (&self.late, self.enquire);
        self.window.sequence(|sequence| {
            late.contains(sequence) || enquire.is_some_and(|(asked, _)| asked == sequence)
        })
    }

    /// Sends a request whose reply the owner awaits outside the window (bind, unbind,
    /// enquire_link).
    pub(super) fn send(&mut self, pdu: &Pdu<'_>) -> Result<u32, EncodeError> {
        let sequence = self.sequence();
        pdu::write(pdu, 0, sequence, &mut self.output)?;
        Ok(sequence)
    }

    /// Sends a request within the window.
    #[inline]
    pub(super) fn request(
        &mut self,
        token: T,
        command: CommandId,
        now: Millis,
        write: impl FnOnce(u32, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), SubmitError> {
        if self.window_free() == 0 {
            return Err(SubmitError::WindowFull);
        }
        let sequence = self.sequence();
        write(sequence, &mut self.output)?;
        let deadline = now.saturating_add(self.config.reply_timeout_ms);
        self.window.insert(sequence, command, token, deadline);
        Ok(())
    }

    /// Returns the request that a reply answers; its command must match as well.
    pub(super) fn matched(&mut self, header: PduHeader) -> Matched<T> {
        let (command, sequence) = (header.command, header.sequence);
        let fits = |asked: CommandId| command == CommandId::GENERIC_NACK || command == asked.reply();
        if self.window.get(sequence).is_some_and(|pending| fits(pending.command))
            && let Some(pending) = self.window.take(sequence)
        {
            return Matched::Waiting(pending);
        }
        if self.enquire.is_some_and(|(asked, _)| asked == sequence) && fits(CommandId::ENQUIRE_LINK) {
            self.enquire = None;
            return Matched::Enquire;
        }
        if self.late.get(sequence).is_some_and(|pending| fits(pending.command))
            && let Some(pending) = self.late.take(sequence)
        {
            return Matched::Late(pending);
        }
        self.counters.unknown_replies += 1;
        Matched::Nothing
    }

    /// Returns the next request, in sending order, whose reply is overdue.
    pub(super) fn expired(&mut self, now: Millis) -> Option<Pending<T>> {
        let due = self.window.oldest()?.deadline.max(self.grace);
        if due > now || self.is_paused() {
            return None;
        }
        let pending = self.window.take_oldest()?;
        self.counters.timed_out += 1;
        self.late.insert(pending);
        Some(pending)
    }

    /// Drains all waiting requests, in sending order, at the end of the connection.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Pending<T>> + '_ {
        self.late.clear();
        std::iter::from_fn(|| self.window.take_oldest())
    }

    // Requests of the peer.

    /// Admits a request of the peer; refuses it and returns `None` when too many wait.
    pub(super) fn admit(&mut self, header: PduHeader) -> Option<ReplyToken> {
        if self.inbound >= self.config.inbound_max.saturating_mul(2).max(1) {
            self.counters.refused += 1;
            self.refuse(header, self.config.inbound_full_status);
            return None;
        }
        self.inbound += 1;
        let PduHeader { command, sequence, .. } = header;
        Some(ReplyToken { command, sequence, epoch: self.epoch })
    }

    /// Returns a token. False when it belongs to another connection.
    pub(super) fn settle(&mut self, token: &ReplyToken, now: Millis) -> bool {
        if token.epoch != self.epoch {
            return false;
        }
        let paused = self.is_paused();
        self.inbound = self.inbound.saturating_sub(1);
        if paused && !self.is_paused() {
            self.grace = now.saturating_add(self.config.reply_timeout_ms);
            self.heard = self.heard.max(now);
        }
        true
    }

    /// Replies with a bare status: without a body, except for the empty id that some replies
    /// require.
    pub(super) fn refuse(&mut self, header: PduHeader, status: u32) {
        self.reply_bare(header.command, header.sequence, status);
    }

    pub(super) fn reply_bare(&mut self, request: CommandId, sequence: u32, status: u32) {
        let body: &[u8] = match request {
            CommandId::DELIVER_SM | CommandId::DATA_SM => &[0],
            _ => &[],
        };
        let header = PduHeader { command: request.reply(), status, sequence };
        // A body of at most one octet always fits.
        let _ = pdu::write_frame(header, body, &mut self.output);
    }

    pub(super) fn reply(&mut self, pdu: &Pdu<'_>, status: u32, sequence: u32) -> Result<(), EncodeError> {
        pdu::write(pdu, status, sequence, &mut self.output)
    }

    pub(super) fn nack(&mut self, sequence: u32, status: u32) {
        self.reply_bare(CommandId::GENERIC_NACK, sequence, status);
    }

    /// Returns the number of the peer's requests that were not replied to yet.
    pub fn unacknowledged(&self) -> usize {
        self.inbound
    }

    fn is_paused(&self) -> bool {
        self.inbound >= self.config.inbound_max.max(1)
    }

    /// Returns whether more should be read: false while too many of the peer's requests are
    /// unacknowledged, or the peer does not read.
    pub fn wants_read(&self) -> bool {
        !self.is_paused() && !self.backlogged()
    }

    // Keep-alive.

    pub(super) fn enquire(&mut self, now: Millis) {
        if self.enquire.is_none()
            && let Ok(sequence) = self.send(&Pdu::EnquireLink)
        {
            self.enquire = Some((sequence, now.saturating_add(self.config.reply_timeout_ms)));
        }
    }

    /// Checks the peer's silence, and sends an enquire_link when it is due. While reading is
    /// paused, silence means nothing.
    pub(super) fn check_life(&mut self, now: Millis) -> Result<(), CloseReason> {
        if self.is_paused() {
            return Ok(());
        }
        let past = |due: Option<Millis>| due.is_some_and(|due| due <= now);
        if past(self.stalled_at()) {
            return Err(CloseReason::Stalled);
        }
        if past(self.no_reply_at()) {
            return Err(CloseReason::NoEnquireReply);
        }
        if past(self.silent_at()) {
            return Err(CloseReason::Inactive);
        }
        if past(self.enquire_at()) {
            self.enquire(now);
        }
        Ok(())
    }

    /// Returns the time at which [`Peer::expired`] or [`Peer::check_life`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        if self.is_paused() {
            return None;
        }
        [self.oldest_deadline(), self.stalled_at(), self.no_reply_at(), self.silent_at(), self.enquire_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns the time at which the oldest request is overdue.
    pub(super) fn oldest_deadline(&self) -> Option<Millis> {
        (!self.is_paused()).then(|| self.window.oldest())?.map(|pending| pending.deadline.max(self.grace))
    }

    fn stalled_at(&self) -> Option<Millis> {
        let since = self.partial_since?;
        Some(since.saturating_add(self.config.pdu_read_ms).max(self.grace))
    }

    fn no_reply_at(&self) -> Option<Millis> {
        Some(self.enquire?.1.max(self.grace))
    }

    fn silent_at(&self) -> Option<Millis> {
        (self.config.inactivity_ms > 0).then(|| self.heard.saturating_add(self.config.inactivity_ms))
    }

    fn enquire_at(&self) -> Option<Millis> {
        let due = self.heard.saturating_add(self.config.enquire_link_ms);
        (self.config.enquire_link_ms > 0 && self.enquire.is_none()).then_some(due)
    }
}
