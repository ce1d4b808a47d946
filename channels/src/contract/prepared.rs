//! A content prepared for a channel, and the rejection of one that can never be sent.

use message::{
    Choice, Content,
    event::{Cause, Split},
};
use smallvec::SmallVec;

use crate::address::number::InvalidNumber;

/// A content prepared for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The content to be sent (adapted, transliterated), as the log keeps it.
    pub content: Content,
    /// The way it is cut into parts.
    pub split: Split,
    /// The changes, in words for the business.
    pub adapted: SmallVec<[Box<str>; 1]>,
    /// The answers to a numbered list; empty without a list.
    pub choices: Box<[Choice]>,
}

/// A message that this channel will never accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({})", .0.reason, .0.code)]
pub struct Rejection(pub Cause);

impl From<InvalidNumber> for Rejection {
    fn from(error: InvalidNumber) -> Self {
        Self(Cause::new("400", error.to_string()))
    }
}
