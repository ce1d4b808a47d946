//! Webhooks: receipts and customers' messages on their way. They are gathered, signed, posted, and
//! retried until they are acknowledged or given up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};

use super::{
    agenda::{FileFetch, Job, PendingWebhook},
    client::ClientResponse,
    core::Engine,
    records::{Attempt, Fetched, Webhook},
    sample::sample,
    state::State,
};
use crate::{
    contract::{Handshake, Inbound, Kind, ReportStatus, Signature, StatusReport, UnsupportedEvent, or},
    toolkit::{http::Outgoing, media::File},
};

/// Maximum number of webhooks under way; further ones wait.
pub const WEBHOOKS_AT_ONCE_MAX: usize = 1_000;
/// Maximum number of inbound messages that one order may ask for.
const COUNT_MAX: u32 = 10_000;

/// Why an event cannot be sent to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// No webhook is configured.
    #[error("{0} has no webhook; start it with one, or let its client set one")]
    NoWebhook(&'static str),
    /// The provider has no such event.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedEvent),
    /// The message is unknown.
    #[error("no message has the id {0:?}; see GET /_sim/messages")]
    NoMessage(String),
    /// The content of a file is not base64.
    #[error("content is not valid base64")]
    Content,
    /// More messages than one order may ask for.
    #[error("a count of {0} exceeds the maximum of {COUNT_MAX}")]
    Count(u32),
}

/// Events that share a POST.
struct Batch {
    kind: &'static str,
    url: String,
    events: Vec<Value>,
    signature: Signature,
}

impl Batch {
    fn of_reports(url: String, event: Value) -> Self {
        Self { kind: "receipt", url, events: vec![event], signature: Signature::Right }
    }

    fn of_inbound(url: &str, events: Vec<Value>, signature: Signature) -> Self {
        Self { kind: "inbound", url: url.to_owned(), events, signature }
    }
}

/// A background task.
enum Work {
    Post(PendingWebhook),
    Fetch(FileFetch),
}

/// Lets a customer write; see [`Simulator::inbound`](super::Simulator::inbound).
pub(super) async fn inbound(engine: &Engine, inbound: &Inbound) -> Result<Vec<Attempt>, DeliverError> {
    let mut attempts = Vec::new();
    for batch in prepare(engine, inbound)? {
        let webhooks = pending(&mut engine.state(), batch);
        for webhook in webhooks {
            attempts.push(attempt(engine, webhook).await);
        }
    }
    Ok(attempts)
}

/// Makes the events of an order. Without a webhook they wait for a poll, if the provider has that.
fn prepare(engine: &Engine, inbound: &Inbound) -> Result<Vec<Batch>, DeliverError> {
    if inbound.count > COUNT_MAX {
        return Err(DeliverError::Count(inbound.count));
    }
    let about = engine.about();
    let mut state = engine.state();
    let mut events = Vec::new();
    for number in 1..=inbound.count.max(1) {
        let mut one = inbound.clone();
        if inbound.count > 1 {
            one.text = format!("{} {number}", inbound.text);
        }
        events.push(event(engine, &mut state, &one)?);
    }
    let made = u64::try_from(events.len()).unwrap_or(u64::MAX);
    let Some(url) = state.webhook.as_ref().map(|webhook| webhook.url.clone()) else {
        if !about.polls {
            return Err(DeliverError::NoWebhook(about.name));
        }
        state.records.counts.inbound += made;
        for event in events {
            let id = event.get("update_id").and_then(Value::as_i64).unwrap_or_default();
            state.polls.push(id, event);
        }
        drop(state);
        engine.changes.announce();
        return Ok(Vec::new());
    };
    state.records.counts.inbound += made;
    let wanted = if inbound.batch > 0 { inbound.batch } else { state.script.batch_max };
    let batches = events.chunks(wanted.clamp(1, about.batch_max));
    Ok(batches.map(|events| Batch::of_inbound(&url, events.to_vec(), inbound.signature)).collect())
}

fn event(engine: &Engine, state: &mut State, inbound: &Inbound) -> Result<Value, DeliverError> {
    if inbound.kind == Kind::Raw {
        return Ok(inbound.extra.clone());
    }
    let number = state.number();
    let mut inbound = inbound.clone();
    if inbound.from.is_empty() {
        engine.about().customer.clone_into(&mut inbound.from);
    }
    state.open_window(&inbound.from, engine.now_ms());
    let mut file = None;
    if inbound.kind.is_file() {
        let sample = sample(inbound.kind);
        let given = STANDARD.decode(&inbound.content).map_err(|_| DeliverError::Content)?;
        file = Some(File {
            id: engine.context(state, number).large(7).to_string(),
            mime: or(&inbound.mime, sample.mime).to_owned(),
            name: or(&inbound.file_name, sample.name).to_owned(),
            content: if given.is_empty() { sample.content.into() } else { given.into() },
        });
    }
    if let Some(file) = &file {
        state.media.store(file.clone());
    }
    Ok(engine.provider.inbound(&inbound, file.as_ref(), &engine.context(state, number))?)
}

/// Reports on the message with this id; see [`Simulator::receipt`](super::Simulator::receipt).
pub(super) async fn receipt(
    engine: &Engine,
    id: &str,
    status: &str,
    code: Option<&str>,
) -> Result<Vec<Attempt>, DeliverError> {
    let message = engine.state().records.message(id).cloned();
    let message = message.ok_or_else(|| DeliverError::NoMessage(id.to_owned()))?;
    let status = ReportStatus::named(status);
    Ok(report(engine, &StatusReport { message: &message, status, code }).await)
}

/// Reports on a message at once; returns the first answer to each copy of the webhook.
pub(super) async fn report(engine: &Engine, report: &StatusReport<'_>) -> Vec<Attempt> {
    let webhooks = {
        let mut state = engine.state();
        let batch = report_batch(engine, &mut state, report);
        batch.map(|batch| pending(&mut state, batch)).unwrap_or_default()
    };
    let mut attempts = Vec::new();
    for webhook in webhooks {
        attempts.push(attempt(engine, webhook).await);
    }
    attempts
}

/// Returns the event of a report; `None` when the provider has no such report, or no address for
/// it.
fn report_batch(engine: &Engine, state: &mut State, report: &StatusReport<'_>) -> Option<Batch> {
    let usual = state.webhook.as_ref().map(|webhook| webhook.url.clone());
    let url = report.message.callback.clone().or(usual)?;
    let number = state.number();
    let event = engine.provider.receipt(report, &engine.context(state, number))?;
    state.records.counts.receipts += 1;
    Some(Batch::of_reports(url, event))
}

/// Performs the handshake with the configured webhook; see
/// [`Simulator::verify`](super::Simulator::verify).
pub(super) async fn verify(engine: &Engine) -> Result<Option<Attempt>, DeliverError> {
    let request = {
        let mut state = engine.state();
        let number = state.number();
        let webhook = state.webhook.as_ref().ok_or(DeliverError::NoWebhook(engine.about().name))?;
        engine.provider.handshake(&webhook.url, &engine.context(&state, number))
    };
    match request {
        Some(request) => Ok(Some(handshake(engine, request).await)),
        None => Ok(None),
    }
}

/// Sends a handshake and checks its answer.
pub(super) async fn handshake(engine: &Engine, handshake: Handshake) -> Attempt {
    let url = handshake.request.url.clone();
    let mut attempt = call(engine, handshake.request).await.attempt;
    attempt.taken = attempt.status.is_some_and(|status| (200..300).contains(&status))
        && handshake.body.is_none_or(|body| body == attempt.body);
    let mut state = engine.state();
    let number = state.number();
    let batch = Batch { kind: "handshake", url, events: vec![Value::Null], signature: Signature::Right };
    record(&mut state, number, &batch, batch.signature);
    state.records.add_attempt(number, attempt.clone(), true);
    drop(state);
    engine.changes.announce();
    attempt
}

/// Records the webhooks that carry these events: one, or two when a fault repeats it.
fn pending(state: &mut State, batch: Batch) -> Vec<PendingWebhook> {
    let script = state.script.clone();
    let triggers = &mut state.triggers;
    let copies = if triggers.fires("webhook_duplicate", script.webhook_duplicate) { 2 } else { 1 };
    let signature = if batch.signature != Signature::Right {
        batch.signature
    } else if triggers.fires("webhook_unsigned", script.webhook_unsigned) {
        Signature::None
    } else if triggers.fires("webhook_missigned", script.webhook_missigned) {
        Signature::Wrong
    } else {
        Signature::Right
    };
    let mut webhooks = Vec::new();
    for _ in 0..copies {
        let number = state.number();
        record(state, number, &batch, signature);
        webhooks.push(PendingWebhook {
            number,
            url: batch.url.clone(),
            events: batch.events.as_slice().into(),
            attempt: 1,
            signature,
        });
    }
    webhooks
}

fn record(state: &mut State, number: u64, batch: &Batch, signature: Signature) {
    let webhook = Webhook {
        number,
        url: batch.url.clone(),
        about: batch.kind,
        events: batch.events.len(),
        signature,
        attempts: VecDeque::new(),
        done: false,
    };
    state.records.add_webhook(webhook, state.script.remember);
}

/// The result of a call: the attempt, and the response if there is one.
struct Called {
    attempt: Attempt,
    response: Option<ClientResponse>,
}

/// Sends a request, within the time that a webhook has.
async fn call(engine: &Engine, request: Outgoing) -> Called {
    let limit = Duration::from_millis(engine.state().script.webhook_timeout_ms);
    let url = request.url.clone();
    let attempt = Attempt { at_ms: engine.now_ms(), url, ..Attempt::default() };
    match timeout(limit, engine.client.send(request)).await {
        Ok(Ok(response)) => {
            let body = String::from_utf8_lossy(&response.body).into_owned();
            Called {
                attempt: Attempt { status: Some(response.status), body, ..attempt },
                response: Some(response),
            }
        }
        Ok(Err(error)) => Called { attempt: Attempt { error: Some(error), ..attempt }, response: None },
        Err(_) => {
            let error = Some(format!("{}: no answer within {} ms", attempt.url, limit.as_millis()));
            Called { attempt: Attempt { error, ..attempt }, response: None }
        }
    }
}

/// Makes one attempt of a webhook, and plans the next one where there is to be one.
async fn attempt(engine: &Engine, webhook: PendingWebhook) -> Attempt {
    let provider = engine.provider;
    let request = {
        let state = engine.state();
        let mut cx = engine.context(&state, webhook.number);
        cx.attempt = webhook.attempt;
        cx.signature = webhook.signature;
        let mut request = provider.post(&webhook.url, &webhook.events, &cx);
        if webhook.signature == Signature::None {
            let signed = provider.signature_headers();
            request.headers.retain(|(name, _)| !signed.iter().any(|one| one.eq_ignore_ascii_case(name)));
        }
        request
    };
    let Called { mut attempt, response } = call(engine, request).await;
    attempt.taken =
        attempt.status.is_some_and(|status| provider.is_acknowledged(&webhook.url, status, &attempt.body));
    let retry_after_s = response.and_then(|response| response.retry_after_s);
    finish_attempt(engine, webhook, &attempt, retry_after_s);
    attempt
}

fn finish_attempt(engine: &Engine, webhook: PendingWebhook, attempt: &Attempt, retry_after_s: Option<u64>) {
    let retry = &engine.about().retry;
    let now = engine.now_ms();
    let mut state = engine.state();
    let retries = match state.script.webhook_tries_max {
        0 => engine.provider.retries(&webhook.url, webhook.attempt, attempt.status),
        most => webhook.attempt < most,
    };
    let done = attempt.taken || !retries;
    state.records.add_attempt(webhook.number, attempt.clone(), done);
    if !done {
        let growth = retry.factor.saturating_pow(webhook.attempt.saturating_sub(1));
        let mut pause = state.script.webhook_retry_ms.saturating_mul(growth);
        if retry.obeys_retry_after {
            pause = pause.max(retry_after_s.unwrap_or_default().saturating_mul(1_000));
        }
        let due = now.saturating_add(pause.min(state.script.webhook_retry_max_ms));
        let attempt = webhook.attempt + 1;
        state.agenda.add(due, Job::Webhook(PendingWebhook { attempt, ..webhook }));
    }
    drop(state);
    engine.changes.announce();
    engine.wake.notify_one();
}

/// Does what is due, until it is dropped.
pub(super) async fn drive(engine: &Arc<Engine>) {
    let mut tasks = JoinSet::new();
    loop {
        let room = WEBHOOKS_AT_ONCE_MAX.saturating_sub(tasks.len());
        for work in due_work(engine, room) {
            let engine = engine.clone();
            tasks.spawn(async move {
                match work {
                    Work::Post(webhook) => _ = attempt(&engine, webhook).await,
                    Work::Fetch(file) => fetch(&engine, file).await,
                }
            });
        }
        let next_due = engine.state().agenda.next_due();
        let full = tasks.len() >= WEBHOOKS_AT_ONCE_MAX;
        let next = next_due.map(|at| engine.started + Duration::from_millis(at));
        tokio::select! {
            biased;
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            () = engine.wake.notified(), if !full => {}
            () = async { match next { Some(at) => sleep_until(at).await, None => std::future::pending().await } },
                if !full => {}
        }
    }
}

/// Fetches a file that a message names, and records the result.
async fn fetch(engine: &Engine, file: FileFetch) {
    let FileFetch { message_id: message, url } = file;
    let Called { attempt, response } = call(engine, Outgoing::get(url.clone())).await;
    let (mime, octets) =
        response.map(|response| (response.content_type, response.body.len())).unwrap_or_default();
    let Attempt { at_ms, status, error, .. } = attempt;
    engine.state().records.add_fetched(Fetched { at_ms, message, url, status, mime, octets, error });
    engine.changes.announce();
}

/// Takes at most `room` units of due work. Receipts that are due together share POSTs.
fn due_work(engine: &Engine, room: usize) -> Vec<Work> {
    let now = engine.now_ms();
    let mut state = engine.state();
    let mut work = Vec::new();
    let mut reports: Vec<Batch> = Vec::new();
    let events_max = state.script.batch_max.clamp(1, engine.about().batch_max);
    while work.len() + reports.len() < room {
        let Some(job) = state.agenda.take_due(now) else { break };
        match job {
            Job::Webhook(webhook) => work.push(Work::Post(webhook)),
            Job::Fetch(file) => work.push(Work::Fetch(file)),
            Job::Receipt(report) => {
                let Some(batch) = report_batch(engine, &mut state, &report.as_ref()) else {
                    continue;
                };
                let open = |other: &&mut Batch| other.url == batch.url && other.events.len() < events_max;
                match reports.iter_mut().find(open) {
                    Some(other) => other.events.extend(batch.events),
                    None => reports.push(batch),
                }
            }
        }
    }
    for batch in reports {
        work.extend(pending(&mut state, batch).into_iter().map(Work::Post));
    }
    let room = room.saturating_sub(work.len());
    work.extend(customers(engine, &mut state, now, room));
    work
}

/// Lets background customers write, at the rate of the script.
fn customers(engine: &Engine, state: &mut State, now: u64, room: usize) -> Vec<Work> {
    let mut work = Vec::new();
    for _ in 0..room {
        let Some(due) = state.agenda.customer_due(now) else { break };
        let script = state.script.clone();
        let rate = u64::from(script.inbound_per_second.max(1));
        let number = state.number();
        // Exact over each second, although single pauses are whole milliseconds.
        let made = state.records.counts.inbound % rate;
        state.agenda.plan_customer(due + (1_000 * (made + 1) / rate - 1_000 * made / rate));
        let inbound = Inbound {
            from: format!("+1555{:07}", number % u64::from(script.inbound_customers.max(1))),
            to: script.inbound_to.clone(),
            text: format!("{} {number}", script.inbound_text),
            ..Inbound::default()
        };
        state.records.counts.inbound += 1;
        let event = event(engine, state, &inbound);
        let url = state.webhook.as_ref().map(|webhook| webhook.url.clone());
        if let (Ok(event), Some(url)) = (event, url) {
            let batch = Batch::of_inbound(&url, vec![event], Signature::Right);
            work.extend(pending(state, batch).into_iter().map(Work::Post));
        }
    }
    work
}
