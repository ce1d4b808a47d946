//! The disks on which the tests run, and items to append. Knows nothing of the log's internals.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(missing_docs, unreachable_pub, reason = "test support")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on the first surprise"
)]

use std::{
    fs,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use message::{Event, MessageNo, Seq, StreamId, Timestamp};
use smallvec::smallvec;
use storage::{
    DiskEngine, Driver, Engine, EngineKind, Item, Key, Log, MemoryDisk, MemoryEngine, OpenError, Options,
    Prev, Recovery, Tag,
};

/// A disk on which a log lives, that can lose power.
pub trait World: Sized {
    type Engine: Engine + 'static;
    fn new() -> Self;
    fn engine(&self) -> Self::Engine;
    /// Pulls the plug on everything opened so far; what was not flushed is lost.
    fn crash(&mut self);
}

pub struct Memory(pub MemoryDisk);

impl World for Memory {
    type Engine = MemoryEngine;

    fn new() -> Self {
        Self(MemoryDisk::new())
    }

    fn engine(&self) -> MemoryEngine {
        self.0.engine()
    }

    fn crash(&mut self) {
        self.0.crash(storage::Crash::Lose);
    }
}

/// The engine of a world on a disk.
pub trait Choice {
    const KIND: EngineKind;
}

pub struct FileEngine;

impl Choice for FileEngine {
    const KIND: EngineKind = EngineKind::File;
}

pub struct SledEngine;

impl Choice for SledEngine {
    const KIND: EngineKind = EngineKind::Sled;
}

/// A directory. A crash copies its files as they are while the log is still open on the originals.
pub struct OnDisk<C> {
    folder: tempfile::TempDir,
    copies: u32,
    choice: PhantomData<C>,
}

pub type Folders = OnDisk<FileEngine>;
pub type SledFolders = OnDisk<SledEngine>;

impl<C> OnDisk<C> {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.copies.to_string())
    }
}

impl<C: Choice> World for OnDisk<C> {
    type Engine = DiskEngine;

    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, copies: 0, choice: PhantomData }
    }

    fn engine(&self) -> DiskEngine {
        DiskEngine::open(self.path(), C::KIND).expect("the engine opens")
    }

    fn crash(&mut self) {
        let before = self.path();
        self.copies += 1;
        copy(&before, &self.path());
    }
}

/// Copies a folder as of one instant: starts over if a file was renamed or removed meanwhile.
pub fn copy(from: &Path, to: &Path) {
    while !is_copied(from, to) {
        fs::remove_dir_all(to).unwrap();
    }
}

fn is_copied(from: &Path, to: &Path) -> bool {
    let names = || {
        let mut names: Vec<_> = fs::read_dir(from)
            .unwrap()
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .unwrap();
        names.sort();
        names
    };
    fs::create_dir_all(to).unwrap();
    let before: Vec<PathBuf> = names();
    for path in &before {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(path, &target);
        } else if fs::copy(path, target).is_err() {
            assert!(!path.exists(), "{path:?} cannot be copied");
            return false;
        }
    }
    names() == before
}

pub fn inline() -> Options {
    Options {
        driver: Driver::Inline,
        disk_reserve_bytes: 0,
        checkpoint_pause: std::time::Duration::ZERO,
        ..Options::default()
    }
}

pub fn open<W: World>(world: &W) -> (Log, Recovery) {
    open_with(world, inline())
}

pub fn open_with<W: World>(world: &W, options: Options) -> (Log, Recovery) {
    try_open(world, options).expect("the log opens")
}

pub fn try_open<W: World>(world: &W, options: Options) -> Result<(Log, Recovery), OpenError> {
    Log::open(world.engine(), options)
}

/// An event of `stream`, told apart by `number`.
pub fn item(stream: u128, prev: Prev, number: u32) -> Item {
    Item {
        stream: StreamId(stream),
        prev,
        about: prev,
        at: Timestamp(1_000 + u64::from(number)),
        keys: smallvec![],
        event: Event::Expired { message: MessageNo(number) },
    }
}

pub fn first(stream: u128, number: u32) -> Item {
    item(stream, Prev::At(Seq::NONE), number)
}

pub fn keyed(stream: u128, number: u32, hash: u128) -> Item {
    let mut item = first(stream, number);
    item.keys.push(Key { hash, a: u128::from(number), b: Tag::OwnSeq });
    item
}

/// Spreads small numbers over all bits, as the hashes that keys are.
pub fn spread(number: u64) -> u128 {
    let mut x = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ 0x1234_5678_9abc;
    for _ in 0..3 {
        x ^= x >> 61;
        x = x.wrapping_mul(0xda94_2042_e4dd_58b5_d6e8_feb8_6659_fd93);
    }
    x ^ (x >> 64)
}

pub fn number_of(event: &Event) -> u32 {
    match event {
        Event::Expired { message } => message.0,
        other => panic!("not one of ours: {other:?}"),
    }
}

pub fn drive(log: &Log) {
    while log.drive() {}
}

/// Appends one by one, each in a block of its own.
pub fn append_blocks(log: &Log, items: impl IntoIterator<Item = Item>) -> Vec<Seq> {
    items
        .into_iter()
        .map(|item| {
            let seq = log.append(vec![item], None).unwrap();
            drive(log);
            seq
        })
        .collect()
}

/// A list that completions write to.
pub type Told = Arc<Mutex<Vec<(u64, bool)>>>;

pub fn tell(told: &Told, number: u64) -> Option<storage::Completion> {
    let told = told.clone();
    Some(Box::new(move |fate| told.lock().unwrap().push((number, fate.is_ok()))))
}
