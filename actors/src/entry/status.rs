//! The state of the whole node: its problems, and what waits.

use std::{collections::HashSet, sync::Arc};

use message::StreamId;
use storage::{NoRoom, OpenStream};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    actor::host::load,
    context::{Context, TakenCensus, blocking},
    domain::{due_counts::WaitingCount, hash::StreamHash},
    entry::{ask::ANSWER_WAIT, figures},
    protocol::host::{HostCensus, HostMessage},
    view::{
        ChannelView, DestinationView, StatusView,
        census::Census,
        problems::{self, LogClosed, LogState, NodeState},
    },
};

/// A census is shown for at least this time, in milliseconds.
const CENSUS_FRESH_MS: u64 = 1_000;
/// A census is kept for this multiple of the time that it took: it costs little of a processor.
const CENSUS_SHARE: u64 = 50;
/// A census ends after this time, in milliseconds, though some sessions were not counted.
const CENSUS_MS_MAX: u64 = 2_000;
/// Number of index entries read at once.
const CENSUS_PAGE: usize = 2_000;

/// Returns the state of the node; `channels` and `destinations` are those that were just asked.
pub(crate) async fn status(
    context: &Arc<Context>,
    channels: &[ChannelView],
    destinations: &[DestinationView],
) -> StatusView {
    let census = census(context).await;
    let now = context.now();
    let waiting = figures::waiting_by_channel(context);
    let failures = figures::failures_by_channel(context, now);
    let sum = waiting.values().copied().fold(WaitingCount::default(), WaitingCount::plus);
    let problems = problems::find(&NodeState {
        now,
        channels,
        destinations,
        census: &census,
        waiting: &waiting,
        failures: &failures,
        log: log_state(context),
        clock_doubt_ms: context.clock_doubt_ms(),
        is_draining: context.lifecycle.is_draining(),
    });
    StatusView {
        problems,
        now,
        started_at: context.begun_at,
        uptime_ms: context.monotonic_ms(),
        channels_total: channels.len(),
        channels_connected: channels.iter().filter(|channel| channel.status == "connected").count(),
        destinations_total: destinations.len(),
        destinations_up: destinations.iter().filter(|destination| destination.status == "up").count(),
        messages_waiting: sum.messages,
        oldest_waiting_ms: sum.since.map_or(0, |at| now.since_ms(at)),
        is_partial: census.is_partial,
    }
}

fn log_state(context: &Context) -> LogState {
    let space = context.log.space();
    LogState {
        closed: context.log.room().err().map(|no_room| match &no_room {
            NoRoom::Poisoned(_) | NoRoom::Closed => LogClosed::Failed(no_room.to_string()),
            NoRoom::Disk { .. } => LogClosed::Full(no_room.to_string()),
            NoRoom::Queue { .. } => LogClosed::Slow(no_room.to_string()),
        }),
        free_bytes: space.free_bytes,
        reserve_bytes: space.reserve_bytes,
        rebuilt_files: context.log.rebuilt_files(),
        backlog: context.backlog(),
    }
}

/// Counts what waits in all sessions. Several callers share one census, and it is kept for a while
/// that grows with the time that it took.
async fn census(context: &Arc<Context>) -> Arc<Census> {
    let mut kept = context.census.lock().await;
    let begun_ms = context.monotonic_ms();
    if let Some(taken) = kept.as_ref().filter(|taken| begun_ms < taken.until_ms) {
        return taken.census.clone();
    }
    let census = Arc::new(count(context, begun_ms.saturating_add(CENSUS_MS_MAX)).await);
    let now_ms = context.monotonic_ms();
    let took_ms = now_ms.saturating_sub(begun_ms);
    let until_ms = now_ms.saturating_add(CENSUS_FRESH_MS.max(took_ms.saturating_mul(CENSUS_SHARE)));
    *kept = Some(TakenCensus { census: census.clone(), until_ms });
    census
}

/// Counts sessions until an instant: those in memory by their hosts, and the others in the index. A
/// session that moves from one to the other meanwhile may be missed or counted twice.
async fn count(context: &Arc<Context>, until_ms: u64) -> Census {
    let mut census = Census::default();
    let mut live: HashSet<StreamId, StreamHash> = HashSet::default();
    for host in 0..context.hosts.count() {
        let (reply, answer) = oneshot::channel();
        context.hosts.tell(host, HostMessage::TakeCensus(reply));
        match timeout(ANSWER_WAIT, answer).await {
            Ok(Ok(HostCensus { census: counted, streams })) => {
                census.merge(counted);
                live.extend(streams);
            }
            _ => census.is_partial = true,
        }
    }
    let shared = context.clone();
    let indexed = blocking::run(move || count_index(&shared, &live, until_ms)).await;
    census.merge(indexed.unwrap_or_else(|| Census { is_partial: true, ..Census::default() }));
    census
}

fn count_index(context: &Context, live: &HashSet<StreamId, StreamHash>, until_ms: u64) -> Census {
    let (mut census, mut after) = (Census::default(), None);
    loop {
        let page = match context.reader.scan(after, CENSUS_PAGE) {
            Ok(page) if context.monotonic_ms() < until_ms => page,
            _ => {
                census.is_partial = true;
                break;
            }
        };
        let Some(last) = page.last() else { break };
        after = Some(last.stream);
        for OpenStream { stream, entry } in page {
            if live.contains(&stream) {
                continue;
            }
            // The index also holds the streams of channels, which cannot be read as sessions.
            let Ok(session) = load::decode(&entry) else { continue };
            census.add(&session, &context.directory.destination_of(&session.address));
        }
    }
    census
}
