//! Properties of the session as a pure state machine: order, one final state for any order of
//! answers and receipts, nothing lost, and a replay that equals the live state.

use std::sync::Arc;

use channels::{Prepared, SendError};
use message::{
    Address, Content, Event, MessageId, MessageNo, MessageStatus, PartState, PartStatus, StreamId, Timestamp,
    event::{Alphabet, Cause, CloseReason, Concatenation, DoubtCause, PartReceived, Split},
};
use proptest::prelude::*;

use super::*;
use crate::config::OnUnknown;

fn policy(on_unknown: OnUnknown) -> Policy {
    Policy {
        inactivity_ms: Some(1_800_000),
        on_unknown,
        doubt_grace_ms: 1_000,
        tries_max: 5,
        backoff_ms: 1_000,
        backoff_max_ms: 60_000,
        query_after_ms: None,
        receipt_timeout_ms: 86_400_000,
        reassembly_timeout_ms: 7_200_000,
        queue_max: 1_000,
        ..Policy::default()
    }
}

fn identity() -> Identity {
    let address = Address { channel: "sms".into(), did: "5155".into(), customer: "4917600000001".into() };
    Identity { address, customer_shown: "+4917600000001".into(), did_shown: "5155".into(), reached: None }
}

fn prepared(parts: u16) -> Prepared {
    let concatenation = if parts > 1 { Concatenation::Udh8 } else { Concatenation::None };
    Prepared {
        content: Content::Text("hello".into()),
        split: Split { parts, alphabet: Alphabet::Gsm7, concatenation, reference: 1, ..Split::WHOLE },
        adapted: Default::default(),
        choices: Default::default(),
    }
}

fn accept(id: &str, parts: u16) -> Accept {
    Accept::plain(id.into(), prepared(parts))
}

/// A session with its log, so that a replay can be compared after every step.
struct Subject {
    session: Session,
    log: Vec<(Event, Timestamp)>,
    now: Timestamp,
    policy: Policy,
    /// The timer as a host sets it: only from changes, until it is due.
    timer: Option<Timestamp>,
}

impl Subject {
    fn new(on_unknown: OnUnknown) -> Self {
        let session = Session::new(identity().address, Default::default());
        Self { session, log: Vec::new(), now: Timestamp(1_000_000), policy: policy(on_unknown), timer: None }
    }

    fn record(&mut self, events: impl IntoIterator<Item = Event>) {
        let is_due = self.timer.is_none_or(|at| at <= self.now);
        for event in events {
            self.session.apply(&event, self.now);
            let message = crate::domain::subject::message_of(&event);
            let instant = message.and_then(|m| self.session.instant_of(m, &self.policy, self.now));
            self.timer = earlier(self.timer, instant);
            self.log.push((event, self.now));
        }
        let all = self.session.next_instant(&self.policy, self.now);
        self.timer = match is_due {
            true => all,
            false => earlier(self.timer, self.session.own_instant(&self.policy, self.now)),
        };
        let is_early = all.is_none_or(|all| self.timer.is_some_and(|at| at <= all));
        assert!(is_early, "the timer is set to {:?}, and something is due at {all:?}", self.timer);
    }

    /// Matches a receipt with an unknown id that arrived just now.
    fn doubt_receipt(&self, state: PartState) -> Option<Events> {
        self.doubt_receipt_at(state, self.now)
    }

    /// Matches a receipt with an unknown id that arrived at an instant. Answers are overdue after a
    /// second.
    fn doubt_receipt_at(&self, state: PartState, came_at: Timestamp) -> Option<Events> {
        let unanswered_since = Some(Timestamp(self.now.0 - 1_000));
        let receipt = UnknownReceipt { provider_id: "77", came_at, unanswered_since };
        let found = self.session.doubt_receipt(&self.policy, &receipt)?;
        let (message, part) = (found.message, found.part);
        Some(Events::from_iter([found.submitted, Event::Receipt { message, part, state, code: "x".into() }]))
    }

    /// Hands the next part to a link.
    fn submit(&mut self) {
        let event = self.session.submit(&self.policy, self.now, 1).unwrap();
        self.record([event]);
    }

    fn accept(&mut self, id: &str, parts: u16) {
        let events = self.session.accept(&self.policy, &identity(), accept(id, parts), self.now).unwrap();
        self.record(events);
    }

    fn outcome(&mut self, number: MessageNo, part: u16, outcome: Outcome) {
        let events = self.session.outcome(&self.policy, number, part, outcome, 0, self.now);
        self.record(events);
    }

    fn replayed(&self) -> Session {
        let mut session = Session::blank();
        for (event, at) in &self.log {
            session.apply(event, *at);
        }
        session
    }
}

fn cause() -> Cause {
    Cause::new("0x00000008", "system error")
}

#[derive(Clone, Debug)]
enum Fate {
    Taken,
    Throttled,
    Unavailable,
    Lost,
    NotSent,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        5 => Just(Fate::Taken),
        1 => Just(Fate::Throttled),
        1 => Just(Fate::Unavailable),
        1 => Just(Fate::Lost),
        1 => Just(Fate::NotSent),
    ]
}

proptest! {
    /// For any outcomes, all parts of a message are accepted before the first of the next message.
    #[test]
    fn messages_leave_in_order_under_random_throttling_and_retries(
        sizes in prop::collection::vec(1u16..4, 1..6),
        fates in prop::collection::vec((fate(), 0u64..4_000), 0..60),
        pick in prop::collection::vec(any::<prop::sample::Index>(), 80),
    ) {
        let mut subject = Subject::new(OnUnknown::Resend);
        subject.policy.tries_max = 1_000;
        for (n, parts) in sizes.iter().enumerate() {
            subject.accept(&format!("m{n}"), *parts);
        }
        let mut fates = fates.into_iter();
        let mut pick = pick.into_iter().cycle();
        let mut out: Vec<(MessageNo, u16)> = Vec::new();
        let mut taken: Vec<MessageNo> = Vec::new();
        for _ in 0..2_000 {
            if let Some(event) = subject.session.submit(&subject.policy, subject.now, 2) {
                if let Event::Submitting { message, parts } = &event {
                    out.extend(parts.iter().map(|p| (*message, *p)));
                }
                subject.record([event]);
            }
            if out.is_empty() {
                if subject.session.queue.is_empty() {
                    break;
                }
                subject.now = subject.now.plus_ms(60_000);
                continue;
            }
            let at = pick.next().unwrap().index(out.len());
            let (number, part) = out.remove(at);
            let (fate, wait) = fates.next().unwrap_or((Fate::Taken, 1));
            subject.now = subject.now.plus_ms(wait);
            let outcome = match fate {
                Fate::Taken => Outcome::Taken(format!("{}-{part}", number.0).into()),
                Fate::Throttled => Outcome::Refused(SendError::Throttled { after_ms: 500, cause: cause() }),
                Fate::Unavailable => Outcome::Refused(SendError::Unavailable(cause())),
                Fate::Lost => Outcome::Unanswered(DoubtCause::LinkLost),
                Fate::NotSent => Outcome::NotSent,
            };
            if matches!(fate, Fate::Taken) {
                taken.push(number);
            }
            subject.outcome(number, part, outcome);
            prop_assert_eq!(&subject.replayed(), &subject.session);
        }
        prop_assert!(subject.session.queue.is_empty(), "something never left");
        prop_assert!(taken.is_sorted(), "overtaken: {:?}", taken);
        prop_assert_eq!(taken.len(), sizes.iter().map(|s| usize::from(*s)).sum::<usize>());
    }

    /// Answers and receipts in any order, with repetitions, end in one state.
    #[test]
    fn any_order_of_answers_and_receipts_ends_in_one_state(
        parts in 1u16..4,
        reports in prop::collection::vec((0u16..4, 0usize..4), 0..10),
        order in Just(()).prop_perturb(|(), mut rng| (0..40).map(|_| rng.random::<u32>()).collect::<Vec<_>>()),
    ) {
        let states = [
            PartState::reached(PartStatus::Enroute),
            PartState::reached(PartStatus::Sent),
            PartState::reached(PartStatus::Delivered),
            PartState::failure(),
        ];
        let mut words: Vec<(u16, Option<PartState>)> = (0..parts).map(|p| (p, None)).collect();
        words.extend(reports.iter().map(|(p, s)| (p % parts, Some(states[*s]))));
        let run = |words: &[(u16, Option<PartState>)]| {
            let mut subject = Subject::new(OnUnknown::Hold);
            subject.accept("m", parts);
            let event = subject.session.submit(&subject.policy, subject.now, 10).unwrap();
            subject.record([event]);
            let mut record = Outbound::new(
                subject.log.iter().find_map(|(e, _)| match e { Event::Accepted(a) => Some(a), _ => None }).unwrap(),
                subject.now,
            );
            let (mut told, mut last) = (Vec::new(), MessageStatus::Queued);
            for (part, state) in words {
                let number = MessageNo(1);
                let events = match state {
                    None => subject.session.outcome(&subject.policy, number, *part, Outcome::Taken("x".into()), 0, subject.now),
                    Some(state) => subject.session.receipt(number, *part, *state, "c").unwrap_or_default(),
                };
                for event in &events {
                    record.apply(event, subject.now);
                }
                subject.record(events);
                let status = record.status();
                if status != last {
                    told.push(status);
                    last = status;
                }
            }
            (record.parts.iter().map(|p| p.state).collect::<Vec<_>>(), told)
        };
        let mut shuffled = words.clone();
        shuffled.extend(words.iter().filter(|w| w.1.is_some()).copied());
        for (n, random) in order.iter().enumerate() {
            let len = shuffled.len();
            shuffled.swap(n % len, *random as usize % len);
        }
        let (one, told) = run(&words);
        let (other, told_other) = run(&shuffled);
        // A settled message takes no more receipts here, so states are compared only before that.
        let status = |states: &[PartState]| MessageStatus::of(states.iter().copied());
        let settled = |s: MessageStatus| matches!(s, MessageStatus::Delivered | MessageStatus::Failed);
        if !settled(status(&one)) || !settled(status(&other)) {
            prop_assert_eq!(&one, &other);
        }
        for told in [told, told_other] {
            prop_assert!(told.is_sorted(), "went backwards: {:?}", told);
        }
    }

    /// Inbound parts in any order, with repetitions, make each message once.
    #[test]
    fn inbound_parts_in_any_order_make_one_message(
        total in 2u8..6,
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
    ) {
        let mut subject = Subject::new(OnUnknown::Hold);
        let part = |number: u8| Inbound {
            id: MessageId::new(format!("in{number}")),
            provider_id: "".into(),
            provider_time: None,
            attributes: Vec::new(),
            aliases: None,
            media: Vec::new(),
            reply_to: None,
            is_written: true,
            moved: None,
            reference: None,
            body: InboundBody::Part(PartReceived {
                reference: 7,
                total,
                number,
                octets: vec![b'a' + number].into(),
                alphabet: Alphabet::Gsm7,
            }),
        };
        let mut numbers: Vec<u8> = order.iter().map(|i| i.index(usize::from(total)) as u8 + 1).collect();
        numbers.extend(1..=total);
        for number in numbers {
            let events = subject.session.receive(&identity(), part(number), || "x".into(), subject.now);
            subject.record(events);
        }
        let texts: Vec<&Content> = subject.log.iter().filter_map(|(e, _)| match e {
            Event::Received(r) => Some(&r.content),
            _ => None,
        }).collect();
        let whole: String = (1..=total).map(|n| char::from(b'a' + n)).collect();
        let whole = Content::Text(whole.into());
        prop_assert_eq!(texts, vec![&whole]);
        prop_assert_eq!(&subject.replayed(), &subject.session);
    }
}

#[test]
fn a_part_in_doubt_is_resent_flagged_or_held() {
    for (on_unknown, held) in [(OnUnknown::Resend, false), (OnUnknown::Hold, true)] {
        let mut subject = Subject::new(on_unknown);
        subject.accept("m", 1);
        let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
        subject.record([event]);
        // The process dies here. The next one finds the part with a link that is gone.
        let events = subject.session.recover(&subject.policy, DoubtCause::Restart, subject.now);
        subject.record(events);
        let message = subject.session.message(MessageNo(1)).unwrap();
        assert_eq!(message.status(), MessageStatus::InDoubt);
        assert_eq!(message.parts[0].phase == Phase::Held, held);
        assert_eq!(message.parts[0].resent, 0, "not yet: a receipt may settle it");
        subject.now = subject.now.plus_ms(10_000);
        let again = subject.session.submit(&subject.policy, subject.now, 1);
        assert_eq!(again.is_some(), !held);
        if let Some(again) = again {
            let mut resent = subject.session.clone();
            resent.apply(&again, subject.now);
            assert_eq!(resent.message(MessageNo(1)).unwrap().parts[0].resent, 1, "flagged");
        }
        // A receipt with an unknown id settles it.
        let delivered = PartState::reached(PartStatus::Delivered);
        let events = subject.doubt_receipt(delivered).unwrap();
        subject.record(events);
        assert!(subject.session.message(MessageNo(1)).is_none(), "delivered and settled");
        assert_eq!(subject.session.deliveries.len(), 1);
        assert!(subject.session.submit(&subject.policy, subject.now, 1).is_none(), "it is not sent again");
    }
}

#[test]
fn a_receipt_with_an_unknown_id_settles_nothing_while_it_could_mean_another_part() {
    let mut subject = Subject::new(OnUnknown::Hold);
    for id in ["a", "b", "c"] {
        subject.accept(id, 1);
        let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
        subject.record([event]);
        if id != "c" {
            let events = subject.session.recover(&subject.policy, DoubtCause::LinkLost, subject.now);
            subject.record(events);
        }
        let delivered = PartState::reached(PartStatus::Delivered);
        let single = subject.doubt_receipt(delivered).is_some();
        assert_eq!(single, id == "a", "{id}");
    }
}

#[test]
fn a_receipt_settles_the_only_part_whose_answer_is_overdue() {
    let delivered = PartState::reached(PartStatus::Delivered);
    let later = [
        Outcome::Taken("77".into()),
        Outcome::Taken("78".into()),
        Outcome::Unanswered(DoubtCause::NoAnswer),
        Outcome::NotSent,
        Outcome::Refused(SendError::Rejected(cause())),
    ];
    for outcome in later {
        let mut subject = Subject::new(OnUnknown::Resend);
        subject.accept("m", 1);
        subject.submit();
        assert!(subject.doubt_receipt(delivered).is_none(), "its answer may still be on its way");
        let before = Timestamp(subject.now.0 - 1);
        subject.now = subject.now.plus_ms(1_000);
        assert!(subject.doubt_receipt_at(delivered, before).is_none(), "it came before the part was sent");
        let enroute = PartState::reached(PartStatus::Enroute);
        let events = subject.doubt_receipt(enroute).unwrap();
        subject.record(events);
        let part = &subject.session.message(MessageNo(1)).unwrap().parts[0];
        assert_eq!((part.phase, part.doubts, &*part.provider_id), (Phase::Answered, 0, "77"));
        assert!(subject.doubt_receipt(delivered).is_none(), "one receipt settles one part");
        subject.outcome(MessageNo(1), 0, outcome.clone());
        let part = &subject.session.message(MessageNo(1)).unwrap().parts[0];
        assert_eq!((part.phase, part.doubts), (Phase::Answered, 0), "{outcome:?}");
        assert_eq!(subject.session.due_parts(&subject.policy, subject.now, 9), None, "{outcome:?}");
        let events = subject.session.receipt(MessageNo(1), 0, delivered, "x").unwrap();
        subject.record(events);
        assert!(subject.session.message(MessageNo(1)).is_none(), "delivered and settled");
        // Nothing is left in doubt: the next one is settled the same way.
        subject.accept("n", 1);
        subject.submit();
        subject.now = subject.now.plus_ms(1_000);
        assert!(subject.doubt_receipt(delivered).is_some(), "{outcome:?}");
    }
}

#[test]
fn a_receipt_settles_none_of_two_parts_without_an_answer() {
    let mut subject = Subject::new(OnUnknown::Resend);
    let delivered = PartState::reached(PartStatus::Delivered);
    subject.accept("m", 2);
    subject.submit();
    subject.submit();
    subject.now = subject.now.plus_ms(5_000);
    assert!(subject.doubt_receipt(delivered).is_none());
    subject.outcome(MessageNo(1), 1, Outcome::Taken("78".into()));
    let events = subject.doubt_receipt(delivered).unwrap();
    assert!(matches!(events[1], Event::Receipt { part: 0, .. }), "{events:?}");
}

#[test]
fn an_answer_that_repeats_an_id_leaves_an_earlier_copy_in_doubt() {
    let mut subject = Subject::new(OnUnknown::Resend);
    subject.accept("m", 1);
    subject.submit();
    let events = subject.session.recover(&subject.policy, DoubtCause::LinkLost, subject.now);
    subject.record(events);
    subject.now = subject.now.plus_ms(10_000);
    subject.submit();
    for (id, doubts) in [("2", 1), ("2", 1), ("1", 0)] {
        subject.record([Event::Submitted { message: MessageNo(1), part: 0, provider_id: id.into() }]);
        assert_eq!(subject.session.message(MessageNo(1)).unwrap().parts[0].doubts, doubts, "{id}");
    }
}

#[test]
fn a_receipt_with_an_unknown_id_may_belong_to_a_copy_that_was_sent_before() {
    let mut subject = Subject::new(OnUnknown::Resend);
    let delivered = PartState::reached(PartStatus::Delivered);
    // The first is in doubt, sent again, accepted and delivered. Its first copy may still report.
    subject.accept("a", 1);
    for _ in 0..2 {
        let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
        subject.record([event]);
        if subject.session.message(MessageNo(1)).unwrap().parts[0].resent == 0 {
            let events = subject.session.recover(&subject.policy, DoubtCause::LinkLost, subject.now);
            subject.record(events);
            subject.now = subject.now.plus_ms(10_000);
        }
    }
    subject.record([Event::Submitted { message: MessageNo(1), part: 0, provider_id: "2".into() }]);
    let events = subject.session.receipt(MessageNo(1), 0, delivered, "DELIVRD").unwrap();
    subject.record(events);
    assert!(subject.session.message(MessageNo(1)).is_none(), "delivered and settled");
    // The second is in doubt: a receipt may belong to the first's copy.
    subject.accept("b", 1);
    let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
    subject.record([event]);
    let events = subject.session.recover(&subject.policy, DoubtCause::LinkLost, subject.now);
    subject.record(events);
    assert!(subject.doubt_receipt(delivered).is_none());
    // That ends after a time; and a receipt from before the second was accepted never matches it.
    let before = subject.now;
    // The time is kept by the hour, and rounded up.
    subject.now = subject.now.plus_ms(subject.policy.receipt_timeout_ms + 3 * 3_600_000);
    assert!(subject.doubt_receipt(delivered).is_some());
    let early = subject.doubt_receipt_at(delivered, Timestamp(before.0 - 1));
    assert!(early.is_none());
}

#[test]
fn the_rest_of_a_long_message_is_not_sent_once_a_part_is_rejected() {
    let mut subject = Subject::new(OnUnknown::Resend);
    subject.accept("m", 3);
    let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
    subject.record([event]);
    subject.outcome(MessageNo(1), 0, Outcome::Refused(SendError::Rejected(cause())));
    assert!(subject.session.submit(&subject.policy, subject.now, 3).is_none());
    assert!(subject.session.queue.is_empty() && subject.session.sent.is_empty());
    assert_eq!(subject.session.deliveries.len(), 1, "FAILED is told once");
}

#[test]
fn a_long_message_that_is_throttled_goes_on_where_it_stopped() {
    let mut subject = Subject::new(OnUnknown::Resend);
    subject.accept("m", 3);
    let event = subject.session.submit(&subject.policy, subject.now, 3).unwrap();
    subject.record([event]);
    for (part, outcome) in [
        (0, Outcome::Taken("1".into())),
        (1, Outcome::Taken("2".into())),
        (2, Outcome::Refused(SendError::Throttled { after_ms: 1_000, cause: cause() })),
    ] {
        subject.outcome(MessageNo(1), part, outcome);
    }
    subject.now = subject.now.plus_ms(1_000);
    let due = subject.session.due_parts(&subject.policy, subject.now, 10).unwrap();
    assert_eq!(due.parts.as_slice(), [2]);
}

#[test]
fn refusals_that_do_not_count_wait_and_denied_access_gets_one_more_try() {
    let limited = |after_ms| SendError::CustomerThrottled { after_ms, cause: cause() };
    let mut subject = Subject::new(OnUnknown::Resend);
    subject.accept("m", 1);
    for after_ms in (0..50).map(|n| 1_000 * n) {
        let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
        subject.record([event]);
        subject.outcome(MessageNo(1), 0, Outcome::Refused(limited(after_ms)));
        let due = |now| subject.session.due_parts(&subject.policy, now, 1);
        assert!(after_ms == 0 || due(subject.now.plus_ms(after_ms - 1)).is_none(), "{after_ms}");
        subject.now = subject.now.plus_ms(after_ms);
        assert!(subject.session.due_parts(&subject.policy, subject.now, 1).is_some(), "{after_ms}");
    }
    for is_last in [false, true] {
        let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
        subject.record([event]);
        subject.outcome(MessageNo(1), 0, Outcome::Refused(SendError::Forbidden(cause())));
        assert_eq!(subject.session.queue.is_empty(), is_last);
        subject.now = subject.now.plus_ms(subject.policy.backoff_max_ms);
    }
}

#[test]
fn inactivity_closes_and_expiry_gives_up_and_cancel_withdraws() {
    let mut subject = Subject::new(OnUnknown::Resend);
    let mut expiring = accept("late", 1);
    expiring.expires_at = Some(subject.now.plus_ms(5_000));
    let events = subject.session.accept(&subject.policy, &identity(), expiring, subject.now).unwrap();
    subject.record(events);
    subject.accept("gone", 1);
    let events = subject.session.cancel(MessageNo(2)).unwrap();
    subject.record(events);
    subject.now = subject.now.plus_ms(5_000);
    assert!(subject.session.submit(&subject.policy, subject.now, 1).is_none(), "expired");
    let events = subject.session.wake(&subject.policy, subject.now);
    subject.record(events);
    assert!(subject.session.queue.is_empty());
    assert_eq!(subject.session.deliveries.len(), 1, "the expiry is told, the withdrawal is not");
    assert_eq!(
        subject.session.next_instant(&subject.policy, subject.now),
        Some(Timestamp(1_000_000 + 1_800_000))
    );
    subject.now = Timestamp(1_000_000 + 1_800_000);
    let events = subject.session.wake(&subject.policy, subject.now);
    assert_eq!(events.as_slice(), [Event::SessionClosed { reason: CloseReason::Inactivity }]);
    subject.record(events);
    assert!(!subject.session.open);
    for delivery in [1, 2] {
        assert!(!subject.session.is_done());
        subject.record([Event::Taken { delivery }]);
    }
    assert!(subject.session.is_done());
    assert_eq!(subject.replayed(), subject.session);
}

#[test]
fn ids_that_the_log_does_not_list_are_found_in_the_session() {
    let mut subject = Subject::new(OnUnknown::Resend);
    let long_ago = subject.now;
    subject.accept("forgotten", 1);
    subject.accept("forgotten and sent", 1);
    for (number, id) in [(MessageNo(1), "x"), (MessageNo(2), "y")] {
        let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
        subject.record([event]);
        if number == MessageNo(1) {
            // It returns to the front of the queue.
            subject.outcome(number, 0, Outcome::NotSent);
            let event = subject.session.submit(&subject.policy, subject.now, 1).unwrap();
            subject.record([event]);
        }
        subject.outcome(number, 0, Outcome::Taken(id.into()));
    }
    subject.accept("forgotten in the queue", 1);
    subject.now = subject.now.plus_ms(60_000);
    subject.accept("listed", 1);
    subject.now = subject.now.plus_ms(60_000);
    subject.accept("of this batch", 1);
    subject.accept("of this batch, too", 1);
    let has = |id: &str| subject.session.has_unindexed_id(&id.into(), subject.now, long_ago);
    for id in
        ["forgotten", "forgotten and sent", "forgotten in the queue", "of this batch", "of this batch, too"]
    {
        assert!(has(id), "{id}");
    }
    // Callers have asked the log before.
    assert!(!has("listed") && !has("nobody's"));
}

#[test]
fn a_session_is_taken_over_only_when_asked() {
    let mut subject = Subject::new(OnUnknown::Resend);
    let events = subject.session.open_for((StreamId(1), &identity()), "ann", false).unwrap();
    subject.record(events);
    assert!(matches!(
        subject.session.open_for((StreamId(1), &identity()), "bob", false),
        Err(crate::Refusal::Held { handler, .. }) if &*handler == "ann"
    ));
    let events = subject.session.open_for((StreamId(1), &identity()), "bob", true).unwrap();
    subject.record(events);
    assert_eq!(subject.session.handler, Arc::from("bob"));
    assert_eq!(subject.session.counters.sessions, 1);
}

#[test]
fn the_pause_between_two_parts_does_not_outlive_a_clock_that_goes_back() {
    let mut subject = Subject::new(OnUnknown::Resend);
    subject.policy.pair_interval_ms = 6_000;
    subject.accept("a", 2);
    subject.submit();
    let due = |now: u64| subject.session.due_parts(&subject.policy, Timestamp(now), 9).is_some();
    assert_eq!([1_000_000, 1_005_999, 1_006_000, 400_000].map(due), [false, false, true, true]);
}
