//! Receipts and customers' messages on their way to the webhook: gathered, signed, posted, and tried again until
//! they are taken or given up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};

use super::{
    Simulator,
    records::{Attempt, Fetched, Webhook},
    sample::sample,
    serve::Answered,
    state::{Delivery, Job, State},
};
use crate::{
    contract::{Handshake, Inbound, Kind, Message, Signature, Unfit},
    smsc::Remember,
    toolkit::{http::Outgoing, media::File},
};

/// The most webhooks under way at once.
pub const WEBHOOKS_AT_ONCE_MAX: usize = 1_000;
/// The most inbound messages that are made by one order.
const COUNT_MAX: u32 = 10_000;

/// Why something cannot be sent to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// Nobody said where to.
    #[error("{0} knows no webhook; start it with one, or let its client set one")]
    NoWebhook(&'static str),
    /// The provider does not do that.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// No such message.
    #[error("no message has the id {0:?}; see GET /_sim/messages")]
    NoMessage(String),
    /// The content of a file is no base64.
    #[error("the content is no base64")]
    Content,
    /// Too many at once.
    #[error("{0} at once are more than {COUNT_MAX}")]
    Count(u32),
}

type Batch = (String, Vec<Value>);

/// What is done in the background.
enum Work {
    Deliver(Delivery),
    Fetch { id: String, url: String },
}

impl Simulator {
    /// Lets a customer write, and gives the webhook's first answers; none when the events wait for a poll. What is
    /// not taken is tried again in the background, while the simulator is served.
    ///
    /// # Errors
    ///
    /// Fails when the provider has no such event, or no webhook.
    pub async fn inbound(&self, inbound: &Inbound) -> Result<Vec<Attempt>, DeliverError> {
        let batches = self.prepare(inbound)?;
        let mut attempts = Vec::new();
        for (url, events) in batches {
            let deliveries = self.deliveries(&mut self.state(), "inbound", &url, events, inbound.signature);
            for delivery in deliveries {
                attempts.push(self.attempt(delivery).await);
            }
        }
        Ok(attempts)
    }

    fn prepare(&self, inbound: &Inbound) -> Result<Vec<Batch>, DeliverError> {
        if inbound.count > COUNT_MAX {
            return Err(DeliverError::Count(inbound.count));
        }
        let provider = self.shared.provider;
        let mut state = self.state();
        let mut events = Vec::new();
        for number in 1..=inbound.count.max(1) {
            let mut one = inbound.clone();
            if inbound.count > 1 {
                one.text = format!("{} {number}", inbound.text);
            }
            events.push(self.event(&mut state, &one)?);
        }
        let made = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let Some(hook) = state.hook.clone() else {
            if !provider.about().polls {
                return Err(DeliverError::NoWebhook(provider.about().name));
            }
            state.records.counts.inbound += made;
            for event in events {
                let id = event.get("update_id").and_then(Value::as_i64).unwrap_or_default();
                state.update(id, event);
            }
            drop(state);
            self.shared.changed.notify_waiters();
            return Ok(Vec::new());
        };
        state.records.counts.inbound += made;
        let asked = if inbound.batch > 0 { inbound.batch } else { state.script.batch_max };
        let most = asked.clamp(1, provider.about().batch_max);
        Ok(events.chunks(most).map(|chunk| (hook.url.clone(), chunk.to_vec())).collect())
    }

    fn event(&self, state: &mut State, inbound: &Inbound) -> Result<Value, DeliverError> {
        if inbound.kind == Kind::Raw {
            return Ok(inbound.extra.clone());
        }
        let number = state.number();
        let mut inbound = inbound.clone();
        if inbound.from.is_empty() {
            self.about().customer.clone_into(&mut inbound.from);
        }
        let inbound = &inbound;
        state.wrote(&inbound.from, self.now());
        let mut file = None;
        if inbound.kind.is_file() {
            let (mime, name, content) = sample(inbound.kind);
            let given = STANDARD.decode(&inbound.content).map_err(|_| DeliverError::Content)?;
            let or = |text: &str, other: &str| crate::contract::or(text, other).to_owned();
            file = Some(File {
                id: self.context(state, number).large(7).to_string(),
                mime: or(&inbound.mime, mime),
                name: or(&inbound.file_name, name),
                content: if given.is_empty() { content.into() } else { given.into() },
            });
        }
        if let Some(file) = &file {
            state.media.store(file.clone());
        }
        Ok(self.shared.provider.inbound(inbound, file.as_ref(), &self.context(state, number))?)
    }

    /// Reports on a message, and gives the webhook's first answer; nothing when the provider has no such report or
    /// nobody to tell. `status` is `sent`, `delivered`, `read`, `failed` or the provider's own word.
    ///
    /// # Errors
    ///
    /// Fails when there is no such message.
    pub async fn receipt(
        &self,
        id: &str,
        status: &str,
        code: Option<&str>,
    ) -> Result<Vec<Attempt>, DeliverError> {
        let message = self.state().records.message(id).cloned();
        let message = message.ok_or_else(|| DeliverError::NoMessage(id.to_owned()))?;
        Ok(self.report(&message, status, code).await)
    }

    pub(crate) async fn report(&self, message: &Message, status: &str, code: Option<&str>) -> Vec<Attempt> {
        let deliveries = {
            let mut state = self.state();
            match self.report_event(&mut state, message, status, code) {
                Some((url, event)) => {
                    self.deliveries(&mut state, "receipt", &url, vec![event], Signature::Right)
                }
                None => Vec::new(),
            }
        };
        let mut attempts = Vec::new();
        for delivery in deliveries {
            attempts.push(self.attempt(delivery).await);
        }
        attempts
    }

    fn report_event(
        &self,
        state: &mut State,
        message: &Message,
        status: &str,
        code: Option<&str>,
    ) -> Option<(String, Value)> {
        let hook = state.hook.as_ref().map(|hook| hook.url.clone());
        let url = message.callback.clone().or(hook)?;
        let number = state.number();
        let event = self.shared.provider.receipt(message, status, code, &self.context(state, number))?;
        state.records.counts.receipts += 1;
        Some((url, event))
    }

    /// Asks the webhook what the provider asks before it uses one; nothing when it does not ask.
    ///
    /// # Errors
    ///
    /// Fails when there is no webhook.
    pub async fn verify(&self) -> Result<Option<Attempt>, DeliverError> {
        let handshake = {
            let mut state = self.state();
            let number = state.number();
            let hook = state.hook.as_ref().ok_or(DeliverError::NoWebhook(self.about().name))?;
            self.shared.provider.handshake(&hook.url, &self.context(&state, number))
        };
        match handshake {
            Some(handshake) => Ok(Some(self.handshake(handshake).await)),
            None => Ok(None),
        }
    }

    pub(crate) async fn handshake(&self, handshake: Handshake) -> Attempt {
        let limit = Duration::from_millis(self.state().script.webhook_timeout_ms);
        let at_ms = self.now();
        let url = handshake.request.url.clone();
        let mut attempt = attempt_of(at_ms, timeout(limit, self.send(handshake.request)).await.ok());
        attempt.taken = attempt.status.is_some_and(|status| (200..300).contains(&status))
            && handshake.body.is_none_or(|body| body == attempt.body);
        let mut state = self.state();
        let number = state.number();
        remember(&mut state, number, "handshake", &url, 1, Signature::Right);
        state.records.tried(number, attempt.clone(), true);
        drop(state);
        self.shared.changed.notify_waiters();
        attempt
    }

    /// The webhooks that carry these events: one, or two when it is to come twice.
    fn deliveries(
        &self,
        state: &mut State,
        about: &'static str,
        url: &str,
        events: Vec<Value>,
        signature: Signature,
    ) -> Vec<Delivery> {
        let script = &state.script;
        let (twice, none, wrong) =
            (script.webhook_duplicate, script.webhook_unsigned, script.webhook_missigned);
        let times = if state.triggers.fires("webhook_duplicate", twice) { 2 } else { 1 };
        let signature = if signature != Signature::Right {
            signature
        } else if state.triggers.fires("webhook_unsigned", none) {
            Signature::None
        } else if state.triggers.fires("webhook_missigned", wrong) {
            Signature::Wrong
        } else {
            Signature::Right
        };
        let events: Arc<[Value]> = events.into();
        (0..times)
            .map(|_| {
                let number = state.number();
                remember(state, number, about, url, events.len(), signature);
                Delivery { number, url: url.to_owned(), events: events.clone(), attempt: 1, signature }
            })
            .collect()
    }

    /// One try of a webhook; the next one is planned where there is to be one.
    async fn attempt(&self, delivery: Delivery) -> Attempt {
        let provider = self.shared.provider;
        let at_ms = self.now();
        let (outgoing, limit) = {
            let state = self.state();
            let mut cx = self.context(&state, delivery.number);
            cx.attempt = delivery.attempt;
            cx.signature = delivery.signature;
            let mut outgoing = provider.post(&delivery.url, &delivery.events, &cx);
            if delivery.signature == Signature::None {
                outgoing.headers.retain(|(name, _)| !provider.signature_headers().contains(&name.as_ref()));
            }
            (outgoing, Duration::from_millis(state.script.webhook_timeout_ms))
        };
        let answered = timeout(limit, self.send(outgoing)).await.ok();
        let retry_after = match &answered {
            Some(Ok(answered)) => answered.retry_after_s,
            _ => None,
        };
        let mut attempt = attempt_of(at_ms, answered);
        attempt.taken =
            attempt.status.is_some_and(|status| provider.taken(&delivery.url, status, &attempt.body));
        self.settle(delivery, &attempt, retry_after);
        attempt
    }

    fn settle(&self, delivery: Delivery, attempt: &Attempt, retry_after_s: Option<u64>) {
        let retry = &self.about().retry;
        let now = self.now();
        let mut state = self.state();
        let again = match state.script.webhook_tries_max {
            0 => self.shared.provider.again(&delivery.url, delivery.attempt, attempt.status),
            most => delivery.attempt < most,
        };
        let done = attempt.taken || !again;
        state.records.tried(delivery.number, attempt.clone(), done);
        if !done {
            let grown = retry.factor.saturating_pow(delivery.attempt.saturating_sub(1));
            let mut pause = state.script.webhook_retry_ms.saturating_mul(grown);
            if retry.obeys {
                pause = pause.max(retry_after_s.unwrap_or_default().saturating_mul(1_000));
            }
            let due = now.saturating_add(pause.min(state.script.webhook_retry_max_ms));
            let attempt = delivery.attempt + 1;
            state.later(due, Job::Webhook(Delivery { attempt, ..delivery }));
        }
        drop(state);
        self.shared.changed.notify_waiters();
        self.shared.wake.notify_one();
    }

    /// Does what is due, for as long as it is not dropped.
    pub(crate) async fn drive(&self) {
        let mut tasks = JoinSet::new();
        loop {
            let room = WEBHOOKS_AT_ONCE_MAX.saturating_sub(tasks.len());
            let (work, next_due) = self.due(room);
            for work in work {
                let simulator = self.clone();
                tasks.spawn(async move {
                    match work {
                        Work::Deliver(delivery) => _ = simulator.attempt(delivery).await,
                        Work::Fetch { id, url } => simulator.fetch(id, url).await,
                    }
                });
            }
            let full = tasks.len() >= WEBHOOKS_AT_ONCE_MAX;
            let next = next_due.map(|at| self.shared.started + Duration::from_millis(at));
            tokio::select! {
                biased;
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                () = self.shared.wake.notified(), if !full => {}
                () = async { match next { Some(at) => sleep_until(at).await, None => std::future::pending().await } },
                    if !full => {}
            }
        }
    }

    /// Fetches a file that a message names, and remembers how that went.
    async fn fetch(&self, message: String, url: String) {
        let limit = Duration::from_millis(self.state().script.webhook_timeout_ms);
        let at_ms = self.now();
        let answered = timeout(limit, self.send(Outgoing::get(url.clone()))).await.ok();
        let (mut mime, mut octets) = (String::new(), 0);
        if let Some(Ok(answered)) = &answered {
            mime.clone_from(&answered.content_type);
            octets = answered.body.len();
        }
        let Attempt { status, error, .. } = attempt_of(at_ms, answered);
        self.state().records.fetched(Fetched { at_ms, message, url, status, mime, octets, error });
        self.shared.changed.notify_waiters();
    }

    fn due(&self, room: usize) -> (Vec<Work>, Option<u64>) {
        let now = self.now();
        let mut state = self.state();
        let mut out = Vec::new();
        let mut reports: VecDeque<Batch> = VecDeque::new();
        let most = state.script.batch_max.clamp(1, self.about().batch_max);
        while out.len() + reports.len() < room {
            let Some(entry) = state.jobs.first_entry().filter(|entry| entry.key().0 <= now) else { break };
            match entry.remove() {
                Job::Webhook(delivery) => out.push(Work::Deliver(delivery)),
                Job::Fetch { id, url } => out.push(Work::Fetch { id, url }),
                Job::Receipt { message, status, code } => {
                    if let Some((url, event)) =
                        self.report_event(&mut state, &message, status, code.as_deref())
                    {
                        match reports.iter_mut().find(|(to, events)| *to == url && events.len() < most) {
                            Some((_, events)) if most > 1 => events.push(event),
                            _ => reports.push_back((url, vec![event])),
                        }
                    }
                }
            }
        }
        for (url, events) in reports {
            let deliveries = self.deliveries(&mut state, "receipt", &url, events, Signature::Right);
            out.extend(deliveries.into_iter().map(Work::Deliver));
        }
        self.customers(&mut state, now, room.saturating_sub(out.len()), &mut out);
        (out, state.next_due())
    }

    /// Customers that write by themselves.
    fn customers(&self, state: &mut State, now: u64, room: usize, out: &mut Vec<Work>) {
        for _ in 0..room {
            let Some(due) = state.customers_due.filter(|due| *due <= now) else { return };
            let rate = u64::from(state.script.inbound_per_second.max(1));
            let number = state.number();
            // Kept exact to the millisecond over each second.
            let made = state.records.counts.inbound % rate;
            state.customers_due = Some(due + (1_000 * (made + 1) / rate - 1_000 * made / rate));
            let customers = u64::from(state.script.inbound_customers.max(1));
            let inbound = Inbound {
                from: format!("+1555{:07}", number % customers),
                to: state.script.inbound_to.clone(),
                text: format!("{} {number}", state.script.inbound_text),
                ..Inbound::default()
            };
            state.records.counts.inbound += 1;
            let (event, hook) = (self.event(state, &inbound), state.hook.clone());
            if let (Ok(event), Some(hook)) = (event, hook) {
                let deliveries = self.deliveries(state, "inbound", &hook.url, vec![event], Signature::Right);
                out.extend(deliveries.into_iter().map(Work::Deliver));
            }
        }
    }
}

fn attempt_of(at_ms: u64, answered: Option<Result<Answered, String>>) -> Attempt {
    let attempt = Attempt { at_ms, ..Attempt::default() };
    match answered {
        Some(Ok(answered)) => {
            let body = String::from_utf8_lossy(&answered.body).into_owned();
            Attempt { status: Some(answered.status), body, ..attempt }
        }
        Some(Err(error)) => Attempt { error: Some(error), ..attempt },
        None => Attempt { error: Some("no answer in time".to_owned()), ..attempt },
    }
}

fn remember(
    state: &mut State,
    number: u64,
    about: &'static str,
    url: &str,
    events: usize,
    signature: Signature,
) {
    if state.script.remember == Remember::Counts {
        state.records.counts.webhooks += 1;
        return;
    }
    let attempts = VecDeque::new();
    let url = url.to_owned();
    state.records.webhook(Webhook { number, url, about, events, signature, attempts, done: false });
}
