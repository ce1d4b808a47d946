//! What a session waits for: parts that may go out now, deliveries for a destination, the next instant at
//! which time alone changes something.

use message::{DestinationId, MessageNo, Timestamp};
use smallvec::SmallVec;

use super::{
    Policy,
    decide::query_at,
    state::{Delivery, Outbound, Phase, Session},
};

/// How deep into a long queue the most urgent message is looked for; what lies behind is looked at when it comes up.
const LOOK_AHEAD_MAX: usize = 256;

impl Session {
    /// The message whose turn it is: the first not fully answered whose time has come. One that has begun
    /// holds back all behind it, one that is scheduled for later holds back nobody.
    pub fn head(&self, now: Timestamp) -> Option<&Outbound> {
        self.queue.iter().map(|m| &**m).find(|m| m.started() || m.send_at.is_none_or(|at| at <= now))
    }

    /// The parts that may be submitted now: message and parts, at most `max` of them.
    pub fn sendable(
        &self,
        policy: &Policy,
        now: Timestamp,
        max: usize,
    ) -> Option<(MessageNo, SmallVec<[u16; 4]>)> {
        let head = self.head(now)?;
        let max = if policy.pair_interval_ms > 0 { max.min(1) } else { max };
        if self.rests_until(policy).is_some_and(|until| now < until) {
            return None;
        }
        if head.expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        let parts: SmallVec<[u16; 4]> = head
            .parts
            .iter()
            .enumerate()
            .filter(|(_, p)| p.phase == Phase::Waiting && p.retry_at <= now)
            .map(|(n, _)| n as u16)
            .take(max)
            .collect();
        (!parts.is_empty()).then_some((head.number, parts))
    }

    /// Until when nothing goes to this customer, so soon after the last part.
    fn rests_until(&self, policy: &Policy) -> Option<Timestamp> {
        let waits = policy.pair_interval_ms > 0 && !self.queue.is_empty();
        waits.then(|| self.last_sent.plus_ms(policy.pair_interval_ms))
    }

    /// The lane the session waits in: the most urgent of what it has queued.
    pub fn lane(&self) -> u8 {
        self.queue.iter().take(LOOK_AHEAD_MAX).map(|m| m.priority).max().unwrap_or(0)
    }

    /// Whether any part is with a link.
    pub fn submitting(&self) -> bool {
        self.queue.iter().any(|m| m.parts.iter().any(|p| p.phase == Phase::Submitting))
    }

    /// The first deliveries for one destination, in order.
    pub fn deliveries_for<'a>(
        &'a self,
        destination: &'a DestinationId,
        of_did: &'a DestinationId,
    ) -> impl Iterator<Item = &'a Delivery> {
        self.deliveries.iter().filter(move |d| d.destination.as_ref().unwrap_or(of_did) == destination)
    }

    /// The next instant at which time alone changes something; `Timestamp(0)` when there is work now.
    pub fn wake_at(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        if self.submitting() || !self.deliveries.is_empty() || self.sendable(policy, now, 1).is_some() {
            return Some(Timestamp(0));
        }
        self.next_instant(policy, now)
    }

    /// Like [`Session::wake_at`], for a live session whose work is already announced.
    pub fn next_instant(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let queued = self.queue.iter().filter_map(|m| m.queued_until(now)).min();
        let sent = self.sent.values().filter_map(|m| m.sent_until(policy)).min();
        earlier(earlier(queued, sent), self.own_instant(policy, now))
    }

    /// The same as far as one message goes. Nothing about another can have changed it.
    pub fn instant_of(&self, number: MessageNo, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        match self.sent.get(&number) {
            Some(sent) => sent.sent_until(policy),
            None => self.queue.get(self.queued(number).ok()?)?.queued_until(now),
        }
    }

    /// The same as far as no message goes.
    pub fn own_instant(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let rests = self.rests_until(policy).filter(|until| *until > now);
        let gives_up = self.assembly.next_due(policy.reassembly_timeout_ms);
        earlier(earlier(rests, gives_up), self.closes_at(policy))
    }

    /// When inactivity will close the open session; not while anything of it still waits to be sent.
    pub fn closes_at(&self, policy: &Policy) -> Option<Timestamp> {
        if !self.open || !self.queue.is_empty() {
            return None;
        }
        policy.inactivity_ms.map(|ms| self.last_activity.plus_ms(ms))
    }
}

impl Outbound {
    /// When time changes something about it while it is in the queue.
    fn queued_until(&self, now: Timestamp) -> Option<Timestamp> {
        let again = self.parts.iter().filter(|p| p.phase == Phase::Waiting && p.retry_at > now);
        let starts = self.send_at.filter(|at| *at > now && !self.started());
        earlier(earlier(again.map(|part| part.retry_at).min(), starts), self.expires_at)
    }

    /// When time changes something about it once it was answered for.
    fn sent_until(&self, policy: &Policy) -> Option<Timestamp> {
        let is_held = self.parts.iter().any(|p| p.phase == Phase::Held);
        let settles = self.answered_at.filter(|_| !is_held).map(|at| at.plus_ms(policy.receipt_timeout_ms));
        earlier(settles, query_at(policy, self))
    }
}

/// The earlier of two instants.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
