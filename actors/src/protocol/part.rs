//! Parts of messages as hosts, channels and links hand them to each other.

use std::sync::Arc;

use channels::smpp::ReplyToken;
use message::{Content, MessageId, MessageNo, StreamId, Timestamp, event::Split};
use smallvec::SmallVec;

use crate::{config::ChannelIx, domain::correlation::PartRef, protocol::completion::Waits};

/// Parts of one message, handed over.
pub(crate) struct Job {
    pub(crate) stream: StreamId,
    pub(crate) number: MessageNo,
    pub(crate) parts: SmallVec<[u16; 4]>,
    /// The room that was kept for them.
    pub(crate) reserved: usize,
    pub(crate) message: Arc<JobMessage>,
}

/// A question to the provider: what became of a part.
pub(crate) struct Query {
    pub(crate) part: PartRef,
    pub(crate) provider_id: Arc<str>,
    pub(crate) did: Arc<str>,
}

/// A message as the link needs it.
pub(crate) struct JobMessage {
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    pub(crate) split: Split,
    pub(crate) did: Arc<str>,
    pub(crate) customer: Arc<str>,
    pub(crate) customer_shown: Arc<str>,
    pub(crate) expires_at: Option<Timestamp>,
    /// The provider's id of the message it answers.
    pub(crate) reply_to: Option<Arc<str>>,
}

/// Who is told once something that came in is safe.
pub(crate) enum Ack {
    /// The link it came on.
    Link(InboundAck),
    /// The caller of a webhook, or whoever asked for updates.
    Caller(Waits),
}

/// The right to acknowledge a delivery on the link it came from, once it is safe.
pub(crate) struct InboundAck {
    pub(crate) channel: ChannelIx,
    pub(crate) link: u16,
    pub(crate) token: ReplyToken,
}
