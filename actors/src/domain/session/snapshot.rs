//! Converts a session to its snapshot format and back. The only file of the domain that knows the
//! format; it must not decide anything.

use std::{borrow::Cow, collections::VecDeque};

use channels::text::join::Assembly;
use message::snapshot::{
    ChainsV1, ChoicesV1, DeadLetterV1, DeliveryKindV1, DeliveryV1, NotificationV1, OutboundV1, PartV1,
    PhaseV1, SessionSnapshot, SessionV1,
};

use super::state::{
    DeadLetter, Delivery, DeliveryKind, Notification, Outbound, Part, PendingChoices, Phase, Session,
};

impl<'a> From<&'a Session> for SessionSnapshot<'a> {
    fn from(session: &'a Session) -> Self {
        Self::V1(SessionV1 {
            address: Cow::Borrowed(&session.address),
            reached: session.reached.clone(),
            customer_shown: session.customer_shown.clone(),
            did_shown: session.did_shown.clone(),
            open: session.open,
            opened_at: session.opened_at,
            last_activity: session.last_activity,
            last_inbound: session.last_inbound,
            handler: session.handler.clone(),
            last_sent: session.last_sent,
            counters: session.counters,
            queue: session.queue.iter().map(|message| OutboundV1::from(&**message)).collect(),
            sent: session.sent.values().map(|message| OutboundV1::from(&**message)).collect(),
            deliveries: session.deliveries.iter().map(DeliveryV1::from).collect(),
            dead_letters: session.dead_letters.iter().map(DeadLetterV1::from).collect(),
            assembly: session.assembly.to_snapshot(),
            choices: session.choices.as_ref().map(ChoicesV1::from),
            since: session.since,
            aliases: session.aliases.clone(),
            chains: ChainsV1::default(),
        })
    }
}

impl From<SessionSnapshot<'_>> for Session {
    fn from(snapshot: SessionSnapshot<'_>) -> Self {
        let SessionSnapshot::V1(v1) = snapshot;
        let boxed = |message| Box::new(Outbound::from(message));
        Self {
            address: v1.address.into_owned(),
            reached: v1.reached,
            customer_shown: v1.customer_shown,
            did_shown: v1.did_shown,
            open: v1.open,
            opened_at: v1.opened_at,
            last_activity: v1.last_activity,
            last_inbound: v1.last_inbound,
            handler: v1.handler,
            counters: v1.counters,
            queue: v1.queue.into_iter().map(boxed).collect(),
            sent: v1.sent.into_iter().map(|message| (message.number, boxed(message))).collect(),
            deliveries: v1.deliveries.into_iter().map(Delivery::from).collect::<VecDeque<_>>(),
            dead_letters: v1.dead_letters.into_iter().map(DeadLetter::from).collect(),
            assembly: Assembly::from_snapshot(v1.assembly),
            last_sent: v1.last_sent,
            choices: v1.choices.map(PendingChoices::from),
            since: v1.since,
            aliases: v1.aliases,
        }
    }
}

impl<'a> From<&'a Outbound> for OutboundV1<'a> {
    fn from(message: &'a Outbound) -> Self {
        Self {
            number: message.number,
            id: message.id.clone(),
            content: Cow::Borrowed(&message.content),
            split: message.split,
            priority: message.priority,
            accepted_at: message.accepted_at,
            answered_at: message.answered_at,
            send_at: message.send_at,
            expires_at: message.expires_at,
            destination: message.destination.clone(),
            conversation_id: message.conversation_id.as_deref().map(Cow::Borrowed),
            channel_data: message.channel_data.as_deref().map(Cow::Borrowed),
            adapted: Cow::Borrowed(&message.adapted),
            parts: message.parts.iter().map(PartV1::from).collect(),
            notified: message.notified,
            reply_to: message.reply_to.clone(),
        }
    }
}

impl From<OutboundV1<'_>> for Outbound {
    fn from(v1: OutboundV1<'_>) -> Self {
        Self {
            number: v1.number,
            id: v1.id,
            content: v1.content.into_owned(),
            split: v1.split,
            priority: v1.priority,
            accepted_at: v1.accepted_at,
            answered_at: v1.answered_at,
            send_at: v1.send_at,
            expires_at: v1.expires_at,
            destination: v1.destination,
            conversation_id: v1.conversation_id.map(boxed_str),
            channel_data: v1.channel_data.map(boxed_str),
            adapted: v1.adapted.into_owned().into(),
            parts: v1.parts.into_iter().map(Part::from).collect(),
            notified: v1.notified,
            reply_to: v1.reply_to,
        }
    }
}

impl From<&Part> for PartV1 {
    fn from(part: &Part) -> Self {
        Self {
            state: part.state,
            phase: match part.phase {
                Phase::Waiting => PhaseV1::Waiting,
                Phase::Submitting => PhaseV1::Submitting,
                Phase::Held => PhaseV1::Held,
                Phase::Answered => PhaseV1::Answered,
            },
            tries: part.tries,
            retry_at: part.retry_at,
            resent: part.resent,
            doubts: part.doubts,
            queried: part.queried,
            provider_id: part.provider_id.clone(),
            handed_at: part.handed_at,
            failure: part.failure.clone(),
        }
    }
}

impl From<PartV1> for Part {
    fn from(v1: PartV1) -> Self {
        Self {
            state: v1.state,
            phase: match v1.phase {
                PhaseV1::Waiting => Phase::Waiting,
                PhaseV1::Submitting => Phase::Submitting,
                PhaseV1::Held => Phase::Held,
                PhaseV1::Answered => Phase::Answered,
            },
            tries: v1.tries,
            retry_at: v1.retry_at,
            resent: v1.resent,
            doubts: v1.doubts,
            queried: v1.queried,
            provider_id: v1.provider_id,
            handed_at: v1.handed_at,
            failure: v1.failure,
        }
    }
}

impl<'a> From<&'a Delivery> for DeliveryV1<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        Self {
            number: delivery.number,
            at: delivery.at,
            ordinal: delivery.ordinal,
            destination: delivery.destination.clone(),
            kind: match &delivery.kind {
                DeliveryKind::Message(received) => DeliveryKindV1::Message(received.clone()),
                DeliveryKind::Notification(notification) => {
                    DeliveryKindV1::Notification(NotificationV1::from(&**notification))
                }
                DeliveryKind::EndChat(reason) => DeliveryKindV1::EndChat(*reason),
            },
        }
    }
}

impl From<DeliveryV1<'_>> for Delivery {
    fn from(v1: DeliveryV1<'_>) -> Self {
        Self {
            number: v1.number,
            at: v1.at,
            ordinal: v1.ordinal,
            destination: v1.destination,
            kind: match v1.kind {
                DeliveryKindV1::Message(received) => DeliveryKind::Message(received),
                DeliveryKindV1::Notification(notification) => {
                    DeliveryKind::Notification(Box::new(Notification::from(notification)))
                }
                DeliveryKindV1::EndChat(reason) => DeliveryKind::EndChat(reason),
            },
        }
    }
}

impl<'a> From<&'a Notification> for NotificationV1<'a> {
    fn from(notification: &'a Notification) -> Self {
        Self {
            id: notification.id.clone(),
            status: notification.status,
            failure: notification.failure.as_ref().map(|(failure, part)| (Cow::Borrowed(failure), *part)),
            adapted: Cow::Borrowed(&notification.adapted),
            conversation_id: notification.conversation_id.as_deref().map(Cow::Borrowed),
            channel_data: notification.channel_data.as_deref().map(Cow::Borrowed),
        }
    }
}

impl From<NotificationV1<'_>> for Notification {
    fn from(v1: NotificationV1<'_>) -> Self {
        Self {
            id: v1.id,
            status: v1.status,
            failure: v1.failure.map(|(failure, part)| (failure.into_owned(), part)),
            adapted: v1.adapted.into_owned().into(),
            conversation_id: v1.conversation_id.map(boxed_str),
            channel_data: v1.channel_data.map(boxed_str),
        }
    }
}

impl<'a> From<&'a DeadLetter> for DeadLetterV1<'a> {
    fn from(letter: &'a DeadLetter) -> Self {
        Self { delivery: DeliveryV1::from(&letter.delivery), cause: Cow::Borrowed(&letter.cause) }
    }
}

impl From<DeadLetterV1<'_>> for DeadLetter {
    fn from(v1: DeadLetterV1<'_>) -> Self {
        Self { delivery: Delivery::from(v1.delivery), cause: v1.cause.into_owned() }
    }
}

impl<'a> From<&'a PendingChoices> for ChoicesV1<'a> {
    fn from(pending: &'a PendingChoices) -> Self {
        Self { choices: Cow::Borrowed(&pending.choices), answered: pending.answered }
    }
}

impl From<ChoicesV1<'_>> for PendingChoices {
    fn from(v1: ChoicesV1<'_>) -> Self {
        Self { choices: v1.choices.into_owned(), answered: v1.answered }
    }
}

fn boxed_str(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}

#[cfg(test)]
mod tests {
    use message::{
        Address, Choice, Content, Counters, Event, MessageId, MessageNo, MessageStatus, PartState,
        PartStatus, Timestamp, event::*,
    };
    use proptest::prelude::*;

    use super::*;

    fn address() -> Address {
        Address { channel: "sms".into(), did: "5155".into(), customer: "491701".into() }
    }

    fn state() -> impl Strategy<Value = PartState> {
        prop_oneof![
            Just(PartState::failure()),
            Just(PartState::reached(PartStatus::Sent)),
            Just(PartState::reached(PartStatus::Delivered)),
            Just(PartState::reached(PartStatus::Read)),
        ]
    }

    fn cause() -> impl Strategy<Value = Cause> {
        ("[a-z0-9]{0,6}", "\\PC{0,12}").prop_map(|(code, reason)| Cause::new(code, reason))
    }

    fn text() -> impl Strategy<Value = Option<Box<str>>> {
        prop::option::of("\\PC{0,12}".prop_map(Box::from))
    }

    fn opened() -> impl Strategy<Value = Event> {
        (1u32..4, any::<u32>()).prop_map(|(ordinal, messages)| {
            Event::SessionOpened(Box::new(SessionOpened {
                address: address(),
                ordinal,
                reached: (ordinal > 2).then(|| "491702".into()),
                customer_shown: "+491701".into(),
                did_shown: "51 55".into(),
                by: OpenedBy::Customer,
                handler: "ann".into(),
                counters: Counters { messages, ..Counters::default() },
            }))
        })
    }

    fn accepted() -> impl Strategy<Value = Event> {
        let options = (any::<u8>(), prop::option::of(any::<u64>()), prop::option::of("[a-z]{1,8}"));
        (1u32..5, 1u16..4, options, text(), text(), prop::collection::vec("\\PC{0,9}", 0..3)).prop_map(
            |(number, parts, (priority, at, destination), conversation_id, channel_data, adapted)| {
                Event::Accepted(Box::new(Accepted {
                    number: MessageNo(number),
                    id: MessageId::new(format!("m-{number}")),
                    content: Content::Text("hello".into()),
                    split: Split { parts, ..Split::WHOLE },
                    priority,
                    send_at: at.map(Timestamp),
                    expires_at: at.map(|at| Timestamp(at).plus_ms(1)),
                    destination: destination.map(|id| id.as_str().into()),
                    conversation_id,
                    channel_data,
                    adapted: adapted.into_iter().map(Box::from).collect(),
                }))
            },
        )
    }

    fn about_parts() -> impl Strategy<Value = Event> {
        let message = (1u32..5).prop_map(MessageNo);
        (message, 0u16..3, state(), cause(), 0u8..9, any::<bool>()).prop_map(
            |(message, part, state, cause, kind, flag)| match kind {
                0 => Event::Submitting { message, parts: (0..=part).collect() },
                1 => Event::Submitted { message, part, provider_id: "0A1b".into() },
                2 => Event::Deferred { message, part, cause, retry_at: Timestamp(77), counted: flag },
                3 => Event::PartFailed { message, parts: FailedParts::One(part), cause },
                4 => {
                    let resend_at = flag.then_some(Timestamp(9));
                    Event::InDoubt { message, part, cause: DoubtCause::LinkLost, resend_at }
                }
                5 => Event::Receipt { message, part, state, code: "DELIVRD/000".into() },
                6 => Event::Queried { message, part },
                7 => Event::InReplyTo { message, provider_id: "wamid.7".into() },
                _ => Event::Settled { message },
            },
        )
    }

    fn inbound() -> impl Strategy<Value = Event> {
        let part = (1u8..4, 0u16..3, prop::collection::vec(any::<u8>(), 0..9)).prop_map(
            |(number, reference, octets)| {
                let alphabet = Alphabet::Binary;
                let octets = octets.into();
                Event::PartReceived(Box::new(PartReceived { reference, total: 3, number, octets, alphabet }))
            },
        );
        let whole = (any::<u32>(), "\\PC{0,9}").prop_map(|(delivery, text)| {
            Event::Received(Box::new(Received {
                delivery,
                id: MessageId::new("in-1"),
                provider_id: "wamid.1".into(),
                content: Content::Text(text.into()),
                provider_time: Some(Timestamp(5)),
                incomplete: Some(Incomplete { arrived: 1, total: 3 }),
                attributes: vec![("customerName".into(), "Ann".into())],
                is_written: delivery % 2 == 0,
            }))
        });
        let moved = (1u64..4, any::<bool>()).prop_map(|(change, lost)| {
            Event::CustomerMoved(Box::new(CustomerMoved {
                address: address(),
                reached: if lost { "".into() } else { "491703".into() },
                customer_shown: "+491703".into(),
                names: vec!["491703".into()],
                released: vec![("491701".into(), Timestamp(change))],
                at: Timestamp(change),
                change,
            }))
        });
        prop_oneof![part, whole, moved, Just(Event::PartsGivenUp)]
    }

    fn deliveries() -> impl Strategy<Value = Event> {
        let choices = vec![Choice { label: "1".into(), title: "Sales".into(), payload: "s".into() }];
        let late = LateReceipt {
            message: MessageNo(9),
            part: 0,
            state: PartState::failure(),
            code: "UNDELIV/001".into(),
            notify: Some(LateNotification {
                status: MessageStatus::Failed,
                id: MessageId::new("m-9"),
                destination: Some("sales".into()),
                conversation_id: Some("c-1".into()),
                channel_data: None,
            }),
        };
        prop_oneof![
            (1u32..6).prop_map(|delivery| Event::Taken { delivery }),
            (1u32..6, cause()).prop_map(|(delivery, cause)| Event::DeadLettered { delivery, cause }),
            (1u32..6).prop_map(|delivery| Event::DeadLetterReplayed { delivery }),
            Just(Event::LateReceipt(Box::new(late))),
            Just(Event::Offered(Box::new(Offered { message: MessageNo(1), choices }))),
            Just(Event::SessionClosed { reason: CloseReason::Inactivity }),
        ]
    }

    fn stored(session: &Session) -> Session {
        let bytes = storage::encode_snapshot(&SessionSnapshot::from(session)).unwrap();
        let snapshot: SessionSnapshot<'_> = storage::decode_snapshot(&bytes).unwrap();
        Session::from(snapshot)
    }

    proptest! {
        /// Events in any order, whether they fit or not: a session is read from its snapshot as it
        /// was written, at every point.
        #[test]
        fn a_session_is_read_as_it_was_written(
            events in prop::collection::vec(
                prop_oneof![opened(), accepted(), about_parts(), about_parts(), inbound(), deliveries()],
                1..60,
            ),
        ) {
            // Events that do not fit break invariants.
            storage::invariants::go_on_here(0);
            let mut session = Session::blank();
            for (event, at) in events.iter().zip(1_700_000_000_000..) {
                session.apply(event, Timestamp(at));
                prop_assert_eq!(&stored(&session), &session);
            }
        }
    }
}
