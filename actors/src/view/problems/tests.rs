//! Each problem follows from a state, and from nothing less.

use message::event::Cause;

use super::*;
use crate::view::{
    ChannelCounts, LinkView, RefusedCallsView, SetUpView, UnknownDidView,
    census::{ChannelCensus, DestinationCensus},
};

const NOW: Timestamp = Timestamp(10_000_000);
const GB: u64 = 1024 * MB;

fn ago(ms: u64) -> Timestamp {
    Timestamp(NOW.0 - ms)
}

fn channel() -> ChannelView {
    ChannelView {
        id: "sms".into(),
        name: "SMS".into(),
        provider: "smpp",
        dids: vec!["5155".into()],
        status: "connected",
        reason: String::new(),
        since: ago(3_600_000),
        code: None,
        links: vec![link("bound")],
        unsigned: false,
        send_rate: Some(10.0),
        limited_by: None,
        paused_until: None,
        paused_since: None,
        sessions_waiting: 0,
        parts_outstanding: 0,
        receipts_unmatched: 0,
        receipts_unmatched_since: None,
        webhooks_refused: None,
        set_up: None,
        account: Vec::new(),
        unknown_dids: Vec::new(),
        webhook_url: None,
        counts: ChannelCounts::default(),
        failures: Vec::new(),
    }
}

fn link(status: &'static str) -> LinkView {
    let reason = "ESME_RALYBND".to_owned();
    LinkView { link: 1, status, reason, since: ago(5_000), next_try: None, attempts: 0, outstanding: 0 }
}

fn destination() -> DestinationView {
    DestinationView {
        id: "crm".into(),
        url: "http://crm/cim".into(),
        status: "up",
        reason: String::new(),
        since: ago(3_600_000),
        sessions_waiting: 0,
        posts_outstanding: 0,
        taken: 7,
        failed: 0,
    }
}

/// A node that is well, to be changed.
struct Node {
    channel: ChannelView,
    destination: DestinationView,
    on_channel: ChannelCensus,
    waiting: WaitingCount,
    failures: FailureCounts,
    for_destination: DestinationCensus,
    log: LogState,
    clock_doubt_ms: Option<i64>,
    is_draining: bool,
}

impl Node {
    fn well() -> Self {
        Self {
            channel: channel(),
            destination: destination(),
            on_channel: ChannelCensus::default(),
            waiting: WaitingCount::default(),
            failures: FailureCounts::default(),
            for_destination: DestinationCensus::default(),
            log: LogState { free_bytes: 50 * GB, reserve_bytes: GB, ..LogState::default() },
            clock_doubt_ms: None,
            is_draining: false,
        }
    }

    fn problems(self) -> Vec<ProblemView> {
        let mut census = Census::default();
        census.channels.insert("sms".into(), self.on_channel);
        census.destinations.insert("crm".into(), self.for_destination);
        find(&NodeState {
            now: NOW,
            channels: &[self.channel],
            destinations: &[self.destination],
            census: &census,
            waiting: &[("sms".into(), self.waiting)].into(),
            failures: &[("sms".into(), self.failures)].into(),
            log: self.log,
            clock_doubt_ms: self.clock_doubt_ms,
            is_draining: self.is_draining,
        })
    }
}

fn waiting(messages: u64, oldest_ms: u64) -> WaitingCount {
    WaitingCount { messages, since: Some(ago(oldest_ms)) }
}

fn failure(kind: FailureKind, code: &str, reason: &str, count: u64) -> FailureCount {
    let cause = Cause::new(code, reason);
    FailureCount { kind, cause, count, since: ago(60_000), last_at: ago(30_000) }
}

fn refused(n: &mut Node) {
    n.channel.status = "credentials_refused";
    n.channel.reason = "password is invalid (0x0000000E); next try in 20 s".into();
    n.channel.code = Some("0x0000000E".into());
    n.waiting = waiting(3, 90_000);
}

type Change = fn(&mut Node);

/// A change of a well node; the problem's kind and severity, and words of its reason and fix.
type Row = (Change, ProblemKind, Severity, &'static str, &'static str);

const CHANNELS: &[Row] = &[
    (
        refused,
        Kind::ChannelStopped,
        Error,
        "password is invalid (0x0000000E)",
        "password in [channel.account] of channel sms",
    ),
    (refused, Kind::ChannelStopped, Error, "(0x0000000E); 3 messages wait, the oldest for 90 s", "reload"),
    (
        |n| {
            n.channel.unknown_dids.push(UnknownDidView {
                did: "1555".into(),
                messages: 4,
                first: ago(9_000),
                last: ago(1_000),
                reason: "no channel has this own address".into(),
            });
        },
        Kind::UnknownDid,
        Warning,
        "channel sms received 4 messages to 1555: no channel has this own address",
        "Add 1555 to dids of channel sms and reload",
    ),
    (
        |n| (n.channel.status, n.channel.reason) = ("misconfigured", "it has 1555".into()),
        Kind::Misconfigured,
        Error,
        "it has 1555",
        "dids",
    ),
    (
        |n| (n.channel.status, n.channel.reason) = ("disconnected", "connection refused".into()),
        Kind::ChannelUnreachable,
        Error,
        "connection refused",
        "host and port in [channel.account] of channel sms",
    ),
    (
        |n| n.channel.status = "connecting",
        Kind::ChannelUnreachable,
        Error,
        "no connection yet",
        "patchbay check --probe",
    ),
    (|n| n.channel.status = "failed", Kind::ChannelFailed, Error, "does not answer", "log of this process"),
    (|n| n.channel.status = "paused", Kind::ChannelPaused, Warning, "is paused", "Resume"),
    (
        |n| n.channel.links.push(link("waiting")),
        Kind::LinksDown,
        Warning,
        "1 of 2 links of channel sms are down: ESME_RALYBND",
        "binds",
    ),
    (
        |n| n.channel.paused_until = Some(NOW.plus_ms(9_000)),
        Kind::ChannelThrottled,
        Warning,
        "pauses for 9 s",
        "Lower send_rate",
    ),
    (
        |n| {
            n.channel.limited_by = Some("send_rate = 10".into());
            n.waiting = waiting(3_000, 1_000);
        },
        Kind::SendRateReached,
        Warning,
        "3000 messages wait, the oldest for 1 s, on channel sms; 10 parts per second (send_rate) take about 5 min",
        "Raise send_rate",
    ),
    (
        |n| n.waiting = waiting(1, 600_000),
        Kind::MessagesWaiting,
        Warning,
        "1 message waits for 10 min, on channel sms, although it is connected",
        "Find the oldest by GET /api/messages?list=waiting&channel=sms",
    ),
    (
        |n| {
            n.waiting = waiting(2, 12_000);
            let queue = "message queue is full";
            n.failures.failures.push(failure(FailureKind::Deferred, "0x00000014", queue, 4));
        },
        Kind::MessagesPutOff,
        Warning,
        "2 messages wait, the oldest for 12 s, on channel sms: the provider puts off what it gets: message queue is \
         full (0x00000014)",
        "tried again later",
    ),
    (
        |n| {
            n.failures.sent = 4;
            n.failures.failures.push(failure(FailureKind::Failed, "0x0000000B", "no such number", 1));
        },
        Kind::MessagesFail,
        Warning,
        "1 message on channel sms failed within 10 min, and 4 were sent: no such number (0x0000000B)",
        "country code",
    ),
    (
        |n| {
            n.channel.provider = "whatsapp_cloud";
            n.failures.failures = vec![
                failure(FailureKind::Failed, "131026", "", 1),
                failure(FailureKind::Refused, "window", "the customer has not written yet", 2),
            ];
        },
        Kind::MessagesFail,
        Warning,
        "3 messages on channel sms failed or were refused within 10 min, and 0 were sent: most often: \
         the customer has not written yet (window)",
        "template",
    ),
    (
        |n| {
            n.failures.failures = vec![failure(FailureKind::Refused, "4711", "it has no words", 1)];
        },
        Kind::MessagesFail,
        Warning,
        "1 message on channel sms was refused within 10 min",
        "The answer to each request",
    ),
    (
        |n| (n.on_channel.held, n.on_channel.held_since) = (2, Some(ago(1))),
        Kind::InDoubtHeld,
        Warning,
        "2 parts of channel sms in doubt",
        "POST /api/in-doubt",
    ),
    (
        |n| (n.channel.receipts_unmatched, n.channel.receipts_unmatched_since) = (4, Some(ago(600_000))),
        Kind::ReceiptsUnmatched,
        Warning,
        "4 receipts of channel sms match no part, the oldest for 10 min",
        "another program",
    ),
    (
        |n| n.channel.counts.receipts_unread = 1,
        Kind::ReceiptsUnread,
        Warning,
        "1 receipt of channel sms",
        "receipt_words",
    ),
    (
        |n| {
            n.channel.provider = "twilio";
            let reason = "the signature is wrong".into();
            n.channel.webhooks_refused =
                Some(RefusedCallsView { count: 3, since: ago(9_000), last_at: ago(2_000), reason });
        },
        Kind::WebhooksRefused,
        Warning,
        "channel sms refused 3 webhooks, the last 2 s ago: the signature is wrong",
        "auth_token in [channel.account] of channel sms",
    ),
    (
        |n| n.channel.set_up = Some(SetUpView { status: "failed", detail: "no https".into(), at: ago(5) }),
        Kind::WebhookSetUpFailed,
        Warning,
        "could not be registered: no https",
        "public_url",
    ),
];

const OTHERS: &[Row] = &[
    (
        |n| (n.destination.status, n.destination.reason) = ("down", "connection refused".into()),
        Kind::DestinationDown,
        Error,
        "destination crm is down: connection refused",
        "Start the service at http://crm/cim",
    ),
    (
        |n| (n.destination.status, n.destination.reason) = ("down", "http 401".into()),
        Kind::DestinationDown,
        Error,
        "http 401",
        "`secret` of destination crm",
    ),
    (
        |n| (n.destination.status, n.destination.reason) = ("down", "http 404".into()),
        Kind::DestinationDown,
        Error,
        "http 404",
        "`url` of destination crm",
    ),
    (
        |n| n.destination.reason = "http 422".into(),
        Kind::DeliveriesRefused,
        Warning,
        "refuses some deliveries: http 422",
        "answer 2xx",
    ),
    (
        |n| (n.for_destination.dead, n.for_destination.dead_since) = (2, Some(ago(5))),
        Kind::DeadLetters,
        Error,
        "2 deliveries to destination crm were given up",
        "replay",
    ),
    (
        |n| n.log.closed = Some(LogClosed::Failed("poisoned".into())),
        Kind::LogFailed,
        Error,
        "poisoned",
        "start Patchbay again",
    ),
    (
        |n| n.log.closed = Some(LogClosed::Full("full".into())),
        Kind::DiskFull,
        Error,
        "nothing is accepted: full",
        "Free space",
    ),
    (|n| n.log.closed = Some(LogClosed::Slow("slow".into())), Kind::DiskSlow, Warning, "slow", "faster disk"),
    (|n| n.log.free_bytes = GB + 1, Kind::DiskNearlyFull, Warning, "1024 MB are free", "Free space"),
    (|n| n.log.rebuilt_files = 1, Kind::LogRepaired, Warning, "1 file of the event log", "smartctl"),
    (|n| n.log.backlog = 0.75, Kind::CheckpointLag, Warning, "75 % of the limit", "faster disk"),
    (|n| n.clock_doubt_ms = Some(-7_200_000), Kind::ClockInDoubt, Warning, "jumped back by 2 h", "NTP"),
    (|n| n.is_draining = true, Kind::ShuttingDown, Warning, "is stopping", "Start it again"),
];

#[test]
fn a_node_that_is_well_has_no_problem() {
    assert_eq!(Node::well().problems(), []);
}

#[test]
fn each_problem_says_its_cause_and_its_fix() {
    for (n, (change, kind, severity, reason, fix)) in CHANNELS.iter().chain(OTHERS).enumerate() {
        let mut node = Node::well();
        change(&mut node);
        let found = node.problems();
        let [problem] = &found[..] else { panic!("{n} {kind:?}: {found:?}") };
        assert_eq!((problem.kind, problem.severity), (*kind, *severity), "{problem:?}");
        assert!(problem.reason.contains(reason), "{kind:?}: {}", problem.reason);
        assert!(problem.fix.contains(fix), "{kind:?}: {}", problem.fix);
        assert!(problem.link.starts_with('/') && !problem.link.contains(' '), "{kind:?}: {}", problem.link);
        assert_eq!(problem.channel.is_some(), n < CHANNELS.len(), "{problem:?}");
    }
}

#[test]
fn what_passes_by_itself_is_no_problem() {
    let quiet: [Change; 8] = [
        |n| (n.channel.status, n.channel.since) = ("connecting", ago(5_000)),
        |n| n.channel.paused_until = Some(NOW.plus_ms(1_000)),
        |n| n.waiting = waiting(50, 10_000),
        |n| (n.channel.receipts_unmatched, n.channel.receipts_unmatched_since) = (1, Some(ago(1_000))),
        |n| (n.for_destination.waiting, n.for_destination.oldest) = (1, Some(ago(1_000))),
        |n| n.log.backlog = 0.25,
        |n| {
            n.failures.sent = 17;
            n.failures.failures = vec![failure(FailureKind::Failed, "0x0000000B", "no such number", 4)];
        },
        |n| {
            n.waiting = waiting(1, 5_000);
            n.failures.failures = vec![failure(FailureKind::Deferred, "0x00000058", "throttled", 1)];
        },
    ];
    for (n, change) in quiet.into_iter().enumerate() {
        let mut node = Node::well();
        change(&mut node);
        assert_eq!(node.problems(), [], "{n}");
    }
}

#[test]
fn the_worst_stands_first() {
    let mut node = Node::well();
    refused(&mut node);
    node.is_draining = true;
    node.destination.status = "down";
    node.destination.since = ago(1);
    let kinds: Vec<ProblemKind> = node.problems().iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [Kind::ChannelStopped, Kind::DestinationDown, Kind::ShuttingDown]);
}
