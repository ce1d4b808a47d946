//! The two ends of a connection against each other under a virtual clock: bytes in random pieces,
//! answers in any order, late, twice or never. Each request has exactly one outcome.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by a panic"
)]

use std::collections::BTreeMap;

use bytes::BytesMut;
use channels::smpp::{
    CloseReason, NoReply, ReplyToken, SEQUENCE_MAX, SubmitError, Warning,
    pdu::{Address, ShortMessage},
    server::{Server, ServerConfig, ServerEvent},
    session::{Config, Session, SessionEvent},
    status,
};
use proptest::prelude::*;
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Sent,
    Answered,
    TimedOut,
    Lost,
    Late,
}

struct World {
    session: Session<u32>,
    server: Server<u32>,
    now: u64,
    up: BytesMut,
    down: BytesMut,
    held: Vec<(ReplyToken, Vec<u8>)>,
    acks: Vec<channels::smpp::session::AckToken>,
    submits: BTreeMap<u32, Fate>,
    deliveries: BTreeMap<u32, Fate>,
    closed: Option<CloseReason>,
    window: usize,
    rng: Pcg64Mcg,
}

fn settle(fates: &mut BTreeMap<u32, Fate>, token: u32, fate: Fate) {
    let before = fates.insert(token, fate).expect("the outcome of a request never made");
    let allowed = match fate {
        Fate::Late => before == Fate::TimedOut,
        _ => before == Fate::Sent,
    };
    assert!(allowed, "request {token}: {before:?}, then {fate:?}");
}

impl World {
    fn new(seed: u64, window: usize, first_sequence: u32) -> Self {
        let mut config = Config { system_id: "me".into(), password: "pw".into(), ..Config::default() };
        config.peer.window = window;
        config.peer.first_sequence = first_sequence;
        let mut smsc = ServerConfig::default();
        smsc.peer.window = window;
        smsc.peer.first_sequence = first_sequence;
        Self {
            session: Session::new(&config, 0, 0).unwrap(),
            server: Server::new(smsc, 0),
            now: 0,
            up: BytesMut::new(),
            down: BytesMut::new(),
            held: Vec::new(),
            acks: Vec::new(),
            submits: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            closed: None,
            window,
            rng: Pcg64Mcg::seed_from_u64(seed),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.rng.next_u32()).unwrap() % limit.max(1)
    }

    /// Carries a piece of random size in each direction, and takes all events.
    fn carry(&mut self, most: usize) {
        self.session.peer_mut().take_output(&mut self.up);
        self.server.peer_mut().take_output(&mut self.down);
        let size = self.below(most + 1).min(self.up.len());
        self.server.handle_bytes(&self.up.split_to(size), self.now);
        let size = self.below(most + 1).min(self.down.len());
        self.session.handle_bytes(&self.down.split_to(size), self.now);
        self.events();
    }

    fn events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Bind(request) => {
                    assert_eq!((request.bind().system_id, request.bind().password), (&b"me"[..], &b"pw"[..]));
                    self.server.accept_bind(&request);
                }
                ServerEvent::Submitted { reply, message } => {
                    self.held.push((reply, message.message().text().to_vec()));
                    assert!(self.session.peer().window_used() <= self.window);
                }
                ServerEvent::Answered { token, status } => {
                    assert_eq!(status, 0);
                    settle(&mut self.deliveries, token, Fate::Answered);
                }
                ServerEvent::LateAnswer { token, .. } => settle(&mut self.deliveries, token, Fate::Late),
                ServerEvent::Unanswered { token, cause } => {
                    settle(&mut self.deliveries, token, fate_of(cause));
                }
                ServerEvent::Closed { reason } => {
                    assert!(!matches!(reason, CloseReason::Framing(_)), "{reason:?}");
                }
                // A submit that crossed our unbind is refused with "rebind".
                ServerEvent::UnknownReply(_) | ServerEvent::Protocol(Warning::WrongState(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.session.poll_event() {
            assert!(self.closed.is_none(), "{event:?} after the end");
            match event {
                SessionEvent::Bound { peer_version, .. } => assert_eq!(peer_version, Some(0x34)),
                SessionEvent::Answered { token, answer } => {
                    assert_eq!((answer.status, &answer.message_id[..]), (0, token.to_string().as_bytes()));
                    settle(&mut self.submits, token, Fate::Answered);
                }
                SessionEvent::LateAnswer { token, answer } => {
                    assert_eq!(&answer.message_id[..], token.to_string().as_bytes());
                    settle(&mut self.submits, token, Fate::Late);
                }
                SessionEvent::Unanswered { token, cause } => settle(&mut self.submits, token, fate_of(cause)),
                SessionEvent::Delivered { ack, message } => {
                    assert_eq!(message.message().data_coding, 8);
                    self.acks.push(ack);
                }
                SessionEvent::Closed { reason } => {
                    assert!(!matches!(reason, CloseReason::Framing(_)), "{reason:?}");
                    self.closed = Some(reason);
                }
                SessionEvent::Protocol(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(self.session.peer().window_used() <= self.window);
    }

    fn submit(&mut self) {
        let token = u32::try_from(self.submits.len()).unwrap();
        let text = token.to_string();
        let destination = Address { ton: 1, npi: 1, text: b"201000000001" };
        let part = ShortMessage { destination, short_message: text.as_bytes(), ..ShortMessage::default() };
        let free = self.session.window_free();
        match self.session.submit(token, &part, self.now) {
            Ok(()) => {
                assert!(free > 0);
                self.submits.insert(token, Fate::Sent);
            }
            Err(error) => {
                assert_eq!(free, 0);
                assert!(matches!(error, SubmitError::WindowFull | SubmitError::NotBound), "{error}");
            }
        }
    }

    fn deliver(&mut self) {
        let token = u32::try_from(self.deliveries.len()).unwrap();
        let message = ShortMessage { data_coding: 8, short_message: b"\x06\x45", ..ShortMessage::default() };
        if self.server.deliver(token, &message, self.now).is_ok() {
            self.deliveries.insert(token, Fate::Sent);
        }
    }

    /// Answers one of the waiting submits, twice, or never.
    fn answer(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let which = self.below(self.held.len());
        let (reply, id) = self.held.swap_remove(which);
        match self.below(16) {
            0 => self.server.ignore(reply, self.now),
            1 => {
                let mut twice =
                    [&[0, 0, 0, 0, 0x80, 0, 0, 4, 0, 0, 0, 0], &reply.sequence().to_be_bytes()[..]].concat();
                twice.extend_from_slice(&id);
                twice.push(0);
                twice[3] = u8::try_from(twice.len()).unwrap();
                self.server.raw(&twice);
                self.server.raw(&twice);
                self.server.ignore(reply, self.now);
            }
            _ => self.server.reply_submit(reply, 0, &id, self.now).unwrap(),
        }
    }

    fn acknowledge(&mut self) {
        if !self.acks.is_empty() {
            let which = self.below(self.acks.len());
            let ack = self.acks.swap_remove(which);
            self.session.ack(ack, status::OK, self.now);
        }
    }

    /// Advances time, stopping at each deadline.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        let mut rounds = 0;
        while let Some(due) =
            [self.session.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min()
            && due <= end
        {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.carry(10_000);
            rounds += 1;
            assert!(rounds < 1_000, "a deadline that is never done with");
        }
        self.now = end;
    }

    fn step(&mut self) {
        match self.below(12) {
            0..=3 => self.submit(),
            4..=5 => self.answer(),
            6 => self.deliver(),
            7 => self.acknowledge(),
            8..=9 => self.carry(60),
            10 => self.carry(2_000),
            _ => {
                let ms = [0, 1, 100, 5_000, 20_000][self.below(5)];
                self.pass(ms);
            }
        }
    }

    fn finish(&mut self) {
        match self.below(3) {
            0 => self.session.handle_eof(self.now),
            1 => self.session.close(self.now),
            _ => self.server.unbind(self.now),
        }
        for _ in 0..10 {
            self.carry(100_000);
        }
        self.pass(400_000);
        self.server.handle_eof(self.now);
        self.session.handle_eof(self.now);
        self.events();
    }
}

fn fate_of(cause: NoReply) -> Fate {
    match cause {
        NoReply::Timeout => Fate::TimedOut,
        NoReply::LinkLost => Fate::Lost,
    }
}

proptest! {
    #[test]
    fn each_request_has_exactly_one_outcome(
        seed in any::<u64>(),
        window in 1usize..20,
        wraps in any::<bool>(),
        steps in 0usize..600,
    ) {
        let mut world = World::new(seed, window, if wraps { SEQUENCE_MAX - 20 } else { 1 });
        for _ in 0..4 {
            world.carry(1_000);
        }
        for _ in 0..steps {
            world.step();
        }
        world.finish();
        prop_assert!(world.closed.is_some());
        for fates in [&world.submits, &world.deliveries] {
            for (token, fate) in fates {
                prop_assert!(*fate != Fate::Sent, "request {} has no outcome", token);
            }
        }
    }
}

/// The property above would hold for ends that do nothing: every outcome must occur.
#[test]
fn the_random_worlds_reach_every_fate() {
    let mut seen = [0usize; 4];
    for seed in 0..200 {
        let mut world = World::new(seed, 8, SEQUENCE_MAX - 20);
        for _ in 0..4 {
            world.carry(1_000);
        }
        for _ in 0..400 {
            world.step();
        }
        world.finish();
        for fate in world.submits.values().chain(world.deliveries.values()) {
            match fate {
                Fate::Answered => seen[0] += 1,
                Fate::TimedOut => seen[1] += 1,
                Fate::Lost => seen[2] += 1,
                Fate::Late => seen[3] += 1,
                Fate::Sent => panic!("no outcome"),
            }
        }
    }
    assert!(seen[0] > 1_000 && seen[1..].iter().all(|count| *count > 50), "{seen:?}");
}
