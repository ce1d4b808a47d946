//! Answers of the Messenger Platform: sends, refusals, profiles.

use std::sync::Arc;

use message::event::Cause;

use crate::{
    contract::{Attribute, OutPart, Rejection, SendError, Sent, Step, http::Response},
    family::meta::graph_api::GraphError,
    toolkit::{classify, json},
};

/// Maximum length of a customer's id, in octets; longer addresses are refused.
const ID_BYTES_MAX: usize = 128;

/// Returns a customer's id, which is scoped to the page or account.
///
/// # Errors
/// The address cannot be such an id.
pub(super) fn customer(address: &str) -> Result<Arc<str>, Rejection> {
    let address = address.trim();
    let is_id = (1..=ID_BYTES_MAX).contains(&address.len())
        && address.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if is_id {
        return Ok(address.into());
    }
    let reason = format!(
        "channelCustomerIdentifier {address:?} is not a scoped user id: expected the id that came with the customer's message"
    );
    Err(Rejection(Cause::new("400", reason)))
}

/// Returns whether a refusal says that the window for free replies is closed.
pub(super) fn is_window_closed(response: &Response) -> bool {
    let said = json::parse(&response.body).unwrap_or_default();
    !response.is_success()
        && GraphError::of(&said)
            .is_some_and(|e| e.code == 10 && matches!(e.subcode, 2_018_278 | 2_018_065 | 2_534_022))
}

/// Parses the answer to a send.
///
/// # Errors
/// The message was not taken.
pub(super) fn parse_send(part: &OutPart<'_>, response: &Response) -> Result<Step, SendError> {
    let said = json::parse(&response.body).unwrap_or_default();
    if !response.is_success() {
        return Err(match GraphError::of(&said) {
            Some(error) => class(response, error),
            None => SendError::by_status(response),
        });
    }
    let Some(id) = json::some_text(&said, "/message_id") else {
        return Err(classify::unreadable(response, "message_id"));
    };
    let customer = json::some_text(&said, "/recipient_id").filter(|id| *id != part.customer);
    Ok(Step::Sent(Sent { id: (&*id).into(), customer: customer.map(|id| (&*id).into()) }))
}

/// Pause of the channel while Meta blocks it temporarily, in milliseconds.
const BLOCKED_PAUSE_MS: u64 = 600_000;

/// Classifies Meta's codes for Messenger and Instagram.
fn class(response: &Response, error: GraphError) -> SendError {
    let GraphError { code, subcode, transient, cause } = error;
    let after_ms = response.retry_after_ms();
    match (code, subcode) {
        (613, 1_893_016) | (368, _) => {
            SendError::Throttled { after_ms: after_ms.max(BLOCKED_PAUSE_MS), cause }
        }
        (4 | 32 | 613 | 80_006, _) => SendError::Throttled { after_ms, cause },
        // The window is closed, the customer is gone or blocked us, or the request is wrong.
        (10, 2_018_065 | 2_018_108 | 2_018_278 | 2_534_022)
        | (200, 1_545_041)
        | (1, 1_357_046)
        | (100 | 105 | 194 | 551 | 10_303, _)
        | (9, 2_018_352) => SendError::Rejected(cause),
        // Token and permissions, which the probe checks; a permission may be one object's.
        (3 | 10 | 102 | 190 | 200..=299 | 803, _) => SendError::Forbidden(cause),
        (99, _) => SendError::RetryOnce(cause),
        (1 | 2 | 1_200, _) => SendError::Unavailable(cause),
        _ if transient => SendError::Unavailable(cause),
        _ => SendError::of_status(response, cause),
    }
}

/// Parses a profile: the name, or the user name where it is missing; the address of a picture,
/// which is valid for some days.
pub(super) fn parse_profile(response: &Response) -> Vec<Attribute> {
    let said = json::parse(&response.body).unwrap_or_default();
    let at = |pointer: &str| json::some_text(&said, pointer).map(|text| text.into_owned());
    if !response.is_success() {
        return Vec::new();
    }
    let whole: Vec<String> = ["/first_name", "/last_name"].iter().filter_map(|half| at(half)).collect();
    let name = at("/name").or_else(|| Some(whole.join(" ")).filter(|name| !name.is_empty()));
    let all = [
        ("customerName", name.or_else(|| at("/username"))),
        ("username", at("/username")),
        ("profilePicture", at("/profile_pic")),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.into(), value?.into()))).collect()
}
