//! The whole state of a session as JSON, for operators and for the comparison of two instants.
//! Equal views mean equal states.

use std::sync::Arc;

use channels::text::join::Assembly;
use message::{
    ChannelId, Choice, Content, DestinationId, MessageId, MessageStatus, Timestamp,
    event::{Alphabet, Cause, CloseReason, Concatenation, Received, Split},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::session::{Delivery, DeliveryKind, Outbound, Part, Phase, Session};

/// The state of the sessions on one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionStateView {
    /// Id of the channel.
    channel: ChannelId,
    /// Our own address, in the channel's spelling and in the configuration's.
    own: Arc<str>,
    own_shown: Arc<str>,
    /// The customer's first address, which names the stream.
    customer: Arc<str>,
    customer_shown: Arc<str>,
    /// The address to which messages go, where it is another.
    reached: Option<Arc<str>>,
    /// Further names that lead to the session.
    aliases: Vec<Arc<str>>,
    /// Whether the newest session is open, and its number on the address.
    open: bool,
    session: u32,
    handler: Arc<str>,
    opened_at: Timestamp,
    last_activity: Timestamp,
    last_inbound: Option<Timestamp>,
    last_sent: Timestamp,
    /// When the oldest event happened from which the state follows.
    since: Timestamp,
    /// Numbers given so far.
    messages: u32,
    deliveries_created: u32,
    references: u16,
    orphaned_hour: u16,
    /// Messages that the provider has not answered completely, and those that await receipts.
    queue: Vec<MessageStateView>,
    sent: Vec<MessageStateView>,
    deliveries: Vec<DeliveryStateView>,
    dead_letters: Vec<DeadLetterStateView>,
    /// Inbound messages with missing parts, and finished ones that are remembered.
    joining: Vec<JoiningView>,
    joined: Vec<JoinedView>,
    /// The numbered list that the customer can answer.
    choices: Option<ChoicesView>,
}

/// An outbound message that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MessageStateView {
    number: u32,
    id: MessageId,
    status: MessageStatus,
    content: Vec<ContentView>,
    split: SplitView,
    priority: u8,
    accepted_at: Timestamp,
    answered_at: Option<Timestamp>,
    send_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    destination: Option<DestinationId>,
    conversation_id: Option<Box<str>>,
    channel_data: Option<Box<str>>,
    adapted: Vec<Box<str>>,
    notified: MessageStatus,
    cause: Option<CauseView>,
    reply_to: Option<Arc<str>>,
    parts: Vec<PartStateView>,
}

/// How a message is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SplitView {
    parts: u16,
    alphabet: String,
    concatenation: &'static str,
    reference: u16,
    class: Option<u8>,
    ports: Option<[u16; 2]>,
    ports_in_header: bool,
}

/// A content, or one of its parts. Octets are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct ContentView {
    #[serde(rename = "type")]
    body_type: &'static str,
    text: Box<str>,
}

/// A code and its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct CauseView {
    code: Box<str>,
    reason: Box<str>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PartStateView {
    number: usize,
    status: MessageStatus,
    /// Whether a failure was reported, beside what was reached.
    failed: bool,
    phase: &'static str,
    tries: u16,
    retry_at: Timestamp,
    resent: u16,
    doubts: u16,
    queried: bool,
    provider_id: Arc<str>,
    handed_at: Timestamp,
}

/// An item for a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryStateView {
    number: u32,
    at: Timestamp,
    session: u32,
    destination: Option<DestinationId>,
    #[serde(flatten)]
    kind: DeliveryKindView,
}

/// The content of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
enum DeliveryKindView {
    Message {
        id: MessageId,
        provider_id: Arc<str>,
        content: Vec<ContentView>,
        provider_time: Option<Timestamp>,
        /// Parts that arrived, and parts that it has.
        incomplete: Option<[u16; 2]>,
        attributes: Vec<(Box<str>, Box<str>)>,
        is_written: bool,
    },
    Notification {
        id: MessageId,
        status: MessageStatus,
        cause: Option<CauseView>,
        adapted: Vec<Box<str>>,
        conversation_id: Option<Box<str>>,
        channel_data: Option<Box<str>>,
    },
    EndChat {
        reason: &'static str,
    },
}

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct DeadLetterStateView {
    #[serde(flatten)]
    delivery: DeliveryStateView,
    cause: CauseView,
}

/// An inbound message with missing parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JoiningView {
    reference: u16,
    total: u8,
    first_at: Timestamp,
    settles_at: Option<Timestamp>,
    parts: Vec<JoiningPartView>,
}

/// A part that waits for the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct JoiningPartView {
    number: u8,
    alphabet: String,
    octets: Box<str>,
    repeats: bool,
}

/// An inbound message that was joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct JoinedView {
    reference: u16,
    total: u8,
    at: Timestamp,
    /// Number and fingerprint of each part.
    parts: Vec<(u8, u64)>,
}

/// A numbered list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct ChoicesView {
    answered: bool,
    choices: Vec<Choice>,
}

impl SessionStateView {
    /// Shows a state with at most `items` items of each list.
    pub fn of(session: &Session, items: usize) -> Self {
        let (joining, joined) = assembly(&session.assembly, items);
        let choices = session.choices.as_ref();
        let dead = session.dead_letters.iter().take(items);
        Self {
            channel: session.address.channel.clone(),
            own: session.address.did.clone(),
            own_shown: session.did_shown.clone(),
            customer: session.address.customer.clone(),
            customer_shown: session.customer_shown.clone(),
            reached: session.reached.clone(),
            aliases: session.aliases.clone(),
            open: session.open,
            session: session.counters.sessions,
            handler: session.handler.clone(),
            opened_at: session.opened_at,
            last_activity: session.last_activity,
            last_inbound: session.last_inbound,
            last_sent: session.last_sent,
            since: session.since,
            messages: session.counters.messages,
            deliveries_created: session.counters.deliveries,
            references: session.counters.references,
            orphaned_hour: session.counters.orphaned_hour,
            queue: session.queue.iter().take(items).map(|message| message_state(message)).collect(),
            sent: session.sent.values().take(items).map(|message| message_state(message)).collect(),
            deliveries: session.deliveries.iter().take(items).map(delivery_state).collect(),
            dead_letters: dead
                .map(|letter| DeadLetterStateView {
                    delivery: delivery_state(&letter.delivery),
                    cause: cause_view(&letter.cause),
                })
                .collect(),
            joining,
            joined,
            choices: choices
                .map(|pending| ChoicesView { answered: pending.answered, choices: pending.choices.clone() }),
        }
    }
}

fn assembly(assembly: &Assembly, items: usize) -> (Vec<JoiningView>, Vec<JoinedView>) {
    let known = assembly.to_snapshot();
    let joining = known.open.iter().take(items).map(|group| JoiningView {
        reference: group.reference,
        total: group.total,
        first_at: group.first_at,
        settles_at: group.settles_at,
        parts: group
            .parts
            .iter()
            .map(|part| JoiningPartView {
                number: part.number,
                alphabet: alphabet_word(part.alphabet),
                octets: hex(&part.octets),
                repeats: part.repeats,
            })
            .collect(),
    });
    let joined = known.done.iter().take(items).map(|done| JoinedView {
        reference: done.reference,
        total: done.total,
        at: done.at,
        parts: done.prints.to_vec(),
    });
    (joining.collect(), joined.collect())
}

fn message_state(message: &Outbound) -> MessageStateView {
    MessageStateView {
        number: message.number.0,
        id: message.id.clone(),
        status: message.status(),
        content: content_views(&message.content),
        split: split_view(message.split),
        priority: message.priority,
        accepted_at: message.accepted_at,
        answered_at: message.answered_at,
        send_at: message.send_at,
        expires_at: message.expires_at,
        destination: message.destination.clone(),
        conversation_id: message.conversation_id.clone(),
        channel_data: message.channel_data.clone(),
        adapted: message.adapted.to_vec(),
        notified: message.notified,
        cause: message.failure().map(|(failure, _)| cause_view(&failure.cause)),
        reply_to: message.reply_to.clone(),
        parts: message.parts.iter().zip(1..).map(|(part, number)| part_state(part, number)).collect(),
    }
}

fn split_view(split: Split) -> SplitView {
    let ports = split.handling.ports;
    SplitView {
        parts: split.parts,
        alphabet: alphabet_word(split.alphabet),
        concatenation: match split.concatenation {
            Concatenation::None => "none",
            Concatenation::Udh8 => "udh8",
            Concatenation::Udh16 => "udh16",
            Concatenation::Sar => "sar",
            Concatenation::Payload => "payload",
        },
        reference: split.reference,
        class: split.handling.class,
        ports: ports.map(|ports| [ports.destination, ports.source]),
        ports_in_header: ports.is_some_and(|ports| ports.in_header),
    }
}

fn alphabet_word(alphabet: Alphabet) -> String {
    match alphabet {
        Alphabet::Provider => "provider".into(),
        Alphabet::Gsm7 => "gsm7".into(),
        Alphabet::Ucs2 => "ucs2".into(),
        Alphabet::Latin1 => "latin1".into(),
        Alphabet::Binary => "binary".into(),
        Alphabet::Gsm7Single(language) => format!("gsm7 single shift {language}"),
        Alphabet::Gsm7Locking(language) => format!("gsm7 locking shift {language}"),
        Alphabet::Coded(coding) => format!("data_coding {coding}"),
    }
}

fn part_state(part: &Part, number: usize) -> PartStateView {
    let reached = message::PartState { failed: false, ..part.state };
    PartStateView {
        number,
        status: reached.as_message(),
        failed: part.state.failed,
        phase: match part.phase {
            Phase::Waiting => "waiting",
            Phase::Submitting => "submitting",
            Phase::Held => "held",
            Phase::Answered => "answered",
        },
        tries: part.tries,
        retry_at: part.retry_at,
        resent: part.resent,
        doubts: part.doubts,
        queried: part.queried,
        provider_id: part.provider_id.clone(),
        handed_at: part.handed_at,
    }
}

fn delivery_state(delivery: &Delivery) -> DeliveryStateView {
    DeliveryStateView {
        number: delivery.number,
        at: delivery.at,
        session: delivery.ordinal,
        destination: delivery.destination.clone(),
        kind: match &delivery.kind {
            DeliveryKind::Message(received) => received_view(received),
            DeliveryKind::Notification(told) => DeliveryKindView::Notification {
                id: told.id.clone(),
                status: told.status,
                cause: told.failure.as_ref().map(|(failure, _)| cause_view(&failure.cause)),
                adapted: told.adapted.to_vec(),
                conversation_id: told.conversation_id.clone(),
                channel_data: told.channel_data.clone(),
            },
            DeliveryKind::EndChat(reason) => DeliveryKindView::EndChat {
                reason: match reason {
                    CloseReason::Inactivity => "inactivity",
                    CloseReason::Business => "business",
                    CloseReason::Customer => "customer",
                    CloseReason::Reassigned => "reassigned",
                },
            },
        },
    }
}

fn received_view(received: &Received) -> DeliveryKindView {
    DeliveryKindView::Message {
        id: received.id.clone(),
        provider_id: received.provider_id.clone(),
        content: content_views(&received.content),
        provider_time: received.provider_time,
        incomplete: received.incomplete.map(|of| [of.arrived, of.total]),
        attributes: received.attributes.clone(),
        is_written: received.is_written,
    }
}

fn cause_view(cause: &Cause) -> CauseView {
    CauseView { code: cause.code.clone(), reason: cause.reason.clone() }
}

fn content_views(content: &Content) -> Vec<ContentView> {
    let one = |body_type, text| vec![ContentView { body_type, text }];
    match content {
        Content::Text(text) => one("PLAIN", text.clone()),
        Content::Rich { body_type, json } => one(body_type.as_wire(), json.clone()),
        Content::Binary(octets) => one("BINARY", hex(octets)),
        Content::Parts(parts) => parts.iter().flat_map(content_views).collect(),
    }
}

fn hex(octets: &[u8]) -> Box<str> {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use message::{Address, Event, event::OpenedBy, event::SessionOpened};

    use super::*;

    #[test]
    fn every_difference_of_two_states_is_a_difference_of_their_views() {
        let mut session = Session::blank();
        let opened = SessionOpened {
            address: Address { channel: "sms".into(), did: "5155".into(), customer: "491701".into() },
            ordinal: 1,
            reached: None,
            customer_shown: "+491701".into(),
            did_shown: "5155".into(),
            by: OpenedBy::Agent,
            handler: "ann".into(),
            counters: message::Counters::default(),
        };
        session.apply(&Event::SessionOpened(Box::new(opened)), Timestamp(1));
        let changes: [fn(&mut Session); 12] = [
            |s| s.reached = Some("491702".into()),
            |s| s.customer_shown = "49 17 01".into(),
            |s| s.open = false,
            |s| s.opened_at = Timestamp(2),
            |s| s.last_activity = Timestamp(9),
            |s| s.last_inbound = Some(Timestamp(9)),
            |s| s.handler = "bob".into(),
            |s| s.counters.orphaned_hour = 1,
            |s| s.last_sent = Timestamp(9),
            |s| s.since = Timestamp(9),
            |s| s.aliases.push("x".into()),
            |s| s.choices = Some(crate::domain::session::PendingChoices { choices: vec![], answered: false }),
        ];
        for change in changes {
            let mut other = session.clone();
            change(&mut other);
            assert_ne!(SessionStateView::of(&session, 9), SessionStateView::of(&other, 9), "{other:?}");
        }
    }
}
