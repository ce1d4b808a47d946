//! Decides which facts follow when the customer writes: repeated parts, parts in any order, parts
//! that never come, and answers to numbered lists. Changes nothing.

use std::sync::Arc;

use channels::MediaRef;
use message::{
    BodyType, Content, Event, MessageId, Timestamp,
    cim::{self, write},
    event::{CustomerKnown, CustomerMoved, OpenedBy, PartReceived, Received},
};

use super::{
    decide::{Events, Identity},
    policy::Policy,
    state::{PendingChoices, Session},
};

/// A message, or a part of one, from the customer.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The id under which the business will see the complete message.
    pub id: MessageId,
    /// The provider's id; empty for protocols without one.
    pub provider_id: Arc<str>,
    /// When it was written, if the provider says so.
    pub provider_time: Option<Timestamp>,
    /// Further facts from the provider, as key and value.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// The content.
    pub body: InboundBody,
    /// Names of the customer that do not lead to this session yet. `None`: customers of this
    /// channel have a single name.
    pub aliases: Option<Vec<Arc<str>>>,
    /// Its files, in the order of their names in the content.
    pub media: Vec<MediaRef>,
    /// The provider's id of the message it replies to.
    pub reply_to: Option<Arc<str>>,
    /// Whether the customer wrote it, or did what counts as writing.
    pub is_written: bool,
    /// The change of address of which it tells.
    pub moved: Option<Box<CustomerMoved>>,
    /// A number by which the provider tells it from the customer's other messages.
    pub reference: Option<u32>,
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
    /// Receives a message or a part of one. `id` draws further ids when one part finishes several
    /// messages.
    pub fn receive(
        &self,
        identity: &Identity,
        mut inbound: Inbound,
        mut id: impl FnMut() -> MessageId,
        now: Timestamp,
    ) -> Events {
        let moved = inbound.moved.take().or_else(|| self.found_again(identity, &inbound, now));
        let mut opened = self.ensure_open(identity, OpenedBy::Customer, "");
        if let (Some(moved), Some(Event::SessionOpened(opened))) = (&moved, &mut opened) {
            opened.reached = Some(moved.reached.clone()).filter(|name| *name != opened.address.customer);
            opened.customer_shown = moved.customer_shown.clone();
        }
        let mut events: Events = moved.map(Event::CustomerMoved).into_iter().chain(opened).collect();
        events.extend(self.rename_customer(identity, inbound.aliases.take().as_deref()));
        let mut delivery = self.counters.deliveries;
        let body = match std::mem::replace(&mut inbound.body, InboundBody::Whole(Content::Text("".into()))) {
            InboundBody::Whole(content) => {
                InboundBody::Whole(self.resolve_choice(content, &mut inbound.attributes))
            }
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
                is_written: inbound.is_written,
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
        if !added.changed {
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

    /// Returns the change of address of a customer whose address passed to another one, and who
    /// writes under another name now.
    fn found_again(
        &self,
        identity: &Identity,
        inbound: &Inbound,
        now: Timestamp,
    ) -> Option<Box<CustomerMoved>> {
        (inbound.is_written && self.customer().is_empty()).then(|| {
            Box::new(CustomerMoved {
                address: self.address.clone(),
                reached: identity.name().clone(),
                customer_shown: identity.customer_shown.clone(),
                names: vec![identity.name().clone()],
                released: Vec::new(),
                at: now,
                change: 0,
            })
        })
    }

    /// Records new names of the customer, or another spelling to write to.
    fn rename_customer(&self, identity: &Identity, aliases: Option<&[Arc<str>]>) -> Option<Event> {
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

    /// Turns an answer to a numbered list into the press of its button, and a press into its text
    /// with the payload. The customer's own words are kept as the attribute `originalText`.
    fn resolve_choice(&self, content: Content, attributes: &mut Vec<(Box<str>, Box<str>)>) -> Content {
        let Content::Text(text) = &content else { return content };
        if let Some((_, payload)) = attributes.iter().find(|(key, _)| **key == *PAYLOAD) {
            return press_content(text, payload);
        }
        let Some(PendingChoices { choices, .. }) = &self.choices else { return content };
        let Some(choice) = cim::choice(choices, text).and_then(|at| choices.get(at)) else { return content };
        attributes.push(("originalText".into(), text.clone()));
        press_content(&choice.title, &choice.payload)
    }

    /// Delivers inbound messages whose missing parts are no longer waited for, marked as
    /// incomplete.
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
            is_written: true,
        });
        received.flat_map(|r| [Event::Received(Box::new(r)), Event::PartsGivenUp]).collect()
    }
}

/// Name of the attribute that holds a pressed button's payload.
const PAYLOAD: &str = "payload";

/// Returns the content of a pressed button: its title, with the payload where that differs.
fn press_content(title: &str, payload: &str) -> Content {
    if title == payload || payload.is_empty() {
        return Content::Text(title.into());
    }
    let mut json = b"{\"type\":\"PLAIN\",\"markdownText\":".to_vec();
    write::string(&mut json, title);
    json.extend_from_slice(b",\"additionalDetails\":{\"payload\":");
    write::string(&mut json, payload);
    json.extend_from_slice(b"}}");
    // Two texts and ASCII are valid UTF-8.
    let json = String::from_utf8(json).unwrap_or_default();
    Content::Rich { body_type: BodyType::Plain, json: json.into() }
}
