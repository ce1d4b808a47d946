//! Messages to a link, and the events that it reports to its channel.

use std::sync::Arc;

use channels::{
    Attribute, SendError,
    smpp::{Inbound, ReplyToken},
};
use message::event::{Cause, DoubtCause};

use crate::{
    actor::link::smpp_connection,
    domain::correlation::PartRef,
    protocol::part::{JobMessage, Query},
    view::SetUpView,
};

/// What a link is told.
pub(crate) enum LinkMessage {
    /// Submit parts, in order. Each gets exactly one answer, come what may (and perhaps a late one).
    Submit(Vec<LinkPart>),
    /// Deliveries that are safe.
    Acknowledge(Vec<ReplyToken>),
    /// Ask what became of parts.
    Query(Vec<Query>),
    /// Connect again now, after a stop or in the middle of a pause.
    Restart,
    /// Unbind and stay away.
    Stop,
    /// Time to connect.
    Connect(u32),
    /// The connection of this epoch ended.
    Ended(u32, smpp_connection::End),
    /// What a call came to.
    Told(crate::actor::link::told::Told),
    /// A call beside messages, whose outcome changes nothing.
    Extra(Box<channels::http::Request>),
    /// Ask who a customer is, as the provider names them.
    Profile(Arc<str>, Box<channels::http::Request>),
    /// Time to tell the provider again where we are.
    SetUp,
}

/// A part for a link.
pub(crate) struct LinkPart {
    pub(crate) token: LinkToken,
    pub(crate) message: Arc<JobMessage>,
}

/// What a link knows a request by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkToken {
    /// The channel's own number for it; [`QUERY`] for a question.
    pub(crate) token: u32,
    /// The part it is about.
    pub(crate) part: PartRef,
}

/// The number of every question.
pub(crate) const QUERY: u32 = u32::MAX;

/// What became of a part on a link.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The provider took it, and perhaps spells the customer otherwise.
    Taken { id: Arc<str>, customer: Option<Arc<str>> },
    /// It was not taken: the value alone decides what happens next.
    Refused(SendError),
    /// It was not written: the link was not bound, or full.
    NotSent,
    /// It was written, and no answer came.
    Unanswered(DoubtCause),
    /// The provider took it after all: a second word on a part that was unanswered.
    Late { id: Arc<str>, customer: Option<Arc<str>> },
}

/// What happened on a link.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// It is bound and takes so many unanswered submits.
    Up { window: usize },
    /// Whether it is there again will show one part.
    Trial,
    /// It is lost.
    Down { reason: String },
    /// It is being tried.
    Trying { attempts: u32, status: &'static str, reason: String },
    /// The provider refuses the credentials.
    Refused(Cause),
    /// The word on a part.
    Answered(LinkToken, Answer),
    /// A message or receipt came.
    Delivered { token: ReplyToken, message: Inbound },
    /// The provider's answer to a question.
    Queried { part: PartRef, status: u8 },
    /// SMPP 5.0 congestion, 0 to 100.
    Congested(u8),
    /// The provider was told where it finds us, or could not be.
    SetUp(SetUpView),
    /// What it says of a customer; nothing where it does not say.
    Profile(Arc<str>, Vec<Attribute>),
    /// What it says of the account.
    Account(Vec<Attribute>),
    /// So many PDUs made no sense.
    Malformed(u64),
}
