//! A destination: takes offers from the sessions and posts them, in order for each session, signed, retried until
//! taken. A destination that is down holds nobody else up and little memory: what does not fit here stays with
//! its session and is offered again.

pub(crate) mod body;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use message::{StreamId, Timestamp, event::Cause};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use sha2::Sha256;
use tokio::{sync::oneshot, time::timeout};

use crate::protocol::destination::event_id;
use crate::{
    actor::destination::body::Whose,
    config::DestinationIx,
    context::Shared,
    domain::{
        backoff::{Backoff, jitter_of},
        hash::StreamHash,
    },
    protocol::{
        destination::{DestinationMessage, Offer},
        host::{Op, Task},
    },
    seams::{Post, PostResult},
    view::DestinationView,
};

/// Offers held with their contents; further sessions are only noted, and asked again later.
const OFFERS_MAX: usize = 10_000;

/// The actor.
pub(crate) struct DestinationActor;

/// Its state.
pub(crate) struct DestinationState {
    shared: Arc<Shared>,
    ix: DestinationIx,
    myself: ActorRef<DestinationMessage>,
    /// Sessions whose turn it is, in order.
    waiting: VecDeque<StreamId>,
    /// Offers by session, waiting, under way or put off.
    offers: HashMap<StreamId, Held, StreamHash>,
    /// Sessions that have deliveries but no room here.
    noted: VecDeque<StreamId>,
    /// POSTs under way.
    posts: HashMap<u64, Vec<(StreamId, Vec<u32>)>, StreamHash>,
    next_post: u64,
    /// The pause of the whole destination after failures that are not one message's fault.
    backoff: Backoff,
    paused_until_ms: u64,
    kick_at_ms: u64,
    /// While failing, one POST at a time tells whether it is back.
    is_down: bool,
    reason: String,
    since: Timestamp,
    taken: u64,
    failed: u64,
    metrics: (metrics::Counter, metrics::Counter),
    draining: Option<oneshot::Sender<()>>,
    is_draining: bool,
}

struct Held {
    offer: Offer,
    /// Failures of a POST that only it was in.
    own: Option<Backoff>,
    retry_at_ms: u64,
    under_way: bool,
    first_failure: Option<Timestamp>,
}

impl Actor for DestinationActor {
    type Msg = DestinationMessage;
    type State = DestinationState;
    type Arguments = (Arc<Shared>, DestinationIx);

    async fn pre_start(
        &self,
        myself: ActorRef<DestinationMessage>,
        (shared, ix): Self::Arguments,
    ) -> Result<DestinationState, ActorProcessingErr> {
        let config = &shared.destinations.get(ix).ok_or("no such destination")?.config;
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let id = config.id.to_string();
        Ok(DestinationState {
            backoff: Backoff::new(ms(config.backoff), ms(config.backoff_max)),
            metrics: (
                metrics::counter!("patchbay_deliveries_taken_total", "destination" => id.clone()),
                metrics::counter!("patchbay_delivery_failures_total", "destination" => id),
            ),
            since: shared.now(),
            shared,
            ix,
            myself,
            waiting: VecDeque::new(),
            offers: HashMap::default(),
            noted: VecDeque::new(),
            posts: HashMap::default(),
            next_post: 0,
            paused_until_ms: 0,
            kick_at_ms: u64::MAX,
            is_down: false,
            reason: String::new(),
            taken: 0,
            failed: 0,
            draining: None,
            is_draining: false,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<DestinationMessage>,
        message: DestinationMessage,
        state: &mut DestinationState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DestinationMessage::Offers(offers) => state.offered(offers),
            DestinationMessage::Posted(post, result) => state.posted(post, result),
            DestinationMessage::Tick | DestinationMessage::Kick => {
                state.kick_at_ms = u64::MAX;
                state.retry_put_off();
                state.pump();
            }
            DestinationMessage::View(reply) => {
                let _caller_gone = reply.send(state.view());
            }
            DestinationMessage::Drain(reply) => {
                state.is_draining = true;
                state.draining = Some(reply);
                state.finish_drain();
            }
        }
        Ok(())
    }
}

impl DestinationState {
    fn offered(&mut self, offers: Vec<Offer>) {
        for offer in offers {
            let stream = offer.stream;
            if self.offers.contains_key(&stream) {
                continue;
            }
            if self.offers.len() >= OFFERS_MAX {
                self.noted.push_back(stream);
                continue;
            }
            let held = Held { offer, own: None, retry_at_ms: 0, under_way: false, first_failure: None };
            self.offers.insert(stream, held);
            self.waiting.push_back(stream);
        }
        self.pump();
    }

    /// Starts as many POSTs as may run.
    fn pump(&mut self) {
        let shared = self.shared.clone();
        let Some(entry) = shared.destinations.get(self.ix) else { return };
        let now_ms = shared.monotonic_ms();
        let most = if self.is_down { 1 } else { entry.config.connections.max(1) };
        while !self.is_draining && self.posts.len() < most && !self.waiting.is_empty() {
            if now_ms < self.paused_until_ms {
                self.wake_at(self.paused_until_ms, now_ms);
                return;
            }
            if !self.post(entry.config.batch_max) {
                break;
            }
        }
        self.finish_drain();
    }

    /// Posts what is first in line; false when nothing was.
    fn post(&mut self, batch_max: usize) -> bool {
        let (mut body, mut count, mut sessions) = (Vec::with_capacity(512), 0, Vec::new());
        let mut first_id = String::new();
        if batch_max > 1 {
            body.push(b'[');
        }
        while count < batch_max {
            let Some(stream) = self.waiting.pop_front() else { break };
            let Some(held) = self.offers.get_mut(&stream) else { continue };
            // One that failed by itself goes alone, so that it holds up nobody else.
            if held.own.is_some() && count > 0 {
                self.waiting.push_front(stream);
                break;
            }
            held.under_way = true;
            let alone = held.own.is_some();
            let offer = &held.offer;
            let whose = Whose { stream, customer: &offer.customer, did: &offer.did, channel: &offer.channel };
            let mut numbers = Vec::new();
            let room = if alone { 1 } else { batch_max - count };
            for delivery in offer.deliveries.iter().take(room) {
                if count > 0 {
                    body.push(b',');
                }
                if first_id.is_empty() {
                    first_id = event_id(stream, delivery.number);
                }
                body::write(&mut body, &whose, delivery, self.shared.config.media.as_ref());
                numbers.push(delivery.number);
                count += 1;
            }
            sessions.push((stream, numbers));
            if alone {
                break;
            }
        }
        if count == 0 {
            return false;
        }
        if batch_max > 1 {
            body.push(b']');
        }
        self.start(first_id, body.into(), sessions);
        true
    }

    fn start(&mut self, event_id: String, body: Bytes, sessions: Vec<(StreamId, Vec<u32>)>) {
        let shared = self.shared.clone();
        let Some(entry) = shared.destinations.get(self.ix) else { return };
        self.next_post += 1;
        let number = self.next_post;
        self.posts.insert(number, sessions);
        let signature = entry.config.secret.as_ref().map(|key| sign(key, &body));
        let post = Post { url: entry.config.url.clone(), event_id, signature, body };
        let performing = shared.seams.poster.post(post);
        let (myself, limit) = (self.myself.clone(), entry.config.timeout);
        #[allow(
            clippy::disallowed_methods,
            reason = "one POST; its end is told to this actor, whatever it is"
        )]
        tokio::spawn(async move {
            let result = timeout(limit, performing).await;
            let result =
                result.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f32())));
            let _destination_gone = myself.cast(DestinationMessage::Posted(number, result));
        });
    }

    fn posted(&mut self, post: u64, result: PostResult) {
        let Some(sessions) = self.posts.remove(&post) else { return };
        match result {
            Ok(answer) if (200..300).contains(&answer.status) => self.took(sessions),
            Ok(answer) => {
                let after_ms = answer.retry_after_s.map(|s| u64::from(s) * 1_000);
                self.refused(sessions, format!("http {}", answer.status), Some(answer.status), after_ms);
            }
            Err(reason) => self.refused(sessions, reason, None, None),
        }
        self.pump();
    }

    fn took(&mut self, sessions: Vec<(StreamId, Vec<u32>)>) {
        if self.is_down || !self.reason.is_empty() {
            (self.is_down, self.since) = (false, self.shared.now());
            self.reason.clear();
            self.backoff.reset();
            self.paused_until_ms = 0;
        }
        let mut tasks: Vec<Vec<Task>> = Vec::new();
        tasks.resize_with(self.shared.config.limits.hosts.max(1), Vec::new);
        for (stream, deliveries) in sessions {
            self.taken += deliveries.len() as u64;
            self.metrics.0.increment(deliveries.len() as u64);
            self.offers.remove(&stream);
            let op = Op::Taken { destination: self.ix, deliveries };
            if let Some(tasks) = tasks.get_mut(self.shared.host_of(stream)) {
                tasks.push(Task { stream, op });
            }
        }
        // Room for sessions that had none.
        let ix = self.ix;
        for _ in 0..tasks.iter().map(Vec::len).sum::<usize>() {
            let Some(stream) = self.noted.pop_front() else { break };
            if let Some(tasks) = tasks.get_mut(self.shared.host_of(stream)) {
                tasks.push(Task { stream, op: Op::Offer { destination: ix } });
            }
        }
        for (host, tasks) in tasks.into_iter().enumerate().filter(|(_, tasks)| !tasks.is_empty()) {
            self.shared.work_for(host, tasks);
        }
    }

    fn refused(
        &mut self,
        sessions: Vec<(StreamId, Vec<u32>)>,
        reason: String,
        status: Option<u16>,
        after_ms: Option<u64>,
    ) {
        self.failed += 1;
        self.metrics.1.increment(1);
        // A plain 4xx is about the message; anything else is about the destination.
        let own_fault =
            status.is_some_and(|s| (400..500).contains(&s) && !matches!(s, 401 | 403 | 404 | 408 | 429));
        let (now, now_ms) = (self.shared.now(), self.shared.monotonic_ms());
        if !own_fault {
            if !self.is_down {
                (self.is_down, self.since) = (true, now);
                let id = self.shared.destinations.get(self.ix).map(|d| d.config.id.clone());
                tracing::warn!(destination = ?id, reason, "the destination does not take deliveries");
            }
            if now_ms >= self.paused_until_ms {
                let pause = self.backoff.next_ms();
                let jitter = self.shared.seams.ids.jitter(jitter_of(pause));
                self.paused_until_ms = now_ms + after_ms.unwrap_or(0).max(pause + jitter);
            }
        }
        self.reason = reason.clone();
        let give_up = self.shared.destinations.get(self.ix).and_then(|d| d.config.give_up_after);
        let mut again = Vec::new();
        for (stream, numbers) in sessions {
            let Some(held) = self.offers.get_mut(&stream) else { continue };
            held.under_way = false;
            let since = *held.first_failure.get_or_insert(now);
            let over = give_up.is_some_and(|limit| u128::from(now.since_ms(since)) >= limit.as_millis());
            if over && let Some(delivery) = numbers.first() {
                self.dead_letter(stream, *delivery, status, &reason);
                continue;
            }
            if own_fault {
                let config = self.shared.destinations.get(self.ix).map(|d| &d.config);
                let (first, most) =
                    config.map_or((1, 1), |c| (c.backoff.as_millis(), c.backoff_max.as_millis()));
                let own = held.own.get_or_insert_with(|| Backoff::new(first as u64, most as u64));
                held.retry_at_ms = now_ms + own.next_ms();
                let at = held.retry_at_ms;
                self.wake_at(at, now_ms);
            } else {
                again.push(stream);
            }
        }
        // Back to the front, in the order they had.
        for stream in again.into_iter().rev() {
            self.waiting.push_front(stream);
        }
    }

    fn dead_letter(&mut self, stream: StreamId, delivery: u32, status: Option<u16>, reason: &str) {
        self.offers.remove(&stream);
        let code = status.map_or_else(|| "unreachable".to_owned(), |s| format!("http {s}"));
        let op = Op::DeadLetter { delivery, cause: Cause::new(code, reason) };
        let host = self.shared.host_of(stream);
        self.shared.work_for(host, vec![Task { stream, op }]);
    }

    /// Sessions whose own pause is over wait for their turn again.
    fn retry_put_off(&mut self) {
        let now_ms = self.shared.monotonic_ms();
        let mut back: Vec<StreamId> = Vec::new();
        for (stream, held) in &mut self.offers {
            if held.retry_at_ms > 0 && held.retry_at_ms <= now_ms && !held.under_way {
                held.retry_at_ms = 0;
                back.push(*stream);
            }
        }
        back.sort_unstable();
        self.waiting.extend(back);
    }

    fn wake_at(&mut self, at_ms: u64, now_ms: u64) {
        if at_ms < self.kick_at_ms {
            self.kick_at_ms = at_ms;
            let wait = Duration::from_millis(at_ms.saturating_sub(now_ms).max(1));
            self.myself.send_after(wait, || DestinationMessage::Kick);
        }
    }

    fn finish_drain(&mut self) {
        if self.is_draining
            && self.posts.is_empty()
            && let Some(reply) = self.draining.take()
        {
            let _caller_gone = reply.send(());
        }
    }

    fn view(&self) -> DestinationView {
        let config = self.shared.destinations.get(self.ix).map(|d| &d.config);
        DestinationView {
            id: config.map_or_else(|| "".into(), |c| c.id.clone()),
            url: config.map_or_else(|| "".into(), |c| c.url.clone()),
            status: if self.is_down { "down" } else { "up" },
            reason: self.reason.clone(),
            since: self.since,
            sessions_waiting: self.offers.len() + self.noted.len(),
            posts_outstanding: self.posts.len(),
            taken: self.taken,
            failed: self.failed,
        }
    }
}

/// `sha256=` and the HMAC of the body in hexadecimal.
fn sign(key: &[u8], body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    let mut text = String::with_capacity(7 + 64);
    text.push_str("sha256=");
    for byte in mac.finalize().into_bytes() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}
