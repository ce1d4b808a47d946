//! Prints how many submits a second the simulated SMSC answers over loopback TCP, running on one
//! thread.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints and reads the clock")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench may fail loudly")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Instant,
};

use channels::smpp::pdu::{self, Address, Bind, BindKind, CommandId, IdReply, Pdu, ShortMessage};
use simulators::smsc::{Remember, Smsc, SmscScript};

const BATCH: u64 = 500;
const BATCHES: u64 = 1_000;

/// Starts an SMSC on its own thread, and returns its address.
fn start(script: SmscScript) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            Smsc::new(script).run(listener, std::future::pending()).await;
        });
    });
    told.recv().unwrap()
}

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    answers: u64,
    receipts: u64,
}

impl Client {
    /// Reads once, counts answers and acknowledges receipts.
    fn read(&mut self) {
        let mut chunk = [0; 64 * 1024];
        let count = self.stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the smsc closed the connection");
        self.input.extend_from_slice(&chunk[..count]);
        let mut used = 0;
        while let Some(length) = self.input[used..].first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(pdu) = self.input.get(used..used + length) else { break };
            let header = pdu::PduHeader::read(pdu).unwrap();
            if header.command == CommandId::DELIVER_SM {
                self.receipts += 1;
                let reply = Pdu::DeliverSmResp(IdReply::default());
                pdu::write(&reply, 0, header.sequence, &mut self.output).unwrap();
            } else {
                self.answers += 1;
            }
            used += length;
        }
        self.input.drain(..used);
        self.stream.write_all(&self.output).unwrap();
        self.output.clear();
    }
}

fn measure(name: &str, registered_delivery: u8, remember: Remember) {
    let address = start(SmscScript { remember, ..SmscScript::default() });
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut client = Client { stream, input: Vec::new(), output: Vec::new(), answers: 0, receipts: 0 };
    let bind = Bind { system_id: b"bench", interface_version: 0x34, ..Bind::default() };
    pdu::write(&Pdu::Bind(BindKind::Transceiver, bind), 0, 1, &mut client.output).unwrap();
    client.stream.write_all(&client.output).unwrap();
    client.output.clear();
    while client.answers == 0 {
        client.read();
    }
    let message = ShortMessage {
        source: Address { ton: 0, npi: 1, text: b"5155" },
        destination: Address { ton: 1, npi: 1, text: b"4917600000001" },
        registered_delivery,
        short_message:
            b"Your parcel arrives between 10:00 and 12:00 today. Reply 1 to confirm, 2 to choose another.",
        ..ShortMessage::default()
    };
    let mut batch = Vec::new();
    for sequence in 0..BATCH {
        pdu::write_submit(CommandId::SUBMIT_SM, &message, 2 + sequence as u32, &mut batch).unwrap();
    }
    let begun = Instant::now();
    let receipts = u64::from(registered_delivery);
    for number in 0..BATCHES {
        client.stream.write_all(&batch).unwrap();
        // Two batches are under way at a time.
        while client.answers < 1 + number * BATCH || client.receipts < receipts * number * BATCH {
            client.read();
        }
    }
    while client.answers < 1 + BATCHES * BATCH || client.receipts < receipts * BATCHES * BATCH {
        client.read();
    }
    let rate = (BATCHES * BATCH) as f64 / begun.elapsed().as_secs_f64();
    println!("{name:<40} {rate:>10.0} submits/s");
}

fn main() {
    measure("counts only, no receipts", 0, Remember::Counts);
    measure("counts only, with receipts", 1, Remember::Counts);
    measure("all remembered, no receipts", 0, Remember::All);
    measure("all remembered, with receipts", 1, Remember::All);
}
