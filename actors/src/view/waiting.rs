//! Why a message waits, in words for people: the cause, and what helps. Pure: the session, the
//! channel and the destination tell what they know, and this file puts it together.

use message::{ChannelId, Timestamp, event::Cause};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    domain::{
        lanes::LanePlace,
        session::{SessionWait, WaitStep},
    },
    view::{DestinationView, advice},
};

/// Why a message is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingView {
    /// The cause as one word, for programs.
    pub reason: WaitReason,
    /// The reason in words, with what helps.
    pub text: String,
    /// Since when it holds.
    pub since: Timestamp,
    /// Messages that go first, at least; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<usize>,
    /// When it is expected to go on, by the rate or the running pause; absent where that is not
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<Timestamp>,
}

/// The reasons for which a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WaitReason {
    /// It is scheduled for later.
    NotDue,
    /// The clock of the machine jumped, and the message's time may or may not have come.
    ClockInDoubt,
    /// An earlier message to the same customer goes first, and waits for a reason of its own.
    EarlierMessage,
    /// The provider wants a pause between two messages to the same customer.
    CustomerPause,
    /// The last try failed, and the next is due after a pause.
    RetryPause,
    /// The last submit got no answer, and the part is sent again after a pause.
    InDoubt,
    /// The last submit got no answer, and a receipt or an operator decides.
    InDoubtHeld,
    /// The provider has it and has not answered.
    Answer,
    /// The provider accepted it, and its receipt is awaited.
    Receipt,
    /// The provider refuses the channel's credentials.
    ChannelStopped,
    /// The channel has no connection to its provider.
    ChannelConnecting,
    /// An operator paused the channel.
    ChannelPaused,
    /// The channel is not in the configuration.
    ChannelMissing,
    /// The channel does not answer.
    ChannelFailed,
    /// The provider asked the channel to send less.
    Throttled,
    /// The channel's send rate lets others go first.
    Rate,
    /// The provider has not answered enough of what was sent.
    Window,
    /// Nothing holds it back: it goes in a moment.
    Turn,
    /// Patchbay is stopping.
    ShuttingDown,
    /// The message is done, and its notification waits for a destination that is down.
    DestinationDown,
}

impl WaitReason {
    /// Whether it holds for every message of the channel.
    fn is_of_channel(self) -> bool {
        matches!(
            self,
            Self::ChannelStopped
                | Self::ChannelConnecting
                | Self::ChannelPaused
                | Self::ChannelMissing
                | Self::ChannelFailed
                | Self::Throttled
                | Self::Rate
                | Self::Window
                | Self::Turn
                | Self::ShuttingDown
        )
    }
}

/// Why a channel does not send a part of a session now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChannelWait {
    /// The state that holds it back.
    pub(crate) block: ChannelBlock,
    /// Since when; 0 where only the message knows.
    pub(crate) since: Timestamp,
    /// When a link that is down is tried again.
    pub(crate) next_try: Option<Timestamp>,
    /// Where the part is.
    pub(crate) place: PartPlace,
    /// Parts that wait for window and rate.
    pub(crate) queued: usize,
    /// Parts that the provider has not answered.
    pub(crate) unanswered: usize,
    pub(crate) send_rate: Option<f64>,
}

/// The state of a channel that holds its parts back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ChannelBlock {
    /// Nothing does.
    Free,
    /// The router stops.
    Draining,
    /// The provider refuses the credentials.
    Stopped(Cause),
    /// An operator paused the channel.
    Paused,
    /// No link is up; with the reason of one.
    NotConnected(String),
    /// The provider asked for a pause until an instant.
    Throttled { until: Timestamp, cause: Option<Cause> },
    /// Parts go at the pace of `send_rate`.
    Rate,
    /// The provider has answered too few of the parts that it has.
    Window,
}

/// Where a part of a session is within its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartPlace {
    /// With the provider.
    Provider,
    /// Among the parts that wait for window and rate, behind this number of others.
    Queue(usize),
    /// The session waits for its turn.
    Lane(LanePlace),
    /// Not known here, or not found.
    Elsewhere,
}

/// The facts about a message that waits.
pub(crate) struct WaitFacts<'a> {
    pub(crate) now: Timestamp,
    pub(crate) channel: &'a ChannelId,
    pub(crate) provider: &'a str,
    pub(crate) wait: &'a SessionWait,
    /// Why the message's last try failed, if it did.
    pub(crate) last: Option<&'a Cause>,
    /// The channel's answer; `None` if it gave none.
    pub(crate) on_channel: Option<&'a ChannelWait>,
}

/// A reason with its words and the expected end.
struct Told {
    reason: WaitReason,
    /// A sentence that begins in lower case, with what helps after it.
    words: String,
    since: Timestamp,
    eta: Option<Timestamp>,
    /// Messages of others that go first.
    ahead: Option<usize>,
}

/// Puts together why a message waits.
pub(crate) fn explain(facts: &WaitFacts<'_>) -> WaitingView {
    let Told { reason, words, since, eta, ahead } = step(facts);
    let own = facts.wait.ahead;
    let earlier = match own {
        1 => "1 earlier message to the same customer goes first".to_owned(),
        _ => format!("{own} earlier messages to the same customer go first"),
    };
    let first = &facts.wait.first_id;
    let (reason, text, eta) = match (own, reason.is_of_channel()) {
        (0, _) => (reason, capital(&words), eta),
        (_, true) => (reason, format!("{}; {earlier}.", capital(words.trim_end_matches('.'))), eta),
        (_, false) => (
            WaitReason::EarlierMessage,
            format!("{}. The first of them is {first}: {words}", capital(&earlier)),
            None,
        ),
    };
    let ahead = ahead.map(|others| others.saturating_add(own)).or((own > 0).then_some(own));
    WaitingView { reason, text, since, ahead, eta }
}

/// Tells why the notification of a message waits that is done; `None` if its destination is up.
pub(crate) fn of_notification(since: Timestamp, destination: &DestinationView) -> Option<WaitingView> {
    if destination.status != "down" {
        return None;
    }
    let DestinationView { id, reason, .. } = destination;
    let text = format!(
        "The message is done, and its notification waits because destination {id} is down: {reason}. \
         {}",
        against_down_destination(destination)
    );
    Some(WaitingView { reason: WaitReason::DestinationDown, text, since, ahead: None, eta: None })
}

/// Tells why a message waits whose channel is not in the configuration.
pub(crate) fn without_channel(channel: &ChannelId, since: Timestamp) -> WaitingView {
    let text = format!(
        "Channel {channel} is not in the configuration, and its messages are kept: add it again and \
         reload, or cancel the message by DELETE /v1/messages/{{id}}."
    );
    WaitingView { reason: WaitReason::ChannelMissing, text, since, ahead: None, eta: None }
}

/// Returns what helps against a destination that is down.
pub(crate) fn against_down_destination(destination: &DestinationView) -> String {
    let DestinationView { id, url, reason, .. } = destination;
    match reason.strip_prefix("http ") {
        Some("401" | "403") => {
            format!(
                "The service at {url} refuses the call: compare `secret` of destination {id} with its own."
            )
        }
        Some("404" | "405") => {
            format!("The service does not know this address: correct `url` of destination {id}, now {url}.")
        }
        Some(_) => format!("The service at {url} must answer 2xx: look at its own log."),
        None => format!("Start the service at {url}, or correct `url` of destination {id}."),
    }
}

fn step(facts: &WaitFacts<'_>) -> Told {
    let WaitFacts { now, channel, wait, .. } = facts;
    let told = |reason, words: String, eta| Told { reason, words, since: wait.since, eta, ahead: None };
    let last = || match facts.last {
        Some(cause) => advice::cause(cause),
        None => "the last try failed".to_owned(),
    };
    let until = |at: Timestamp| advice::span(at.since_ms(*now));
    match wait.step {
        WaitStep::NotDue { at } => {
            told(WaitReason::NotDue, format!("it is scheduled and goes in {}.", until(at)), Some(at))
        }
        WaitStep::ClockInDoubt => told(
            WaitReason::ClockInDoubt,
            "the clock of this machine jumped, and nothing that cannot be undone is done before the jump has \
             lasted five minutes. Correct the clock if it is wrong."
                .to_owned(),
            None,
        ),
        WaitStep::Retry { part, at } => told(
            WaitReason::RetryPause,
            format!("part {} is tried again in {}: {}.{}", part + 1, until(at), last(), known_fix(facts)),
            Some(at),
        ),
        WaitStep::Resend { part, at } => told(
            WaitReason::InDoubt,
            format!(
                "nobody knows whether the provider has part {}: {}. It is sent again in {}, unless a receipt \
                 shows that it arrived.",
                part + 1,
                last(),
                until(at)
            ),
            Some(at),
        ),
        WaitStep::Held { part } => told(
            WaitReason::InDoubtHeld,
            format!(
                "nobody knows whether the provider has part {}: {}. It is held for a receipt or for you \
                 (on_unknown = \"hold\" of channel {channel}): decide on the page In doubt, or by \
                 POST /api/in-doubt.",
                part + 1,
                last()
            ),
            None,
        ),
        WaitStep::CustomerPause { until: at } => told(
            WaitReason::CustomerPause,
            format!(
                "the provider wants a pause between two messages to the same customer: it goes in {}.",
                until(at)
            ),
            Some(at),
        ),
        WaitStep::Receipt { until: at } => told(
            WaitReason::Receipt,
            format!(
                "the provider accepted it, and its receipt is awaited for {} more. Without one it stays \
                 SENT; if many lack receipts, look at Unmatched receipts and at the webhook or bind.",
                until(at)
            ),
            None,
        ),
        WaitStep::Channel | WaitStep::Answer => of_channel(facts),
    }
}

/// Returns what usually helps against the cause of the last try, as a further sentence.
fn known_fix(facts: &WaitFacts<'_>) -> String {
    let known = facts.last.and_then(|cause| channels::provider::explain(facts.provider, &cause.code));
    known.map(|known| format!(" {}", known.fix)).unwrap_or_default()
}

fn of_channel(facts: &WaitFacts<'_>) -> Told {
    let WaitFacts { channel, wait, on_channel, .. } = facts;
    let told = |reason, words: String| Told { reason, words, since: wait.since, eta: None, ahead: None };
    let Some(state) = on_channel else {
        let words = format!("channel {channel} does not answer; see the log of this process for the reason.");
        return told(WaitReason::ChannelFailed, words);
    };
    if state.place == PartPlace::Provider {
        let words =
            "the provider has it and has not answered yet. Nothing to do: without an answer it is in doubt.";
        return told(WaitReason::Answer, words.to_owned());
    }
    let (reason, words, eta) = of_block(facts, state);
    let since = if state.since == Timestamp::default() { wait.since } else { state.since };
    Told { reason, words, since, eta, ahead: ahead_of(state) }
}

/// Returns the reason, the words and the expected end of what holds a channel's parts back.
fn of_block(facts: &WaitFacts<'_>, state: &ChannelWait) -> (WaitReason, String, Option<Timestamp>) {
    let WaitFacts { now, channel, provider, wait, .. } = facts;
    let after = |base: Timestamp| eta(state, wait, base);
    let next = match state.next_try.filter(|at| at > now) {
        Some(at) => format!(" The next try is in {}.", advice::span(at.since_ms(*now))),
        None => String::new(),
    };
    match &state.block {
        ChannelBlock::Draining => {
            let words = "Patchbay is stopping; it goes after the next start.".to_owned();
            (WaitReason::ShuttingDown, words, None)
        }
        ChannelBlock::Stopped(cause) => {
            let why = advice::cause(cause);
            let fix = advice::against_refusal(provider, channel, &cause.code);
            let words =
                format!("channel {channel} is stopped because its provider refuses it: {why}. {fix}{next}");
            (WaitReason::ChannelStopped, words, None)
        }
        ChannelBlock::Paused => {
            let words = format!(
                "an operator paused channel {channel}; resume it: patchbay channel resume {channel}."
            );
            (WaitReason::ChannelPaused, words, None)
        }
        ChannelBlock::NotConnected(reason) if reason.is_empty() => {
            (WaitReason::ChannelConnecting, format!("channel {channel} is connecting."), None)
        }
        ChannelBlock::NotConnected(reason) => {
            let fix = advice::against_silence(provider, channel);
            let reason = advice::without_next_try(reason);
            let words = format!("channel {channel} has no connection to its provider: {reason}.{next} {fix}");
            (WaitReason::ChannelConnecting, words, None)
        }
        ChannelBlock::Throttled { until, cause } => {
            let why = cause.as_ref().map_or_else(String::new, |cause| format!(" ({})", advice::cause(cause)));
            let pause = advice::span(until.since_ms(*now));
            let words = format!(
                "the provider asked channel {channel} to send less{why}; it sends again in {pause}. Lower \
                 send_rate if it is frequent."
            );
            (WaitReason::Throttled, words, after(*until).or(Some(*until)))
        }
        ChannelBlock::Rate => {
            let at = after(*now);
            (WaitReason::Rate, of_rate(facts, state, at), at)
        }
        ChannelBlock::Window => {
            let are = if state.unanswered == 1 { "is" } else { "are" };
            let parts = advice::counted(state.unanswered, "part");
            let keys = if *provider == "smpp" { "window or binds" } else { "connections in [channel.http]" };
            let words = format!(
                "channel {channel} may not send more before the provider answers: {parts} {are} without an \
                 answer. If the provider allows more at once, raise {keys}."
            );
            (WaitReason::Window, words, None)
        }
        ChannelBlock::Free => {
            let words = "nothing holds it back: it goes in a moment.".to_owned();
            (WaitReason::Turn, words, after(*now))
        }
    }
}

fn of_rate(facts: &WaitFacts<'_>, state: &ChannelWait, at: Option<Timestamp>) -> String {
    let rate = state.send_rate.unwrap_or_default();
    let channel = facts.channel;
    let go_first = match ahead_of(state) {
        Some(ahead) => format!("it goes after {} of others: ", advice::counted(ahead, "message")),
        None => String::new(),
    };
    let takes = at.map_or_else(String::new, |at| {
        format!(" That takes about {}.", advice::span(at.since_ms(facts.now)))
    });
    format!(
        "{go_first}channel {channel} sends {rate} parts per second (send_rate = {rate}).{takes} Raise \
         send_rate if the provider allows more."
    )
}

/// Returns the number of messages of others that go first, at least.
fn ahead_of(state: &ChannelWait) -> Option<usize> {
    match state.place {
        PartPlace::Queue(parts) => Some(parts),
        PartPlace::Lane(place) => Some(state.queued.saturating_add(place.sessions)),
        PartPlace::Provider | PartPlace::Elsewhere => None,
    }
}

/// Returns when the message's last part goes, if only the rate holds it back from `base` on.
fn eta(state: &ChannelWait, wait: &SessionWait, base: Timestamp) -> Option<Timestamp> {
    let rate = state.send_rate?;
    let before = match state.place {
        PartPlace::Queue(parts) => parts,
        // After each of its messages a session goes behind all others.
        PartPlace::Lane(place) => {
            let others = place.round.saturating_sub(1).saturating_mul(wait.ahead);
            state.queued.saturating_add(place.parts).saturating_add(others)
        }
        PartPlace::Provider | PartPlace::Elsewhere => return None,
    };
    let parts = before.saturating_add(wait.parts.max(1));
    let at = base.plus_ms((parts as f64 / rate * 1_000.0).ceil() as u64);
    Some(wait.not_before.map_or(at, |rule| rule.max(at)))
}

/// Returns a sentence with a capital at its beginning.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
