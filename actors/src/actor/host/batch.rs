//! One batch of work on its way to the log: the events, and the effects that follow their flush.
//! Nothing leaves the router before that: no answer, no submit, no acknowledgement.

use std::sync::Arc;

use message::{MessageNo, StreamId, Timestamp};
use storage::{Found, Item, Key, Tag, invariant};

use crate::{
    config::{ChannelIx, DestinationIx},
    context::{Context, media_queue::FetchRequest, tail::TailRecord},
    domain::{clock::Moment, subject::message_of},
    error::Refusal,
    protocol::{
        answers::{Acceptance, Answers, Reply},
        channel::{ChannelMessage, HostBatch, Tried, TriedReceipt},
        completion::Completion,
        destination::{DeliveryBatch, DestinationMessage},
        part::Ack,
        task::{FoundRecords, MessageAnswer, NewestState, QueuePosition},
    },
    view::SessionView,
};

/// A batch in progress.
pub(crate) struct Batch {
    pub(crate) now: Timestamp,
    /// The bounds of `now` while the wall clock is in doubt.
    pub(crate) moment: Moment,
    pub(crate) items: Vec<Item>,
    /// Sessions to look at when the batch ends: announcements, deliveries, timers.
    pub(crate) touched: Vec<StreamId>,
    pub(crate) effects: Effects,
}

impl Batch {
    pub(crate) fn new(moment: Moment) -> Self {
        Self { now: moment.now, moment, items: Vec::new(), touched: Vec::new(), effects: Effects::default() }
    }

    /// Allocates for the events that `tasks` tasks usually record: events are large, and are copied
    /// when their list grows.
    pub(crate) fn for_tasks(moment: Moment, tasks: usize) -> Self {
        Self { items: Vec::with_capacity(tasks), touched: Vec::with_capacity(tasks), ..Self::new(moment) }
    }

    /// Returns the batch's length, for [`Self::rollback`].
    pub(crate) fn mark(&self) -> usize {
        self.items.len()
    }

    /// Drops the events recorded since `mark`.
    pub(crate) fn rollback(&mut self, mark: usize) {
        let items = self.items.len();
        invariant!(mark <= items, "{items} items are rolled back to {mark}");
        self.items.truncate(mark);
    }

    /// Whether an event of this batch has a look-up key.
    pub(crate) fn has_key(&self, hash: u128) -> bool {
        self.items.iter().any(|item| item.keys.iter().any(|key| key.hash == hash))
    }

    /// The position of the newest event about a message in this batch.
    pub(crate) fn newest_of(&self, stream: StreamId, number: MessageNo) -> Option<u32> {
        let is_about = |item: &Item| item.stream == stream && message_of(&item.event) == Some(number);
        self.items.iter().rposition(is_about).map(|at| at as u32)
    }

    /// Returns the value of a look-up key among the events of this batch.
    pub(crate) fn find(&self, hash: u128) -> Option<Found> {
        let mut keys = self.items.iter().rev().flat_map(|item| &item.keys);
        match keys.find(|key| key.hash == hash)? {
            Key { a, b: Tag::Value(b), .. } => Some(Found { a: *a, b: *b }),
            Key { b: Tag::OwnSeq, .. } => None,
        }
    }

    /// The events of one stream in this batch, with their positions.
    pub(crate) fn of_stream(&self, stream: StreamId) -> impl Iterator<Item = (u32, &Item)> {
        self.items.iter().enumerate().filter(move |(_, i)| i.stream == stream).map(|(n, i)| (n as u32, i))
    }
}

/// The effects of a batch.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) answers: Vec<PendingAnswer>,
    pub(crate) others: Vec<Effect>,
    pub(crate) channels: Vec<(ChannelIx, HostBatch)>,
    pub(crate) deliveries: Vec<(DestinationIx, Vec<DeliveryBatch>)>,
    pub(crate) tail: Vec<TailRecord>,
}

/// The answer to a message that was to be accepted.
pub(crate) struct PendingAnswer {
    answers: Arc<Answers>,
    place: usize,
    answer: Result<Acceptance, Refusal>,
}

impl PendingAnswer {
    pub(crate) fn new(answers: Arc<Answers>, place: usize, answer: Result<Acceptance, Refusal>) -> Self {
        Self { answers, place, answer }
    }

    pub(crate) fn send(self) {
        self.answers.put(self.place, self.answer);
    }

    /// Sends a refusal in place of the answer, because the log failed.
    pub(crate) fn refuse(self) {
        let reason = "the event log failed".into();
        self.answers.put(self.place, Err(Refusal::Busy { reason, retry_after_s: 10 }));
    }
}

/// An effect outside of the session that caused it.
pub(crate) enum Effect {
    /// Answers a request that returns nothing.
    Answer(Reply<()>, Result<(), Refusal>),
    /// Answers with a number.
    Counted(Reply<usize>, Result<usize, Refusal>),
    /// Answers with a session.
    ShowSession(Reply<SessionView>, Box<Result<SessionView, Refusal>>),
    /// Answers with the newest state of a stream.
    ShowNewest(Reply<NewestState>, Box<Result<NewestState, Refusal>>),
    /// Answers with a message.
    ShowMessage(Reply<MessageAnswer>, Box<Result<MessageAnswer, Refusal>>),
    /// Answers with messages.
    ShowRecords(Reply<FoundRecords>, Box<Result<FoundRecords, Refusal>>),
    /// Answers with a place in a session's queue.
    ShowQueuePosition(Reply<QueuePosition>, QueuePosition),
    /// Completes a share of a webhook or poll.
    Complete(Completion),
    /// Queues a customer's file to be fetched.
    FetchMedia(FetchRequest),
}

impl Effect {
    fn dispatch(self, context: &Context) {
        match self {
            Self::Answer(reply, answer) => {
                let _caller_gone = reply.send(answer);
            }
            Self::Counted(reply, answer) => {
                let _caller_gone = reply.send(answer);
            }
            Self::ShowSession(reply, answer) => {
                let _caller_gone = reply.send(*answer);
            }
            Self::ShowNewest(reply, answer) => {
                let _caller_gone = reply.send(*answer);
            }
            Self::ShowMessage(reply, answer) => {
                let _caller_gone = reply.send(*answer);
            }
            Self::ShowRecords(reply, answer) => {
                let _caller_gone = reply.send(*answer);
            }
            Self::ShowQueuePosition(reply, position) => {
                let _caller_gone = reply.send(Ok(position));
            }
            Self::Complete(completion) => completion.complete(),
            Self::FetchMedia(request) => {
                if let Some(media) = &context.media {
                    media.fetch_ahead(request);
                }
            }
        }
    }
}

impl Effects {
    /// The message to a channel.
    pub(crate) fn channel(&mut self, channel: ChannelIx) -> &mut HostBatch {
        entry(&mut self.channels, channel)
    }

    /// Adds deliveries for a destination.
    pub(crate) fn deliver(&mut self, destination: DestinationIx, batch: DeliveryBatch) {
        entry(&mut self.deliveries, destination).push(batch);
    }

    /// Acknowledges something that arrived.
    pub(crate) fn acknowledge(&mut self, ack: Ack) {
        match ack {
            Ack::Link(ack) => self.channel(ack.channel).acks.push(ack),
            Ack::Caller(completion) => self.others.push(Effect::Complete(completion)),
            Ack::Kept { channel, parked } => {
                self.channel(channel).tried.push(TriedReceipt { parked, found: Tried::Delivered });
            }
        }
    }

    /// Drops every acknowledgement, and what sessions say of receipts: the peers repeat what they
    /// sent, and kept receipts stay kept.
    pub(crate) fn withhold_acknowledgements(&mut self) {
        self.others.retain(|effect| !matches!(effect, Effect::Complete(_)));
        for (_, batch) in &mut self.channels {
            batch.acks.clear();
            batch.tried.clear();
            batch.strays.clear();
            batch.disowned.clear();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
            && self.others.is_empty()
            && self.channels.is_empty()
            && self.deliveries.is_empty()
    }

    /// Performs all effects. Runs on the log's writer thread after the flush, so it only sends.
    pub(crate) fn dispatch_after_commit(self, context: &Context) {
        for answer in self.answers {
            answer.send();
        }
        for (channel, batch) in self.channels {
            if let Some(entry) = context.directory.channel(channel) {
                entry.tell(ChannelMessage::FromHost(Box::new(batch)));
            }
        }
        for (destination, batches) in self.deliveries {
            if let Some(entry) = context.directory.destination(destination) {
                entry.tell(DestinationMessage::Deliver(batches));
            }
        }
        for effect in self.others {
            effect.dispatch(context);
        }
        context.tail.publish(self.tail);
    }
}

/// Returns the value of `key` in a short list, inserted when missing.
fn entry<K: PartialEq, T: Default>(list: &mut Vec<(K, T)>, key: K) -> &mut T {
    let at = match list.iter().position(|(k, _)| *k == key) {
        Some(at) => at,
        None => {
            list.push((key, T::default()));
            list.len() - 1
        }
    };
    #[allow(clippy::indexing_slicing, reason = "found or pushed one line above")]
    &mut list[at].1
}
