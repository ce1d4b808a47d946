//! A destination: posts the deliveries of sessions, in order for each session, signed, and retried
//! until they are accepted. A destination that is down delays no other and uses limited memory:
//! deliveries without room here stay with their session and are offered again.

mod body;
mod sign;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use message::{StreamId, Timestamp, event::Cause};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use storage::invariant;
use tokio::{sync::oneshot, time::timeout};

use self::body::Subject;
use crate::{
    config::{DestinationConfig, DestinationIx},
    context::Context,
    domain::{backoff::Backoff, hash::StreamHash},
    protocol::{
        destination::{DeliveryBatch, DestinationMessage, event_id},
        task::Op,
    },
    seams::{Post, PostResult},
    view::DestinationView,
};

/// Maximum number of batches held with their contents; further sessions are only noted, and asked
/// again later.
const BATCHES_MAX: usize = 10_000;

pub(crate) struct DestinationActor;

/// Input of a destination's actor: messages of others, and its own notes.
pub(crate) enum DestinationInput {
    Message(DestinationMessage),
    /// The POST of this number ended.
    Posted(u64, PostResult),
    /// A pause is over.
    RetryDue,
}

impl From<DestinationMessage> for DestinationInput {
    fn from(message: DestinationMessage) -> Self {
        Self::Message(message)
    }
}

/// The deliveries of one session in a POST.
struct PostedDeliveries {
    stream: StreamId,
    numbers: Vec<u32>,
}

/// Why a POST was not accepted.
struct Failure {
    reason: String,
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    /// `Retry-After`, in milliseconds.
    after_ms: Option<u64>,
}

impl Failure {
    /// Whether it concerns the message: a plain 4xx. Anything else concerns the destination.
    fn is_of_message(&self) -> bool {
        self.status.is_some_and(|s| (400..500).contains(&s) && !matches!(s, 401 | 403 | 404 | 408 | 429))
    }
}

pub(crate) struct DestinationState {
    context: Arc<Context>,
    ix: DestinationIx,
    config: DestinationConfig,
    myself: ActorRef<DestinationInput>,
    /// Sessions whose turn it is, in order.
    waiting: VecDeque<StreamId>,
    /// Batches by session: waiting, in flight, or paused.
    batches: HashMap<StreamId, HeldBatch, StreamHash>,
    /// Sessions that have deliveries but no room here.
    without_room: VecDeque<StreamId>,
    /// POSTs in flight.
    posts: HashMap<u64, Vec<PostedDeliveries>, StreamHash>,
    next_post: u64,
    /// The pause of the whole destination.
    backoff: Backoff,
    paused_until_ms: u64,
    /// When the timer fires, in monotonic milliseconds.
    retry_due_ms: u64,
    /// While it is down, one POST at a time probes whether it is back.
    is_down: bool,
    reason: String,
    since: Timestamp,
    accepted: u64,
    failed: u64,
    metrics: DestinationMetrics,
    is_draining: bool,
    drained: Vec<oneshot::Sender<()>>,
}

struct DestinationMetrics {
    accepted: metrics::Counter,
    failed: metrics::Counter,
}

/// A session's deliveries until they are accepted.
struct HeldBatch {
    batch: DeliveryBatch,
    /// The pause of this session, after POSTs that failed because of its message.
    backoff: Option<Backoff>,
    retry_at_ms: u64,
    in_flight: bool,
    first_failure: Option<Timestamp>,
}

impl Actor for DestinationActor {
    type Msg = DestinationInput;
    type State = DestinationState;
    type Arguments = (Arc<Context>, DestinationIx);

    async fn pre_start(
        &self,
        myself: ActorRef<DestinationInput>,
        (context, ix): Self::Arguments,
    ) -> Result<DestinationState, ActorProcessingErr> {
        let entry = context.directory.destination(ix).ok_or("no such destination")?;
        let config = DestinationConfig::clone(&entry.config());
        let id = config.id.to_string();
        Ok(DestinationState {
            backoff: Backoff::new(ms(config.backoff), ms(config.backoff_max)),
            metrics: DestinationMetrics {
                accepted: metrics::counter!("patchbay_deliveries_taken_total", "destination" => id.clone()),
                failed: metrics::counter!("patchbay_delivery_failures_total", "destination" => id),
            },
            since: context.now(),
            config,
            context,
            ix,
            myself,
            waiting: VecDeque::new(),
            batches: HashMap::default(),
            without_room: VecDeque::new(),
            posts: HashMap::default(),
            next_post: 0,
            paused_until_ms: 0,
            retry_due_ms: u64::MAX,
            is_down: false,
            reason: String::new(),
            accepted: 0,
            failed: 0,
            is_draining: false,
            drained: Vec::new(),
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<DestinationInput>,
        input: DestinationInput,
        state: &mut DestinationState,
    ) -> Result<(), ActorProcessingErr> {
        match input {
            DestinationInput::Posted(post, result) => state.on_posted(post, result),
            DestinationInput::RetryDue | DestinationInput::Message(DestinationMessage::Tick) => {
                state.retry_due_ms = u64::MAX;
                state.requeue_paused();
                state.post_waiting();
            }
            DestinationInput::Message(DestinationMessage::Deliver(batches)) => state.hold(batches),
            DestinationInput::Message(DestinationMessage::TryNow) => state.try_now(),
            DestinationInput::Message(DestinationMessage::View(reply)) => {
                let _caller_gone = reply.send(state.view());
            }
            DestinationInput::Message(DestinationMessage::Drain(reply)) => {
                state.is_draining = true;
                state.drained.push(reply);
                state.finish_drain();
            }
        }
        Ok(())
    }
}

impl DestinationState {
    /// Queues batches of sessions; a session that has one here is ignored.
    fn hold(&mut self, batches: Vec<DeliveryBatch>) {
        for batch in batches {
            let stream = batch.stream;
            if self.batches.contains_key(&stream) {
                continue;
            }
            if self.batches.len() >= BATCHES_MAX {
                self.without_room.push_back(stream);
                continue;
            }
            let held =
                HeldBatch { batch, backoff: None, retry_at_ms: 0, in_flight: false, first_failure: None };
            invariant!(!held.batch.deliveries.is_empty(), "{stream} delivers nothing");
            self.batches.insert(stream, held);
            self.waiting.push_back(stream);
            let batches = self.batches.len();
            invariant!(batches <= BATCHES_MAX, "{batches} batches are held");
        }
        self.post_waiting();
    }

    /// Starts as many POSTs as may be in flight.
    fn post_waiting(&mut self) {
        let now_ms = self.context.monotonic_ms();
        let most = if self.is_down { 1 } else { self.config.connections.max(1) };
        while !self.is_draining && self.posts.len() < most && !self.waiting.is_empty() {
            if now_ms < self.paused_until_ms {
                self.arm_timer(self.paused_until_ms, now_ms);
                return;
            }
            if !self.post_next() {
                break;
            }
        }
        self.finish_drain();
    }

    /// Posts the first deliveries in line; returns false when nothing waits.
    fn post_next(&mut self) -> bool {
        let batch_max = self.config.batch_max;
        let (mut body, mut count, mut sessions) = (Vec::with_capacity(512), 0, Vec::new());
        let mut first_id = String::new();
        if batch_max > 1 {
            body.push(b'[');
        }
        while count < batch_max {
            let Some(stream) = self.waiting.pop_front() else { break };
            let Some(held) = self.batches.get_mut(&stream) else { continue };
            // A session whose message failed is posted alone, so that it delays no other.
            let is_alone = held.backoff.is_some();
            if is_alone && count > 0 {
                self.waiting.push_front(stream);
                break;
            }
            invariant!(!held.in_flight, "{stream} is posted twice at once");
            held.in_flight = true;
            let DeliveryBatch { customer, did, channel, deliveries, .. } = &held.batch;
            let provider = self.context.directory.provider_of(channel);
            let subject = Subject { stream, customer, did, channel, provider };
            let mut numbers = Vec::new();
            let room = if is_alone { 1 } else { batch_max - count };
            for delivery in deliveries.iter().take(room) {
                if count > 0 {
                    body.push(b',');
                }
                if first_id.is_empty() {
                    first_id = event_id(stream, delivery.number);
                }
                body::write(&mut body, &subject, delivery, self.context.config.media.as_ref());
                numbers.push(delivery.number);
                count += 1;
            }
            sessions.push(PostedDeliveries { stream, numbers });
            if is_alone {
                break;
            }
        }
        if count == 0 {
            return false;
        }
        invariant!(count <= batch_max.max(1), "{count} deliveries in a POST of {batch_max}");
        if batch_max > 1 {
            body.push(b']');
        }
        self.start_post(first_id, body.into(), sessions);
        true
    }

    fn start_post(&mut self, event_id: String, body: Bytes, sessions: Vec<PostedDeliveries>) {
        self.next_post += 1;
        let number = self.next_post;
        self.posts.insert(number, sessions);
        let (posts, most) = (self.posts.len(), self.config.connections.max(1));
        invariant!(posts <= most, "{posts} POSTs at once, {most} may be");
        let signature = self.config.secret.as_ref().map(|key| sign::of_body(key, &body));
        let webhook = sign::of_webhook(&self.config.signing_keys, &event_id, self.context.now(), &body);
        let post = Post { url: self.config.url.clone(), event_id, signature, webhook, body };
        let posting = self.context.seams.poster.post(post);
        let (myself, limit) = (self.myself.clone(), self.config.timeout);
        #[allow(clippy::disallowed_methods, reason = "one POST, which reports its end to this actor")]
        tokio::spawn(async move {
            let result = timeout(limit, posting).await;
            let result =
                result.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f32())));
            let _destination_gone = myself.cast(DestinationInput::Posted(number, result));
        });
    }

    fn on_posted(&mut self, post: u64, result: PostResult) {
        let Some(sessions) = self.posts.remove(&post) else { return };
        let failure = match result {
            Ok(answer) if (200..300).contains(&answer.status) => None,
            Ok(answer) => Some(Failure {
                reason: format!("http {}", answer.status),
                status: Some(answer.status),
                after_ms: answer.retry_after_s.map(|s| u64::from(s) * 1_000),
            }),
            Err(reason) => Some(Failure { reason, status: None, after_ms: None }),
        };
        match failure {
            None => self.on_accepted(sessions),
            Some(failure) => self.on_failure(sessions, &failure),
        }
        self.post_waiting();
    }

    /// Reports accepted deliveries to their sessions, and asks sessions that had no room.
    fn on_accepted(&mut self, sessions: Vec<PostedDeliveries>) {
        if self.is_down {
            let down_ms = self.context.now().since_ms(self.since);
            tracing::info!(destination = %self.config.id, down_ms, "destination is up again");
        }
        if self.is_down || !self.reason.is_empty() {
            (self.is_down, self.since) = (false, self.context.now());
            self.reason.clear();
            self.backoff.reset();
            self.paused_until_ms = 0;
        }
        let mut tasks = self.context.hosts.tasks();
        for PostedDeliveries { stream, numbers: deliveries } in sessions {
            self.accepted += deliveries.len() as u64;
            self.metrics.accepted.increment(deliveries.len() as u64);
            self.batches.remove(&stream);
            tasks.push(stream, Op::DeliveryAccepted { destination: self.ix, deliveries });
        }
        for _ in 0..tasks.len() {
            let Some(stream) = self.without_room.pop_front() else { break };
            tasks.push(stream, Op::OfferDeliveries { destination: self.ix });
        }
        self.context.hosts.work(tasks);
    }

    /// Pauses the destination or the sessions of a failed POST, and gives up deliveries that failed
    /// for too long.
    fn on_failure(&mut self, sessions: Vec<PostedDeliveries>, failure: &Failure) {
        self.failed += 1;
        self.metrics.failed.increment(1);
        let (now, now_ms) = (self.context.now(), self.context.monotonic_ms());
        let is_of_message = failure.is_of_message();
        if !is_of_message {
            self.pause(failure, now, now_ms);
        }
        self.reason.clone_from(&failure.reason);
        let mut again = Vec::new();
        for PostedDeliveries { stream, numbers } in sessions {
            let held = self.batches.get_mut(&stream);
            invariant!(held.is_some(), "{stream} was posted and is not held");
            let Some(held) = held else { continue };
            held.in_flight = false;
            let failing_ms = now.since_ms(*held.first_failure.get_or_insert(now));
            let limit = self.config.give_up_after;
            let is_over = limit.is_some_and(|limit| u128::from(failing_ms) >= limit.as_millis());
            if is_over && let Some(delivery) = numbers.first() {
                self.give_up(stream, *delivery, failure);
            } else if is_of_message {
                let (first_ms, max_ms) = (ms(self.config.backoff), ms(self.config.backoff_max));
                let backoff = held.backoff.get_or_insert_with(|| Backoff::new(first_ms, max_ms));
                held.retry_at_ms = now_ms + backoff.next_ms();
                let at_ms = held.retry_at_ms;
                self.arm_timer(at_ms, now_ms);
            } else {
                again.push(stream);
            }
        }
        // To the front again, in the order they had.
        for stream in again.into_iter().rev() {
            self.waiting.push_front(stream);
        }
    }

    /// Pauses the whole destination, unless a pause is running.
    fn pause(&mut self, failure: &Failure, now: Timestamp, now_ms: u64) {
        if !self.is_down {
            (self.is_down, self.since) = (true, now);
            tracing::warn!(destination = %self.config.id, reason = failure.reason, "destination is down");
        }
        if now_ms >= self.paused_until_ms {
            let pause = self.context.with_jitter(self.backoff.next_ms());
            self.paused_until_ms = now_ms + failure.after_ms.unwrap_or(0).max(pause);
        }
    }

    fn give_up(&mut self, stream: StreamId, delivery: u32, failure: &Failure) {
        self.batches.remove(&stream);
        let code = failure.status.map_or_else(|| "unreachable".to_owned(), |s| format!("http {s}"));
        let cause = Cause::new(code, failure.reason.as_str());
        self.context.hosts.perform(stream, Op::DeadLetter { delivery, cause });
    }

    /// Queues the sessions whose pause is over.
    fn requeue_paused(&mut self) {
        let now_ms = self.context.monotonic_ms();
        let mut due: Vec<StreamId> = Vec::new();
        for (stream, held) in &mut self.batches {
            if held.retry_at_ms > 0 && held.retry_at_ms <= now_ms && !held.in_flight {
                held.retry_at_ms = 0;
                due.push(*stream);
            }
        }
        due.sort_unstable();
        self.waiting.extend(due);
    }

    /// Ends every pause that failures have caused.
    fn try_now(&mut self) {
        (self.paused_until_ms, self.retry_due_ms) = (0, u64::MAX);
        self.backoff.reset();
        for held in self.batches.values_mut().filter(|held| held.retry_at_ms > 0) {
            // What is due at 0 counts as not paused.
            held.retry_at_ms = 1;
        }
        self.requeue_paused();
        self.post_waiting();
    }

    fn arm_timer(&mut self, at_ms: u64, now_ms: u64) {
        if at_ms < self.retry_due_ms {
            self.retry_due_ms = at_ms;
            let wait = Duration::from_millis(at_ms.saturating_sub(now_ms).max(1));
            self.myself.send_after(wait, || DestinationInput::RetryDue);
        }
    }

    fn finish_drain(&mut self) {
        if self.is_draining && self.posts.is_empty() {
            for reply in self.drained.drain(..) {
                let _caller_gone = reply.send(());
            }
        }
    }

    fn view(&self) -> DestinationView {
        DestinationView {
            id: self.config.id.clone(),
            url: self.config.url.clone(),
            status: if self.is_down { "down" } else { "up" },
            reason: self.reason.clone(),
            since: self.since,
            sessions_waiting: self.batches.len() + self.without_room.len(),
            posts_outstanding: self.posts.len(),
            taken: self.accepted,
            failed: self.failed,
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
