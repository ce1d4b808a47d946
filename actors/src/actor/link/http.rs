//! The link of an HTTP channel: runs a limited number of calls at once, leaves a silent provider
//! alone for a while, and longer one that refuses the credentials. Each part gets exactly one
//! answer. Denied access is confirmed by the provider's probe before anything is concluded.

use std::{sync::Arc, time::Duration};

use channels::{SendError, http::Request};
use message::event::{Cause, DoubtCause};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use storage::invariant;
use tokio::task::{AbortHandle, JoinHandle};

use crate::{
    actor::link::{
        LinkArguments,
        caller::{Caller, ProbeReport, Registration},
        note::{HttpLinkInput, LinkNote},
        poll::Poll,
    },
    domain::{
        backoff::{Backoff, CREDENTIALS},
        circuit::{Asked, Circuit, Turn, Verdict},
    },
    protocol::{
        channel::ChannelMessage,
        link::{LinkCommand, LinkEvent, LinkPart, LinkReport, LinkStatus, LinkToken, PartAnswer},
        recipient::Recipient,
    },
    view::SetUpView,
};

mod denied;

/// Maximum time of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of calls at once that carry no message; further ones are dropped.
const FIRE_AND_FORGET_MAX: usize = 16;
/// First pause before another attempt to register the webhook, in milliseconds.
const REGISTRATION_FIRST_MS: u64 = 1_000;
/// Longest pause before another attempt to register the webhook, in milliseconds.
const REGISTRATION_MAX_MS: u64 = 600_000;
/// Minimum time between two checks of a registration that succeeded, in milliseconds.
const REGISTRATION_CHECK_MS: u64 = 60_000;

pub(crate) struct HttpLink;

pub(crate) struct HttpLinkState {
    caller: Arc<Caller>,
    myself: ActorRef<HttpLinkInput>,
    owner: Recipient<ChannelMessage>,
    link: u16,
    run: u32,
    circuit: Circuit,
    /// The number of calls in flight that carry no message.
    in_flight: usize,
    /// The number of the newest probe; the results of others are ignored.
    probe: u32,
    attempts: u32,
    /// Whether nothing is known of the provider yet.
    is_new: bool,
    /// Why the provider was last left alone.
    reason: String,
    /// The number of restarts by an operator.
    epoch: u32,
    /// Counts restarts, stops and recoveries. The answer to a call of an earlier era says nothing
    /// about the provider now.
    era: u32,
    /// Parts to which access was denied, which await the probe.
    denied: Vec<(LinkToken, Cause)>,
    /// Whether access to a poll was denied, which awaits the probe.
    poll_denied: Option<Cause>,
    /// The number of denied parts that the probe under way decides.
    confirming: Option<usize>,
    /// Pauses after refused credentials.
    refusals: Backoff,
    /// Whether it stays away because the credentials are refused.
    is_suspended: bool,
    is_stopped: bool,
    poller: Option<Poller>,
    registration: RegistrationState,
}

/// Whether the webhook is registered with the provider.
#[derive(Debug)]
struct RegistrationState {
    is_done: bool,
    is_running: bool,
    /// When it last succeeded, in monotonic milliseconds.
    done_ms: u64,
    backoff: Backoff,
}

/// Polls for updates until it is dropped.
struct Poller(AbortHandle);

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for HttpLink {
    type Msg = HttpLinkInput;
    type State = HttpLinkState;
    type Arguments = LinkArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<HttpLinkInput>,
        arguments: LinkArguments,
    ) -> Result<HttpLinkState, ActorProcessingErr> {
        let LinkArguments { context, channel, link, run, epoch, owner } = arguments;
        let caller = Arc::new(Caller::new(context, channel).ok_or("no such channel")?);
        caller.provider().ok_or("no HTTP provider")?;
        myself.cast(HttpLinkInput::ProbeDue(0))?;
        Ok(HttpLinkState {
            caller,
            myself,
            owner,
            link,
            run,
            circuit: Circuit::new(),
            in_flight: 0,
            probe: 0,
            attempts: 0,
            is_new: true,
            reason: String::new(),
            epoch,
            era: 0,
            denied: Vec::new(),
            poll_denied: None,
            confirming: None,
            refusals: CREDENTIALS,
            is_suspended: false,
            is_stopped: false,
            poller: None,
            registration: RegistrationState {
                is_done: false,
                is_running: false,
                done_ms: 0,
                backoff: Backoff::new(REGISTRATION_FIRST_MS, REGISTRATION_MAX_MS),
            },
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<HttpLinkInput>,
        input: HttpLinkInput,
        state: &mut HttpLinkState,
    ) -> Result<(), ActorProcessingErr> {
        match input {
            HttpLinkInput::Command(command) => state.on_command(command),
            HttpLinkInput::ProbeDue(probe) => {
                if probe == state.probe && !state.is_stopped {
                    state.probe();
                }
            }
            HttpLinkInput::RegistrationDue => state.register(),
            HttpLinkInput::Note(note) => state.on_note(note),
        }
        Ok(())
    }
}

/// Answers a part: a drop guard, so that a task which ends without an answer counts as
/// `Unanswered`.
struct AnswerGuard {
    myself: ActorRef<HttpLinkInput>,
    token: LinkToken,
    era: u32,
    is_answered: bool,
}

impl AnswerGuard {
    fn answer(&mut self, answer: PartAnswer, verdict: Verdict) {
        self.is_answered = true;
        note(&self.myself, LinkNote::Part(self.token, answer, verdict, self.era));
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        if !self.is_answered {
            self.answer(PartAnswer::Unanswered(DoubtCause::LinkLost), Verdict::Nothing);
        }
    }
}

impl HttpLinkState {
    fn on_command(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Submit(parts) => self.submit(parts),
            LinkCommand::Restart { epoch } => self.restart(epoch),
            LinkCommand::Suspend(cause) => self.suspend(&cause),
            LinkCommand::Stop => {
                self.is_stopped = true;
                self.begin_era();
                let reason = "stopped".to_owned();
                let stopped = self.trying(LinkStatus::Stopped, reason.clone());
                self.report(vec![LinkEvent::Down { reason }, stopped]);
            }
            LinkCommand::FireAndForget(request) => self.fire_and_forget(*request),
            LinkCommand::Profile(customer, request) => self.ask_profile(customer, *request),
            // Only SMPP links have deliveries and queries.
            LinkCommand::Acknowledge(_) | LinkCommand::Query(_) => {}
        }
    }

    fn report(&self, events: Vec<LinkEvent>) {
        self.owner.tell(ChannelMessage::FromLink(LinkReport { link: self.link, run: self.run, events }));
    }

    fn trying(&self, status: LinkStatus, reason: String) -> LinkEvent {
        LinkEvent::Trying { attempts: self.attempts, status, reason, next_ms: None }
    }

    fn window(&self) -> usize {
        self.caller.provider().map_or(1, |(_, config)| config.connections.max(1))
    }

    fn submit(&mut self, parts: Vec<LinkPart>) {
        if self.is_stopped || !self.circuit.lets_through() {
            let unsent = parts.iter().map(|p| LinkEvent::Answered(p.token, PartAnswer::NotSent));
            return self.report(unsent.collect());
        }
        for part in parts {
            let caller = self.caller.clone();
            let (myself, token, era) = (self.myself.clone(), part.token, self.era);
            let mut guard = AnswerGuard { myself, token, era, is_answered: false };
            run(async move {
                let ended = caller.send(&part).await;
                guard.answer(ended.answer, ended.verdict);
                if let Some(late) = ended.late
                    && let Some(sent) = caller.wait_late(&part, late).await
                {
                    let answer = PartAnswer::AcceptedLate { id: sent.id, customer: sent.customer };
                    note(&guard.myself, LinkNote::Late(part.token, answer));
                }
            });
        }
    }

    fn on_note(&mut self, note: LinkNote) {
        match note {
            LinkNote::Part(token, answer, verdict, era) => self.on_part(token, answer, &verdict, era),
            LinkNote::Late(token, answer) => {
                let mut events = vec![LinkEvent::Answered(token, answer)];
                // It was begun before the credentials were refused.
                if !self.is_suspended {
                    self.on_verdict(Asked::Part, &Verdict::There, &mut events);
                }
                self.report(events);
            }
            LinkNote::Probe(probe, report) => {
                if probe == self.probe && !self.is_stopped {
                    self.on_probe(report);
                }
            }
            LinkNote::Poll(verdict, era) => {
                if era != self.era {
                    return;
                }
                let mut events = Vec::new();
                self.on_verdict(Asked::Look, &verdict, &mut events);
                if !events.is_empty() {
                    self.report(events);
                }
            }
            LinkNote::PollDenied(cause, era) => {
                if era == self.era {
                    self.poll_denied = Some(cause);
                    self.confirm();
                }
            }
            LinkNote::Confirmed(report, era) => {
                if era == self.era {
                    self.on_confirmed(report);
                }
            }
            LinkNote::Registration(outcome) => self.on_registration(outcome),
            LinkNote::Profile(customer, said) => {
                self.end_extra();
                self.report(vec![LinkEvent::Profile(customer, said)]);
            }
            LinkNote::FireAndForget => self.end_extra(),
        }
    }

    /// Applies a verdict on the provider to the whole link.
    fn on_verdict(&mut self, asked: Asked, verdict: &Verdict, events: &mut Vec<LinkEvent>) {
        if self.is_stopped {
            return;
        }
        match self.circuit.learn(asked, verdict) {
            Turn::Stay => {}
            Turn::Close => {
                self.attempts = 0;
                self.is_suspended = false;
                if asked == Asked::Part {
                    self.refusals.reset();
                }
                self.register();
                events.push(LinkEvent::Up { window: self.window() });
            }
            Turn::Half => {
                self.is_suspended = false;
                events.push(LinkEvent::Up { window: 1 });
            }
            Turn::TryAgain => events.push(LinkEvent::Trial),
            Turn::Open(pause) => {
                // The provider may have lost the registration.
                self.registration.is_done = false;
                if let Verdict::Silent(why) | Verdict::Unavailable(why) = verdict {
                    self.reason.clone_from(why);
                }
                let pause = self.caller.context.with_jitter(pause);
                let reason = format!("{}; next try in {} s", self.reason, pause.div_ceil(1_000));
                events.push(LinkEvent::Down { reason: reason.clone() });
                let (attempts, status, next_ms) = (self.attempts, LinkStatus::Waiting, Some(pause));
                events.push(LinkEvent::Trying { attempts, status, reason, next_ms });
                self.probe_after(pause);
            }
        }
    }

    /// Finds out whether the provider is there: by a harmless call if it has one, else by the next
    /// part.
    fn probe(&mut self) {
        self.probe = self.probe.wrapping_add(1);
        self.attempts = self.attempts.saturating_add(1);
        let was_new = std::mem::take(&mut self.is_new);
        let Some((http, config)) = self.caller.provider() else { return };
        let Some(request) = http.probe() else { return self.go_without_probe(was_new) };
        let channel = self.caller.channel_id().to_owned();
        metrics::counter!("patchbay_link_attempts_total", "channel" => channel).increment(1);
        let limit = config.timeout.min(PROBE_TIMEOUT);
        if was_new {
            self.report(vec![self.trying(LinkStatus::Connecting, String::new())]);
        }
        let (caller, myself, probe) = (self.caller.clone(), self.myself.clone(), self.probe);
        run(async move {
            let report = caller.probe(request, limit).await;
            note(&myself, LinkNote::Probe(probe, report));
        });
    }

    fn go_without_probe(&mut self, was_new: bool) {
        self.circuit.trial();
        let events = if was_new {
            // Nothing speaks against the provider.
            self.circuit.learn(Asked::Look, &Verdict::There);
            self.register();
            vec![LinkEvent::Up { window: self.window() }]
        } else {
            let reason = format!("{}; the next message will show", self.reason);
            let status = if self.is_suspended { LinkStatus::Stopped } else { LinkStatus::Waiting };
            // Where updates are polled, a poll shows it as well.
            if self.is_suspended {
                self.poll();
            }
            vec![self.trying(status, reason), LinkEvent::Trial]
        };
        self.report(events);
    }

    fn on_probe(&mut self, report: ProbeReport) {
        let ProbeReport { result, verdict, account: facts, mismatch } = report;
        match result {
            Err(SendError::CredentialsRefused(cause)) => return self.refuse(cause),
            Err(SendError::Unavailable(_) | SendError::Throttled { .. }) if self.is_suspended => {
                return self.wait_suspended();
            }
            // The probe is denied for itself, or not understood: a part decides.
            Err(_) if self.is_suspended => return self.go_without_probe(false),
            Ok(()) if self.is_suspended && verdict != Verdict::There => return self.wait_suspended(),
            Err(_) | Ok(()) => {}
        }
        if self.is_suspended {
            self.is_suspended = false;
            self.begin_era();
        }
        self.circuit.trial();
        // Polling begins with it, and a poll may show that the provider is back.
        if !matches!(verdict, Verdict::Silent(_)) {
            self.register();
        }
        if matches!(verdict, Verdict::Unavailable(_) | Verdict::Nothing) {
            // The provider answers, so it may accept a part all the same.
            return self.report(vec![LinkEvent::Trial]);
        }
        let mut events = vec![LinkEvent::Account { facts, mismatch }];
        self.on_verdict(Asked::Look, &verdict, &mut events);
        self.report(events);
    }

    /// Registers the webhook with the provider, unless that is done. Only the first poll waits for
    /// it, and its failure stops nothing.
    fn register(&mut self) {
        if self.registration.is_done || self.registration.is_running || self.is_stopped {
            return;
        }
        self.registration.is_running = true;
        let (caller, myself) = (self.caller.clone(), self.myself.clone());
        run(async move {
            let outcome = caller.register().await;
            note(&myself, LinkNote::Registration(outcome));
        });
    }

    /// Checks the registration again: a provider that cannot send may have lost it (Viber says so).
    fn check_registration(&mut self) {
        let now_ms = self.caller.context.monotonic_ms();
        let age_ms = now_ms.saturating_sub(self.registration.done_ms);
        if self.registration.is_done && age_ms >= REGISTRATION_CHECK_MS {
            self.registration.is_done = false;
            self.register();
        }
    }

    fn on_registration(&mut self, outcome: Registration) {
        self.registration.is_running = false;
        self.registration.is_done = !matches!(outcome, Registration::Failed(_));
        self.registration.done_ms = self.caller.context.monotonic_ms();
        if !self.is_stopped && !self.is_suspended {
            self.poll();
        }
        let channel = self.caller.channel_id();
        let (status, detail) = match outcome {
            Registration::NotNeeded => return,
            Registration::Done { changed, words } => {
                self.registration.backoff.reset();
                tracing::info!(channel, changed, %words, "webhook registered");
                (if changed { "changed" } else { "unchanged" }, words.into())
            }
            Registration::Failed(why) => {
                let pause = self.caller.context.with_jitter(self.registration.backoff.next_ms());
                let due = || HttpLinkInput::RegistrationDue;
                self.myself.send_after(Duration::from_millis(pause), due);
                tracing::warn!(channel, why, "webhook registration failed");
                ("failed", format!("{why}; next try in {} s", pause.div_ceil(1_000)))
            }
        };
        let labels = [("channel", channel.to_owned()), ("outcome", status.to_owned())];
        metrics::counter!("patchbay_set_ups_total", &labels).increment(1);
        let at = self.caller.context.now();
        self.report(vec![LinkEvent::Registered(SetUpView { status, detail, at })]);
    }

    /// Begins to poll, if the provider does not call webhooks.
    fn poll(&mut self) {
        let polls = self.caller.provider().is_some_and(|(http, _)| http.poll(None).is_some());
        if polls && self.poller.is_none() {
            let (caller, owner, link) = (self.caller.clone(), self.owner.clone(), self.myself.clone());
            let handle = run(Poll { caller, owner, link, era: self.era }.run());
            self.poller = Some(Poller(handle.abort_handle()));
        }
    }

    /// Whether calls that carry no message are dropped.
    fn is_busy(&self) -> bool {
        self.is_stopped || !self.circuit.is_closed() || self.in_flight >= FIRE_AND_FORGET_MAX
    }

    /// Counts the end of a call that carried no message.
    fn end_extra(&mut self) {
        let in_flight = self.in_flight;
        invariant!(in_flight > 0, "a call of link {} ends that was not begun", self.link);
        self.in_flight = in_flight.saturating_sub(1);
    }

    /// Asks for a customer's profile; no message waits for it.
    fn ask_profile(&mut self, customer: Arc<str>, request: Request) {
        let Some((_, config)) = self.caller.provider().filter(|_| !self.is_busy()) else { return };
        let limit = config.timeout;
        self.in_flight += 1;
        let (caller, myself) = (self.caller.clone(), self.myself.clone());
        run(async move {
            let said = caller.profile(request, limit).await;
            note(&myself, LinkNote::Profile(customer, said));
        });
    }

    /// Makes a call whose outcome changes nothing.
    fn fire_and_forget(&mut self, request: Request) {
        let Some((_, config)) = self.caller.provider().filter(|_| !self.is_busy()) else { return };
        let limit = config.timeout;
        self.in_flight += 1;
        let (caller, myself) = (self.caller.clone(), self.myself.clone());
        run(async move {
            let (_ignored, exchange) = caller.ask(Arc::new(request), limit).await;
            caller.keep(exchange);
            note(&myself, LinkNote::FireAndForget);
        });
    }
}

fn note(link: &ActorRef<HttpLinkInput>, note: LinkNote) {
    let _link_gone = link.cast(HttpLinkInput::Note(note));
}

/// Runs a task beside the actor.
fn run(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[allow(clippy::disallowed_methods, reason = "the task reports its end to its link")]
    tokio::spawn(task)
}
