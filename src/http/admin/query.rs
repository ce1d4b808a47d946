//! Queries of the lists: their parameters and their limits.

use axum::{body::Body, extract::Query};
use http::{Response, Uri};
use serde::de::DeserializeOwned;

use crate::http::problem::{Kind, ProblemDetails};

/// The number of items in a list when `limit` is missing.
const LIMIT_DEFAULT: usize = 100;
/// The largest `limit`; larger values are lowered to it.
const LIMIT_MAX: usize = 1_000;

/// Reads the query of a request.
pub(super) fn of<T: DeserializeOwned>(uri: &Uri) -> Result<T, Box<Response<Body>>> {
    let read = Query::try_from_uri(uri).map(|Query(query)| query);
    read.map_err(|e| {
        let text = e.body_text();
        Box::new(wrong(text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text)))
    })
}

/// Returns 400 for a text such as `limit: invalid digit`, which begins with the parameter.
pub(super) fn wrong(text: &str) -> Response<Body> {
    let field = text.split_once(": ").map(|(field, _)| field);
    let field = field.filter(|field| field.chars().all(char::is_alphanumeric)).unwrap_or_default();
    ProblemDetails::new(Kind::WrongParameter, text).field(field).answer()
}

/// Returns the limit to use for a list.
pub(super) fn limit_of(asked: Option<usize>) -> usize {
    asked.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Page {
        limit: Option<usize>,
    }

    #[test]
    fn a_limit_out_of_bounds_is_moved_to_the_bound() {
        let used = |uri: &'static str| {
            let page: Page = of(&Uri::from_static(uri)).unwrap();
            limit_of(page.limit)
        };
        assert_eq!(used("/api/sessions?limit=999999"), 1_000);
        assert_eq!(used("/api/sessions?limit=1000"), 1_000);
        assert_eq!(used("/api/sessions?limit=7"), 7);
        assert_eq!(used("/api/sessions?limit=0"), 1);
        assert_eq!(used("/api/sessions"), 100);
    }
}
