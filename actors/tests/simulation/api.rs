//! A provider with an HTTP API, on top of the memory that the simulated SMSCs have: takes, refuses,
//! throttles, hangs, answers late or not at all, and calls back until it is answered, sometimes
//! once more; or is asked for what is new, and tells it until the question shows that it was kept.

use std::{sync::Arc, time::Duration};

use actors::{
    Router,
    seams::{BoxFuture, Call, CallError, HttpClient},
    webhook::{WebhookAnswer, WebhookCall},
};
use channels::{
    Capabilities, HttpChannel, InEvent, InMessage, InReceipt, OutPart, Polled, Provider, Received, Report,
    SendError, Sent, Step,
    capability::LongText,
    http::{Body, Malformed, Refused, Request, Response, Webhook},
};
use message::{Content, event::Cause};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use crate::{
    pairs::{Fault, Operation, UnderWay},
    rng::Rng,
    script::{channel_id, did},
    smsc::{Arrival, Copy, JobKind, JobState},
    world::{Inner, World},
};

/// Characters of one message; longer texts are cut.
const TEXT_CHARACTERS_MAX: usize = 160;

/// An account there.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) number: usize,
    /// Whether it can be looked at without sending.
    pub(crate) probes: bool,
    /// Whether it is asked for what it would else bring.
    pub(crate) polls: bool,
}

impl HttpChannel for Account {
    fn provider(&self) -> &'static Provider {
        channels::provider("telnyx").expect("any provider with an API")
    }

    fn capabilities(&self) -> Capabilities {
        let like = HttpChannel::provider(self).capabilities;
        Capabilities { text_characters_max: TEXT_CHARACTERS_MAX, long_text: LongText::Cut, ..like }
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let Content::Text(text) = part.content else { panic!("the business sends texts") };
        let body = json!({ "reference": part.reference, "to": part.customer, "text": &**text });
        Ok(Request::post(format!("http://api{}/send", self.number), Body::Json(body.to_string())))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let last = answers.last().expect("an answer");
        let id = String::from_utf8_lossy(&last.body).into_owned();
        match last.status {
            200 => Ok(Step::Sent(Sent::id(id))),
            402 => Err(SendError::CredentialsRefused(Cause::new("402", "unpaid"))),
            422 => Err(SendError::RetryOnce(Cause::new("422", "perhaps"))),
            _ => Err(SendError::by_status(last)),
        }
    }

    fn verify(&self, _webhook: &Webhook<'_>) -> Result<(), Refused> {
        Ok(())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let said: Value = serde_json::from_slice(webhook.body).expect("JSON");
        Ok(Received { events: vec![self.event(&said)], ..Received::default() })
    }

    fn probe(&self) -> Option<Request> {
        self.probes.then(|| Request::get(format!("http://api{}/probe", self.number)))
    }

    fn poll(&self, cursor: Option<&str>) -> Option<Request> {
        let after = cursor.unwrap_or("0");
        self.polls.then(|| Request::get(format!("http://api{}/updates/{after}", self.number)))
    }

    fn parse_poll(&self, cursor: Option<&str>, response: &Response) -> Result<Polled, SendError> {
        if !response.is_success() {
            return Err(SendError::by_status(response));
        }
        let said: Vec<Value> = serde_json::from_slice(&response.body).expect("JSON");
        let newest = said.last().map(|update| update["update"].to_string().into());
        let events = said.iter().map(|update| self.event(update)).collect();
        let received = Received { events, ..Received::default() };
        Ok(Polled { received, cursor: newest.or(cursor.map(Box::from)) })
    }
}

impl Account {
    fn event(&self, said: &Value) -> InEvent {
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let (customer, id) = (Arc::from(text("customer")), Arc::from(text("id")));
        match text("word") {
            word if word.is_empty() => InEvent::Message(Box::new(InMessage {
                content: Content::Text(text("text").into()),
                id,
                customer,
                did: did(self.number).into(),
                aliases: Default::default(),
                media: Vec::new(),
                time: None,
                reply_to: None,
                attributes: Vec::new(),
                is_written: true,
                is_placed_by_reply: false,
            })),
            word => InEvent::Receipt(Box::new(InReceipt {
                reference: said["reference"].as_str().map(Arc::from),
                id,
                report: match word.as_str() {
                    "DELIVRD" => Report::Delivered,
                    "ENROUTE" => Report::Enroute,
                    "ACCEPTD" => Report::Sent,
                    _ => Report::Failed,
                },
                code: word.into(),
                did: did(self.number).into(),
                customer,
                watermark_ms: None,
            })),
        }
    }
}

/// The way to all of them.
pub(crate) struct Apis(pub(crate) Arc<World>);

impl HttpClient for Apis {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Response, CallError>> {
        let world = self.0.clone();
        Box::pin(async move { answered(&world, &call).await })
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Take,
    TakeLate,
    TakeSilently,
    TakeAndHangUp,
    Ignore,
    HangUp,
    Unreachable,
    /// Status, and the pause that is asked for in seconds.
    Refuse(u16, u64),
}

impl Fate {
    fn draw(rng: &mut Rng, throttling: bool, faults: u64) -> Self {
        if throttling && rng.chance(800) {
            return Self::Refuse(429, rng.below(3));
        }
        if !rng.chance(faults) {
            return Self::Take;
        }
        match rng.weighed(&[4, 4, 2, 3, 2, 2, 3, 1, 3, 1, 1]) {
            0 => Self::TakeLate,
            1 => Self::TakeSilently,
            2 => Self::TakeAndHangUp,
            3 => Self::Ignore,
            4 => Self::HangUp,
            5 => Self::Unreachable,
            6 => Self::Refuse(429, 0),
            7 => Self::Refuse(503, 1),
            8 => Self::Refuse(500, 0),
            9 => Self::Refuse(422, 0),
            _ => Self::Refuse(400, 0),
        }
    }

    fn takes(self) -> bool {
        matches!(self, Self::Take | Self::TakeLate | Self::TakeSilently | Self::TakeAndHangUp)
    }
}

async fn answered(world: &Arc<World>, call: &Call) -> Result<Response, CallError> {
    let (host, path) = call.request.url.trim_start_matches("http://api").split_once('/').expect("an address");
    let api: usize = host.parse().expect("its number");
    let operation = match path.split('/').next() {
        Some("send") => Operation::Submit,
        Some("updates") => Operation::Poll,
        _ => Operation::Connect,
    };
    let _under_way = UnderWay::begin(world, operation);
    let (fate, answer_ms, id, line) = fate(world, api, path, &call.request);
    world.note(|| line);
    match fate {
        Fate::Take => {}
        Fate::TakeLate => world.fell(Fault::AnswerLate),
        Fate::TakeSilently | Fate::Ignore => world.fell(Fault::AnswerLost),
        Fate::TakeAndHangUp | Fate::HangUp => world.fell(Fault::LinkLost),
        Fate::Unreachable => world.fell(Fault::Unreachable),
        Fate::Refuse(..) => world.fell(Fault::Refused),
    }
    world.wakers[api].notify_waiters();
    if matches!(fate, Fate::Unreachable) {
        sleep(Duration::from_millis(answer_ms)).await;
        return Err(CallError::unsent("connection refused"));
    }
    call.left.set(true);
    sleep(Duration::from_millis(answer_ms)).await;
    let response = |status: u16, pause: u64, body: String| {
        let pause = (pause > 0).then(|| ("retry-after".into(), pause.to_string().into()));
        Response { status, headers: pause.into_iter().collect(), body: body.into() }
    };
    match fate {
        Fate::Take | Fate::TakeLate => Ok(response(200, 0, id)),
        Fate::TakeSilently | Fate::Ignore => std::future::pending().await,
        Fate::Refuse(status, pause) => Ok(response(status, pause, String::new())),
        _ => Err(CallError::unanswered("the connection was closed")),
    }
}

/// Decides the outcome of a call. A part is accepted at once; the answer follows.
fn fate(world: &Arc<World>, api: usize, path: &str, request: &Request) -> (Fate, u64, String, String) {
    let now = world.now_ms();
    let mut guard = world.lock();
    let inner = &mut *guard;
    let asked_after = path.strip_prefix("updates/").map(|after| after.parse().expect("a number"));
    inner.smscs[api].attempts += u64::from(asked_after.is_none());
    let within = |windows: &[(u64, u64)]| windows.iter().any(|(from, to)| (*from..*to).contains(&now));
    let plan = &inner.script.channels[api];
    let refused = plan.bindless.iter().find(|(from, to, _)| (*from..*to).contains(&now));
    let forced = match refused {
        _ if within(&plan.closed) => Some(Fate::Unreachable),
        Some((_, _, 0x0E)) => Some(Fate::Refuse(401, 0)),
        Some(_) => Some(Fate::Refuse(503, 0)),
        None => None,
    };
    let answer_ms = inner.rng.pick(&[0, 0, 10, 80, 400]);
    if path == "probe" {
        let fate = forced.unwrap_or(Fate::Take);
        return (fate, answer_ms, String::new(), format!("api{api}: looked at: {fate:?}"));
    }
    let faults = if inner.quiet { 0 } else { plan.faults };
    if let Some(after) = asked_after {
        let (fate, updates) = match forced {
            Some(fate) => (fate, String::new()),
            None if inner.rng.chance(faults / 4) => (Fate::HangUp, String::new()),
            None => (Fate::Take, updates(inner, api, after, now)),
        };
        let line = format!("api{api}: asked for what is after {after}: {fate:?} {updates}");
        return (fate, answer_ms, updates, line);
    }
    let fate = forced.unwrap_or_else(|| Fate::draw(&mut inner.rng, within(&plan.throttling), faults));
    let answer_ms = match fate {
        Fate::TakeLate => 6_000 + inner.rng.below(4_000),
        _ => answer_ms,
    };
    let Some(copy) = read(request, now) else {
        inner.failures.push(format!("the API got what shows no message: {request:?}"));
        return (Fate::Refuse(400, 0), 0, String::new(), String::new());
    };
    let (number, part) = (copy.message, copy.part);
    if !matches!(fate, Fate::Unreachable) {
        inner.smscs[api].arrivals.push(Arrival { at_ms: now, message: number });
    }
    let mut id = String::new();
    if fate.takes() {
        id = inner.smscs[api].take(copy, answer_ms, inner.quiet, &mut inner.rng);
    }
    let line = format!("api{api}: m{number}.{part}: {fate:?} {id} in {answer_ms}");
    (fate, answer_ms, id, line)
}

/// The content of a call.
fn read(request: &Request, now: u64) -> Option<Copy> {
    let Body::Json(json) = &request.body else { return None };
    let said: Value = serde_json::from_str(json).ok()?;
    let text = said["text"].as_str()?;
    // A tag may be cut at either end: the first whole one tells.
    let tagged = text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).next();
    let reference = said["reference"].as_str()?;
    Some(Copy {
        message: tagged.and_then(|(tag, _)| tag.strip_prefix('m')?.parse().ok())?,
        part: reference.rsplit('-').next()?.parse().ok()?,
        id: String::new(),
        at_ms: now,
        text: text.into(),
        customer: said["to"].as_str()?.into(),
        reference: Some(reference.into()),
        state: 1,
    })
}

/// Returns updates after a number. Updates that were not confirmed are returned again.
fn updates(inner: &mut Inner, api: usize, after: u64, now: u64) -> String {
    let mut told = Vec::new();
    for job in 0..inner.smscs[api].jobs.len() {
        let number = match inner.smscs[api].jobs[job].state {
            JobState::With(number) if number <= after => {
                let forgets = !inner.quiet && inner.rng.chance(60);
                let slot = &mut inner.smscs[api].jobs[job];
                slot.acked = true;
                slot.state = if forgets { JobState::Due(now + 1_000) } else { JobState::Done };
                continue;
            }
            JobState::With(number) => number,
            JobState::Due(due) if due <= now => {
                inner.smscs[api].updates += 1;
                inner.smscs[api].updates
            }
            JobState::Due(_) | JobState::Done => continue,
        };
        inner.smscs[api].jobs[job].state = JobState::With(number);
        let (mut update, _) = called_back(inner, api, job);
        update["update"] = number.into();
        told.push((number, update));
    }
    told.sort_by_key(|(number, _)| *number);
    Value::Array(told.into_iter().map(|(_, update)| update).collect()).to_string()
}

/// Calls back, one call after another, as long as the router lives.
pub(crate) async fn call_back(world: Arc<World>, router: Router, api: usize) {
    let caller = u64::MAX - api as u64;
    world.lock().smscs[api].receivers.push(caller);
    let id = channel_id(api).as_str().into();
    loop {
        let notified = world.wakers[api].notified();
        let now = world.now_ms();
        let (job, next) = world.lock().smscs[api].next_job(caller, now);
        let Some(job) = job else {
            tokio::select! {
                biased;
                () = notified => {}
                () = sleep_until(world.instant(next.min(now + 60_000))) => {}
            }
            continue;
        };
        let (body, forgets) = called_back(&mut world.lock(), api, job);
        let operation = match body["word"] {
            Value::Null => Operation::Message,
            _ => Operation::Receipt,
        };
        let _under_way = UnderWay::begin(&world, operation);
        world.note(|| format!("api{api}: calls back {job}: {body}"));
        let call = WebhookCall {
            method: "POST".into(),
            url: "https://patchbay.example/webhooks".into(),
            query: "".into(),
            headers: Vec::new(),
            body: body.to_string().into(),
        };
        let taken = matches!(router.webhook(&id, &call).await, WebhookAnswer::Reply(_));
        let now = world.now_ms();
        let mut inner = world.lock();
        let slot = &mut inner.smscs[api].jobs[job];
        slot.acked |= taken;
        // An answer may be lost on its way: what was taken is then called back again.
        slot.state = if taken && !forgets { JobState::Done } else { JobState::Due(now + 1_000) };
    }
}

fn called_back(inner: &mut Inner, api: usize, job: usize) -> (Value, bool) {
    let forgets = !inner.quiet && inner.rng.chance(60);
    let slot = &mut inner.smscs[api].jobs[job];
    slot.sends += 1;
    let body = match slot.kind.clone() {
        JobKind::Receipt { copy, id, word, with_tlv, .. } => {
            let copy = &inner.smscs[api].copies[copy];
            // Some providers give our own name for a part back, some do not.
            let reference = copy.reference.as_deref().filter(|_| with_tlv);
            json!({ "word": word, "id": id, "customer": copy.customer, "reference": reference })
        }
        JobKind::Mo { mo, .. } => {
            let mo = &inner.script.mos[mo];
            json!({ "id": format!("o{job}"), "customer": mo.customer, "text": mo.text })
        }
    };
    (body, forgets)
}
