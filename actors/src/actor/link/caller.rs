//! Calls of one channel to its provider: timed, counted, kept for people to read. What a part becomes in calls and
//! what their answers mean is the provider's pure side; nothing here knows any provider.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use channels::{
    Attribute, HttpChannel, LinkKind, OutPart, SendError, Sent, SetUp, Step, WebhookUrls,
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
    context::Shared,
    domain::circuit::Verdict,
    protocol::link::{Answer, LinkPart},
    seams::{BoxFuture, Call, CallError, Came},
    view::ExchangeView as Exchange,
};

/// The most calls for one part.
const STEPS_MAX: usize = 8;
/// The most time for all calls of one part, in time limits of one call.
const CONVERSATION_TIMEOUTS: u32 = 4;
/// How long an answer is still waited for when the part is in doubt already.
const LATE_WAIT: Duration = Duration::from_secs(60);
/// Late answers waited for at once, for each connection.
const LATE_PER_CONNECTION: usize = 4;

/// What a channel's calls need. Shared by all calls under way.
pub(crate) struct Caller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: ChannelIx,
    meters: Meters,
    /// Late answers that are waited for.
    late: AtomicUsize,
}

/// What became of a call within its time.
pub(crate) enum Called {
    /// It was answered.
    Answered(Response),
    /// It was not, and will not be.
    Failed(CallError),
    /// It was not in time, but may have been received: an answer may still come.
    Waiting(BoxFuture<'static, Result<Response, CallError>>),
}

/// The end of a conversation about a part.
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) verdict: Verdict,
    /// When it ended in doubt: how an answer may still come.
    pub(crate) late: Option<Late>,
}

/// What a look at the provider showed.
#[derive(Debug)]
pub(crate) struct Look {
    /// Whether it takes the credentials.
    pub(crate) result: Result<(), SendError>,
    pub(crate) verdict: Verdict,
    /// What it says of the account.
    pub(crate) account: Vec<Attribute>,
}

impl Look {
    fn of(result: Result<(), SendError>, verdict: Verdict) -> Self {
        Self { result, verdict, account: Vec::new() }
    }
}

/// An answer that may still come.
pub(crate) struct Late {
    running: BoxFuture<'static, Result<Response, CallError>>,
    request: Arc<Request>,
    answers: Vec<Response>,
}

impl Caller {
    pub(crate) fn new(shared: Arc<Shared>, channel: ChannelIx) -> Option<Self> {
        let meters = Meters::of(shared.channels.get(channel)?.config.id.as_str());
        Some(Self { shared, channel, meters, late: AtomicUsize::new(0) })
    }

    /// The channel's id.
    pub(crate) fn channel_id(&self) -> &str {
        self.shared.channels.get(self.channel).map_or("", |entry| entry.config.id.as_str())
    }

    /// The provider's pure side.
    pub(crate) fn provider(&self) -> Option<(&dyn HttpChannel, &HttpConfig)> {
        let entry = self.shared.channels.get(self.channel)?;
        match entry.channel().link() {
            LinkKind::Http(http) => Some((http, &entry.config.http)),
            LinkKind::Smpp(_) => None,
        }
    }

    /// Performs one call, for a message's part or for none; with what is to be shown of it.
    pub(crate) async fn perform(
        &self,
        call: Call,
        about: Option<(MessageId, u16)>,
        limit: Duration,
    ) -> (Called, Exchange) {
        let began_ms = self.shared.monotonic_ms();
        let exchange = Exchange::begun(&call.request, about, self.shared.now());
        let (request, left) = (call.request.clone(), call.left.clone());
        let mut running = self.shared.seams.client.call(call);
        let result = timeout(limit, &mut running).await;
        let took_ms = self.shared.monotonic_ms().saturating_sub(began_ms);
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
            Called::Answered(response) => {
                exchange.answered(&request, response.status, &response.body, took_ms)
            }
            Called::Failed(error) => exchange.failed(&request, &error.reason, took_ms),
            Called::Waiting(_) => exchange.failed(&request, &no_answer(limit), took_ms),
        };
        (called, exchange)
    }

    /// Keeps what is to be shown of a call.
    pub(crate) fn keep(&self, exchange: Exchange) {
        if let Some(exchanges) = self.shared.exchanges.get(self.channel) {
            exchanges.add(exchange);
        }
    }

    /// Performs a call for a part, and keeps what is to be shown of it.
    async fn call(&self, request: Arc<Request>, part: &LinkPart, limit: Duration) -> Called {
        let Some((_, config)) = self.provider() else {
            return Called::Failed(CallError::unsent("no HTTP provider"));
        };
        let about = Some((part.message.id.clone(), part.token.part.part));
        let (called, exchange) = self.perform(Call::api(request, config.route.clone()), about, limit).await;
        self.keep(exchange);
        called
    }

    /// A call outside of any message. What is to be shown of it is the caller's to keep.
    pub(crate) async fn ask(&self, request: Arc<Request>, limit: Duration) -> (Called, Exchange) {
        let route = self.provider().map(|(_, config)| config.route.clone()).unwrap_or_default();
        self.perform(Call::api(request, route), None, limit).await
    }

    /// Asks whether the provider is there and takes the credentials.
    pub(crate) async fn look(&self, request: Request, limit: Duration) -> Look {
        let Some((http, _)) = self.provider() else { return Look::of(Ok(()), Verdict::Nothing) };
        let request = Arc::new(request);
        let (called, exchange) = self.ask(request.clone(), limit).await;
        self.keep(exchange);
        match called {
            Called::Answered(response) => {
                let result = http.parse_probe(&response).map_err(|error| hidden(error, &request));
                let verdict = result.as_ref().err().map_or(Verdict::There, verdict_of);
                let account = if result.is_ok() { http.parse_account(&response) } else { Vec::new() };
                Look { result, verdict, account }
            }
            Called::Failed(error) => Look::of(Ok(()), Verdict::Silent(error.reason)),
            Called::Waiting(_) => Look::of(Ok(()), Verdict::Silent(no_answer(limit))),
        }
    }

    /// Asks who a customer is.
    pub(crate) async fn profile(&self, request: Request, limit: Duration) -> Vec<Attribute> {
        let (called, exchange) = self.ask(Arc::new(request), limit).await;
        self.keep(exchange);
        match (called, self.provider()) {
            (Called::Answered(response), Some((http, _))) => http.parse_profile(&response),
            _ => Vec::new(),
        }
    }

    /// Tells the provider where it finds us; nothing where that is not done by calls.
    pub(crate) async fn set_up(&self) -> Option<Result<(bool, Box<str>), String>> {
        let (http, config) = self.provider().filter(|(_, config)| config.set_up)?;
        let ours = WebhookUrls {
            webhook_url: config.webhook_url.as_deref().unwrap_or_default(),
            shared_url: config.shared_url.as_deref().unwrap_or_default(),
        };
        let mut answers = Vec::new();
        let mut asked: Option<Arc<Request>> = None;
        while answers.len() < STEPS_MAX {
            let request = match http.set_up(ours, &answers) {
                Ok(None) => return None,
                Ok(Some(SetUp::Done { changed, words })) => return Some(Ok((changed, words))),
                Ok(Some(SetUp::Next(request))) => Arc::new(request),
                Err(error) => {
                    let words = error.to_string();
                    return Some(Err(asked.map_or(words.clone(), |request| request.redacted(&words))));
                }
            };
            let (called, exchange) = self.ask(request.clone(), config.timeout).await;
            self.keep(exchange);
            match called {
                Called::Answered(response) => answers.push(response),
                Called::Failed(error) => return Some(Err(error.reason)),
                Called::Waiting(_) => return Some(Err(no_answer(config.timeout))),
            }
            asked = Some(request);
        }
        Some(Err(format!("no end after {STEPS_MAX} calls")))
    }

    /// Sends a part: calls until the provider took it or said why not.
    pub(crate) async fn send(&self, part: &LinkPart) -> Outcome {
        let Some((http, config)) = self.provider() else {
            return Outcome::of(Answer::NotSent, Verdict::Nothing);
        };
        let reference = part.token.part.to_reference();
        let Some(out) = self.out_part(part, config, &reference) else {
            let cause = Cause::new("400", "the stored message has no such part");
            return Outcome::of(Answer::Refused(SendError::Rejected(cause)), Verdict::Nothing);
        };
        let mut request = match http.send(&out) {
            Ok(request) => Arc::new(request),
            Err(error) => return Outcome::of(Answer::Refused(error), Verdict::Nothing),
        };
        let deadline_ms = self.shared.monotonic_ms().saturating_add(
            u64::try_from(config.timeout.saturating_mul(CONVERSATION_TIMEOUTS).as_millis())
                .unwrap_or(u64::MAX),
        );
        let mut answers = Vec::new();
        // Whether an earlier call may have given the customer something.
        let mut had_effect = false;
        while answers.len() < STEPS_MAX {
            let left_ms = deadline_ms.saturating_sub(self.shared.monotonic_ms());
            let limit = config.timeout.min(Duration::from_millis(left_ms));
            match self.call(request.clone(), part, limit).await {
                Called::Answered(response) => answers.push(response),
                Called::Failed(error) => return failed(error, &request, had_effect),
                Called::Waiting(running) => {
                    let late = Some(Late { running, request, answers });
                    let verdict = Verdict::Silent(no_answer(limit));
                    return Outcome { answer: Answer::Unanswered(DoubtCause::NoAnswer), verdict, late };
                }
            }
            had_effect |= request.effect;
            match http.answer(&out, &answers) {
                Ok(Step::Sent(Sent { id, customer })) => {
                    return Outcome::of(Answer::Taken { id, customer }, Verdict::There);
                }
                Ok(Step::Next(next)) => request = Arc::new(next),
                Err(error) => {
                    let error = hidden(error, &request);
                    let verdict = verdict_of(&error);
                    return Outcome::of(Answer::Refused(error), verdict);
                }
            }
        }
        let cause = Cause::new("steps", format!("no outcome after {STEPS_MAX} calls"));
        let error = if had_effect { SendError::Unknown(cause) } else { SendError::Rejected(cause) };
        Outcome::of(Answer::Refused(error), Verdict::There)
    }

    /// Waits for an answer that is late: whether the provider took the part after all.
    pub(crate) async fn late(&self, part: &LinkPart, late: Late) -> Option<Sent> {
        let (http, config) = self.provider()?;
        let most = config.connections.saturating_mul(LATE_PER_CONNECTION);
        if self.late.fetch_add(1, Ordering::AcqRel) >= most {
            self.late.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let Late { running, request, mut answers } = late;
        let began_ms = self.shared.monotonic_ms();
        let about = Some((part.message.id.clone(), part.token.part.part));
        let exchange = Exchange::begun(&request, about, self.shared.now());
        let result = timeout(LATE_WAIT, running).await;
        self.late.fetch_sub(1, Ordering::AcqRel);
        let response = result.ok()?.ok()?;
        let took_ms = self.shared.monotonic_ms().saturating_sub(began_ms);
        self.keep(exchange.answered(&request, response.status, &response.body, took_ms));
        self.meters.late.increment(1);
        answers.push(response);
        let reference = part.token.part.to_reference();
        let out = self.out_part(part, config, &reference)?;
        match http.answer(&out, &answers) {
            Ok(Step::Sent(sent)) => Some(sent),
            // Not taken, or not known to be: it is in doubt already, and what follows from that has begun.
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
        let now = self.shared.now();
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

impl Outcome {
    fn of(answer: Answer, verdict: Verdict) -> Self {
        Self { answer, verdict, late: None }
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f64())
}

/// What a call without an answer means for its part.
fn failed(error: CallError, request: &Request, had_effect: bool) -> Outcome {
    let cause = || Cause::new("unreachable", error.reason.clone());
    let answer = match error.came {
        Came::Nowhere if !had_effect => {
            // The same each time: another try would only find out again.
            let answer = Answer::Refused(SendError::Rejected(Cause::new("400", error.reason)));
            return Outcome::of(answer, Verdict::Nothing);
        }
        Came::Perhaps if request.effect => Answer::Unanswered(DoubtCause::LinkLost),
        _ if had_effect => Answer::Unanswered(DoubtCause::LinkLost),
        // Waiting for a way is no try, however long it takes: as with a bind that is down.
        Came::Unsent => Answer::NotSent,
        Came::Nowhere | Came::Perhaps => Answer::Refused(SendError::Unavailable(cause())),
    };
    Outcome::of(answer, Verdict::Silent(error.reason))
}

/// What a no says about its provider.
fn verdict_of(error: &SendError) -> Verdict {
    match error {
        SendError::Unavailable(cause) => Verdict::Unavailable(format!("{} ({})", cause.reason, cause.code)),
        _ => Verdict::There,
    }
}

/// A no without what it repeats of the request's secrets.
pub(crate) fn hidden(error: SendError, request: &Request) -> SendError {
    let hidden = |cause: Cause| Cause::new(request.redacted(&cause.code), request.redacted(&cause.reason));
    match error {
        SendError::Unavailable(cause) => SendError::Unavailable(hidden(cause)),
        SendError::RetryOnce(cause) => SendError::RetryOnce(hidden(cause)),
        SendError::Throttled { after_ms, cause } => SendError::Throttled { after_ms, cause: hidden(cause) },
        SendError::Rejected(cause) => SendError::Rejected(hidden(cause)),
        SendError::Unsubscribed(cause) => SendError::Unsubscribed(hidden(cause)),
        SendError::CredentialsRefused(cause) => SendError::CredentialsRefused(hidden(cause)),
        SendError::Unknown(cause) => SendError::Unknown(hidden(cause)),
    }
}

/// The channel's calls, counted by what came of them.
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
