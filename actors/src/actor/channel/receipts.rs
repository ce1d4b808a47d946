//! Receipts of a channel: matched at once, or kept in the channel's own stream and tried again. A
//! receipt is acknowledged to the provider only when it is durable in one way or the other.

use channels::{LinkKind, address::spelling::IdBase, smpp::account::ReceiptIds};
use message::{
    Address, Event, PartState, PartStatus, StreamId,
    event::{Cause, UnmatchedReceipt},
};
use storage::KEYS_MAX;

use crate::{
    actor::channel::{metrics::Metrics, own_stream::OwnStream},
    config::ChannelIx,
    context::{Context, directory::ChannelEntry},
    domain::correlation::{Correlation, Parked, PartRef, Reported},
    protocol::{
        channel::{ChannelMessage, TriedReceipt},
        part::Ack,
        recipient::Recipient,
        task::{DoubtReceipt, Op, ReceiptFrom},
        tasks::Tasks,
    },
    sabotage::Sabotage,
    view::UnmatchedView,
};

/// How long an unmatched receipt is kept; after that it is given up.
const KEEP_MS: u64 = 24 * 3600 * 1000;
/// Maximum number of unmatched receipts tried in one turn; the rest are tried in the next.
const RETRY_MAX: usize = 500;

/// The keys of a part that the provider has accepted.
pub(crate) struct AcceptedPart {
    /// The look-up keys of the provider's id.
    pub(crate) spellings: Vec<u128>,
    /// The number of a receipt that arrived before the answer.
    pub(crate) early_receipt: Option<u32>,
}

/// The receipts of one channel.
pub(crate) struct Receipts {
    ix: ChannelIx,
    correlation: Correlation,
    own: OwnStream,
}

impl Receipts {
    /// Reads the unmatched receipts that an earlier run kept.
    ///
    /// # Errors
    ///
    /// Returns the reason if the index or the log cannot be read.
    pub(crate) fn load(
        context: &Context,
        ix: ChannelIx,
        entry: &ChannelEntry,
        channel: Recipient<ChannelMessage>,
    ) -> Result<Self, String> {
        let id = &entry.config.id;
        let unmatched_max = context.config.limits.unmatched_max;
        let mut correlation = Correlation::new(id.clone(), id_base(entry), unmatched_max);
        let (own, recovered) = OwnStream::load(context, id, channel)?;
        for parked in recovered.parked {
            let stream = stream_of(&parked.receipt);
            correlation.park(parked, stream);
        }
        for stored in recovered.newer {
            match stored.event {
                Event::ReceiptUnmatched(receipt) => {
                    let stream = stream_of(&receipt);
                    let ids = vec![Box::from(&*receipt.provider_id)];
                    correlation.park(Parked { receipt: *receipt, ids, since: stored.at, tries: 0 }, stream);
                }
                Event::ReceiptSettled { number, .. } => {
                    if let Some(stream) = correlation.get(number).map(|p| stream_of(&p.receipt)) {
                        correlation.settle(number, stream);
                    }
                }
                _ => {}
            }
        }
        Ok(Self { ix, correlation, own })
    }

    /// Records that the channel stopped or started, in its own stream.
    pub(crate) fn record_stop(&mut self, context: &Context, cause: Option<Cause>) {
        let event = cause.map_or(Event::ChannelStarted, |cause| Event::ChannelStopped { cause });
        self.own.append(context, event, None);
    }

    /// Writes the unmatched receipts into the index.
    pub(crate) fn write(&mut self, context: &Context) {
        self.own.write(context, &self.correlation);
    }

    /// Handles a receipt: sends it to its part, or keeps it under the address that it names.
    pub(crate) fn on_receipt(
        &mut self,
        context: &Context,
        receipt: Reported,
        address: impl FnOnce() -> Address,
        ack: Ack,
        metrics: &mut Metrics,
        tasks: &mut Tasks,
    ) {
        if let Some(part) = self.correlation.find(&receipt.ids, false, |key| context.reader.find(key)) {
            metrics.count_receipts(1);
            let op = receipt_op(part, receipt.state, receipt.code, ReceiptFrom::Provider(ack));
            return tasks.push(part.stream, op);
        }
        metrics.count_unmatched_receipt();
        let address = address();
        let unmatched = self.correlation.number(&receipt, &address.customer, &address.did);
        self.own.append(context, Event::ReceiptUnmatched(Box::new(unmatched.clone())), Some(ack));
        let parked = Parked { receipt: unmatched, ids: receipt.ids, since: context.now(), tries: 0 };
        if let Some(oldest) = self.correlation.park(parked, address.stream()) {
            self.settle(context, oldest, false, metrics);
        }
    }

    /// Notes the provider's id of an accepted part.
    pub(crate) fn on_accepted(&mut self, part: PartRef, provider_id: &str) -> AcceptedPart {
        let spellings = self.correlation.keys(provider_id);
        let meant = if Sabotage::ForgetPart.is_chosen() { PartRef { part: 0, ..part } } else { part };
        let early_receipt = self.correlation.answered(&spellings, meant);
        AcceptedPart { spellings, early_receipt }
    }

    /// Sends a kept receipt to its part. It stays kept until the session has recorded it.
    pub(crate) fn forward_kept(&self, number: u32, part: PartRef, tasks: &mut Tasks) {
        let Some(parked) = self.correlation.get(number) else { return };
        let from = ReceiptFrom::Kept { channel: self.ix, parked: number };
        let op = receipt_op(part, parked.receipt.state, parked.receipt.code.clone(), from);
        tasks.push(part.stream, op);
    }

    /// Tries the kept receipts with a session's addresses, because one of its parts is in doubt.
    pub(crate) fn try_on_doubt(&mut self, context: &Context, stream: StreamId, tasks: &mut Tasks) {
        for number in self.correlation.of_stream(stream).to_vec() {
            self.try_kept(context, number, tasks);
        }
    }

    fn try_kept(&mut self, context: &Context, number: u32, tasks: &mut Tasks) {
        let Some(ids) = self.correlation.get(number).map(|parked| parked.ids.clone()) else { return };
        // A receipt whose id is known in another base belongs to that part, not to one in doubt.
        match self.correlation.find(&ids, true, |key| context.reader.find(key)) {
            Some(part) => self.forward_kept(number, part, tasks),
            None => self.offer_to_doubt(number, tasks),
        }
    }

    fn offer_to_doubt(&self, number: u32, tasks: &mut Tasks) {
        let Some(parked) = self.correlation.get(number) else { return };
        // A receipt with a reference names its part, so it is for no part in doubt of this channel.
        if parked.ids.iter().any(|id| PartRef::from_reference(id).is_some()) {
            return;
        }
        let spellings = parked.ids.iter().flat_map(|id| self.correlation.keys(id)).take(KEYS_MAX).collect();
        let receipt = DoubtReceipt {
            channel: self.ix,
            parked: number,
            state: parked.receipt.state,
            code: parked.receipt.code.clone(),
            came_at: parked.since,
            spellings,
        };
        tasks.push(stream_of(&parked.receipt), Op::DoubtReceipt(Box::new(receipt)));
    }

    /// Retries the kept receipts that are due, and gives up those kept too long.
    pub(crate) fn retry(&mut self, context: &Context, metrics: &mut Metrics, tasks: &mut Tasks) {
        let now = context.now();
        if self.correlation.next_due().is_none_or(|due| due > now) {
            return;
        }
        for number in self.correlation.due(now, RETRY_MAX) {
            let Some(since) = self.correlation.get(number).map(|parked| parked.since) else { continue };
            if now.since_ms(since) > KEEP_MS {
                self.settle(context, number, false, metrics);
            } else {
                self.try_kept(context, number, tasks);
            }
        }
    }

    /// Removes a kept receipt that found its part or is given up.
    fn settle(&mut self, context: &Context, number: u32, matched: bool, metrics: &mut Metrics) {
        let Some(stream) = self.correlation.get(number).map(|p| stream_of(&p.receipt)) else { return };
        if self.correlation.settle(number, stream).is_some() {
            metrics.count_receipts(u64::from(matched));
            self.own.append(context, Event::ReceiptSettled { number, matched }, None);
        }
    }

    /// Settles kept receipts that a session has recorded. Each leaves one part in doubt less, so
    /// others with the same addresses may fit now.
    pub(crate) fn on_tried(
        &mut self,
        context: &Context,
        tried: Vec<TriedReceipt>,
        metrics: &mut Metrics,
        tasks: &mut Tasks,
    ) {
        for TriedReceipt { parked, .. } in tried.into_iter().filter(|tried| tried.matched) {
            let stream = self.correlation.get(parked).map(|p| stream_of(&p.receipt));
            self.settle(context, parked, true, metrics);
            if let Some(stream) = stream {
                self.try_on_doubt(context, stream, tasks);
            }
        }
    }

    /// The number of receipts that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.correlation.parked_len()
    }

    /// Lists kept receipts with numbers above `after`, oldest first.
    pub(crate) fn list(&self, after: u32, limit: usize) -> Vec<UnmatchedView> {
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

/// Sends the provider's answer to a query to its part.
pub(crate) fn on_query_answer(part: PartRef, message_state: u8, tasks: &mut Tasks) {
    let state = match message_state {
        2 => PartState::reached(PartStatus::Delivered),
        3..=5 | 8 | 9 => PartState::failure(),
        _ => return,
    };
    let code = format!("query_sm/{message_state}");
    tasks.push(part.stream, receipt_op(part, state, code.into(), ReceiptFrom::Query));
}

/// Returns how a channel's receipts spell ids.
fn id_base(entry: &ChannelEntry) -> IdBase {
    match entry.channel().link() {
        LinkKind::Smpp(account) => match account.receipt_ids {
            ReceiptIds::Auto => IdBase::Auto,
            ReceiptIds::Exact => IdBase::Exact,
            ReceiptIds::HexToDecimal => IdBase::ReplyHexReceiptDec,
            ReceiptIds::DecimalToHex => IdBase::ReplyDecReceiptHex,
        },
        LinkKind::Http(_) => IdBase::Exact,
    }
}

/// Returns the stream of the session to which a kept receipt would belong.
fn stream_of(receipt: &UnmatchedReceipt) -> StreamId {
    let (did, customer) = (receipt.did.clone(), receipt.customer.clone());
    Address { channel: receipt.channel.clone(), did, customer }.stream()
}

fn receipt_op(part: PartRef, state: PartState, code: Box<str>, from: ReceiptFrom) -> Op {
    Op::Receipt { number: part.number, part: part.part, state, code, from }
}
