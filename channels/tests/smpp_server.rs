//! The server's side as simulators use it, against a real session.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by a panic")]

use bytes::BytesMut;
use channels::smpp::{
    CloseReason, NoReply, SubmitError,
    pdu::*,
    server::{Server, ServerConfig, ServerEvent},
    session::{Config, Session, SessionEvent},
    status, tlv,
};

struct Pair {
    session: Session<u32>,
    server: Server<u32>,
}

impl Pair {
    fn connected(bind: BindKind) -> Self {
        let config = Config { bind, system_id: "me".into(), password: "pw".into(), ..Config::default() };
        Self {
            session: Session::new(&config, 0, 0).unwrap(),
            server: Server::new(ServerConfig::default(), 0),
        }
    }

    fn bound(bind: BindKind) -> Self {
        let mut pair = Self::connected(bind);
        let request = pair.bind_request();
        pair.server.accept_bind(&request);
        assert_eq!(pair.server.bound(), Some(bind));
        assert!(matches!(pair.at_session()[..], [SessionEvent::Bound { .. }]));
        pair
    }

    fn bind_request(&mut self) -> channels::smpp::server::BindRequest {
        match self.at_server().pop() {
            Some(ServerEvent::Bind(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn at_server(&mut self) -> Vec<ServerEvent<u32>> {
        let mut wire = BytesMut::new();
        self.session.peer_mut().take_output(&mut wire);
        self.server.handle_bytes(&wire, 0);
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }

    fn at_session(&mut self) -> Vec<SessionEvent<u32>> {
        let mut wire = BytesMut::new();
        self.server.peer_mut().take_output(&mut wire);
        self.session.handle_bytes(&wire, 0);
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }
}

#[test]
fn a_refused_bind_may_be_tried_again_and_a_second_one_is_refused() {
    let mut pair = Pair::connected(BindKind::Transceiver);
    let request = pair.bind_request();
    assert_eq!((request.kind(), request.bind().password), (BindKind::Transceiver, &b"pw"[..]));
    assert!(!format!("{request:?}").contains("pw"));
    pair.server.refuse_bind(&request, status::ALREADY_BOUND);
    let expected = [SessionEvent::Closed { reason: CloseReason::BindRefused(0x05) }];
    assert_eq!(pair.at_session(), expected);
    assert_eq!(pair.server.poll_timeout(), Some(30_000));
    let config = Config { bind: BindKind::Receiver, ..Config::default() };
    pair.session = Session::new(&config, 1, 0).unwrap();
    let request = pair.bind_request();
    pair.server.accept_bind(&request);
    pair.session = Session::new(&config, 2, 0).unwrap();
    assert!(matches!(pair.at_server()[..], [ServerEvent::Protocol(_)]));
    assert_eq!(pair.server.bound(), Some(BindKind::Receiver));
}

#[test]
fn without_a_bind_the_connection_ends_and_nothing_is_taken() {
    let mut server: Server<u32> = Server::new(ServerConfig::default(), 0);
    let mut submit = Vec::new();
    write(&Pdu::SubmitSm(ShortMessage::default()), 0, 3, &mut submit).unwrap();
    server.handle_bytes(&submit, 0);
    assert_eq!(server.peer().transmit(), b"\0\0\0\x10\x80\0\0\x04\0\0\0\x04\0\0\0\x03");
    assert_eq!(server.deliver(1, &ShortMessage::default(), 0), Err(SubmitError::NotBound));
    server.handle_timeout(30_000);
    let last = std::iter::from_fn(|| server.poll_event()).last();
    assert!(matches!(last, Some(ServerEvent::Closed { reason: CloseReason::BindTimeout })), "{last:?}");
}

#[test]
fn every_request_reaches_the_server_and_its_answer_comes_back() {
    let mut pair = Pair::bound(BindKind::Transceiver);
    let payload = [Tlv { tag: tlv::MESSAGE_PAYLOAD, value: &[b'x'; 1_000] }];
    let data = DataSm { tlvs: Tlvs::list(&payload), data_coding: 4, ..DataSm::default() };
    let session = &mut pair.session;
    session.submit(0, &ShortMessage { short_message: b"a", ..ShortMessage::default() }, 0).unwrap();
    session.submit_data(1, &data, 0).unwrap();
    session.query(2, &QuerySm { message_id: b"9", ..QuerySm::default() }, 0).unwrap();
    session.cancel(3, &CancelSm { message_id: b"9", ..CancelSm::default() }, 0).unwrap();
    session.replace(4, &ReplaceSm { message_id: b"9", ..ReplaceSm::default() }, 0).unwrap();
    let mut events = pair.at_server();
    events.reverse();
    for event in events {
        match event {
            ServerEvent::Submitted { reply, message } => {
                let id: &[u8] = if message.command() == CommandId::DATA_SM { b"data" } else { b"sm" };
                assert_eq!(message.message().text().len(), if id == b"data" { 1_000 } else { 1 });
                pair.server.reply_submit(reply, 0, id, 0).unwrap();
            }
            ServerEvent::Requested { reply, request } => match request.pdu() {
                Pdu::QuerySm(query) => {
                    let answer =
                        QueryReply { message_id: query.message_id, message_state: 5, ..Default::default() };
                    pair.server.reply(reply, 0, &Pdu::QuerySmResp(answer), 0).unwrap();
                }
                Pdu::CancelSm(_) => pair.server.reply(reply, 0, &Pdu::CancelSmResp, 0).unwrap(),
                _ => pair.server.refuse(reply, 0x13, 0),
            },
            other => panic!("{other:?}"),
        }
    }
    let seen: Vec<String> = pair
        .at_session()
        .into_iter()
        .map(|event| match event {
            SessionEvent::Answered { token, answer } => {
                format!("{token} {} {}", answer.status, answer.message_id.escape_ascii())
            }
            SessionEvent::QueryAnswered { token, answer } => {
                format!("{token} state {} of {}", answer.message_state, answer.message_id.escape_ascii())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, ["4 19 ", "3 0 ", "2 state 5 of 9", "1 0 data", "0 0 sm"]);
}

#[test]
fn deliveries_go_only_where_they_may_and_their_answers_come_back() {
    let mut transmitter = Pair::bound(BindKind::Transmitter);
    assert_eq!(transmitter.server.deliver(1, &ShortMessage::default(), 0), Err(SubmitError::WrongBind));
    let mut pair = Pair::bound(BindKind::Receiver);
    pair.server.deliver(1, &ShortMessage::default(), 0).unwrap();
    pair.server.deliver_data(2, &DataSm::default(), 0).unwrap();
    pair.server.deliver(3, &ShortMessage::default(), 0).unwrap();
    for event in pair.at_session().into_iter().rev().skip(1) {
        let SessionEvent::Delivered { ack, message } = event else { panic!("{event:?}") };
        let status = if message.command() == CommandId::DATA_SM { 0x64 } else { 0 };
        pair.session.ack(ack, status, 0);
    }
    let seen = pair.at_server();
    assert!(
        matches!(
            seen[..],
            [ServerEvent::Answered { token: 2, status: 0x64 }, ServerEvent::Answered { token: 1, status: 0 }]
        ),
        "{seen:?}"
    );
    pair.server.handle_eof(0);
    let lost = pair.server.poll_event();
    assert!(matches!(lost, Some(ServerEvent::Unanswered { token: 3, cause: NoReply::LinkLost })), "{lost:?}");
}
