//! Throughput of an ESME's and an SMSC's state machine in memory, on one core, window 100, with and
//! without receipts: the protocol's own cost, without sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench measures and prints"
)]

use std::time::Instant;

use bytes::BytesMut;
use channels::smpp::{
    pdu::{Address, ShortMessage},
    server::{Server, ServerConfig, ServerEvent},
    session::{Config, Session, SessionEvent},
};

const WINDOW: usize = 100;

struct Pair {
    session: Session<u64>,
    server: Server<u64>,
    wire: BytesMut,
    receipts: bool,
    submitted: u64,
    answered: u64,
    delivered: u64,
}

impl Pair {
    fn new(receipts: bool) -> Self {
        let mut config = Config { system_id: "bench".into(), password: "bench".into(), ..Config::default() };
        config.peer.window = WINDOW;
        let session = Session::new(&config, 0, 0).unwrap();
        let server = Server::new(ServerConfig::default(), 0);
        Self { session, server, wire: BytesMut::new(), receipts, submitted: 0, answered: 0, delivered: 0 }
    }

    fn round(&mut self, total: u64) {
        let part = ShortMessage {
            source: Address { ton: 3, npi: 0, text: b"5155" },
            destination: Address { ton: 1, npi: 1, text: b"201000000001" },
            registered_delivery: u8::from(self.receipts),
            short_message: b"Your code is 123456. It is valid for ten minutes. Do not share it.",
            ..ShortMessage::default()
        };
        while self.submitted < total && self.session.submit(self.submitted, &part, 0).is_ok() {
            self.submitted += 1;
        }
        self.session.peer_mut().take_output(&mut self.wire);
        self.server.handle_bytes(&self.wire, 0);
        self.wire.clear();
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Bind(request) => self.server.accept_bind(&request),
                ServerEvent::Submitted { reply, message } => {
                    assert_eq!(message.message().data_coding, 0);
                    self.server.reply_submit(reply, 0, b"2A5F3C01", 0).unwrap();
                    if self.receipts {
                        let receipt = ShortMessage {
                            source: part.destination,
                            destination: part.source,
                            esm_class: 4,
                            short_message: b"id:2A5F3C01 sub:001 dlvrd:001 submit date:2611200000 \
                                done date:2611200000 stat:DELIVRD err:000 text:Your code is 123456.",
                            ..ShortMessage::default()
                        };
                        self.server.deliver(0, &receipt, 0).unwrap();
                    }
                }
                _ => {}
            }
        }
        self.server.peer_mut().take_output(&mut self.wire);
        self.session.handle_bytes(&self.wire, 0);
        self.wire.clear();
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Answered { .. } => self.answered += 1,
                SessionEvent::Delivered { ack, message } => {
                    assert_eq!(message.message().esm_class, 4);
                    self.delivered += 1;
                    self.session.ack(ack, 0, 0);
                }
                _ => {}
            }
        }
    }
}

fn main() {
    // `cargo test --benches` only checks that it runs.
    let total = if std::env::args().any(|arg| arg == "--bench") { 3_000_000 } else { 1_000 };
    for receipts in [false, true] {
        let mut pair = Pair::new(receipts);
        let started = Instant::now();
        while pair.answered < total {
            pair.round(total);
        }
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(pair.delivered, if receipts { total } else { 0 });
        let rate = f64::from(u32::try_from(total).unwrap()) / seconds;
        let ns = 1e9 / rate;
        let kind = if receipts { "with receipts" } else { "without receipts" };
        println!(
            "smpp pair, window {WINDOW}, {kind}: {rate:.0} submits/s on one core, {ns:.0} ns each for both ends"
        );
    }
}
