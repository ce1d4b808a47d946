//! Tells why a message is not done, from its session's side: which of its messages goes first, and
//! the step at which that one waits. Decides nothing; computed when somebody asks.

use message::{MessageId, MessageNo, Timestamp};

use super::{
    policy::Policy,
    state::{Outbound, Part, Phase, Session},
};
use crate::domain::clock::Moment;

/// Why a message of a session is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionWait {
    /// The message that must be done first; it may be the message itself.
    pub(crate) first: MessageNo,
    /// The business's id of that message.
    pub(crate) first_id: MessageId,
    /// Messages of the session that go before the one asked about.
    pub(crate) ahead: usize,
    /// Parts of those messages that are not sent, and of this one.
    pub(crate) parts: usize,
    /// The step at which the first message waits.
    pub(crate) step: WaitStep,
    /// When that step began, by the knowledge of the session.
    pub(crate) since: Timestamp,
    /// The earliest instant at which the rules of the customer alone let the message go.
    pub(crate) not_before: Option<Timestamp>,
}

/// The step at which a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitStep {
    /// Its time has not come.
    NotDue { at: Timestamp },
    /// Its time may have come or be over: the clock is in doubt.
    ClockInDoubt,
    /// A part was handed to the channel and has no answer.
    Answer,
    /// A part is tried again after a pause.
    Retry { part: u16, at: Timestamp },
    /// A part in doubt is sent again after a pause, unless a receipt settles it.
    Resend { part: u16, at: Timestamp },
    /// A part in doubt is held.
    Held { part: u16 },
    /// The provider wants a pause between two messages to the same customer.
    CustomerPause { until: Timestamp },
    /// Its parts are due: it is the channel's turn.
    Channel,
    /// The provider accepted it, and its receipt is awaited until an instant.
    Receipt { until: Timestamp },
}

impl Session {
    /// Returns why a message is not done; `None` if it is settled.
    pub(crate) fn waiting(&self, number: MessageNo, policy: &Policy, moment: Moment) -> Option<SessionWait> {
        if let Some(sent) = self.sent.get(&number) {
            return Some(after_answers(sent, policy));
        }
        let position = self.queue_position(number).ok()?;
        let message = self.queue.get(position)?;
        if !message.started()
            && let Some(at) = message.send_at.filter(|at| *at > moment.sure)
        {
            let is_sure = at > moment.latest;
            let step = if is_sure { WaitStep::NotDue { at } } else { WaitStep::ClockInDoubt };
            return Some(alone(message, step, message.accepted_at));
        }
        let head = self.head(moment.sure)?;
        let is_due = |m: &&Outbound| m.started() || m.send_at.is_none_or(|at| at <= moment.sure);
        let before = || self.queue.iter().take(position).map(|m| &**m).filter(is_due);
        let unsent = |m: &Outbound| m.parts.iter().filter(|part| part.phase == Phase::Waiting).count();
        let parts = before().map(unsent).sum::<usize>() + unsent(message);
        let (step, since) = self.step_of(head, policy, moment);
        let pair_ms = policy.pair_interval_ms;
        let pauses = u64::try_from(parts).unwrap_or(u64::MAX).saturating_sub(1).saturating_mul(pair_ms);
        let not_before = (pair_ms > 0).then(|| self.last_sent.plus_ms(pair_ms).plus_ms(pauses));
        Some(SessionWait {
            first: head.number,
            first_id: head.id.clone(),
            ahead: before().count(),
            parts,
            step,
            since,
            not_before,
        })
    }

    /// Returns the step of the first due message, and since when it waits there.
    fn step_of(&self, head: &Outbound, policy: &Policy, moment: Moment) -> (WaitStep, Timestamp) {
        let Moment { now, latest, .. } = moment;
        let with_link = head.parts.iter().filter(|part| part.phase == Phase::Submitting);
        if let Some(handed_at) = with_link.map(|part| part.handed_at).max() {
            return (WaitStep::Answer, handed_at);
        }
        if head.expires_at.is_some_and(|at| at <= latest && at > now) {
            return (WaitStep::ClockInDoubt, head.accepted_at);
        }
        let waiting = || head.parts.iter().zip(0..).filter(|(part, _)| part.phase == Phase::Waiting);
        let since = waiting().map(|(part, _)| part.retry_at).max().unwrap_or_default();
        let since = since.min(now).max(head.accepted_at);
        let next = waiting().min_by_key(|(part, _)| part.retry_at);
        if let Some((part, position)) = next.filter(|(part, _)| part.retry_at > now) {
            return (paused(part, position), part.handed_at);
        }
        match self.rests_until(policy).filter(|until| self.last_sent <= now && now < *until) {
            Some(until) => (WaitStep::CustomerPause { until }, self.last_sent),
            None => (WaitStep::Channel, since),
        }
    }
}

/// Returns the step of a part whose next try is not due.
fn paused(part: &Part, position: u16) -> WaitStep {
    let at = part.retry_at;
    match part.doubts > part.resent {
        true => WaitStep::Resend { part: position, at },
        false => WaitStep::Retry { part: position, at },
    }
}

/// Returns why a message is not done although the provider answered for all of its parts.
fn after_answers(sent: &Outbound, policy: &Policy) -> SessionWait {
    let mut held = sent.parts.iter().zip(0..).filter(|(part, _)| part.phase == Phase::Held);
    let answered_at = sent.answered_at.unwrap_or(sent.accepted_at);
    match held.next() {
        // A part that is held keeps the instant of its doubt there.
        Some((part, position)) => alone(sent, WaitStep::Held { part: position }, part.retry_at),
        None => {
            let until = answered_at.plus_ms(policy.receipt_timeout_ms);
            alone(sent, WaitStep::Receipt { until }, answered_at)
        }
    }
}

/// Returns the wait of a message that no other holds back.
fn alone(message: &Outbound, step: WaitStep, since: Timestamp) -> SessionWait {
    SessionWait {
        first: message.number,
        first_id: message.id.clone(),
        ahead: 0,
        parts: message.parts.len(),
        step,
        since,
        not_before: None,
    }
}
