//! HTTP answers. An error always says what is wrong and what to do about it.

use actors::{Page, Refusal};
use axum::body::Body;
use bytes::Bytes;
use channels::url;
use http::{HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use message::cim::write::{self, Outcome, Report};
use serde::Serialize;

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
        Err(e) => error(StatusCode::INTERNAL_SERVER_ERROR, &format!("the answer cannot be written: {e}")),
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

/// Returns an error as `{"status":404,"error":"..."}`.
pub fn error(status: StatusCode, text: &str) -> Response<Body> {
    let mut body = format!("{{\"status\":{},\"error\":", status.as_u16()).into_bytes();
    write::string(&mut body, text);
    body.push(b'}');
    json_bytes(status, body)
}

/// Returns an error with one more header.
pub fn error_with(status: StatusCode, text: &str, name: HeaderName, value: &str) -> Response<Body> {
    let mut answer = error(status, text);
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Returns 503 with Retry-After.
pub fn busy(text: &str, retry_after_s: u32) -> Response<Body> {
    let seconds = retry_after_s.max(1).to_string();
    error_with(StatusCode::SERVICE_UNAVAILABLE, text, header::RETRY_AFTER, &seconds)
}

/// Returns the status for a refusal.
pub fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::UnknownChannel { .. } | Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Unsendable(_) | Refusal::UnknownDestination(_) => StatusCode::BAD_REQUEST,
        Refusal::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Held { .. } | Refusal::TooLate(_) | Refusal::IdTaken(_) | Refusal::IdDiffers(_) => {
            StatusCode::CONFLICT
        }
    }
}

/// Returns the answer for a refused request that is not about one message.
pub fn refusal(refusal: &Refusal) -> Response<Body> {
    match refusal {
        Refusal::Busy { retry_after_s, .. } => busy(&refusal.to_string(), *retry_after_s),
        _ => error(status_of(refusal), &refusal.to_string()),
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
