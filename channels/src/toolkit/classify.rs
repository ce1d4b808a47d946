//! HTTP statuses as send errors: what holds for a provider that says nothing more precise. A provider reads its own
//! codes first.

use message::event::Cause;

use crate::contract::{SendError, http::Response};

/// The error that a status other than 2xx stands for, with the answer's first words.
///
/// 401 and 403 stop the channel; 408, 425, 429 and 5xx are tried again, 429 slows the whole channel; 4xx are final.
pub fn by_status(response: &Response) -> SendError {
    let code = format!("http {}", response.status);
    of_status(response, Cause::new(code, response.words()))
}

/// The same with a cause of the provider's own.
pub fn of_status(response: &Response, cause: Cause) -> SendError {
    match response.status {
        401 | 403 => SendError::CredentialsRefused(cause),
        429 => SendError::Throttled { after_ms: response.retry_after_ms(), cause },
        503 if response.retry_after_ms() > 0 => {
            SendError::Throttled { after_ms: response.retry_after_ms(), cause }
        }
        408 | 425 | 500..=599 => SendError::Unavailable(cause),
        300..=499 => SendError::Rejected(cause),
        // A success that its provider could not read, or no final answer at all.
        _ => SendError::Unknown(cause),
    }
}

/// A success whose body is not what the provider promises: it may have been taken, and must not be sent twice.
pub fn unreadable(response: &Response, expected: &str) -> SendError {
    let reason = format!("the answer has no {expected}: {}", response.words());
    SendError::Unknown(Cause::new(format!("http {}", response.status), reason))
}

/// There was no answer to look at: never the provider's doing.
pub fn nothing() -> SendError {
    SendError::Unknown(Cause::new("no answer", "there is no answer"))
}
