//! Answers to requests to the provider's API: the provider decides what it would do, the script
//! what goes wrong.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    agenda::{FileFetch, Job, Report},
    core::Engine,
    script::Script,
    state::State,
    webhooks,
};
use crate::{
    contract::{Context, Effect, Fault, Message, OutsideWindow, ReportStatus},
    toolkit::http::{Request, Response},
};

/// The outcome of a message that the provider would accept.
struct Verdict {
    reply: Reply,
    /// Whether the message is accepted, whatever the client learns.
    accepts: bool,
    /// Added to the latency.
    delay: Duration,
}

/// The reaction that the client sees.
enum Reply {
    Response(Response),
    /// An open connection without an answer.
    Silence,
    /// A closed connection.
    Closed,
}

impl Verdict {
    fn refused(response: Response) -> Self {
        Self { reply: Reply::Response(response), accepts: false, delay: Duration::ZERO }
    }
}

/// A long-poll: which events it wants, and for how long it waits.
struct Poll {
    offset: i64,
    limit: usize,
    timeout_ms: u64,
    conflict: Response,
}

/// Answers a request; `None` when the connection is to be closed without an answer.
pub(super) async fn answer(engine: &Engine, request: &Request) -> Option<Response> {
    let (effect, latency) = handle(engine, request);
    let response = match effect {
        Effect::Answer(response) => counted(engine, response),
        Effect::Accept(messages, response) => {
            return accept(engine, messages, response, latency, &request.path).await;
        }
        Effect::Store(file, response) => {
            engine.state().media.store(file);
            response
        }
        Effect::Remove(id, response) => {
            engine.state().media.remove(&id);
            response
        }
        Effect::Poll { offset, limit, timeout_ms, conflict } => {
            poll(engine, Poll { offset, limit, timeout_ms, conflict }).await
        }
        Effect::SetWebhook { webhook, handshake, answer, failed } => {
            let good = match handshake {
                Some(handshake) => webhooks::handshake(engine, handshake).await.taken,
                None => true,
            };
            if good {
                engine.state().webhook = webhook;
                answer
            } else {
                counted(engine, failed)
            }
        }
    };
    engine.changes.announce();
    sleep(latency).await;
    Some(response)
}

/// Returns what the provider would do, and the latency of its answer.
fn handle(engine: &Engine, request: &Request) -> (Effect, Duration) {
    let mut state = engine.state();
    state.records.counts.requests += 1;
    let number = state.number();
    let effect = engine.provider.handle(request, &engine.context(&state, number));
    let jitter = state.script.latency_jitter_ms;
    let latency = state.script.latency_ms.saturating_add(state.triggers.jitter(jitter));
    (effect, Duration::from_millis(latency))
}

/// Counts a refusal.
fn counted(engine: &Engine, response: Response) -> Response {
    if response.status >= 400 {
        engine.state().records.counts.refused += 1;
    }
    response
}

async fn accept(
    engine: &Engine,
    messages: Vec<Message>,
    response: Response,
    latency: Duration,
    path: &str,
) -> Option<Response> {
    let now = engine.now_ms();
    let (verdict, early_reports) = {
        let mut state = engine.state();
        match outside_window(engine, &state, &messages, now) {
            Some(OutsideWindow::Refused(code)) => {
                state.records.counts.rejected += 1;
                let response = fault(engine, &mut state, Fault::Rejected { code }, path);
                (Verdict::refused(response), Vec::new())
            }
            outside => {
                let verdict = decide(engine, &mut state, response, now, path);
                let failure = if let Some(OutsideWindow::Fails(code)) = outside { Some(code) } else { None };
                let reports = if verdict.accepts {
                    add_messages(engine, &mut state, messages, failure, now)
                } else {
                    Vec::new()
                };
                (verdict, reports)
            }
        }
    };
    engine.changes.announce();
    engine.wake.notify_one();
    for report in early_reports {
        webhooks::report(engine, &report.as_ref()).await;
    }
    sleep(latency + verdict.delay).await;
    match verdict.reply {
        Reply::Response(response) => Some(response),
        Reply::Silence => std::future::pending().await,
        Reply::Closed => None,
    }
}

/// Returns the outcome of messages to customers whose windows are closed.
fn outside_window(engine: &Engine, state: &State, messages: &[Message], now: u64) -> Option<OutsideWindow> {
    let message = messages.iter().find(|message| !state.is_window_open(&message.to, now))?;
    engine.provider.outside_window(message)
}

/// Decides on a message that the provider would accept: the first fault that fires wins.
fn decide(engine: &Engine, state: &mut State, response: Response, now: u64, path: &str) -> Verdict {
    match refusal(engine, state, now, path).or_else(|| no_answer(state)) {
        Some(verdict) => verdict,
        None => spoiled(engine, state, response, path),
    }
}

/// Returns the refusal of a fault, if one fires.
fn refusal(engine: &Engine, state: &mut State, now: u64, path: &str) -> Option<Verdict> {
    let script = state.script.clone();
    let (triggers, records) = (&mut state.triggers, &mut state.records);
    let cap = script.throttle_per_second;
    let over_cap = cap > 0 && records.last_second.is_full(cap, now);
    if over_cap || triggers.fires("throttle", script.throttle) {
        records.counts.throttled += 1;
        let fault_of = Fault::Throttled { after_s: script.retry_after_s };
        return Some(Verdict::refused(fault(engine, state, fault_of, path)));
    }
    if cap > 0 {
        records.last_second.add(now);
    }
    if triggers.fires("refuse_credentials", script.refuse_credentials) {
        records.counts.refused += 1;
        return Some(Verdict::refused(fault(engine, state, Fault::Credentials, path)));
    }
    if triggers.fires("unavailable", script.unavailable) {
        records.counts.unavailable += 1;
        let status = script.unavailable_status.clamp(500, 599);
        let refused = Verdict::refused(fault(engine, state, Fault::Unavailable { status }, path));
        return Some(Verdict { accepts: script.unavailable_accepts, ..refused });
    }
    if triggers.fires("reject", script.reject) {
        records.counts.rejected += 1;
        let code = &script.reject_code;
        return Some(Verdict::refused(fault(engine, state, Fault::Rejected { code }, path)));
    }
    None
}

/// Returns a verdict without an answer, if such a fault fires.
fn no_answer(state: &mut State) -> Option<Verdict> {
    let script = state.script.clone();
    let (triggers, counts) = (&mut state.triggers, &mut state.records.counts);
    let delay = Duration::ZERO;
    if triggers.fires("close", script.close) {
        counts.closed += 1;
        return Some(Verdict { reply: Reply::Closed, accepts: script.close_accepts, delay });
    }
    if triggers.fires("hang", script.hang) {
        counts.hung += 1;
        return Some(Verdict { reply: Reply::Silence, accepts: script.hang_accepts, delay });
    }
    None
}

/// Returns the answer of an accepted message: late, unreadable, without its id, or as it should be.
fn spoiled(engine: &Engine, state: &mut State, mut response: Response, path: &str) -> Verdict {
    let script = state.script.clone();
    let (triggers, counts) = (&mut state.triggers, &mut state.records.counts);
    let mut delay = Duration::ZERO;
    if triggers.fires("late", script.late) {
        counts.late += 1;
        delay = Duration::from_millis(script.late_ms);
    }
    if triggers.fires("garbage", script.garbage) {
        counts.garbled += 1;
        response = Response::new(200, &response.content_type, &b"<html>\xff\xfe{\"ok\": tru"[..]);
    } else if triggers.fires("without_id", script.without_id) {
        counts.garbled += 1;
        response = fault(engine, state, Fault::WithoutId, path);
    } else if triggers.fires("wrong_type", script.wrong_type) {
        counts.garbled += 1;
        "text/html".clone_into(&mut response.content_type);
    }
    Verdict { reply: Reply::Response(response), accepts: true, delay }
}

fn fault(engine: &Engine, state: &mut State, fault: Fault<'_>, path: &str) -> Response {
    let number = state.number();
    engine.provider.fault(fault, &Context { path, ..engine.context(state, number) })
}

/// Waits for events. A newer poll, or a webhook, ends it with a conflict.
async fn poll(engine: &Engine, poll: Poll) -> Response {
    let until = Instant::now() + Duration::from_millis(poll.timeout_ms);
    let id = engine.state().polls.begin(poll.offset);
    engine.changes.announce();
    loop {
        let changed = engine.changes.next();
        tokio::pin!(changed);
        changed.as_mut().enable();
        {
            let mut state = engine.state();
            if !state.polls.is_newest(id) || state.webhook.is_some() {
                return poll.conflict;
            }
            if !state.polls.is_empty() || Instant::now() >= until {
                let events = state.polls.oldest(poll.limit);
                state.records.counts.polled += u64::try_from(events.len()).unwrap_or(u64::MAX);
                return engine.provider.polled(events);
            }
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = sleep_until(until) => {}
        }
    }
}

/// Records messages and plans their receipts; returns the receipts that precede the answer.
fn add_messages(
    engine: &Engine,
    state: &mut State,
    messages: Vec<Message>,
    failure: Option<&str>,
    now: u64,
) -> Vec<Report> {
    let mut early = Vec::new();
    for mut message in messages {
        message.at_ms = now;
        let message = Arc::new(message);
        state.records.add_message((*message).clone(), state.script.remember);
        if state.script.fetch_media {
            for url in message.media.iter().filter(|url| url.starts_with("http")) {
                let fetch = FileFetch { message_id: message.id.clone(), url: url.clone() };
                state.agenda.add(now, Job::Fetch(fetch));
            }
        }
        let echo_ms = state.script.echo_ms;
        for (name, n) in engine.provider.echoes().iter().filter(|_| echo_ms > 0).zip(2..) {
            let status = ReportStatus::Own(name);
            let report = Report { message: message.clone(), status, code: None };
            state.agenda.add(now.saturating_add(echo_ms.saturating_mul(n)), Job::Receipt(report));
        }
        early.extend(plan_receipts(state, &message, failure, now));
    }
    early
}

/// A status that a receipt is to report, and how long after the message.
struct ReceiptStep {
    status: ReportStatus<'static>,
    after_ms: u64,
}

/// Plans the receipts of a message; returns those that precede the answer. `failure` is the code of
/// a certain failure.
fn plan_receipts(state: &mut State, message: &Arc<Message>, failure: Option<&str>, now: u64) -> Vec<Report> {
    let script = state.script.clone();
    let triggers = &mut state.triggers;
    if triggers.fires("receipt_lost", script.receipt_lost) {
        return Vec::new();
    }
    let failed = triggers.fires("receipt_failed", script.receipt_failed) || failure.is_some();
    let reversed = triggers.fires("receipt_reversed", script.receipt_reversed);
    let copies = if triggers.fires("receipt_duplicate", script.receipt_duplicate) { 2 } else { 1 };
    let late = triggers.fires("receipt_late", script.receipt_late);
    let before_answer = triggers.fires("receipt_first", script.receipt_first);
    let steps = receipt_steps(&script, failed, reversed);
    let scripted = Some(script.receipt_failed_code.as_str()).filter(|code| !code.is_empty());
    let failure_code = failure.or(scripted).map(str::to_owned);
    let report = |status| {
        let code = if status == ReportStatus::Failed { failure_code.clone() } else { None };
        Report { message: message.clone(), status, code }
    };
    if before_answer {
        let each = steps.iter().flat_map(|step| std::iter::repeat_n(step.status, copies));
        return each.map(report).collect();
    }
    for ReceiptStep { status, after_ms } in steps {
        let jitter = state.triggers.jitter(script.receipt_jitter_ms);
        let lateness = if late { script.receipt_late_ms } else { 0 };
        let mut due = now.saturating_add(after_ms).saturating_add(jitter).saturating_add(lateness);
        if script.batch_max > 1 {
            // Receipts that fall into one slot are due together, and so share a POST.
            due = due.next_multiple_of(script.batch_wait_ms.max(1));
        }
        for _ in 0..copies {
            state.agenda.add(due, Job::Receipt(report(status)));
        }
    }
    Vec::new()
}

/// Returns the statuses that are reported, in order; reversed ones keep the times of the right
/// order.
fn receipt_steps(script: &Script, failed: bool, reversed: bool) -> Vec<ReceiptStep> {
    let end = if failed { ReportStatus::Failed } else { ReportStatus::Delivered };
    let read_ms = if failed { 0 } else { script.receipt_read_ms };
    let all = [
        (ReportStatus::Sent, script.receipt_sent_ms),
        (end, script.receipt_delivered_ms),
        (ReportStatus::Read, read_ms),
        (ReportStatus::Own("echo"), script.echo_ms),
    ];
    let steps = all.into_iter().map(|(status, after_ms)| ReceiptStep { status, after_ms });
    let mut steps: Vec<ReceiptStep> = steps.filter(|step| step.after_ms > 0).collect();
    if reversed {
        let times: Vec<u64> = steps.iter().map(|step| step.after_ms).collect();
        steps.reverse();
        for (step, after_ms) in steps.iter_mut().zip(times) {
            step.after_ms = after_ms;
        }
    }
    steps
}
