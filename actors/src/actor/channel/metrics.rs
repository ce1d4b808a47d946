//! The counters of a channel.

use message::ChannelId;
use metrics::{Counter, Gauge, counter, gauge};

/// The channel's counters.
pub(crate) struct Metrics {
    pub(crate) submitted: Counter,
    pub(crate) deferred: Counter,
    pub(crate) rejected: Counter,
    pub(crate) in_doubt: Counter,
    pub(crate) receipts: Counter,
    pub(crate) receipts_unmatched: Counter,
    pub(crate) received: Counter,
    pub(crate) throttled: Counter,
    pub(crate) malformed: Counter,
    pub(super) links_bound: Gauge,
    pub(super) sessions_waiting: Gauge,
    pub(super) parts_outstanding: Gauge,
    pub(super) receipts_kept: Gauge,
}

impl Metrics {
    pub(crate) fn of(channel: &ChannelId) -> Self {
        let named = |name: &'static str| counter!(name, "channel" => channel.to_string());
        let level = |name: &'static str| gauge!(name, "channel" => channel.to_string());
        Self {
            submitted: named("patchbay_parts_submitted_total"),
            deferred: named("patchbay_parts_deferred_total"),
            rejected: named("patchbay_parts_rejected_total"),
            in_doubt: named("patchbay_parts_in_doubt_total"),
            receipts: named("patchbay_receipts_total"),
            receipts_unmatched: named("patchbay_receipts_unmatched_total"),
            received: named("patchbay_received_total"),
            throttled: named("patchbay_throttled_total"),
            malformed: named("patchbay_malformed_total"),
            links_bound: level("patchbay_links_bound"),
            sessions_waiting: level("patchbay_sessions_waiting"),
            parts_outstanding: level("patchbay_parts_outstanding"),
            receipts_kept: level("patchbay_receipts_kept"),
        }
    }
}
