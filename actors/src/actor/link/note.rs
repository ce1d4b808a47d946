//! Notes that an HTTP link's own tasks send to their link.

use std::sync::Arc;

use channels::Attribute;
use message::event::Cause;

use crate::{
    actor::link::caller::{ProbeReport, Registration},
    domain::circuit::Verdict,
    protocol::link::{LinkCommand, LinkToken, PartAnswer},
};

/// Input of an HTTP link's actor: commands of its channel, and notes of its own tasks.
pub(crate) enum HttpLinkInput {
    Command(LinkCommand),
    /// The pause before the probe of this number is over.
    ProbeDue(u32),
    /// The pause before the next registration is over.
    RegistrationDue,
    Note(LinkNote),
}

impl From<LinkCommand> for HttpLinkInput {
    fn from(command: LinkCommand) -> Self {
        Self::Command(command)
    }
}

/// The result of a task.
#[derive(Debug)]
pub(crate) enum LinkNote {
    /// The outcome of a part that was submitted in this era.
    Part(LinkToken, PartAnswer, Verdict, u32),
    /// A second, late outcome of a part.
    Late(LinkToken, PartAnswer),
    /// The result of the probe of this number.
    Probe(u32, ProbeReport),
    /// A fire-and-forget call has ended.
    FireAndForget,
    /// A customer's attributes.
    Profile(Arc<str>, Vec<Attribute>),
    /// The result of registering the webhook.
    Registration(Registration),
    /// The verdict of a poll on the provider; the poller began in this era.
    Poll(Verdict, u32),
    /// Access to a poll was denied; the poller began in this era.
    PollDenied(Cause, u32),
    /// The result of the probe that this era's denied calls await.
    Confirmed(ProbeReport, u32),
}
