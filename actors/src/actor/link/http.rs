//! The link of an HTTP channel: lets so many conversations run at once, leaves a silent provider alone for a while,
//! and stays away when the credentials are refused. Every part it is given gets an answer, whatever happens.

use std::{sync::Arc, time::Duration};

use channels::{SendError, http::Request};
use message::event::{Cause, DoubtCause};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::{AbortHandle, JoinHandle};

use crate::{
    actor::link::{
        LinkArguments,
        caller::{Caller, Look},
        poll::Poll,
        told::Told,
    },
    domain::{
        backoff::{Backoff, jitter_of},
        circuit::{Asked, Circuit, Turn, Verdict},
    },
    protocol::{
        channel::ChannelMessage,
        link::{Answer, LinkEvent, LinkMessage, LinkPart, LinkToken},
    },
    view::SetUpView,
};

/// The longest that a look at the credentials may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
/// Calls beside messages (typing, marks of reading) under way at once; more are left out.
const EXTRA_MAX: usize = 16;

/// Between two tries to tell the provider where it finds us.
const SET_UP_FIRST_MS: u64 = 1_000;
const SET_UP_MAX_MS: u64 = 600_000;
/// One that is done is looked at again at most so often.
const SET_UP_AGAIN_MS: u64 = 60_000;

/// The actor.
pub(crate) struct HttpLink;

/// Its state.
pub(crate) struct State {
    caller: Arc<Caller>,
    myself: ActorRef<LinkMessage>,
    owner: ActorRef<ChannelMessage>,
    link: u16,
    circuit: Circuit,
    /// Calls beside messages under way.
    extra: usize,
    /// Counts looks; only the newest one's outcome counts.
    epoch: u32,
    attempts: u32,
    /// Nothing is known of the provider yet.
    is_new: bool,
    /// Why it was left alone last.
    reason: String,
    is_stopped: bool,
    poller: Option<Poller>,
    set_up: SetUp,
}

/// Whether the provider knows where it finds us.
#[derive(Debug)]
pub(crate) struct SetUp {
    is_done: bool,
    is_running: bool,
    /// When it was done last.
    done_ms: u64,
    backoff: Backoff,
}

impl SetUp {
    fn new() -> Self {
        let backoff = Backoff::new(SET_UP_FIRST_MS, SET_UP_MAX_MS);
        Self { is_done: false, is_running: false, done_ms: 0, backoff }
    }
}

/// Asks for updates as long as it is kept.
struct Poller(AbortHandle);

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for HttpLink {
    type Msg = LinkMessage;
    type State = State;
    type Arguments = LinkArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<LinkMessage>,
        arguments: LinkArguments,
    ) -> Result<State, ActorProcessingErr> {
        let LinkArguments { shared, channel, link, owner } = arguments;
        let caller = Arc::new(Caller::new(shared, channel).ok_or("no such channel")?);
        caller.provider().ok_or("no HTTP provider")?;
        myself.cast(LinkMessage::Connect(0))?;
        let circuit = Circuit::new();
        Ok(State {
            caller,
            myself,
            owner,
            link,
            circuit,
            extra: 0,
            epoch: 0,
            attempts: 0,
            is_new: true,
            reason: String::new(),
            is_stopped: false,
            poller: None,
            set_up: SetUp::new(),
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<LinkMessage>,
        message: LinkMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            LinkMessage::Submit(parts) => state.submit(parts),
            LinkMessage::Connect(epoch) => {
                if epoch == state.epoch && !state.is_stopped {
                    state.look();
                }
            }
            LinkMessage::Restart => {
                state.is_stopped = false;
                state.circuit = Circuit::new();
                (state.attempts, state.is_new, state.set_up.is_done) = (0, true, false);
                state.look();
            }
            LinkMessage::Stop => {
                state.stop();
                let reason = "stopped".to_owned();
                state.tell(vec![LinkEvent::Down { reason }, state.trying("stopped", "stopped".to_owned())]);
            }
            LinkMessage::Told(told) => state.told(told),
            LinkMessage::Extra(request) => state.extra(*request),
            LinkMessage::Profile(customer, request) => state.profile(customer, *request),
            LinkMessage::SetUp => state.set_up(),
            // These are of links that hold a connection.
            LinkMessage::Acknowledge(_) | LinkMessage::Query(_) | LinkMessage::Ended(..) => {}
        }
        Ok(())
    }
}

/// Tells an outcome, come what may: a conversation that breaks off is one without an answer.
struct Promise {
    myself: ActorRef<LinkMessage>,
    token: LinkToken,
    is_kept: bool,
}

impl Promise {
    fn keep(&mut self, answer: Answer, verdict: Verdict) {
        self.is_kept = true;
        let _link_gone = self.myself.cast(LinkMessage::Told(Told::Part(self.token, answer, verdict)));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.is_kept {
            self.keep(Answer::Unanswered(DoubtCause::LinkLost), Verdict::Nothing);
        }
    }
}

impl State {
    fn tell(&self, events: Vec<LinkEvent>) {
        let _channel_gone = self.owner.cast(ChannelMessage::FromLink(self.link, self.epoch, events));
    }

    fn trying(&self, status: &'static str, reason: String) -> LinkEvent {
        LinkEvent::Trying { attempts: self.attempts, status, reason }
    }

    fn window(&self) -> usize {
        self.caller.provider().map_or(1, |(_, config)| config.connections.max(1))
    }

    fn submit(&mut self, parts: Vec<LinkPart>) {
        if self.is_stopped || !self.circuit.lets_through() {
            let unsent = parts.iter().map(|p| LinkEvent::Answered(p.token, Answer::NotSent));
            return self.tell(unsent.collect());
        }
        for part in parts {
            let caller = self.caller.clone();
            let mut promise = Promise { myself: self.myself.clone(), token: part.token, is_kept: false };
            run(async move {
                let outcome = caller.send(&part).await;
                promise.keep(outcome.answer, outcome.verdict);
                if let Some(late) = outcome.late
                    && let Some(sent) = caller.late(&part, late).await
                {
                    let answer = Answer::Late { id: sent.id, customer: sent.customer };
                    let _link_gone = promise.myself.cast(LinkMessage::Told(Told::Late(part.token, answer)));
                }
            });
        }
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Part(token, answer, verdict) => {
                if matches!(verdict, Verdict::Unavailable(_)) {
                    self.set_up_again();
                }
                let mut events = vec![LinkEvent::Answered(token, answer)];
                self.learn(Asked::Part, &verdict, &mut events);
                self.tell(events);
            }
            Told::Late(token, answer) => {
                let mut events = vec![LinkEvent::Answered(token, answer)];
                self.learn(Asked::Part, &Verdict::There, &mut events);
                self.tell(events);
            }
            Told::Looked(epoch, look) => {
                if epoch == self.epoch && !self.is_stopped {
                    self.looked(look);
                }
            }
            Told::Polled(verdict) => {
                let mut events = Vec::new();
                self.learn(Asked::Look, &verdict, &mut events);
                if !events.is_empty() {
                    self.tell(events);
                }
            }
            Told::CredentialsRefused(cause) => {
                if !self.is_stopped {
                    self.refuse(cause);
                }
            }
            Told::SetUp(outcome) => self.was_set_up(outcome),
            Told::Profile(customer, said) => {
                self.extra = self.extra.saturating_sub(1);
                self.tell(vec![LinkEvent::Profile(customer, said)]);
            }
            Told::Extra => self.extra = self.extra.saturating_sub(1),
        }
    }

    /// What a verdict changes for the whole channel.
    fn learn(&mut self, asked: Asked, verdict: &Verdict, events: &mut Vec<LinkEvent>) {
        if self.is_stopped {
            return;
        }
        match self.circuit.learn(asked, verdict) {
            Turn::Stay => {}
            Turn::Close => {
                self.attempts = 0;
                events.push(LinkEvent::Up { window: self.window() });
            }
            Turn::Half => events.push(LinkEvent::Up { window: 1 }),
            Turn::TryAgain => events.push(LinkEvent::Trial),
            Turn::Open(pause) => {
                // It may have forgotten where we are.
                self.set_up.is_done = false;
                if let Verdict::Silent(why) | Verdict::Unavailable(why) = verdict {
                    self.reason.clone_from(why);
                }
                let pause = pause + self.caller.shared.seams.ids.jitter(jitter_of(pause));
                let reason = format!("{}; next try in {} s", self.reason, pause.div_ceil(1_000));
                events.push(LinkEvent::Down { reason: reason.clone() });
                events.push(self.trying("waiting", reason));
                self.epoch = self.epoch.wrapping_add(1);
                let epoch = self.epoch;
                self.myself.send_after(Duration::from_millis(pause), move || LinkMessage::Connect(epoch));
            }
        }
    }

    /// Finds out whether the provider is there: by a harmless call when it has one, else by the next part.
    fn look(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.attempts = self.attempts.saturating_add(1);
        let was_new = std::mem::take(&mut self.is_new);
        let Some((http, config)) = self.caller.provider() else { return };
        let Some(request) = http.probe() else {
            self.circuit.trial();
            let events = if was_new {
                // Nothing speaks against it.
                self.circuit.learn(Asked::Look, &Verdict::There);
                self.set_up();
                vec![LinkEvent::Up { window: self.window() }]
            } else {
                let reason = format!("{}; the next message will show", self.reason);
                vec![self.trying("waiting", reason), LinkEvent::Trial]
            };
            return self.tell(events);
        };
        metrics::counter!("patchbay_link_attempts_total").increment(1);
        if was_new {
            self.tell(vec![self.trying("connecting", String::new())]);
        }
        let (caller, myself, epoch) = (self.caller.clone(), self.myself.clone(), self.epoch);
        let limit = config.timeout.min(PROBE_TIMEOUT);
        run(async move {
            let look = caller.look(request, limit).await;
            let _link_gone = myself.cast(LinkMessage::Told(Told::Looked(epoch, look)));
        });
    }

    fn looked(&mut self, look: Look) {
        let Look { result, verdict, account } = look;
        if let Err(SendError::CredentialsRefused(cause)) = result {
            return self.refuse(cause);
        }
        if matches!(verdict, Verdict::Unavailable(_)) {
            // It answers, if only this: a part may be taken all the same, and shows more.
            self.circuit.trial();
            return self.tell(vec![LinkEvent::Trial]);
        }
        self.circuit.trial();
        if verdict == Verdict::There {
            self.set_up();
        }
        let mut events = vec![LinkEvent::Account(account)];
        self.learn(Asked::Look, &verdict, &mut events);
        self.tell(events);
    }

    /// Tells the provider where it finds us, unless it was told. Nothing waits for it but the first question for
    /// updates, and its failure stops nothing.
    fn set_up(&mut self) {
        if self.set_up.is_done || self.set_up.is_running || self.is_stopped {
            return;
        }
        self.set_up.is_running = true;
        let (caller, myself) = (self.caller.clone(), self.myself.clone());
        run(async move {
            let outcome = caller.set_up().await;
            let _link_gone = myself.cast(LinkMessage::Told(Told::SetUp(outcome)));
        });
    }

    /// What cannot be sent just now may mean that the provider has forgotten where we are (Viber says so).
    fn set_up_again(&mut self) {
        let now_ms = self.caller.shared.monotonic_ms();
        if self.set_up.is_done && now_ms.saturating_sub(self.set_up.done_ms) >= SET_UP_AGAIN_MS {
            self.set_up.is_done = false;
            self.set_up();
        }
    }

    fn was_set_up(&mut self, outcome: Option<Result<(bool, Box<str>), String>>) {
        (self.set_up.is_running, self.set_up.is_done) = (false, !matches!(outcome, Some(Err(_))));
        self.set_up.done_ms = self.caller.shared.monotonic_ms();
        if !self.is_stopped {
            self.poll();
        }
        let Some(outcome) = outcome else { return };
        let channel = self.caller.channel_id();
        let (status, detail) = match outcome {
            Ok((changed, words)) => {
                self.set_up.backoff.reset();
                tracing::info!(channel, changed, %words, "set up at the provider");
                (if changed { "changed" } else { "unchanged" }, words.into())
            }
            Err(why) => {
                let pause = self.set_up.backoff.next_ms();
                let pause = pause + self.caller.shared.seams.ids.jitter(jitter_of(pause));
                self.myself.send_after(Duration::from_millis(pause), || LinkMessage::SetUp);
                tracing::warn!(channel, why, "the provider could not be told where it finds us");
                ("failed", format!("{why}; next try in {} s", pause.div_ceil(1_000)))
            }
        };
        let labels = [("channel", channel.to_owned()), ("outcome", status.to_owned())];
        metrics::counter!("patchbay_set_ups_total", &labels).increment(1);
        let at = self.caller.shared.now();
        self.tell(vec![LinkEvent::SetUp(SetUpView { status, detail, at })]);
    }

    /// The credentials are refused: nothing is tried until someone changes something.
    fn refuse(&mut self, cause: Cause) {
        self.stop();
        let reason = format!("{} ({})", cause.reason, cause.code);
        self.tell(vec![self.trying("stopped", reason), LinkEvent::Refused(cause)]);
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.poller = None;
    }

    /// Begins to ask for updates, if the provider does not bring them.
    fn poll(&mut self) {
        let polls = self.caller.provider().is_some_and(|(http, _)| http.poll(None).is_some());
        if polls && self.poller.is_none() {
            let (caller, owner, link) = (self.caller.clone(), self.owner.clone(), self.myself.clone());
            let handle = run(Poll { caller, owner, link }.run());
            self.poller = Some(Poller(handle.abort_handle()));
        }
    }

    fn is_busy(&self) -> bool {
        self.is_stopped || !self.circuit.is_closed() || self.extra >= EXTRA_MAX
    }

    /// Asks who a customer is. Messages wait for it as little as it waits for them.
    fn profile(&mut self, customer: Arc<str>, request: Request) {
        let Some((_, config)) = self.caller.provider().filter(|_| !self.is_busy()) else { return };
        self.extra += 1;
        let (caller, myself, limit) = (self.caller.clone(), self.myself.clone(), config.timeout);
        run(async move {
            let said = caller.profile(request, limit).await;
            let _link_gone = myself.cast(LinkMessage::Told(Told::Profile(customer, said)));
        });
    }

    /// A call beside messages; its outcome changes nothing.
    fn extra(&mut self, request: Request) {
        if self.is_busy() {
            return;
        }
        let Some((_, config)) = self.caller.provider() else { return };
        self.extra += 1;
        let (caller, myself, limit) = (self.caller.clone(), self.myself.clone(), config.timeout);
        run(async move {
            let (_whatever_it_says, exchange) = caller.ask(Arc::new(request), limit).await;
            caller.keep(exchange);
            let _link_gone = myself.cast(LinkMessage::Told(Told::Extra));
        });
    }
}

/// Runs a conversation beside the actor.
fn run(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a conversation belongs to its link, which is told of its end"
    )]
    tokio::spawn(task)
}
