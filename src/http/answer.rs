//! HTTP answers. An error always says what is wrong and what to do about it.

use actors::{Page, Refusal};
use axum::body::Body;
use bytes::Bytes;
use channels::url;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use message::cim::write::{self, Outcome, Report};
use serde::{Serialize, de::DeserializeOwned};

use super::problem::{Kind, ProblemDetails};

/// Returns a JSON answer whose body is JSON already.
pub fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Returns a view as a JSON answer.
pub fn json<T: Serialize + ?Sized>(view: &T) -> Response<Body> {
    match serde_json::to_vec(view) {
        Ok(body) => json_bytes(StatusCode::OK, body),
        Err(e) => error(Kind::Internal, format!("the answer cannot be written: {e}")),
    }
}

/// Returns the `Link` header that leads to the next page of a request: the same query, but for
/// `after`.
pub fn next_page(uri: &Uri, after: &str) -> Option<HeaderValue> {
    let asked: Vec<_> = url::form_fields(uri.query().unwrap_or_default().as_bytes()).collect();
    let asked = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields = std::iter::once(("after", after)).chain(asked.filter(|(name, _)| *name != "after"));
    HeaderValue::from_str(&format!("<?{}>; rel=\"next\"", url::encode_form(fields))).ok()
}

/// Returns a page of a list as an array, with `Link: <?after=...>; rel="next"` if more follow.
pub fn page<T: Serialize>(uri: &Uri, page: &Page<T>) -> Response<Body> {
    let mut answer = json(&page.items);
    if let Some(link) = page.next.and_then(|next| next_page(uri, &next.to_string())) {
        answer.headers_mut().insert(header::LINK, link);
    }
    answer
}

/// Returns an error whose kind says all but the detail.
pub fn error(kind: Kind, detail: impl Into<String>) -> Response<Body> {
    ProblemDetails::new(kind, detail).answer()
}

/// Returns 400 for a parameter of the path or query.
pub fn wrong_parameter(field: &str, why: impl std::fmt::Display) -> Response<Body> {
    ProblemDetails::new(Kind::WrongParameter, format!("{field}: {why}")).field(field).answer()
}

/// Returns 503 with Retry-After.
pub fn busy(text: &str, retry_after_s: u32) -> Response<Body> {
    ProblemDetails::new(Kind::Busy, text).retry_after(retry_after_s).answer()
}

/// Reads a JSON body; `expected` shows what it must look like.
pub fn parsed<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, Box<Response<Body>>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if matches!(path.as_str(), "." | "?") { String::new() } else { path };
        (field, error.into_inner())
    });
    let read = read.and_then(|read| json.end().map(|()| read).map_err(|error| (String::new(), error)));
    read.map_err(|(field, error)| {
        let at = if field.is_empty() { String::new() } else { format!("{field}: ") };
        let problem = ProblemDetails::new(Kind::MalformedBody, format!("{at}{error}"));
        Box::new(problem.field(field).fix(format!("send {expected}")).answer())
    })
}

/// Returns the kind and the wrong key of a refused request.
fn kind_of(refusal: &Refusal) -> (Kind, &'static str) {
    match refusal {
        Refusal::UnknownChannel { .. } => (Kind::UnknownChannel, "serviceIdentifier"),
        Refusal::UnknownDestination(_) => (Kind::UnknownDestination, "destination"),
        Refusal::NotFound("channel") => (Kind::UnknownChannel, ""),
        Refusal::NotFound(_) => (Kind::NotFound, ""),
        Refusal::Unsendable(_) => (Kind::Unsendable, ""),
        Refusal::Busy { .. } => (Kind::Busy, ""),
        Refusal::Held { .. } => (Kind::SessionHeld, "takeover"),
        Refusal::TooLate(_) => (Kind::TooLate, ""),
        Refusal::IdTaken(_) | Refusal::IdDiffers(_) => (Kind::IdUsed, "id"),
    }
}

/// Returns the status for a refusal.
pub fn status_of(refusal: &Refusal) -> StatusCode {
    kind_of(refusal).0.explained().status
}

/// Returns the answer for a refused request that is not about one message.
pub fn refusal(refusal: &Refusal) -> Response<Body> {
    let (kind, field) = kind_of(refusal);
    let problem = ProblemDetails::new(kind, refusal.to_string()).field(field);
    match refusal {
        Refusal::Busy { retry_after_s, .. } => problem.retry_after(*retry_after_s).answer(),
        _ => problem.answer(),
    }
}

/// Returns the CIM code of a failure. CIM has three: 400 and 404 for mistakes of the sender (a
/// conflict is one), 500 for everything else.
pub fn reason_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "404",
        _ if status.is_client_error() => "400",
        _ => "500",
    }
}

/// Appends the DELIVERYNOTIFICATION body of a message that was not accepted.
pub fn failed(out: &mut Vec<u8>, message_id: &str, status: StatusCode, text: &str) {
    let report = Report {
        message_id,
        outcome: Outcome::Failed,
        reason_code: reason_code(status),
        text: Some(text),
        failure: None,
    };
    write::delivery_notification_body(out, &report);
}
