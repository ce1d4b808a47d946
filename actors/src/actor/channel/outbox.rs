//! The outgoing side of a channel: sessions that wait for their turn, parts that wait for window
//! and rate, and parts that links have submitted. It holds no message that the log does not.

use std::{collections::VecDeque, sync::Arc};
use storage::invariant;

use message::{MessageNo, StreamId};

use crate::{
    actor::channel::links::Links,
    config::ChannelIx,
    context::entries::ChannelEntry,
    domain::{
        correlation::{self, PartRef},
        lanes::Lanes,
        prefetch::{Ahead, Seen},
        rate::Rate,
    },
    protocol::{
        channel::{MovedSession, ReadySession},
        link::{LinkPart, LinkToken},
        part::{Job, JobMessage},
        task::Op,
        tasks::Tasks,
    },
    sabotage::Sabotage,
    view::waiting::PartPlace,
};

/// How many seconds' worth of parts is requested ahead of the rate: an urgent message waits at most
/// this long behind them.
const AHEAD_SECONDS: f64 = 0.05;
/// Maximum number of sessions that are asked for parts in one turn; the rest are asked in the next.
const ASK_MAX: usize = 2_048;

/// A part that waits for window and rate.
struct PartJob {
    part: PartRef,
    message: Arc<JobMessage>,
}

/// The outgoing side of one channel.
pub(crate) struct Outbox {
    lanes: Lanes,
    pub(crate) rate: Rate,
    /// Parts whose intent is durable.
    queue: VecDeque<PartJob>,
    /// Room reserved for sessions that were asked, or set aside for those that do not ask.
    reserved: usize,
    prefetch: Ahead,
    /// Whether ids are scoped to customers.
    is_scoped: bool,
    pub(crate) outstanding: Outstanding,
}

impl Outbox {
    pub(crate) fn new(send_rate: Option<f64>, is_scoped: bool, now_ms: u64) -> Self {
        Self {
            lanes: Lanes::default(),
            rate: Rate::resumed(send_rate, now_ms),
            queue: VecDeque::new(),
            reserved: 0,
            prefetch: Ahead::default(),
            is_scoped,
            outstanding: Outstanding::default(),
        }
    }

    /// Puts a session in its lane.
    pub(crate) fn announce(&mut self, ready: ReadySession) {
        self.lanes.push(ready.stream, ready.lane, ready.parts);
    }

    /// Releases reserved room.
    pub(crate) fn release(&mut self, parts: usize) {
        self.reserved = self.reserved.saturating_sub(parts);
    }

    /// Queues the parts of a message whose intent is durable.
    pub(crate) fn add(&mut self, job: Job) {
        let Job { stream, number, parts, reserved, message } = job;
        self.release(reserved);
        for part in parts {
            let part = PartRef { stream, number, part };
            self.queue.push_back(PartJob { part, message: message.clone() });
        }
    }

    /// The number of sessions that wait for their turn.
    pub(crate) fn sessions_waiting(&self) -> usize {
        self.lanes.len()
    }

    /// The number of parts that wait for window and rate.
    pub(crate) fn parts_waiting(&self) -> usize {
        self.queue.len()
    }

    /// Where the first part of a message is that the provider has not answered, or else where its
    /// session waits.
    pub(crate) fn place_of(&self, stream: StreamId, number: MessageNo) -> PartPlace {
        let is_its = |part: &PartRef| part.stream == stream && part.number == number;
        if let Some(ahead) = self.queue.iter().position(|job| is_its(&job.part)) {
            return PartPlace::Queue(ahead);
        }
        if self.outstanding.parts().any(is_its) {
            return PartPlace::Provider;
        }
        self.lanes.place(stream).map_or(PartPlace::Elsewhere, PartPlace::Lane)
    }

    /// Whether anything waits for the rate.
    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.lanes.is_empty()
    }

    /// Whether nothing is with a link or on its way to one.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_empty() && self.reserved == 0 && self.queue.is_empty()
    }

    /// Sends the parts of a session that wait to another address. Without one they are returned.
    pub(crate) fn redirect(&mut self, moved: &MovedSession) -> Vec<PartRef> {
        let is_its = |job: &PartJob| job.part.stream == moved.stream;
        if moved.customer.is_empty() {
            let (returned, kept) = std::mem::take(&mut self.queue).into_iter().partition(is_its);
            self.queue = kept;
            let returned: VecDeque<PartJob> = returned;
            return returned.into_iter().map(|job| job.part).collect();
        }
        for job in self.queue.iter_mut().filter(|job| is_its(job)) {
            let message = Arc::make_mut(&mut job.message);
            message.customer = moved.customer.clone();
            message.customer_shown = moved.shown.clone();
        }
        Vec::new()
    }

    /// Removes all parts that wait, because they cannot be sent for long.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = PartRef> {
        self.queue.drain(..).map(|job| job.part)
    }

    /// Drops everything that waits: a deliberate bug for the simulation.
    pub(crate) fn lose_all(&mut self) {
        self.queue.clear();
        self.lanes = Lanes::default();
    }

    /// Whether sessions wait for the send rate alone: the links have room beyond it.
    pub(crate) fn is_limited_by(&self, send_rate: Option<f64>, free: usize, now_ms: u64) -> bool {
        let is_paused = self.rate.paused_until(now_ms).is_some();
        !self.lanes.is_empty() && !is_paused && free > 0 && ahead_of(send_rate) < free + self.prefetch.parts()
    }

    /// Submits the parts that window and rate allow. Returns their number.
    pub(crate) fn send(&mut self, links: &mut Links, now_ms: u64) -> usize {
        let allowed = self.rate.allowance(now_ms).min(self.queue.len()).min(links.free());
        if allowed == 0 {
            return 0;
        }
        let mut counted = allowed;
        for _ in 0..allowed {
            let Some(job) = self.queue.pop_front() else { break };
            if Sabotage::RateCountsMessages.is_chosen() && job.part.part > 0 {
                counted -= 1;
            }
            let PartJob { part, message } = job;
            let scope = if self.is_scoped { correlation::scope(&message.customer) } else { 0 };
            let outstanding = &mut self.outstanding;
            links.add_part(|link| LinkPart {
                token: LinkToken { token: outstanding.insert(part, scope, link), part, scope },
                message,
            });
        }
        links.submit();
        let waiting = self.queue.len();
        invariant!(counted <= allowed, "{counted} of {allowed} parts are counted");
        invariant!(self.outstanding.len() >= allowed, "{waiting} wait, {allowed} were sent");
        self.rate.sent(counted, now_ms);
        allowed
    }

    /// Adapts the prefetch target after `sent` parts were submitted. Where parts in doubt are held
    /// for an operator nothing is prefetched, because a crash would leave each prefetched part in
    /// doubt.
    pub(crate) fn adapt_prefetch(&mut self, links: &Links, may_prefetch: bool, sent: usize) {
        if !may_prefetch || links.up() == 0 {
            return self.prefetch.stop();
        }
        let free = links.free();
        self.prefetch.adapt(Seen {
            window: free + self.outstanding.len(),
            free,
            ready: self.queue.len(),
            flushing: self.reserved,
            more: !self.lanes.is_empty(),
            sent,
        });
    }

    /// Withdraws the room that was set aside for sessions that do not ask.
    pub(crate) fn withdraw_credit(&mut self, entry: &ChannelEntry) {
        self.release(entry.credit.withdraw());
    }

    /// Asks waiting sessions for parts, as many as there will soon be room for. Room that is left
    /// is set aside for sessions that become ready next, which then need not ask.
    pub(crate) fn ask(&mut self, entry: &ChannelEntry, ix: ChannelIx, free: usize, tasks: &mut Tasks) {
        let room = ahead_of(entry.config.send_rate).min(free + self.prefetch.parts());
        if !self.lanes.is_empty() || self.reserved + self.queue.len() > room {
            self.withdraw_credit(entry);
        }
        let held = self.reserved + self.queue.len();
        let mut free = room.saturating_sub(held);
        for _ in 0..ASK_MAX {
            if free == 0 {
                break;
            }
            let Some((stream, parts)) = self.lanes.pop() else { break };
            let max = usize::from(parts).clamp(1, free);
            free -= max;
            self.reserved += max;
            tasks.push(stream, Op::SubmitParts { channel: ix, max });
        }
        if self.lanes.is_empty() && free > 0 {
            self.reserved += free;
            entry.credit.give(free);
        }
        let (most, now) = (room.max(held), self.reserved + self.queue.len());
        invariant!(now <= most, "{now} parts are asked for, {most} may be");
    }
}

/// Returns how many parts are requested ahead of the rate.
fn ahead_of(send_rate: Option<f64>) -> usize {
    send_rate.map_or(usize::MAX, |rate| ((rate * AHEAD_SECONDS).ceil() as usize).max(1))
}

/// The parts that links have submitted and that have no answer yet, by token.
#[derive(Default)]
pub(crate) struct Outstanding {
    slots: Vec<Option<Submitted>>,
    free: Vec<u32>,
    /// The number of restarts by an operator.
    epoch: u32,
}

#[derive(Clone, Copy)]
struct Submitted {
    part: PartRef,
    scope: u64,
    link: u16,
    epoch: u32,
}

/// A part with an answer, taken off the list.
#[derive(Clone, Copy)]
pub(crate) struct AnsweredPart {
    pub(crate) part: PartRef,
    /// Whether it was submitted since the last restart by an operator. The refusal of an older one
    /// tells nothing about the credentials now.
    pub(crate) is_current: bool,
}

impl Outstanding {
    fn insert(&mut self, part: PartRef, scope: u64, link: u16) -> u32 {
        let submitted = Some(Submitted { part, scope, link, epoch: self.epoch });
        match self.free.pop() {
            Some(token) => {
                if let Some(slot) = self.slots.get_mut(token as usize) {
                    let before = slot.map(|before| before.part);
                    invariant!(before.is_none(), "token {token} is given to {part:?} and {before:?}");
                    *slot = submitted;
                }
                token
            }
            None => {
                self.slots.push(submitted);
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// Removes an answered part; `None` if it was answered before.
    pub(crate) fn remove(&mut self, token: u32) -> Option<AnsweredPart> {
        let Submitted { part, epoch, .. } = self.slots.get_mut(token as usize)?.take()?;
        self.free.push(token);
        let (free, all) = (self.free.len(), self.slots.len());
        invariant!(free <= all, "{free} tokens of {all} are free");
        Some(AnsweredPart { part, is_current: epoch == self.epoch })
    }

    /// The number of restarts by an operator.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Counts a restart by an operator.
    pub(crate) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Lists all parts.
    fn parts(&self) -> impl Iterator<Item = &PartRef> {
        self.slots.iter().flatten().map(|submitted| &submitted.part)
    }

    /// Lists the parts that one link has submitted.
    pub(crate) fn of_link(&self, link: u16) -> Vec<LinkToken> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter_map(|(n, slot)| Some((n, slot.filter(|submitted| submitted.link == link)?)))
            .map(|(n, submitted)| LinkToken { token: n as u32, part: submitted.part, scope: submitted.scope })
            .collect()
    }

    /// Whether a part is unanswered whose customer's address has one of these ends.
    pub(crate) fn has_scope(&self, scopes: &[u64]) -> bool {
        self.slots.iter().flatten().any(|submitted| scopes.contains(&submitted.scope))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
