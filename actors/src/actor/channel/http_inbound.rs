//! Events of HTTP providers, from webhooks and polls: messages go to their sessions, receipts to
//! their parts. A broken item loses no other.

use std::sync::Arc;

use channels::{Attribute, InEvent, InMessage, InMove, InReceipt};
use message::{Address, BodyType, Content, Timestamp, address};

use crate::{
    actor::channel::{
        links::Links, metrics::Metrics, profiles::Profiles, receipts::Receipts, recent::Recent, view::Account,
    },
    config::ChannelIx,
    context::{Context, entries::ChannelEntry},
    domain::{
        correlation::{self, PartRef, Reported},
        media_address,
        moves::Move,
        names,
        session::{Identity, Inbound, InboundBody},
    },
    protocol::{
        completion::Completion,
        part::Ack,
        task::{Op, ReceiptFrom, StrayReceipt},
        tasks::Tasks,
    },
};

/// The customers that a channel knows.
#[derive(Default)]
pub(crate) struct Customers {
    recent: Recent,
    /// Profiles of customers whose messages do not carry a name.
    pub(crate) profiles: Profiles,
}

/// The parts of a channel that its inbound events need.
pub(crate) struct HttpInbound<'a> {
    pub(crate) context: &'a Context,
    pub(crate) ix: ChannelIx,
    pub(crate) entry: &'a ChannelEntry,
    pub(crate) customers: &'a mut Customers,
    pub(crate) links: &'a Links,
    pub(crate) receipts: &'a mut Receipts,
    pub(crate) account: &'a mut Account,
    pub(crate) metrics: &'a mut Metrics,
}

impl HttpInbound<'_> {
    /// Reads the events of one call, in order, and returns the tasks for their sessions. The call
    /// is complete once all of them are durable.
    pub(crate) fn read(mut self, events: Vec<InEvent>, completion: Completion) -> Tasks {
        let mut tasks = self.context.hosts.tasks();
        // A customer's last message: an opt-out that comes with it is repeated with it.
        let mut last: Option<(Arc<str>, Arc<str>)> = None;
        for event in events {
            match event {
                InEvent::Message(message) => {
                    last = Some((message.customer.clone(), message.id.clone()));
                    self.on_message(*message, completion.share(), &mut tasks);
                }
                InEvent::Receipt(receipt) => self.on_receipt(receipt, completion.share(), &mut tasks),
                InEvent::OptOut { did, customer, out, id } => {
                    let by = last.as_ref().filter(|(who, id)| *who == customer && !id.is_empty());
                    let id = by.map_or(&id, |(_, id)| id);
                    let id = if id.is_empty() { String::new() } else { format!("{id}#opt-out") };
                    self.on_message(opt_out(did, customer, &id, out), completion.share(), &mut tasks);
                }
                InEvent::Moved(change) => self.on_move(*change, &completion, &mut tasks),
                InEvent::Account { about, says } => {
                    self.account.update(self.entry, about, says, self.context.now());
                }
                InEvent::Broken(reason) => {
                    self.metrics.count_malformed(1);
                    let channel = self.entry.config.id.as_str();
                    tracing::warn!(channel, %reason, "item of a webhook cannot be read");
                }
            }
        }
        completion.complete();
        tasks
    }

    fn on_message(&mut self, mut message: InMessage, completion: Completion, tasks: &mut Tasks) {
        self.metrics.count_received();
        let (context, entry) = (self.context, self.entry);
        if message.is_placed_by_reply
            && let Some(quoted) = &message.reply_to
            && let Some(customer) = context.customer_of_message(&entry.config.id, quoted)
        {
            message.customer = customer;
        }
        let did = entry.did_or_first(&message.did);
        let all_names = std::iter::once(&message.customer).chain(&message.aliases);
        let names = names::names(entry.channel(), all_names);
        let canonical = entry.channel().did(&did);
        self.account.note_did(entry, &canonical, context.now());
        let resolved = self.customers.recent.resolve(context, entry, &canonical, &names, message.time);
        let mut identity = entry.identity(&did, resolved.address.customer.clone(), &message.customer);
        identity.reached = names.first().filter(|name| **name != resolved.address.customer).cloned();
        identity.address = resolved.address;
        if let Some(request) = entry.http().and_then(|http| http.follow_up(&message)) {
            self.links.fire_and_forget(request);
        }
        let profile = self.profile_of(&message);
        let mut inbound = self.inbound(message);
        inbound.attributes.extend(profile);
        inbound.aliases = resolved.new_names;
        self.receive(identity, inbound, completion, tasks);
    }

    fn inbound(&self, message: InMessage) -> Inbound {
        let files = media_address::attributes(&message.media);
        Inbound {
            id: self.context.seams.ids.message_id(),
            provider_id: message.id,
            provider_time: message.time,
            attributes: message.attributes.into_iter().chain(files).collect(),
            media: message.media,
            body: InboundBody::Whole(message.content),
            aliases: None,
            reply_to: message.reply_to,
            is_written: message.is_written,
            moved: None,
            reference: None,
        }
    }

    fn receive(&self, identity: Identity, inbound: Inbound, completion: Completion, tasks: &mut Tasks) {
        let id = &inbound.provider_id;
        let key = (!id.is_empty()).then(|| address::inbound_key(&self.entry.config.id, id));
        let stream = self.context.stream_of(&identity.address);
        let (identity, inbound) = (Box::new(identity), Box::new(inbound));
        tasks.push(stream, Op::Receive { identity, inbound, key, ack: Some(Ack::Caller(completion)) });
    }

    /// Handles a change of a customer's address: their session tells the business and writes to the
    /// new one from then on; a session that had the new address loses it.
    fn on_move(&mut self, moved: InMove, completion: &Completion, tasks: &mut Tasks) {
        self.metrics.count_received();
        let (context, entry) = (self.context, self.entry);
        let did = entry.did_or_first(&moved.notice.did);
        let canonical = entry.channel().did(&did);
        let names_of = |all: &[Arc<str>]| names::names(entry.channel(), all);
        let key = address::inbound_key(&entry.config.id, &moved.notice.id);
        let change = Move {
            previous: names_of(&moved.previous),
            names: names_of(&moved.names),
            released: names_of(&moved.released),
            shown: moved.notice.customer.clone(),
            at: moved.notice.time.unwrap_or_else(|| context.now()),
            // Any 64 bits of a hash tell it from others.
            change: key as u64,
        };
        let is_known = context.reader.find(key).is_some();
        let plan = self.customers.recent.plan_move(context, entry, &canonical, &change, is_known);
        if let Some(moved) = &plan.moved {
            self.customers.recent.note_move(entry, &canonical, moved);
        }
        for (address, same) in plan.displaced {
            let ack = Ack::Caller(completion.share());
            tasks
                .push(self.context.stream_of(&address), Op::LoseAddress { same, change: change.change, ack });
        }
        let mut identity = entry.identity(&did, plan.address.customer.clone(), &moved.notice.customer);
        identity.address = plan.address;
        identity.reached = change.names.first().cloned();
        let mut inbound = self.inbound(moved.notice);
        inbound.moved = plan.moved.map(Box::new);
        self.receive(identity, inbound, completion.share(), tasks);
    }

    /// Returns the attributes of a customer whose message carries no name. The provider is asked
    /// for an unknown customer, who is named from the next message on.
    fn profile_of(&self, message: &InMessage) -> Vec<Attribute> {
        if message.attributes.iter().any(|(key, _)| &**key == "customerName") {
            return Vec::new();
        }
        if let Some(known) = self.customers.profiles.of(&message.customer) {
            return known;
        }
        if let Some(request) = self.entry.http().and_then(|http| http.profile(&message.customer)) {
            self.links.ask_profile(message.customer.clone(), request);
        }
        Vec::new()
    }

    fn on_receipt(&mut self, receipt: Box<InReceipt>, completion: Completion, tasks: &mut Tasks) {
        let Some(state) = receipt.report.state() else { return completion.complete() };
        // Our own reference leads to the part without a look-up, if the part is this channel's.
        if let Some(part) = receipt.reference.as_deref().and_then(PartRef::from_reference) {
            let PartRef { stream, number, part } = part;
            let code = receipt.code.clone();
            let from =
                ReceiptFrom::Reference { channel: self.ix, stray: StrayReceipt { receipt, completion } };
            return tasks.push(stream, Op::Receipt { number, part, state, code, from });
        }
        let did = self.entry.did_or_first(&receipt.did);
        let address = self.address_of(&did, &receipt.customer);
        if let Some(upto) = receipt.watermark_ms {
            self.metrics.count_receipts(1);
            let upto = Timestamp(u64::try_from(upto).unwrap_or(0));
            let (code, ack) = (receipt.code.clone(), Ack::Caller(completion));
            return tasks.push(self.context.stream_of(&address), Op::Watermark { state, upto, code, ack });
        }
        let mut ids = vec![Box::from(&*receipt.id)];
        let token = self.entry.http().and_then(|http| http.message_token(&receipt.id));
        ids.extend(
            token.map(|token| correlation::in_conversation(self.context.stream_of(&address), &token).into()),
        );
        let reported = Reported { state, code: receipt.code.clone(), ids };
        self.match_or_keep(reported, address, completion, tasks);
    }

    /// Handles a receipt whose reference belongs to no part of this channel: another
    /// installation's, or one past retention. It may still match by the provider's id, or is kept.
    pub(crate) fn on_stray(&mut self, stray: StrayReceipt, tasks: &mut Tasks) {
        let StrayReceipt { receipt, completion } = stray;
        let Some(state) = receipt.report.state() else { return completion.complete() };
        let ids = receipt.reference.iter().chain(Some(&receipt.id)).filter(|id| !id.is_empty());
        let ids = ids.map(|id| Box::from(&**id)).collect();
        let reported = Reported { state, code: receipt.code.clone(), ids };
        let did = self.entry.did_or_first(&receipt.did);
        let address = self.entry.address(&did, &receipt.customer);
        self.match_or_keep(reported, address, completion, tasks);
    }

    fn match_or_keep(
        &mut self,
        reported: Reported,
        address: Address,
        completion: Completion,
        tasks: &mut Tasks,
    ) {
        let ack = Ack::Caller(completion);
        self.receipts.on_receipt(self.context, reported, &address, ack, self.metrics, tasks);
    }

    fn address_of(&self, did: &str, customer: &Arc<str>) -> Address {
        let names = names::names(self.entry.channel(), [customer]);
        let canonical = self.entry.channel().did(did);
        self.customers.recent.find(self.context, self.entry, &canonical, &names)
    }
}

/// Returns a message that tells the business of an opt-out, in the conversation itself: nothing
/// else that the business reads would.
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
        is_written: false,
        is_placed_by_reply: false,
    }
}
