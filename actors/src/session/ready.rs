//! What a session waits for: parts that may go out now, deliveries for a destination, the next instant at
//! which time alone changes something.

use message::{DestinationId, MessageNo, Timestamp};
use smallvec::SmallVec;

use super::{
    Policy,
    decide::query_at,
    state::{Delivery, Outbound, Phase, Session},
};

/// How deep into a long queue the next instant is looked for; what lies behind is looked at when it comes up.
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
        let mut next: Option<Timestamp> = None;
        let mut note = |at: Option<Timestamp>| {
            next = match (next, at) {
                (Some(next), Some(at)) => Some(next.min(at)),
                (next, at) => next.or(at),
            };
        };
        for m in self.queue.iter().take(LOOK_AHEAD_MAX) {
            for part in m.parts.iter().filter(|p| p.phase == Phase::Waiting && p.retry_at > now) {
                note(Some(part.retry_at));
            }
            note(m.send_at.filter(|at| *at > now && !m.started()));
            note(m.expires_at);
        }
        for m in self.sent.values().take(LOOK_AHEAD_MAX) {
            if m.parts.iter().all(|p| p.phase != Phase::Held) {
                note(m.answered_at.map(|at| at.plus_ms(policy.receipt_timeout_ms)));
            }
            note(query_at(policy, m));
        }
        note(self.rests_until(policy).filter(|until| *until > now));
        note(self.assembly.next_due(policy.reassembly_timeout_ms));
        note(self.closes_at(policy));
        next
    }

    /// When inactivity will close the open session; not while anything of it still waits to be sent.
    pub fn closes_at(&self, policy: &Policy) -> Option<Timestamp> {
        if !self.open || !self.queue.is_empty() {
            return None;
        }
        policy.inactivity_ms.map(|ms| self.last_activity.plus_ms(ms))
    }
}
