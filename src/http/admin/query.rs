//! What the lists have in common: a bound, a place to go on from, an instant.

use axum::{body::Body, extract::Query};
use http::{Response, StatusCode, Uri};
use message::Timestamp;
use serde::de::DeserializeOwned;

use crate::http::answer;

/// Items of a list when nothing is said.
const LIMIT_DEFAULT: usize = 100;
/// Items of a list at most.
const LIMIT_MAX: usize = 1_000;

/// The query of a request, typed.
pub(super) fn of<T: DeserializeOwned>(uri: &Uri) -> Result<T, Box<Response<Body>>> {
    let read = Query::try_from_uri(uri).map(|Query(query)| query);
    read.map_err(|e| Box::new(answer::error(StatusCode::BAD_REQUEST, &e.body_text())))
}

/// The bound of a list.
pub fn limit_of(asked: Option<usize>) -> usize {
    asked.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
}

/// An instant: epoch milliseconds or RFC 3339.
///
/// # Errors
/// What is expected, in words.
pub fn at_of(text: &str) -> Result<Timestamp, String> {
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(Timestamp(ms));
    }
    // In a query an unescaped plus arrives as a space.
    let text = text.replace(' ', "+");
    let instant: Option<jiff::Timestamp> = text.parse().ok();
    let ms = instant.and_then(|t| u64::try_from(t.as_millisecond()).ok());
    ms.map(Timestamp).ok_or_else(|| {
        format!("not an instant: {text:?}; expected milliseconds since 1970 or e.g. 2026-01-31T12:00:00Z")
    })
}
