//! Webhooks: `/webhooks/{channel id}`, and `/ccm/webhook` for all accounts of a Meta app. A call
//! needs no API key: the channel checks its signature. It is answered with success only after its
//! contents are durable.

use actors::webhook::{SHARED_BODY_BYTES_MAX, WebhookAnswer, WebhookCall};
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, request::Parts};
use hyper::body::Incoming;
use message::ChannelId;

use super::state::Public;
use crate::http::{
    answer, body,
    connections::Seat,
    problem::{Kind, ProblemDetails},
};

/// The path of a channel's webhook, before the channel's id.
const PREFIX: &str = "/webhooks/";
/// The path of the webhook that all accounts of a Meta app share.
const SHARED: &str = "/ccm/webhook";
/// The largest number of headers passed on for the signature check; further ones are dropped.
const HEADERS_MAX: usize = 100;

/// Whether a path belongs to this module.
pub(super) fn is_webhook(path: &str) -> bool {
    path.starts_with(PREFIX) || path == SHARED
}

/// Handles a provider's call.
pub(super) async fn handle(
    public: &Public,
    seat: &Seat,
    request: hyper::Request<Incoming>,
) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    if !matches!(head.method, Method::GET | Method::POST) {
        let problem = ProblemDetails::new(Kind::WrongMethod, "webhooks take GET and POST");
        return problem.answer_with(header::ALLOW, "GET, POST");
    }
    let channel = head.uri.path().strip_prefix(PREFIX).map(|id| ChannelId::new(id.trim_end_matches('/')));
    let bytes_max = match &channel {
        Some(channel) => public.router.webhook_bytes_max(channel),
        None => public.router.shares_webhooks().then_some(SHARED_BODY_BYTES_MAX),
    };
    // Nobody needs the body of a call to nothing.
    let Some(bytes_max) = bytes_max else { return unknown() };
    let bytes = match body::read(public.bodies.stranger(bytes_max), &head.headers, incoming).await {
        Ok(bytes) => bytes,
        Err(answer) => return *answer,
    };
    let call = call(public, &head, bytes);
    let held = seat.hold();
    let answer = match channel {
        Some(channel) => public.router.webhook(&channel, &call).await,
        None => public.router.shared_webhook(&call).await,
    };
    if matches!(answer, WebhookAnswer::Reply(_)) {
        seat.trust();
    }
    drop(held);
    answered(answer)
}

fn unknown() -> Response<Body> {
    answer::error(Kind::UnknownWebhook, "no such channel, or it takes no webhooks")
}

/// Converts a request for the router.
fn call(public: &Public, head: &Parts, body: bytes::Bytes) -> WebhookCall {
    let headers = head.headers.iter().take(HEADERS_MAX).map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().into(), value.as_ref().into())
    });
    WebhookCall {
        method: head.method.as_str().into(),
        url: public_url(public, &head.uri, &head.headers).into(),
        query: head.uri.query().unwrap_or_default().into(),
        headers: headers.collect(),
        body,
    }
}

/// Returns the URL as the provider knows it, which its signature covers.
fn public_url(public: &Public, uri: &Uri, headers: &HeaderMap) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match &public.public_url {
        Some(base) => format!("{}{path}", base.trim_end_matches('/')),
        None => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            format!("http://{host}{path}")
        }
    }
}

fn answered(answer: WebhookAnswer) -> Response<Body> {
    match answer {
        WebhookAnswer::Reply(reply) => {
            let mut response = Response::new(Body::from(reply.body.to_string()));
            *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
            let kind = HeaderValue::from_static(reply.content_type);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        WebhookAnswer::Unknown => unknown(),
        WebhookAnswer::Refused { status, reason, challenge } => {
            let problem = ProblemDetails::new(Kind::WrongSignature, reason).status(status);
            match challenge {
                Some(how) => problem.answer_with(header::WWW_AUTHENTICATE, how),
                None => problem.answer(),
            }
        }
        WebhookAnswer::Malformed(reason) => answer::error(Kind::MalformedCall, reason),
        WebhookAnswer::Busy { reason, retry_after_s } => answer::busy(&reason, retry_after_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_router_has_its_status() {
        let refused = |challenge| WebhookAnswer::Refused { status: 403, reason: "wrong".into(), challenge };
        let cases = [
            (WebhookAnswer::Reply(channels::http::Reply::json("{}")), 200, None),
            (WebhookAnswer::Unknown, 404, None),
            (refused(None), 403, None),
            (refused(Some("Basic")), 403, Some((header::WWW_AUTHENTICATE, "Basic"))),
            (WebhookAnswer::Malformed("the body is not JSON".into()), 400, None),
            (
                WebhookAnswer::Busy { reason: "not stored".into(), retry_after_s: 5 },
                503,
                Some((header::RETRY_AFTER, "5")),
            ),
        ];
        for (answer, status, expected) in cases {
            let shown = format!("{answer:?}");
            let response = answered(answer);
            assert_eq!(response.status(), status, "{shown}");
            if let Some((name, value)) = expected {
                assert_eq!(response.headers().get(name).unwrap(), value, "{shown}");
            }
        }
    }
}
