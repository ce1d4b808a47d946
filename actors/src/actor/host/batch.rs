//! A batch of work: facts, and the effects that follow their flush.

use std::sync::Arc;

use message::{StreamId, Timestamp};
use storage::Item;

use crate::{
    config::{ChannelIx, DestinationIx},
    context::{Shared, tail},
    error::Refusal,
    protocol::{
        answers::{Acceptance, Answers},
        channel::{ChannelMessage, HostBatch},
        destination::{DestinationMessage, Offer},
    },
};

/// A batch under way.
pub(crate) struct Stage {
    pub(crate) now: Timestamp,
    pub(super) items: Vec<Item>,
    pub(super) touched: Vec<StreamId>,
    pub(crate) effects: Effects,
}

/// What happens after the flush.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) answers: Vec<(Arc<Answers>, usize, Result<Acceptance, Refusal>)>,
    pub(crate) replies: Vec<Box<dyn FnOnce() + Send>>,
    pub(super) channels: Vec<(ChannelIx, HostBatch)>,
    pub(super) offers: Vec<(DestinationIx, Vec<Offer>)>,
    pub(super) tail: Vec<tail::Committed>,
}

impl Effects {
    /// What a channel will be told.
    pub(crate) fn channel(&mut self, channel: ChannelIx) -> &mut HostBatch {
        entry(&mut self.channels, channel)
    }

    pub(super) fn offer(&mut self, destination: DestinationIx, offer: Offer) {
        entry(&mut self.offers, destination).push(offer);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
            && self.replies.is_empty()
            && self.channels.is_empty()
            && self.offers.is_empty()
    }

    /// Lets everything happen. Runs on the log's writer: only sends.
    pub(super) fn happen(self, shared: &Shared) {
        for (answers, place, answer) in self.answers {
            answers.put(place, answer);
        }
        for (channel, batch) in self.channels {
            if let Some(entry) = shared.channels.get(channel) {
                entry.cast(ChannelMessage::FromHost(batch));
            }
        }
        for (destination, offers) in self.offers {
            if let Some(entry) = shared.destinations.get(destination) {
                entry.cast(DestinationMessage::Offers(offers));
            }
        }
        for reply in self.replies {
            reply();
        }
        tail::publish(shared, self.tail);
    }
}

/// The value of `key` in a short list, made when missing.
pub(super) fn entry<T: Default>(list: &mut Vec<(usize, T)>, key: usize) -> &mut T {
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

impl Stage {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, items: Vec::new(), touched: Vec::new(), effects: Effects::default() }
    }

    /// With room for what so many tasks leave behind, mostly: facts are large, and moved when their list grows.
    pub(crate) fn for_tasks(now: Timestamp, tasks: usize) -> Self {
        Self { items: Vec::with_capacity(tasks), touched: Vec::with_capacity(tasks), ..Self::new(now) }
    }

    /// How far the batch has come, to go back to.
    pub(crate) fn mark(&self) -> usize {
        self.items.len()
    }

    /// Forgets the facts recorded since the mark.
    pub(crate) fn rollback(&mut self, mark: usize) {
        self.items.truncate(mark);
    }

    /// Whether a fact of this batch is found by a key.
    pub(crate) fn has_key(&self, hash: u128) -> bool {
        self.items.iter().any(|item| item.keys.iter().any(|key| key.hash == hash))
    }

    /// The facts of one stream in this batch, with their places.
    pub(crate) fn of_stream(&self, stream: StreamId) -> impl Iterator<Item = (u32, &Item)> {
        self.items.iter().enumerate().filter(move |(_, i)| i.stream == stream).map(|(n, i)| (n as u32, i))
    }

    /// Has the session looked at when the batch ends: announcements, offers, timers.
    pub(crate) fn touch(&mut self, stream: StreamId) {
        self.touched.push(stream);
    }
}
