//! Which facts follow from a command to a session. Reads the state and the clock's argument, changes nothing;
//! what it returns is appended to the log and applied.

use std::sync::Arc;

use channels::{Prepared, SendError};
use message::{
    Address, DestinationId, Event, MessageId, MessageNo, PartState, PartStatus, SessionId, Timestamp,
    event::{
        ALL_PARTS, Accepted, Cause, CloseReason, Concatenation, DoubtCause, DoubtSettlement, Offered,
        OpenedBy, SessionOpened,
    },
};
use smallvec::{SmallVec, smallvec};

use super::{
    Policy,
    state::{Outbound, Part, Phase, Session},
    window,
};
use crate::{config::OnUnknown, error::Refusal, sabotage::Sabotage};

/// The facts of one decision, in order.
pub type Events = SmallVec<[Event; 2]>;

/// A message to be accepted: everything but what only the session knows.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The business's id, or one drawn for it.
    pub id: MessageId,
    /// The content, adapted and cut (with the reference of [`Session::next_reference`]).
    pub prepared: Prepared,
    /// 0 to 10, if the business said.
    pub priority: Option<u8>,
    /// Not to be sent before.
    pub send_at: Option<Timestamp>,
    /// Not to be sent after.
    pub expires_at: Option<Timestamp>,
    /// Where its notifications go when not to the DID's destination.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
    /// The provider's id of the message it answers.
    pub reply_to: Option<Arc<str>>,
    /// When the customer last wrote, in this session or before.
    pub heard_at: Option<Timestamp>,
}

impl Accept {
    /// A message of which nothing more is said.
    pub fn plain(id: MessageId, prepared: Prepared) -> Self {
        Self {
            id,
            prepared,
            priority: None,
            send_at: None,
            expires_at: None,
            destination: None,
            conversation_id: None,
            channel_data: None,
            reply_to: None,
            heard_at: None,
        }
    }
}

/// Who a session belongs to, in the business's spelling.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The address.
    pub address: Address,
    /// The customer as the business should see it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
}

/// What became of a part that was handed to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it, under this id (may be empty).
    Taken(Arc<str>),
    /// The provider (or the way to it) said no.
    Refused(SendError),
    /// It never left: the link was gone or full before its bytes went out.
    NotSent,
    /// It may or may not have been taken.
    Unanswered(DoubtCause),
}

/// Replies to a customer who wrote within this time go before bulk.
const REPLY_WITHIN_MS: u64 = 24 * 3600 * 1000;
/// The lane of a reply whose sender named none.
const REPLY_PRIORITY: u8 = 5;

impl Session {
    /// The reference that the parts of the next long text will share.
    pub fn next_reference(&self) -> u16 {
        self.counters.references.wrapping_add(1)
    }

    /// Opens the session if it is not.
    pub fn ensure_open(&self, identity: &Identity, by: OpenedBy, handler: &str) -> Option<Event> {
        (!self.open).then(|| {
            Event::SessionOpened(Box::new(SessionOpened {
                address: identity.address.clone(),
                ordinal: self.counters.sessions.saturating_add(1),
                customer_shown: identity.customer_shown.clone(),
                did_shown: identity.did_shown.clone(),
                by,
                handler: Arc::from(handler),
                counters: self.counters,
            }))
        })
    }

    /// Accepts an outbound message, opening the session if need be.
    pub fn accept(
        &self,
        policy: &Policy,
        identity: &Identity,
        accept: Accept,
        now: Timestamp,
    ) -> Result<Events, Refusal> {
        if self.queue.len() >= policy.queue_max {
            let reason = format!("{} messages wait for this customer already", self.queue.len());
            return Err(Refusal::Busy { reason: reason.into(), retry_after_s: 30 });
        }
        if accept.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::Unsendable(Cause::new("expired", "its validity ended before it came")));
        }
        let from = accept.send_at.unwrap_or(now).max(now);
        if let Some(cause) = window::closed(policy, &accept.prepared.content, accept.heard_at, from) {
            return Err(Refusal::Unsendable(cause));
        }
        let mut events: Events = self.ensure_open(identity, OpenedBy::Business, "").into_iter().collect();
        let replies = self.open && self.last_inbound.is_some_and(|at| now.since_ms(at) < REPLY_WITHIN_MS);
        let mut split = accept.prepared.split;
        if split.concatenation == Concatenation::Udh8 {
            split.reference &= 0xff;
        }
        let number = MessageNo(self.counters.messages.saturating_add(1));
        events.push(Event::Accepted(Box::new(Accepted {
            number,
            id: accept.id,
            content: accept.prepared.content,
            split,
            priority: accept.priority.unwrap_or(if replies { REPLY_PRIORITY } else { 0 }),
            send_at: accept.send_at,
            expires_at: accept.expires_at,
            destination: accept.destination,
            conversation_id: accept.conversation_id,
            channel_data: accept.channel_data,
            adapted: accept.prepared.adapted,
        })));
        events.extend(accept.reply_to.map(|provider_id| Event::InReplyTo { message: number, provider_id }));
        if !accept.prepared.choices.is_empty() {
            let choices = accept.prepared.choices.into_vec();
            events.push(Event::Offered(Box::new(Offered { message: number, choices })));
        }
        Ok(events)
    }

    /// Opens the session for a handler, or takes it over.
    pub fn open_for(&self, identity: &Identity, handler: &str, takeover: bool) -> Result<Events, Refusal> {
        if let Some(opened) = self.ensure_open(identity, OpenedBy::Agent, handler) {
            return Ok(smallvec![opened]);
        }
        if *self.handler == *handler {
            return Ok(Events::new());
        }
        if !self.handler.is_empty() && !takeover {
            return Err(Refusal::Held { session: self.id(), handler: Box::from(&*self.handler) });
        }
        Ok(smallvec![Event::SessionTaken { handler: Arc::from(handler) }])
    }

    /// Ends the open session of this id.
    pub fn end(&self, id: SessionId, reason: CloseReason) -> Result<Events, Refusal> {
        if !self.open || self.counters.sessions != id.ordinal {
            return Err(Refusal::NotFound("open session"));
        }
        Ok(smallvec![Event::SessionClosed { reason }])
    }

    /// Hands over at most `max` parts of the message whose turn it is.
    pub fn submit(&self, policy: &Policy, now: Timestamp, max: usize) -> Option<Event> {
        let (message, parts) = self.sendable(policy, now, max)?;
        Some(Event::Submitting { message, parts })
    }

    /// What became of a part.
    pub fn outcome(
        &self,
        policy: &Policy,
        number: MessageNo,
        part: u16,
        outcome: Outcome,
        jitter_ms: u64,
        now: Timestamp,
    ) -> Events {
        let Some((message, p)) =
            self.message(number).and_then(|m| m.parts.get(usize::from(part)).map(|p| (m, p)))
        else {
            return Events::new();
        };
        // Only an acceptance means anything once the part is no longer with a link (a late answer).
        let with_link = p.phase == Phase::Submitting;
        match outcome {
            Outcome::Taken(provider_id) => smallvec![Event::Submitted { message: number, part, provider_id }],
            _ if !with_link => Events::new(),
            Outcome::NotSent => {
                deferred(number, part, Cause::new("not_sent", "the link was lost first"), now, false)
            }
            Outcome::Unanswered(cause) => self.doubt(policy, number, (part, p), cause, now),
            Outcome::Refused(error) => match error {
                SendError::Unavailable(cause) if p.tries.saturating_add(1) < policy.tries_max => {
                    let retry_at = now.plus_ms(backoff_ms(policy, p.tries) + jitter_ms);
                    deferred(number, part, cause, retry_at, true)
                }
                SendError::RetryOnce(cause) if p.tries == 0 => {
                    let retry_at = now.plus_ms(policy.backoff_ms + jitter_ms);
                    deferred(number, part, cause, retry_at, true)
                }
                SendError::Throttled { after_ms, cause } => {
                    deferred(number, part, cause, now.plus_ms(after_ms), false)
                }
                SendError::CredentialsRefused(cause) => deferred(number, part, cause, now, false),
                SendError::Unknown(_) => self.doubt(policy, number, (part, p), DoubtCause::NoAnswer, now),
                SendError::Unavailable(cause)
                | SendError::RetryOnce(cause)
                | SendError::Rejected(cause)
                | SendError::Unsubscribed(cause) => give_up(message, part, cause),
            },
        }
    }

    fn doubt(
        &self,
        policy: &Policy,
        message: MessageNo,
        (part, known): (u16, &Part),
        cause: DoubtCause,
        now: Timestamp,
    ) -> Events {
        let resent = known.resent;
        let resend = policy.on_unknown == OnUnknown::Resend || Sabotage::ResendOnHold.is_chosen();
        let resend_at = resend.then(|| now.plus_ms(policy.doubt_grace_ms));
        let mut events: Events = smallvec![Event::InDoubt { message, part, cause, resend_at }];
        // A report that named it by our own reference came before the answer: it was taken, and what was reported
        // of an earlier copy is one more reason not to send another. Its id stays unknown, so it stays one that was
        // in doubt: another report without a name may be its own.
        if known.state.reached >= PartStatus::Sent || (known.doubts == 0 && known.state.failed) {
            events.push(Event::Receipt { message, part, state: known.state, code: "reported".into() });
            return events;
        }
        if resend && resent.saturating_add(1) >= policy.tries_max {
            let reason = format!("sent {} times without an answer", resent.saturating_add(1));
            events.push(Event::PartFailed { message, part, cause: Cause::new("no_answer", reason) });
        }
        events
    }

    /// A receipt whose part is known and not settled. Nothing when it tells nothing new.
    pub fn receipt(&self, number: MessageNo, part: u16, state: PartState, code: &str) -> Option<Events> {
        let known = self.message(number)?.parts.get(usize::from(part))?;
        let news = known.state.join(state) != known.state
            || (known.phase != Phase::Answered && known.phase != Phase::Submitting);
        Some(if news {
            smallvec![Event::Receipt { message: number, part, state, code: code.into() }]
        } else {
            Events::new()
        })
    }

    /// A receipt whose id nobody knows: it belongs to the single part in doubt, if there is exactly one and
    /// nothing else is under way that it could belong to.
    ///
    /// `came_at` is when it came: what was accepted later cannot be meant. A message that is settled already may
    /// have left a copy, too, whose receipts come as long as receipts are waited for at all.
    pub fn doubt_receipt(
        &self,
        policy: &Policy,
        state: PartState,
        code: &str,
        came_at: Timestamp,
    ) -> Option<(MessageNo, u16, Events)> {
        let orphans = self.counters.may_have_orphans(came_at, policy.receipt_timeout_ms);
        if self.submitting() || orphans {
            return None;
        }
        let mut doubtful = self.queue.iter().chain(self.sent.values()).flat_map(|m| {
            let meant = move |p: &Part| p.doubts > 0 && m.accepted_at <= came_at;
            m.parts.iter().enumerate().filter(move |(_, p)| meant(p)).map(move |(n, _)| (m.number, n as u16))
        });
        let (message, part) = doubtful.next()?;
        if doubtful.next().is_some() {
            return None;
        }
        Some((message, part, smallvec![Event::Receipt { message, part, state, code: code.into() }]))
    }

    /// Withdraws a message of which nothing was handed over.
    pub fn cancel(&self, number: MessageNo) -> Result<Events, Refusal> {
        match self.message(number) {
            None => Err(Refusal::TooLate("the message is settled already".into())),
            Some(m) if m.started() => Err(Refusal::TooLate("the message is under way already".into())),
            Some(_) => Ok(smallvec![Event::Cancelled { message: number }]),
        }
    }

    /// Settles a part in doubt as an operator says.
    pub fn settle_doubt(&self, number: MessageNo, part: u16, by: DoubtSettlement) -> Result<Events, Refusal> {
        let held = self
            .message(number)
            .and_then(|m| m.parts.get(usize::from(part)))
            .is_some_and(|p| p.phase == Phase::Held);
        if !held {
            return Err(Refusal::TooLate("the part is not held in doubt".into()));
        }
        Ok(smallvec![Event::DoubtSettled { message: number, part, by }])
    }

    /// What this process's start means for parts that the last one had handed over: they are in doubt.
    pub fn recover(&self, policy: &Policy, cause: DoubtCause, now: Timestamp) -> Events {
        let mut events = Events::new();
        for message in &self.queue {
            for (n, part) in message.parts.iter().enumerate() {
                if part.phase == Phase::Submitting {
                    events.extend(self.doubt(policy, message.number, (n as u16, part), cause, now));
                }
            }
        }
        events
    }

    /// What the passing of time means.
    pub fn wake(&self, policy: &Policy, now: Timestamp) -> Events {
        let mut events = Events::new();
        for message in &self.queue {
            let with_link = message.parts.iter().any(|p| p.phase == Phase::Submitting);
            if !with_link && message.expires_at.is_some_and(|at| at <= now) {
                events.push(Event::Expired { message: message.number });
            }
        }
        for message in self.sent.values() {
            if query_at(policy, message).is_some_and(|at| at <= now) {
                events
                    .extend(unreported(message).map(|part| Event::Queried { message: message.number, part }));
            }
            let held = message.parts.iter().any(|p| p.phase == Phase::Held);
            let waited = message.answered_at.is_some_and(|at| now.since_ms(at) >= policy.receipt_timeout_ms);
            if !held && waited {
                events.push(Event::Settled { message: message.number });
            }
        }
        if self.closes_at(policy).is_some_and(|at| at <= now) && self.assembly.next_due(0).is_none() {
            events.push(Event::SessionClosed { reason: CloseReason::Inactivity });
        }
        events
    }
}

/// When the provider is asked about a message, if it is.
pub(super) fn query_at(policy: &Policy, message: &Outbound) -> Option<Timestamp> {
    let after = policy.query_after_ms?;
    unreported(message).next()?;
    Some(message.answered_at?.plus_ms(after))
}

/// Parts with an id to ask for and no final receipt.
fn unreported(message: &Outbound) -> impl Iterator<Item = u16> {
    let asks = |p: &Part| !p.queried && !p.provider_id.is_empty() && !p.state.is_final();
    message.parts.iter().enumerate().filter(move |(_, p)| asks(p)).map(|(n, _)| n as u16)
}

fn deferred(message: MessageNo, part: u16, cause: Cause, retry_at: Timestamp, counted: bool) -> Events {
    smallvec![Event::Deferred { message, part, cause, retry_at, counted }]
}

/// A part failed for good: the rest of its message, as far as nothing of it is out, is not worth sending.
fn give_up(message: &Outbound, part: u16, cause: Cause) -> Events {
    let rest = message.parts.len() > 1;
    let mut events: Events =
        smallvec![Event::PartFailed { message: message.number, part, cause: cause.clone() }];
    if rest {
        events.push(Event::PartFailed { message: message.number, part: ALL_PARTS, cause });
    }
    events
}

/// The pause after a number of counted tries: doubling, bounded.
fn backoff_ms(policy: &Policy, tries: u16) -> u64 {
    let doubled =
        policy.backoff_ms.saturating_mul(1u64.checked_shl(u32::from(tries.min(32))).unwrap_or(u64::MAX));
    doubled.min(policy.backoff_max_ms)
}
