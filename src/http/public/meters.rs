//! Metrics of the send API. Each meter is looked up once, not for each request.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

pub(super) struct Meters {
    accepted: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
    /// Requests refused because too many are in flight.
    pub(super) no_room: Counter,
    /// Requests without a valid API key.
    pub(super) no_key: Counter,
    /// Requests that pages of other sites may have made.
    pub(super) foreign_page: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let of = |answer: &'static str| metrics::counter!("patchbay_send_requests_total", "answer" => answer);
        let refused =
            |reason: &'static str| metrics::counter!("patchbay_http_refused_total", "reason" => reason);
        Self {
            accepted: of("2xx"),
            refused: of("4xx"),
            failed: of("5xx"),
            seconds: metrics::histogram!("patchbay_send_request_seconds"),
            no_room: refused("in_flight"),
            no_key: refused("key"),
            foreign_page: refused("foreign_page"),
        }
    }

    /// Counts an answered send request and records its duration.
    pub(super) fn answered(&self, status: StatusCode, after: Duration) {
        let counter = match status.as_u16() {
            0..=399 => &self.accepted,
            400..=499 => &self.refused,
            _ => &self.failed,
        };
        counter.increment(1);
        self.seconds.record(after.as_secs_f64());
    }
}
