//! Prints the nanoseconds that deciding on one message takes, with no input or output beside it:
//! the session's machine from acceptance to the notification taken, and the same from the log. The
//! best of several rounds.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints and reads the clock")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench is no library")]

use std::{hint::black_box, time::Instant};

use actors::domain::session::{Accept, Identity, Outcome, Policy, Session};
use channels::Prepared;
use message::{
    Address, Content, Event, MessageNo, PartState, PartStatus, Timestamp,
    event::{Alphabet, Split},
};

const ROUNDS: usize = 9;
const MESSAGES: usize = 20_000;
const TEXT: &str =
    "Your parcel arrives between 10:00 and 12:00 today. Reply 1 to confirm, 2 to choose another day.";

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

/// A session, and what its log would have.
struct Subject {
    policy: Policy,
    identity: Identity,
    session: Session,
    log: Vec<Event>,
    now: Timestamp,
}

impl Subject {
    fn new() -> Self {
        let policy = Policy { queue_max: 1_000, receipt_timeout_ms: 86_400_000, ..Policy::default() };
        let session = Session::new(identity().address, Default::default());
        Self { policy, identity: identity(), session, log: Vec::new(), now: Timestamp(1_760_000_000_000) }
    }

    fn record(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.session.apply(&event, self.now);
            self.log.push(event);
        }
    }

    /// A message's whole way: accepted, handed over, answered, its receipt, its notification taken.
    fn carry(&mut self, accept: Accept, number: MessageNo) {
        let events = self.session.accept(&self.policy, &self.identity, accept, self.now).unwrap();
        self.record(events);
        let intent = self.session.submit(&self.policy, self.now, 10);
        self.record(intent);
        let taken = Outcome::Taken("1a2b3c4d".into());
        let events = self.session.outcome(&self.policy, number, 0, taken, 0, self.now);
        self.record(events);
        let delivered = PartState::reached(PartStatus::Delivered);
        let events = self.session.receipt(number, 0, delivered, "000").unwrap();
        self.record(events);
        let deliveries: Vec<u32> = self.session.deliveries.iter().map(|d| d.number).collect();
        assert!(!deliveries.is_empty(), "a receipt is told");
        self.record(deliveries.into_iter().map(|delivery| Event::Taken { delivery }));
        self.now = self.now.plus_ms(1);
    }
}

fn main() {
    let (mut live, mut replayed, mut events) = (u128::MAX, u128::MAX, 0);
    for _ in 0..ROUNDS {
        let mut subject = Subject::new();
        let accepts: Vec<Accept> = (0..MESSAGES).map(|n| accept(&format!("order-{n}"))).collect();
        let begun = Instant::now();
        for (n, accept) in accepts.into_iter().enumerate() {
            subject.carry(accept, MessageNo(n as u32 + 1));
        }
        live = live.min(begun.elapsed().as_nanos() / MESSAGES as u128);
        assert_eq!(subject.session.queue.len() + subject.session.sent.len(), 0, "all of it is finished");
        events = subject.log.len();
        let begun = Instant::now();
        let mut again = Session::blank();
        for event in &subject.log {
            again.apply(black_box(event), subject.now);
        }
        replayed = replayed.min(begun.elapsed().as_nanos() / MESSAGES as u128);
    }
    println!("{:<60} {live:>6} ns a message", "decide and apply, accepted to notification taken");
    println!("{:<60} {replayed:>6} ns a message", "apply alone, as a replay does");
    println!("{:<60} {:>6.2} a message", "facts", events as f64 / MESSAGES as f64);
}
