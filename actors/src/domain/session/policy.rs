//! The policy of a channel's sessions, read from its configuration once. Plain numbers: nothing here decides.

use channels::LinkKind;

use crate::config::{ChannelConfig, OnUnknown};

/// What a channel's configuration says about its sessions, in plain numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A session without any message for so long is closed.
    pub inactivity_ms: Option<u64>,
    /// What happens to a part in doubt.
    pub on_unknown: OnUnknown,
    /// How long a part in doubt waits for a receipt that settles it before it is sent again.
    pub doubt_grace_ms: u64,
    /// Counted tries before a part fails.
    pub tries_max: u16,
    /// First pause after an unavailable provider.
    pub backoff_ms: u64,
    /// Longest pause.
    pub backoff_max_ms: u64,
    /// After so long without a receipt the provider is asked; `None`: never.
    pub query_after_ms: Option<u64>,
    /// How long a receipt is waited for; 0: none are expected.
    pub receipt_timeout_ms: u64,
    /// How long the parts of an inbound message are waited for.
    pub reassembly_timeout_ms: u64,
    /// Messages that may wait on one session.
    pub queue_max: usize,
    /// Free messages go only so long after the customer's last one; `None`: always.
    pub window_ms: Option<u64>,
    /// The shortest time between two parts to one customer; 0: none.
    pub pair_interval_ms: u64,
}

impl Default for Policy {
    /// What holds when nothing is configured.
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
            reassembly_timeout_ms: 0,
            queue_max: usize::MAX,
            window_ms: None,
            pair_interval_ms: 0,
        }
    }
}

impl Policy {
    /// The policy of a channel.
    pub fn of(channel: &ChannelConfig, session_queue_max: usize) -> Self {
        let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let capabilities = channel.channel.capabilities();
        let receipts = capabilities.receipts;
        let query_after = match channel.channel.link() {
            LinkKind::Smpp(account) => account.query_after,
            LinkKind::Http(_) => None,
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
            reassembly_timeout_ms: ms(channel.reassembly_timeout),
            queue_max: session_queue_max,
            window_ms: capabilities.window_hours.map(|hours| u64::from(hours) * 3_600_000),
            pair_interval_ms: u64::from(capabilities.pair_interval_ms),
        }
    }
}
