//! What HTTP providers bring, by webhook or when asked: messages go to their sessions, receipts to their parts. It
//! is acknowledged when all of it is safe, never before; one broken item loses no other.

use std::sync::Arc;

use channels::{Attribute, InEvent, InMessage, InReceipt, LinkKind, http::Request};
use message::{BodyType, Content, Timestamp, address};

use crate::domain::media_address;
use crate::{
    actor::channel::state::ChannelState,
    context::ChannelEntry,
    domain::{
        correlation::{PartRef, Reported},
        names,
        session::{Inbound, InboundBody},
    },
    protocol::{
        completion::Waits,
        host::{Op, ReceiptFrom, Task},
        link::LinkMessage,
        part::Ack,
    },
    view::FactView,
};

impl ChannelState {
    /// Takes what a webhook or a poll brought, in order. `waits` becomes safe once all of it is.
    pub(crate) fn take_events(&mut self, events: Vec<InEvent>, waits: Waits) {
        let mut tasks: Vec<Vec<Task>> = Vec::new();
        // What a customer wrote last: an opt-out that comes with a message is repeated with it.
        let mut said: Option<(Arc<str>, Arc<str>)> = None;
        for event in events {
            match event {
                InEvent::Message(message) => {
                    said = Some((message.customer.clone(), message.id.clone()));
                    self.take_message(*message, waits.share(), &mut tasks);
                }
                InEvent::Receipt(receipt) => self.take_receipt(&receipt, waits.share(), &mut tasks),
                InEvent::OptOut { did, customer, out, id } => {
                    let by = said.as_ref().filter(|(who, id)| *who == customer && !id.is_empty());
                    let id = by.map_or(&id, |(_, id)| id);
                    let id = if id.is_empty() { String::new() } else { format!("{id}#opt-out") };
                    self.take_message(opt_out(did, customer, &id, out), waits.share(), &mut tasks);
                }
                InEvent::Account { about, says } => self.account_says(about, says),
                InEvent::Broken(reason) => {
                    self.counts.malformed += 1;
                    self.metrics.malformed.increment(1);
                    let channel = self.entry().map_or("", |entry| entry.config.id.as_str());
                    tracing::warn!(channel, %reason, "an item of a webhook cannot be read");
                }
            }
        }
        self.tell_hosts(tasks);
        waits.safe();
    }

    /// A call beside messages: best effort.
    pub(super) fn beside(&self, request: Request) {
        if let Some(link) = self.links.first() {
            link.tell(LinkMessage::Extra(Box::new(request)));
        }
    }

    fn take_message(&mut self, message: InMessage, waits: Waits, tasks: &mut Vec<Vec<Task>>) {
        self.counts.received += 1;
        self.metrics.received.increment(1);
        let shared = self.shared.clone();
        let Some(entry) = shared.channels.get(self.ix) else { return };
        let did = entry.did_or_only(&message.did);
        let names = names::names(entry, std::iter::once(&message.customer).chain(&message.aliases));
        let canonical = entry.channel().did(&did);
        let (address, new) = self.recent.resolve(&shared, (&entry.config.id, &canonical), &names);
        let mut identity = shared.identity(entry, &did, address.customer.clone(), &message.customer);
        identity.address = address;
        let key = (!message.id.is_empty()).then(|| address::inbound_key(&entry.config.id, &message.id));
        if let LinkKind::Http(http) = entry.channel().link()
            && let Some(request) = http.follow_up(&message)
        {
            self.beside(request);
        }
        let known = self.who(entry, &message);
        let attributes =
            message.attributes.into_iter().chain(known).chain(media_address::attributes(&message.media));
        let inbound = Inbound {
            id: shared.seams.ids.message_id(),
            provider_id: message.id,
            provider_time: message.time,
            attributes: attributes.collect(),
            media: message.media,
            body: InboundBody::Whole(message.content),
            aliases: Some(new),
            reply_to: message.reply_to,
        };
        let stream = identity.address.stream();
        let (identity, inbound) = (Box::new(identity), Box::new(inbound));
        let op = Op::Receive { identity, inbound, key, ack: Some(Ack::Caller(waits)) };
        self.to_host(stream, op, tasks);
    }

    /// What is known of a customer whose message does not say it; who is not known is asked for, and named from the next
    /// message on.
    fn who(&mut self, entry: &ChannelEntry, message: &InMessage) -> Vec<Attribute> {
        if message.attributes.iter().any(|(key, _)| &**key == "customerName") {
            return Vec::new();
        }
        if let Some(known) = self.profiles.of(&message.customer) {
            return known;
        }
        if let (LinkKind::Http(http), Some(link)) = (entry.channel().link(), self.links.first())
            && let Some(request) = http.profile(&message.customer)
        {
            link.tell(LinkMessage::Profile(message.customer.clone(), Box::new(request)));
        }
        Vec::new()
    }

    fn take_receipt(&mut self, receipt: &InReceipt, waits: Waits, tasks: &mut Vec<Vec<Task>>) {
        let Some(state) = receipt.report.state() else { return waits.safe() };
        // Our own reference leads straight to the part, if it is one of this channel's.
        if let Some(part) = receipt.reference.as_deref().and_then(PartRef::from_reference) {
            let PartRef { stream, number, part } = part;
            let from = ReceiptFrom::Named { channel: self.ix, receipt: Box::new(receipt.clone()), waits };
            let op = Op::Receipt { number, part, state, code: receipt.code.clone(), from };
            return self.to_host(stream, op, tasks);
        }
        let shared = self.shared.clone();
        let Some(entry) = shared.channels.get(self.ix) else { return };
        let did = entry.did_or_only(&receipt.did);
        let names = names::names(entry, [&receipt.customer]);
        let address = self.recent.find(&shared, (&entry.config.id, &entry.channel().did(&did)), &names);
        if let Some(upto) = receipt.watermark_ms {
            self.counts.receipts += 1;
            self.metrics.receipts.increment(1);
            let upto = Timestamp(u64::try_from(upto).unwrap_or(0));
            let (code, ack) = (receipt.code.clone(), Ack::Caller(waits));
            return self.to_host(address.stream(), Op::Watermark { state, upto, code, ack }, tasks);
        }
        let reported = Reported { state, code: receipt.code.clone(), ids: vec![Box::from(&*receipt.id)] };
        self.receipt(reported, (&did, &address.customer), Ack::Caller(waits), tasks);
    }
}

impl ChannelState {
    /// A receipt whose reference leads to no part of this channel (another installation's, or one long forgotten): it
    /// may still be known by the provider's id, and is kept like every other one that nobody knows.
    pub(super) fn astray(&mut self, receipt: &InReceipt, waits: Waits) {
        let Some(state) = receipt.report.state() else { return waits.safe() };
        let shared = self.shared.clone();
        let Some(entry) = shared.channels.get(self.ix) else { return };
        let (did, code) = (entry.did_or_only(&receipt.did), receipt.code.clone());
        let ids = receipt.reference.iter().chain(Some(&receipt.id)).filter(|id| !id.is_empty());
        let reported = Reported { state, code, ids: ids.map(|id| Box::from(&**id)).collect() };
        let mut tasks = Vec::new();
        self.receipt(reported, (&did, &receipt.customer), Ack::Caller(waits), &mut tasks);
        self.tell_hosts(tasks);
    }

    /// Something about our own account, shown until it is said anew.
    pub(super) fn account_says(&mut self, about: Box<str>, says: Box<str>) {
        let channel = self.entry().map_or("", |entry| entry.config.id.as_str());
        let is_news = self.account.get(&about).is_none_or(|known| known.says != says);
        if is_news && (self.account.len() < ACCOUNT_FACTS_MAX || self.account.contains_key(&about)) {
            tracing::info!(channel, %about, %says, "the provider says of the account");
            let fact = FactView { about: about.clone(), says, since: self.shared.now() };
            self.account.insert(about, fact);
        }
    }
}

/// The most facts about an account that are kept.
const ACCOUNT_FACTS_MAX: usize = 32;

/// The business is told in the conversation itself: nothing else it reads would say so.
fn opt_out(did: Arc<str>, customer: Arc<str>, id: &str, out: bool) -> InMessage {
    let json = format!(
        r#"{{"type":"NOTIFICATION","markdownText":null,"notificationType":"INFO","notificationData":{{"optOut":{out}}}}}"#
    );
    InMessage {
        did,
        customer,
        aliases: Default::default(),
        id: id.into(),
        content: Content::Rich { body_type: BodyType::Notification, json: json.into() },
        media: Vec::new(),
        time: None,
        reply_to: None,
        attributes: vec![("optOut".into(), if out { "true" } else { "false" }.into())],
    }
}
