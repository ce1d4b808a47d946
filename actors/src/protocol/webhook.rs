//! Calls from providers and their answers.

use bytes::Bytes;
use channels::http::{Reply, Webhook};
use message::ChannelId;

/// A call from a provider, as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Upper case.
    pub method: Box<str>,
    /// The whole public address it was sent to.
    pub url: Box<str>,
    /// The query, without `?`, not decoded.
    pub query: Box<str>,
    /// Its headers, names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The octets as received.
    pub body: Bytes,
}

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All that it brought is safe.
    Reply(Reply),
    /// There is no such channel, or none that takes webhooks.
    Unknown,
    /// Its signature is missing or wrong: nothing was changed.
    Refused {
        /// 401 or 403.
        status: u16,
        /// What is wrong.
        reason: Box<str>,
        /// How the caller is asked to say who it is.
        challenge: Option<&'static str>,
    },
    /// It cannot be read.
    Malformed(Box<str>),
    /// It could not be taken now: the provider is to repeat it.
    Busy {
        /// Why.
        reason: Box<str>,
        /// When to come again, in seconds.
        retry_after_s: u32,
    },
}

/// How the webhooks of a channel, or of the shared address, were answered: counted.
pub(crate) struct Outcomes([metrics::Counter; OUTCOMES.len()]);

const OUTCOMES: [&str; 5] = ["taken", "unknown", "refused", "malformed", "busy"];

impl Outcomes {
    pub(crate) fn of(channel: &ChannelId) -> Self {
        let id = channel.to_string();
        let counter = |outcome| metrics::counter!("patchbay_webhooks_total", "channel" => id.clone(), "outcome" => outcome);
        Self(OUTCOMES.map(counter))
    }

    pub(crate) fn count(&self, channel: &ChannelId, answer: &Answer) {
        let [taken, unknown, refused, malformed, busy] = &self.0;
        let outcome = match answer {
            Answer::Reply(_) => taken,
            Answer::Unknown => unknown,
            Answer::Refused { status, reason, .. } => {
                tracing::warn!(%channel, status, %reason, "a webhook is refused");
                refused
            }
            Answer::Malformed(reason) => {
                tracing::warn!(%channel, %reason, "a webhook cannot be read");
                malformed
            }
            Answer::Busy { reason, .. } => {
                tracing::warn!(%channel, %reason, "a webhook is to be repeated");
                busy
            }
        };
        outcome.increment(1);
    }
}

impl Call {
    pub(crate) fn webhook(&self, now_ms: i64) -> Webhook<'_> {
        Webhook {
            method: &self.method,
            url: &self.url,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
            now_ms,
        }
    }
}

/// The most octets of a webhook.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The most octets of a webhook from Meta, which puts many entries into one.
pub const SHARED_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
