//! A broken or hostile ESME, under a script with every fault: the SMSC never panics, never hangs,
//! and keeps serving others. The seed is printed; `SEED=` repeats a run, `FUZZ_SECONDS=` (default
//! 1) makes it longer.
#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{
    env,
    time::{Duration, SystemTime},
};

use channels::smpp::pdu::{self, BindKind, CommandId, IdReply, Pdu, PduHeader, ShortMessage};
use simulators::smsc::{Mo, Pattern, ReceiptVia, Smsc, SmscScript};
use support::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

fn script(random: &mut Random) -> SmscScript {
    let mut pattern = || match random.below(3) {
        0 => Pattern::Never,
        1 => Pattern::Every(1 + random.below(5) as u32),
        _ => Pattern::Rate(0.3),
    };
    SmscScript {
        refuse: pattern(),
        swallow: pattern(),
        late: pattern(),
        drop_connection: pattern(),
        malformed: pattern(),
        unknown_command: pattern(),
        unbind: pattern(),
        receipt_first: pattern(),
        receipt_duplicate: pattern(),
        receipt_stale: pattern(),
        receipt_via: ReceiptVia::Turns,
        receipt_jitter_ms: 50,
        latency_jitter_ms: 50,
        deliver_window: 3,
        mo_per_second: 50,
        ..SmscScript::default()
    }
}

/// Returns some frames of an ESME, some of them damaged.
fn frames(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.below(20) {
        let start = out.len();
        let sequence = random.below(10) as u32;
        let message =
            ShortMessage { registered_delivery: 1, short_message: b"Hello", ..ShortMessage::default() };
        let status = if random.below(3) == 0 { 0x64 } else { 0 };
        let pdu = match random.below(8) {
            0..3 => Pdu::SubmitSm(message),
            3 => Pdu::DeliverSmResp(IdReply::default()),
            4 => Pdu::EnquireLink,
            5 => Pdu::UnbindResp,
            6 => Pdu::GenericNack,
            _ => Pdu::Unbind,
        };
        pdu::write(&pdu, status, sequence, &mut out).unwrap();
        if random.below(4) == 0 {
            let at = start + random.below(out.len() - start);
            out[at] = random.below(256) as u8;
        }
        if random.below(8) == 0 {
            let command = CommandId(random.below(0x200) as u32);
            let body: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
            pdu::write_frame(PduHeader { command, status: 0, sequence }, &body, &mut out).unwrap();
        }
    }
    out
}

async fn round(random: &mut Random) {
    let smsc = Smsc::new(script(random));
    let mo =
        Mo { from: "49".into(), to: "5155".into(), text: "Hi".repeat(random.below(200)), ..Mo::default() };
    smsc.send_mo(&mo).unwrap();
    for _ in 0..3 {
        let mut client = Client::bound(&smsc).await;
        for _ in 0..4 {
            let bytes = frames(random);
            for piece in bytes.chunks(1 + random.below(40)) {
                // The SMSC may have closed the connection.
                let _ = client.stream.write_all(piece).await;
            }
            let mut chunk = [0; 4096];
            let _ = timeout(Duration::from_millis(random.below(200) as u64), client.stream.read(&mut chunk))
                .await;
        }
    }
    smsc.change(|script| *script = SmscScript::default());
    assert_eq!(Client::connect(&smsc).bind(BindKind::Transmitter, "other", "").await, 0);
}

#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "a test draws its seed and bounds its own time by the clock")]
async fn hostile_frames_are_survived() {
    let drawn = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(drawn);
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let end = std::time::Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0;
    while std::time::Instant::now() < end {
        round(&mut random).await;
        rounds += 1;
    }
    println!("{rounds} rounds");
}

#[tokio::test]
async fn a_shutdown_cuts_every_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let smsc = Smsc::new(SmscScript::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut tasks = tokio::task::JoinSet::new();
    let running = smsc.clone();
    tasks.spawn(async move {
        let shutdown = async { stopped.await.unwrap_or_default() };
        running.run(listener, shutdown).await;
    });
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    smsc.wait_for(|counts| counts.connections == 1).await;
    stop.send(()).unwrap();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0);
}
