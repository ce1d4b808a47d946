//! Whom a receipt of an SMSC names, and the message that it is if it names a customer without such
//! a part.

use std::sync::Arc;

use message::{
    Address, ChannelId, Content, StreamId, address,
    event::{CustomerWords, UnmatchedReceipt},
};

use crate::{
    context::{Context, entries::ChannelEntry},
    domain::{
        correlation::{self, Named},
        session::{Inbound, InboundBody},
    },
    protocol::{part::Ack, task::Op},
};

/// Returns whom a receipt names if its addresses are where they belong. An HTTP API's ids are
/// unique, so its addresses decide nothing.
pub(crate) fn named_in_place(context: &Context, entry: &ChannelEntry, address: &Address) -> Named {
    let mut named = Named::default();
    named.streams.push(context.stream_of(address));
    if entry.is_smpp() && !address.customer.is_empty() {
        named.scopes.push(correlation::scope(&address.customer));
    }
    named
}

/// Returns whom a receipt names if its addresses may be exchanged.
pub(crate) fn named_in(context: &Context, entry: &ChannelEntry, address: &Address) -> Named {
    let mut named = named_in_place(context, entry, address);
    if !entry.is_smpp() {
        return named;
    }
    let swapped = context.stream_of(&entry.address(&address.customer, &address.did));
    if !named.streams.contains(&swapped) {
        named.streams.push(swapped);
    }
    let scope = correlation::scope(&address.did);
    if !address.did.is_empty() && !named.scopes.contains(&scope) {
        named.scopes.push(scope);
    }
    named
}

/// Adds the sessions with customers whose addresses end as those that a receipt names: it may spell
/// one of them otherwise.
pub(crate) fn find_alike(context: &Context, entry: &ChannelEntry, named: &mut Named) {
    for scope in &named.scopes {
        let found = context.reader.find(address::scope_key(entry.stream, *scope));
        if let Some(stream) = found.map(|found| StreamId(found.a))
            && !named.streams.contains(&stream)
            && !named.alike.contains(&stream)
        {
            named.alike.push(stream);
        }
    }
}

/// Returns the address of the session to which a kept receipt would belong.
pub(crate) fn address_of(receipt: &UnmatchedReceipt) -> Address {
    let UnmatchedReceipt { channel, did, customer, .. } = receipt;
    Address { channel: ChannelId::clone(channel), did: did.clone(), customer: customer.clone() }
}

/// Records a customer's words in the form of a receipt as the message that they are.
pub(crate) fn words_op(
    entry: &ChannelEntry,
    address: &Address,
    words: &CustomerWords,
    key: Option<u128>,
    ack: Ack,
) -> Op {
    let mut identity = entry.identity(&address.did, address.customer.clone(), &words.customer_shown);
    identity.address = address.clone();
    let inbound = Inbound {
        id: words.id.clone(),
        provider_id: Arc::from(""),
        provider_time: None,
        attributes: Vec::new(),
        body: InboundBody::Whole(Content::clone(&words.content)),
        aliases: None,
        media: Vec::new(),
        reply_to: None,
        is_written: true,
        moved: None,
        reference: None,
    };
    Op::Receive { identity: Box::new(identity), inbound: Box::new(inbound), key, ack: Some(ack) }
}
