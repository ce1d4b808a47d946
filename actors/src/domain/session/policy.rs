//! The policy of a channel's sessions, read from its configuration once. Numbers only: the
//! decisions are in [`decide`](super::decide).

use std::time::Duration;

use channels::{LinkKind, smpp::account::ReceiptScope};

use crate::config::{ChannelConfig, OnUnknown};

/// The configuration of a channel's sessions, in plain numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Time without a message after which a session is closed; `None`: never.
    pub inactivity_ms: Option<u64>,
    /// The treatment of parts in doubt.
    pub on_unknown: OnUnknown,
    /// Time for which a part in doubt waits for a receipt before it is sent again.
    pub doubt_grace_ms: u64,
    /// Counted tries after which a part fails.
    pub tries_max: u16,
    /// Pause after the first answer "unavailable"; doubles with each try.
    pub backoff_ms: u64,
    /// Longest pause between two tries.
    pub backoff_max_ms: u64,
    /// Time without a receipt after which the provider is asked; `None`: never.
    pub query_after_ms: Option<u64>,
    /// Time for which receipts are awaited; 0: none are expected.
    pub receipt_timeout_ms: u64,
    /// Whether one receipt is about a whole message.
    pub receipt_is_of_message: bool,
    /// Time for which missing parts of an inbound message are awaited.
    pub reassembly_timeout_ms: u64,
    /// Maximum number of messages in one session's queue; further ones are refused as busy.
    pub queue_max: usize,
    /// Time after the customer's last message during which more than templates may be sent; `None`:
    /// always.
    pub window_ms: Option<u64>,
    /// Shortest time between two parts to one customer; 0: no limit.
    pub pair_interval_ms: u64,
}

impl Default for Policy {
    /// Returns the policy of a channel without any configuration.
    fn default() -> Self {
        Self {
            inactivity_ms: None,
            on_unknown: OnUnknown::Resend,
            doubt_grace_ms: 0,
            tries_max: 1,
            backoff_ms: 0,
            backoff_max_ms: 0,
            query_after_ms: None,
            receipt_timeout_ms: 0,
            receipt_is_of_message: false,
            reassembly_timeout_ms: 0,
            queue_max: usize::MAX,
            window_ms: None,
            pair_interval_ms: 0,
        }
    }
}

impl Policy {
    /// Reads the policy from a channel's configuration and its provider's capabilities.
    pub fn of(channel: &ChannelConfig, session_queue_max: usize) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let capabilities = channel.channel.capabilities();
        let receipts = capabilities.receipts;
        let (query_after, receipt_is_of_message) = match channel.channel.link() {
            LinkKind::Smpp(account) => (account.query_after, account.receipts == ReceiptScope::Message),
            LinkKind::Http(_) => (None, false),
        };
        Self {
            inactivity_ms: channel.inactivity_timeout.map(ms),
            on_unknown: channel.on_unknown,
            doubt_grace_ms: ms(channel.doubt_grace),
            tries_max: channel.tries_max,
            backoff_ms: ms(channel.backoff),
            backoff_max_ms: ms(channel.backoff_max),
            query_after_ms: query_after.map(ms),
            receipt_timeout_ms: if receipts { ms(channel.receipt_timeout) } else { 0 },
            receipt_is_of_message,
            reassembly_timeout_ms: ms(channel.reassembly_timeout),
            queue_max: session_queue_max,
            window_ms: capabilities.window_hours.map(|hours| u64::from(hours) * 3_600_000),
            pair_interval_ms: u64::from(capabilities.pair_interval_ms),
        }
    }
}
