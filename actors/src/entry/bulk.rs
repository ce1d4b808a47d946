//! Actions of an operator on many sessions at once. Each call does a bounded amount and says how
//! much is left.

use std::time::Duration;

use message::{ChannelId, DestinationId, StreamId};
use tokio::time::Instant;

use crate::{
    context::Context,
    entry::ask,
    error::Refusal,
    protocol::{answers::Reply, host::Scan, task::Request},
    view::DeadLetterView,
};

/// Maximum number of sessions that are found in one search.
const SESSIONS_A_STEP: usize = 500;
/// Maximum number of messages of one session that are withdrawn in one turn of its host.
const CANCELLED_A_TURN: usize = 200;
/// How long one call may work; after that it answers with what is left.
const WORK_TIME: Duration = Duration::from_secs(20);

/// The result of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The number of things that were changed.
    pub count: usize,
    /// Whether some were left because the call took too long: call again.
    pub is_more: bool,
}

/// Dead letters to replay.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// Only those of this channel.
    pub channel: Option<ChannelId>,
    /// Only those of this destination.
    pub destination: Option<DestinationId>,
    /// Maximum number of them.
    pub limit: usize,
}

impl DeadLetterFilter {
    fn holds(&self, letter: &DeadLetterView) -> bool {
        self.channel.as_ref().is_none_or(|id| *id == letter.channel)
            && self.destination.as_ref().is_none_or(|id| *id == letter.destination)
    }
}

/// The result of a replay of dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The number of dead letters that were queued again.
    pub replayed: usize,
    /// The number of those that fit the filter and are left.
    pub left: usize,
    /// Whether there may be more of them than `left` says, because the call took too long.
    pub is_more: bool,
}

/// Withdraws every message of a channel of which no part was sent yet.
///
/// # Errors
///
/// Returns an error if a session host does not answer in time.
pub(crate) async fn cancel_queued(context: &Context, channel: &ChannelId) -> Result<Done, Refusal> {
    let request = |reply| Request::CancelQueued { max: CANCELLED_A_TURN, reply };
    on_queued(context, channel, request, CANCELLED_A_TURN).await
}

/// Ends the pauses of all messages of a channel that the provider deferred.
///
/// # Errors
///
/// Returns an error if a session host does not answer in time.
pub(crate) async fn retry_now(context: &Context, channel: &ChannelId) -> Result<Done, Refusal> {
    on_queued(context, channel, |reply| Request::RetryNow { reply }, usize::MAX).await
}

/// Makes a request of every session of a channel with queued messages. A session that answers with
/// `full` is asked again.
async fn on_queued(
    context: &Context,
    channel: &ChannelId,
    request: impl Fn(Reply<usize>) -> Request,
    full: usize,
) -> Result<Done, Refusal> {
    let began = Instant::now();
    let mut done = Done::default();
    let mut after = None;
    loop {
        let found = ask::scan(context, Scan::Queued(channel.clone()), None, after, SESSIONS_A_STEP).await?;
        let complete_to = found.iter().filter_map(|scanned| scanned.complete_to).min();
        let mut queued: Vec<StreamId> = found.into_iter().flat_map(|scanned| scanned.queued).collect();
        queued.retain(|stream| complete_to.is_none_or(|to| *stream <= to));
        queued.sort_unstable();
        for stream in queued {
            loop {
                if began.elapsed() >= WORK_TIME {
                    return Ok(Done { is_more: true, ..done });
                }
                match ask::ask(context, stream, &request).await {
                    Ok(count) => {
                        done.count += count;
                        if count < full {
                            break;
                        }
                    }
                    // It finished meanwhile.
                    Err(Refusal::NotFound(_)) => break,
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        match complete_to {
            Some(to) => after = Some(to),
            None => return Ok(done),
        }
    }
}

/// Queues dead letters for delivery again, up to the filter's limit, and counts the others.
///
/// # Errors
///
/// Returns an error if a session host does not answer in time.
pub(crate) async fn replay_dead_letters(
    context: &Context,
    filter: &DeadLetterFilter,
) -> Result<Replayed, Refusal> {
    let began = Instant::now();
    let mut done = Replayed::default();
    let mut after = None;
    loop {
        let found = ask::scan(context, Scan::DeadLetters, None, after, SESSIONS_A_STEP).await?;
        let complete_to = found.iter().filter_map(|scanned| scanned.complete_to).min();
        let letters = found.into_iter().flat_map(|scanned| scanned.dead_letters);
        let of_page = |l: &DeadLetterView| complete_to.is_none_or(|to| l.session_id.0.stream <= to);
        for letter in letters.filter(|letter| of_page(letter) && filter.holds(letter)) {
            if done.replayed >= filter.limit || began.elapsed() >= WORK_TIME {
                done.left += 1;
                continue;
            }
            match replay_dead_letter(context, &letter.id).await {
                Ok(()) => done.replayed += 1,
                // Somebody else has replayed it.
                Err(Refusal::NotFound(_) | Refusal::TooLate(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        match complete_to {
            Some(_) if began.elapsed() >= 2 * WORK_TIME => return Ok(Replayed { is_more: true, ..done }),
            Some(to) => after = Some(to),
            None => return Ok(done),
        }
    }
}

/// Puts a dead letter back into its session's deliveries.
///
/// # Errors
///
/// Returns an error if no dead letter has this id.
pub(crate) async fn replay_dead_letter(context: &Context, id: &str) -> Result<(), Refusal> {
    let parsed = id.split_once('-').and_then(|(stream, delivery)| {
        let stream = u128::from_str_radix(stream, 16).ok()?;
        Some((StreamId(stream), delivery.parse::<u32>().ok()?))
    });
    let (stream, delivery) = parsed.ok_or(Refusal::NotFound("dead letter"))?;
    ask::ask(context, stream, |reply| Request::ReplayDeadLetter { delivery, reply }).await
}
