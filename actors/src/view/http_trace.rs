//! The last HTTP calls between a channel and its provider, for diagnosis. Limited in number and
//! size. Holds no value that the request marks as secret, and none that an answer names like a
//! secret.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use channels::http::{ANSWER_BYTES_MAX, Request, Response};
use message::{MessageId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// HttpTrace kept of one channel; the oldest go first.
const EXCHANGES_MAX: usize = 1_000;
/// Maximum size of a stored request or answer body, in bytes; the rest is cut.
const BODY_BYTES_MAX: usize = 3_072;
/// Maximum size of a stored URL or error, in bytes; the rest is cut.
const LINE_BYTES_MAX: usize = 1_024;
/// Parts of JSON names, in lower case, whose values are masked in answers.
const SECRET_NAMES: [&str; 5] = ["token", "secret", "password", "api_key", "apikey"];

/// A call to a provider and its answer, as `GET /api/channels/{id}/exchanges` shows it. Holds no
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeView {
    /// When it began.
    pub at: Timestamp,
    /// The HTTP method.
    pub method: &'static str,
    /// The request URL.
    pub url: Box<str>,
    /// The request body.
    pub body: Box<str>,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer's body.
    pub answer: Box<str>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The message it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The part of it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u16>,
    /// The reason why no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
}

impl ExchangeView {
    /// Records the beginning of a call, for a message's part (from 0) or for none.
    pub(crate) fn begun(request: &Request, message: Option<(MessageId, u16)>, at: Timestamp) -> Self {
        Self {
            at,
            method: request.method.as_str(),
            url: cut(request.redacted(&request.url), LINE_BYTES_MAX),
            body: cut(masked(&request.body_shown()), BODY_BYTES_MAX),
            status: None,
            answer: "".into(),
            took_ms: 0,
            part: message.as_ref().map(|(_, part)| part.saturating_add(1)),
            message_id: message.map(|(id, _)| id),
            error: None,
        }
    }

    /// Adds the answer. A file is told by its type and size.
    pub(crate) fn answered(mut self, request: &Request, response: &Response, took_ms: u64) -> Self {
        let text = match std::str::from_utf8(&response.body) {
            // Masked before it is cut, because half a secret is secret too.
            Ok(text) if text.len() <= ANSWER_BYTES_MAX && !text.contains('\0') => {
                masked(&request.redacted(text))
            }
            _ => {
                let kind = response.header("content-type").unwrap_or("no content type");
                let kind = request.redacted(kind.split(';').next().unwrap_or_default().trim());
                format!("<{}, {} bytes>", cut(kind, LINE_BYTES_MAX), response.body.len())
            }
        };
        (self.status, self.answer, self.took_ms) =
            (Some(response.status), cut(text, BODY_BYTES_MAX), took_ms);
        self
    }

    /// Adds the reason why no answer came.
    pub(crate) fn failed(mut self, request: &Request, why: &str, took_ms: u64) -> Self {
        (self.error, self.took_ms) = (Some(cut(request.redacted(why), LINE_BYTES_MAX)), took_ms);
        self
    }
}

/// The last exchanges of one channel.
#[derive(Debug, Default)]
pub(crate) struct HttpTrace {
    ring: Mutex<VecDeque<Arc<ExchangeView>>>,
}

impl HttpTrace {
    /// Adds an exchange.
    pub(crate) fn add(&self, exchange: ExchangeView) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= EXCHANGES_MAX {
            ring.pop_front();
        }
        ring.push_back(Arc::new(exchange));
    }

    /// Lists exchanges, the newest first, of one message or of all.
    pub(crate) fn list(&self, message: Option<&MessageId>, limit: usize) -> Vec<Arc<ExchangeView>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |e: &&Arc<ExchangeView>| message.is_none_or(|id| e.message_id.as_ref() == Some(id));
        ring.iter().rev().filter(of).take(limit).cloned().collect()
    }
}

fn cut(text: String, bytes_max: usize) -> Box<str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let at = text.floor_char_boundary(bytes_max);
    format!("{}...", text.get(..at).unwrap_or_default()).into()
}

/// Masks the values whose JSON names look like secrets.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // A name is a quoted text before a colon; its value is masked when it is quoted, too.
    while let Some((before, name, tail)) = quoted(rest) {
        out.push_str(before);
        let lower = name.to_ascii_lowercase();
        let is_secret = SECRET_NAMES.iter().any(|part| lower.contains(part));
        let value = tail.trim_start().strip_prefix(':').map(str::trim_start);
        match value.filter(|_| is_secret).and_then(quoted) {
            Some(("", _, after)) => {
                out.push_str(&format!("{name}:\"***\""));
                rest = after;
            }
            _ => {
                out.push_str(name);
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Splits at the first quoted text: before it, the text with its quotes, after it.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find('"')?;
    let mut escaped = false;
    let length = text.get(begin + 1..)?.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })?;
    let end = begin + 1 + length + 1;
    Some((text.get(..begin)?, text.get(begin..end)?, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use channels::http::Body;
    use proptest::prelude::*;

    use super::*;

    fn response(status: u16, body: impl AsRef<[u8]>) -> Response {
        let headers = vec![("content-type".into(), "image/png; charset=binary".into())];
        Response { status, headers, body: body.as_ref().to_vec().into() }
    }

    #[test]
    fn a_file_is_told_by_its_type_and_size() {
        let request = Request::get("https://example.org/file");
        let shown = |body: &[u8]| {
            let begun = ExchangeView::begun(&request, None, Timestamp(1));
            begun.answered(&request, &response(200, body), 1).answer
        };
        assert_eq!(&*shown(b"\x89PNG\r\n\x1a\n\0\0"), "<image/png, 10 bytes>");
        assert_eq!(&*shown(b"\0\0\0"), "<image/png, 3 bytes>");
        assert_eq!(&*shown("grüße".as_bytes()), "grüße");
        assert_eq!(&*shown(b""), "");
    }

    proptest! {
        #[test]
        fn no_secret_is_shown_anywhere(
            secret in "[a-zA-Z0-9/+:]{12,40}", filler in 0usize..4_000, status in 200u16..600,
        ) {
            let filler = "x".repeat(filler);
            let request = Request::post(
                format!("https://example.org/bot{secret}/send"),
                Body::Json(format!("{{\"pad\":\"{filler}\",\"key\":\"{secret}\"}}")),
            )
            .secret_header("Authorization", format!("Bearer {secret}"))
            .hiding(&secret);
            let begun = ExchangeView::begun(&request, None, Timestamp(1));
            let echo = format!("{filler}{secret}{filler}");
            let answered = begun.clone().answered(&request, &response(status, &echo), 3);
            let failed = begun.failed(&request, &echo, 3);
            for exchange in [&answered, &failed] {
                let shown = format!("{exchange:?}");
                prop_assert!(!shown.contains(&secret[..12]), "{}", shown);
                prop_assert!(shown.len() < 8 * 1024 + 512);
            }
        }

        #[test]
        fn masking_changes_nothing_else(text in "\\PC{0,200}") {
            prop_assume!(!text.contains('"'));
            prop_assert_eq!(masked(&text), text);
        }
    }

    #[test]
    fn values_named_like_secrets_are_masked() {
        let shown = masked(
            r#"{"access_token" : "a\"b", "n":"token", "Password":"x", "tokens": 3, "text":"hi \"you\""}"#,
        );
        assert_eq!(
            shown,
            r#"{"access_token":"***", "n":"token", "Password":"***", "tokens": 3, "text":"hi \"you\""}"#
        );
        assert_eq!(masked(r#"{"token":"never ends"#), r#"{"token":"never ends"#);
    }

    #[test]
    fn the_ring_is_bounded_and_lists_the_newest_first() {
        let ring = HttpTrace::default();
        let request = Request::get("https://example.org/");
        for n in 0..EXCHANGES_MAX as u64 + 7 {
            let message = (MessageId::new(format!("m{}", n % 2)), 0);
            ring.add(ExchangeView::begun(&request, Some(message), Timestamp(n)));
        }
        let all = ring.list(None, usize::MAX);
        assert_eq!((all.len(), all[0].at.0), (EXCHANGES_MAX, EXCHANGES_MAX as u64 + 6));
        let odd = ring.list(Some(&"m1".into()), 3);
        assert_eq!(odd.iter().map(|e| e.at.0 % 2).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
