//! Decides which facts follow from a command, an answer of the provider, a receipt or the passing
//! of time. Reads the session and the time it is given and changes nothing: its events are appended
//! to the log and applied.

use std::sync::Arc;

use channels::{Prepared, SendError};
use message::{
    Address, DestinationId, Event, MessageId, MessageNo, PartState, PartStatus, SessionId, StreamId,
    Timestamp,
    event::{
        Accepted, Cause, CloseReason, Concatenation, CustomerMoved, DoubtCause, DoubtSettlement, FailedParts,
        Offered, OpenedBy, SessionOpened,
    },
};
use smallvec::{SmallVec, smallvec};
use storage::invariant;

use super::{
    policy::Policy,
    ready::{query_at, unreported},
    state::{Outbound, Part, Phase, Session},
    window,
};
use crate::{config::OnUnknown, domain::clock::Moment, error::Refusal, sabotage::Sabotage};

/// The events of one decision, in order.
pub type Events = SmallVec<[Event; 2]>;

/// A message to accept: everything that the session does not know itself.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The business's id, or one drawn for it.
    pub id: MessageId,
    /// The content, adapted and cut with the reference of [`Session::next_reference`].
    pub prepared: Prepared,
    /// 0 to 10; `None`: the default for a reply or for bulk.
    pub priority: Option<u8>,
    /// Earliest instant to send it.
    pub send_at: Option<Timestamp>,
    /// Latest instant to send it.
    pub expires_at: Option<Timestamp>,
    /// Destination of notifications about it; `None`: the DID's own.
    pub destination: Option<DestinationId>,
    /// CIM `conversationId`.
    pub conversation_id: Option<Box<str>>,
    /// CIM `channelData` as it came.
    pub channel_data: Option<Box<str>>,
    /// The provider's id of the message it replies to.
    pub reply_to: Option<Arc<str>>,
    /// When the customer last wrote, in this session or before.
    pub heard_at: Option<Timestamp>,
}

impl Accept {
    /// Creates a message without any options.
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

/// The customer of a session and the spellings that the business sees.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The customer on a channel and DID.
    pub address: Address,
    /// The customer's address as the business sees it.
    pub customer_shown: Arc<str>,
    /// The DID as configured.
    pub did_shown: Arc<str>,
    /// The canonical address by which the customer was named now, where it is not
    /// `address.customer`. A session that knows better where its customer is reached keeps that.
    pub reached: Option<Arc<str>>,
}

impl Identity {
    /// Returns the canonical name by which the customer was named now.
    pub fn name(&self) -> &Arc<str> {
        self.reached.as_ref().unwrap_or(&self.address.customer)
    }
}

/// The outcome of a part that was handed to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider accepted it under this id, which may be empty.
    Taken(Arc<str>),
    /// The provider, or the way to it, refused it.
    Refused(SendError),
    /// No byte of it left: the link was gone or full.
    NotSent,
    /// It may or may not have been accepted.
    Unanswered(DoubtCause),
}

/// A part that a receipt with an unknown id belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct DoubtMatch {
    /// Number of the message in the stream.
    pub message: MessageNo,
    /// The part, from 0.
    pub part: u16,
    /// The provider has the part under the receipt's id.
    pub submitted: Event,
}

/// A receipt whose id leads to no part.
#[derive(Clone, Copy, Debug)]
pub struct UnknownReceipt<'a> {
    /// The provider's id; may be empty.
    pub provider_id: &'a str,
    /// When it came.
    pub came_at: Timestamp,
    /// The answer to a part handed to a link by then is overdue. `None`: answers are always waited
    /// for.
    pub unanswered_since: Option<Timestamp>,
}

/// A message counts as a reply, and gets [`REPLY_PRIORITY`], for this time after the customer's
/// last message.
const REPLY_WITHIN_MS: u64 = 24 * 3600 * 1000;
/// Priority of a reply whose sender gave none; 0 is bulk.
const REPLY_PRIORITY: u8 = 5;
/// Code of a message whose address passed to another customer before it was sent.
const REASSIGNED: &str = "reassigned";
/// Seconds after which a refused sender may retry while the session's queue is full.
const QUEUE_FULL_RETRY_S: u32 = 30;

impl Session {
    /// Returns the reference number for the parts of the next long text.
    pub fn next_reference(&self) -> u16 {
        self.counters.references.wrapping_add(1)
    }

    /// Opens the session unless it is open.
    pub fn ensure_open(&self, identity: &Identity, by: OpenedBy, handler: &str) -> Option<Event> {
        (!self.open).then(|| {
            Event::SessionOpened(Box::new(SessionOpened {
                address: identity.address.clone(),
                ordinal: self.counters.sessions.saturating_add(1),
                reached: self.reached.clone(),
                customer_shown: self.shown_of(identity),
                did_shown: identity.did_shown.clone(),
                by,
                handler: Arc::from(handler),
                counters: self.counters,
            }))
        })
    }

    /// Returns the customer's address as the business should see it: the name in `identity` may be
    /// an address that the customer has left.
    fn shown_of(&self, identity: &Identity) -> Arc<str> {
        let is_left = self.reached.as_ref().is_some_and(|reached| *reached != *identity.name());
        if is_left { self.customer_shown.clone() } else { identity.customer_shown.clone() }
    }

    /// Accepts an outbound message and opens the session if necessary.
    ///
    /// # Errors
    /// When the session's queue is full, the message's validity is over, or the provider allows
    /// only templates at the time it would be sent.
    pub fn accept(
        &self,
        policy: &Policy,
        identity: &Identity,
        accept: Accept,
        now: Timestamp,
    ) -> Result<Events, Refusal> {
        if self.queue.len() >= policy.queue_max {
            let reason = format!(
                "{} messages already wait for this customer, the limit is {}; wait until some are sent",
                self.queue.len(),
                policy.queue_max
            );
            return Err(Refusal::Busy { reason: reason.into(), retry_after_s: QUEUE_FULL_RETRY_S });
        }
        if let Some(refusal) = Self::is_over(accept.expires_at, now) {
            return Err(refusal);
        }
        if self.customer().is_empty() {
            let reason = "the customer's address passed to another customer, and no new one is known";
            return Err(Refusal::Unsendable(Cause::new(REASSIGNED, reason)));
        }
        let leaves_at = accept.send_at.unwrap_or(now).max(now);
        if let Some(cause) = window::closed(policy, &accept.prepared.content, accept.heard_at, leaves_at) {
            return Err(Refusal::Unsendable(cause));
        }
        let mut events: Events = self.ensure_open(identity, OpenedBy::Business, "").into_iter().collect();
        let is_reply = self.open && self.last_inbound.is_some_and(|at| now.since_ms(at) < REPLY_WITHIN_MS);
        let mut split = accept.prepared.split;
        if split.concatenation == Concatenation::Udh8 {
            split.reference &= 0xff;
        }
        let number = MessageNo(self.counters.messages.saturating_add(1));
        let last = self.queue.back().map_or(0, |last| last.number.0);
        invariant!(last < number.0, "message {} comes after {last}", number.0);
        invariant!(split.parts > 0, "the channel made no parts of message {}", number.0);
        events.push(Event::Accepted(Box::new(Accepted {
            number,
            id: accept.id,
            content: accept.prepared.content,
            split,
            priority: accept.priority.unwrap_or(if is_reply { REPLY_PRIORITY } else { 0 }),
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

    /// Returns the refusal of a message whose validity ended before it came.
    pub fn is_over(expires_at: Option<Timestamp>, now: Timestamp) -> Option<Refusal> {
        let reason = "the validity period ended before the message arrived; give a later expiresAt";
        expires_at.filter(|at| *at <= now).map(|_| Refusal::Unsendable(Cause::new("expired", reason)))
    }

    /// Opens the session for a handler, or hands the open session over to it.
    ///
    /// # Errors
    /// When another handler has the session and `takeover` is false.
    pub fn open_for(
        &self,
        (stream, identity): (StreamId, &Identity),
        handler: &str,
        takeover: bool,
    ) -> Result<Events, Refusal> {
        if let Some(opened) = self.ensure_open(identity, OpenedBy::Agent, handler) {
            return Ok(smallvec![opened]);
        }
        if *self.handler == *handler {
            return Ok(Events::new());
        }
        if !self.handler.is_empty() && !takeover {
            return Err(Refusal::Held { session: self.id(stream), handler: Box::from(&*self.handler) });
        }
        Ok(smallvec![Event::SessionTaken { handler: Arc::from(handler) }])
    }

    /// Ends the open session.
    ///
    /// # Errors
    /// When the session with this id is not open.
    pub fn end(&self, id: SessionId, reason: CloseReason) -> Result<Events, Refusal> {
        if !self.open || self.counters.sessions != id.ordinal {
            return Err(Refusal::NotFound("open session"));
        }
        Ok(smallvec![Event::SessionClosed { reason }])
    }

    /// Hands at most `max` parts of the first due message to a link.
    pub fn submit(&self, policy: &Policy, now: impl Into<Moment>, max: usize) -> Option<Event> {
        let due = self.due_parts(policy, now, max)?;
        let parts = due.parts.len();
        invariant!((1..=max).contains(&parts), "{parts} parts are handed over, {max} may be");
        Some(Event::Submitting { message: due.message, parts: due.parts })
    }

    /// Records the outcome of a submit. `jitter_ms` is added to a pause before a retry.
    ///
    /// [`SendError`] alone decides between retry, failure and doubt.
    pub fn outcome(
        &self,
        policy: &Policy,
        number: MessageNo,
        position: u16,
        outcome: Outcome,
        jitter_ms: u64,
        now: Timestamp,
    ) -> Events {
        let Some(message) = self.message(number) else { return Events::new() };
        let Some(part) = message.parts.get(usize::from(position)) else { return Events::new() };
        let with_link = part.phase == Phase::Submitting;
        let later = |cause, retry_at, counted| {
            smallvec![Event::Deferred { message: number, part: position, cause, retry_at, counted }]
        };
        match outcome {
            Outcome::Taken(provider_id) => {
                smallvec![Event::Submitted { message: number, part: position, provider_id }]
            }
            // A late answer to an earlier submit: only an acceptance still tells something.
            _ if !with_link => Events::new(),
            Outcome::NotSent => {
                let reason = "the connection was lost before the part was sent";
                later(Cause::new("not_sent", reason), now, false)
            }
            Outcome::Unanswered(cause) => self.doubt(policy, number, position, cause, now),
            Outcome::Refused(error) => match error {
                SendError::Unavailable(cause) if part.tries.saturating_add(1) < policy.tries_max => {
                    later(cause, now.plus_ms(backoff_ms(policy, part.tries) + jitter_ms), true)
                }
                SendError::RetryOnce(cause) | SendError::Forbidden(cause) if part.tries == 0 => {
                    later(cause, now.plus_ms(policy.backoff_ms + jitter_ms), true)
                }
                SendError::Throttled { after_ms, cause } => later(cause, now.plus_ms(after_ms), false),
                // The channel has decided whose limit it is.
                SendError::CustomerThrottled { after_ms, cause } | SendError::Busy { after_ms, cause } => {
                    later(cause, now.plus_ms(after_ms.saturating_add(jitter_ms)), false)
                }
                SendError::CredentialsRefused(cause) => later(cause, now, false),
                SendError::Unknown(_) => self.doubt(policy, number, position, DoubtCause::NoAnswer, now),
                SendError::Unavailable(cause)
                | SendError::RetryOnce(cause)
                | SendError::Forbidden(cause)
                | SendError::Rejected(cause)
                | SendError::Unsubscribed(cause) => give_up(message, position, cause),
            },
        }
    }

    /// Puts a part in doubt: it is sent again after a grace period, or held.
    fn doubt(
        &self,
        policy: &Policy,
        message: MessageNo,
        part: u16,
        cause: DoubtCause,
        now: Timestamp,
    ) -> Events {
        let Some(known) = self.part(message, part) else { return Events::new() };
        let resend = policy.on_unknown == OnUnknown::Resend || Sabotage::ResendOnHold.is_chosen();
        let resend_at = resend.then(|| now.plus_ms(policy.doubt_grace_ms));
        let mut events: Events = smallvec![Event::InDoubt { message, part, cause, resend_at }];
        // A receipt that carried our own reference came before the answer: the part was accepted,
        // or an earlier copy was reported on. Either way no further copy is sent. Its id stays
        // unknown and the doubt stays counted, since a receipt with an unknown id may be its own.
        if known.state.reached >= PartStatus::Sent || (known.doubts == 0 && known.state.failed) {
            events.push(Event::Receipt { message, part, state: known.state, code: "reported".into() });
            return events;
        }
        let submits = known.resent.saturating_add(1);
        if resend && submits >= policy.tries_max {
            let reason = format!("the part was sent {submits} times and the provider never answered");
            let parts = FailedParts::One(part);
            events.push(Event::PartFailed { message, parts, cause: Cause::new("no_answer", reason) });
        }
        events
    }

    /// Records a receipt for a known part. `None`: the part is unknown or settled. No events: the
    /// receipt adds nothing.
    pub fn receipt(&self, message: MessageNo, part: u16, state: PartState, code: &str) -> Option<Events> {
        let known = self.part(message, part)?;
        let adds = known.state.join(state) != known.state
            || (known.phase != Phase::Answered && known.phase != Phase::Submitting);
        let code = code.into();
        Some(if adds { smallvec![Event::Receipt { message, part, state, code }] } else { Events::new() })
    }

    /// Matches a receipt with an unknown id to the single part that can be meant: one in doubt, or
    /// one whose answer is overdue.
    ///
    /// `None` when several parts can be meant, when an answer may still be on its way, or when the
    /// receipt may belong to a copy of a settled message whose receipts may still come. Messages
    /// accepted after the receipt came, and parts first handed to a link after that, do not count.
    pub fn doubt_receipt(&self, policy: &Policy, receipt: &UnknownReceipt<'_>) -> Option<DoubtMatch> {
        let came_at = receipt.came_at;
        if self.counters.may_have_orphans(came_at, policy.receipt_timeout_ms) {
            return None;
        }
        let is_with_link = |part: &Part| part.phase == Phase::Submitting;
        if receipt.unanswered_since.is_none() && self.submitting() {
            return None;
        }
        let can_be_meant = |part: &Part| {
            let was_handed = part.handed_at <= came_at || part.resent > 0;
            (part.doubts > 0 || is_with_link(part)) && was_handed
        };
        let mut parts = self
            .messages()
            .filter(|message| message.accepted_at <= came_at)
            .flat_map(|message| message.parts_where(can_be_meant).map(|position| (message.number, position)));
        let (message, position) = parts.next()?;
        if parts.next().is_some() {
            return None;
        }
        let part = self.part(message, position)?;
        let is_overdue = receipt.unanswered_since.is_some_and(|since| part.handed_at <= since);
        if is_with_link(part) && !is_overdue {
            return None;
        }
        let provider_id = Arc::from(receipt.provider_id);
        Some(DoubtMatch {
            message,
            part: position,
            submitted: Event::Submitted { message, part: position, provider_id },
        })
    }

    /// Cancels a message of which no part was handed to a link.
    ///
    /// # Errors
    /// When the message is under way or settled.
    pub fn cancel(&self, number: MessageNo) -> Result<Events, Refusal> {
        match self.message(number) {
            None => Err(Refusal::TooLate("the message is already settled and cannot be cancelled".into())),
            Some(message) if message.started() => {
                Err(Refusal::TooLate("the message is already being sent and cannot be cancelled".into()))
            }
            Some(_) => Ok(smallvec![Event::Cancelled { message: number }]),
        }
    }

    /// Settles a part in doubt by an operator's decision.
    ///
    /// # Errors
    /// When the part is not held in doubt.
    pub fn settle_doubt(&self, number: MessageNo, part: u16, by: DoubtSettlement) -> Result<Events, Refusal> {
        if self.part(number, part).is_none_or(|part| part.phase != Phase::Held) {
            return Err(Refusal::TooLate("the part is not held in doubt".into()));
        }
        Ok(smallvec![Event::DoubtSettled { message: number, part, by }])
    }

    /// Fails what waits to be sent although the customer's address passed to another one.
    pub fn fail_unsent(&self) -> impl Iterator<Item = Event> {
        let reason = "the customer's address passed to another customer before the message was sent";
        self.queue.iter().map(move |message| Event::PartFailed {
            message: message.number,
            parts: FailedParts::Unsent,
            cause: Cause::new(REASSIGNED, reason),
        })
    }

    /// Ends the work of a customer whose address passed to another session. If it is the `same`
    /// customer, what is queued is still sent; else it would reach a stranger.
    pub fn lose_address(&self, same: bool, change: u64, now: Timestamp) -> Events {
        let mut events = Events::new();
        if self.open {
            events.push(Event::SessionClosed { reason: CloseReason::Reassigned });
        }
        if same {
            return events;
        }
        events.extend(self.fail_unsent());
        events.push(Event::CustomerMoved(Box::new(CustomerMoved {
            address: self.address.clone(),
            reached: Arc::from(""),
            customer_shown: self.customer_shown.clone(),
            names: Vec::new(),
            released: Vec::new(),
            at: now,
            change,
        })));
        events
    }

    /// Puts a dead letter back into delivery.
    ///
    /// # Errors
    /// When the delivery is not among the dead letters.
    pub fn replay_dead_letter(&self, delivery: u32) -> Result<Events, Refusal> {
        if self.dead_letters.iter().all(|letter| letter.delivery.number != delivery) {
            return Err(Refusal::NotFound("dead letter"));
        }
        Ok(smallvec![Event::DeadLetterReplayed { delivery }])
    }

    /// Fails the first due message when the provider's window closed while it waited.
    pub fn close_window(
        &self,
        policy: &Policy,
        heard_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Event> {
        let head = self.head(now).filter(|head| !head.started())?;
        let cause = window::closed(policy, &head.content, heard_at, now)?;
        Some(Event::PartFailed { message: head.number, parts: FailedParts::Unsent, cause })
    }

    /// Puts the parts in doubt that were with a link which is gone, after a start or a lost link.
    pub fn recover(&self, policy: &Policy, cause: DoubtCause, now: Timestamp) -> Events {
        let submitting = self.queue.iter().flat_map(|message| {
            let parts = message.parts_where(|part| part.phase == Phase::Submitting);
            parts.map(|position| (message.number, position))
        });
        submitting.flat_map(|(message, part)| self.doubt(policy, message, part, cause, now)).collect()
    }

    /// Applies the passing of time: expiries, queries, receipts that are no longer waited for, and
    /// the close by inactivity.
    pub fn wake(&self, policy: &Policy, now: Timestamp) -> Events {
        let mut events = Events::new();
        for message in &self.queue {
            let with_link = message.parts.iter().any(|part| part.phase == Phase::Submitting);
            if !with_link && message.expires_at.is_some_and(|at| at <= now) {
                events.push(Event::Expired { message: message.number });
            }
        }
        for message in self.sent.values() {
            let number = message.number;
            if query_at(policy, message).is_some_and(|at| at <= now) {
                events.extend(unreported(message).map(|part| Event::Queried { message: number, part }));
            }
            let held = message.parts.iter().any(|part| part.phase == Phase::Held);
            let waited = message.answered_at.is_some_and(|at| now.since_ms(at) >= policy.receipt_timeout_ms);
            if !held && waited {
                events.push(Event::Settled { message: number });
            }
        }
        if self.closes_at(policy).is_some_and(|at| at <= now) && self.assembly.next_due(0).is_none() {
            events.push(Event::SessionClosed { reason: CloseReason::Inactivity });
        }
        events
    }
}

/// Fails the part and every part of the message that was not sent yet.
fn give_up(message: &Outbound, part: u16, cause: Cause) -> Events {
    let failed = |parts, cause| Event::PartFailed { message: message.number, parts, cause };
    let mut events: Events = smallvec![failed(FailedParts::One(part), cause.clone())];
    if message.parts.len() > 1 {
        events.push(failed(FailedParts::Unsent, cause));
    }
    events
}

/// Returns the pause after a number of counted tries: doubling, up to the policy's maximum.
fn backoff_ms(policy: &Policy, tries: u16) -> u64 {
    let doubled =
        policy.backoff_ms.saturating_mul(1u64.checked_shl(u32::from(tries.min(32))).unwrap_or(u64::MAX));
    doubled.min(policy.backoff_max_ms)
}
