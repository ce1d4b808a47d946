//! Send errors for answers that a provider's own codes do not explain. HTTP statuses are
//! classified by [`SendError::by_status`].

use message::event::Cause;

use crate::contract::{SendError, http::Response};

/// A success whose body is not what the provider promises: it may have been taken, and must not be sent twice.
pub fn unreadable(response: &Response, expected: &str) -> SendError {
    let reason = format!("the answer has no {expected}: {}", response.words());
    SendError::Unknown(Cause::new(format!("http {}", response.status), reason))
}

/// There was no answer to look at: never the provider's doing.
pub fn nothing() -> SendError {
    SendError::Unknown(Cause::new("no answer", "there is no answer"))
}
