//! Counts of a channel: those shown on the admin port, and the metrics beside them.

use channels::SendError;
use message::ChannelId;
use metrics::{Counter, Gauge, counter, gauge};

use crate::{domain::session::Outcome, view::ChannelCounts};

/// The counters and gauges of one channel.
pub(crate) struct Metrics {
    pub(crate) counts: ChannelCounts,
    submitted: Counter,
    deferred: Counter,
    rejected: Counter,
    in_doubt: Counter,
    receipts: Counter,
    receipts_unmatched: Counter,
    receipts_unread: Counter,
    received: Counter,
    throttled: Counter,
    malformed: Counter,
    pub(crate) links_bound: Gauge,
    pub(crate) sessions_waiting: Gauge,
    pub(crate) parts_outstanding: Gauge,
    pub(crate) receipts_kept: Gauge,
}

impl Metrics {
    /// Returns those of a channel, which count on from those of its form before.
    pub(crate) fn of(channel: &ChannelId, before: Option<&ChannelCounts>) -> Self {
        let named = |name: &'static str| counter!(name, "channel" => channel.to_string());
        let level = |name: &'static str| gauge!(name, "channel" => channel.to_string());
        Self {
            counts: before.copied().unwrap_or_default(),
            submitted: named("patchbay_parts_submitted_total"),
            deferred: named("patchbay_parts_deferred_total"),
            rejected: named("patchbay_parts_rejected_total"),
            in_doubt: named("patchbay_parts_in_doubt_total"),
            receipts: named("patchbay_receipts_total"),
            receipts_unmatched: named("patchbay_receipts_unmatched_total"),
            receipts_unread: named("patchbay_receipts_unread_total"),
            received: named("patchbay_received_total"),
            throttled: named("patchbay_throttled_total"),
            malformed: named("patchbay_malformed_total"),
            links_bound: level("patchbay_links_bound"),
            sessions_waiting: level("patchbay_sessions_waiting"),
            parts_outstanding: level("patchbay_parts_outstanding"),
            receipts_kept: level("patchbay_receipts_kept"),
        }
    }

    pub(crate) fn count_submitted(&mut self) {
        self.counts.submitted += 1;
        self.submitted.increment(1);
    }

    pub(crate) fn count_receipts(&mut self, receipts: u64) {
        self.counts.receipts += receipts;
        self.receipts.increment(receipts);
    }

    pub(crate) fn count_unmatched_receipt(&mut self) {
        self.counts.receipts_unmatched += 1;
        self.receipts_unmatched.increment(1);
    }

    /// Counts a receipt whose word for the state has no known meaning.
    pub(crate) fn count_unread_receipt(&mut self) {
        self.counts.receipts_unread += 1;
        self.receipts_unread.increment(1);
    }

    pub(crate) fn count_received(&mut self) {
        self.counts.received += 1;
        self.received.increment(1);
    }

    pub(crate) fn count_malformed(&mut self, items: u64) {
        self.counts.malformed += items;
        self.malformed.increment(items);
    }

    /// Counts a request of the provider to send less, which has no metric of its own.
    pub(crate) fn count_congestion(&mut self) {
        self.counts.throttled += 1;
    }

    /// Counts the outcome of a part that was not accepted.
    pub(crate) fn count_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Unanswered(_) | Outcome::Refused(SendError::Unknown(_)) => {
                self.counts.in_doubt += 1;
                self.in_doubt.increment(1);
            }
            Outcome::Refused(SendError::Rejected(_) | SendError::Unsubscribed(_)) => {
                self.counts.rejected += 1;
                self.rejected.increment(1);
            }
            Outcome::Refused(error) => {
                self.counts.deferred += 1;
                self.deferred.increment(1);
                if matches!(error, SendError::Throttled { .. } | SendError::CustomerThrottled { .. }) {
                    self.counts.throttled += 1;
                    self.throttled.increment(1);
                }
            }
            Outcome::Taken(_) | Outcome::NotSent => {}
        }
    }
}
