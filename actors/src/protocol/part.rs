//! Parts on their way out, and acknowledgements on their way in, as hosts, channels and links
//! exchange them.

use std::sync::Arc;

use channels::smpp::ReplyToken;
use message::{Content, MessageId, MessageNo, StreamId, Timestamp, event::Split};
use smallvec::SmallVec;

use crate::{config::ChannelIx, domain::correlation::PartRef, protocol::completion::Completion};

/// Parts of one message to be sent; the intent to send them is durable.
pub(crate) struct Job {
    pub(crate) stream: StreamId,
    pub(crate) number: MessageNo,
    pub(crate) parts: SmallVec<[u16; 4]>,
    /// The room in the channel's window that was reserved for them.
    pub(crate) reserved: usize,
    pub(crate) message: Arc<JobMessage>,
}

/// A message as its link needs it.
#[derive(Clone)]
pub(crate) struct JobMessage {
    pub(crate) id: MessageId,
    pub(crate) content: Content,
    pub(crate) split: Split,
    pub(crate) did: Arc<str>,
    pub(crate) customer: Arc<str>,
    pub(crate) customer_shown: Arc<str>,
    pub(crate) expires_at: Option<Timestamp>,
    /// The provider's id of the message that it answers.
    pub(crate) reply_to: Option<Arc<str>>,
}

/// A query to the provider about the fate of a part.
pub(crate) struct Query {
    pub(crate) part: PartRef,
    pub(crate) provider_id: Arc<str>,
    pub(crate) did: Arc<str>,
}

/// The receiver of an acknowledgement, which is sent only after the flush.
pub(crate) enum Ack {
    /// The SMPP link on which a delivery arrived.
    Link(InboundAck),
    /// The caller of a webhook, or the poller of a provider.
    Caller(Completion),
    /// The channel that kept a customer's words as a receipt, under this number.
    Kept { channel: ChannelIx, parked: u32 },
}

/// The right to acknowledge a delivery on the link on which it arrived.
pub(crate) struct InboundAck {
    pub(crate) channel: ChannelIx,
    pub(crate) link: u16,
    pub(crate) token: ReplyToken,
}
