//! What is appended to the log and what is read back: plain values.

use message::{Event, Seq, StreamId, Timestamp};
use smallvec::SmallVec;

/// The keys of one event.
pub type Keys = SmallVec<[Key; 2]>;

/// The most keys one event may carry.
pub const KEYS_MAX: usize = 63;

/// One event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The stream's previous event.
    pub prev: Prev,
    /// When it happened.
    pub at: Timestamp,
    /// What is to be found by it later, with [`crate::Log::find`]; at most [`KEYS_MAX`].
    pub keys: Keys,
    /// The fact.
    pub event: Event,
}

/// The previous event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prev {
    /// An event that has its number already; [`Seq::NONE`] for the first of its stream.
    At(Seq),
    /// An earlier item of the same append, by its index.
    Earlier(u32),
}

/// Something remembered: `hash` leads to `(a, b)`; the newest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// What is asked for. Must be uniformly distributed (a cryptographic hash): it is not hashed again.
    pub hash: u128,
    /// The first half of the answer.
    pub a: u128,
    /// The second half of the answer.
    pub b: Tag,
}

/// The second half of what a key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A value.
    Value(u64),
    /// The sequence number that the event itself is given.
    OwnSeq,
}

/// What a key led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The first half.
    pub a: u128,
    /// The second half.
    pub b: u64,
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub seq: Seq,
    /// The stream's previous event; [`Seq::NONE`] for its first.
    pub prev: Seq,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// When it happened.
    pub at: Timestamp,
    /// What it is found by.
    pub keys: Keys,
    /// The fact.
    pub event: Event,
}
