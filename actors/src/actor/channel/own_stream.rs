//! The channel's own stream in the log: unmatched receipts, stops and pauses. Its state is rebuilt
//! from the index's snapshot and the events after it.

use message::{ChannelId, Event, Seq, StreamId, Timestamp, address, snapshot::ChannelSnapshot};
use storage::{Entry, Item, Key, Prev, Stored, Tag, invariant};
use tokio::sync::oneshot;

use crate::{
    context::Context,
    domain::{
        kept_receipts::{self, KeptReceipts, Parked},
        pause::Pause,
    },
    protocol::{channel::ChannelMessage, part::Ack, recipient::Recipient},
};

/// Maximum number of events replayed at the start; more than that means that checkpoints fail.
const REPLAY_MAX: usize = 10_000_000;

/// A channel's own stream.
pub(crate) struct OwnStream {
    stream: StreamId,
    head: Seq,
    dirty: bool,
    pause: Pause,
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
        let (mut pause, parked, applied) = match snapshot {
            Some((ChannelSnapshot::V1(v1), seq)) => {
                (Pause::resumed(v1.paused_since), kept_receipts::parked_in(v1.parked).collect(), seq)
            }
            None => (Pause::default(), Vec::new(), Seq::NONE),
        };
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
        newer.iter().for_each(|stored| pause.apply(&stored.event, stored.at));
        let last = newer.last().map_or(applied, |stored| stored.seq);
        invariant!(last == head, "the newest event of {stream} is {head}, {last} was read");
        let foreign = newer.iter().find(|stored| stored.stream != stream).map(|stored| stored.seq);
        invariant!(foreign.is_none(), "{foreign:?} is in the history of {stream}");
        // What is newer than the snapshot may be past retention at the next start.
        let own = Self { stream, head, dirty: !newer.is_empty(), pause, channel };
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
        self.append_then(context, event, context.now(), done);
    }

    fn append_then(
        &mut self,
        context: &Context,
        event: Event,
        at: Timestamp,
        done: Option<storage::Completion>,
    ) {
        let stream = self.stream;
        let key = Key { hash: address::head_key(stream), a: 0, b: Tag::OwnSeq };
        let keys = std::iter::once(key).collect();
        let prev = Prev::At(self.head);
        let item = Item { stream, prev, about: prev, at, keys, event };
        match context.log.append(vec![item], done) {
            Ok(seq) => {
                invariant!(self.head < seq, "{stream} goes from {} to {seq}", self.head);
                self.head = seq;
                self.dirty = true;
            }
            Err(error) => context.lifecycle.fail(format!("the event log: {error}")),
        }
    }

    /// Whether an operator has paused the channel.
    pub(crate) fn pause(&self) -> Pause {
        self.pause
    }

    /// Pauses the channel or ends its pause, and answers with its beginning once that is durable.
    pub(crate) fn set_pause(
        &mut self,
        context: &Context,
        wanted: bool,
        reply: oneshot::Sender<Option<Timestamp>>,
    ) {
        let (at, change) = (context.now(), self.pause.change(wanted));
        if let Some(event) = &change {
            self.pause.apply(event, at);
        }
        let since = self.pause.since();
        let done: storage::Completion = Box::new(move |flushed: Result<(), _>| {
            if flushed.is_ok() {
                let _caller_gone = reply.send(since);
            }
        });
        match change {
            Some(event) => self.append_then(context, event, at, Some(done)),
            // The command before may not be flushed yet.
            None => context.log.after(done),
        }
    }

    /// Writes the snapshot into the index, if anything was appended since the last one.
    pub(crate) fn write(&mut self, context: &Context, kept: &KeptReceipts) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        match storage::encode_snapshot(&kept.to_snapshot(self.pause.since())) {
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
