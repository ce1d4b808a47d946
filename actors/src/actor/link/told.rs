//! Notes of an HTTP link's tasks to their link.

use std::sync::Arc;

use channels::Attribute;
use message::event::Cause;

use crate::{
    actor::link::caller::Look,
    domain::circuit::Verdict,
    protocol::link::{Answer, LinkToken},
};

/// What a conversation, or a look, tells its link.
#[derive(Debug)]
pub(crate) enum Told {
    /// The outcome for a part.
    Part(LinkToken, Answer, Verdict),
    /// A second word on a part.
    Late(LinkToken, Answer),
    /// What a look at the provider showed.
    Looked(u32, Look),
    /// A call beside messages is over.
    Extra,
    /// What is said of a customer.
    Profile(Arc<str>, Vec<Attribute>),
    /// What telling the provider where we are came to, if there was anything to tell.
    SetUp(Option<Result<(bool, Box<str>), String>>),
    /// What asking for updates showed.
    Polled(Verdict),
    /// It does not take the credentials.
    CredentialsRefused(Cause),
}
