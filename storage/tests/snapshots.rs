//! Golden files of the snapshot format: the bytes of every field and variant, written once. A test
//! fails when the bytes change, whatever the domain's own types look like. `UPDATE=1` writes a file
//! that is missing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends on the first surprise")]

use std::{borrow::Cow, fmt::Debug, fs, path::PathBuf, sync::Arc};

use message::{
    Address, ChannelId, Choice, Content, Counters, DestinationId, FailedBy, Failure, MessageId, MessageNo,
    MessageStatus, PartState, PartStatus, Seq, Timestamp,
    event::{
        Alphabet, Cause, CloseReason, Concatenation, CustomerWords, Incomplete, Received, SmsHandling, Split,
        UnmatchedReceipt,
    },
    snapshot::*,
};
use serde::{Serialize, de::DeserializeOwned};

fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(name: &str, snapshot: &T) {
    let bytes = storage::encode_snapshot(snapshot).unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() && !path.exists() {
        fs::write(&path, &bytes).unwrap();
    }
    let golden = fs::read(&path).unwrap();
    assert_eq!(
        bytes, golden,
        "{name}: the bytes have changed; a new shape is a new variant of the snapshot's enum, with a new file"
    );
    assert_eq!(storage::decode_snapshot::<T>(&golden).unwrap(), *snapshot);
}

fn part(phase: PhaseV1, provider_id: &str) -> PartV1 {
    PartV1 {
        state: PartState { reached: PartStatus::InDoubt, failed: true },
        phase,
        tries: 3,
        retry_at: Timestamp(1_700_000_000_001),
        resent: 1,
        doubts: 2,
        queried: true,
        provider_id: provider_id.into(),
        handed_at: Timestamp(1_700_000_000_002),
        failure: Some(Box::new(failure())),
    }
}

fn failure() -> Failure {
    let cause = Cause::new("0x00000058", "throttled");
    Failure { cause, by: FailedBy::Patchbay, at: Timestamp(1_700_000_000_008) }
}

fn outbound<'a>(number: u32, parts: impl IntoIterator<Item = PartV1>) -> OutboundV1<'a> {
    OutboundV1 {
        number: MessageNo(number),
        id: MessageId::new("m-1"),
        content: Cow::Owned(Content::Text("Grüße, 世界 👋".into())),
        split: Split {
            parts: 2,
            alphabet: Alphabet::Gsm7Locking(3),
            concatenation: Concatenation::Udh16,
            reference: 513,
            handling: SmsHandling { class: Some(0), ports: None },
        },
        priority: 5,
        accepted_at: Timestamp(1_700_000_000_003),
        answered_at: Some(Timestamp(1_700_000_000_004)),
        send_at: Some(Timestamp(1_700_000_000_005)),
        expires_at: Some(Timestamp(1_700_000_000_006)),
        destination: Some(DestinationId::new("support")),
        conversation_id: Some("c-1".into()),
        channel_data: Some("{\"a\":1}".into()),
        adapted: Cow::Owned(vec!["cut to 160 characters".into(), "formatting was removed".into()]),
        parts: parts.into_iter().collect(),
        notified: MessageStatus::Failed,
        reply_to: Some("wamid.7".into()),
    }
}

fn delivery<'a>(number: u32, kind: DeliveryKindV1<'a>) -> DeliveryV1<'a> {
    DeliveryV1 {
        number,
        at: Timestamp(1_700_000_000_007),
        ordinal: 2,
        destination: (number > 1).then(|| DestinationId::new("sales")),
        kind,
    }
}

fn received() -> Received {
    Received {
        delivery: 1,
        id: MessageId::new("in-1"),
        provider_id: "wamid.1".into(),
        content: Content::Binary(Box::from([0, 255, 7])),
        provider_time: Some(Timestamp(5)),
        incomplete: Some(Incomplete { arrived: 1, total: 3 }),
        attributes: vec![("profile".into(), "Ann".into())],
        is_written: true,
    }
}

fn notification<'a>() -> NotificationV1<'a> {
    NotificationV1 {
        id: MessageId::new("m-2"),
        status: MessageStatus::Delivered,
        failure: Some((Cow::Owned(failure()), 1)),
        adapted: Cow::Owned(vec!["the image was sent as a link".into()]),
        conversation_id: None,
        channel_data: Some("{}".into()),
    }
}

fn assembly<'a>() -> AssemblyV1<'a> {
    let parts = vec![HeldPartV1 {
        number: 2,
        alphabet: Alphabet::Ucs2,
        octets: Cow::Owned(vec![0, 65]),
        repeats: true,
    }];
    AssemblyV1 {
        open: vec![GroupV1 {
            reference: 77,
            total: 3,
            first_at: Timestamp(1_700_000_000_008),
            parts,
            settles_at: Some(Timestamp(1_700_000_005_008)),
        }],
        done: vec![FinishedV1 {
            reference: 76,
            total: 2,
            at: Timestamp(1_700_000_000_009),
            prints: Cow::Owned(vec![(1, 0xfeed_beef), (2, u64::MAX)]),
        }],
    }
}

fn session<'a>() -> SessionV1<'a> {
    let choice = Choice { label: "2a".into(), title: "Sales".into(), payload: "go-sales".into() };
    SessionV1 {
        address: Cow::Owned(Address {
            channel: ChannelId::new("sms-main"),
            did: "5155".into(),
            customer: "491701".into(),
        }),
        reached: Some("491702".into()),
        customer_shown: "+491701".into(),
        did_shown: "51 55".into(),
        open: true,
        opened_at: Timestamp(1_700_000_000_010),
        last_activity: Timestamp(1_700_000_000_011),
        last_inbound: Some(Timestamp(1_700_000_000_012)),
        handler: "ann".into(),
        last_sent: Timestamp(1_700_000_000_013),
        counters: Counters {
            sessions: 2,
            messages: 70_000,
            deliveries: 3,
            references: 65_535,
            orphaned_hour: 6,
        },
        queue: vec![outbound(300, [part(PhaseV1::Submitting, ""), part(PhaseV1::Waiting, "")])],
        sent: vec![outbound(299, [part(PhaseV1::Answered, "0A1b"), part(PhaseV1::Held, "")])],
        deliveries: vec![
            delivery(1, DeliveryKindV1::Message(Arc::new(received()))),
            delivery(2, DeliveryKindV1::Notification(notification())),
        ],
        dead_letters: vec![DeadLetterV1 {
            delivery: delivery(3, DeliveryKindV1::EndChat(CloseReason::Inactivity)),
            cause: Cow::Owned(Cause::new("http 404", "not found")),
        }],
        assembly: assembly(),
        choices: Some(ChoicesV1 { choices: Cow::Owned(vec![choice]), answered: true }),
        since: Timestamp(1_700_000_000_014),
        aliases: vec!["de.1234".into()],
        chains: ChainsV1 { opening: Seq(70), heads: vec![(MessageNo(300), Seq(1 << 40))] },
    }
}

#[test]
fn carried_pieces_keep_their_bytes() {
    let first = CarriedSessionV1 {
        session: session(),
        messages: vec![MessageNo(299), MessageNo(300)],
        deliveries: vec![1, 2],
        dead_letters: vec![3],
    };
    let parts = [part(PhaseV1::Submitting, ""), part(PhaseV1::Waiting, "")];
    let letter = DeadLetterV1 {
        delivery: delivery(3, DeliveryKindV1::EndChat(CloseReason::Inactivity)),
        cause: Cow::Owned(Cause::new("http 404", "not found")),
    };
    let pieces = vec![
        CarriedSnapshot::V1(CarriedV1::Session(Box::new(first))),
        CarriedSnapshot::V1(CarriedV1::Message(Box::new(outbound(300, parts)))),
        CarriedSnapshot::V1(CarriedV1::Delivery(Box::new(delivery(
            2,
            DeliveryKindV1::Notification(notification()),
        )))),
        CarriedSnapshot::V1(CarriedV1::DeadLetter(Box::new(letter))),
        CarriedSnapshot::V1(CarriedV1::End),
    ];
    check("carried-v1.bin", &pieces);
}

#[test]
fn a_session_snapshot_keeps_its_bytes() {
    check("session-v1.bin", &SessionSnapshot::V1(session()));
}

#[test]
fn a_channel_snapshot_keeps_its_bytes() {
    let receipt = UnmatchedReceipt {
        number: 4,
        channel: ChannelId::new("sms-main"),
        provider_id: "0A1b".into(),
        customer: "491701".into(),
        did: "5155".into(),
        state: PartState::reached(PartStatus::Read),
        code: "UNDELIV/001".into(),
        words: Some(Box::new(CustomerWords {
            id: MessageId::new("in-1"),
            customer_shown: "+491701".into(),
            content: Content::Text("id:0A1b stat:UNDELIV".into()),
        })),
    };
    let ids = vec!["0A1b".into(), "2587".into()];
    let since = Timestamp(1_700_000_000_000);
    let parked = vec![ParkedV1 { receipt: Cow::Owned(receipt), ids: Cow::Owned(ids), since, tries: 3 }];
    let paused_since = Some(Timestamp(1_700_000_000_001));
    check("channel-v1.bin", &ChannelSnapshot::V1(ChannelV1 { paused_since, parked }));
}

/// The snapshot's first byte is its version, so that a reader can tell a newer one.
#[test]
fn a_snapshot_of_an_unknown_version_is_refused() {
    let mut bytes = storage::encode_snapshot(&SessionSnapshot::V1(session())).unwrap();
    assert_eq!(bytes.first(), Some(&0), "V1 is variant 0");
    *bytes.first_mut().unwrap() = 1;
    assert!(storage::decode_snapshot::<SessionSnapshot<'_>>(&bytes).is_err());
    bytes.clear();
    assert!(storage::decode_snapshot::<SessionSnapshot<'_>>(&bytes).is_err());
}
