//! Figures for people: the counts of channels over time, and what waits.

use std::collections::BTreeMap;

use message::{ChannelId, Timestamp};

use crate::{
    context::{Context, entries::ChannelEntry},
    domain::{
        due_counts::WaitingCount,
        recent_failures::FailureCounts,
        series::{MinuteCounts, SERIES_MINUTES, STEP_MS, minute_of},
    },
    error::Refusal,
    view::{WaitingTotalView, series::SeriesView},
};

/// Returns a channel, or all of them.
///
/// # Errors
///
/// Returns an error if the channel does not exist.
fn entries<'a>(context: &'a Context, only: Option<&ChannelId>) -> Result<Vec<&'a ChannelEntry>, Refusal> {
    match only {
        Some(id) => {
            let (_, entry) = context.directory.channel_by_id(id).ok_or(Refusal::NotFound("channel"))?;
            Ok(vec![entry])
        }
        None => Ok(context.directory.channels().map(|(_, entry)| entry).collect()),
    }
}

/// Returns the one-minute counts of the last hours, of one channel or of all together.
///
/// # Errors
///
/// Returns an error if the channel does not exist.
pub(crate) fn series(context: &Context, only: Option<&ChannelId>, hours: u64) -> Result<SeriesView, Refusal> {
    let minutes = hours.saturating_mul(60).clamp(1, SERIES_MINUTES);
    let from = (minute_of(context.now()) + 1).saturating_sub(minutes);
    let mut sum = vec![MinuteCounts::default(); usize::try_from(minutes).unwrap_or_default()];
    for entry in entries(context, only)? {
        entry.tally.add_to(&mut sum, from);
    }
    let of = |count: fn(&MinuteCounts) -> u64| sum.iter().map(count).collect();
    let seconds = |counts: &MinuteCounts| {
        let mean_ms = || counts.receipt_ms as f64 / counts.receipts as f64;
        (counts.receipts > 0).then(|| mean_ms().round() / 1e3)
    };
    Ok(SeriesView {
        from: Timestamp(from * STEP_MS),
        step_seconds: (STEP_MS / 1_000) as u32,
        sent: of(|counts| counts.sent),
        delivered: of(|counts| counts.delivered),
        failed: of(|counts| counts.failed),
        received: of(|counts| counts.received),
        waiting: of(|counts| counts.waiting),
        receipt_seconds: sum.iter().map(seconds).collect(),
    })
}

/// Returns the messages that wait on each configured channel.
pub(crate) fn waiting_by_channel(context: &Context) -> BTreeMap<ChannelId, WaitingCount> {
    let channels = context.directory.channels();
    channels.map(|(_, entry)| (entry.config.id.clone(), entry.tally.waiting())).collect()
}

/// Returns the failures of the last minutes on each configured channel.
pub(crate) fn failures_by_channel(context: &Context, now: Timestamp) -> BTreeMap<ChannelId, FailureCounts> {
    let channels = context.directory.channels();
    channels.map(|(_, entry)| (entry.config.id.clone(), entry.tally.recent_failures(now))).collect()
}

/// Returns the messages that wait on a channel or on all, and the age of the oldest.
///
/// # Errors
///
/// Returns an error if the channel does not exist.
pub(crate) fn waiting(context: &Context, only: Option<&ChannelId>) -> Result<WaitingTotalView, Refusal> {
    let counts = entries(context, only)?.into_iter().map(|entry| entry.tally.waiting());
    let sum = counts.fold(WaitingCount::default(), WaitingCount::plus);
    let oldest = sum.since.map_or(0, |since| context.now().since_ms(since) / 1_000);
    Ok(WaitingTotalView { messages: sum.messages, oldest_seconds: oldest })
}
