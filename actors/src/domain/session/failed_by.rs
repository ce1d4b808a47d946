//! The side that failed a part.

use message::{FailedBy, Failure, Timestamp, event::Cause};

use super::window::WINDOW;

/// Code of messages that an operator withdrew before they were sent.
pub(super) const WITHDRAWN: &str = "cancelled";
/// Codes of failures of submits that the router gives by itself.
const OWN_CODES: [&str; 6] = ["400", "no_answer", "reassigned", "steps", "unreachable", WINDOW];

/// Returns the failure that a receipt's code, `<code>` or `<code>: <words>`, tells.
pub(super) fn reported(code: &str, at: Timestamp) -> Failure {
    let cause = match code.split_once(": ") {
        Some((code, words)) => Cause::new(code, words),
        None => Cause::new(code, "the provider reports a failure"),
    };
    Failure { cause, by: FailedBy::Provider, at }
}

/// Returns the side that failed a part with this code: the codes that the router gives by itself
/// are its own, one is an operator's, all others are the provider's.
pub(super) fn failed_by(code: &str) -> FailedBy {
    match code {
        WITHDRAWN => FailedBy::Operator,
        own if OWN_CODES.contains(&own) => FailedBy::Patchbay,
        _ => FailedBy::Provider,
    }
}
