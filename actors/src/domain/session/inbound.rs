//! Which facts follow when the customer writes: repeats, parts in any order, parts that never come.

use std::sync::Arc;

use channels::MediaRef;
use message::{
    BodyType, Content, Event, MessageId, Timestamp,
    cim::{self, write},
    event::{CustomerKnown, OpenedBy, PartReceived, Received},
};

use super::{
    Policy,
    decide::{Events, Identity},
    state::{Offer, Session},
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
    /// Names of the customer that do not lead to this session yet; `None` where customers have but one.
    pub aliases: Option<Vec<Arc<str>>>,
    /// The files of it, in the order of their names in the content.
    pub media: Vec<MediaRef>,
    /// The provider's id of the message it answers.
    pub reply_to: Option<Arc<str>>,
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
        mut inbound: Inbound,
        mut id: impl FnMut() -> MessageId,
        now: Timestamp,
    ) -> Events {
        let mut events: Events = self.ensure_open(identity, OpenedBy::Customer, "").into_iter().collect();
        events.extend(self.known(identity, inbound.aliases.take().as_deref()));
        let mut delivery = self.counters.deliveries;
        let body = match std::mem::replace(&mut inbound.body, InboundBody::Whole(Content::Text("".into()))) {
            InboundBody::Whole(content) => InboundBody::Whole(self.chosen(content, &mut inbound.attributes)),
            part => part,
        };
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
        let part = match body {
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

    /// What is new of the customer's names.
    fn known(&self, identity: &Identity, aliases: Option<&[Arc<str>]>) -> Option<Event> {
        let aliases = aliases?;
        let respelled = self.open && self.customer_shown != identity.customer_shown;
        (respelled || !aliases.is_empty()).then(|| {
            Event::CustomerKnown(Box::new(CustomerKnown {
                address: identity.address.clone(),
                customer_shown: identity.customer_shown.clone(),
                aliases: aliases.to_vec(),
            }))
        })
    }

    /// An answer to a numbered list as the press of its button, and a press with what it stands for; the words that
    /// came are kept beside it.
    fn chosen(&self, content: Content, attributes: &mut Vec<(Box<str>, Box<str>)>) -> Content {
        let Content::Text(text) = &content else { return content };
        if let Some((_, payload)) = attributes.iter().find(|(key, _)| **key == *PAYLOAD) {
            return pressed(text, payload);
        }
        let Some(Offer { choices, .. }) = &self.offer else { return content };
        let Some(choice) = cim::choice(choices, text).and_then(|at| choices.get(at)) else { return content };
        attributes.push(("originalText".into(), text.clone()));
        pressed(&choice.title, &choice.payload)
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

/// The attribute that holds what a pressed button stands for.
const PAYLOAD: &str = "payload";

/// The press of a button: its words, and what it stands for where that says more.
fn pressed(title: &str, payload: &str) -> Content {
    if title == payload || payload.is_empty() {
        return Content::Text(title.into());
    }
    let mut json = b"{\"type\":\"PLAIN\",\"markdownText\":".to_vec();
    write::string(&mut json, title);
    json.extend_from_slice(b",\"additionalDetails\":{\"payload\":");
    write::string(&mut json, payload);
    json.extend_from_slice(b"}}");
    // Two texts in valid JSON are text.
    let json = String::from_utf8(json).unwrap_or_default();
    Content::Rich { body_type: BodyType::Plain, json: json.into() }
}
