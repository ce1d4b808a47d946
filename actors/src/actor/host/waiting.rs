//! The messages of one host that wait, by channel. After a start they are counted in steps, in the
//! order of the streams. A change counts only in a stream that was counted, so that the sum is
//! exact when all are counted.

use std::collections::BTreeMap;

use message::{ChannelId, Event, FailedBy, MessageNo, MessageStatus, StreamId, Timestamp, event::Cause};
use storage::OpenStream;

use crate::{
    actor::host::{
        live::{LiveSessions, Slot},
        load,
    },
    config::ChannelIx,
    context::{Context, entries::ChannelEntry},
    domain::{
        due_counts::{DueCounts, WaitingCount, due_since},
        progress::{self, CountedState, Milestones},
        recent_failures::FailureKind,
        session::{Outbound, Session},
    },
};

/// Number of index entries read in one step.
const STEP: usize = 2_000;

/// Where the first count stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// Up to and including a stream; `None`: nothing.
    To(Option<StreamId>),
    Everything,
}

/// The messages that wait.
pub(crate) struct WaitingMessages {
    by_channel: BTreeMap<ChannelIx, DueCounts>,
    /// The count last published for each channel.
    published: BTreeMap<ChannelIx, WaitingCount>,
    counted: Counted,
}

impl Default for WaitingMessages {
    fn default() -> Self {
        Self { by_channel: BTreeMap::new(), published: BTreeMap::new(), counted: Counted::To(None) }
    }
}

/// The state of a message and its session before an event.
pub(crate) struct Before {
    number: Option<MessageNo>,
    state: Option<CountedState>,
    receipt_ms: Option<u64>,
}

impl Before {
    pub(crate) fn of(session: &Session, event: &Event, number: Option<MessageNo>, now: Timestamp) -> Self {
        let message = number.and_then(|number| session.message(number));
        let receipt_ms = message.and_then(|message| progress::receipt_ms(message, event, now));
        Self { number, state: message.map(CountedState::of), receipt_ms }
    }
}

/// Returns since when the messages of a session wait that do.
fn waiting_of(session: &Session) -> impl Iterator<Item = Timestamp> {
    session.messages().filter(|message| message.is_waiting()).map(due_since)
}

fn note_failed(context: &Context, entry: &ChannelEntry, cause: &Cause) {
    entry.tally.note_failure(FailureKind::Failed, cause, context.now());
}

impl WaitingMessages {
    fn is_counted(&self, stream: StreamId) -> bool {
        match self.counted {
            Counted::To(to) => to.is_some_and(|to| stream <= to),
            Counted::Everything => true,
        }
    }

    /// Counts what an event changed: what waits, and what the metrics of the channel tell.
    /// `settled` is the message that it settled.
    pub(crate) fn count(
        &mut self,
        context: &Context,
        slot: &Slot,
        event: &Event,
        before: &Before,
        settled: Option<&Outbound>,
    ) {
        let Some(channel) = slot.channel else { return };
        let Some(entry) = context.directory.channel(channel) else { return };
        if let Some(after_ms) = before.receipt_ms {
            entry.tally.count_receipt(after_ms);
        }
        match event {
            Event::Received(_) => entry.tally.count_received(),
            Event::LateReceipt(late) => {
                if let Some(notify) = &late.notify {
                    let (code, reason) = late.code.split_once(": ").unwrap_or((&late.code, ""));
                    entry.tally.count(Milestones::late(notify.status), code);
                    if notify.status == MessageStatus::Failed {
                        note_failed(context, entry, &Cause::new(code, reason));
                    }
                }
            }
            _ => {}
        }
        let Some(number) = before.number else { return };
        let message = settled.or_else(|| slot.session.message(number));
        let after = message.map(CountedState::of);
        if let (Some(message), Some(before), Some(after)) = (message, before.state, after)
            && before.status != after.status
        {
            let reached = Milestones::between(before.status, after.status);
            let failure = message.failure().map(|(failure, _)| failure);
            entry.tally.count(reached, failure.map_or("", |failure| &*failure.cause.code));
            // Who withdrew or gave up a message knows why.
            let by_person = |by| matches!(by, FailedBy::Business | FailedBy::Operator);
            if let Some(failure) = failure.filter(|failure| reached.failed && !by_person(failure.by)) {
                note_failed(context, entry, &failure.cause);
            }
        }
        let was = before.state.and_then(|state| state.waits_since);
        let is = after.and_then(|after| after.waits_since);
        if was != is && self.is_counted(slot.stream) {
            let counts = self.by_channel.entry(channel).or_default();
            was.into_iter().for_each(|since| counts.remove(since));
            is.into_iter().for_each(|since| counts.add(since));
        }
    }

    /// Counts a session again that was rebuilt from the log.
    pub(crate) fn recount(&mut self, channel: Option<ChannelIx>, old: &Session, new: &Session, at: StreamId) {
        let Some(channel) = channel.filter(|_| self.is_counted(at)) else { return };
        let counts = self.by_channel.entry(channel).or_default();
        waiting_of(old).for_each(|since| counts.remove(since));
        waiting_of(new).for_each(|since| counts.add(since));
    }

    /// Counts for a channel's new form what was counted for those before it.
    pub(crate) fn on_channel_changed(&mut self, context: &Context, id: &ChannelId, form: ChannelIx) {
        let is_of = |ix: &ChannelIx| context.directory.channel(*ix).is_some_and(|e| e.config.id == *id);
        let older: Vec<ChannelIx> = self.by_channel.keys().copied().filter(is_of).collect();
        for ix in older.into_iter().filter(|ix| *ix != form) {
            self.published.remove(&ix);
            if let Some(counts) = self.by_channel.remove(&ix) {
                self.by_channel.entry(form).or_default().absorb(counts);
            }
        }
    }

    fn add(&mut self, channel: Option<ChannelIx>, session: &Session) {
        let Some(channel) = channel else { return };
        for since in waiting_of(session) {
            self.by_channel.entry(channel).or_default().add(since);
        }
    }

    /// Counts the next streams of the host, until all are counted.
    pub(crate) fn count_more(&mut self, context: &Context, live: &LiveSessions, host: usize) {
        let Counted::To(after) = self.counted else { return };
        let page = match context.reader.scan(after, STEP) {
            Ok(page) => page,
            Err(error) => return context.lifecycle.fail(format!("the index: {error}")),
        };
        let last = page.last().filter(|_| page.len() >= STEP).map(|open| open.stream);
        let is_next = |stream: StreamId| {
            after.is_none_or(|after| stream > after) && last.is_none_or(|last| stream <= last)
        };
        for stream in live.streams(|slot| is_next(slot.stream)) {
            if let Some(slot) = live.get(stream) {
                self.add(slot.channel, &slot.session);
            }
        }
        for OpenStream { stream, entry } in page {
            if context.hosts.of(stream) != host || live.contains(stream) {
                continue;
            }
            let from_log = || Some(load::from_log(context, stream, entry.applied).ok()??.session);
            if let Some(session) = load::decode(&entry).ok().or_else(from_log) {
                self.add(context.directory.channel_ix(&session.address.channel), &session);
            }
        }
        self.counted = match last {
            Some(last) => Counted::To(Some(last)),
            None => Counted::Everything,
        };
    }

    /// Tells the channels what waits for them, where that changed.
    pub(crate) fn publish(&mut self, context: &Context, host: usize, now: Timestamp) {
        for (channel, counts) in &self.by_channel {
            let waiting = counts.waiting(now);
            if self.published.get(channel) != Some(&waiting)
                && let Some(entry) = context.directory.channel(*channel)
            {
                entry.tally.note_waiting(host, waiting);
                self.published.insert(*channel, waiting);
            }
        }
    }
}
