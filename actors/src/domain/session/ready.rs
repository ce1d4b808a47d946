//! Tells what a session has ready and when to look at it again: due parts, its lane, and the next
//! instant at which time alone changes something. Must not decide what happens then.

use message::{MessageNo, Timestamp};
use smallvec::SmallVec;
use storage::invariant;

use super::{
    policy::Policy,
    state::{Outbound, Part, Phase, Session},
};
use crate::domain::clock::Moment;

/// Queued messages that are searched for the highest priority. A more urgent message further behind
/// moves the session to its lane only when it comes within this distance.
const PRIORITY_SEARCH_MAX: usize = 256;

/// Parts of one message that may be submitted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueParts {
    /// Number of the message in the stream.
    pub message: MessageNo,
    /// The parts, from 0; at least one.
    pub parts: SmallVec<[u16; 4]>,
}

impl Session {
    /// Returns the first message that is not fully answered and whose time has come. A message that
    /// has begun holds back all behind it; one that is scheduled for later holds back nothing.
    pub fn head(&self, now: Timestamp) -> Option<&Outbound> {
        let is_due = |message: &&Outbound| message.started() || message.send_at.is_none_or(|at| at <= now);
        self.queue.iter().map(|message| &**message).find(is_due)
    }

    /// Returns at most `max` parts that may be submitted now.
    pub fn due_parts(&self, policy: &Policy, now: impl Into<Moment>, max: usize) -> Option<DueParts> {
        let Moment { now, sure, latest } = now.into();
        let head = self.head(sure)?;
        let max = if policy.pair_interval_ms > 0 { max.min(1) } else { max };
        // A part that was sent in the future was sent before the clock went back.
        let rests = self.rests_until(policy).is_some_and(|until| self.last_sent <= now && now < until);
        if rests {
            return None;
        }
        if head.expires_at.is_some_and(|at| at <= latest) {
            return None;
        }
        let is_due = |part: &Part| part.phase == Phase::Waiting && part.retry_at <= now;
        let parts: SmallVec<[u16; 4]> = head.parts_where(is_due).take(max).collect();
        let is_queued = self.queue_position(head.number).is_ok();
        invariant!(is_queued, "message {} is due and not queued", head.number.0);
        (!parts.is_empty()).then_some(DueParts { message: head.number, parts })
    }

    /// Returns the instant before which the pair interval forbids another part to this customer.
    pub(super) fn rests_until(&self, policy: &Policy) -> Option<Timestamp> {
        let waits = policy.pair_interval_ms > 0 && !self.queue.is_empty();
        waits.then(|| self.last_sent.plus_ms(policy.pair_interval_ms))
    }

    /// Returns the lane the session waits in: the highest priority of its queued messages.
    pub fn lane(&self) -> u8 {
        self.queue.iter().take(PRIORITY_SEARCH_MAX).map(|message| message.priority).max().unwrap_or(0)
    }

    /// Returns whether any part is with a link.
    pub fn submitting(&self) -> bool {
        self.queue.iter().any(|message| message.parts.iter().any(|part| part.phase == Phase::Submitting))
    }

    /// Returns the next instant at which the session must be looked at, for one that leaves memory.
    /// `Timestamp(0)`: it has work now.
    pub fn wake_at(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        if self.submitting() || !self.deliveries.is_empty() || self.due_parts(policy, now, 1).is_some() {
            return Some(Timestamp(0));
        }
        self.next_instant(policy, now)
    }

    /// Returns the next instant at which time alone changes something, for a live session whose
    /// present work is already announced.
    pub fn next_instant(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let queued = self.queue.iter().filter_map(|message| message.queued_until(now)).min();
        let sent = self.sent.values().filter_map(|message| message.sent_until(policy)).min();
        earlier(earlier(queued, sent), self.own_instant(policy, now))
    }

    /// Returns the next instant that one message asks for. An event about a message changes this
    /// and [`Session::own_instant`], and no other message's instant.
    pub fn instant_of(&self, number: MessageNo, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        match self.sent.get(&number) {
            Some(sent) => sent.sent_until(policy),
            None => self.queue.get(self.queue_position(number).ok()?)?.queued_until(now),
        }
    }

    /// Returns the next instant that does not depend on a single message.
    pub fn own_instant(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let rests = self.rests_until(policy).filter(|until| *until > now);
        let gives_up = self.assembly.next_due(policy.reassembly_timeout_ms);
        earlier(earlier(rests, gives_up), self.closes_at(policy))
    }

    /// Returns when inactivity closes the open session. `None` while messages wait to be sent.
    pub fn closes_at(&self, policy: &Policy) -> Option<Timestamp> {
        if !self.open || !self.queue.is_empty() {
            return None;
        }
        policy.inactivity_ms.map(|ms| self.last_activity.plus_ms(ms))
    }
}

impl Outbound {
    /// Returns when time changes something about it while it is queued.
    fn queued_until(&self, now: Timestamp) -> Option<Timestamp> {
        let again = self.parts.iter().filter(|part| part.phase == Phase::Waiting && part.retry_at > now);
        let starts = self.send_at.filter(|at| *at > now && !self.started());
        earlier(earlier(again.map(|part| part.retry_at).min(), starts), self.expires_at)
    }

    /// Returns when time changes something about it after the provider answered.
    fn sent_until(&self, policy: &Policy) -> Option<Timestamp> {
        let is_held = self.parts.iter().any(|part| part.phase == Phase::Held);
        let settles = self.answered_at.filter(|_| !is_held).map(|at| at.plus_ms(policy.receipt_timeout_ms));
        earlier(settles, query_at(policy, self))
    }
}

/// Returns when the provider is to be asked for the state of a message without a final receipt.
pub(super) fn query_at(policy: &Policy, message: &Outbound) -> Option<Timestamp> {
    let after = policy.query_after_ms?;
    unreported(message).next()?;
    Some(message.answered_at?.plus_ms(after))
}

/// Returns the parts without a final receipt that have an id to ask for.
pub(super) fn unreported(message: &Outbound) -> impl Iterator<Item = u16> {
    message.parts_where(|part| !part.queried && !part.provider_id.is_empty() && !part.state.is_final())
}

/// Returns the earlier of two instants.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
