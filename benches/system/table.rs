//! Prints the results of runs as one table.

use std::time::Duration;

use crate::raw::Raw;

/// One run of one gateway.
#[derive(Clone, Default)]
pub struct Row {
    pub case: String,
    pub gateway: &'static str,
    pub accepted_per_s: f64,
    pub submitted_per_s: f64,
    pub e2e_per_s: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub longest: Duration,
    /// The time from request to callback, without the second that a receipt takes.
    pub e2e_p50: Duration,
    pub e2e_p99: Duration,
    pub cpu_us: f64,
    /// The processor time of the simulated SMSC, and of driver and sink.
    pub smsc_cpu_us: f64,
    pub load_cpu_us: f64,
    pub rss_bytes: u64,
    pub disk_bytes: f64,
    pub refused: u64,
}

const NONE: &str = "-";

pub fn print(rows: &[Row], raw: Option<&Raw>) {
    println!();
    println!(
        "{:<12} {:<9} {:>11} {:>12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8} {:>7} {:>7} {:>8}",
        "case",
        "gateway",
        "accepted/s",
        "submitted/s",
        "e2e/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "e2e p50",
        "e2e p99",
        "gateway us",
        "smsc us",
        "load us",
        "RSS MB",
        "disk B",
        "refused"
    );
    for row in rows {
        println!(
            "{:<12} {:<9} {:>11} {:>12} {:>8.0} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10.1} {:>8.1} {:>8.1} {:>7.0} {:>7.0} {:>8}",
            row.case,
            row.gateway,
            rate(row.accepted_per_s),
            rate(row.submitted_per_s),
            row.e2e_per_s,
            ms(row.p50),
            ms(row.p99),
            ms(row.longest),
            ms(row.e2e_p50),
            ms(row.e2e_p99),
            row.cpu_us,
            row.smsc_cpu_us,
            row.load_cpu_us,
            row.rss_bytes as f64 / 1e6,
            row.disk_bytes,
            row.refused
        );
    }
    println!(
        "us: user + system time a message; disk: bytes a message; accepted, submitted, e2e: from the first request on;\n\
         p50, p99: time to answer a request; e2e p50, p99 in ms: from request to callback, without the second that a receipt takes"
    );
    ratios(rows, raw);
    if let Some(raw) = raw {
        println!(
            "raw: driver to bare sink {:.0} requests/s; SMPP client to SMSC {:.0} submits/s, with receipts {:.0}; append 200 bytes + fdatasync {:.0}/s (p50 {:.2} ms), by 64 of 225 bytes {:.0} events/s",
            raw.requests_per_s,
            raw.submits_per_s,
            raw.receipted_per_s,
            raw.appends_per_s,
            raw.append_p50.as_secs_f64() * 1e3,
            raw.grouped_per_s
        );
    }
}

fn ratios(rows: &[Row], raw: Option<&Raw>) {
    for ours in rows.iter().filter(|row| row.gateway == "patchbay") {
        // Kannel accepts no batches: its single requests are the reference for them.
        let work = if ours.case == "batch" { "outbound" } else { &ours.case };
        if let Some(kannel) = rows.iter().find(|row| row.gateway == "kannel" && row.case == work) {
            println!(
                "{}: e2e {:.2} x Kannel, CPU {:.2} x Kannel's",
                ours.case,
                ours.e2e_per_s / kannel.e2e_per_s,
                ours.cpu_us / kannel.cpu_us
            );
        }
        let bare = rows.iter().find(|row| row.gateway == "bare" && row.case == ours.case);
        if let Some(bare) = bare {
            let share = 100.0 * ours.e2e_per_s / bare.e2e_per_s;
            println!("{}: {share:.0} % of a bare hyper handler that parses the same JSON", ours.case);
        }
        if let Some(raw) = raw.filter(|_| ours.case == "inbound") {
            println!("inbound: {:.0} % of the raw HTTP limit", 100.0 * ours.e2e_per_s / raw.requests_per_s);
        }
    }
}

fn rate(per_s: f64) -> String {
    if per_s > 0.0 { format!("{per_s:.0}") } else { NONE.to_owned() }
}

fn ms(time: Duration) -> String {
    if time.is_zero() { NONE.to_owned() } else { format!("{:.2}", time.as_secs_f64() * 1e3) }
}

/// Returns the middle run by end-to-end rate.
pub fn median(mut rows: Vec<Row>) -> Option<Row> {
    rows.sort_by(|a, b| a.e2e_per_s.total_cmp(&b.e2e_per_s));
    let at = rows.len() / 2;
    rows.into_iter().nth(at)
}
