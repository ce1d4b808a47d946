//! The values that are appended to the log and read back. They know nothing of how they are kept.

use message::{Event, Seq, StreamId, Timestamp};
use smallvec::SmallVec;

/// The keys of one event.
pub type Keys = SmallVec<[Key; 2]>;

/// Maximum number of keys of one event. The record format has 6 bits for it.
pub const KEYS_MAX: usize = 63;

/// One event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The stream's previous event.
    pub prev: Prev,
    /// The previous event about the same subject, as the caller sees subjects; [`Seq::NONE`] for
    /// the first. Following it costs as much as the subject has events.
    pub about: Prev,
    /// When it happened.
    pub at: Timestamp,
    /// Keys under which [`crate::Log::find`] finds it later; at most [`KEYS_MAX`].
    pub keys: Keys,
    /// The fact.
    pub event: Event,
}

/// An earlier event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prev {
    /// An event that has its number already; [`Seq::NONE`]: it is missing.
    At(Seq),
    /// An earlier item of the same append, by its index.
    Earlier(u32),
}

/// A look-up entry: `hash` leads to `(a, b)`. Of equal hashes the newest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key. It must be uniformly distributed (a cryptographic hash): it is not hashed again.
    pub hash: u128,
    /// The first half of the value.
    pub a: u128,
    /// The second half of the value.
    pub b: Tag,
}

/// The second half of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A number that the caller chose.
    Value(u64),
    /// The sequence number that the event itself is given.
    OwnSeq,
}

/// The value of a key.
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
    /// The previous event about the same subject; [`Seq::NONE`] for its first.
    pub about: Seq,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// When it happened.
    pub at: Timestamp,
    /// The keys under which it is found.
    pub keys: Keys,
    /// The fact.
    pub event: Event,
}
