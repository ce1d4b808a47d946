//! The channel's own stream in the log: unmatched receipts, and stops. Its state is rebuilt from
//! the index's snapshot and the events after it.

use message::{ChannelId, Event, Seq, StreamId, address};
use storage::{Entry, Item, Key, Prev, Stored, Tag, invariant};

use crate::{
    context::Context,
    domain::kept_receipts::{self, KeptReceipts, Parked},
    protocol::{channel::ChannelMessage, part::Ack, recipient::Recipient},
};

/// Maximum number of events replayed at the start; more than that means that checkpoints fail.
const REPLAY_MAX: usize = 10_000_000;

/// A channel's own stream.
pub(crate) struct OwnStream {
    stream: StreamId,
    head: Seq,
    dirty: bool,
    /// The channel's actor, for acknowledgements after a flush.
    channel: Recipient<ChannelMessage>,
}

/// The state that an earlier run left.
pub(crate) struct Recovered {
    /// Unmatched receipts of the snapshot.
    pub(crate) parked: Vec<Parked>,
    /// The events after the snapshot, oldest first.
    pub(crate) newer: Vec<Stored>,
}

impl OwnStream {
    /// Reads a channel's stream.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index or the log cannot be read.
    pub(crate) fn load(
        context: &Context,
        id: &ChannelId,
        channel: Recipient<ChannelMessage>,
    ) -> Result<(Self, Recovered), String> {
        let (stream, reader) = (address::channel_stream(id), &context.reader);
        // Without a snapshot that can be read, everything is read from the events.
        let snapshot = reader.entry(stream)?.and_then(|entry| {
            storage::decode_snapshot(&entry.bytes).ok().map(|snapshot| (snapshot, entry.applied))
        });
        let (parked, applied) = snapshot.map_or((Vec::new(), Seq::NONE), |(snapshot, seq)| {
            (kept_receipts::parked_in(snapshot).collect(), seq)
        });
        // Each event carries this key, so the newest one is found by it.
        let head = reader.find(address::head_key(stream)).map_or(applied, |found| Seq(found.b).max(applied));
        let mut newer = Vec::new();
        for stored in reader.history(head).take(REPLAY_MAX) {
            let stored = stored.map_err(|e| e.to_string())?;
            if stored.seq <= applied {
                break;
            }
            newer.push(stored);
        }
        newer.reverse();
        let last = newer.last().map_or(applied, |stored| stored.seq);
        invariant!(last == head, "the newest event of {stream} is {head}, {last} was read");
        let foreign = newer.iter().find(|stored| stored.stream != stream).map(|stored| stored.seq);
        invariant!(foreign.is_none(), "{foreign:?} is in the history of {stream}");
        // What is newer than the snapshot may be past retention at the next start.
        let own = Self { stream, head, dirty: !newer.is_empty(), channel };
        Ok((own, Recovered { parked, newer }))
    }

    /// Appends an event. The acknowledgement is sent after its flush.
    pub(crate) fn append(&mut self, context: &Context, event: Event, ack: Option<Ack>) {
        let channel = self.channel.clone();
        let done: Option<storage::Completion> = ack.map(|ack| {
            let done: storage::Completion = Box::new(move |flushed: Result<(), _>| {
                if flushed.is_ok() {
                    match ack {
                        Ack::Link(ack) => {
                            channel.tell(ChannelMessage::Acknowledge(vec![ack]));
                        }
                        Ack::Caller(completion) => completion.complete(),
                        Ack::Kept { .. } => {}
                    }
                }
            });
            done
        });
        let stream = self.stream;
        let key = Key { hash: address::head_key(stream), a: 0, b: Tag::OwnSeq };
        let keys = std::iter::once(key).collect();
        let prev = Prev::At(self.head);
        let item = Item { stream, prev, about: prev, at: context.now(), keys, event };
        match context.log.append(vec![item], done) {
            Ok(seq) => {
                invariant!(self.head < seq, "{stream} goes from {} to {seq}", self.head);
                self.head = seq;
                self.dirty = true;
            }
            Err(error) => context.lifecycle.fail(format!("the event log: {error}")),
        }
    }

    /// Writes the snapshot into the index, if anything was appended since the last one.
    pub(crate) fn write(&mut self, context: &Context, kept: &KeptReceipts) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        match storage::encode_snapshot(&kept.to_snapshot()) {
            Ok(bytes) => {
                let entry = Entry { applied: self.head, due: None, bytes: bytes.into_boxed_slice() };
                context.log.index().put(self.stream, entry);
            }
            Err(error) => {
                context.lifecycle.fail(format!("a channel's state cannot be written: {error}"));
            }
        }
    }
}
