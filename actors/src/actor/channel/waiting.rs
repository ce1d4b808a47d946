//! Answers why a part of a session is not sent now. Asked for one message at a time.

use message::{MessageNo, StreamId, Timestamp};

use crate::{
    actor::channel::{links::Links, outbox::Outbox, refusals::Refusals},
    context::Context,
    view::waiting::{ChannelBlock, ChannelWait},
};

/// The parts of a channel that hold messages back.
pub(crate) struct WaitedFor<'a> {
    pub(crate) links: &'a Links,
    pub(crate) outbox: &'a Outbox,
    pub(crate) refusals: &'a Refusals,
    pub(crate) send_rate: Option<f64>,
    /// Since when an operator has paused the channel.
    pub(crate) paused: Option<Timestamp>,
    /// Since when the channel has its status.
    pub(crate) status_since: Timestamp,
}

/// Tells why a message of a session is not sent now.
pub(crate) fn why(
    context: &Context,
    state: &WaitedFor<'_>,
    (stream, number): (StreamId, MessageNo),
) -> ChannelWait {
    let WaitedFor { links, outbox, refusals, send_rate, .. } = state;
    let now_ms = context.monotonic_ms();
    let block = block(context, state, now_ms);
    let since = match &block {
        ChannelBlock::Stopped(_) | ChannelBlock::NotConnected(_) => state.status_since,
        ChannelBlock::Paused => state.paused.unwrap_or_default(),
        ChannelBlock::Throttled { .. } => refusals.throttled().map_or_else(Timestamp::default, |(_, at)| *at),
        _ => Timestamp::default(),
    };
    ChannelWait {
        block,
        since,
        next_try: links.iter().filter_map(|slot| slot.next_try).min(),
        place: outbox.place_of(stream, number),
        queued: outbox.parts_waiting(),
        unanswered: outbox.outstanding.len(),
        send_rate: *send_rate,
    }
}

fn block(context: &Context, state: &WaitedFor<'_>, now_ms: u64) -> ChannelBlock {
    let WaitedFor { links, outbox, refusals, send_rate, .. } = state;
    if context.lifecycle.is_draining() {
        return ChannelBlock::Draining;
    }
    if let Some(cause) = refusals.cause() {
        return ChannelBlock::Stopped(cause.clone());
    }
    if state.paused.is_some() {
        return ChannelBlock::Paused;
    }
    if links.up() == 0 {
        let reason = links.iter().map(|slot| &slot.reason).find(|reason| !reason.is_empty());
        return ChannelBlock::NotConnected(reason.cloned().unwrap_or_default());
    }
    if let Some(until) = outbox.rate.paused_until(now_ms) {
        let cause = refusals.throttled().map(|(cause, _)| cause.clone());
        return ChannelBlock::Throttled { until: context.now().plus_ms(until - now_ms), cause };
    }
    let is_paced = outbox.is_limited_by(*send_rate, links.free(), now_ms)
        || outbox.rate.next_at(now_ms) > now_ms.saturating_add(1);
    match (links.free(), send_rate) {
        (0, _) => ChannelBlock::Window,
        (_, Some(_)) if is_paced => ChannelBlock::Rate,
        _ => ChannelBlock::Free,
    }
}
