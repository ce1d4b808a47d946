//! What becomes of a request to the provider's API: the provider says what it would do, the script what goes wrong.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Simulator,
    state::{Job, State},
};
use crate::{
    contract::{Call, Closed, Context, Fault, Message},
    toolkit::http::{Request, Response},
};

/// What a message gets instead of, or with, its answer.
enum Fate {
    Refused(Response),
    Answered(Response),
    Hangs,
    Closed,
}

impl Simulator {
    /// The answer; nothing when the connection is to be closed without one.
    pub(crate) async fn answer(&self, request: &Request) -> Option<Response> {
        let (call, latency) = self.ask(request);
        let answer = match call {
            Call::Answer(answer) => self.plain(answer),
            Call::Accept(messages, answer) => {
                return self.accept(messages, answer, latency, &request.path).await;
            }
            Call::Store(file, answer) => {
                self.state().media.store(file);
                answer
            }
            Call::Forget(id, answer) => {
                self.state().media.forget(&id);
                answer
            }
            Call::Poll { offset, limit, timeout_ms, conflict } => {
                self.poll(offset, limit, timeout_ms, conflict).await
            }
            Call::Hook { hook, handshake, answer, failed } => {
                let good = match handshake {
                    Some(handshake) => self.handshake(handshake).await.taken,
                    None => true,
                };
                if good {
                    self.state().hook = hook;
                    answer
                } else {
                    self.plain(failed)
                }
            }
        };
        self.shared.changed.notify_waiters();
        sleep(latency).await;
        Some(answer)
    }

    fn ask(&self, request: &Request) -> (Call, Duration) {
        let mut state = self.state();
        state.records.counts.requests += 1;
        let number = state.number();
        let call = self.shared.provider.call(request, &self.context(&state, number));
        let jitter = state.script.latency_jitter_ms;
        let latency = state.script.latency_ms.saturating_add(state.triggers.jitter(jitter));
        (call, Duration::from_millis(latency))
    }

    fn plain(&self, answer: Response) -> Response {
        if answer.status >= 400 {
            self.state().records.counts.refused += 1;
        }
        answer
    }

    async fn accept(
        &self,
        messages: Vec<Message>,
        answer: Response,
        latency: Duration,
        path: &str,
    ) -> Option<Response> {
        let now = self.now();
        let (fate, late, first) = {
            let mut state = self.state();
            match self.shut(&state, &messages, now) {
                Some(Closed::Refused(code)) => {
                    state.records.counts.rejected += 1;
                    let answer = self.fault(&mut state, Fault::Rejected { code }, path);
                    (Fate::Refused(answer), Duration::ZERO, Vec::new())
                }
                shut => {
                    let (fate, accepted, late) = self.fate(&mut state, answer, now, path);
                    let failed = if let Some(Closed::Fails(code)) = shut { Some(code) } else { None };
                    let first = if accepted { take(&mut state, messages, failed, now) } else { Vec::new() };
                    (fate, late, first)
                }
            }
        };
        self.shared.changed.notify_waiters();
        self.shared.wake.notify_one();
        for (message, status, code) in first {
            self.report(&message, status, code.as_deref()).await;
        }
        sleep(latency + late).await;
        match fate {
            Fate::Refused(answer) | Fate::Answered(answer) => Some(answer),
            Fate::Hangs => std::future::pending().await,
            Fate::Closed => None,
        }
    }

    /// What becomes of messages to customers who have not written for too long.
    fn shut(&self, state: &State, messages: &[Message], now: u64) -> Option<Closed> {
        let shut = messages.iter().find(|message| !state.is_open(&message.to, now))?;
        self.shared.provider.closed(shut)
    }

    /// What happens to a good message, whether it is taken, and how much later it is answered.
    fn fate(&self, state: &mut State, answer: Response, now: u64, path: &str) -> (Fate, bool, Duration) {
        let script = state.script.clone();
        let (triggers, records) = (&mut state.triggers, &mut state.records);
        let cap = script.throttle_per_second;
        let throttled =
            (cap > 0 && records.too_many(cap, now)) || triggers.fires("throttle", script.throttle);
        if throttled {
            records.counts.throttled += 1;
            let fault = Fault::Throttled { after_s: script.retry_after_s };
            return (Fate::Refused(self.fault(state, fault, path)), false, Duration::ZERO);
        }
        if cap > 0 {
            records.second.push_back(now);
        }
        if triggers.fires("refuse_credentials", script.refuse_credentials) {
            records.counts.refused += 1;
            return (Fate::Refused(self.fault(state, Fault::Credentials, path)), false, Duration::ZERO);
        }
        if triggers.fires("unavailable", script.unavailable) {
            records.counts.unavailable += 1;
            let fault = Fault::Unavailable { status: script.unavailable_status.clamp(500, 599) };
            return (
                Fate::Refused(self.fault(state, fault, path)),
                script.unavailable_accepts,
                Duration::ZERO,
            );
        }
        if triggers.fires("reject", script.reject) {
            records.counts.rejected += 1;
            let fault = Fault::Rejected { code: &script.reject_code };
            return (Fate::Refused(self.fault(state, fault, path)), false, Duration::ZERO);
        }
        if triggers.fires("close", script.close) {
            records.counts.closed += 1;
            return (Fate::Closed, script.close_accepts, Duration::ZERO);
        }
        if triggers.fires("hang", script.hang) {
            records.counts.hung += 1;
            return (Fate::Hangs, script.hang_accepts, Duration::ZERO);
        }
        let mut late = Duration::ZERO;
        if triggers.fires("late", script.late) {
            records.counts.late += 1;
            late = Duration::from_millis(script.late_ms);
        }
        if triggers.fires("garbage", script.garbage) {
            records.counts.garbled += 1;
            let garbage = &b"<html>\xff\xfe{\"ok\": tru"[..];
            return (Fate::Answered(Response::new(200, &answer.content_type, garbage)), true, late);
        }
        if triggers.fires("without_id", script.without_id) {
            records.counts.garbled += 1;
            return (Fate::Answered(self.fault(state, Fault::WithoutId, path)), true, late);
        }
        let mut answer = answer;
        if triggers.fires("wrong_type", script.wrong_type) {
            records.counts.garbled += 1;
            "text/html".clone_into(&mut answer.content_type);
        }
        (Fate::Answered(answer), true, late)
    }

    fn fault(&self, state: &mut State, fault: Fault<'_>, path: &str) -> Response {
        let number = state.number();
        self.shared.provider.fault(fault, &Context { path, ..self.context(state, number) })
    }

    async fn poll(&self, offset: i64, limit: usize, timeout_ms: u64, conflict: Response) -> Response {
        let until = Instant::now() + Duration::from_millis(timeout_ms);
        let mine = {
            let mut state = self.state();
            state.poller += 1;
            if offset > 0 {
                state.updates.retain(|(id, _)| *id >= offset);
            } else if offset < 0 {
                let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
                let gone = state.updates.len().saturating_sub(keep);
                state.updates.drain(..gone);
            }
            state.poller
        };
        self.shared.changed.notify_waiters();
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.poller != mine || state.hook.is_some() {
                    return conflict;
                }
                if !state.updates.is_empty() || Instant::now() >= until {
                    let events: Vec<_> =
                        state.updates.iter().take(limit).map(|(_, event)| event.clone()).collect();
                    state.records.counts.polled += u64::try_from(events.len()).unwrap_or(u64::MAX);
                    return self.shared.provider.polled(events);
                }
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

type Report = (Arc<Message>, &'static str, Option<String>);

/// Remembers messages and plans their receipts; gives those that come before the answer.
fn take(state: &mut State, messages: Vec<Message>, failed: Option<&str>, now: u64) -> Vec<Report> {
    let mut first = Vec::new();
    for mut message in messages {
        message.at_ms = now;
        let message = Arc::new(message);
        state.records.accept((*message).clone(), state.script.remember);
        if state.script.fetch_media {
            for url in message.media.iter().filter(|url| url.starts_with("http")) {
                state.later(now, Job::Fetch { id: message.id.clone(), url: url.clone() });
            }
        }
        first.extend(plan(state, &message, failed, now));
    }
    first
}

fn plan(state: &mut State, message: &Arc<Message>, fails: Option<&str>, now: u64) -> Vec<Report> {
    let script = state.script.clone();
    let triggers = &mut state.triggers;
    if triggers.fires("receipt_lost", script.receipt_lost) {
        return Vec::new();
    }
    let failed = triggers.fires("receipt_failed", script.receipt_failed) || fails.is_some();
    let reversed = triggers.fires("receipt_reversed", script.receipt_reversed);
    let twice = triggers.fires("receipt_duplicate", script.receipt_duplicate);
    let late = triggers.fires("receipt_late", script.receipt_late);
    let before = triggers.fires("receipt_first", script.receipt_first);
    let end = if failed { "failed" } else { "delivered" };
    let read = if failed { 0 } else { script.receipt_read_ms };
    let mut steps: Vec<(&'static str, u64)> =
        [("sent", script.receipt_sent_ms), (end, script.receipt_delivered_ms), ("read", read)]
            .into_iter()
            .filter(|(_, after)| *after > 0)
            .collect();
    if reversed {
        let times: Vec<u64> = steps.iter().rev().map(|(_, after)| *after).collect();
        for (step, after) in steps.iter_mut().zip(times) {
            step.1 = after;
        }
        steps.reverse();
    }
    let told = Some(script.receipt_failed_code.as_str()).filter(|code| !code.is_empty());
    let code = fails.or(told).map(str::to_owned);
    let code = |status| if status == "failed" { code.clone() } else { None };
    if before {
        let each = steps.iter().flat_map(|step| std::iter::repeat_n(step.0, if twice { 2 } else { 1 }));
        return each.map(|status| (message.clone(), status, code(status))).collect();
    }
    for (status, after) in steps {
        let jitter = state.triggers.jitter(script.receipt_jitter_ms);
        let lateness = if late { script.receipt_late_ms } else { 0 };
        let mut due = now.saturating_add(after).saturating_add(jitter).saturating_add(lateness);
        if script.batch_max > 1 {
            // Gathered: what is due in the same stretch of time goes together.
            due = due.next_multiple_of(script.batch_wait_ms.max(1));
        }
        for _ in 0..if twice { 2 } else { 1 } {
            let job = Job::Receipt { message: message.clone(), status, code: code(status) };
            state.later(due, job);
        }
    }
    Vec::new()
}
