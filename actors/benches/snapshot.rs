//! Prints what a checkpoint pays for one session: nanoseconds to encode and to decode its snapshot,
//! and its bytes. The best of several rounds.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints and reads the clock")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench is not a library")]

use std::{hint::black_box, time::Instant};

use actors::domain::session::{Accept, Identity, Inbound, InboundBody, Outcome, Policy, Session};
use channels::Prepared;
use message::{
    Address, Content, Event, MessageNo, Timestamp,
    event::{Alphabet, Split},
    snapshot::SessionSnapshot,
};

const ROUNDS: usize = 25;
const SNAPSHOTS: usize = 20_000;
const TEXT: &str =
    "Your parcel arrives between 10:00 and 12:00 today. Reply 1 to confirm, 2 to choose another day.";
const NOW: Timestamp = Timestamp(1_760_000_000_000);

fn identity() -> Identity {
    let address = Address { channel: "sms".into(), did: "5155".into(), customer: "4917600000001".into() };
    Identity { address, customer_shown: "+4917600000001".into(), did_shown: "5155".into(), reached: None }
}

fn accept(id: &str) -> Accept {
    let split = Split { alphabet: Alphabet::Gsm7, reference: 1, ..Split::WHOLE };
    let content = Content::Text(TEXT.into());
    let prepared = Prepared { content, split, adapted: Default::default(), choices: Default::default() };
    Accept::plain(id.into(), prepared)
}

fn inbound(id: &str) -> Inbound {
    Inbound {
        id: id.into(),
        provider_id: id.into(),
        provider_time: Some(NOW),
        attributes: vec![("customerName".into(), "Ann".into())],
        body: InboundBody::Whole(Content::Text(TEXT.into())),
        aliases: None,
        media: Vec::new(),
        reply_to: None,
        is_written: true,
        moved: None,
        reference: None,
    }
}

fn record(session: &mut Session, events: impl IntoIterator<Item = Event>) {
    for event in events {
        session.apply(&event, NOW);
    }
}

/// A session with `sent` messages that await receipts, `queued` that wait, and `deliveries` not
/// taken.
fn session(sent: u32, queued: u32, deliveries: u32) -> Session {
    let policy = Policy { queue_max: 1_000, receipt_timeout_ms: 86_400_000, ..Policy::default() };
    let mut session = Session::new(identity().address, Default::default());
    let events = session.open_for((message::StreamId(1), &identity()), "ann", false).unwrap();
    record(&mut session, events);
    for n in 1..=sent + queued {
        let events = session.accept(&policy, &identity(), accept(&format!("order-{n}")), NOW).unwrap();
        record(&mut session, events);
        if n <= sent {
            let intent = session.submit(&policy, NOW, 10);
            record(&mut session, intent);
            let taken = Outcome::Taken("1a2b3c4d".into());
            let events = session.outcome(&policy, MessageNo(n), 0, taken, 0, NOW);
            record(&mut session, events);
        }
    }
    for n in 0..deliveries {
        let events = session.receive(&identity(), inbound(&format!("in-{n}")), || "x".into(), NOW);
        record(&mut session, events);
    }
    session
}

fn main() {
    for (name, session) in [
        ("open, nothing under way", session(0, 0, 0)),
        ("one message awaits its receipt", session(1, 0, 0)),
        ("3 sent, 3 queued, 3 deliveries", session(3, 3, 3)),
        ("1,000 queued", session(0, 1_000, 0)),
    ] {
        let count = if session.queue.len() > 100 { SNAPSHOTS / 100 } else { SNAPSHOTS };
        let (mut encode, mut decode) = (u128::MAX, u128::MAX);
        let bytes = encoded(&session);
        assert_eq!(decoded(&bytes), session, "a snapshot reads back");
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..count {
                black_box(encoded(black_box(&session)));
            }
            encode = encode.min(begun.elapsed().as_nanos() / count as u128);
            let begun = Instant::now();
            for _ in 0..count {
                black_box(decoded(black_box(&bytes)));
            }
            decode = decode.min(begun.elapsed().as_nanos() / count as u128);
        }
        println!("{name:<40} {encode:>8} ns to encode {decode:>8} ns to decode {:>8} bytes", bytes.len());
    }
}

fn encoded(session: &Session) -> Vec<u8> {
    storage::encode_snapshot(&SessionSnapshot::from(session)).unwrap()
}

fn decoded(bytes: &[u8]) -> Session {
    let snapshot: SessionSnapshot<'_> = storage::decode_snapshot(bytes).unwrap();
    Session::from(snapshot)
}
