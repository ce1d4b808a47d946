//! Refusals of the router, named for the caller's next step.

use message::{DestinationId, MessageId, SessionId, event::Cause};

/// A message or request that was refused. Nothing was recorded for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No channel has this service identifier (and type). Answer 404.
    #[error("no channel has the serviceIdentifier {service_identifier:?}; configured: {known}")]
    UnknownChannel {
        /// The identifier in the request.
        service_identifier: Box<str>,
        /// The ones there are, shortened.
        known: String,
    },
    /// The channel will never take this message. Answer 400.
    #[error("{} ({})", .0.reason, .0.code)]
    Unsendable(Cause),
    /// Not now. Answer 503 with Retry-After.
    #[error("not accepting: {reason}")]
    Busy {
        /// Why.
        reason: Box<str>,
        /// When to come again, in seconds.
        retry_after_s: u32,
    },
    /// Another handler has the session and takeover was not asked for. Answer 409.
    #[error("session {session} is handled by {handler:?}; ask for takeover to take it")]
    Held {
        /// Id of the held session.
        session: SessionId,
        /// By whom.
        handler: Box<str>,
    },
    /// The named thing does not exist. Answer 404.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It is too late for that. Answer 409.
    #[error("{0}")]
    TooLate(Box<str>),
    /// The message id was used for another customer. Answer 409.
    #[error("message id {0} was used before for another address")]
    IdTaken(MessageId),
    /// The message id was used for another content. Answer 409.
    #[error(
        "message id {0} was used before for another content; this one was not accepted: give it an id of its own"
    )]
    IdDiffers(MessageId),
    /// No destination has this id. Answer 400.
    #[error("no destination has the id {0}")]
    UnknownDestination(DestinationId),
}

/// The router could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// The log could not be read.
    #[error("the event log: {0}")]
    Log(String),
    /// An actor could not be started.
    #[error("starting {0}")]
    Actor(String),
}
