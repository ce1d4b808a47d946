//! Receipts of a channel: matched at once, or kept in the channel's own stream and tried again. A
//! receipt is acknowledged to the provider only when it is durable in one way or the other. What
//! an SMSC delivers as a message in the form of a receipt is one only if it leads to a part of that
//! very customer; otherwise it goes to the business, at the latest after [`WORDS_WAIT_MS`].

use channels::{LinkKind, address::spelling::IdBase, smpp::account::ReceiptIds};
use message::{
    Address, Event, PartState, PartStatus, StreamId, Timestamp, address,
    event::{Cause, UnmatchedReceipt},
};
use storage::{KEYS_MAX, invariant};

use crate::{
    actor::channel::{
        metrics::Metrics,
        outbox::Outstanding,
        own_stream::OwnStream,
        receipt_names::{address_of, find_alike, named_in, named_in_place, words_op},
    },
    config::ChannelIx,
    context::{Context, entries::ChannelEntry},
    domain::{
        correlation::{self, Correlation, Match, Named, PartRef, Reported},
        kept_receipts::{Kept, KeptReceipts, Parked},
    },
    protocol::{
        channel::{ChannelMessage, Tried, TriedReceipt},
        part::Ack,
        recipient::Recipient,
        task::{DoubtReceipt, Op, ReceiptClaim, ReceiptFrom},
        tasks::Tasks,
    },
    sabotage::Sabotage,
    view::UnmatchedView,
};

/// How long an unmatched receipt is kept; after that it is given up.
const KEEP_MS: u64 = 24 * 3600 * 1000;
/// How long a customer's words in the form of a receipt wait for the answer to a part that is with
/// a link; after that they are the customer's message.
const WORDS_WAIT_MS: u64 = 10_000;
/// Minimum length of the ids of which a customer's words may be a receipt in another number base:
/// short ones mean something in every base.
const WORDS_GUESS_LENGTH_MIN: usize = 6;
/// Maximum number of unmatched receipts tried in one turn; the rest are tried in the next.
const RETRY_MAX: usize = 500;
/// Maximum number of kept receipts of one session that are tried because of one event; the rest are
/// tried when they are due.
const TRY_MAX: usize = 16;

/// The keys of a part that the provider has accepted.
pub(crate) struct AcceptedPart {
    /// The look-up keys of the provider's id.
    pub(crate) spellings: Vec<u128>,
    /// The number of a receipt that arrived before the answer.
    pub(crate) early_receipt: Option<u32>,
}

/// The parts of a channel that its receipts use in one turn.
pub(crate) struct ReceiptTurn<'a> {
    pub(crate) context: &'a Context,
    pub(crate) entry: &'a ChannelEntry,
    pub(crate) outstanding: &'a Outstanding,
    pub(crate) metrics: &'a mut Metrics,
    pub(crate) tasks: &'a mut Tasks,
}

/// The receipts of one channel.
pub(crate) struct Receipts {
    ix: ChannelIx,
    correlation: Correlation,
    kept: KeptReceipts,
    pub(crate) own: OwnStream,
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
        let correlation = Correlation::new(id.clone(), id_base(entry), entry.is_smpp());
        let kept = KeptReceipts::new(id.clone(), context.config.limits.unmatched_max);
        let (own, recovered) = OwnStream::load(context, id, channel)?;
        let mut receipts = Self { ix, correlation, kept, own };
        for parked in recovered.parked {
            receipts.park_again(context, entry, parked);
        }
        for stored in recovered.newer {
            match stored.event {
                Event::ReceiptUnmatched(receipt) => {
                    let ids = vec![Box::from(&*receipt.provider_id)];
                    let parked = Parked { receipt: *receipt, ids, since: stored.at, tries: 0 };
                    receipts.park_again(context, entry, parked);
                }
                Event::ReceiptSettled { number, .. } => drop(receipts.kept.settle(number)),
                _ => {}
            }
        }
        Ok(receipts)
    }

    /// Records that the channel stopped or started, in its own stream.
    pub(crate) fn record_stop(&mut self, context: &Context, cause: Option<Cause>) {
        let event = cause.map_or(Event::ChannelStarted, |cause| Event::ChannelStopped { cause });
        self.own.append(context, event, None);
    }

    /// Writes the unmatched receipts into the index.
    pub(crate) fn write(&mut self, context: &Context) {
        self.own.write(context, &self.kept);
    }

    /// Handles a receipt of a provider with an HTTP API: sends it to its part, or keeps it under
    /// the address that it names.
    pub(crate) fn on_receipt(
        &mut self,
        context: &Context,
        receipt: Reported,
        address: &Address,
        ack: Ack,
        metrics: &mut Metrics,
        tasks: &mut Tasks,
    ) {
        let named = Named { streams: [context.stream_of(address)].into_iter().collect(), ..Named::default() };
        let found = self.correlation.find(&receipt.ids, &named, false, |key| context.reader.find(key));
        if let Some(Match { part, .. }) = found {
            metrics.count_receipts(1);
            let op = receipt_op(part, receipt.state, receipt.code, ReceiptFrom::Provider(ack));
            return tasks.push(part.stream, op);
        }
        metrics.count_unmatched_receipt();
        let unmatched = self.kept.number(&receipt, &address.customer, &address.did);
        if let Some(oldest) = self.keep(context, unmatched, named, receipt.ids, ack) {
            self.settle(context, oldest, false, metrics);
        }
    }

    /// Handles a receipt of an SMSC, or what looks like one.
    pub(crate) fn on_claim(&mut self, turn: &mut ReceiptTurn<'_>, claim: ReceiptClaim) {
        let log = |key| turn.context.reader.find(key);
        let in_place = named_in_place(turn.context, turn.entry, &claim.address);
        if let Some(part) = self.correlation.find_certain(&claim.reported.ids, &in_place, log) {
            return self.claimed(turn, part, claim);
        }
        let named = named_in(turn.context, turn.entry, &claim.address);
        // Words wait only for an answer, so without one to wait for another number base is tried
        // now.
        let guess = claim.words.is_some()
            && may_guess(&claim.reported.ids, true)
            && !turn.outstanding.has_scope(&named.scopes);
        match self.correlation.find(&claim.reported.ids, &named, guess, log) {
            Some(Match { part, is_certain: true }) => self.claimed(turn, part, claim),
            Some(Match { part, .. }) => {
                let Reported { state, code, .. } = claim.reported.clone();
                let from = ReceiptFrom::Claimed { channel: self.ix, claim: Box::new(claim) };
                turn.tasks.push(part.stream, receipt_op(part, state, code, from));
            }
            None => self.on_unfound(turn, claim, named),
        }
    }

    /// Handles a receipt that led to a part of a customer whom it does not name.
    pub(crate) fn on_disowned(&mut self, turn: &mut ReceiptTurn<'_>, claim: ReceiptClaim) {
        let named = named_in(turn.context, turn.entry, &claim.address);
        self.on_unfound(turn, claim, named);
    }

    fn claimed(&self, turn: &mut ReceiptTurn<'_>, part: PartRef, claim: ReceiptClaim) {
        turn.metrics.count_receipts(1);
        let ReceiptClaim { reported, ack, .. } = claim;
        let op = receipt_op(part, reported.state, reported.code, ReceiptFrom::Provider(ack));
        turn.tasks.push(part.stream, op);
    }

    fn on_unfound(&mut self, turn: &mut ReceiptTurn<'_>, claim: ReceiptClaim, mut named: Named) {
        if claim.words.is_some() && !turn.outstanding.has_scope(&named.scopes) {
            return self.deliver_words(turn, claim);
        }
        if named.scopes.is_empty()
            && claim.words.is_none()
            && let Some(part) = self.find_alone(turn.context, &claim.reported.ids)
        {
            return self.claimed(turn, part, claim);
        }
        let ReceiptClaim { reported, address, words, ack } = claim;
        let is_receipt = words.is_none();
        if is_receipt {
            turn.metrics.count_unmatched_receipt();
        }
        let mut unmatched = self.kept.number(&reported, &address.customer, &address.did);
        unmatched.words = words;
        let number = unmatched.number;
        let guessed = self.find_kept(turn.context, &reported.ids, &named, !is_receipt);
        find_alike(turn.context, turn.entry, &mut named);
        if let Some(oldest) = self.keep(turn.context, unmatched, named, reported.ids, ack) {
            self.drop_oldest(turn, oldest);
        }
        // With an id that is known in another base, it is tried when it is due.
        if is_receipt && guessed.is_none() {
            self.ask_named(turn, number, 0);
        }
    }

    fn deliver_words(&self, turn: &mut ReceiptTurn<'_>, claim: ReceiptClaim) {
        let ReceiptClaim { address, words: Some(words), ack, .. } = claim else { return };
        turn.metrics.count_received();
        let op = words_op(turn.entry, &address, &words, None, ack);
        turn.tasks.push(turn.context.stream_of(&address), op);
    }

    fn find_kept(
        &mut self,
        context: &Context,
        ids: &[Box<str>],
        named: &Named,
        is_words: bool,
    ) -> Option<Match> {
        self.correlation.find(ids, named, may_guess(ids, is_words), |key| context.reader.find(key))
    }

    fn find_alone(&mut self, context: &Context, ids: &[Box<str>]) -> Option<PartRef> {
        self.correlation.find_alone(ids, |key| context.reader.find(key))
    }

    /// Keeps a receipt. Returns the oldest one when there are too many.
    fn keep(
        &mut self,
        context: &Context,
        receipt: UnmatchedReceipt,
        named: Named,
        ids: Vec<Box<str>>,
        ack: Ack,
    ) -> Option<u32> {
        let number = receipt.number;
        invariant!(self.kept.get(number).is_none(), "a second receipt is kept as {number}");
        self.own.append(context, Event::ReceiptUnmatched(Box::new(receipt.clone())), Some(ack));
        self.kept.park(Parked { receipt, ids, since: context.now(), tries: 0 }, named)
    }

    /// Keeps a receipt of an earlier run.
    fn park_again(&mut self, context: &Context, entry: &ChannelEntry, parked: Parked) {
        let mut named = named_in(context, entry, &address_of(&parked.receipt));
        find_alike(context, entry, &mut named);
        // Those beyond the limit are dropped when the next one comes.
        let _too_many = self.kept.park(parked, named);
    }

    fn drop_oldest(&mut self, turn: &mut ReceiptTurn<'_>, number: u32) {
        if self.kept.get(number).is_some_and(|kept| kept.parked.receipt.words.is_some()) {
            return self.deliver_kept(turn, number);
        }
        self.settle(turn.context, number, false, turn.metrics);
    }

    /// Notes the provider's id of an accepted part.
    pub(crate) fn on_accepted(
        &mut self,
        context: &Context,
        part: PartRef,
        scope: u64,
        provider_id: &str,
        token: Option<&str>,
    ) -> AcceptedPart {
        let meant = if Sabotage::ForgetPart.is_chosen() { PartRef { part: 0, ..part } } else { part };
        let log = |key| context.reader.find(key);
        let token = token.map(|token| correlation::in_conversation(part.stream, token));
        let spellings = self.correlation.on_accepted(provider_id, scope, token.as_deref(), meant, log);
        let early_receipt = self.kept.early(&spellings);
        AcceptedPart { spellings, early_receipt }
    }

    /// Sends a kept receipt to its part. It stays kept until the session has recorded it.
    pub(crate) fn forward_kept(&self, number: u32, part: PartRef, tasks: &mut Tasks) {
        let Some(Kept { parked, named, .. }) = self.kept.get(number) else { return };
        let UnmatchedReceipt { customer, did, state, code, .. } = &parked.receipt;
        let is_certain = named.scopes.is_empty() || named.streams.contains(&part.stream);
        let addresses = (!is_certain).then(|| [customer.clone(), did.clone()]);
        let from = ReceiptFrom::Kept { channel: self.ix, parked: number, addresses };
        tasks.push(part.stream, receipt_op(part, *state, code.clone(), from));
    }

    /// Tries the kept receipts with a session's addresses, because one of its parts was answered or
    /// is in doubt.
    pub(crate) fn try_of_stream(&mut self, turn: &mut ReceiptTurn<'_>, stream: StreamId) {
        for number in self.kept.of_stream(stream, TRY_MAX) {
            self.try_kept(turn, number);
        }
    }

    fn try_kept(&mut self, turn: &mut ReceiptTurn<'_>, number: u32) {
        let Some(Kept { parked, named, is_message, .. }) = self.kept.get(number) else { return };
        let (ids, named, is_message) = (parked.ids.clone(), named.clone(), *is_message);
        let is_words = parked.receipt.words.is_some();
        let is_old = turn.context.now().since_ms(parked.since) >= WORDS_WAIT_MS;
        if is_message || (is_words && self.was_delivered(turn.context, number)) {
            return self.deliver_kept(turn, number);
        }
        // A receipt whose id is known in another base belongs to that part, not to one in doubt.
        match self.find_kept(turn.context, &ids, &named, is_words) {
            Some(Match { part, .. }) => self.forward_kept(number, part, turn.tasks),
            None if !is_words => self.ask_named(turn, number, 0),
            None if is_old || !turn.outstanding.has_scope(&named.scopes) => self.deliver_kept(turn, number),
            None => {}
        }
    }

    /// Whether an earlier run delivered a customer's words and could not record that it did.
    fn was_delivered(&self, context: &Context, number: u32) -> bool {
        let words = self.kept.get(number).and_then(|kept| kept.parked.receipt.words.as_ref());
        words.is_some_and(|words| {
            let channel = self.kept.channel();
            context.reader.find(address::inbound_key(channel, words.id.as_str())).is_some()
        })
    }

    /// Delivers kept words to the business. They stay kept until the session has recorded them, and
    /// a repetition changes nothing.
    fn deliver_kept(&mut self, turn: &mut ReceiptTurn<'_>, number: u32) {
        self.kept.mark_message(number);
        let Some(receipt) = self.kept.get(number).map(|kept| &kept.parked.receipt) else { return };
        let Some(words) = &receipt.words else { return };
        let address = address_of(receipt);
        let key = address::inbound_key(&receipt.channel, words.id.as_str());
        let ack = Ack::Kept { channel: self.ix, parked: number };
        let op = words_op(turn.entry, &address, words, Some(key), ack);
        turn.tasks.push(turn.context.stream_of(&address), op);
    }

    /// Tries a kept receipt on the parts in doubt of a session that it names: the one of this
    /// place, or after the last one the only part with its id.
    fn ask_named(&mut self, turn: &mut ReceiptTurn<'_>, number: u32, place: u8) {
        let Some(Kept { parked, named, .. }) = self.kept.get(number) else { return };
        // A receipt with a reference names its part, so it is for no part in doubt of this channel.
        if parked.ids.iter().any(|id| PartRef::from_reference(id).is_some()) {
            return;
        }
        let is_named = !self.correlation.is_scoped() || !named.scopes.is_empty();
        let Some((stream, is_certain)) = named.session(place).filter(|_| is_named) else {
            return self.try_alone(turn, number);
        };
        let keys = parked.ids.iter().flat_map(|id| self.correlation.keys(id, &named.scopes));
        let receipt = DoubtReceipt {
            channel: self.ix,
            parked: number,
            place,
            addresses: (!is_certain).then(|| [parked.receipt.customer.clone(), parked.receipt.did.clone()]),
            may_be_unanswered: self.correlation.is_scoped(),
            provider_id: parked.receipt.provider_id.clone(),
            state: parked.receipt.state,
            code: parked.receipt.code.clone(),
            came_at: parked.since,
            spellings: keys.take(KEYS_MAX).collect(),
        };
        turn.tasks.push(stream, Op::DoubtReceipt(Box::new(receipt)));
    }

    /// Tries a kept receipt on a further session, unless an answer has shown its part meanwhile.
    fn ask_next(&mut self, turn: &mut ReceiptTurn<'_>, number: u32, place: u8) {
        let Some(Kept { parked, named, is_disowned, .. }) = self.kept.get(number) else { return };
        let (ids, named, is_disowned) = (parked.ids.clone(), named.clone(), *is_disowned);
        match self.find_kept(turn.context, &ids, &named, false) {
            Some(found) if found.is_certain || !is_disowned => {
                self.forward_kept(number, found.part, turn.tasks);
            }
            _ => self.ask_named(turn, number, place),
        }
    }

    /// Sends a kept receipt whose addresses lead nowhere to the only part with its id, unless an
    /// answer may still show whose it is.
    fn try_alone(&mut self, turn: &mut ReceiptTurn<'_>, number: u32) {
        let Some(Kept { parked, named, .. }) = self.kept.get(number) else { return };
        if !self.correlation.is_scoped() || turn.outstanding.has_scope(&named.scopes) {
            return;
        }
        let UnmatchedReceipt { state, code, .. } = parked.receipt.clone();
        let ids = parked.ids.clone();
        if let Some(part) = self.find_alone(turn.context, &ids) {
            let from = ReceiptFrom::Kept { channel: self.ix, parked: number, addresses: None };
            turn.tasks.push(part.stream, receipt_op(part, state, code, from));
        }
    }

    /// Retries the kept receipts that are due, and gives up those kept too long.
    pub(crate) fn retry(&mut self, turn: &mut ReceiptTurn<'_>) {
        let now = turn.context.now();
        if self.kept.next_due().is_none_or(|due| due > now) {
            return;
        }
        for number in self.kept.due(now, RETRY_MAX) {
            let Some(Kept { parked, .. }) = self.kept.get(number) else { continue };
            if turn.context.moment().sure.since_ms(parked.since) > KEEP_MS && parked.receipt.words.is_none() {
                self.settle(turn.context, number, false, turn.metrics);
            } else {
                self.try_kept(turn, number);
            }
        }
    }

    /// Removes a kept receipt that found its part, was delivered as a message or is given up.
    fn settle(&mut self, context: &Context, number: u32, matched: bool, metrics: &mut Metrics) {
        if self.kept.settle(number).is_some() {
            metrics.count_receipts(u64::from(matched));
            self.own.append(context, Event::ReceiptSettled { number, matched }, None);
        }
    }

    /// Handles what sessions say of kept receipts. Each that is recorded leaves one part in doubt
    /// less, so others with the same addresses may fit now.
    pub(crate) fn on_tried(&mut self, turn: &mut ReceiptTurn<'_>, tried: Vec<TriedReceipt>) {
        for TriedReceipt { parked, found } in tried {
            match found {
                Tried::Recorded => {
                    let kept = self.kept.get(parked);
                    let sessions: Vec<StreamId> =
                        kept.map(|kept| kept.named.sessions().collect()).unwrap_or_default();
                    self.settle(turn.context, parked, true, turn.metrics);
                    for stream in sessions {
                        self.try_of_stream(turn, stream);
                    }
                }
                Tried::Delivered => {
                    turn.metrics.count_received();
                    self.settle(turn.context, parked, false, turn.metrics);
                }
                Tried::Disowned => {
                    self.kept.mark_disowned(parked);
                    let kept = self.kept.get(parked);
                    if kept.is_some_and(|kept| kept.parked.receipt.words.is_some()) {
                        self.deliver_kept(turn, parked);
                    } else {
                        self.ask_named(turn, parked, 0);
                    }
                }
                Tried::NoSession { place } => self.ask_next(turn, parked, place.saturating_add(1)),
                Tried::Undecided => {}
            }
        }
    }

    /// The number of receipts that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// When the oldest kept receipt came.
    pub(crate) fn oldest_kept(&self) -> Option<Timestamp> {
        self.kept.iter().next().map(|parked| parked.since)
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
        self.kept.iter().filter(|p| p.receipt.number > after).take(limit).map(view).collect()
    }
}

/// Whether ids may be tried in another number base.
fn may_guess(ids: &[Box<str>], is_words: bool) -> bool {
    !is_words || ids.iter().all(|id| id.len() >= WORDS_GUESS_LENGTH_MIN)
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

fn receipt_op(part: PartRef, state: PartState, code: Box<str>, from: ReceiptFrom) -> Op {
    Op::Receipt { number: part.number, part: part.part, state, code, from }
}
