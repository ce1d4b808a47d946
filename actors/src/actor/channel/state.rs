//! The state of a channel: wires its components together. Each component decides for itself; this
//! file passes results from one to the next.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use channels::{InEvent, SendError, http::Request, smpp::ReplyToken};
use message::{
    MessageNo, StreamId, Timestamp,
    event::{Cause, DoubtCause},
};
use ractor::{ActorId, ActorRef};
use tokio::sync::oneshot;

use crate::{
    actor::channel::{
        drain::Drain,
        http_inbound::{Customers, HttpInbound},
        input::ChannelInput,
        links::{LinkOwner, Links},
        metrics::Metrics,
        outbox::{AnsweredPart, Outbox},
        receipts::{self, AcceptedPart, ReceiptTurn, Receipts},
        refusals::Refusals,
        smpp_inbound::{self, SmppDelivery},
        view::{self, Account, ChannelStatus, Shown},
        waiting::{self, WaitedFor},
    },
    config::{ChannelIx, OnUnknown},
    context::{Context, entries::ChannelEntry},
    domain::{correlation::PartRef, names, recent_failures::FailureKind, session::Outcome},
    protocol::{
        channel::HostBatch,
        completion::Completion,
        link::{LinkEvent, LinkReport, LinkStatus, LinkToken, PartAnswer},
        part::{Ack, InboundAck},
        recipient::Recipient,
        task::{Op, ReceiptClaim},
        tasks::Tasks,
    },
    sabotage::Sabotage,
    view::{ChannelCounts, ChannelView, SetUpView, UnmatchedView, waiting::ChannelWait},
};

/// SMPP 5.0 congestion state above which the channel pauses.
const CONGESTED_ABOVE: u8 = 80;
/// A pause that is shorter than this, in milliseconds, does not withdraw room from sessions.
const SHORT_PAUSE_MS: u64 = 100;

/// The state of a channel's actor.
pub(crate) struct ChannelState {
    context: Arc<Context>,
    ix: ChannelIx,
    myself: ActorRef<ChannelInput>,
    outbox: Outbox,
    links: Links,
    receipts: Receipts,
    customers: Customers,
    metrics: Metrics,
    status: ChannelStatus,
    registration: Option<SetUpView>,
    account: Account,
    refusals: Refusals,
    drain: Drain,
    /// When the timer for the rate fires, in monotonic milliseconds.
    send_due_ms: u64,
}

impl ChannelState {
    /// Loads the channel's own stream and starts its links.
    ///
    /// # Errors
    ///
    /// Returns the reason if the stream cannot be read or a link cannot be started.
    pub(crate) async fn start(
        context: Arc<Context>,
        ix: ChannelIx,
        myself: ActorRef<ChannelInput>,
    ) -> Result<Self, String> {
        let messages = Recipient::of(myself.clone());
        let entry = context.directory.channel(ix).ok_or("no such channel")?;
        // Room that an earlier run of this actor set aside is not reserved any more.
        entry.credit.withdraw();
        let receipts = Receipts::load(&context, ix, entry, messages.clone())?;
        let cell = myself.get_cell();
        let owner = LinkOwner { context: context.clone(), channel: ix, messages, cell };
        Ok(Self {
            outbox: Outbox::new(entry.config.send_rate, entry.is_smpp(), context.monotonic_ms()),
            receipts,
            customers: Customers::default(),
            metrics: Metrics::of(&entry.config.id, entry.counts_before.get()),
            status: ChannelStatus::new(context.now()),
            registration: None,
            account: Account::default(),
            refusals: Refusals::default(),
            drain: Drain::default(),
            send_due_ms: u64::MAX,
            links: Links::start(owner).await?,
            ix,
            myself,
            context,
        })
    }

    fn entry(&self) -> Option<&ChannelEntry> {
        self.context.directory.channel(self.ix)
    }

    /// Handles the results of a host's batch.
    pub(crate) fn on_host_batch(&mut self, batch: HostBatch) {
        batch.ready.into_iter().for_each(|ready| self.outbox.announce(ready));
        self.outbox.release(batch.released);
        batch.jobs.into_iter().for_each(|job| self.outbox.add(job));
        self.links.acknowledge(batch.acks);
        self.links.query(batch.queries);
        self.metrics.count_receipts(batch.matched_by_reference);
        let mut tasks = self.context.hosts.tasks();
        for part in batch.moved.iter().flat_map(|moved| self.outbox.redirect(moved)) {
            tasks.push(part.stream, outcome_op(part, Outcome::NotSent, Vec::new()));
        }
        let (tried, disowned) = (batch.tried, batch.disowned);
        self.with_receipts(&mut tasks, |receipts, turn| {
            receipts.on_tried(turn, tried);
            disowned.into_iter().for_each(|claim| receipts.on_disowned(turn, claim));
        });
        for stray in batch.strays {
            if let Some(mut inbound) = self.http_inbound() {
                inbound.on_stray(stray, &mut tasks);
            }
        }
        self.context.hosts.work(tasks);
        self.send_and_ask();
        self.publish_waiting();
    }

    pub(crate) fn tick(&mut self) {
        let mut tasks = self.context.hosts.tasks();
        self.with_receipts(&mut tasks, Receipts::retry);
        self.context.hosts.work(tasks);
        self.send_and_ask();
        self.publish_waiting();
        self.publish_status();
    }

    /// The timer for the rate fired.
    pub(crate) fn on_send_due(&mut self) {
        self.send_due_ms = u64::MAX;
        self.send_and_ask();
    }

    /// Acknowledges deliveries on their links.
    pub(crate) fn acknowledge(&mut self, acks: Vec<InboundAck>) {
        self.links.acknowledge(acks);
    }

    /// Handles the events of a webhook or poll.
    pub(crate) fn on_events(&mut self, events: Vec<InEvent>, completion: Completion) {
        let tasks = self.http_inbound().map(|inbound| inbound.read(events, completion));
        if let Some(tasks) = tasks {
            self.context.hosts.work(tasks);
        }
    }

    pub(crate) fn fire_and_forget(&self, request: Request) {
        self.links.fire_and_forget(request);
    }

    /// Does something with the receipts that needs other parts of the channel.
    fn with_receipts(&mut self, tasks: &mut Tasks, act: impl FnOnce(&mut Receipts, &mut ReceiptTurn<'_>)) {
        let Some(entry) = self.context.directory.channel(self.ix) else { return };
        let mut turn = ReceiptTurn {
            context: &self.context,
            entry,
            outstanding: &self.outbox.outstanding,
            metrics: &mut self.metrics,
            tasks,
        };
        act(&mut self.receipts, &mut turn);
    }

    fn http_inbound(&mut self) -> Option<HttpInbound<'_>> {
        Some(HttpInbound {
            entry: self.context.directory.channel(self.ix)?,
            context: &self.context,
            ix: self.ix,
            customers: &mut self.customers,
            links: &self.links,
            receipts: &mut self.receipts,
            account: &mut self.account,
            metrics: &mut self.metrics,
        })
    }

    /// Submits the parts that window and rate allow, asks sessions for more, and arms the timer for
    /// the rate.
    fn send_and_ask(&mut self) {
        let Some(entry) = self.context.directory.channel(self.ix) else { return };
        let is_stopped = self.refusals.is_stopped() || self.is_held();
        let now_ms = self.context.monotonic_ms();
        let sent = if is_stopped { 0 } else { self.outbox.send(&mut self.links, now_ms) };
        let may_prefetch = entry.config.on_unknown == OnUnknown::Resend;
        self.outbox.adapt_prefetch(&self.links, may_prefetch, sent);
        let paused_until = self.outbox.rate.paused_until(now_ms);
        let is_paused = paused_until.is_some_and(|until| until > now_ms + SHORT_PAUSE_MS);
        if is_stopped || self.drain.is_on() || is_paused {
            self.outbox.withdraw_credit(entry);
        } else {
            let mut tasks = self.context.hosts.tasks();
            self.outbox.ask(entry, self.ix, self.links.free(), &mut tasks);
            self.context.hosts.work(tasks);
        }
        if self.outbox.has_work() && self.links.free() > 0 && !is_stopped {
            self.arm_send_timer(self.outbox.rate.next_at(now_ms), now_ms);
        }
        self.give_back_held();
        self.finish_drain();
    }

    fn arm_send_timer(&mut self, at_ms: u64, now_ms: u64) {
        if at_ms >= self.send_due_ms {
            return;
        }
        self.send_due_ms = at_ms;
        let wait = Duration::from_millis(at_ms.saturating_sub(now_ms).max(1));
        self.myself.send_after(wait, || ChannelInput::SendDue);
    }

    /// Handles the events of a link, in order. Events of an earlier run of its actor are ignored:
    /// what that run had submitted is in doubt already.
    pub(crate) fn on_link_report(&mut self, report: LinkReport) {
        let LinkReport { link, run, events } = report;
        if self.links.get_mut(link).is_none_or(|slot| slot.run != run) {
            return;
        }
        let mut tasks = self.context.hosts.tasks();
        for event in events {
            self.on_link_event(link, event, &mut tasks);
        }
        self.context.hosts.work(tasks);
        self.send_and_ask();
        self.publish_status();
    }

    /// Notes that acknowledgements on a link may not have reached the provider.
    fn note_loss(&self) {
        if let Some(entry) = self.context.directory.channel(self.ix) {
            entry.note_loss(self.context.now());
        }
    }

    fn on_link_event(&mut self, link: u16, event: LinkEvent, tasks: &mut Tasks) {
        let now = self.context.now();
        match event {
            LinkEvent::Up { window } => self.on_link_up(link, window),
            LinkEvent::Trial => {
                if let Some(slot) = self.links.get_mut(link) {
                    slot.free = 1;
                }
                self.refusals.try_one();
            }
            LinkEvent::Down { reason } => {
                self.note_loss();
                self.links.set_down(link, reason, now);
                // Meanwhile parts may expire, or more urgent ones arrive.
                if self.links.up() == 0 {
                    self.return_unsent(tasks);
                }
            }
            LinkEvent::Trying { attempts, status, reason, next_ms } => {
                if let Some(slot) = self.links.get_mut(link) {
                    slot.attempts = attempts;
                    slot.set_status(status, reason, now);
                    slot.next_try = next_ms.map(|ms| now.plus_ms(ms));
                }
            }
            LinkEvent::CredentialsRefused { cause, epoch } => self.on_refused_link(cause, epoch, tasks),
            LinkEvent::Answered(token, answer) => self.on_answer(link, token, answer, tasks),
            LinkEvent::Delivered { token, message } => self.on_delivery(link, token, &message, tasks),
            LinkEvent::Queried { part, status } => receipts::on_query_answer(part, status, tasks),
            LinkEvent::Congested(state) => {
                if state > CONGESTED_ABOVE {
                    self.outbox.rate.pause(0, self.context.monotonic_ms());
                    self.metrics.count_congestion();
                }
            }
            LinkEvent::Registered(view) => self.registration = Some(view),
            LinkEvent::Profile(customer, said) => self.customers.profiles.store(customer, said),
            LinkEvent::Account { facts, mismatch } => {
                let Some(entry) = self.context.directory.channel(self.ix) else { return };
                for (about, says) in facts {
                    self.account.update(entry, about, says, now);
                }
                self.account.compare(entry, mismatch);
            }
            LinkEvent::Malformed(count) => self.metrics.count_malformed(count),
        }
    }

    fn on_link_up(&mut self, link: u16, window: usize) {
        if Sabotage::DropQueueOnReconnect.is_chosen() {
            self.outbox.lose_all();
        }
        let is_http = self.entry().is_some_and(|entry| entry.http().is_some());
        let submitted = self.outbox.outstanding.of_link(link).len();
        let now = self.context.now();
        if let Some(slot) = self.links.get_mut(link) {
            slot.free = window.saturating_sub(submitted);
            slot.status = if is_http { LinkStatus::Ready } else { LinkStatus::Bound };
            slot.reason.clear();
            slot.since = now;
            slot.attempts = 0;
            slot.next_try = None;
        }
        self.resume("the provider accepts the credentials again");
    }

    /// Handles the answer to a part.
    fn on_answer(&mut self, link: u16, token: LinkToken, answer: PartAnswer, tasks: &mut Tasks) {
        let AnsweredPart { part, is_current } = if matches!(answer, PartAnswer::AcceptedLate { .. }) {
            AnsweredPart { part: token.part, is_current: true }
        } else {
            if let Some(slot) = self.links.get_mut(link) {
                slot.free += usize::from(slot.is_up());
            }
            let Some(part) = self.outbox.outstanding.remove(token.token) else { return };
            part
        };
        let outcome = match answer {
            PartAnswer::Accepted { id, customer } | PartAnswer::AcceptedLate { id, customer } => {
                return self.on_accepted(part, token.scope, id, customer, tasks);
            }
            PartAnswer::NotSent => Outcome::NotSent,
            PartAnswer::Unanswered(cause) => Outcome::Unanswered(cause),
            PartAnswer::Refused(error) => Outcome::Refused(self.refusals.weigh(part, error, is_current)),
        };
        self.metrics.count_outcome(&outcome);
        if let Outcome::Refused(error) = &outcome
            && let (Some(cause), Some(entry)) = (error.deferral(), self.entry())
        {
            entry.tally.note_failure(FailureKind::Deferred, cause, self.context.now());
        }
        if let Outcome::Refused(SendError::Throttled { after_ms, cause }) = &outcome {
            self.refusals.note_throttled(cause, self.context.now());
            self.outbox.rate.pause(*after_ms, self.context.monotonic_ms());
        }
        let in_doubt = matches!(outcome, Outcome::Unanswered(_) | Outcome::Refused(SendError::Unknown(_)));
        let refused = match &outcome {
            Outcome::Refused(SendError::CredentialsRefused(cause)) if is_current => Some(cause.clone()),
            _ => None,
        };
        tasks.push(part.stream, outcome_op(part, outcome, Vec::new()));
        if in_doubt {
            // A receipt may have arrived already: then the part was accepted, and must not be
            // resent.
            self.with_receipts(tasks, |receipts, turn| receipts.try_of_stream(turn, part.stream));
        }
        if let Some(cause) = refused {
            self.stop(cause, tasks);
        }
    }

    fn on_accepted(
        &mut self,
        part: PartRef,
        scope: u64,
        id: Arc<str>,
        customer: Option<Arc<str>>,
        tasks: &mut Tasks,
    ) {
        self.metrics.count_submitted();
        self.refusals.accepted(part.stream);
        self.outbox.rate.relax(self.context.monotonic_ms());
        let token = self.entry().and_then(|entry| entry.http()?.message_token(&id));
        let AcceptedPart { spellings, early_receipt } =
            self.receipts.on_accepted(&self.context, part, scope, &id, token.as_deref());
        tasks.push(part.stream, outcome_op(part, Outcome::Taken(id), spellings));
        if let Some(number) = early_receipt {
            self.receipts.forward_kept(number, part, tasks);
        }
        // One part less is unanswered: a receipt with an unknown id may be clear now.
        self.with_receipts(tasks, |receipts, turn| receipts.try_of_stream(turn, part.stream));
        if let Some(entry) = self.entry().filter(|entry| entry.has_aliases)
            && let Some(customer) = customer
        {
            let names = names::names(entry.channel(), [&customer]);
            tasks.push(part.stream, Op::AddAliases { names });
        }
    }

    /// Handles a deliver_sm or data_sm.
    fn on_delivery(
        &mut self,
        link: u16,
        token: ReplyToken,
        delivered: &channels::smpp::Inbound,
        tasks: &mut Tasks,
    ) {
        let Some(entry) = self.context.directory.channel(self.ix) else { return };
        let ack = Ack::Link(InboundAck { channel: self.ix, link, token });
        match smpp_inbound::read(entry, delivered, || self.context.seams.ids.message_id()) {
            SmppDelivery::Receipt { reported, address, words, unread } => {
                if let Some(word) = unread {
                    self.metrics.count_unread_receipt();
                    self.account.note_unread(entry, &word, self.context.now());
                }
                let claim = ReceiptClaim { reported, address, words, ack };
                self.with_receipts(tasks, |receipts, turn| receipts.on_claim(turn, claim));
            }
            SmppDelivery::Message { identity, inbound } => {
                self.metrics.count_received();
                self.account.note_did(entry, &identity.address.did, self.context.now());
                let stream = self.context.stream_of(&identity.address);
                tasks.push(stream, Op::Receive { identity, inbound, key: None, ack: Some(ack) });
            }
            SmppDelivery::Nothing => {}
        }
    }

    /// Puts parts that a dead link had submitted in doubt, and starts a new actor in its place.
    pub(crate) async fn on_link_actor_gone(&mut self, id: ActorId) {
        let Some(link) = self.links.of_actor(id) else { return };
        let number = link as u16;
        self.note_loss();
        self.links.set_down(number, "its actor failed".to_owned(), self.context.now());
        let mut tasks = self.context.hosts.tasks();
        for token in self.outbox.outstanding.of_link(number) {
            let answer = PartAnswer::Unanswered(DoubtCause::LinkLost);
            self.on_answer(number, token, answer, &mut tasks);
        }
        self.context.hosts.work(tasks);
        if !self.drain.is_on()
            && let Err(error) = self.links.start_actor(link, self.outbox.outstanding.epoch()).await
        {
            tracing::error!(link, error, "link cannot be started");
        }
        self.send_and_ask();
    }

    /// Handles a link whose credentials were refused. While another link is up with the same
    /// credentials, or about to be, that concerns this link alone. A refusal older than the last
    /// restart tells nothing about the credentials now.
    fn on_refused_link(&mut self, cause: Cause, epoch: u32, tasks: &mut Tasks) {
        let has_hope = self.links.iter().any(|slot| slot.is_up() || slot.status == LinkStatus::Connecting);
        if epoch == self.outbox.outstanding.epoch() && !has_hope {
            self.stop(cause, tasks);
        }
    }

    /// Stops sending because the provider refuses the credentials. The links probe with growing
    /// pauses, and the first that comes up resumes.
    fn stop(&mut self, cause: Cause, tasks: &mut Tasks) {
        self.links.suspend(&cause);
        if self.refusals.stop(cause.clone()) {
            let channel = self.entry().map_or("", |entry| entry.config.id.as_str());
            let (code, reason) = (&*cause.code, &*cause.reason);
            tracing::error!(channel, code, reason, "channel stopped: credentials refused");
            self.receipts.record_stop(&self.context, Some(cause));
        }
        self.return_unsent(tasks);
    }

    /// Sends again after a stop.
    fn resume(&mut self, why: &str) {
        if self.refusals.resume() {
            let channel = self.entry().map_or("", |entry| entry.config.id.as_str());
            tracing::info!(channel, why, "channel resumed");
            self.receipts.record_stop(&self.context, None);
        }
    }

    /// Starts sending again after a stop, and makes all links connect now.
    pub(crate) fn restart(&mut self) {
        self.resume("an operator restarted it");
        self.outbox.outstanding.begin_epoch();
        self.refusals.forget_denials();
        self.links.restart(self.outbox.outstanding.epoch());
        self.send_and_ask();
        self.publish_status();
    }

    /// Returns parts that cannot be sent for long to their sessions.
    fn return_unsent(&mut self, tasks: &mut Tasks) {
        for part in self.outbox.drain() {
            tasks.push(part.stream, outcome_op(part, Outcome::NotSent, Vec::new()));
        }
    }

    /// Whether nothing may be sent for a reason that no link can end: an operator paused the
    /// channel, or another form of it follows.
    fn is_held(&self) -> bool {
        self.receipts.own.pause().is_on() || self.drain.gives_back()
    }

    /// Gives waiting parts back to their sessions while nothing may be sent.
    fn give_back_held(&mut self) {
        if self.is_held() && self.outbox.parts_waiting() > 0 {
            let mut tasks = self.context.hosts.tasks();
            self.return_unsent(&mut tasks);
            self.context.hosts.work(tasks);
        }
    }

    /// Pauses the channel or ends its pause. Links stay up: receipts and customers' messages come.
    pub(crate) fn set_pause(&mut self, wanted: bool, reply: oneshot::Sender<Option<Timestamp>>) {
        self.receipts.own.set_pause(&self.context, wanted, reply);
        self.send_and_ask();
        self.publish_status();
    }

    /// Ends the pauses after failures and throttling: links connect now, and parts may be sent.
    pub(crate) fn try_now(&mut self) {
        self.outbox.rate.end_pause();
        self.restart();
    }

    /// Sends nothing more, and answers once nothing is outstanding.
    pub(crate) fn drain(&mut self, reply: oneshot::Sender<()>) {
        self.drain.begin(reply);
        self.send_nothing_more();
    }

    /// Gives back what was not submitted, and answers once nothing is outstanding and every link is
    /// unbound.
    pub(crate) fn retire(&mut self, reply: oneshot::Sender<ChannelCounts>) {
        self.drain.begin_retirement(reply);
        self.send_nothing_more();
    }

    fn send_nothing_more(&mut self) {
        if let Some(entry) = self.context.directory.channel(self.ix) {
            self.outbox.withdraw_credit(entry);
        }
        self.give_back_held();
        self.finish_drain();
    }

    fn finish_drain(&mut self) {
        if !self.drain.is_on() || !self.outbox.is_idle() {
            return;
        }
        if self.drain.unbinds_now() {
            self.links.stop();
        }
        self.drain.answer_drained();
        let is_unbound =
            self.links.iter().all(|slot| slot.actor.is_none() || slot.status == LinkStatus::Stopped);
        if is_unbound {
            self.receipts.write(&self.context);
            self.drain.answer_retired(self.metrics.counts);
        }
    }

    /// Writes the channel's own state into the index.
    pub(crate) fn checkpoint(&mut self) {
        self.receipts.write(&self.context);
    }

    /// Lists receipts without a known part.
    pub(crate) fn unmatched(&self, after: u32, limit: usize) -> Vec<UnmatchedView> {
        self.receipts.list(after, limit)
    }

    /// Tells why a message of a session is not sent now.
    pub(crate) fn why(&self, stream: StreamId, number: MessageNo) -> ChannelWait {
        let state = WaitedFor {
            links: &self.links,
            outbox: &self.outbox,
            refusals: &self.refusals,
            send_rate: self.entry().and_then(|entry| entry.config.send_rate),
            paused: self.receipts.own.pause().since(),
            status_since: self.status.since(),
        };
        waiting::why(&self.context, &state, (stream, number))
    }

    /// Shows the channel.
    pub(crate) fn view(&self) -> Option<ChannelView> {
        let shown = Shown {
            entry: self.entry()?,
            status: &self.status,
            links: &self.links,
            outbox: &self.outbox,
            receipts: &self.receipts,
            refused: self.refusals.cause(),
            registration: self.registration.as_ref(),
            account: &self.account,
            counts: self.metrics.counts,
        };
        Some(view::show(&self.context, &shown))
    }

    fn publish_waiting(&self) {
        if let Some(entry) = self.entry() {
            entry.waiting.store(self.outbox.sessions_waiting(), Ordering::Relaxed);
        }
    }

    fn publish_status(&mut self) {
        if let Some(entry) = self.context.directory.channel(self.ix) {
            let now = self.context.now();
            let (stopped, wrong) = (self.refusals.cause(), self.account.mismatch.as_deref());
            let paused = self.receipts.own.pause().since();
            self.status.update(&entry.config.id, &self.links, stopped, paused, wrong, now);
        }
        view::set_gauges(&self.metrics, &self.links, &self.outbox, &self.receipts);
    }
}

fn outcome_op(part: PartRef, outcome: Outcome, spellings: Vec<u128>) -> Op {
    let PartRef { number, part, .. } = part;
    Op::Outcome { number, part, outcome, spellings }
}
