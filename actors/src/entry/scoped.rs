//! The router as one sender may use it. A key that belongs to a destination reaches only what is
//! that destination's own: messages whose notifications go to it, and sessions whose customers
//! write to it. Everything else answers as if it did not exist.

use message::{DestinationId, MessageId, Seq, SessionId};

use crate::{
    entry::{
        accept::Origin,
        router::{OpenSession, Router},
    },
    error::Refusal,
    view::{MessageView, SessionView},
};

/// A router in the hands of one sender.
pub struct ScopedRouter<'a> {
    router: &'a Router,
    /// The only destination whose things the sender reaches; `None` for all.
    only: Option<&'a DestinationId>,
}

impl Router {
    /// Returns the router as a sender may use it.
    pub fn of<'a>(&'a self, origin: &'a Origin) -> ScopedRouter<'a> {
        ScopedRouter { router: self, only: origin.destination.as_ref() }
    }
}

impl ScopedRouter<'_> {
    fn reaches(&self, destination: &DestinationId) -> bool {
        self.only.is_none_or(|only| only == destination)
    }

    /// Returns a message with its timeline.
    ///
    /// # Errors
    ///
    /// As [`Router::message`].
    pub async fn message(&self, id: &MessageId) -> Result<MessageView, Refusal> {
        let view = self.router.message(id).await?;
        if self.reaches(&view.destination) { Ok(view) } else { Err(Refusal::NotFound("message")) }
    }

    /// Withdraws a message of which no part was sent yet.
    ///
    /// # Errors
    ///
    /// As [`Router::cancel`].
    pub async fn cancel(&self, id: &MessageId) -> Result<(), Refusal> {
        if self.only.is_some() {
            self.message(id).await?;
        }
        self.router.cancel(id).await
    }

    /// Opens a session, or takes it over.
    ///
    /// # Errors
    ///
    /// As [`Router::open_session`].
    pub async fn open_session(&self, request: OpenSession) -> Result<SessionView, Refusal> {
        if let Some(only) = self.only {
            self.router.own_channel(&request, only)?;
        }
        self.router.open_session(request).await
    }

    /// Returns a session with its newest events, or with those before an event.
    ///
    /// # Errors
    ///
    /// As [`Router::session`].
    pub async fn session(&self, id: SessionId, before: Option<Seq>) -> Result<SessionView, Refusal> {
        let view = match before {
            Some(before) => self.router.session_before(id, before).await?,
            None => self.router.session(id, None).await?,
        };
        if self.reaches(&view.destination) { Ok(view) } else { Err(Refusal::NotFound("session")) }
    }

    /// Returns an error unless the sender may end a session.
    ///
    /// # Errors
    ///
    /// As for a session that is not open.
    pub async fn may_end(&self, id: SessionId) -> Result<(), Refusal> {
        let missing = |_| Refusal::NotFound("open session");
        if self.only.is_some() { self.session(id, None).await.map(|_| ()).map_err(missing) } else { Ok(()) }
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// As [`Router::end_session`].
    pub async fn end_session(&self, id: SessionId) -> Result<(), Refusal> {
        self.may_end(id).await?;
        self.router.end_session(id).await
    }
}
