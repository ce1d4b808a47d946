//! A channel as people and metrics see it.

use message::{ChannelId, Timestamp};

use crate::{
    actor::channel::state::ChannelState,
    context::ChannelEntry,
    view::{ChannelView, LinkView},
};

impl ChannelState {
    /// Its status follows from its links, and from whether it is stopped.
    pub(super) fn show_status(&mut self) {
        let bound = self.links.iter().filter(|link| link.is_bound()).count();
        let (status, reason) = match &self.stopped {
            Some(cause) => ("credentials_refused", format!("{} ({})", cause.reason, cause.code)),
            None if bound == self.links.len() && bound > 0 => ("connected", String::new()),
            None if bound > 0 => ("connected", format!("{bound} of {} links are bound", self.links.len())),
            None => {
                let trying = self.links.iter().find(|link| !link.reason.is_empty());
                match trying {
                    Some(link) => ("disconnected", link.reason.clone()),
                    None => ("connecting", String::new()),
                }
            }
        };
        if (self.status.0, &self.status.1) != (status, &reason) {
            if self.status.0 != status
                && let Some(entry) = self.entry()
            {
                tracing::info!(channel = %entry.config.id, status, reason, "channel status");
            }
            self.status = (status, reason, self.shared.now());
        }
        self.metrics.links_bound.set(bound as f64);
        self.metrics.sessions_waiting.set(self.lanes.len() as f64);
        self.metrics.parts_outstanding.set(self.outstanding.len() as f64);
        self.metrics.receipts_kept.set(self.correlation.parked_len() as f64);
    }

    pub(super) fn view(&self) -> ChannelView {
        let entry = self.entry();
        let now_ms = self.shared.monotonic_ms();
        let paused_until =
            self.rate.paused_until(now_ms).map(|until| self.shared.now().plus_ms(until - now_ms));
        ChannelView {
            id: entry.map_or_else(|| ChannelId::from(""), |e| e.config.id.clone()),
            name: entry.map_or_else(|| "".into(), |e| e.config.name.clone()),
            provider: entry.map_or("", |e| e.channel().provider().name),
            dids: entry.map(|e| e.config.dids.iter().map(|d| d.number.clone()).collect()).unwrap_or_default(),
            status: self.status.0,
            reason: self.status.1.clone(),
            since: self.status.2,
            links: self.links.iter().enumerate().map(|(n, _)| self.link_view(n)).collect(),
            send_rate: entry.map_or(0.0, |e| e.config.send_rate),
            paused_until,
            sessions_waiting: self.lanes.len(),
            parts_outstanding: self.outstanding.len() + self.outbox.len(),
            receipts_unmatched: self.correlation.parked_len(),
            set_up: self.set_up.clone(),
            account: self.account.values().cloned().collect(),
            counts: self.counts,
        }
    }

    fn link_view(&self, link: usize) -> LinkView {
        let slot = self.links.get(link);
        LinkView {
            link: link as u16 + 1,
            status: slot.map_or("", |s| s.status),
            reason: slot.map(|s| s.reason.clone()).unwrap_or_default(),
            since: slot.map_or(Timestamp(0), |s| s.since),
            attempts: slot.map_or(0, |s| s.attempts),
            outstanding: self.outstanding.of_link(link as u16).len(),
        }
    }
}

/// A channel whose actor does not answer.
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
        send_rate: entry.config.send_rate,
        paused_until: None,
        sessions_waiting: 0,
        parts_outstanding: 0,
        receipts_unmatched: 0,
        set_up: None,
        account: Vec::new(),
        counts: Default::default(),
    }
}
