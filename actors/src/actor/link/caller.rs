//! The calls of one channel to its provider: timed, counted and traced. The provider's pure side
//! makes the calls of a part and reads their answers; nothing here knows any provider.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use channels::{
    Attribute, HttpChannel, OutPart, SendError, Sent, SetUp, Step, WebhookUrls,
    http::{Request, Response},
};
use message::{
    MessageId,
    event::{Cause, DoubtCause},
};
use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::timeout;

use crate::{
    config::{ChannelIx, HttpConfig},
    context::Context,
    domain::circuit::Verdict,
    protocol::link::{LinkPart, PartAnswer},
    seams::{BoxFuture, Call, CallError, Came},
    view::ExchangeView,
};

/// Maximum number of calls for one part; a part that needs more fails.
const STEPS_MAX: usize = 8;
/// Maximum time for all calls of one part, as a multiple of the time limit of one call.
const CONVERSATION_TIMEOUTS: u32 = 4;
/// How long to wait for the answer about a part that is in doubt already.
const LATE_WAIT: Duration = Duration::from_secs(60);
/// Maximum number of late answers waited for at once, for each connection; others are dropped.
const LATE_PER_CONNECTION: usize = 4;

/// Makes the calls of one channel; shared by all calls in flight.
pub(crate) struct Caller {
    pub(crate) context: Arc<Context>,
    pub(crate) channel: ChannelIx,
    meters: Meters,
    /// The number of late answers waited for.
    late: AtomicUsize,
}

/// The outcome of a call within its time limit.
pub(crate) enum Called {
    /// The provider answered.
    Answered(Response),
    /// No answer came, and none will.
    Failed(CallError),
    /// No answer came in time, but the provider may have received it: one may still come.
    Waiting(BoxFuture<'static, Result<Response, CallError>>),
}

/// The end of the calls for a part.
pub(crate) struct Ended {
    pub(crate) answer: PartAnswer,
    pub(crate) verdict: Verdict,
    /// The answer that may still come, if the part is in doubt.
    pub(crate) late: Option<Late>,
}

/// The result of a probe.
#[derive(Debug)]
pub(crate) struct ProbeReport {
    /// Whether the provider accepts the credentials.
    pub(crate) result: Result<(), SendError>,
    pub(crate) verdict: Verdict,
    /// Facts about the account.
    pub(crate) account: Vec<Attribute>,
    /// Which of our own addresses the account does not have, and the fix.
    pub(crate) mismatch: Option<String>,
}

impl ProbeReport {
    fn of(result: Result<(), SendError>, verdict: Verdict) -> Self {
        Self { result, verdict, account: Vec::new(), mismatch: None }
    }
}

/// The outcome of registering the webhook.
#[derive(Debug)]
pub(crate) enum Registration {
    /// The provider is not told by calls.
    NotNeeded,
    /// The provider knows the webhook; `changed` tells whether it had to be changed.
    Done { changed: bool, words: Box<str> },
    /// The provider could not be told, for this reason.
    Failed(String),
}

/// An answer that may still come.
pub(crate) struct Late {
    running: BoxFuture<'static, Result<Response, CallError>>,
    request: Arc<Request>,
    answers: Vec<Response>,
}

impl Caller {
    pub(crate) fn new(context: Arc<Context>, channel: ChannelIx) -> Option<Self> {
        let meters = Meters::of(context.directory.channel(channel)?.config.id.as_str());
        Some(Self { context, channel, meters, late: AtomicUsize::new(0) })
    }

    /// The channel's id.
    pub(crate) fn channel_id(&self) -> &str {
        self.context.directory.channel(self.channel).map_or("", |entry| entry.config.id.as_str())
    }

    /// The provider's pure side.
    pub(crate) fn provider(&self) -> Option<(&dyn HttpChannel, &HttpConfig)> {
        let entry = self.context.directory.channel(self.channel)?;
        Some((entry.http()?, &entry.config.http))
    }

    /// Makes one call, for a message's part or for none, and returns its trace with its outcome.
    pub(crate) async fn call_once(
        &self,
        call: Call,
        about: Option<(MessageId, u16)>,
        limit: Duration,
    ) -> (Called, ExchangeView) {
        let began_ms = self.context.monotonic_ms();
        let exchange = ExchangeView::begun(&call.request, about, self.context.now());
        let (request, left) = (call.request.clone(), call.left.clone());
        let mut running = self.context.seams.client.call(call);
        let result = timeout(limit, &mut running).await;
        let took_ms = self.context.monotonic_ms().saturating_sub(began_ms);
        let called = match result {
            Ok(Ok(response)) => Called::Answered(response),
            Ok(Err(mut error)) => {
                error.reason = request.redacted(&error.reason);
                Called::Failed(error)
            }
            Err(_) if left.get() && request.effect => Called::Waiting(running),
            Err(_) if left.get() => Called::Failed(CallError::unanswered(no_answer(limit))),
            Err(_) => Called::Failed(CallError::unsent(no_answer(limit))),
        };
        self.meters.count(&called, took_ms);
        let exchange = match &called {
            Called::Answered(response) => exchange.answered(&request, response, took_ms),
            Called::Failed(error) => exchange.failed(&request, &error.reason, took_ms),
            Called::Waiting(_) => exchange.failed(&request, &no_answer(limit), took_ms),
        };
        (called, exchange)
    }

    /// Keeps the trace of a call.
    pub(crate) fn keep(&self, exchange: ExchangeView) {
        if let Some(entry) = self.context.directory.channel(self.channel) {
            entry.trace.add(exchange);
        }
    }

    /// Makes a call for a part, and keeps its trace.
    async fn call_for(&self, request: Arc<Request>, part: &LinkPart, limit: Duration) -> Called {
        let Some((_, config)) = self.provider() else {
            return Called::Failed(CallError::unsent("no HTTP provider"));
        };
        let about = Some((part.message.id.clone(), part.token.part.part));
        let (called, exchange) = self.call_once(Call::api(request, config.route.clone()), about, limit).await;
        self.keep(exchange);
        called
    }

    /// Makes a call outside of any message. The caller decides whether to keep its trace.
    pub(crate) async fn ask(&self, request: Arc<Request>, limit: Duration) -> (Called, ExchangeView) {
        let route = self.provider().map(|(_, config)| config.route.clone()).unwrap_or_default();
        self.call_once(Call::api(request, route), None, limit).await
    }

    /// Asks whether the provider is there and accepts the credentials.
    pub(crate) async fn probe(&self, request: Request, limit: Duration) -> ProbeReport {
        let Some((http, _)) = self.provider() else { return ProbeReport::of(Ok(()), Verdict::Nothing) };
        let request = Arc::new(request);
        let (called, exchange) = self.ask(request.clone(), limit).await;
        self.keep(exchange);
        match called {
            Called::Answered(response) => {
                let result = http.parse_probe(&response).map_err(|error| hidden(error, &request));
                let verdict = result.as_ref().err().map_or(Verdict::There, verdict_of);
                let mut report = ProbeReport::of(result, verdict);
                if report.result.is_ok() {
                    report.account = http.parse_account(&response);
                    report.mismatch = self.mismatch(http, &response, limit).await;
                }
                report
            }
            Called::Failed(error) => ProbeReport::of(Ok(()), Verdict::Silent(error.reason)),
            Called::Waiting(_) => ProbeReport::of(Ok(()), Verdict::Silent(no_answer(limit))),
        }
    }

    /// Compares our own addresses with those that the provider states, in its answer to the probe
    /// or to a call for them.
    async fn mismatch(&self, http: &dyn HttpChannel, probed: &Response, limit: Duration) -> Option<String> {
        let config = &self.context.directory.channel(self.channel)?.config;
        let own = match http.ask_addresses() {
            None => http.parse_addresses(probed)?,
            Some(request) => {
                let (called, exchange) = self.ask(Arc::new(request), limit).await;
                self.keep(exchange);
                let Called::Answered(response) = called else { return None };
                http.parse_addresses(&response)?
            }
        };
        channels::mismatch(&*config.channel, config.dids.iter().map(|did| &*did.number), &own)
    }

    /// Asks for a customer's attributes; empty when the provider gives none.
    pub(crate) async fn profile(&self, request: Request, limit: Duration) -> Vec<Attribute> {
        let (called, exchange) = self.ask(Arc::new(request), limit).await;
        self.keep(exchange);
        match (called, self.provider()) {
            (Called::Answered(response), Some((http, _))) => http.parse_profile(&response),
            _ => Vec::new(),
        }
    }

    /// Registers the webhook with the provider, where that is done by calls.
    pub(crate) async fn register(&self) -> Registration {
        let Some((http, config)) = self.provider().filter(|(_, config)| config.set_up) else {
            return Registration::NotNeeded;
        };
        let ours = WebhookUrls {
            webhook_url: config.webhook_url.as_deref().unwrap_or_default(),
            shared_url: config.shared_url.as_deref().unwrap_or_default(),
        };
        let mut answers = Vec::new();
        let mut asked: Option<Arc<Request>> = None;
        while answers.len() < STEPS_MAX {
            let request = match http.set_up(ours, &answers) {
                Ok(None) => return Registration::NotNeeded,
                Ok(Some(SetUp::Done { changed, words })) => return Registration::Done { changed, words },
                Ok(Some(SetUp::Next(request))) => Arc::new(request),
                Err(error) => {
                    let words = error.to_string();
                    let hidden = asked.map_or(words.clone(), |request| request.redacted(&words));
                    return Registration::Failed(hidden);
                }
            };
            let (called, exchange) = self.ask(request.clone(), config.timeout).await;
            self.keep(exchange);
            match called {
                Called::Answered(response) => answers.push(response),
                Called::Failed(error) => return Registration::Failed(error.reason),
                Called::Waiting(_) => return Registration::Failed(no_answer(config.timeout)),
            }
            asked = Some(request);
        }
        Registration::Failed(format!("no end after {STEPS_MAX} calls"))
    }

    /// Sends a part: makes calls until the provider accepts or refuses it.
    pub(crate) async fn send(&self, part: &LinkPart) -> Ended {
        let Some((http, config)) = self.provider() else {
            return Ended::of(PartAnswer::NotSent, Verdict::Nothing);
        };
        let reference = part.token.part.to_reference();
        let Some(out) = self.out_part(part, config, &reference) else {
            let cause = Cause::new("400", "the stored message has no such part");
            return Ended::of(PartAnswer::Refused(SendError::Rejected(cause)), Verdict::Nothing);
        };
        let mut request = match http.send(&out) {
            Ok(request) => Arc::new(request),
            Err(error) => return Ended::of(PartAnswer::Refused(error), Verdict::Nothing),
        };
        let deadline_ms = self.context.monotonic_ms().saturating_add(
            u64::try_from(config.timeout.saturating_mul(CONVERSATION_TIMEOUTS).as_millis())
                .unwrap_or(u64::MAX),
        );
        let mut answers = Vec::new();
        // Whether an earlier call may have sent the customer something.
        let mut had_effect = false;
        while answers.len() < STEPS_MAX {
            let left_ms = deadline_ms.saturating_sub(self.context.monotonic_ms());
            let limit = config.timeout.min(Duration::from_millis(left_ms));
            match self.call_for(request.clone(), part, limit).await {
                Called::Answered(response) => answers.push(response),
                Called::Failed(error) => return failed(error, &request, had_effect),
                Called::Waiting(running) => {
                    let late = Some(Late { running, request, answers });
                    let verdict = Verdict::Silent(no_answer(limit));
                    return Ended { answer: PartAnswer::Unanswered(DoubtCause::NoAnswer), verdict, late };
                }
            }
            had_effect |= request.effect;
            match http.answer(&out, &answers) {
                Ok(Step::Sent(Sent { id, customer })) => {
                    return Ended::of(PartAnswer::Accepted { id, customer }, Verdict::There);
                }
                Ok(Step::Next(next)) => request = Arc::new(next),
                Err(error) => {
                    let error = hidden(error, &request);
                    let verdict = verdict_of(&error);
                    return Ended::of(PartAnswer::Refused(error), verdict);
                }
            }
        }
        let cause = Cause::new("steps", format!("no outcome after {STEPS_MAX} calls"));
        let error = if had_effect { SendError::Unknown(cause) } else { SendError::Rejected(cause) };
        Ended::of(PartAnswer::Refused(error), Verdict::There)
    }

    /// Waits for a late answer; returns `Some` if the provider accepted the part after all.
    pub(crate) async fn wait_late(&self, part: &LinkPart, late: Late) -> Option<Sent> {
        let (http, config) = self.provider()?;
        let most = config.connections.saturating_mul(LATE_PER_CONNECTION);
        if self.late.fetch_add(1, Ordering::AcqRel) >= most {
            self.late.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let Late { running, request, mut answers } = late;
        let began_ms = self.context.monotonic_ms();
        let about = Some((part.message.id.clone(), part.token.part.part));
        let exchange = ExchangeView::begun(&request, about, self.context.now());
        let result = timeout(LATE_WAIT, running).await;
        self.late.fetch_sub(1, Ordering::AcqRel);
        let response = result.ok()?.ok()?;
        let took_ms = self.context.monotonic_ms().saturating_sub(began_ms);
        self.keep(exchange.answered(&request, &response, took_ms));
        self.meters.late.increment(1);
        answers.push(response);
        let reference = part.token.part.to_reference();
        let out = self.out_part(part, config, &reference)?;
        match http.answer(&out, &answers) {
            Ok(Step::Sent(sent)) => Some(sent),
            // Not accepted, or unknown: the part is in doubt already, and stays so.
            Ok(Step::Next(_)) | Err(_) => None,
        }
    }

    fn out_part<'a>(
        &self,
        part: &'a LinkPart,
        config: &'a HttpConfig,
        reference: &'a str,
    ) -> Option<OutPart<'a>> {
        let message = &part.message;
        let now = self.context.now();
        Some(OutPart {
            customer: &message.customer,
            customer_shown: &message.customer_shown,
            did: &message.did,
            content: message.content.part(part.token.part.part)?,
            reference,
            webhook_url: config.webhook_url.as_deref().unwrap_or_default(),
            reply_to: message.reply_to.as_deref(),
            valid_s: message.expires_at.map(|at| at.since_ms(now) / 1_000),
            now_ms: i64::try_from(now.0).unwrap_or(i64::MAX),
        })
    }
}

impl Ended {
    fn of(answer: PartAnswer, verdict: Verdict) -> Self {
        Self { answer, verdict, late: None }
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f64())
}

/// Returns the outcome of a part whose call got no answer.
fn failed(error: CallError, request: &Request, had_effect: bool) -> Ended {
    let cause = || Cause::new("unreachable", error.reason.clone());
    let answer = match error.came {
        Came::Nowhere if !had_effect => {
            // Another attempt would fail in the same way.
            let answer = PartAnswer::Refused(SendError::Rejected(Cause::new("400", error.reason)));
            return Ended::of(answer, Verdict::Nothing);
        }
        Came::Perhaps if request.effect => PartAnswer::Unanswered(DoubtCause::LinkLost),
        _ if had_effect => PartAnswer::Unanswered(DoubtCause::LinkLost),
        // Nothing left this machine, so it does not count as an attempt.
        Came::Unsent => PartAnswer::NotSent,
        Came::Nowhere | Came::Perhaps => PartAnswer::Refused(SendError::Unavailable(cause())),
    };
    Ended::of(answer, Verdict::Silent(error.reason))
}

/// Returns what a refusal shows of the provider.
fn verdict_of(error: &SendError) -> Verdict {
    match error {
        SendError::Unavailable(cause) => Verdict::Unavailable(format!("{} ({})", cause.reason, cause.code)),
        // Its probe tells more.
        SendError::Forbidden(_) | SendError::CredentialsRefused(_) => Verdict::Nothing,
        _ => Verdict::There,
    }
}

/// Removes the request's secrets from a refusal.
pub(crate) fn hidden(error: SendError, request: &Request) -> SendError {
    let hidden = |cause: Cause| Cause::new(request.redacted(&cause.code), request.redacted(&cause.reason));
    match error {
        SendError::Unavailable(cause) => SendError::Unavailable(hidden(cause)),
        SendError::RetryOnce(cause) => SendError::RetryOnce(hidden(cause)),
        SendError::Throttled { after_ms, cause } => SendError::Throttled { after_ms, cause: hidden(cause) },
        SendError::CustomerThrottled { after_ms, cause } => {
            SendError::CustomerThrottled { after_ms, cause: hidden(cause) }
        }
        SendError::Busy { after_ms, cause } => SendError::Busy { after_ms, cause: hidden(cause) },
        SendError::Rejected(cause) => SendError::Rejected(hidden(cause)),
        SendError::Unsubscribed(cause) => SendError::Unsubscribed(hidden(cause)),
        SendError::Forbidden(cause) => SendError::Forbidden(hidden(cause)),
        SendError::CredentialsRefused(cause) => SendError::CredentialsRefused(hidden(cause)),
        SendError::Unknown(cause) => SendError::Unknown(hidden(cause)),
    }
}

/// Counters of the channel's calls, by outcome.
struct Meters {
    ok: Counter,
    refused: Counter,
    throttled: Counter,
    unavailable: Counter,
    unsent: Counter,
    unanswered: Counter,
    late: Counter,
    seconds: Histogram,
}

impl Meters {
    fn of(channel: &str) -> Self {
        let of = |outcome: &'static str| counter!("patchbay_calls_total", "channel" => channel.to_owned(), "outcome" => outcome);
        Self {
            ok: of("2xx"),
            refused: of("4xx"),
            throttled: of("429"),
            unavailable: of("5xx"),
            unsent: of("unsent"),
            unanswered: of("unanswered"),
            late: of("late"),
            seconds: histogram!("patchbay_call_seconds", "channel" => channel.to_owned()),
        }
    }

    fn count(&self, called: &Called, took_ms: u64) {
        let counter = match called {
            Called::Answered(response) => match response.status {
                0..=399 => &self.ok,
                429 => &self.throttled,
                400..=499 => &self.refused,
                _ => &self.unavailable,
            },
            Called::Failed(error) if !error.left() => &self.unsent,
            Called::Failed(_) | Called::Waiting(_) => &self.unanswered,
        };
        counter.increment(1);
        self.seconds.record(took_ms as f64 / 1_000.0);
    }
}
