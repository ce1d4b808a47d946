//! The rules of a session one by one, with the other side's octets written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by a panic"
)]

use channels::smpp::{
    CloseReason, NoReply, PeerConfig, SubmitError, Warning,
    frame::{Frames, PDU_BYTES_MAX},
    pdu::{self, *},
    session::{Config, Session, SessionEvent},
    status, tlv,
};

type Event = SessionEvent<u32>;

fn config() -> Config {
    Config { system_id: "me".into(), password: "s3cret".into(), ..Config::default() }
}

fn fresh(config: &Config) -> Session<u32> {
    Session::new(config, 0, 0).unwrap()
}

/// Returns the session's PDUs since the last call: command, status, sequence number, body.
fn sent(session: &mut Session<u32>) -> Vec<(CommandId, u32, u32, Vec<u8>)> {
    let mut frames = Frames::new(PDU_BYTES_MAX);
    frames.push(session.peer().transmit());
    session.peer_mut().transmitted(usize::MAX);
    let mut seen = Vec::new();
    while let Some(frame) = frames.next_frame().unwrap() {
        seen.push((frame.header.command, frame.header.status, frame.header.sequence, frame.body.to_vec()));
    }
    assert!(!frames.is_partial());
    seen
}

fn octets(command: CommandId, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pdu::write_frame(PduHeader { command, status, sequence }, body, &mut out).unwrap();
    out
}

fn receive(session: &mut Session<u32>, command: CommandId, status: u32, sequence: u32, body: &[u8]) {
    session.handle_bytes(&octets(command, status, sequence, body), 0);
}

fn events(session: &mut Session<u32>) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn bound_with(config: &Config) -> Session<u32> {
    bind(fresh(config), config)
}

fn bind(mut session: Session<u32>, config: &Config) -> Session<u32> {
    assert_eq!(sent(&mut session).len(), 1);
    receive(&mut session, config.bind.command().reply(), 0, 1, b"smsc\0");
    assert!(matches!(events(&mut session)[..], [Event::Bound { peer_version: None, .. }]));
    session
}

fn bound() -> Session<u32> {
    bound_with(&config())
}

fn submit(session: &mut Session<u32>, token: u32) -> u32 {
    session.submit(token, &ShortMessage { short_message: b"hello", ..ShortMessage::default() }, 0).unwrap();
    let [(CommandId::SUBMIT_SM, 0, sequence, _)] = sent(session)[..] else { panic!("one submit_sm") };
    sequence
}

fn deliver_body() -> Vec<u8> {
    let mut out = Vec::new();
    let message = ShortMessage { short_message: b"hi", ..ShortMessage::default() };
    pdu::write(&Pdu::DeliverSm(message), 0, 1, &mut out).unwrap();
    out.split_off(16)
}

#[test]
fn the_bind_goes_first_and_nothing_else_before_its_reply() {
    let mut session = fresh(&config());
    let [(CommandId::BIND_TRANSCEIVER, 0, 1, body)] = &sent(&mut session)[..] else { panic!("one bind") };
    assert_eq!(body, b"me\0s3cret\0\0\x34\0\0\0");
    assert_eq!(session.submit(1, &ShortMessage::default(), 0), Err(SubmitError::NotBound));
    assert_eq!(session.window_free(), 0);
    receive(&mut session, CommandId::BIND_TRANSCEIVER.reply(), 0, 1, b"smsc\0\x02\x10\0\x01\x50");
    let [Event::Bound { system_id, peer_version }] = &events(&mut session)[..] else { panic!("bound") };
    assert_eq!((&system_id[..], *peer_version), (&b"smsc"[..], Some(0x50)));
    assert_eq!(session.window_free(), 10);
    assert!(!format!("{session:?}{:?}", config()).contains("s3cret"));
}

#[test]
fn what_cannot_be_bound_with_is_refused_at_once() {
    let long = Config { system_id: "x".repeat(16), ..config() };
    assert!(Session::<u32>::new(&long, 0, 0).unwrap_err().to_string().starts_with("system_id has 16"));
}

#[test]
fn binds_that_fail_say_why() {
    let refused = |command: CommandId, status| {
        let mut session = fresh(&config());
        receive(&mut session, command, status, 1, b"");
        events(&mut session)
    };
    let closed = |reason| vec![Event::Closed { reason }];
    assert_eq!(refused(CommandId(0x8000_0009), 0x0E), closed(CloseReason::BindRefused(0x0E)));
    assert_eq!(refused(CommandId::GENERIC_NACK, 0x03), closed(CloseReason::BindRefused(0x03)));
    assert_eq!(refused(CommandId::GENERIC_NACK, 0), closed(CloseReason::BindRefused(0x0D)));
    let mut silent = fresh(&config());
    assert_eq!(silent.poll_timeout(), Some(30_000));
    silent.handle_timeout(29_999);
    assert_eq!(events(&mut silent), []);
    silent.handle_timeout(30_000);
    assert_eq!(events(&mut silent), closed(CloseReason::BindTimeout));
    let mut broken = fresh(&config());
    broken.handle_eof(5);
    assert_eq!(events(&mut broken), closed(CloseReason::Eof));
    assert_eq!(broken.poll_timeout(), None);
}

#[test]
fn a_receiver_cannot_submit_and_a_transmitter_is_not_delivered_to() {
    let mut receiver = bound_with(&Config { bind: BindKind::Receiver, ..config() });
    assert_eq!(receiver.submit(1, &ShortMessage::default(), 0), Err(SubmitError::WrongBind));
    let mut transmitter = bound_with(&Config { bind: BindKind::Transmitter, ..config() });
    receive(&mut transmitter, CommandId::DELIVER_SM, 0, 9, &deliver_body());
    assert_eq!(sent(&mut transmitter), [(CommandId::DELIVER_SM.reply(), 0x04, 9, vec![0])]);
    assert_eq!(events(&mut transmitter), [Event::Protocol(Warning::WrongState(CommandId::DELIVER_SM))]);
}

#[test]
fn answers_come_in_any_order_and_errors_without_a_body() {
    let mut session = bound();
    let (first, second, third) = (submit(&mut session, 1), submit(&mut session, 2), submit(&mut session, 3));
    receive(&mut session, CommandId::SUBMIT_SM.reply(), 0, third, b"id-3\0");
    receive(&mut session, CommandId::GENERIC_NACK, 0x45, second, b"");
    let words = [&b"\0\0\x1D\0\x04slow\x04\x28\0\x01\x55"[..]].concat();
    receive(&mut session, CommandId::SUBMIT_SM.reply(), 0x58, first, &words);
    let seen = events(&mut session);
    let answers: Vec<(u32, u32, &[u8])> = seen
        .iter()
        .filter_map(|event| match event {
            Event::Answered { token, answer } => Some((*token, answer.status, &answer.message_id[..])),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(3, 0, &b"id-3"[..]), (2, 0x45, b""), (1, 0x58, b"")]);
    let Some(Event::Answered { answer, .. }) = seen.last() else { panic!("an answer last") };
    assert_eq!(answer.tlvs().get(tlv::ADDITIONAL_STATUS_INFO_TEXT).unwrap().text(), b"slow");
    assert!(seen.contains(&Event::Congestion { state: 0x55 }));
    assert_eq!(session.window_free(), 10);
    assert_eq!(session.peer().counters().salvaged, 0);
}

#[test]
fn an_error_without_a_body_is_no_repair_and_a_nack_is_never_a_success() {
    let mut session = bound();
    let (first, second) = (submit(&mut session, 1), submit(&mut session, 2));
    receive(&mut session, CommandId::SUBMIT_SM.reply(), 0x45, first, b"");
    receive(&mut session, CommandId::GENERIC_NACK, 0, second, b"");
    let seen = events(&mut session);
    let [Event::Answered { answer: error, .. }, Event::Answered { answer: nack, .. }] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((error.status, nack.status, session.peer().counters().salvaged), (0x45, 0xFF, 0));
    let third = submit(&mut session, 3);
    receive(&mut session, CommandId::SUBMIT_SM.reply(), 0, third, b"");
    let [Event::Answered { answer, .. }] = &events(&mut session)[..] else { panic!("answered") };
    assert_eq!((answer.status, answer.message_id.len(), session.peer().counters().salvaged), (0, 0, 1));
}

#[test]
fn replies_to_nothing_or_of_the_wrong_kind_answer_nothing() {
    let mut session = bound();
    let sequence = submit(&mut session, 1);
    receive(&mut session, CommandId::SUBMIT_SM.reply(), 0, sequence + 1, b"x\0");
    receive(&mut session, CommandId::DELIVER_SM.reply(), 0, sequence, b"\0");
    receive(&mut session, CommandId(0x8000_0111), 0, sequence, b"");
    assert_eq!(session.peer().counters().unknown_replies, 3);
    assert!(
        events(&mut session).iter().all(|event| matches!(event, Event::Protocol(Warning::UnknownReply(..))))
    );
    assert_eq!((session.peer().window_used(), sent(&mut session)), (1, vec![]));
}

#[test]
fn a_missing_answer_is_in_doubt_and_a_late_one_settles_it() {
    let mut session = bound();
    let sequence = submit(&mut session, 7);
    assert_eq!(session.poll_timeout(), Some(30_000));
    session.handle_timeout(30_000);
    let enquiry = sent(&mut session)[0].2;
    session.handle_bytes(&octets(CommandId::ENQUIRE_LINK.reply(), 0, enquiry, b""), 59_999);
    session.handle_timeout(59_999);
    assert_eq!(events(&mut session), []);
    session.handle_timeout(60_000);
    assert_eq!(events(&mut session), [Event::Unanswered { token: 7, cause: NoReply::Timeout }]);
    assert_eq!((session.window_free(), session.peer().counters().timed_out), (10, 1));
    session.handle_bytes(&octets(CommandId::SUBMIT_SM.reply(), 0, sequence, b"late\0"), 61_000);
    let [Event::LateAnswer { token: 7, answer }] = &events(&mut session)[..] else { panic!("late") };
    assert_eq!(&answer.message_id[..], b"late");
    session.handle_bytes(&octets(CommandId::SUBMIT_SM.reply(), 0, sequence, b"late\0"), 62_000);
    assert!(matches!(events(&mut session)[..], [Event::Protocol(Warning::UnknownReply(..))]));
}

#[test]
fn the_link_is_asked_for_life_only_when_quiet_and_is_dead_without_it() {
    let mut session = bound();
    session.handle_bytes(&octets(CommandId::ENQUIRE_LINK, 0, 0xFFFF_FFFF, b""), 20_000);
    assert_eq!(sent(&mut session), [(CommandId::ENQUIRE_LINK.reply(), 0, 0xFFFF_FFFF, vec![])]);
    assert_eq!(session.poll_timeout(), Some(50_000));
    session.handle_timeout(49_999);
    assert_eq!(sent(&mut session), []);
    session.handle_timeout(50_000);
    assert!(matches!(sent(&mut session)[..], [(CommandId::ENQUIRE_LINK, 0, 2, _)]));
    session.submit(1, &ShortMessage::default(), 109_000).unwrap();
    assert_eq!(session.poll_timeout(), Some(110_000));
    session.handle_timeout(110_000);
    let expected = [
        Event::Unanswered { token: 1, cause: NoReply::LinkLost },
        Event::Closed { reason: CloseReason::NoEnquireReply },
    ];
    assert_eq!(events(&mut session), expected);
}

#[test]
fn silence_and_half_a_pdu_end_the_session() {
    let peer = PeerConfig { enquire_link_ms: 0, ..PeerConfig::default() };
    let mut silent = bound_with(&Config { peer, ..config() });
    assert_eq!(silent.poll_timeout(), Some(300_000));
    silent.handle_timeout(300_000);
    assert_eq!(events(&mut silent), [Event::Closed { reason: CloseReason::Inactive }]);
    let mut stalled = bound();
    let pdu = octets(CommandId::ENQUIRE_LINK, 0, 1, b"");
    stalled.handle_bytes(&pdu[..5], 1_000);
    stalled.handle_bytes(&pdu[5..15], 9_000);
    assert_eq!(stalled.poll_timeout(), Some(11_000));
    stalled.handle_timeout(11_000);
    assert_eq!(events(&mut stalled), [Event::Closed { reason: CloseReason::Stalled }]);
}

#[test]
fn lengths_that_no_pdu_has_end_the_session() {
    for length in [0u32, 15, PDU_BYTES_MAX as u32 + 1, 1 << 31, u32::MAX] {
        let mut session = bound();
        submit(&mut session, 1);
        session.handle_bytes(&length.to_be_bytes(), 0);
        let seen = events(&mut session);
        assert_eq!(seen.first(), Some(&Event::Unanswered { token: 1, cause: NoReply::LinkLost }));
        assert!(matches!(seen[1..], [Event::Closed { reason: CloseReason::Framing(_) }]), "{seen:?}");
        session.handle_bytes(&octets(CommandId::ENQUIRE_LINK, 0, 1, b""), 0);
        assert_eq!((sent(&mut session), events(&mut session)), (vec![], vec![]));
    }
}

#[test]
fn bad_requests_are_refused_in_kind_and_the_session_goes_on() {
    let good = deliver_body();
    for (command, body, reply, code) in [
        (CommandId::DELIVER_SM, &good[..3], CommandId::DELIVER_SM.reply(), 0x02),
        (CommandId::DELIVER_SM, b"", CommandId::DELIVER_SM.reply(), 0x02),
        (CommandId::DATA_SM, b"\0\0", CommandId::DATA_SM.reply(), 0x02),
        (CommandId(0x111), b"", CommandId::GENERIC_NACK, 0x03),
        (CommandId(0x7FFF_FFFF), b"xyz", CommandId::GENERIC_NACK, 0x03),
        (CommandId(0), b"", CommandId::GENERIC_NACK, 0x03),
        (CommandId::SUBMIT_SM, b"", CommandId::SUBMIT_SM.reply(), 0x04),
        (CommandId::SUBMIT_MULTI, b"", CommandId::SUBMIT_MULTI.reply(), 0x04),
        (CommandId::BIND_RECEIVER, b"", CommandId::BIND_RECEIVER.reply(), 0x04),
        (CommandId::QUERY_SM, b"", CommandId::QUERY_SM.reply(), 0x04),
    ] {
        let mut session = bound();
        receive(&mut session, command, 0, 0x8000_0001, body);
        let seen = sent(&mut session);
        assert_eq!((seen[0].0, seen[0].1, seen[0].2, seen.len()), (reply, code, 0x8000_0001, 1), "{command}");
        assert!(matches!(events(&mut session)[..], [Event::Protocol(_)]), "{command}");
        receive(&mut session, CommandId::DELIVER_SM, 0, 2, &good);
        assert!(matches!(events(&mut session)[..], [Event::Delivered { .. }]), "{command}");
    }
    let mut session = bound();
    receive(&mut session, CommandId::OUTBIND, 0, 1, b"smsc\0pw\0");
    receive(&mut session, CommandId::ALERT_NOTIFICATION, 0, 1, b"");
    assert_eq!(events(&mut session), [Event::Protocol(Warning::Outbind), Event::Protocol(Warning::Alert)]);
    assert_eq!((sent(&mut session), session.is_bound()), (vec![], true));
}

#[test]
fn deliveries_are_acknowledged_by_the_caller_in_any_order_with_any_status() {
    let mut session = bound();
    let mut clipped = deliver_body();
    clipped.pop();
    receive(&mut session, CommandId::DELIVER_SM, 0, 5, &deliver_body());
    receive(&mut session, CommandId::DELIVER_SM, 0, 0xFFFF_FFFE, &clipped);
    let seen = events(&mut session);
    assert_eq!(
        (sent(&mut session).len(), session.peer().unacknowledged(), session.peer().counters().salvaged),
        (0, 2, 1)
    );
    let mut acks = Vec::new();
    for (event, text) in seen.into_iter().zip([&b"hi"[..], b"h"]) {
        let Event::Delivered { ack, message } = event else { panic!("{event:?}") };
        assert_eq!(message.message().text(), text);
        acks.push(ack);
    }
    session.ack(acks.pop().unwrap(), status::RETRY_LATER, 0);
    session.ack(acks.pop().unwrap(), 0, 0);
    let reply = CommandId::DELIVER_SM.reply();
    assert_eq!(sent(&mut session), [(reply, 0x64, 0xFFFF_FFFE, vec![0]), (reply, 0, 5, vec![0])]);
    assert_eq!(session.peer().unacknowledged(), 0);
}

#[test]
fn an_acknowledgement_for_an_earlier_connection_does_nothing() {
    let mut old = bound();
    receive(&mut old, CommandId::DELIVER_SM, 0, 1, &deliver_body());
    let Some(Event::Delivered { ack, .. }) = old.poll_event() else { panic!("delivered") };
    let mut new = bind(Session::new(&config(), 1, 0).unwrap(), &config());
    receive(&mut new, CommandId::DELIVER_SM, 0, 1, &deliver_body());
    new.ack(ack, 0, 0);
    assert_eq!((sent(&mut new), new.peer().unacknowledged()), (vec![], 1));
}

#[test]
fn too_many_unacknowledged_deliveries_stop_reading_then_are_refused() {
    let peer = PeerConfig { inbound_max: 2, inbound_full_status: status::THROTTLED, ..PeerConfig::default() };
    let mut session = bound_with(&Config { peer, ..config() });
    submit(&mut session, 1);
    for sequence in 1..=5 {
        assert_eq!(session.peer().wants_read(), sequence <= 2);
        receive(&mut session, CommandId::DELIVER_SM, 0, sequence, &deliver_body());
    }
    assert_eq!(sent(&mut session), [(CommandId::DELIVER_SM.reply(), 0x58, 5, vec![0])]);
    assert_eq!((session.peer().unacknowledged(), session.peer().counters().refused), (4, 1));
    // While reading is paused, the peer's silence means nothing.
    assert_eq!(session.poll_timeout(), None);
    session.handle_timeout(500_000);
    let mut acks: Vec<_> = events(&mut session)
        .into_iter()
        .map(|event| match event {
            Event::Delivered { ack, .. } => ack,
            other => panic!("{other:?}"),
        })
        .collect();
    while let Some(ack) = acks.pop() {
        session.ack(ack, 0, 500_000);
    }
    assert!(session.peer().wants_read());
    session.handle_timeout(559_999);
    assert!(events(&mut session).is_empty());
    session.handle_timeout(560_000);
    assert_eq!(events(&mut session), [Event::Unanswered { token: 1, cause: NoReply::Timeout }]);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    let mut session = bound();
    let flood = octets(CommandId::ENQUIRE_LINK, 0, 1, b"").repeat(4_096);
    let mut rounds = 0;
    while session.peer().wants_read() {
        session.handle_bytes(&flood, 0);
        rounds += 1;
        assert!(rounds < 100, "without a limit");
    }
    assert_eq!(
        (session.window_free(), session.submit(1, &ShortMessage::default(), 0)),
        (0, Err(SubmitError::WindowFull))
    );
    session.peer_mut().transmitted(usize::MAX);
    assert!(session.peer().wants_read() && session.window_free() == 10);
}

#[test]
fn the_peer_unbinds() {
    let mut session = bound();
    submit(&mut session, 1);
    receive(&mut session, CommandId::UNBIND, 0, 3, b"");
    assert_eq!(sent(&mut session), [(CommandId::UNBIND.reply(), 0, 3, vec![])]);
    let expected = [
        Event::Unanswered { token: 1, cause: NoReply::LinkLost },
        Event::Closed { reason: CloseReason::PeerUnbound },
    ];
    assert_eq!(events(&mut session), expected);
}

#[test]
fn closing_unbinds_takes_last_answers_and_waits_only_so_long() {
    let closed = Event::Closed { reason: CloseReason::Requested };
    let mut session = bound();
    let sequence = submit(&mut session, 1);
    session.close(1_000);
    session.close(2_000);
    let [(CommandId::UNBIND, 0, unbind, _)] = sent(&mut session)[..] else { panic!("one unbind") };
    assert_eq!(session.submit(2, &ShortMessage::default(), 0), Err(SubmitError::NotBound));
    receive(&mut session, CommandId::DELIVER_SM, 0, 1, &deliver_body());
    assert_eq!(sent(&mut session)[0].1, status::RETRY_LATER);
    receive(&mut session, CommandId::GENERIC_NACK, 0x08, sequence, b"");
    assert!(matches!(events(&mut session)[..], [Event::Answered { token: 1, .. }]));
    assert_eq!(session.poll_timeout(), Some(6_000));
    receive(&mut session, CommandId::UNBIND.reply(), 0, unbind, b"");
    assert_eq!(events(&mut session), [closed]);
    let mut mute = bound();
    mute.close(1_000);
    mute.handle_timeout(6_000);
    assert_eq!(events(&mut mute), [Event::Closed { reason: CloseReason::Requested }]);
}

#[test]
fn queries_are_answered_or_fail() {
    let mut session = bound();
    let query = QuerySm { message_id: b"77", ..QuerySm::default() };
    for token in 0..3 {
        session.query(token, &query, 0).unwrap();
    }
    let sequences: Vec<u32> = sent(&mut session).iter().map(|pdu| pdu.2).collect();
    let reply = CommandId::QUERY_SM.reply();
    receive(&mut session, reply, 0, sequences[0], b"77\0\0\x02\x00");
    receive(&mut session, reply, 0x67, sequences[1], b"");
    receive(&mut session, reply, 0, sequences[2], b"77\0");
    let answers: Vec<(u32, u32, u8)> = events(&mut session)
        .into_iter()
        .filter_map(|event| match event {
            Event::QueryAnswered { token, answer } => Some((token, answer.status, answer.message_state)),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(0, 0, 2), (1, 0x67, 0), (2, 0xFF, 0)]);
}

#[test]
fn a_part_that_cannot_be_written_fails_alone() {
    let mut session = bound();
    let long = [b'1'; 21];
    let bad =
        ShortMessage { destination: Address { ton: 1, npi: 1, text: &long }, ..ShortMessage::default() };
    assert!(matches!(session.submit(1, &bad, 0), Err(SubmitError::Invalid(_))));
    assert_eq!((sent(&mut session), session.window_free()), (vec![], 10));
    submit(&mut session, 2);
}
