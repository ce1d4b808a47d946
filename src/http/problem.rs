//! The one shape of an error: `application/problem+json` (RFC 9457). Each kind has a stable type,
//! which leads to its explanation at `/docs/errors`. Only the paths that take CIM messages
//! answer with a notification instead, where the error concerns one message.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

/// The media type of an error.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// The page that explains the kinds.
pub const EXPLAINED_AT: &str = "/docs/errors";

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No route has this path.
    UnknownRoute,
    /// The path belongs to the other port.
    WrongPort,
    /// The route does not take this method.
    WrongMethod,
    /// The API key or admin token is missing or wrong.
    WrongKey,
    /// A page of another site made the request.
    ForeignPage,
    /// The request names a host that only a key may name.
    ForeignHost,
    /// A parameter of the path or of the query is wrong.
    WrongParameter,
    /// The body is not what the route expects.
    MalformedBody,
    /// The body ended too early.
    IncompleteBody,
    /// The body did not arrive in time.
    SlowBody,
    /// The body, or the number of messages in it, is too large.
    TooLarge,
    /// The type or coding of the body is not supported.
    UnsupportedType,
    /// All room is in use.
    Busy,
    /// No channel has this own address or id.
    UnknownChannel,
    /// No destination has this id.
    UnknownDestination,
    /// No channel with webhooks has this id.
    UnknownWebhook,
    /// Nothing has this id.
    NotFound,
    /// The channel will never take this message.
    Unsendable,
    /// Another handler has the session.
    SessionHeld,
    /// The provider has the message, or it is settled.
    TooLate,
    /// The message's id was used before.
    IdUsed,
    /// The provider's call is not signed as configured.
    WrongSignature,
    /// The provider's call cannot be read.
    MalformedCall,
    /// The provider does not give a file.
    FileRefused,
    /// The configuration file has problems.
    BrokenConfiguration,
    /// The configuration cannot be changed now.
    NotReloaded,
    /// An error of Patchbay itself.
    Internal,
}

/// The explanation of a kind.
pub struct Explained {
    /// Its place in the enumeration.
    pub kind: Kind,
    /// The stable name: the end of `type`, and `code`.
    pub code: &'static str,
    /// The usual status.
    pub status: StatusCode,
    /// A few words for people.
    pub title: &'static str,
    /// The usual fix.
    pub fix: &'static str,
}

const fn explained(
    kind: Kind,
    code: &'static str,
    status: StatusCode,
    title: &'static str,
    fix: &'static str,
) -> Explained {
    Explained { kind, code, status, title, fix }
}

/// All kinds, in the order of the explanation.
#[rustfmt::skip]
pub const KINDS: [Explained; 27] = [
    explained(Kind::UnknownRoute, "unknown-route", StatusCode::NOT_FOUND, "No route has this path",
        "take a path of the list at /docs"),
    explained(Kind::WrongPort, "wrong-port", StatusCode::NOT_FOUND, "The path belongs to the other port",
        "messages go to [http] listen, everything under /api to [admin] listen"),
    explained(Kind::WrongMethod, "wrong-method", StatusCode::METHOD_NOT_ALLOWED, "The route does not take this method",
        "take a method of the Allow header"),
    explained(Kind::WrongKey, "wrong-key", StatusCode::UNAUTHORIZED, "The key is missing or wrong",
        "send one of [http] api_keys, or [admin] token at the admin port, as Authorization: Bearer"),
    explained(Kind::ForeignPage, "foreign-page", StatusCode::FORBIDDEN, "A page of another site made the request",
        "call from a program, or from the page of this port"),
    explained(Kind::ForeignHost, "foreign-host", StatusCode::FORBIDDEN, "Without a key, only local names are answered",
        "use the IP address or localhost as host name, or configure api_keys in [http] or token in [admin]"),
    explained(Kind::WrongParameter, "wrong-parameter", StatusCode::BAD_REQUEST, "A parameter is wrong",
        "correct the parameter that field names; /docs lists those of each route"),
    explained(Kind::MalformedBody, "malformed-body", StatusCode::BAD_REQUEST, "The body is not what the route expects",
        "send the JSON that /docs shows for the route"),
    explained(Kind::IncompleteBody, "incomplete-body", StatusCode::BAD_REQUEST, "The body ended too early",
        "send as many bytes as Content-Length says"),
    explained(Kind::SlowBody, "slow-body", StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time",
        "send the request again"),
    explained(Kind::TooLarge, "too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large",
        "send fewer messages at once, or raise [http] body_max"),
    explained(Kind::UnsupportedType, "unsupported-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The type of the body is not supported",
        "send Content-Type: application/json without Content-Encoding"),
    explained(Kind::Busy, "busy", StatusCode::SERVICE_UNAVAILABLE, "There is no room now",
        "send the request again after the seconds of Retry-After"),
    explained(Kind::UnknownChannel, "unknown-channel", StatusCode::NOT_FOUND, "No channel has this address or id",
        "take one that is configured; GET /api/channels at the admin port lists them"),
    explained(Kind::UnknownDestination, "unknown-destination", StatusCode::BAD_REQUEST, "No destination has this id",
        "take one that is configured; GET /api/destinations at the admin port lists them"),
    explained(Kind::UnknownWebhook, "unknown-webhook", StatusCode::NOT_FOUND, "No channel takes webhooks there",
        "enter /webhooks/{id of the channel} at the provider"),
    explained(Kind::NotFound, "not-found", StatusCode::NOT_FOUND, "Nothing has this id",
        "check the id; what ended longer ago than retention is gone"),
    explained(Kind::Unsendable, "unsendable", StatusCode::BAD_REQUEST, "The channel never takes this message",
        "change the message as detail says; ?plan=true tries it without sending"),
    explained(Kind::SessionHeld, "session-held", StatusCode::CONFLICT, "Another handler has the session",
        "ask for takeover, or wait until the session ends"),
    explained(Kind::TooLate, "too-late", StatusCode::CONFLICT, "It is too late for that",
        "nothing can be done: the provider has the message, or it is settled"),
    explained(Kind::IdUsed, "id-used", StatusCode::CONFLICT, "The id of the message was used before",
        "give each message an id of its own, and repeat an id only with the same message"),
    explained(Kind::WrongSignature, "wrong-signature", StatusCode::UNAUTHORIZED, "The provider's call is not signed as configured",
        "compare the secrets in [channel.account] with those at the provider"),
    explained(Kind::MalformedCall, "malformed-call", StatusCode::BAD_REQUEST, "The provider's call cannot be read",
        "compare the webhook's settings at the provider with its documentation"),
    explained(Kind::FileRefused, "file-refused", StatusCode::BAD_GATEWAY, "The provider does not give the file",
        "files expire at providers; ask the customer to send it again"),
    explained(Kind::BrokenConfiguration, "broken-configuration", StatusCode::BAD_REQUEST, "The configuration file has problems",
        "correct the lines that problems lists; patchbay check shows them as well"),
    explained(Kind::NotReloaded, "not-reloaded", StatusCode::CONFLICT, "The configuration was not changed",
        "do what detail says, then reload again"),
    explained(Kind::Internal, "internal", StatusCode::INTERNAL_SERVER_ERROR, "An error of Patchbay itself",
        "look at the log, and report it"),
];

impl Kind {
    /// Returns the explanation.
    pub fn explained(self) -> &'static Explained {
        // Every kind is in the list, as a test proves; the last entry is for a mistake in it.
        let [.., last] = &KINDS;
        KINDS.iter().find(|of| of.kind == self).unwrap_or(last)
    }
}

/// An error, as it is written.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemDetails {
    /// Where this kind of error is explained; the same for all errors of the kind.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The cause this time.
    detail: String,
    /// The kind as a word for programs: the end of `type`.
    code: &'static str,
    /// The parameter or the key of the body that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The remedy.
    fix: String,
    /// When to come again, in seconds, as in Retry-After.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    /// The single problems of a configuration file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemInFile>,
}

/// A problem of a configuration file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemInFile {
    /// The name of the file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The mistake and its fix.
    pub problem: String,
}

impl ProblemDetails {
    /// Begins an error of a kind; `detail` says what is wrong this time.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let Explained { code, status, title, fix, .. } = kind.explained();
        Self {
            kind: format!("{EXPLAINED_AT}#{code}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code,
            field: None,
            fix: (*fix).to_owned(),
            retry_after: None,
            problems: Vec::new(),
        }
    }

    /// Names the parameter or key that is wrong.
    #[must_use]
    pub fn field(self, field: impl Into<String>) -> Self {
        let field = Some(field.into()).filter(|field| !field.is_empty());
        Self { field, ..self }
    }

    /// Says what to do, where more is known than the kind's usual fix.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    /// Replaces the kind's usual status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Says when to come again.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    /// Adds the single problems of a configuration file.
    #[must_use]
    pub fn problems(self, problems: Vec<ProblemInFile>) -> Self {
        Self { problems, ..self }
    }

    /// Returns the answer.
    pub fn answer(self) -> Response<Body> {
        // Texts and numbers only: writing them cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }

    /// Returns the answer with one more header.
    pub fn answer_with(self, name: HeaderName, value: &str) -> Response<Body> {
        let mut answer = self.answer();
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_explained_once() {
        // The compiler counts them: a kind is added here by its place in the enumeration.
        for (at, of) in KINDS.iter().enumerate() {
            assert_eq!(of.kind as usize, at, "{:?} is at its place", of.kind);
            assert_eq!(of.kind.explained().code, of.code);
            assert!(of.status.is_client_error() || of.status.is_server_error(), "{}", of.code);
        }
        assert_eq!(Kind::Internal as usize + 1, KINDS.len(), "none is missing");
    }
}
