//! The own stream of a channel in the log.

use message::{ChannelId, Seq, StreamId, address};

/// A channel's own stream.
pub(crate) struct OwnStream {
    pub(super) stream: StreamId,
    pub(super) head: Seq,
    pub(super) dirty: bool,
}

impl OwnStream {
    pub(crate) fn new(channel: &ChannelId) -> Self {
        Self { stream: address::channel_stream(channel), head: Seq::NONE, dirty: false }
    }
}
