//! The actions of an operator while messages flow: pauses, reloads, channels that go and come back.

use std::{sync::Arc, time::Duration};

use actors::{Reconfiguration, Refusal, Router};
use message::ChannelId;
use tokio::time::sleep;

use crate::{
    script::{Op, channel_id},
    world::World,
};

/// How often an operator repeats what was not answered.
const TRIES_MAX: u32 = 100;
/// How long a drain may take.
const GRACE: Duration = Duration::from_secs(10);

fn id_of(channel: usize) -> ChannelId {
    channel_id(channel).as_str().into()
}

pub(crate) async fn perform(world: &World, router: &Router, op: &Op) {
    match op {
        Op::Pause(channel, for_ms) => pause(world, router, *channel, *for_ms).await,
        Op::TryNow(channel) => {
            let done = router.control().try_now(&id_of(*channel)).await;
            world.note(|| format!("operator: channel {channel} tries now: {done:?}"));
            world.met("tried now");
        }
        Op::CancelQueued(channel) => {
            let done = router.control().cancel_queued(&id_of(*channel)).await;
            world.note(|| format!("operator: withdraws all of channel {channel}: {done:?}"));
            if done.is_ok_and(|done| done.count > 0) {
                world.met("cancelled all");
            }
        }
        Op::Reload(channel) => {
            configure(world, router, *channel).await;
            world.met("reloaded");
        }
        Op::Away(channel, for_ms) => {
            let removed_channels = vec![id_of(*channel)];
            let change = Reconfiguration { removed_channels, grace: GRACE, ..Reconfiguration::default() };
            let done = router.control().reconfigure(change).await;
            world.note(|| format!("operator: channel {channel} is removed: {done:?}"));
            sleep(Duration::from_millis(*for_ms)).await;
            configure(world, router, *channel).await;
            world.met("away");
        }
        Op::ReloadDestination(destination) => {
            let config = world.lock().script.config().destinations[*destination].clone();
            let change =
                Reconfiguration { destinations: vec![config], grace: GRACE, ..Reconfiguration::default() };
            let done = router.control().reconfigure(change).await;
            world.note(|| format!("operator: destination {destination} is configured anew: {done:?}"));
            world.met("reloaded destination");
        }
        _ => {}
    }
}

/// Gives a channel its configuration, whether or not it is there.
async fn configure(world: &World, router: &Router, channel: usize) {
    let config = world.lock().script.config();
    let order = config.channels.iter().map(|channel| channel.id.clone()).collect();
    let channels = config.channels.into_iter().skip(channel).take(1).collect();
    let change = Reconfiguration { channels, order, grace: GRACE, ..Reconfiguration::default() };
    let done = router.control().reconfigure(change).await;
    world.note(|| format!("operator: channel {channel} is configured anew: {done:?}"));
    if let Err(error) = done {
        world.fail(format!("channel {channel} cannot be configured: {error}"));
    }
}

async fn pause(world: &World, router: &Router, channel: usize, for_ms: u64) {
    if set_pause(world, router, channel, true).await {
        let now = world.now_ms();
        world.lock().paused.entry(channel).or_insert(now);
        sleep(Duration::from_millis(for_ms)).await;
    }
    let now = world.now_ms();
    {
        // From here on it may be over, also if the answer does not come.
        let mut inner = world.lock();
        if let Some(from) = inner.paused.remove(&channel) {
            inner.pauses.push((channel, from, now));
        }
    }
    set_pause(world, router, channel, false).await;
}

/// Returns whether it was done: a channel that is away cannot be paused.
async fn set_pause(world: &World, router: &Router, channel: usize, wanted: bool) -> bool {
    for _ in 0..TRIES_MAX {
        let done = router.control().pause(&id_of(channel), wanted).await;
        world.note(|| format!("operator: pauses channel {channel} ({wanted}): {done:?}"));
        match done {
            Ok(since) => {
                if since.is_some() != wanted {
                    world.fail(format!("channel {channel}: the pause is {since:?}, wanted {wanted}"));
                }
                return true;
            }
            // While it is away; the pause must be over in the end.
            Err(Refusal::NotFound(_)) if wanted => return false,
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
    world.fail(format!("channel {channel} was never paused ({wanted})"));
    false
}

/// A pause that was acknowledged outlives a crash.
pub(crate) async fn still_paused(world: Arc<World>, router: Router) {
    let paused: Vec<usize> = world.lock().paused.keys().copied().collect();
    if paused.is_empty() {
        return;
    }
    world.met("paused over a crash");
    let views = router.channels().await;
    for channel in paused {
        let view = views.iter().find(|view| view.id == id_of(channel));
        // It may have been resumed meanwhile.
        let is_over = !world.lock().paused.contains_key(&channel);
        if !is_over && view.is_some_and(|view| view.status != "failed" && view.paused_since.is_none()) {
            world.fail(format!("channel {channel} was paused, and is not after a crash: {view:?}"));
        }
    }
}
