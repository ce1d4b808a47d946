//! Which facts follow when the customer writes: repeats, parts in any order, parts that never come.

use std::sync::Arc;

use message::{
    Content, Event, MessageId, Timestamp,
    event::{OpenedBy, PartReceived, Received},
};

use super::{
    Policy,
    decide::{Events, Identity},
    state::Session,
};

/// What came from the customer.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The id the business will see it under (used when the message is complete).
    pub id: MessageId,
    /// The provider's id; empty where there is none.
    pub provider_id: Arc<str>,
    /// When the provider says it was written.
    pub provider_time: Option<Timestamp>,
    /// Further facts.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// The whole, or a part of it.
    pub body: InboundBody,
}

/// A whole message or a part of one.
#[derive(Clone, Debug)]
pub enum InboundBody {
    /// A whole message.
    Whole(Content),
    /// A part of a longer text.
    Part(PartReceived),
}

impl Session {
    /// The customer wrote, or a part of it came. `id` draws further ids, should one part finish several messages.
    pub fn receive(
        &self,
        identity: &Identity,
        inbound: Inbound,
        mut id: impl FnMut() -> MessageId,
        now: Timestamp,
    ) -> Events {
        let mut events: Events = self.ensure_open(identity, OpenedBy::Customer, "").into_iter().collect();
        let mut delivery = self.counters.deliveries;
        let mut received = |id, content, incomplete| {
            delivery = delivery.saturating_add(1);
            Event::Received(Box::new(Received {
                delivery,
                id,
                provider_id: inbound.provider_id.clone(),
                content,
                provider_time: inbound.provider_time,
                incomplete,
                attributes: inbound.attributes.clone(),
            }))
        };
        let part = match inbound.body {
            InboundBody::Whole(content) => {
                events.push(received(inbound.id.clone(), content, None));
                return events;
            }
            InboundBody::Part(part) => part,
        };
        let added = self.assembly.clone().add(part.clone(), now);
        if added.repeated {
            return events;
        }
        events.push(Event::PartReceived(Box::new(part)));
        for (n, joined) in added.joined.into_iter().enumerate() {
            let incomplete = joined.incomplete();
            let id = if n == 0 { inbound.id.clone() } else { id() };
            events.push(received(id, joined.content, incomplete));
        }
        events
    }

    /// Incomplete messages whose time is over: delivered as they are, marked.
    pub fn give_up_parts(
        &self,
        policy: &Policy,
        mut id: impl FnMut() -> MessageId,
        now: Timestamp,
    ) -> Events {
        if self.assembly.next_due(policy.reassembly_timeout_ms).is_none_or(|due| due > now) {
            return Events::new();
        }
        let overdue = self.assembly.clone().overdue(now, policy.reassembly_timeout_ms);
        let received = overdue.into_iter().zip(1..).map(|(joined, n)| Received {
            delivery: self.counters.deliveries.saturating_add(n),
            id: id(),
            provider_id: Arc::from(""),
            incomplete: joined.incomplete(),
            content: joined.content,
            provider_time: None,
            attributes: Vec::new(),
        });
        received.flat_map(|r| [Event::Received(Box::new(r)), Event::PartsGivenUp]).collect()
    }
}
