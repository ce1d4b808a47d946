//! What was said between a channel and its provider, for people who ask why. Bounded in number and size; holds no
//! value that the request calls secret, and none that an answer names like one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use channels::http::{ANSWER_BYTES_MAX, Request};
use message::{MessageId, Timestamp};

use crate::view::ExchangeView as Exchange;

/// Exchanges kept of one channel; the oldest go first.
const EXCHANGES_MAX: usize = 1_000;
/// The most octets kept of a request's and of an answer's body.
const BODY_BYTES_MAX: usize = 3_072;
/// The most octets kept of an address, and of an error.
const LINE_BYTES_MAX: usize = 1_024;
/// Names of values in an answer that are nobody's business, as parts of them, in lower case.
const SECRET_NAMES: [&str; 5] = ["token", "secret", "password", "api_key", "apikey"];

impl Exchange {
    /// A call that has just begun, for a message's part (from 0) or for none.
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

    /// It was answered.
    pub(crate) fn answered(mut self, request: &Request, status: u16, body: &[u8], took_ms: u64) -> Self {
        let is_text = body.len() <= ANSWER_BYTES_MAX && std::str::from_utf8(body).is_ok();
        let text = if is_text || body.len() < BODY_BYTES_MAX {
            // Hidden first, cut then: half a secret is one, too.
            masked(&request.redacted(&String::from_utf8_lossy(body)))
        } else {
            format!("<{} octets>", body.len())
        };
        (self.status, self.answer, self.took_ms) = (Some(status), cut(text, BODY_BYTES_MAX), took_ms);
        self
    }

    /// It was not.
    pub(crate) fn failed(mut self, request: &Request, why: &str, took_ms: u64) -> Self {
        (self.error, self.took_ms) = (Some(cut(request.redacted(why), LINE_BYTES_MAX)), took_ms);
        self
    }
}

/// The last exchanges of one channel.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    ring: Mutex<VecDeque<Arc<Exchange>>>,
}

impl Exchanges {
    /// Keeps one.
    pub(crate) fn add(&self, exchange: Exchange) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= EXCHANGES_MAX {
            ring.pop_front();
        }
        ring.push_back(Arc::new(exchange));
    }

    /// The newest first, of one message or of all.
    pub(crate) fn list(&self, message: Option<&MessageId>, limit: usize) -> Vec<Arc<Exchange>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |e: &&Arc<Exchange>| message.is_none_or(|id| e.message_id.as_ref() == Some(id));
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

/// A text with the values hidden whose JSON names sound like secrets.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // A name is a quoted text before a colon; its value is hidden when it is a quoted text, too.
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

/// What is before the first quoted text, that text with its quotes, and what is after.
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

    proptest! {
        #[test]
        fn no_secret_is_shown_wherever_it_stands(
            secret in "[a-zA-Z0-9/+:]{12,40}", filler in 0usize..4_000, status in 200u16..600,
        ) {
            let filler = "x".repeat(filler);
            let request = Request::post(
                format!("https://example.org/bot{secret}/send"),
                Body::Json(format!("{{\"pad\":\"{filler}\",\"key\":\"{secret}\"}}")),
            )
            .secret_header("Authorization", format!("Bearer {secret}"))
            .hiding(&secret);
            let begun = Exchange::begun(&request, None, Timestamp(1));
            let echo = format!("{filler}{secret}{filler}");
            let answered = begun.clone().answered(&request, status, echo.as_bytes(), 3);
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
    fn values_that_are_named_like_secrets_are_hidden() {
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
    fn the_ring_is_bounded_and_tells_the_newest_first() {
        let ring = Exchanges::default();
        let request = Request::get("https://example.org/");
        for n in 0..EXCHANGES_MAX as u64 + 7 {
            let message = (MessageId::new(format!("m{}", n % 2)), 0);
            ring.add(Exchange::begun(&request, Some(message), Timestamp(n)));
        }
        let all = ring.list(None, usize::MAX);
        assert_eq!((all.len(), all[0].at.0), (EXCHANGES_MAX, EXCHANGES_MAX as u64 + 6));
        let odd = ring.list(Some(&"m1".into()), 3);
        assert_eq!(odd.iter().map(|e| e.at.0 % 2).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
