//! Send errors for answers that a provider's own codes do not explain. HTTP statuses are
//! classified by [`SendError::by_status`].

use message::event::Cause;

use crate::contract::{SendError, http::Response};

/// Returns the error for a success whose body lacks `expected`: the part may have been taken and
/// must not be sent twice.
pub fn unreadable(response: &Response, expected: &str) -> SendError {
    let reason = format!("the answer has no {expected}: {}", response.words());
    SendError::Unknown(Cause::new(format!("http {}", response.status), reason))
}

/// Returns the error for a conversation without an answer, which is never the provider's fault.
pub fn nothing() -> SendError {
    SendError::Unknown(Cause::new("no answer", "there is no answer"))
}
