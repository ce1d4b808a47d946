//! Calls from providers, and the answers to them.

use bytes::Bytes;
use channels::{
    InEvent, Received,
    http::{Reply, Webhook},
};
use message::ChannelId;

/// Maximum size of a webhook's body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Maximum size of a webhook's body at the shared Meta address, where one call may carry the
/// entries of many accounts, in bytes.
pub const SHARED_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A call from a provider, as received.
#[derive(Clone, Debug)]
pub struct WebhookCall {
    /// The method in upper case.
    pub method: Box<str>,
    /// The whole public address to which it was sent.
    pub url: Box<str>,
    /// The query, without `?`, not decoded.
    pub query: Box<str>,
    /// The headers, with names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The body as received.
    pub body: Bytes,
}

impl WebhookCall {
    /// Borrows the call in the form that providers verify and read.
    pub(crate) fn as_webhook(&self, now_ms: i64) -> Webhook<'_> {
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

/// The answer to a provider's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// Everything that the call brought is durable.
    Reply(Reply),
    /// No channel has this id, or the channel takes no webhooks.
    Unknown,
    /// The signature is missing or wrong; nothing was changed.
    Refused {
        /// 401 or 403.
        status: u16,
        /// The reason, in words.
        reason: Box<str>,
        /// The `WWW-Authenticate` challenge.
        challenge: Option<&'static str>,
    },
    /// The call cannot be read; the text tells why.
    Malformed(Box<str>),
    /// The call was not stored; the provider must repeat it.
    Busy {
        /// The reason, in words.
        reason: Box<str>,
        /// Time until the repetition, in seconds.
        retry_after_s: u32,
    },
}

/// Counts events without a meaning here, and those of kinds that the provider's table does not
/// list; the latter are shown with the channel's status.
pub(crate) fn with_unknown(channel: &str, mut received: Received) -> Received {
    let labels = [("channel", channel.to_owned())];
    if received.ignored > 0 {
        metrics::counter!("patchbay_events_ignored_total", &labels).increment(received.ignored as u64);
    }
    if !received.unknown.is_empty() {
        let kinds = received.unknown.join(", ");
        metrics::counter!("patchbay_events_unknown_total", &labels).increment(received.unknown.len() as u64);
        tracing::warn!(channel, kinds, "events are of kinds that are not known");
        let about = "unknown events".into();
        received.events.push(InEvent::Account { about, says: kinds.into() });
    }
    received
}

const OUTCOMES: [&str; 5] = ["taken", "unknown", "refused", "malformed", "busy"];

/// Counters of the answers to the webhooks of a channel, or of the shared address.
pub(crate) struct WebhookCounters([metrics::Counter; OUTCOMES.len()]);

impl WebhookCounters {
    pub(crate) fn of(channel: &ChannelId) -> Self {
        let id = channel.to_string();
        let counter = |outcome| metrics::counter!("patchbay_webhooks_total", "channel" => id.clone(), "outcome" => outcome);
        Self(OUTCOMES.map(counter))
    }

    /// Counts an answer, and logs one that is not a success.
    pub(crate) fn count(&self, channel: &ChannelId, answer: &WebhookAnswer) {
        let [taken, unknown, refused, malformed, busy] = &self.0;
        let outcome = match answer {
            WebhookAnswer::Reply(_) => taken,
            WebhookAnswer::Unknown => unknown,
            WebhookAnswer::Refused { status, reason, .. } => {
                tracing::warn!(%channel, status, %reason, "webhook refused");
                refused
            }
            WebhookAnswer::Malformed(reason) => {
                tracing::warn!(%channel, %reason, "webhook cannot be read");
                malformed
            }
            WebhookAnswer::Busy { reason, .. } => {
                tracing::warn!(%channel, %reason, "webhook not stored; the provider must repeat it");
                busy
            }
        };
        outcome.increment(1);
    }
}
