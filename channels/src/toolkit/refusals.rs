//! Refusals as data: where an answer has its code and its words, and the class of each code. One
//! function turns an answer into the error that decides what happens next.

use message::event::Cause;
use serde_json::Value;

use crate::{
    contract::{SendError, http::Response},
    toolkit::json,
};

/// The refusals of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// Paths to the code; the first that exists counts.
    pub code: &'static [&'static str],
    /// Paths to the words, joined by a colon.
    pub words: &'static [&'static str],
    /// Classes and their codes; the first that matches counts. A `?` stands for one character.
    /// `http 403` is the status of an answer that has no code of its own.
    pub classes: &'static [(RefusalClass, &'static [&'static str])],
}

/// The class of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// See [`SendError::Unavailable`].
    Unavailable,
    /// See [`SendError::RetryOnce`].
    RetryOnce,
    /// See [`SendError::Throttled`]; the answer's `Retry-After` says for how long.
    Throttled,
    /// See [`SendError::Throttled`]; for this many milliseconds.
    ThrottledFor(u64),
    /// See [`SendError::CustomerThrottled`]; the answer's `Retry-After` says for how long.
    CustomerThrottled,
    /// See [`SendError::Busy`]; the answer's `Retry-After` says for how long.
    Busy,
    /// See [`SendError::Rejected`].
    Rejected,
    /// See [`SendError::Unsubscribed`].
    Unsubscribed,
    /// See [`SendError::Forbidden`].
    Forbidden,
    /// See [`SendError::CredentialsRefused`].
    CredentialsRefused,
    /// See [`SendError::Unknown`].
    Unknown,
}

impl Refusals {
    /// Classifies an answer: by its code, or by its status where the code is missing or not listed.
    pub fn classify(&self, response: &Response, said: &Value) -> SendError {
        let Some(code) = self.code.iter().find_map(|path| json::some_text(said, path)) else {
            let status = format!("http {}", response.status);
            let cause = Cause::new(&*status, response.words());
            return match self.class(&status) {
                Some(class) => class.error(response, cause),
                None => SendError::of_status(response, cause),
            };
        };
        let words = self.words.iter().filter_map(|path| json::some_text(said, path)).collect::<Vec<_>>();
        let cause = Cause::new(&*code, words.join(": "));
        match self.class(&code) {
            Some(class) => class.error(response, cause),
            None => SendError::of_status(response, cause),
        }
    }

    fn class(&self, code: &str) -> Option<RefusalClass> {
        let has = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, code));
        self.classes.iter().find(|(_, patterns)| has(patterns)).map(|(class, _)| *class)
    }
}

fn matches(pattern: &str, code: &str) -> bool {
    let same = |(p, c): (char, char)| p == '?' || p == c;
    pattern.chars().count() == code.chars().count() && pattern.chars().zip(code.chars()).all(same)
}

impl RefusalClass {
    /// Returns the error of this class.
    pub fn error(self, response: &Response, cause: Cause) -> SendError {
        match self {
            Self::Unavailable => SendError::Unavailable(cause),
            Self::RetryOnce => SendError::RetryOnce(cause),
            Self::Throttled => SendError::Throttled { after_ms: response.retry_after_ms(), cause },
            Self::ThrottledFor(after_ms) => SendError::Throttled { after_ms, cause },
            Self::CustomerThrottled => {
                SendError::CustomerThrottled { after_ms: response.retry_after_ms(), cause }
            }
            Self::Busy => SendError::Busy { after_ms: response.retry_after_ms(), cause },
            Self::Rejected => SendError::Rejected(cause),
            Self::Unsubscribed => SendError::Unsubscribed(cause),
            Self::Forbidden => SendError::Forbidden(cause),
            Self::CredentialsRefused => SendError::CredentialsRefused(cause),
            Self::Unknown => SendError::Unknown(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const REFUSALS: Refusals = Refusals {
        code: &["/code", "/errors/0/code"],
        words: &["/title", "/detail"],
        classes: &[
            (RefusalClass::Unsubscribed, &["40300"]),
            (RefusalClass::ThrottledFor(3_600_000), &["40016"]),
            (RefusalClass::Rejected, &["40???"]),
            (RefusalClass::ThrottledFor(300_000), &["http 403"]),
        ],
    };

    fn classified(status: u16, said: &Value) -> String {
        let response = Response { status, headers: Vec::new(), body: said.to_string().into() };
        REFUSALS.classify(&response, said).to_string()
    }

    #[test]
    fn the_first_code_that_matches_decides() {
        assert_eq!(classified(403, &json!({"code": 40300, "title": "no"})), "unsubscribed (40300): no");
        assert_eq!(
            classified(403, &json!({"errors": [{"code": "40016"}]})),
            "throttled for 3600000 ms (40016): "
        );
        assert_eq!(
            classified(500, &json!({"code": "40999", "title": "a", "detail": "b"})),
            "rejected (40999): a: b"
        );
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        assert_eq!(classified(500, &json!({"code": "1", "title": "a"})), "unavailable (1): a");
        assert_eq!(classified(403, &json!({})), "throttled for 300000 ms (http 403): {}");
        assert_eq!(classified(401, &json!({})), "forbidden (http 401): {}");
    }
}
