//! Events of the usual size, and waiting for the log.

#![allow(dead_code, reason = "each bench uses its part")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench ends on the first surprise"
)]

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use message::{Content, Event, Seq, StreamId, Timestamp, event::Received};
use storage::{DiskEngine, EngineKind, Item, Key, Log, Options, Prev, Tag};

/// A folder on the disk that the project is on, not on a memory file system.
pub fn folder() -> tempfile::TempDir {
    let at = std::env::var_os("BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&at).unwrap();
    tempfile::tempdir_in(at).unwrap()
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Spreads small numbers over all bits.
pub fn spread(number: u64) -> u128 {
    let x = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ 0x1234_5678_9abc;
    let x = (x ^ (x >> 61)).wrapping_mul(0xda94_2042_e4dd_58b5_d6e8_feb8_6659_fd93);
    x ^ (x >> 64)
}

/// An event whose record takes `bytes` bytes, with one key.
pub fn item(number: u64, bytes: usize) -> Item {
    let text = "x".repeat(bytes.saturating_sub(109));
    let received = Received {
        delivery: 1,
        id: message::MessageId::new("m-0123456789"),
        provider_id: "p-0123456789".into(),
        content: Content::Text(text.into()),
        provider_time: None,
        incomplete: None,
        attributes: Vec::new(),
        is_written: true,
    };
    Item {
        stream: StreamId(spread(number % 10_000)),
        prev: Prev::At(Seq(number / 2)),
        about: Prev::At(Seq(number / 2)),
        at: Timestamp(1_700_000_000_000 + number),
        keys: [Key { hash: spread(number), a: u128::from(number), b: Tag::OwnSeq }].into_iter().collect(),
        event: Event::Received(Box::new(received)),
    }
}

pub fn items(from: u64, count: usize) -> Vec<Item> {
    (0..count as u64).map(|n| item(from + n, 225)).collect()
}

pub fn open(path: &std::path::Path, options: Options) -> Log {
    Log::open(DiskEngine::open(path, engine()).unwrap(), options).unwrap().0
}

/// The engine that `ENGINE` names; sled without it.
pub fn engine() -> EngineKind {
    std::env::var("ENGINE").map_or_else(|_| EngineKind::default(), |name| name.parse().unwrap())
}

/// Waits for appends.
pub struct Waiter {
    tell: SyncSender<()>,
    told: Receiver<()>,
}

impl Waiter {
    pub fn new() -> Self {
        let (tell, told) = sync_channel(100_000);
        Self { tell, told }
    }

    pub fn append(&self, log: &Log, items: Vec<Item>) {
        let tell = self.tell.clone();
        let done: storage::Completion = Box::new(move |fate| {
            fate.unwrap();
            // Nobody may wait any more.
            let _ = tell.send(());
        });
        log.append(items, Some(done)).unwrap();
    }

    pub fn wait(&self) {
        self.told.recv().unwrap();
    }
}

/// The value at a share of a sorted list.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}
