//! What the lists have in common: a bound, a place to go on from, an instant.

use axum::{body::Body, extract::Query};
use http::{Response, StatusCode, Uri};
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
pub(super) fn limit_of(asked: Option<usize>) -> usize {
    asked.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
}
