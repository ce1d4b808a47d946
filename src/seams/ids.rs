//! New ids and jitter. No other file may draw random numbers.

use std::hash::{BuildHasher, RandomState};

use actors::seams::Ids;
use message::MessageId;
use uuid::Uuid;

/// Draws UUIDs of version 7, which sort by time.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn message_id(&self) -> MessageId {
        #[allow(clippy::disallowed_methods, reason = "this is the id seam")]
        let id = Uuid::now_v7();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text: &str = id.hyphenated().encode_lower(&mut text);
        MessageId::from(text)
    }

    fn jitter(&self, below: u64) -> u64 {
        // Each RandomState has new keys, so its hash of any value is a fresh number.
        RandomState::new().hash_one(below).checked_rem(below).unwrap_or(0)
    }
}
