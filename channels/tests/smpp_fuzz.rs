//! Damaged streams against both ends of a connection: no panic, no invalid PDU from us, no outcome
//! lost or reported twice. `SEED=` repeats a run, `FUZZ_SECONDS=` sets its length (1 by default).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by a panic"
)]

use std::time::Duration;

use bytes::BytesMut;
use channels::smpp::{
    frame::{Frames, PDU_BYTES_MAX},
    pdu::{self, *},
    server::{Server, ServerConfig, ServerEvent},
    session::{Config, Session, SessionEvent},
    tlv,
};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

const PARTS: u32 = 5;

fn below(rng: &mut Pcg64Mcg, limit: usize) -> usize {
    usize::try_from(rng.next_u32()).unwrap() % limit.max(1)
}

/// Valid PDUs of every kind, with sequence numbers that match waiting requests.
fn stream(rng: &mut Pcg64Mcg, bind: Pdu<'_>) -> Vec<u8> {
    let tlvs = [
        Tlv { tag: tlv::MESSAGE_PAYLOAD, value: &[b'x'; 300] },
        Tlv { tag: tlv::CONGESTION_STATE, value: &[90] },
        Tlv { tag: 0x1401, value: b"vendor" },
    ];
    let reply = IdReply { message_id: b"2A5F3C01", tlvs: Tlvs::list(&tlvs[1..]) };
    let address = Address { ton: 1, npi: 1, text: b"201000000001" };
    let message = ShortMessage { source: address, short_message: b"id:1 stat:DELIVRD", ..Default::default() };
    let data = DataSm { source: address, tlvs: Tlvs::list(&tlvs), ..DataSm::default() };
    let query = QueryReply { message_id: b"1", final_date: b"", message_state: 2, error_code: 0 };
    let kinds = [
        Pdu::SubmitSmResp(reply),
        Pdu::DeliverSmResp(IdReply::default()),
        Pdu::QuerySmResp(query),
        Pdu::DeliverSm(message),
        Pdu::SubmitSm(message),
        Pdu::DataSm(data),
        Pdu::DataSmResp(reply),
        Pdu::EnquireLink,
        Pdu::EnquireLinkResp,
        Pdu::GenericNack,
        Pdu::QuerySm(QuerySm { message_id: b"1", source: address }),
        Pdu::SubmitMulti(b"whatever"),
        Pdu::AlertNotification(Alert { source: address, esme: address, tlvs: Tlvs::default() }),
        Pdu::Unknown(CommandId(0x111), b"broadcast"),
        Pdu::UnbindResp,
        Pdu::Unbind,
    ];
    let mut out = Vec::new();
    pdu::write(&bind, 0, 1, &mut out).unwrap();
    for _ in 0..below(rng, 20) {
        // Unbind, the last kind, is rare: it ends the session.
        let kind = below(rng, kinds.len() * 8).min(kinds.len() * 8 - 1);
        let kind = if kind == 0 { kinds.len() - 1 } else { kind % (kinds.len() - 1) };
        let sequence = u32::try_from(below(rng, 12)).unwrap();
        let status = [0, 0, 0, 0x58, 0x45, 0xFFFF_FFFF][below(rng, 6)];
        pdu::write(&kinds[kind], status, sequence, &mut out).unwrap();
    }
    out
}

fn damage(rng: &mut Pcg64Mcg, stream: &mut Vec<u8>) {
    if stream.is_empty() {
        stream.push(0);
    }
    for _ in 0..below(rng, 6) {
        let at = below(rng, stream.len());
        match below(rng, 6) {
            0 => stream[at] = 0,
            1 => stream[at] = 0xFF,
            2 => stream[at] ^= 1 << below(rng, 8),
            3 => stream.truncate(at.max(1)),
            4 => {
                stream.remove(at);
            }
            _ => stream.insert(at, 0),
        }
        if stream.is_empty() {
            stream.push(0);
        }
    }
}

/// Truncates the body of one PDU and corrects its length: damage that framing does not detect.
fn cut_a_body(rng: &mut Pcg64Mcg, stream: &mut Vec<u8>) {
    let mut frames = Frames::new(PDU_BYTES_MAX);
    frames.push(stream);
    let mut all = Vec::new();
    while let Ok(Some(frame)) = frames.next_frame() {
        all.push(frame);
    }
    let which = below(rng, all.len());
    stream.clear();
    for (at, frame) in all.iter().enumerate() {
        let keep = if at == which && at > 0 { below(rng, frame.body.len() + 1) } else { frame.body.len() };
        pdu::write_frame(frame.header, &frame.body[..keep], stream).unwrap();
    }
}

fn assert_pdus(output: &[u8]) {
    let mut frames = Frames::new(PDU_BYTES_MAX);
    frames.push(output);
    while let Some(frame) = frames.next_frame().expect("our own framing") {
        let read = Pdu::read(frame.header.command, frame.header.status, &frame.body);
        assert!(read.is_ok(), "our own {:?}: {read:?}", frame.header);
    }
    assert!(!frames.is_partial(), "half a PDU");
}

fn feed(rng: &mut Pcg64Mcg, mut stream: &[u8], mut take: impl FnMut(&[u8])) {
    while !stream.is_empty() {
        let (piece, rest) = stream.split_at(1 + below(rng, stream.len().min(400)));
        take(piece);
        stream = rest;
    }
}

fn attack_session(rng: &mut Pcg64Mcg) {
    let bind = Pdu::BindResp(BindKind::Transceiver, BindReply { system_id: b"smsc", tlvs: Tlvs::default() });
    let mut config = Config { system_id: "me".into(), ..Config::default() };
    config.peer.inbound_max = 2;
    let mut session: Session<u32> = Session::new(&config, 0, 0).unwrap();
    let mut bytes = stream(rng, bind);
    cut_a_body(rng, &mut bytes);
    let head = 16 + usize::from(bytes[3]).saturating_sub(16);
    let (head, rest) = bytes.split_at(head.min(bytes.len()));
    session.handle_bytes(head, 0);
    let part = ShortMessage { short_message: b"hello", ..ShortMessage::default() };
    let submitted = (0..PARTS).filter(|token| session.submit(*token, &part, 0).is_ok()).count();
    session.query(PARTS, &QuerySm { message_id: b"1", ..QuerySm::default() }, 0).ok();
    assert_eq!(submitted, 5);
    let mut rest = rest.to_vec();
    damage(rng, &mut rest);
    let mut outcomes = [0; PARTS as usize + 1];
    let mut closed = 0;
    let mut now = 0;
    let mut output = BytesMut::new();
    feed(rng, &rest, |piece| {
        now += 1_000;
        session.handle_bytes(piece, now);
        session.handle_timeout(now);
        take_session(&mut session, &mut outcomes, &mut closed, now);
    });
    let mut rounds = 0;
    while let Some(due) = session.poll_timeout() {
        now = now.max(due);
        session.handle_timeout(now);
        take_session(&mut session, &mut outcomes, &mut closed, now);
        rounds += 1;
        assert!(rounds < 100, "a deadline that is never done with");
    }
    session.handle_eof(now);
    take_session(&mut session, &mut outcomes, &mut closed, now);
    session.peer_mut().take_output(&mut output);
    assert_pdus(&output);
    assert_eq!((outcomes, closed), ([1; PARTS as usize + 1], 1));
}

fn take_session(session: &mut Session<u32>, outcomes: &mut [u32], closed: &mut u32, now: u64) {
    while let Some(event) = session.poll_event() {
        match event {
            SessionEvent::Answered { token, .. }
            | SessionEvent::QueryAnswered { token, .. }
            | SessionEvent::Unanswered { token, .. } => outcomes[token as usize] += 1,
            SessionEvent::Delivered { ack, message } => {
                let message = message.message();
                assert!(message.tlvs.iter().count() * 4 <= message.tlvs.as_wire().unwrap().len());
                session.ack(ack, 0, now);
            }
            SessionEvent::Closed { .. } => *closed += 1,
            _ => {}
        }
    }
}

fn attack_server(rng: &mut Pcg64Mcg) {
    let bind = Pdu::Bind(BindKind::Transceiver, Bind { system_id: b"me", ..Bind::default() });
    let mut server: Server<u32> = Server::new(ServerConfig::default(), 0);
    let mut bytes = stream(rng, bind);
    cut_a_body(rng, &mut bytes);
    let mut rest = bytes.split_off(usize::from(bytes[3]).min(bytes.len()));
    damage(rng, &mut rest);
    server.handle_bytes(&bytes, 0);
    let mut outcomes = [0; PARTS as usize];
    let mut output = BytesMut::new();
    let mut closed = 0;
    let mut take = |server: &mut Server<u32>| {
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Bind(request) => {
                    server.accept_bind(&request);
                    for token in 0..PARTS {
                        server.deliver(token, &ShortMessage::default(), 0).unwrap();
                    }
                }
                ServerEvent::Submitted { reply, .. } => server.reply_submit(reply, 0, b"7", 0).unwrap(),
                ServerEvent::Requested { reply, .. } => server.refuse(reply, 0x03, 0),
                ServerEvent::Answered { token, .. } | ServerEvent::Unanswered { token, .. } => {
                    outcomes[token as usize] += 1;
                }
                ServerEvent::Closed { .. } => closed += 1,
                _ => {}
            }
        }
    };
    take(&mut server);
    feed(rng, &rest, |piece| {
        server.handle_bytes(piece, 1);
        take(&mut server);
    });
    server.handle_eof(2);
    take(&mut server);
    server.peer_mut().take_output(&mut output);
    assert_pdus(&output);
    assert_eq!((outcomes, closed), ([1; PARTS as usize], 1));
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the length of the run is real time; its content is the seed's")]
fn damaged_streams_do_no_harm() {
    let seconds = number("FUZZ_SECONDS").unwrap_or(1);
    let started = std::time::Instant::now();
    let once = number("SEED");
    let base = once.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_secs().wrapping_mul(1_000_000_007)
    });
    let mut runs = 0u64;
    loop {
        let seed = base.wrapping_add(runs);
        let attack = || {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            attack_session(&mut rng);
            attack_server(&mut rng);
        };
        if std::panic::catch_unwind(attack).is_err() {
            panic!("repeat with SEED={seed}");
        }
        runs += 1;
        if once.is_some() || started.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
    }
    println!("{runs} streams from SEED={base}");
    assert!(once.is_some() || runs > 100, "only {runs} runs");
}
