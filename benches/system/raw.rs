//! The limits of this machine, measured in the same run: the driver against a bare sink, a bare
//! SMPP client against the SMSC, and append + fdatasync.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use channels::smpp::{
    pdu::{Address, ShortMessage},
    session::{Config, Session, SessionEvent},
};

use crate::{
    Plan, Result,
    driver::{self, TEXT},
    process::{Folder, now},
    sink::{Marks, Sink},
    smsc::Smsc,
};

/// The number of requests of the raw HTTP run.
const REQUESTS: u64 = 200_000;
/// The number of submits of each raw SMPP run.
const SUBMITS: u64 = 500_000;
/// The number of appends with an fdatasync each, and the size of the groups.
const APPENDS: usize = 2_000;
const GROUP: usize = 64;

pub struct Raw {
    pub requests_per_s: f64,
    /// Submits per second of a bare client, without and with receipts.
    pub submits_per_s: f64,
    pub receipted_per_s: f64,
    pub appends_per_s: f64,
    pub grouped_per_s: f64,
    pub append_p50: Duration,
}

pub fn run(plan: &Plan) -> Result<Raw> {
    let sink = Sink::start(Marks { before: "\"id\":\"b-", after: "\"" }, REQUESTS)?;
    let load = driver::Load {
        address: sink.address,
        connections: plan.connections,
        messages: REQUESTS,
        batch: 1,
        pace: None,
        requests: driver::cim(plan.customers, 1),
        accepted: "",
    };
    let driven = driver::start(load).join().map_err(|_| "the driver panicked")??;
    let requests_per_s = REQUESTS as f64 / (driven.ended - driven.begun).as_secs_f64();
    let submits_per_s = submits(plan, false, SUBMITS)?;
    let receipted_per_s = submits(plan, true, SUBMITS)?;
    let (appends_per_s, append_p50) = append(plan, 200, APPENDS)?;
    let (groups_per_s, _) = append(plan, 225 * GROUP, APPENDS)?;
    let grouped_per_s = groups_per_s * GROUP as f64;
    Ok(Raw { requests_per_s, submits_per_s, receipted_per_s, appends_per_s, grouped_per_s, append_p50 })
}

/// A client that only submits, over TCP, with the window of the plan.
pub fn submits(plan: &Plan, receipts: bool, count: u64) -> Result<f64> {
    let folder = Folder::new(&plan.folder, false)?;
    let smsc = Smsc::with(plan, &folder.path, "smsc", &[("receipt_delay_ms", "0".to_owned())])?;
    let mut stream = TcpStream::connect(smsc.address)?;
    stream.set_nodelay(true)?;
    let mut config = Config { system_id: "bench".into(), password: "bench".into(), ..Config::default() };
    config.peer.window = plan.window as usize;
    let mut session: Session<u64> = Session::new(&config, 0, 0)?;
    let part = ShortMessage {
        source: Address { ton: 0, npi: 1, text: b"5155" },
        destination: Address { ton: 1, npi: 1, text: b"4917600000001" },
        registered_delivery: u8::from(receipts),
        short_message: TEXT.as_bytes(),
        ..ShortMessage::default()
    };
    let (mut submitted, mut answered, mut delivered) = (0, 0, 0);
    let mut chunk = vec![0; 64 * 1024];
    let begun = now();
    while answered < count || delivered < u64::from(receipts) * count {
        while submitted < count && session.submit(submitted, &part, 0).is_ok() {
            submitted += 1;
        }
        let out = session.peer().transmit().len();
        stream.write_all(session.peer().transmit())?;
        session.peer_mut().transmitted(out);
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err("the SMSC closed the connection".into());
        }
        session.handle_bytes(&chunk[..read], 0);
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Answered { .. } => answered += 1,
                SessionEvent::Delivered { ack, .. } => {
                    delivered += 1;
                    session.ack(ack, 0, 0);
                }
                _ => {}
            }
        }
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

fn append(plan: &Plan, bytes: usize, times: usize) -> Result<(f64, Duration)> {
    let folder = Folder::new(&plan.folder, false)?;
    fs::create_dir_all(&folder.path)?;
    let mut file = File::create(folder.path.join("plain"))?;
    let record = vec![b'x'; bytes];
    let mut each = Vec::with_capacity(times);
    let begun = now();
    for _ in 0..times {
        let before = now();
        file.write_all(&record)?;
        file.sync_data()?;
        each.push(before.elapsed());
    }
    let per_s = times as f64 / begun.elapsed().as_secs_f64();
    each.sort_unstable();
    Ok((per_s, each.get(times / 2).copied().unwrap_or_default()))
}
