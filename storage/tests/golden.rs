//! Files of every format version that must stay readable. `UPDATE=1` writes the missing ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on the first surprise"
)]

mod support;

use std::{fs, path::PathBuf};

use message::{
    Address, BodyType, ChannelId, Choice, Content, Counters, DestinationId, Event, MessageId, MessageNo,
    MessageStatus, PartState, PartStatus, Seq, StreamId, Timestamp, event::*,
};
use storage::{
    DiskEngine, Engine, EngineKind, Entry, Found, Item, Key, KeyValueStore, Log, MemoryDisk, Options, Prev,
    Tag, Write, verify,
};
use support::{drive, inline};

fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = golden_folder().join(name);
    if std::env::var_os("UPDATE").is_some() && !path.exists() {
        fs::write(&path, written).unwrap();
    }
    let golden = fs::read(&path).unwrap();
    assert_eq!(
        written, golden,
        "{name} is not written as it was; a new format needs a new version and a new file"
    );
    golden
}

/// Fails to compile when an event is added, as a reminder to add it to [`events`] in a new golden
/// file.
fn variant(event: &Event) -> usize {
    match event {
        Event::SessionOpened(_) => 0,
        Event::SessionClosed { .. } => 1,
        Event::SessionTaken { .. } => 2,
        Event::Accepted(_) => 3,
        Event::Submitting { .. } => 4,
        Event::Submitted { .. } => 5,
        Event::Deferred { .. } => 6,
        Event::PartFailed { .. } => 7,
        Event::InDoubt { .. } => 8,
        Event::DoubtSettled { .. } => 9,
        Event::Receipt { .. } => 10,
        Event::Expired { .. } => 11,
        Event::Cancelled { .. } => 12,
        Event::Received(_) => 13,
        Event::PartReceived(_) => 14,
        Event::Taken { .. } => 15,
        Event::DeadLettered { .. } => 16,
        Event::DeadLetterReplayed { .. } => 17,
        Event::ChannelStopped { .. } => 18,
        Event::ChannelStarted => 19,
        Event::ReceiptUnmatched(_) => 20,
        Event::ReceiptSettled { .. } => 21,
        Event::Settled { .. } => 22,
        Event::Queried { .. } => 23,
        Event::Revived(_) => 24,
        Event::LateReceipt(_) => 25,
        Event::PartsGivenUp => 26,
        Event::CustomerKnown(_) => 27,
        Event::InReplyTo { .. } => 28,
        Event::Offered(_) => 29,
        Event::CustomerMoved(_) => 30,
        Event::Carried { .. } => 31,
        Event::SegmentsRemoved { .. } => 32,
        Event::ChannelPaused => 33,
        Event::ChannelResumed => 34,
    }
}

const VARIANTS: usize = 35;

fn accepted() -> Accepted {
    Accepted {
        number: MessageNo(300),
        id: MessageId::new("m-1"),
        content: Content::Text("Grüße, 世界 👋".into()),
        split: Split {
            parts: 2,
            alphabet: Alphabet::Gsm7Locking(3),
            concatenation: Concatenation::Udh16,
            reference: 513,
            handling: SmsHandling {
                class: Some(1),
                ports: Some(SmsPorts { destination: 2948, source: 9200, in_header: true }),
            },
        },
        priority: 5,
        send_at: Some(Timestamp(1_700_000_000_001)),
        expires_at: None,
        destination: Some(DestinationId::new("support")),
        conversation_id: Some("c-1".into()),
        channel_data: Some("{\"a\":1}".into()),
        adapted: ["cut to 160 characters".into()].into_iter().collect(),
    }
}

fn session_events() -> Vec<Event> {
    let address =
        Address { channel: ChannelId::new("sms-main"), did: "5155".into(), customer: "491701".into() };
    let rich = Content::Rich { body_type: BodyType::Location, json: "{\"x\":[1,2]}".into() };
    vec![
        Event::SessionOpened(Box::new(SessionOpened {
            address,
            ordinal: 2,
            reached: Some("491702".into()),
            customer_shown: "+491701".into(),
            did_shown: "5155".into(),
            by: OpenedBy::Agent,
            handler: "".into(),
            counters: Counters { sessions: 1, messages: 2, deliveries: 3, references: 4, orphaned_hour: 5 },
        })),
        Event::SessionClosed { reason: CloseReason::Customer },
        Event::SessionTaken { handler: "bot".into() },
        Event::Accepted(Box::new(accepted())),
        Event::Accepted(Box::new(Accepted { content: rich, split: Split::WHOLE, ..accepted() })),
        Event::Expired { message: MessageNo(1) },
        Event::Cancelled { message: MessageNo(u32::MAX) },
        Event::Received(Box::new(Received {
            delivery: 1,
            id: MessageId::new("in-1"),
            provider_id: "wamid.1".into(),
            content: Content::Binary(Box::from([0, 255, 7])),
            provider_time: Some(Timestamp(5)),
            incomplete: Some(Incomplete { arrived: 1, total: 3 }),
            attributes: vec![("profile".into(), "Ann".into())],
            is_written: true,
        })),
        Event::PartReceived(Box::new(part_received())),
        Event::Taken { delivery: 9 },
        Event::DeadLettered { delivery: 10, cause: Cause::new("http 404", "not found") },
        Event::DeadLetterReplayed { delivery: 10 },
        Event::PartsGivenUp,
        Event::Revived(Box::new(Revived {
            address: Address { channel: ChannelId::new("c"), did: "1".into(), customer: "2".into() },
            reached: None,
            customer_shown: "+2".into(),
            did_shown: "1".into(),
            counters: Counters {
                sessions: 9,
                messages: 70_000,
                deliveries: 1,
                references: 65_535,
                orphaned_hour: 6,
            },
        })),
    ]
}

fn part_received() -> PartReceived {
    PartReceived {
        reference: 77,
        total: 3,
        number: 2,
        octets: Box::from([1, 2, 3]),
        alphabet: Alphabet::Ucs2,
    }
}

fn part_events() -> Vec<Event> {
    let (message, part) = (MessageNo(3), 1);
    let cause = Cause::new("0x00000058", "throttled");
    vec![
        Event::Submitting { message, parts: [0, 1, 65_535].into_iter().collect() },
        Event::Submitted { message, part, provider_id: "0A1b".into() },
        Event::Deferred { message, part, cause: cause.clone(), retry_at: Timestamp(77), counted: false },
        Event::PartFailed { message, parts: FailedParts::One(1), cause: cause.clone() },
        Event::InDoubt { message, part, cause: DoubtCause::Restart, resend_at: Some(Timestamp(9)) },
        Event::DoubtSettled { message, part, by: DoubtSettlement::Sent },
        Event::Receipt {
            message,
            part,
            state: PartState { reached: PartStatus::Delivered, failed: true },
            code: "DELIVRD/000".into(),
        },
        Event::Settled { message },
        Event::Queried { message, part },
        Event::LateReceipt(Box::new(LateReceipt {
            message,
            part,
            state: PartState::failure(),
            code: "UNDELIV/001".into(),
            notify: Some(LateNotification {
                status: MessageStatus::Failed,
                id: MessageId::new("m-1"),
                destination: None,
                conversation_id: Some("c-1".into()),
                channel_data: None,
            }),
        })),
        Event::ChannelStopped { cause },
        Event::ChannelStarted,
        Event::ChannelPaused,
        Event::ChannelResumed,
        Event::ReceiptUnmatched(Box::new(UnmatchedReceipt {
            number: 4,
            channel: ChannelId::new("sms-main"),
            provider_id: "0A1b".into(),
            customer: "491701".into(),
            did: "5155".into(),
            state: PartState::reached(PartStatus::Read),
            code: "UNDELIV/001".into(),
            words: None,
        })),
        Event::ReceiptUnmatched(Box::new(UnmatchedReceipt {
            number: 5,
            channel: ChannelId::new("sms-main"),
            provider_id: "4711".into(),
            customer: "491701".into(),
            did: "5155".into(),
            state: PartState::failure(),
            code: "UNDELIV".into(),
            words: Some(Box::new(CustomerWords {
                id: MessageId::new("in-1"),
                customer_shown: "+491701".into(),
                content: Content::Text("id:4711 stat:UNDELIV".into()),
            })),
        })),
        Event::ReceiptSettled { number: 4, matched: true },
    ]
}

/// The events that conversations over HTTP added.
fn conversation_events() -> Vec<Event> {
    let choice =
        |label: &str| Choice { label: label.into(), title: "Sales".into(), payload: "go-sales".into() };
    let pieces = [Content::Text("1".into()), Content::Binary(Box::from([7]))];
    vec![
        Event::CustomerKnown(Box::new(CustomerKnown {
            address: Address { channel: ChannelId::new("wa"), did: "1".into(), customer: "2".into() },
            customer_shown: "+2".into(),
            aliases: vec!["US.2".into(), "22".into()],
        })),
        Event::CustomerMoved(Box::new(CustomerMoved {
            address: Address { channel: ChannelId::new("wa"), did: "1".into(), customer: "2".into() },
            reached: "3".into(),
            customer_shown: "+3".into(),
            names: vec!["3".into(), "US.3".into()],
            released: vec![("2".into(), Timestamp(1_700_000_000_000))],
            at: Timestamp(1_700_000_000_000),
            change: u64::MAX,
        })),
        Event::InReplyTo { message: MessageNo(7), provider_id: "wamid.7".into() },
        Event::Offered(Box::new(Offered { message: MessageNo(8), choices: vec![choice("1"), choice("2a")] })),
        Event::Accepted(Box::new(Accepted { content: Content::Parts(Box::new(pieces)), ..accepted() })),
        Event::PartFailed {
            message: MessageNo(8),
            parts: FailedParts::Unsent,
            cause: Cause::new("window", "closed"),
        },
        Event::Carried { message: Some(MessageNo(9)), snapshot: Box::from([0, 1, 2]) },
        Event::SegmentsRemoved { before: Seq(1 << 33) },
    ]
}

fn items() -> Vec<Item> {
    items_of(session_events().into_iter().chain(part_events()).collect())
}

fn items_of(events: Vec<Event>) -> Vec<Item> {
    events
        .into_iter()
        .enumerate()
        .map(|(at, event)| Item {
            stream: StreamId((at as u128) << 100 | 7),
            prev: match at {
                0 => Prev::At(Seq::NONE),
                1 => Prev::At(Seq(1)),
                _ => Prev::Earlier(at as u32 - 2),
            },
            about: match at {
                0 | 3 => Prev::At(Seq::NONE),
                1 | 4 => Prev::At(Seq(1)),
                _ => Prev::Earlier(at as u32 - 1 - at as u32 % 2),
            },
            at: Timestamp(1_700_000_000_000 + at as u64),
            keys: (0..at as u64 % 3)
                .map(|n| Key {
                    hash: (at as u128) << 120 | u128::from(n),
                    a: u128::MAX - u128::from(n),
                    b: if n == 0 { Tag::OwnSeq } else { Tag::Value(n << 40) },
                })
                .collect(),
            event,
        })
        .collect()
}

#[test]
fn every_event_is_in_the_golden_block() {
    let mut seen = [false; VARIANTS];
    for item in items().into_iter().chain(items_of(conversation_events())) {
        seen[variant(&item.event)] = true;
    }
    assert!(seen.iter().all(|seen| *seen), "{seen:?}");
}

#[test]
fn block_version_1_is_written_as_ever_and_opens() {
    block_is_written_as_ever_and_opens("block-v1.bin", &items());
}

#[test]
fn conversations_in_block_version_1_are_written_as_ever_and_open() {
    block_is_written_as_ever_and_opens("block-v1-conversations.bin", &items_of(conversation_events()));
}

fn block_is_written_as_ever_and_opens(name: &str, items: &[Item]) {
    const SEGMENT: &str = "segment-00000000000000000001";
    let disk = MemoryDisk::new();
    let (log, _) = Log::open(disk.engine(), inline()).unwrap();
    log.append(items.to_vec(), None).unwrap();
    drive(&log);
    let store = disk.engine().open_blocks(SEGMENT).unwrap();
    let bytes = golden(name, &store.at_or_below(Seq(1)).unwrap().unwrap().1);

    let disk = MemoryDisk::new();
    let store = disk.engine().open_blocks(SEGMENT).unwrap();
    store.commit(Seq(1), &bytes).unwrap();
    assert!(verify(&disk.engine()).unwrap().bad.is_empty());
    let (log, _) = Log::open(disk.engine(), inline()).unwrap();
    let read: Vec<_> = log.read(Seq(1)).map(|event| event.unwrap()).collect();
    assert_eq!(read.len(), items.len());
    for (at, (stored, item)) in read.into_iter().zip(items.iter().cloned()).enumerate() {
        let prev = if at < 2 { at as u64 } else { at as u64 - 1 };
        let about = match at as u64 {
            0 | 3 => 0,
            1 | 4 => 1,
            at => at - at % 2,
        };
        let links = (stored.seq, stored.prev, stored.about);
        assert_eq!(links, (Seq(at as u64 + 1), Seq(prev), Seq(about)));
        assert_eq!((stored.stream, stored.at, stored.keys), (item.stream, item.at, item.keys));
        assert_eq!(stored.event, item.event);
    }
}

#[test]
fn block_files_and_runs_version_1_are_written_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let engine = DiskEngine::open(folder.path(), EngineKind::File).unwrap();
    let blocks = engine.open_blocks("segment-00000000000000000001").unwrap();
    for (key, value) in [(1_u64, &b"first"[..]), (2, b"2"), (300, &[7; 300])] {
        blocks.commit(Seq(key), value).unwrap();
    }
    blocks.freeze().unwrap();
    let index = engine.open_index("index").unwrap();
    let mut writes = (0..200_u8).map(|n| match n % 5 {
        0 => Write::Delete(Box::from([n])),
        _ => Write::Put(Box::from([n; 9]), vec![n; usize::from(n)].into()),
    });
    index.write_sorted(200, &mut writes).unwrap();
    for (file, name) in [
        ("segment-00000000000000000001/blocks", "blocks-v1.bin"),
        ("segment-00000000000000000001/offsets", "offsets-v1.bin"),
        ("index/run-0000000000000001-0000000000000001", "sorted-run-v1.bin"),
    ] {
        golden(name, &fs::read(folder.path().join(file)).unwrap());
    }
}

/// Checks a log of two segments whose first is sealed, with that one's look-ups replaced by the
/// file `replaced` if it is given. Returns the look-ups as they were written.
fn check_look_ups(replaced: Option<&str>) -> Vec<u8> {
    let disk = MemoryDisk::new();
    let (log, _) = Log::open(disk.engine(), inline()).unwrap();
    let last = items().len() as u64;
    log.append(items(), None).unwrap();
    drive(&log);
    log.seal();
    log.append(items(), None).unwrap();
    drive(&log);
    let name = "segment-00000000000000000001";
    let written = disk.engine().read_file(name, "keys", 0, 1 << 20).unwrap().unwrap();
    if let Some(golden) = replaced {
        let bytes = fs::read(golden_folder().join(golden)).unwrap();
        disk.engine().write_file(name, "keys", &bytes).unwrap();
    }
    drop(log);
    disk.engine().remove(&format!("segment-{:020}", last + 1)).unwrap();
    disk.engine().remove_file("", "segments").unwrap();
    for filter_bytes_max in [1 << 20, 0] {
        let (log, recovery) = Log::open(disk.engine(), Options { filter_bytes_max, ..inline() }).unwrap();
        assert_eq!((recovery.rebuilt, recovery.last), (0, Seq(last)));
        assert_eq!(log.stats().unwrap().filter_bytes > 0, filter_bytes_max > 0);
        assert_eq!(log.find(5 << 120), Some(Found { a: u128::MAX, b: 6 }));
        assert_eq!(log.find(5 << 120 | 1), Some(Found { a: u128::MAX - 1, b: 1 << 40 }));
        assert_eq!(log.find(5 << 120 | 2), None);
    }
    written
}

#[test]
fn look_up_files_are_written_as_ever_and_open() {
    let written = check_look_ups(None);
    golden("sorted-lookups-v1.bin", &written);
    check_look_ups(Some("sorted-lookups-v1.bin"));
}

/// Key and value, each with its length.
fn flat(store: &dyn KeyValueStore) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in store.range(&[], &[0xff], 100).unwrap() {
        for field in [&*key, &*value] {
            bytes.push(u8::try_from(field.len()).unwrap());
            bytes.extend_from_slice(field);
        }
    }
    bytes
}

#[test]
fn index_version_1_is_written_as_ever_and_opens() {
    let disk = MemoryDisk::new();
    let (log, _) = Log::open(disk.engine(), inline()).unwrap();
    log.append(items(), None).unwrap();
    let entry = |applied, due| Entry { applied: Seq(applied), due, bytes: Box::from(*b"state") };
    log.index().put(StreamId(1 << 90), entry(4, Some(Timestamp(1_700_000_000_000))));
    log.index().put(StreamId(2), entry(5, None));
    log.index().remove(StreamId(3), Seq(20));
    log.checkpoint(Seq(10)).unwrap();
    let store = disk.engine().open_index("index").unwrap();
    let bytes = golden("index-v1.bin", &flat(&*store));

    let disk = MemoryDisk::new();
    let store = disk.engine().open_index("index").unwrap();
    let mut rest = bytes.as_slice();
    let mut field = || {
        let (len, tail) = rest.split_first()?;
        let (field, tail) = tail.split_at(usize::from(*len));
        rest = tail;
        Some(field)
    };
    let mut writes = Vec::new();
    while let Some(key) = field() {
        writes.push(Write::Put(key.into(), field().unwrap().into()));
    }
    store.write_sorted(writes.len(), &mut writes.into_iter()).unwrap();
    disk.engine().open_blocks("segment-00000000000000000011").unwrap();
    let (log, recovery) = Log::open(disk.engine(), inline()).unwrap();
    assert_eq!(recovery.checkpoint, Seq(10));
    assert_eq!(
        log.index().get(StreamId(1 << 90)).unwrap(),
        Some(entry(4, Some(Timestamp(1_700_000_000_000))))
    );
    assert_eq!(
        log.index().applied(StreamId(3)).unwrap(),
        Seq(20),
        "removed beyond the checkpoint: replay is told"
    );
    assert_eq!(log.index().scan(None, 10).unwrap().len(), 2);
    assert_eq!(log.index().due(Timestamp(u64::MAX), None, 10).unwrap().len(), 1);
}
