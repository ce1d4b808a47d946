//! A content made ready for a channel, and the refusal of one that never can be.

use message::{
    Choice, Content,
    event::{Cause, Split},
};
use smallvec::SmallVec;

use crate::address::number::InvalidNumber;

/// A content made ready for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What will be sent (adapted, transliterated): what the log keeps.
    pub content: Content,
    /// How it is cut.
    pub split: Split,
    /// What was changed, in words for the business.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// What the customer can answer to a numbered list; empty when there is none.
    pub choices: Box<[Choice]>,
}

/// A message that this channel will never take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({})", .0.reason, .0.code)]
pub struct Rejection(pub Cause);

impl From<InvalidNumber> for Rejection {
    fn from(error: InvalidNumber) -> Self {
        Self(Cause::new("400", error.to_string()))
    }
}
