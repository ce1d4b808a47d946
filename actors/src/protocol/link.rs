//! Commands to a link, and the events that it reports to its channel.

use std::sync::Arc;

use channels::{
    Attribute, SendError,
    http::Request,
    smpp::{Inbound as Delivered, ReplyToken},
};
use message::event::{Cause, DoubtCause};

use crate::{
    domain::correlation::PartRef,
    protocol::part::{JobMessage, Query},
    view::SetUpView,
};

/// A command from the channel to one of its links.
pub(crate) enum LinkCommand {
    /// Submits parts, in order. Each gets exactly one answer, and perhaps a late one.
    Submit(Vec<LinkPart>),
    /// Acknowledges deliveries that are durable.
    Acknowledge(Vec<ReplyToken>),
    /// Asks the provider about the fate of parts.
    Query(Vec<Query>),
    /// Connects now, after a stop or during a pause. Refusals of what was begun before do not
    /// count.
    Restart { epoch: u32 },
    /// Stays away until a probe is accepted, with growing pauses: the credentials are refused.
    Suspend(Cause),
    /// Unbinds and does not connect again.
    Stop,
    /// Makes a call whose outcome changes nothing.
    FireAndForget(Box<Request>),
    /// Asks the provider for a customer's profile.
    Profile(Arc<str>, Box<Request>),
}

/// A part to be submitted.
pub(crate) struct LinkPart {
    pub(crate) token: LinkToken,
    pub(crate) message: Arc<JobMessage>,
}

/// Identifies a request to a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkToken {
    /// The channel's number for a submit, or [`QUERY`].
    pub(crate) token: u32,
    /// The part that the request concerns.
    pub(crate) part: PartRef,
    /// The end of the customer's address; 0 where ids are not scoped to customers.
    pub(crate) scope: u64,
}

/// The token number of every query.
pub(crate) const QUERY: u32 = u32::MAX;

/// The outcome of a submit on a link.
#[derive(Debug)]
pub(crate) enum PartAnswer {
    /// The provider accepted the part; `customer` is its own spelling of the customer, if it gave
    /// one.
    Accepted { id: Arc<str>, customer: Option<Arc<str>> },
    /// The provider refused the part. The error alone decides what follows.
    Refused(SendError),
    /// Nothing was written: the link was not bound, or full.
    NotSent,
    /// The part was written and no answer came.
    Unanswered(DoubtCause),
    /// The provider accepted the part after all: a second answer, after `Unanswered`.
    AcceptedLate { id: Arc<str>, customer: Option<Arc<str>> },
}

/// Events on one link, in order.
pub(crate) struct LinkReport {
    /// The link's number in its channel.
    pub(crate) link: u16,
    /// The run of the link's actor; the channel ignores reports of an earlier run.
    pub(crate) run: u32,
    pub(crate) events: Vec<LinkEvent>,
}

/// An event on a link.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The link is bound and accepts `window` unanswered submits.
    Up { window: usize },
    /// The link may submit one part, which shows whether the provider is back.
    Trial,
    /// The connection is lost.
    Down { reason: String },
    /// The link is not up; `status` tells why, and `next_ms` in how long the next attempt is due.
    Trying { attempts: u32, status: LinkStatus, reason: String, next_ms: Option<u64> },
    /// The provider refuses the credentials, to a call or bind of this epoch.
    CredentialsRefused { cause: Cause, epoch: u32 },
    /// A submit has an outcome.
    Answered(LinkToken, PartAnswer),
    /// A message or receipt arrived.
    Delivered { token: ReplyToken, message: Delivered },
    /// The provider answered a query.
    Queried { part: PartRef, status: u8 },
    /// SMPP 5.0 congestion state, from 0 to 100.
    Congested(u8),
    /// The webhook was registered with the provider, or could not be.
    Registered(SetUpView),
    /// A customer's profile; empty where the provider gives none.
    Profile(Arc<str>, Vec<Attribute>),
    /// Facts about our own account, and which of our own addresses it does not have.
    Account { facts: Vec<Attribute>, mismatch: Option<String> },
    /// The number of PDUs that could not be read.
    Malformed(u64),
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkStatus {
    /// The first attempt to connect is under way.
    Connecting,
    /// The next attempt is due after a pause.
    Waiting,
    /// An SMPP link is bound.
    Bound,
    /// An HTTP link may make calls.
    Ready,
    /// The provider refuses the credentials: the next attempt is due after a long pause. While the
    /// channel drains: no attempt is made.
    Stopped,
}

impl LinkStatus {
    /// Whether the link accepts parts.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Bound | Self::Ready)
    }

    /// The text shown on the admin port.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Bound => "bound",
            Self::Ready => "ready",
            Self::Stopped => "stopped",
        }
    }
}
