//! The state of a channel as the admin port and the metrics show it.

use std::collections::BTreeMap;

use message::{ChannelId, Timestamp, event::Cause};

use crate::{
    actor::channel::{
        link_slot::LinkSlot, links::Links, metrics::Metrics, outbox::Outbox, receipts::Receipts,
    },
    context::{Context, directory::ChannelEntry},
    protocol::link::LinkStatus,
    view::{ChannelCounts, ChannelView, FactView, LinkView, SetUpView},
};

/// Maximum number of facts kept about an account; further ones are ignored.
const ACCOUNT_FACTS_MAX: usize = 32;

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

    /// Derives the status from the links, and from `stopped`, the reason why nothing is sent.
    pub(crate) fn update(&mut self, id: &ChannelId, links: &Links, stopped: Option<&Cause>, now: Timestamp) {
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
            }
            *self = Self { status, reason, since: now };
        }
    }
}

/// Facts about our own account, by subject.
#[derive(Default)]
pub(crate) struct Account(BTreeMap<Box<str>, FactView>);

impl Account {
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
        let is_new = self.0.get(&about).is_none_or(|known| known.says != says);
        if is_new && (self.0.len() < ACCOUNT_FACTS_MAX || self.0.contains_key(&about)) {
            tracing::info!(channel = %entry.config.id, %about, %says, "fact about the account");
            let fact = FactView { about: about.clone(), says, since: now };
            self.0.insert(about, fact);
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
        links: links.iter().enumerate().map(|(n, slot)| link_view(n as u16, slot, outbox)).collect(),
        unsigned: entry.config.unsigned,
        send_rate,
        limited_by,
        paused_until,
        sessions_waiting: outbox.sessions_waiting(),
        parts_outstanding: outbox.outstanding.len() + outbox.parts_waiting(),
        receipts_unmatched: receipts.kept(),
        set_up: shown.registration.cloned(),
        account: shown.account.0.values().cloned().collect(),
        counts: shown.counts,
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
        links: Vec::new(),
        unsigned: entry.config.unsigned,
        send_rate: entry.config.send_rate,
        limited_by: None,
        paused_until: None,
        sessions_waiting: 0,
        parts_outstanding: 0,
        receipts_unmatched: 0,
        set_up: None,
        account: Vec::new(),
        counts: ChannelCounts::default(),
    }
}
