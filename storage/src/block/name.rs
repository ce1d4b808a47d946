//! Names of segment folders. Their order is the order of the events.

use message::Seq;

const PREFIX: &str = "segment-";

/// Returns the folder of the segment that begins with the event `first`.
pub(crate) fn name_of(first: Seq) -> String {
    format!("{PREFIX}{:020}", first.0)
}

/// Returns the first event of a segment, given its folder.
pub(crate) fn first_of(name: &str) -> Option<Seq> {
    name.strip_prefix(PREFIX)?.parse().ok().map(Seq)
}
