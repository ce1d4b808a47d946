//! Receipts: matched at once, or kept in the channel's own stream of the log and looked at again. A receipt is
//! acknowledged to the provider only when it is safe in one way or the other.

use message::{
    Event, PartState, PartStatus, Seq, StreamId,
    address::{self, Address},
};
use storage::{Entry, Item, KEYS_MAX, Prev};

use crate::{
    actor::channel::state::ChannelState,
    domain::correlation::{self, Parked, PartRef, Reported},
    protocol::{
        channel::ChannelMessage,
        host::{DoubtReceipt, Op, ReceiptFrom, Task},
        part::Ack,
    },
    view::UnmatchedView,
};

/// How long a receipt that nobody knows is kept.
const KEEP_MS: u64 = 24 * 3600 * 1000;
/// Kept receipts tried in one turn.
const RETRY_MAX: usize = 500;
/// Events replayed at most into a channel's own state: more means that checkpoints fail.
const REPLAY_MAX: usize = 10_000_000;

impl ChannelState {
    /// Reads what the last run kept: the index's snapshot, and the events after it.
    pub(super) fn load_own_stream(&mut self) -> Result<(), String> {
        let log = self.shared.log.clone();
        let entry = log.index().get(self.own.stream).map_err(|e| e.to_string())?;
        // A snapshot that cannot be read is made again from the events.
        let snapshot = entry.and_then(|entry| {
            storage::decode_snapshot(&entry.bytes).ok().map(|snapshot| (snapshot, entry.applied))
        });
        let mut applied = Seq::NONE;
        if let Some((snapshot, seq)) = snapshot {
            applied = seq;
            for parked in correlation::parked_in(snapshot) {
                let stream = stream_of(&parked.receipt);
                self.correlation.park(parked, stream);
            }
        }
        self.own.head = applied;
        // The newest event of this stream is remembered under its key with each event.
        let head =
            log.find(address::head_key(self.own.stream)).map_or(applied, |found| Seq(found.b).max(applied));
        let mut newer = Vec::new();
        for stored in log.history(head).take(REPLAY_MAX) {
            let stored = stored.map_err(|e| e.to_string())?;
            if stored.seq <= applied {
                break;
            }
            newer.push(stored);
        }
        for stored in newer.iter().rev() {
            self.own.head = stored.seq;
            match &stored.event {
                Event::ReceiptUnmatched(receipt) => {
                    let stream = stream_of(receipt);
                    let ids = vec![Box::from(&*receipt.provider_id)];
                    let receipt = receipt.as_ref().clone();
                    self.correlation.park(Parked { receipt, ids, since: stored.at, tries: 0 }, stream);
                }
                Event::ReceiptSettled { number, .. } => {
                    if let Some(stream) = self.correlation.get(*number).map(|p| stream_of(&p.receipt)) {
                        self.correlation.settle(*number, stream);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Appends a fact of the channel's own; the deliveries are acknowledged after its flush.
    pub(super) fn append_own(&mut self, event: Event, ack: Option<Ack>) {
        let myself = self.myself.clone();
        let done: Option<storage::Completion> = ack.map(|ack| {
            let done: storage::Completion = Box::new(move |flushed: Result<(), _>| {
                if flushed.is_ok() {
                    match ack {
                        Ack::Link(ack) => {
                            let _channel_gone = myself.cast(ChannelMessage::Acknowledge(vec![ack]));
                        }
                        Ack::Caller(waits) => waits.safe(),
                    }
                }
            });
            done
        });
        let stream = self.own.stream;
        let key = storage::Key { hash: address::head_key(stream), a: 0, b: storage::Tag::OwnSeq };
        let keys = std::iter::once(key).collect();
        let item = Item { stream, prev: Prev::At(self.own.head), at: self.shared.now(), keys, event };
        match self.shared.log.append(vec![item], done) {
            Ok(seq) => {
                self.own.head = seq;
                self.own.dirty = true;
                self.shared.appended(seq);
            }
            Err(error) => self.shared.fail(format!("the event log: {error}")),
        }
    }

    /// Writes what is kept into the index.
    pub(super) fn write_own_stream(&mut self) {
        if !std::mem::take(&mut self.own.dirty) {
            return;
        }
        match storage::encode_snapshot(&self.correlation.to_snapshot()) {
            Ok(bytes) => {
                let entry = Entry { applied: self.own.head, due: None, bytes: bytes.into_boxed_slice() };
                self.shared.log.index().put(self.own.stream, entry);
            }
            Err(error) => self.shared.fail(format!("a channel's state cannot be written: {error}")),
        }
    }

    /// A receipt came.
    pub(super) fn receipt(
        &mut self,
        receipt: Reported,
        (did, customer): (&str, &str),
        ack: Ack,
        tasks: &mut Vec<Vec<Task>>,
    ) {
        let log = self.shared.log.clone();
        if let Some(part) = self.correlation.find(&receipt.ids, false, |key| log.find(key)) {
            self.counts.receipts += 1;
            self.metrics.receipts.increment(1);
            let op = receipt_op(part, receipt.state, receipt.code, ReceiptFrom::Outside(ack));
            return self.to_host(part.stream, op, tasks);
        }
        let Some(address) = self.address(did, customer) else { return };
        self.counts.receipts_unmatched += 1;
        self.metrics.receipts_unmatched.increment(1);
        let unmatched = self.correlation.number(&receipt, &address.customer, &address.did);
        self.append_own(Event::ReceiptUnmatched(Box::new(unmatched.clone())), Some(ack));
        let (since, stream) = (self.shared.now(), address.stream());
        let parked = Parked { receipt: unmatched, ids: receipt.ids, since, tries: 0 };
        if let Some(oldest) = self.correlation.park(parked, stream) {
            self.settle_parked(oldest, false);
        }
    }

    /// The answer came after its receipt, which is kept until its session has it in the log.
    pub(super) fn early_receipt(&mut self, number: u32, part: PartRef, tasks: &mut Vec<Vec<Task>>) {
        let Some(parked) = self.correlation.get(number) else { return };
        let from = ReceiptFrom::Kept { channel: self.ix, parked: number };
        let op = receipt_op(part, parked.receipt.state, parked.receipt.code.clone(), from);
        self.to_host(part.stream, op, tasks);
    }

    /// Part of a session has come in doubt: kept receipts with its addresses may be meant for it.
    pub(super) fn try_on_doubt(&mut self, stream: StreamId, tasks: &mut Vec<Vec<Task>>) {
        let log = self.shared.log.clone();
        for number in self.correlation.of_stream(stream).to_vec() {
            let Some(ids) = self.correlation.get(number).map(|parked| parked.ids.clone()) else { continue };
            // One that an id in another base explains is no stranger's.
            match self.correlation.find(&ids, true, |key| log.find(key)) {
                Some(part) => self.early_receipt(number, part, tasks),
                None => self.doubt_receipt(number, tasks),
            }
        }
    }

    fn doubt_receipt(&mut self, number: u32, tasks: &mut Vec<Vec<Task>>) {
        let Some(parked) = self.correlation.get(number) else { return };
        // It names its part, if no part of ours: it is for none that is in doubt.
        if parked.ids.iter().any(|id| PartRef::from_reference(id).is_some()) {
            return;
        }
        let stream = stream_of(&parked.receipt);
        let spellings = parked.ids.iter().flat_map(|id| self.correlation.keys(id)).take(KEYS_MAX).collect();
        let op = Op::DoubtReceipt(Box::new(DoubtReceipt {
            channel: self.ix,
            parked: number,
            state: parked.receipt.state,
            code: parked.receipt.code.clone(),
            came_at: parked.since,
            spellings,
        }));
        self.to_host(stream, op, tasks);
    }

    /// Tries kept receipts again whose time has come, with guesses now.
    pub(super) fn retry_parked(&mut self) {
        let now = self.shared.now();
        if self.correlation.next_due().is_none_or(|due| due > now) {
            return;
        }
        let log = self.shared.log.clone();
        let mut tasks = Vec::new();
        for number in self.correlation.due(now, RETRY_MAX) {
            let Some(parked) = self.correlation.get(number).cloned() else { continue };
            if now.since_ms(parked.since) > KEEP_MS {
                self.settle_parked(number, false);
            } else if let Some(part) = self.correlation.find(&parked.ids, true, |key| log.find(key)) {
                self.early_receipt(number, part, &mut tasks);
            } else {
                self.doubt_receipt(number, &mut tasks);
            }
        }
        self.tell_hosts(tasks);
    }

    /// A kept receipt found its part, or is given up.
    pub(super) fn settle_parked(&mut self, number: u32, matched: bool) {
        let Some(stream) = self.correlation.get(number).map(|p| stream_of(&p.receipt)) else { return };
        if self.correlation.settle(number, stream).is_some() {
            if matched {
                self.counts.receipts += 1;
                self.metrics.receipts.increment(1);
            }
            self.append_own(Event::ReceiptSettled { number, matched }, None);
        }
    }

    /// Kept receipts were tried on sessions in doubt. Where one fitted there is one doubt less, and the others
    /// with these addresses may be plain now.
    pub(super) fn doubts_settled(&mut self, tried: Vec<(u32, bool)>) {
        let mut tasks = Vec::new();
        for (number, _) in tried.into_iter().filter(|(_, matched)| *matched) {
            let stream = self.correlation.get(number).map(|p| stream_of(&p.receipt));
            self.settle_parked(number, true);
            if let Some(stream) = stream {
                self.try_on_doubt(stream, &mut tasks);
            }
        }
        self.tell_hosts(tasks);
    }

    /// The provider's answer to a question after a part.
    pub(super) fn query_answered(&mut self, part: PartRef, message_state: u8, tasks: &mut Vec<Vec<Task>>) {
        let state = match message_state {
            2 => PartState::reached(PartStatus::Delivered),
            3..=5 | 8 | 9 => PartState::failure(),
            _ => return,
        };
        let code = format!("query_sm/{message_state}");
        self.to_host(part.stream, receipt_op(part, state, code.into(), ReceiptFrom::Query), tasks);
    }

    /// Receipts nobody knows, oldest first.
    pub(super) fn unmatched(&self, after: u32, limit: usize) -> Vec<UnmatchedView> {
        let view = |parked: &Parked| UnmatchedView {
            number: parked.receipt.number,
            channel: parked.receipt.channel.clone(),
            provider_id: parked.receipt.provider_id.clone(),
            customer: parked.receipt.customer.clone(),
            did: parked.receipt.did.clone(),
            code: parked.receipt.code.clone(),
            received_at: parked.since,
        };
        self.correlation.parked().filter(|p| p.receipt.number > after).take(limit).map(view).collect()
    }
}

/// The stream of the session a kept receipt would belong to.
fn stream_of(receipt: &message::event::UnmatchedReceipt) -> StreamId {
    let (did, customer) = (receipt.did.clone(), receipt.customer.clone());
    Address { channel: receipt.channel.clone(), did, customer }.stream()
}

fn receipt_op(part: PartRef, state: PartState, code: Box<str>, from: ReceiptFrom) -> Op {
    Op::Receipt { number: part.number, part: part.part, state, code, from }
}
