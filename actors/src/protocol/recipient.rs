//! The address of an actor for one kind of message. It hides the actor's own message type, so that
//! a sender never sees the notes that an actor sends to itself.

use std::sync::Arc;

use ractor::{ActorRef, Message};

/// Sends messages of one type to one actor.
pub(crate) struct Recipient<T> {
    send: Arc<dyn Fn(T) -> bool + Send + Sync>,
}

impl<T: 'static> Recipient<T> {
    /// Addresses an actor whose own message type can be made from `T`.
    pub(crate) fn of<M: Message + From<T>>(actor: ActorRef<M>) -> Self {
        Self { send: Arc::new(move |message: T| actor.cast(M::from(message)).is_ok()) }
    }

    /// Sends a message; returns false, and drops the message, when the actor has stopped.
    pub(crate) fn tell(&self, message: T) -> bool {
        (self.send)(message)
    }
}

impl<T> Clone for Recipient<T> {
    fn clone(&self) -> Self {
        Self { send: self.send.clone() }
    }
}
