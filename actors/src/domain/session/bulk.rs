//! Decisions of an operator about all messages of a session at once.

use message::{
    Event, Timestamp,
    event::{Cause, FailedParts},
};

use super::{
    decide::Events,
    failed_by::WITHDRAWN,
    state::{Outbound, Part, Phase, Session},
};

impl Session {
    /// Withdraws at most `max` messages of which no part was sent yet, the oldest first. The
    /// business did not ask for it, so it is notified of each failure.
    pub fn cancel_queued(&self, max: usize) -> Events {
        let unsent = self.queue.iter().filter(|message| !message.started());
        let withdrawn = |message: &Outbound| Event::PartFailed {
            message: message.number,
            parts: FailedParts::Unsent,
            cause: Cause::new(WITHDRAWN, "an operator withdrew the message before it was sent"),
        };
        unsent.take(max).map(|message| withdrawn(message)).collect()
    }

    /// Ends the pauses of parts that the provider deferred. A part in doubt keeps its grace: a
    /// receipt may still show that it was accepted.
    pub fn retry_now(&self, now: Timestamp) -> Events {
        let is_deferred =
            |part: &Part| part.phase == Phase::Waiting && part.retry_at > now && part.doubts == 0;
        let of_message = |message: &Outbound| {
            let parts: Vec<u16> = message.parts_where(is_deferred).collect();
            let number = message.number;
            parts.into_iter().map(move |part| Event::Deferred {
                message: number,
                part,
                cause: Cause::new("try_now", "an operator ended the pause"),
                retry_at: now,
                counted: false,
            })
        };
        self.queue
            .iter()
            .filter(|message| message.started())
            .flat_map(|message| of_message(message))
            .collect()
    }
}
