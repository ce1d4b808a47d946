//! The meaning and the unit of each family of metrics, as `/metrics` tells them.

use metrics::Unit;

/// How a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
}

use FamilyKind::{Counter, Gauge, Histogram};

/// A family: its name, its kind, its unit, and its meaning. The unit is part of the name, as is
/// usual with Prometheus, and is told in words, too.
type Family = (&'static str, FamilyKind, Option<Unit>, &'static str);

/// Every family.
const FAMILIES: &[Family] = &[
    // The process.
    ("patchbay_build_info", Gauge, None, "Always 1; the label tells the version that runs."),
    ("process_resident_memory_bytes", Gauge, Some(Unit::Bytes), "Memory of the process, in bytes."),
    ("process_open_fds", Gauge, Some(Unit::Count), "Open files and connections of the process."),
    ("process_max_fds", Gauge, Some(Unit::Count), "The limit on open files and connections."),
    ("process_cpu_seconds", Gauge, Some(Unit::Seconds), "Processor time used since the start, in seconds."),
    (
        "patchbay_log_lines_left_out_total",
        Counter,
        None,
        "Repeated lines of the process's own log that were left out.",
    ),
    (
        "patchbay_actor_restarts_total",
        Counter,
        None,
        "Actors that ended and were started again; each is a bug.",
    ),
    (
        "patchbay_session_panics_total",
        Counter,
        None,
        "Panics in a session, which was rebuilt from the log; each is a bug.",
    ),
    (
        "patchbay_problems",
        Gauge,
        None,
        "1 while there is a problem, by kind, severity, channel, destination and code; `patchbay status` and \
         /api/status tell its cause and its fix.",
    ),
    // Messages.
    (
        "patchbay_messages_refused_total",
        Counter,
        None,
        "Messages of the business that no channel can take and that were not accepted, by channel \
         and code. At most 50 codes per channel are told apart.",
    ),
    (
        "patchbay_message_outcomes_total",
        Counter,
        None,
        "Messages of the business by channel and by what they reached: sent, delivered, read, or \
         failed with a code. At most 50 codes per channel are told apart; the others are counted \
         as other.",
    ),
    (
        "patchbay_messages_waiting",
        Gauge,
        Some(Unit::Count),
        "Messages for which the provider's answers are not complete, by channel. Counted anew \
         within seconds after a start.",
    ),
    (
        "patchbay_oldest_waiting_seconds",
        Gauge,
        Some(Unit::Seconds),
        "Age of the oldest message that waits, in seconds, by channel; one that is scheduled \
         counts from its time on.",
    ),
    (
        "patchbay_receipt_seconds",
        Histogram,
        Some(Unit::Seconds),
        "Time from the submit of a part to its first final receipt, in seconds, by channel.",
    ),
    ("patchbay_parts_submitted_total", Counter, None, "Parts that the provider accepted, by channel."),
    (
        "patchbay_parts_deferred_total",
        Counter,
        None,
        "Parts that were not accepted and are tried again, by channel.",
    ),
    (
        "patchbay_parts_rejected_total",
        Counter,
        None,
        "Parts that the provider rejected for good, by channel.",
    ),
    ("patchbay_parts_in_doubt_total", Counter, None, "Parts whose submit got no answer, by channel."),
    (
        "patchbay_parts_outstanding",
        Gauge,
        Some(Unit::Count),
        "Parts handed to links and not answered, by channel.",
    ),
    ("patchbay_throttled_total", Counter, None, "Answers that asked to send less, by channel."),
    ("patchbay_receipts_total", Counter, None, "Receipts that were matched to a part, by channel."),
    (
        "patchbay_receipts_unmatched_total",
        Counter,
        None,
        "Receipts that matched no part at first, by channel.",
    ),
    (
        "patchbay_receipts_unread_total",
        Counter,
        None,
        "Receipts whose word for the state is not known, by channel.",
    ),
    (
        "patchbay_receipts_kept",
        Gauge,
        Some(Unit::Count),
        "Receipts that are kept until their part is known, by channel.",
    ),
    ("patchbay_received_total", Counter, None, "Messages of customers, counted in parts, by channel."),
    (
        "patchbay_possible_repeats_total",
        Counter,
        None,
        "Customers' messages that were flagged as possible repeats.",
    ),
    (
        "patchbay_malformed_total",
        Counter,
        None,
        "PDUs and bodies of providers that could not be read, by channel.",
    ),
    // Channels and providers.
    ("patchbay_links_bound", Gauge, Some(Unit::Count), "Connected links, by channel; at 0 nothing is sent."),
    ("patchbay_link_attempts_total", Counter, None, "Attempts to connect a link, by channel."),
    (
        "patchbay_sessions_waiting",
        Gauge,
        Some(Unit::Count),
        "Sessions that wait for their turn to send, by channel.",
    ),
    ("patchbay_calls_total", Counter, None, "Calls to providers, by channel and outcome."),
    (
        "patchbay_call_seconds",
        Histogram,
        Some(Unit::Seconds),
        "Duration of calls to providers, in seconds, by channel.",
    ),
    (
        "patchbay_set_ups_total",
        Counter,
        None,
        "Registrations of webhooks with the provider, by channel and outcome.",
    ),
    ("patchbay_webhooks_total", Counter, None, "Webhooks of providers, by channel and outcome."),
    (
        "patchbay_webhook_entries_unknown_total",
        Counter,
        None,
        "Entries of shared webhooks for accounts that no channel has.",
    ),
    (
        "patchbay_webhook_entries_refused_total",
        Counter,
        None,
        "Entries of shared webhooks whose signature a channel refused.",
    ),
    (
        "patchbay_webhook_entries_malformed_total",
        Counter,
        None,
        "Entries of shared webhooks that could not be read.",
    ),
    (
        "patchbay_events_ignored_total",
        Counter,
        None,
        "Events of providers that are known and of no interest, by channel.",
    ),
    (
        "patchbay_events_unknown_total",
        Counter,
        None,
        "Events of providers of kinds that this version does not know, by channel.",
    ),
    ("patchbay_media_total", Counter, None, "Files of customers that were fetched, by outcome."),
    (
        "patchbay_media_not_fetched_ahead_total",
        Counter,
        None,
        "Files of customers that are fetched only when they are asked for, because too many \
         waited.",
    ),
    // Destinations.
    (
        "patchbay_deliveries_taken_total",
        Counter,
        None,
        "Deliveries that the destination accepted, by destination.",
    ),
    (
        "patchbay_delivery_failures_total",
        Counter,
        None,
        "POSTs that the destination did not accept, by destination.",
    ),
    // The log and the sessions.
    ("patchbay_sessions_live", Gauge, Some(Unit::Count), "Sessions that are in memory."),
    (
        "patchbay_sessions_carried_total",
        Counter,
        None,
        "Sessions whose state was told again before retention.",
    ),
    ("patchbay_sessions_left_out_total", Counter, None, "Sessions that could not be rebuilt from the log."),
    (
        "patchbay_sessions_rebuilt_total",
        Counter,
        None,
        "Sessions that were rebuilt from the log after a bug.",
    ),
    ("patchbay_invariants_broken_total", Counter, None, "Checks that only a bug can break, and that broke."),
    (
        "patchbay_acceptance_slowed_total",
        Counter,
        None,
        "Requests that were delayed because checkpoints lag.",
    ),
    ("patchbay_checkpoint_seconds", Histogram, Some(Unit::Seconds), "Duration of checkpoints, in seconds."),
    ("patchbay_replay_events", Gauge, Some(Unit::Count), "Events that a start would have to replay now."),
    (
        "patchbay_index_delta_bytes",
        Gauge,
        Some(Unit::Bytes),
        "State of sessions that is not written to the index, in bytes.",
    ),
    ("patchbay_log_waiting_bytes", Gauge, Some(Unit::Bytes), "Events that wait to be written, in bytes."),
    ("patchbay_lookups_in_memory", Gauge, Some(Unit::Count), "Look-up keys that are not in a file."),
    (
        "patchbay_log_rebuilt_files",
        Gauge,
        Some(Unit::Count),
        "Damaged or missing files that were rebuilt since the start.",
    ),
    ("patchbay_disk_free_bytes", Gauge, Some(Unit::Bytes), "Free space on the disk of data_dir, in bytes."),
    (
        "patchbay_disk_reserve_bytes",
        Gauge,
        Some(Unit::Bytes),
        "Free space below which nothing is accepted (disk_reserve), in bytes.",
    ),
    (
        "patchbay_clock_doubt_seconds",
        Gauge,
        Some(Unit::Seconds),
        "By how much the wall clock is ahead of the believed time while it is in doubt, in \
         seconds.",
    ),
    ("patchbay_clock_jumps_total", Counter, None, "Jumps of the wall clock that were not believed at once."),
    // HTTP.
    ("patchbay_send_requests_total", Counter, None, "Requests to the send API, by class of their answer."),
    (
        "patchbay_send_request_seconds",
        Histogram,
        Some(Unit::Seconds),
        "Duration of requests to the send API, in seconds.",
    ),
    (
        "patchbay_http_refused_total",
        Counter,
        None,
        "Requests that were refused before they were read, by reason.",
    ),
    ("patchbay_http_connections", Gauge, Some(Unit::Count), "Open connections, by listener."),
    (
        "patchbay_http_connections_evicted_total",
        Counter,
        None,
        "Connections without a key that were closed for new ones, by listener.",
    ),
    (
        "patchbay_http_accept_failed_total",
        Counter,
        None,
        "Connections that could not be accepted, by listener and reason.",
    ),
    (
        "patchbay_http_bodies_given_up_total",
        Counter,
        None,
        "Bodies that were given up because their memory is used up, by sender.",
    ),
    (
        "patchbay_http_write_timeouts_total",
        Counter,
        None,
        "Connections that were closed because the peer did not read.",
    ),
];

/// The counters without labels. They exist from the start on, so that the first increase is seen as
/// one.
const UNLABELLED: &[&str] = &[
    "patchbay_acceptance_slowed_total",
    "patchbay_actor_restarts_total",
    "patchbay_clock_jumps_total",
    "patchbay_http_write_timeouts_total",
    "patchbay_log_lines_left_out_total",
    "patchbay_media_not_fetched_ahead_total",
    "patchbay_possible_repeats_total",
    "patchbay_session_panics_total",
    "patchbay_sessions_carried_total",
    "patchbay_sessions_left_out_total",
    "patchbay_sessions_rebuilt_total",
    "patchbay_webhook_entries_malformed_total",
    "patchbay_webhook_entries_refused_total",
    "patchbay_webhook_entries_unknown_total",
];

/// Tells the recorder what every family means.
pub(super) fn describe() {
    for name in UNLABELLED {
        metrics::counter!(*name).increment(0);
    }
    for &(name, kind, unit, help) in FAMILIES {
        match (kind, unit) {
            (Counter, None) => metrics::describe_counter!(name, help),
            (Counter, Some(unit)) => metrics::describe_counter!(name, unit, help),
            (Gauge, None) => metrics::describe_gauge!(name, help),
            (Gauge, Some(unit)) => metrics::describe_gauge!(name, unit, help),
            (Histogram, None) => metrics::describe_histogram!(name, help),
            (Histogram, Some(unit)) => metrics::describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_units_follow_the_conventions() {
        let names: BTreeSet<_> = FAMILIES.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), FAMILIES.len(), "each once");
        assert!(UNLABELLED.iter().all(|name| names.contains(name)));
        for (name, kind, unit, help) in FAMILIES {
            assert_eq!(*kind == Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.') && help.len() > 20, "{name}: {help}");
            for (of, suffix, words) in
                [(Unit::Seconds, "_seconds", "in seconds"), (Unit::Bytes, "_bytes", "in bytes")]
            {
                assert_eq!(*unit == Some(of), name.ends_with(suffix), "{name}: its name tells its unit");
                assert!(*unit != Some(of) || help.contains(words), "{name}: {help}");
            }
            assert!(*kind != Histogram || *unit == Some(Unit::Seconds), "{name}");
        }
    }
}
