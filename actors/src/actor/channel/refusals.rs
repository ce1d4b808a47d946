//! Whom refusals concern, and whether the channel is stopped because its credentials are refused.

use channels::SendError;
use message::{StreamId, Timestamp, event::Cause};

use crate::domain::{
    correlation::PartRef,
    crowding::{Crowding, Denials, Scope},
};

/// The refusals of a channel's provider.
#[derive(Default)]
pub(crate) struct Refusals {
    /// Tells one customer's limit from the channel's.
    crowding: Crowding,
    /// Tells access denied to one object from refused credentials.
    denials: Denials,
    /// Set until the provider accepts the credentials again.
    stopped: Option<StoppedChannel>,
    /// Why the provider last asked to send less, and when.
    throttled: Option<(Cause, Timestamp)>,
}

/// A channel whose credentials were refused.
struct StoppedChannel {
    cause: Cause,
    /// Whether a single part may show whether they are accepted again, where no probe can.
    is_on_trial: bool,
}

impl Refusals {
    /// Notes that a part to a customer was accepted.
    pub(crate) fn accepted(&mut self, stream: StreamId) {
        self.crowding.accepted(stream);
        self.denials.accepted();
    }

    /// Decides whom a refusal concerns that does not say it: the customer or the channel.
    pub(crate) fn weigh(&mut self, part: PartRef, error: SendError, is_current: bool) -> SendError {
        match error {
            SendError::CustomerThrottled { after_ms, cause } => {
                let after_ms = self.crowding.pause(part.stream, after_ms);
                SendError::CustomerThrottled { after_ms, cause }
            }
            SendError::Busy { after_ms, cause } => match self.crowding.refused(part.stream, after_ms) {
                Scope::Customer(after_ms) => SendError::CustomerThrottled { after_ms, cause },
                Scope::Channel => SendError::Throttled { after_ms, cause },
            },
            // A part that was submitted before a restart shows nothing now: it is given back.
            SendError::Forbidden(cause) if !is_current || self.denials.refused(part.stream) => {
                SendError::CredentialsRefused(cause)
            }
            error => error,
        }
    }

    /// Notes why the provider asks to send less.
    pub(crate) fn note_throttled(&mut self, cause: &Cause, now: Timestamp) {
        self.throttled = Some((cause.clone(), now));
    }

    /// Why the provider last asked to send less, and when.
    pub(crate) fn throttled(&self) -> Option<&(Cause, Timestamp)> {
        self.throttled.as_ref()
    }

    /// Whether nothing may be sent.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| !stopped.is_on_trial)
    }

    /// Why nothing is sent, if the channel is stopped.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.stopped.as_ref().map(|stopped| &stopped.cause)
    }

    /// Lets a single part show whether the credentials are accepted again.
    pub(crate) fn try_one(&mut self) {
        if let Some(stopped) = &mut self.stopped {
            stopped.is_on_trial = true;
        }
    }

    /// Stops. Returns whether the channel was not stopped before.
    pub(crate) fn stop(&mut self, cause: Cause) -> bool {
        self.stopped.replace(StoppedChannel { cause, is_on_trial: false }).is_none()
    }

    /// Ends a stop. Returns whether there was one.
    pub(crate) fn resume(&mut self) -> bool {
        self.stopped.take().is_some()
    }

    /// Forgets who was denied access.
    pub(crate) fn forget_denials(&mut self) {
        self.denials.accepted();
    }
}
