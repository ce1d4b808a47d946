//! The state of a channel as the admin port and the metrics show it.

use std::{collections::BTreeMap, sync::Arc};

use message::{ChannelId, Timestamp, event::Cause};

use crate::{
    actor::channel::{
        link_slot::LinkSlot, links::Links, metrics::Metrics, outbox::Outbox, receipts::Receipts,
    },
    context::{Context, entries::ChannelEntry},
    protocol::link::LinkStatus,
    view::{ChannelCounts, ChannelView, FactView, LinkView, SetUpView, UnknownDidView},
};

/// Maximum number of facts kept about an account; further ones are ignored.
const ACCOUNT_FACTS_MAX: usize = 32;

/// The reason shown while an operator has paused a channel.
const PAUSED: &str = "an operator paused it: messages wait until it is resumed";

/// The status of a channel, and since when it holds.
pub(crate) struct ChannelStatus {
    status: &'static str,
    reason: String,
    since: Timestamp,
}

impl ChannelStatus {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { status: "connecting", reason: String::new(), since: now }
    }

    /// Since when the channel has this status.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Derives the status from the links, from `stopped`, the reason why nothing is sent, and from
    /// the beginning of an operator's pause, and from `wrong`, own addresses that the account does
    /// not have.
    pub(crate) fn update(
        &mut self,
        id: &ChannelId,
        links: &Links,
        stopped: Option<&Cause>,
        paused: Option<Timestamp>,
        wrong: Option<&str>,
        now: Timestamp,
    ) {
        let (up, all) = (links.up(), links.iter().len());
        let said = |link: &&LinkSlot| link.status == LinkStatus::Stopped && !link.reason.is_empty();
        let (status, reason) = match stopped {
            // A link says when the next try is.
            Some(cause) => (
                "credentials_refused",
                match links.iter().find(said) {
                    Some(link) => link.reason.clone(),
                    None => format!("{} ({})", cause.reason, cause.code),
                },
            ),
            None if paused.is_some() => ("paused", PAUSED.to_owned()),
            None if up > 0
                && let Some(wrong) = wrong =>
            {
                ("misconfigured", wrong.to_owned())
            }
            None if up == all && up > 0 => ("connected", String::new()),
            None if up > 0 => ("connected", format!("{up} of {all} links are bound")),
            None => match links.iter().find(|link| !link.reason.is_empty()) {
                Some(link) => ("disconnected", link.reason.clone()),
                None => ("connecting", String::new()),
            },
        };
        if (self.status, &self.reason) != (status, &reason) {
            if self.status != status {
                tracing::info!(channel = %id, status, reason, "channel status");
                // Each try to connect is part of the same outage.
                let is_away = |status: &str| matches!(status, "connecting" | "disconnected");
                if !(is_away(self.status) && is_away(status)) {
                    self.since = paused.filter(|_| status == "paused").unwrap_or(now);
                }
            }
            (self.status, self.reason) = (status, reason);
        }
    }
}

/// Maximum number of own addresses, to which customers wrote and which no channel has, that are
/// listed; further ones are counted only.
const UNKNOWN_DIDS_MAX: usize = 16;

/// Facts that the provider told about our own account.
#[derive(Default)]
pub(crate) struct Account {
    /// Facts by subject.
    facts: BTreeMap<Box<str>, FactView>,
    /// Which of our own addresses it does not have, and the fix.
    pub(crate) mismatch: Option<String>,
    /// Own addresses that customers wrote to and the channel does not have.
    unknown: Vec<UnknownDidView>,
}

impl Account {
    /// Stores the result of comparing our own addresses with the provider's.
    pub(crate) fn compare(&mut self, entry: &ChannelEntry, mismatch: Option<String>) {
        if self.mismatch != mismatch
            && let Some(reason) = &mismatch
        {
            tracing::error!(channel = %entry.config.id, %reason, "channel misconfigured");
        }
        self.mismatch = mismatch;
    }

    /// Counts a message to an own address, in its canonical spelling, that the channel does not
    /// have.
    pub(crate) fn note_did(&mut self, entry: &ChannelEntry, did: &Arc<str>, now: Timestamp) {
        if entry.dids.iter().any(|known| known.canonical == *did) {
            return;
        }
        let id = &entry.config.id;
        metrics::counter!("patchbay_received_unknown_did_total", "channel" => id.to_string()).increment(1);
        if let Some(known) = self.unknown.iter_mut().find(|known| known.did == *did) {
            known.messages += 1;
            known.last = now;
            return;
        }
        if self.unknown.len() < UNKNOWN_DIDS_MAX {
            let first = entry.dids.first().map(|did| did.shown.clone()).unwrap_or_default();
            let reason = format!(
                "no channel has this own address, so its messages go to the destination of {first:?}, and answers \
                 from it are refused: add it to dids"
            );
            tracing::warn!(channel = %id, %did, reason, "a customer wrote to an unknown own address");
            self.unknown.push(UnknownDidView {
                did: did.clone(),
                messages: 1,
                first: now,
                last: now,
                reason,
            });
        }
    }

    /// Notes a word or number of receipts whose meaning is not known; empty: they have none.
    pub(crate) fn note_unread(&mut self, entry: &ChannelEntry, word: &str, now: Timestamp) {
        let about = match word {
            "" => "receipts without a state".into(),
            word => format!("receipt word {word}").into(),
        };
        let says = "not understood, so such receipts change nothing; give its meaning in receipt_words";
        self.update(entry, about, says.into(), now);
    }

    /// Stores a fact until the provider changes it.
    pub(crate) fn update(&mut self, entry: &ChannelEntry, about: Box<str>, says: Box<str>, now: Timestamp) {
        let is_new = self.facts.get(&about).is_none_or(|known| known.says != says);
        if is_new && (self.facts.len() < ACCOUNT_FACTS_MAX || self.facts.contains_key(&about)) {
            tracing::info!(channel = %entry.config.id, %about, %says, "fact about the account");
            let fact = FactView { about: about.clone(), says, since: now };
            self.facts.insert(about, fact);
        }
    }
}

/// The parts of a channel that are shown.
pub(crate) struct Shown<'a> {
    pub(crate) entry: &'a ChannelEntry,
    pub(crate) status: &'a ChannelStatus,
    pub(crate) links: &'a Links,
    pub(crate) outbox: &'a Outbox,
    pub(crate) receipts: &'a Receipts,
    /// Why the provider refuses the credentials, while it does.
    pub(crate) refused: Option<&'a Cause>,
    pub(crate) registration: Option<&'a SetUpView>,
    pub(crate) account: &'a Account,
    pub(crate) counts: ChannelCounts,
}

/// Shows a channel.
pub(crate) fn show(context: &Context, shown: &Shown<'_>) -> ChannelView {
    let Shown { entry, status, links, outbox, receipts, .. } = shown;
    let now_ms = context.monotonic_ms();
    let paused_until = outbox.rate.paused_until(now_ms).map(|until| context.now().plus_ms(until - now_ms));
    let send_rate = entry.config.send_rate;
    let limited_by = send_rate
        .filter(|_| outbox.is_limited_by(send_rate, links.free(), now_ms))
        .map(|rate| format!("send_rate = {rate}"));
    let limit = limited_by.as_ref().filter(|_| status.reason.is_empty()).map(|by| format!("limited by {by}"));
    ChannelView {
        id: entry.config.id.clone(),
        name: entry.config.name.clone(),
        provider: entry.channel().provider().name,
        dids: entry.config.dids.iter().map(|d| d.number.clone()).collect(),
        status: status.status,
        reason: limit.unwrap_or_else(|| status.reason.clone()),
        since: status.since,
        code: shown.refused.map(|cause| cause.code.clone()),
        links: links.iter().enumerate().map(|(n, slot)| link_view(n as u16, slot, outbox)).collect(),
        unsigned: entry.config.unsigned,
        send_rate,
        limited_by,
        paused_until,
        paused_since: receipts.own.pause().since(),
        sessions_waiting: outbox.sessions_waiting(),
        parts_outstanding: outbox.outstanding.len() + outbox.parts_waiting(),
        receipts_unmatched: receipts.kept(),
        receipts_unmatched_since: receipts.oldest_kept(),
        webhooks_refused: entry.webhooks_refused(context.now()),
        set_up: shown.registration.cloned(),
        account: shown.account.facts.values().cloned().collect(),
        unknown_dids: shown.account.unknown.clone(),
        webhook_url: entry.webhook_url(),
        counts: shown.counts,
        failures: entry.tally.failures(),
    }
}

fn link_view(link: u16, slot: &LinkSlot, outbox: &Outbox) -> LinkView {
    LinkView {
        link: link + 1,
        status: slot.status.as_str(),
        reason: slot.reason.clone(),
        since: slot.since,
        next_try: slot.next_try,
        attempts: slot.attempts,
        outstanding: outbox.outstanding.of_link(link).len(),
    }
}

/// Sets the gauges of a channel.
pub(crate) fn set_gauges(metrics: &Metrics, links: &Links, outbox: &Outbox, receipts: &Receipts) {
    metrics.links_bound.set(links.up() as f64);
    metrics.sessions_waiting.set(outbox.sessions_waiting() as f64);
    metrics.parts_outstanding.set(outbox.outstanding.len() as f64);
    metrics.receipts_kept.set(receipts.kept() as f64);
}

/// Shows a channel whose actor does not answer.
pub(crate) fn failed(entry: &ChannelEntry, now: Timestamp) -> ChannelView {
    ChannelView {
        id: entry.config.id.clone(),
        name: entry.config.name.clone(),
        provider: entry.channel().provider().name,
        dids: entry.config.dids.iter().map(|d| d.number.clone()).collect(),
        status: "failed",
        reason: "its actor does not answer; see the log".to_owned(),
        since: now,
        code: None,
        links: Vec::new(),
        unsigned: entry.config.unsigned,
        send_rate: entry.config.send_rate,
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
        webhook_url: entry.webhook_url(),
        counts: ChannelCounts::default(),
        failures: entry.tally.failures(),
    }
}
