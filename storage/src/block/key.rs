//! Names of segments and keys of blocks, as the disk knows them. Both keep the order of the events.

use message::Seq;

const PREFIX: &str = "segment-";
/// Above every block's key.
pub(crate) const KEY_END: &[u8] = &[0xff];

/// The folder of the segment that begins at `first`.
pub(crate) fn name_of(first: Seq) -> String {
    format!("{PREFIX}{:020}", first.0)
}

/// The first event of a segment, by its folder.
pub(crate) fn first_of(name: &str) -> Option<Seq> {
    name.strip_prefix(PREFIX)?.parse().ok().map(Seq)
}

/// The key of the block that begins at `first`.
pub(crate) fn key_of(first: Seq) -> [u8; 8] {
    first.0.to_be_bytes()
}

/// The first event of a block, by its key.
pub(crate) fn seq_of(key: &[u8]) -> Option<Seq> {
    key.try_into().ok().map(|key| Seq(u64::from_be_bytes(key)))
}
