//! The way out: sessions are asked in turn, what they hand over waits here for window and rate, answers go back.

use channels::SendError;
use message::{StreamId, event::DoubtCause};

use crate::{
    actor::channel::{link_slot::LinkSlot, outbox::PartJob, state::ChannelState},
    config::OnUnknown,
    domain::{correlation::PartRef, names, prefetch::Seen, session::Outcome},
    protocol::{
        host::{Op, Task},
        link::{Answer, LinkMessage, LinkPart, LinkToken},
        part::Job,
    },
    sabotage::Sabotage,
};

/// How much of a second's parts is asked for ahead of the rate: an urgent message waits at most so long.
const AHEAD_SECONDS: f64 = 0.05;
/// Most sessions asked in one turn.
const ASK_MAX: usize = 2_048;

impl ChannelState {
    /// Parts that a session handed over.
    pub(super) fn take_job(&mut self, job: Job) {
        let Job { stream, number, parts, reserved, message } = job;
        self.reserved = self.reserved.saturating_sub(reserved);
        for part in parts {
            self.outbox
                .push_back(PartJob { part: PartRef { stream, number, part }, message: message.clone() });
        }
    }

    /// Lets out what window and rate allow, asks for more, arranges to be woken.
    pub(super) fn pump(&mut self) {
        let now_ms = self.shared.monotonic_ms();
        let sent = if self.stopped.is_none() { self.send_out(now_ms) } else { 0 };
        self.look_ahead(sent);
        let is_paused = self.rate.paused_until(now_ms).is_some_and(|until| until > now_ms + 100);
        if self.stopped.is_some() || self.is_draining || is_paused {
            self.withdraw_credit();
        } else {
            self.ask();
        }
        let waits = !self.outbox.is_empty() || !self.lanes.is_empty();
        if waits && self.window_free() > 0 && self.stopped.is_none() {
            self.wake_at(self.rate.next_at(now_ms), now_ms);
        }
        self.finish_drain();
    }

    fn window_free(&self) -> usize {
        self.links.iter().map(|link| link.free).sum()
    }

    /// Only where what is in doubt is sent again: each part that is held after a crash is work for someone.
    fn look_ahead(&mut self, sent: usize) {
        let resends = self.entry().is_some_and(|entry| entry.config.on_unknown == OnUnknown::Resend);
        if !resends || !self.links.iter().any(LinkSlot::is_bound) {
            return self.ahead.stop();
        }
        let free = self.window_free();
        self.ahead.adapt(Seen {
            window: free + self.outstanding.len(),
            free,
            ready: self.outbox.len(),
            flushing: self.reserved,
            more: !self.lanes.is_empty(),
            sent,
        });
    }

    /// How many.
    fn send_out(&mut self, now_ms: u64) -> usize {
        let allowed = self.rate.allowance(now_ms).min(self.outbox.len()).min(self.window_free());
        if allowed == 0 {
            return 0;
        }
        let mut counted = allowed;
        for _ in 0..allowed {
            let Some(job) = self.outbox.pop_front() else { break };
            if Sabotage::RateCountsMessages.is_chosen() && job.part.part > 0 {
                counted -= 1;
            }
            // The emptiest link: binds share the work evenly.
            let emptiest =
                self.links.iter_mut().enumerate().max_by_key(|(n, link)| (link.free, usize::MAX - n));
            let Some((n, link)) = emptiest.filter(|(_, link)| link.free > 0) else {
                self.outbox.push_front(job);
                break;
            };
            let token = self.outstanding.insert(job.part, n as u16);
            link.free -= 1;
            link.batch.push(LinkPart { token: LinkToken { token, part: job.part }, message: job.message });
        }
        for link in &mut self.links {
            if !link.batch.is_empty() {
                let batch = std::mem::take(&mut link.batch);
                link.tell(LinkMessage::Submit(batch));
            }
        }
        self.rate.sent(counted, now_ms);
        allowed
    }

    /// Takes back the room that was set aside for whoever comes.
    pub(super) fn withdraw_credit(&mut self) {
        let left = self.entry().map_or(0, |entry| entry.credit.withdraw());
        self.reserved = self.reserved.saturating_sub(left);
    }

    /// Asks sessions for parts, as far as there will be room for them soon. What is left over is for whoever comes
    /// next, without asking.
    fn ask(&mut self) {
        let rate = self.entry().map_or(1.0, |e| e.config.send_rate);
        let ahead = ((rate * AHEAD_SECONDS).ceil() as usize).max(1);
        let room = ahead.min(self.window_free() + self.ahead.parts());
        if !self.lanes.is_empty() || self.reserved + self.outbox.len() > room {
            self.withdraw_credit();
        }
        let mut free = room.saturating_sub(self.reserved + self.outbox.len());
        let hosts = self.shared.config.limits.hosts.max(1);
        let mut tasks: Vec<Vec<Task>> = Vec::new();
        let mut asked = 0;
        while free > 0 && asked < ASK_MAX {
            let Some((stream, parts)) = self.lanes.pop() else { break };
            let max = usize::from(parts).clamp(1, free);
            free -= max;
            asked += 1;
            self.reserved += max;
            if tasks.is_empty() {
                tasks.resize_with(hosts, Vec::new);
            }
            if let Some(tasks) = tasks.get_mut(self.shared.host_of(stream)) {
                tasks.push(Task { stream, op: Op::Take { channel: self.ix, max } });
            }
        }
        self.tell_hosts(tasks);
        if self.lanes.is_empty()
            && free > 0
            && let Some(entry) = self.shared.channels.get(self.ix)
        {
            self.reserved += free;
            entry.credit.give(free);
        }
    }

    pub(super) fn tell_hosts(&self, tasks: Vec<Vec<Task>>) {
        for (host, tasks) in tasks.into_iter().enumerate() {
            if !tasks.is_empty() {
                self.shared.work_for(host, tasks);
            }
        }
    }

    fn wake_at(&mut self, at_ms: u64, now_ms: u64) {
        if at_ms >= self.kick_at_ms {
            return;
        }
        self.kick_at_ms = at_ms;
        let wait = std::time::Duration::from_millis(at_ms.saturating_sub(now_ms).max(1));
        self.myself.send_after(wait, || super::ChannelMessage::Kick);
    }

    /// A link's word on a part.
    pub(super) fn answered(
        &mut self,
        link: u16,
        token: LinkToken,
        answer: Answer,
        tasks: &mut Vec<Vec<Task>>,
    ) {
        let part = if matches!(answer, Answer::Late { .. }) {
            token.part
        } else {
            if let Some(slot) = self.links.get_mut(usize::from(link)) {
                slot.free += usize::from(slot.is_bound());
            }
            let Some(part) = self.outstanding.remove(token.token) else { return };
            part
        };
        let now_ms = self.shared.monotonic_ms();
        let mut spellings = Vec::new();
        let outcome = match answer {
            Answer::Taken { id, customer } | Answer::Late { id, customer } => {
                self.counts.submitted += 1;
                self.metrics.submitted.increment(1);
                self.rate.relax(now_ms);
                spellings = self.correlation.keys(&id);
                let meant = if Sabotage::ForgetPart.is_chosen() { PartRef { part: 0, ..part } } else { part };
                let early = self.correlation.answered(&spellings, meant);
                self.to_host(part.stream, outcome_op(part, Outcome::Taken(id), spellings), tasks);
                if let Some(number) = early {
                    self.early_receipt(number, part, tasks);
                }
                if let Some(entry) = self.entry().filter(|entry| entry.has_aliases)
                    && let Some(customer) = customer
                {
                    let names = names::names(entry, [&customer]);
                    self.to_host(part.stream, Op::Named { names }, tasks);
                }
                return;
            }
            Answer::NotSent => Outcome::NotSent,
            Answer::Unanswered(cause) => Outcome::Unanswered(cause),
            Answer::Refused(error) => Outcome::Refused(error),
        };
        let in_doubt = matches!(outcome, Outcome::Unanswered(_) | Outcome::Refused(SendError::Unknown(_)));
        let refused = match &outcome {
            Outcome::Refused(SendError::CredentialsRefused(cause)) => Some(cause.clone()),
            _ => None,
        };
        self.count(&outcome, in_doubt, now_ms);
        self.to_host(part.stream, outcome_op(part, outcome, spellings), tasks);
        if in_doubt {
            // A receipt for it may be here already: then it was taken, and must not be sent again.
            self.try_on_doubt(part.stream, tasks);
        }
        if let Some(cause) = refused {
            self.stop(cause);
        }
    }

    /// Counts what became of a part that was not taken, and pauses the channel when the provider asks for less.
    fn count(&mut self, outcome: &Outcome, in_doubt: bool, now_ms: u64) {
        match outcome {
            _ if in_doubt => {
                self.counts.in_doubt += 1;
                self.metrics.in_doubt.increment(1);
            }
            Outcome::Refused(SendError::Rejected(_) | SendError::Unsubscribed(_)) => {
                self.counts.rejected += 1;
                self.metrics.rejected.increment(1);
            }
            Outcome::Refused(error) => {
                self.counts.deferred += 1;
                self.metrics.deferred.increment(1);
                if let SendError::Throttled { after_ms, .. } = error {
                    self.rate.pause(*after_ms, now_ms);
                    self.counts.throttled += 1;
                    self.metrics.throttled.increment(1);
                }
            }
            Outcome::Taken(_) | Outcome::NotSent | Outcome::Unanswered(_) => {}
        }
    }

    pub(super) fn to_host(&self, stream: StreamId, op: Op, tasks: &mut Vec<Vec<Task>>) {
        if tasks.is_empty() {
            tasks.resize_with(self.shared.config.limits.hosts.max(1), Vec::new);
        }
        if let Some(tasks) = tasks.get_mut(self.shared.host_of(stream)) {
            tasks.push(Task { stream, op });
        }
    }
}

fn outcome_op(part: PartRef, outcome: Outcome, spellings: Vec<u128>) -> Op {
    let PartRef { number, part, .. } = part;
    Op::Outcome { number, part, outcome, spellings }
}

/// Parts that were with a link that is gone without a word.
pub(super) const LOST: Answer = Answer::Unanswered(DoubtCause::LinkLost);
