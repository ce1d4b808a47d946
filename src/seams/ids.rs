//! New ids and jitter. Nothing else may draw randomness.

use std::hash::{BuildHasher, RandomState};

use actors::seams::Ids;
use message::MessageId;
use uuid::Uuid;

/// UUID version 7: in the order of their time.
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
        // Each RandomState has keys of its own, so its hash of anything is a fresh number.
        RandomState::new().hash_one(below).checked_rem(below).unwrap_or(0)
    }
}
