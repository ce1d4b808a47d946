//! Finds what is wrong with a node: the cause, the usual fix, and where to look. Pure: it reads the
//! views of channels and destinations and a few figures, and every rule stands here.

use std::collections::BTreeMap;

use channels::{Signature, provider};
use message::{ChannelId, DestinationId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    domain::{
        due_counts::WaitingCount,
        recent_failures::{FailureCount, FailureCounts, FailureKind, SHOWN_MINUTES},
    },
    view::{
        ChannelView, DestinationView,
        advice::{self, counted, span},
        census::Census,
        waiting::against_down_destination,
    },
};

/// A channel that still connects for the first time is a problem after this time, in milliseconds.
const CONNECTING_MS: u64 = 10_000;
/// A pause that the provider asked for is told from this length on, in milliseconds.
const PAUSE_TOLD_MS: u64 = 5_000;
/// Messages that wait for the rate alone are told from this time on, in milliseconds.
const RATE_WAIT_MS: u64 = 60_000;
/// Messages that wait although their channel sends are told from this time on, in milliseconds.
const WAIT_MS: u64 = 5 * 60_000;
/// Parts that the provider puts off are told when a message has waited for this time, in
/// milliseconds.
const PUT_OFF_MS: u64 = 10_000;
/// The last part was put off within this time, in milliseconds: longer than any pause between two
/// tries of one customer.
const PUT_OFF_LAST_MS: u64 = 2 * 60_000;
/// One message of this number that comes to nothing is told. Some numbers are always wrong.
const FAILURES_SHARE: u64 = 5;
/// Receipts that match no part are told from this time on, in milliseconds.
const UNMATCHED_MS: u64 = 5 * 60_000;
/// Used share of what checkpoints may be behind from which it is told: acceptance slows down there.
const BACKLOG_TOLD: f64 = 0.5;

/// The facts about a node from which its problems follow.
pub(crate) struct NodeState<'a> {
    pub(crate) now: Timestamp,
    pub(crate) channels: &'a [ChannelView],
    pub(crate) destinations: &'a [DestinationView],
    pub(crate) census: &'a Census,
    /// The messages that wait on each channel.
    pub(crate) waiting: &'a BTreeMap<ChannelId, WaitingCount>,
    /// The failures of the last minutes on each channel.
    pub(crate) failures: &'a BTreeMap<ChannelId, FailureCounts>,
    pub(crate) log: LogState,
    /// By how many milliseconds the wall clock is ahead of the believed time, while it is in doubt.
    pub(crate) clock_doubt_ms: Option<i64>,
    pub(crate) is_draining: bool,
}

/// The facts about the event log from which problems follow.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogState {
    /// Why it accepts nothing.
    pub(crate) closed: Option<LogClosed>,
    /// Bytes free on the disk.
    pub(crate) free_bytes: u64,
    /// Bytes that stay free: below, nothing is accepted.
    pub(crate) reserve_bytes: u64,
    /// Damaged files that were rebuilt since the start.
    pub(crate) rebuilt_files: u64,
    /// The used share of what checkpoints may be behind.
    pub(crate) backlog: f64,
}

/// Why the event log accepts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogClosed {
    /// A write failed; only a restart helps.
    Failed(String),
    /// The disk is full but for the reserve.
    Full(String),
    /// The disk is slower than the messages come.
    Slow(String),
}

/// A problem of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemView {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that found it, for programs.
    pub kind: ProblemKind,
    /// The channel that has it.
    pub channel: Option<ChannelId>,
    /// The destination that has it.
    pub destination: Option<DestinationId>,
    /// Since when; the time of the answer where that is not known.
    pub since: Timestamp,
    /// The cause, in words.
    pub reason: String,
    /// The provider's code.
    pub code: Option<Box<str>>,
    /// The remedy, with the key or the command.
    pub fix: String,
    /// The page on which it is seen.
    pub link: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something will not work, or needs a decision.
    Warning,
}

/// The rules by which problems are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProblemKind {
    /// The provider refuses the channel's credentials.
    ChannelStopped,
    /// The configuration of the channel is not what the provider says.
    Misconfigured,
    /// Customers write to an own address that the channel does not have.
    UnknownDid,
    /// The channel has no connection to its provider.
    ChannelUnreachable,
    /// The channel does not answer.
    ChannelFailed,
    /// An operator paused the channel.
    ChannelPaused,
    /// Some links of the channel are not up.
    LinksDown,
    /// The provider asks the channel to send less.
    ChannelThrottled,
    /// Messages wait for the channel's send rate alone.
    SendRateReached,
    /// Messages wait although the channel sends.
    MessagesWaiting,
    /// The provider puts messages off.
    MessagesPutOff,
    /// Many messages fail or are refused.
    MessagesFail,
    /// Parts in doubt are held.
    InDoubtHeld,
    /// Receipts match no part.
    ReceiptsUnmatched,
    /// Receipts have words that nobody explained.
    ReceiptsUnread,
    /// Webhooks were refused.
    WebhooksRefused,
    /// The webhook could not be registered with the provider.
    WebhookSetUpFailed,
    /// The destination does not accept deliveries.
    DestinationDown,
    /// The destination refuses some deliveries.
    DeliveriesRefused,
    /// Deliveries were given up.
    DeadLetters,
    /// A write to the event log failed.
    LogFailed,
    /// Nothing is accepted, because only the reserve of the disk is left.
    DiskFull,
    /// Less than twice the reserve is left.
    DiskNearlyFull,
    /// The disk is too slow.
    DiskSlow,
    /// Files of the event log were damaged.
    LogRepaired,
    /// Checkpoints are behind.
    CheckpointLag,
    /// The clock of the machine jumped.
    ClockInDoubt,
    /// Patchbay is stopping.
    ShuttingDown,
}

/// Finds the problems of a node, the worst first.
pub(crate) fn find(node: &NodeState<'_>) -> Vec<ProblemView> {
    let mut found = Vec::new();
    of_node(node, &mut found);
    for channel in node.channels {
        of_connection(node, channel, &mut found);
        of_webhooks(node, channel, &mut found);
        of_receipts(node, channel, &mut found);
        of_unknown_dids(channel, &mut found);
        of_doubts(node, channel, &mut found);
        of_messages(node, channel, &mut found);
        of_failures(node, channel, &mut found);
    }
    for destination in node.destinations {
        of_destination(node, destination, &mut found);
    }
    found.sort_by_key(|problem: &ProblemView| (problem.severity, problem.since));
    found
}

use ProblemKind as Kind;
use Severity::{Error, Warning};

/// Returns a problem of the node as a whole.
fn problem(severity: Severity, kind: Kind, since: Timestamp, reason: String, fix: String) -> ProblemView {
    let link = "/".to_owned();
    ProblemView { severity, kind, channel: None, destination: None, since, reason, code: None, fix, link }
}

fn on_channel(channel: &ChannelView, problem: ProblemView) -> ProblemView {
    let link = format!("/#channel-{}", channel.id);
    ProblemView { channel: Some(channel.id.clone()), link, ..problem }
}

fn of_node(node: &NodeState<'_>, found: &mut Vec<ProblemView>) {
    let mut add = |severity, kind, reason: String, fix: &str| {
        found.push(problem(severity, kind, node.now, reason, fix.to_owned()));
    };
    if let Some((severity, kind, reason, fix)) = of_disk(&node.log) {
        add(severity, kind, reason, fix);
    }
    let LogState { rebuilt_files, backlog, .. } = node.log;
    if rebuilt_files > 0 {
        let files = counted(usize::try_from(rebuilt_files).unwrap_or(usize::MAX), "file");
        let fix = "Look at the disk of data_dir: the kernel's log and `smartctl`. Nothing was lost so far.";
        add(Warning, Kind::LogRepaired, format!("{files} of the event log were damaged and rebuilt"), fix);
    }
    if backlog >= BACKLOG_TOLD {
        let percent = (backlog * 100.0) as u64;
        let reason =
            format!("checkpoints are behind ({percent} % of the limit): messages are accepted more slowly");
        add(Warning, Kind::CheckpointLag, reason, FASTER_DISK);
    }
    if let Some(ahead_ms) = node.clock_doubt_ms {
        let way = if ahead_ms > 0 { "forward" } else { "back" };
        let by = span(ahead_ms.unsigned_abs());
        let reason = format!(
            "the clock of this machine jumped {way} by {by}: what cannot be undone waits until that has \
             lasted five minutes"
        );
        add(Warning, Kind::ClockInDoubt, reason, "Correct the clock, and let NTP keep it.");
    }
    if node.is_draining {
        let fix = "Start it again when it has stopped.";
        add(Warning, Kind::ShuttingDown, "Patchbay is stopping".to_owned(), fix);
    }
}

/// Returns what is wrong with the disk of the event log.
fn of_disk(log: &LogState) -> Option<(Severity, Kind, String, &'static str)> {
    Some(match &log.closed {
        Some(LogClosed::Failed(reason)) => (
            Error,
            Kind::LogFailed,
            format!("nothing is accepted: {reason}"),
            "Look at the disk of data_dir and at the kernel's log, mend it, and start Patchbay again.",
        ),
        Some(LogClosed::Full(reason)) => {
            (Error, Kind::DiskFull, format!("nothing is accepted: {reason}"), FREE_SPACE)
        }
        Some(LogClosed::Slow(reason)) => {
            (Warning, Kind::DiskSlow, format!("messages are refused for moments: {reason}"), FASTER_DISK)
        }
        None if log.free_bytes < log.reserve_bytes.saturating_mul(2) => {
            let (free, reserve) = (log.free_bytes / MB, log.reserve_bytes / MB);
            let reason = format!(
                "{free} MB are free on the disk of data_dir; below {reserve} MB (disk_reserve) nothing is \
                 accepted"
            );
            (Warning, Kind::DiskNearlyFull, reason, FREE_SPACE)
        }
        None => return None,
    })
}

const FREE_SPACE: &str =
    "Free space on the disk of data_dir, move data_dir to a larger one, or shorten retention.";
const FASTER_DISK: &str = "Put data_dir on a faster disk, or send less at once.";
const MB: u64 = 1024 * 1024;

fn of_connection(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let (id, provider) = (&channel.id, channel.provider);
    let said = advice::without_next_try(&channel.reason);
    let waits = waiting_words(node, id);
    let mut add = |severity, kind, reason: String, fix: String| {
        let reason = format!("{reason}{waits}");
        let code = channel.code.clone();
        found.push(on_channel(
            channel,
            ProblemView { code, ..problem(severity, kind, channel.since, reason, fix) },
        ));
    };
    let is_late = node.now.since_ms(channel.since) >= CONNECTING_MS;
    match channel.status {
        "credentials_refused" => add(
            Error,
            Kind::ChannelStopped,
            format!("the provider refuses channel {id}: {said}"),
            advice::against_refusal(provider, id, channel.code.as_deref().unwrap_or_default()),
        ),
        "misconfigured" => add(
            Error,
            Kind::Misconfigured,
            format!("channel {id} is not what its provider says: {}", channel.reason),
            format!("Correct dids or [channel.account] of channel {id} and reload."),
        ),
        "disconnected" => add(
            Error,
            Kind::ChannelUnreachable,
            format!("channel {id} has no connection: {said}"),
            advice::against_silence(provider, id),
        ),
        "connecting" if is_late => add(
            Error,
            Kind::ChannelUnreachable,
            format!("channel {id} has no connection yet"),
            advice::against_silence(provider, id),
        ),
        "failed" => add(
            Error,
            Kind::ChannelFailed,
            format!("channel {id} does not answer: {}", channel.reason),
            "Look at the log of this process for the reason, report it, and start Patchbay again.".to_owned(),
        ),
        "paused" => add(
            Warning,
            Kind::ChannelPaused,
            format!("channel {id} is paused: {}", channel.reason),
            format!("Resume it when it may send again: `patchbay channel resume {id}`, or its button."),
        ),
        "connected" => of_links(node, channel, found),
        _ => {}
    }
}

fn of_links(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let id = &channel.id;
    let down: Vec<_> =
        channel.links.iter().filter(|link| !matches!(link.status, "bound" | "ready")).collect();
    if let Some(first) = down.first() {
        let reason = format!(
            "{} of {} of channel {id} are down: {}",
            down.len(),
            counted(channel.links.len(), "link"),
            first.reason
        );
        let fix =
            format!("Compare binds of channel {id} with what the provider allows, and look at its state.");
        found.push(on_channel(channel, problem(Warning, Kind::LinksDown, first.since, reason, fix)));
    }
    if let Some(until) = channel.paused_until.filter(|until| until.since_ms(node.now) >= PAUSE_TOLD_MS) {
        let reason = format!(
            "the provider asks channel {id} to send less: it pauses for {}",
            span(until.since_ms(node.now))
        );
        let fix = format!("Lower send_rate of channel {id}, or ask the provider for a higher limit.");
        found.push(on_channel(channel, problem(Warning, Kind::ChannelThrottled, node.now, reason, fix)));
    }
}

fn of_webhooks(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let id = &channel.id;
    if let Some(set_up) = channel.set_up.as_ref().filter(|set_up| set_up.status == "failed") {
        let reason = format!("the webhook of channel {id} could not be registered: {}", set_up.detail);
        let fix = format!(
            "Correct public_url in [http] and the account of channel {id}, and restart the channel; or enter \
             the address at the provider by hand."
        );
        found.push(on_channel(channel, problem(Warning, Kind::WebhookSetUpFailed, set_up.at, reason, fix)));
    }
    if let Some(refused) = &channel.webhooks_refused {
        let reason = format!(
            "channel {id} refused {}, the last {} ago: {}",
            counted(usize::try_from(refused.count).unwrap_or(usize::MAX), "webhook"),
            span(node.now.since_ms(refused.last_at)),
            refused.reason
        );
        let key = match provider::provider(channel.provider).map(|known| known.signature()) {
            Some(Signature::Required(key) | Signature::Optional(key)) => {
                format!("{key} in [channel.account]")
            }
            _ => "[channel.account]".to_owned(),
        };
        let fix = format!(
            "If the provider sent them, correct {key} of channel {id} and reload. Otherwise somebody forges \
             them; nothing of them was taken."
        );
        found.push(on_channel(channel, problem(Warning, Kind::WebhooksRefused, refused.since, reason, fix)));
    }
}

fn of_receipts(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let id = &channel.id;
    let old = channel.receipts_unmatched_since.filter(|at| node.now.since_ms(*at) >= UNMATCHED_MS);
    if let Some(since) = old {
        let reason = format!(
            "{} of channel {id} match no part, the oldest for {}",
            counted(channel.receipts_unmatched, "receipt"),
            span(node.now.since_ms(since))
        );
        let fix =
            "Compare their ids with those of the parts: another program may send with this account, or the \
                   provider writes its ids in two ways; ask it how."
                .to_owned();
        let link = format!("/receipts?channel={id}");
        let problem = problem(Warning, Kind::ReceiptsUnmatched, since, reason, fix);
        found.push(ProblemView { link, ..on_channel(channel, problem) });
    }
    if channel.counts.receipts_unread > 0 {
        let count = counted(usize::try_from(channel.counts.receipts_unread).unwrap_or(usize::MAX), "receipt");
        let reason = format!("{count} of channel {id} have a word for the state that is not known");
        let fix = format!(
            "Give the meaning of the words that the card of the channel shows: receipt_words in \
             [channel.account] of channel {id}."
        );
        found.push(on_channel(channel, problem(Warning, Kind::ReceiptsUnread, node.now, reason, fix)));
    }
}

fn of_unknown_dids(channel: &ChannelView, found: &mut Vec<ProblemView>) {
    for unknown in &channel.unknown_dids {
        let messages = counted(usize::try_from(unknown.messages).unwrap_or(usize::MAX), "message");
        let (id, did) = (&channel.id, &unknown.did);
        let reason = format!("channel {id} received {messages} to {did}: {}", unknown.reason);
        let fix = format!("Add {did} to dids of channel {id} and reload.");
        found.push(on_channel(channel, problem(Warning, Kind::UnknownDid, unknown.first, reason, fix)));
    }
}

fn of_doubts(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let id = &channel.id;
    let Some(census) = node.census.channels.get(id) else { return };
    if let Some(since) = census.held_since {
        let reason =
            format!("{} of channel {id} in doubt, held for a decision", counted(census.held, "part"));
        let fix =
            "Decide on the page In doubt, or by POST /api/in-doubt. on_unknown = \"resend\" sends such \
                   parts again by itself, with a flag."
                .to_owned();
        let problem = problem(Warning, Kind::InDoubtHeld, since, reason, fix);
        found.push(ProblemView { link: "/doubt".to_owned(), ..on_channel(channel, problem) });
    }
}

fn of_messages(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let id = &channel.id;
    let count = node.waiting.get(id).copied().unwrap_or_default();
    let sends = channel.status == "connected" && channel.paused_until.is_none();
    let Some(since) = count.since.filter(|_| sends) else { return };
    let waited_ms = node.now.since_ms(since);
    let takes_ms = channel.send_rate.map_or(0, |rate| (count.messages as f64 / rate * 1_000.0) as u64);
    let waits = waiting_words(node, id);
    let waits = waits.trim_start_matches("; ");
    if channel.limited_by.is_some() && waited_ms.max(takes_ms) >= RATE_WAIT_MS {
        let rate = channel.send_rate.unwrap_or_default();
        let reason = format!(
            "{waits}, on channel {id}; {rate} parts per second (send_rate) take about {}",
            span(takes_ms)
        );
        let fix = format!("Raise send_rate of channel {id} if the provider allows more.");
        found.push(on_channel(channel, problem(Warning, Kind::SendRateReached, since, reason, fix)));
    } else if let Some(last) = last_put_off(node, id).filter(|_| waited_ms >= PUT_OFF_MS) {
        let reason =
            format!("{waits}, on channel {id}: the provider puts off what it gets: {}", said(channel, last));
        let fix = fix_of(channel, last).unwrap_or_else(|| {
            "They are tried again by themselves; if it lasts, ask the provider.".to_owned()
        });
        let code = Some(last.cause.code.clone());
        let problem = problem(Warning, Kind::MessagesPutOff, since, reason, fix);
        found.push(on_channel(channel, ProblemView { code, ..problem }));
    } else if waited_ms >= WAIT_MS {
        let reason = format!("{waits}, on channel {id}, although it is connected");
        let fix =
            format!("Find the oldest by GET /api/messages?list=waiting&channel={id}: it says why it waits.");
        let problem = problem(Warning, Kind::MessagesWaiting, since, reason, fix);
        found.push(on_channel(channel, problem));
    }
}

/// Returns the last reason for which parts of a channel are tried again, if it holds now.
fn last_put_off<'a>(node: &NodeState<'a>, channel: &ChannelId) -> Option<&'a FailureCount> {
    let failures = node.failures.get(channel)?.failures.iter();
    let recent = |failure: &&FailureCount| {
        failure.kind == FailureKind::Deferred && node.now.since_ms(failure.last_at) < PUT_OFF_LAST_MS
    };
    failures.filter(recent).max_by_key(|failure| failure.last_at)
}

/// Returns the words of a failure, or the meaning of its code where it has none.
fn said(channel: &ChannelView, failure: &FailureCount) -> String {
    let FailureCount { cause, .. } = failure;
    let known = || provider::explain(channel.provider, &cause.code);
    match known().filter(|_| cause.reason.is_empty() || cause.reason == cause.code) {
        Some(known) => format!("{} ({})", known.meaning.trim_end_matches('.'), cause.code),
        None => advice::cause(cause),
    }
}

fn fix_of(channel: &ChannelView, failure: &FailureCount) -> Option<String> {
    provider::explain(channel.provider, &failure.cause.code).map(|known| known.fix.into_owned())
}

/// Tells of messages that came to nothing, if they are more than a few of all.
fn of_failures(node: &NodeState<'_>, channel: &ChannelView, found: &mut Vec<ProblemView>) {
    let id = &channel.id;
    let Some(FailureCounts { failures, sent }) = node.failures.get(id) else { return };
    let lost = || failures.iter().filter(|failure| failure.kind != FailureKind::Deferred);
    let number = |kind| -> u64 { lost().filter(|f| f.kind == kind).map(|f| f.count).sum() };
    let (failed, refused) = (number(FailureKind::Failed), number(FailureKind::Refused));
    let all = failed.saturating_add(refused);
    let Some(most) = lost().max_by_key(|failure| (failure.count, failure.last_at)) else { return };
    if all.saturating_mul(FAILURES_SHARE) < all.saturating_add(*sent) {
        return;
    }
    let messages = counted(usize::try_from(all).unwrap_or(usize::MAX), "message");
    let outcome = match (failed, refused, all) {
        (0, _, 1) => "was refused",
        (0, ..) => "were refused",
        (_, 0, _) => "failed",
        _ => "failed or were refused",
    };
    let most_often = if lost().count() > 1 { "most often: " } else { "" };
    let reason = format!(
        "{messages} on channel {id} {outcome} within {SHOWN_MINUTES} min, and {sent} were sent: {most_often}{}",
        said(channel, most)
    );
    let fix = fix_of(channel, most).unwrap_or_else(|| match most.kind {
        FailureKind::Refused => "The answer to each request says what to change in it.".to_owned(),
        _ => format!("Each says why: `patchbay messages --list failed --channel {id}`."),
    });
    let since = lost().map(|failure| failure.since).min().unwrap_or(most.since);
    let problem = problem(Warning, Kind::MessagesFail, since, reason, fix);
    found.push(on_channel(channel, ProblemView { code: Some(most.cause.code.clone()), ..problem }));
}

/// Returns `; 3 messages wait, the oldest for 27 s`, or nothing.
fn waiting_words(node: &NodeState<'_>, channel: &ChannelId) -> String {
    let count = node.waiting.get(channel).copied().unwrap_or_default();
    let Some(since) = count.since else { return String::new() };
    let oldest = span(node.now.since_ms(since));
    match count.messages {
        1 => format!("; 1 message waits for {oldest}"),
        waiting => format!("; {waiting} messages wait, the oldest for {oldest}"),
    }
}

fn of_destination(node: &NodeState<'_>, destination: &DestinationView, found: &mut Vec<ProblemView>) {
    let id = &destination.id;
    let census = node.census.destinations.get(id).cloned().unwrap_or_default();
    let mut add = |problem: ProblemView, link: String| {
        found.push(ProblemView { destination: Some(id.clone()), link, ..problem });
    };
    let here = format!("/#destination-{id}");
    let waits = match (census.waiting, census.oldest) {
        (1, Some(oldest)) => format!("; 1 delivery waits for {}", span(node.now.since_ms(oldest))),
        (waiting @ 2.., Some(oldest)) => {
            let oldest = span(node.now.since_ms(oldest));
            format!("; {waiting} deliveries wait, the oldest for {oldest}")
        }
        _ => String::new(),
    };
    let fix = against_down_destination(destination);
    if destination.status == "down" {
        let reason = format!("destination {id} is down: {}{waits}", destination.reason);
        add(problem(Error, Kind::DestinationDown, destination.since, reason, fix), here);
    } else if !destination.reason.is_empty() {
        let reason = format!("destination {id} refuses some deliveries: {}{waits}", destination.reason);
        add(problem(Warning, Kind::DeliveriesRefused, census.oldest.unwrap_or(node.now), reason, fix), here);
    }
    if let Some(since) = census.dead_since {
        let reason = match census.dead {
            1 => format!("1 delivery to destination {id} was given up"),
            dead => format!("{dead} deliveries to destination {id} were given up"),
        };
        let fix = "Nothing is lost: mend the destination and replay them on the page Dead letters, or by \
                   `patchbay dead-letters replay --all`."
            .to_owned();
        add(problem(Error, Kind::DeadLetters, since, reason, fix), "/dead".to_owned());
    }
}

#[cfg(test)]
mod tests;
