//! Applies events to a session. The only place that changes a session, live and in replay, so that
//! a replay of the log gives the live state. Total: an event that does not fit, such as one about a
//! missing part, changes nothing.

use std::sync::Arc;

use message::{
    Content, DestinationId, Event, FailedBy, Failure, MessageNo, MessageStatus, PartState, PartStatus,
    Timestamp,
    event::{
        Accepted, Cause, CloseReason, CustomerMoved, DoubtSettlement, FailedParts, LateReceipt, PartReceived,
        Received, Revived, SessionOpened,
    },
};
use storage::invariant;

use super::{
    failed_by::{failed_by, reported},
    state::{
        DeadLetter, Delivery, DeliveryKind, Notification, Outbound, Part, PendingChoices, Phase, Session,
    },
};
use crate::sabotage::Sabotage;

/// Maximum number of dead letters of one session; the oldest is dropped for a new one.
pub const DEAD_LETTERS_MAX: usize = 1_000;
/// Maximum number of further names of a customer that a session remembers; the oldest is dropped.
const ALIASES_MAX: usize = 32;

impl Outbound {
    /// Creates the state of a message that was just accepted.
    pub fn new(accepted: &Accepted, at: Timestamp) -> Self {
        Self {
            number: accepted.number,
            id: accepted.id.clone(),
            content: accepted.content.clone(),
            split: accepted.split,
            priority: accepted.priority,
            accepted_at: at,
            answered_at: None,
            send_at: accepted.send_at,
            expires_at: accepted.expires_at,
            destination: accepted.destination.clone(),
            conversation_id: accepted.conversation_id.clone(),
            channel_data: accepted.channel_data.clone(),
            adapted: accepted.adapted.clone(),
            parts: (0..accepted.split.parts).map(|_| Part::default()).collect(),
            notified: MessageStatus::Queued,
            reply_to: None,
        }
    }

    /// Applies an event about this message.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Submitting { parts, .. } => {
                for part in parts {
                    self.change_part(*part, |p| {
                        p.phase = Phase::Submitting;
                        p.handed_at = at;
                        p.resent = p.resent.saturating_add(u16::from(p.resent < p.doubts));
                        p.state = p.state.join(PartState::reached(PartStatus::Enroute));
                    });
                }
            }
            Event::Submitted { part, provider_id, .. } => self.change_part(*part, |p| p.accept(provider_id)),
            Event::Deferred { part, retry_at, counted, .. } => self.change_part(*part, |p| {
                p.phase = Phase::Waiting;
                p.retry_at = *retry_at;
                p.tries = p.tries.saturating_add(u16::from(*counted));
            }),
            Event::PartFailed { parts, cause, .. } => {
                let failure = Failure { cause: cause.clone(), by: failed_by(&cause.code), at };
                self.fail(*parts, &failure);
            }
            Event::Expired { .. } => {
                let cause = Cause::new("expired", "the validity period ended before the message was sent");
                self.fail(FailedParts::Unsent, &Failure { cause, by: FailedBy::Expiry, at });
            }
            Event::Cancelled { .. } => {
                let cause = Cause::new("cancelled", "the business cancelled the message before it was sent");
                self.fail(FailedParts::Unsent, &Failure { cause, by: FailedBy::Business, at });
            }
            Event::InDoubt { part, resend_at, .. } => self.change_part(*part, |p| {
                p.state = p.state.join(PartState::reached(PartStatus::InDoubt));
                p.doubts = p.doubts.saturating_add(1);
                p.phase = if resend_at.is_some() { Phase::Waiting } else { Phase::Held };
                p.retry_at = resend_at.unwrap_or(at);
            }),
            Event::DoubtSettled { part, by, .. } => {
                self.change_part(*part, |p| p.settle_doubt(*by, at));
            }
            Event::Receipt { part, state, code, .. } => {
                self.change_part(*part, |p| p.report(*state, code, at));
            }
            Event::LateReceipt(late) => {
                self.change_part(late.part, |p| p.report(late.state, &late.code, at));
            }
            Event::Queried { part, .. } => self.change_part(*part, |p| p.queried = true),
            Event::InReplyTo { provider_id, .. } => self.reply_to = Some(provider_id.clone()),
            _ => {}
        }
        if self.answered() && self.answered_at.is_none() {
            self.answered_at = Some(at);
        }
    }

    fn change_part(&mut self, part: u16, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.parts.get_mut(usize::from(part)) {
            change(part);
        }
    }

    fn fail(&mut self, parts: FailedParts, failure: &Failure) {
        for (part, position) in self.parts.iter_mut().zip(0..) {
            let is_meant = match parts {
                FailedParts::One(one) => position == one,
                FailedParts::Unsent => matches!(part.phase, Phase::Waiting | Phase::Held),
            };
            if is_meant {
                part.phase = Phase::Answered;
                part.state = part.state.join(PartState::failure());
                part.note_failure(|| failure.clone());
            }
        }
    }
}

impl Part {
    /// Records that the provider accepted a submit.
    fn accept(&mut self, provider_id: &Arc<str>) {
        // An answer to a second submit tells nothing about the first, which stays in doubt. An
        // answer after the part left the link belongs to the first, unless a receipt with its id
        // came before it.
        let is_known = !provider_id.is_empty() && self.provider_id == *provider_id;
        let settles = self.phase != Phase::Submitting && !is_known;
        self.doubts = self.doubts.saturating_sub(u16::from(settles));
        self.phase = Phase::Answered;
        self.provider_id = provider_id.clone();
        self.state = self.state.join(PartState::reached(PartStatus::Sent));
    }

    /// Notes why it failed; the first failure stays.
    fn note_failure(&mut self, failure: impl FnOnce() -> Failure) {
        self.failure.get_or_insert_with(|| Box::new(failure()));
    }

    /// Joins a receipt.
    fn report(&mut self, state: PartState, code: &str, at: Timestamp) {
        if state.failed {
            self.note_failure(|| reported(code, at));
        }
        self.state = if Sabotage::StatusGoesBack.is_chosen() { state } else { self.state.join(state) };
        // Any receipt, even for a failure, proves that the provider had accepted the part.
        if matches!(self.phase, Phase::Waiting | Phase::Held) {
            self.phase = Phase::Answered;
            self.state = self.state.join(PartState::reached(PartStatus::Sent));
        }
    }

    fn settle_doubt(&mut self, by: DoubtSettlement, at: Timestamp) {
        match by {
            DoubtSettlement::Resend => {
                self.phase = Phase::Waiting;
                self.retry_at = at;
                return;
            }
            DoubtSettlement::Fail => {
                let cause = Cause::new("in_doubt", "an operator gave it up while in doubt");
                self.note_failure(|| Failure { cause, by: FailedBy::Operator, at });
                self.state = self.state.join(PartState::failure());
            }
            DoubtSettlement::Sent => self.state = self.state.join(PartState::reached(PartStatus::Sent)),
        }
        self.phase = Phase::Answered;
    }
}

impl Session {
    /// Applies one event that happened at `at`. Returns the message that it settled, if it settled
    /// one.
    pub fn apply(&mut self, event: &Event, at: Timestamp) -> Option<Box<Outbound>> {
        match event {
            Event::SessionOpened(opened) => self.begin(opened, at),
            Event::SessionClosed { reason } => {
                self.open = false;
                if *reason != CloseReason::Business {
                    self.deliver(None, DeliveryKind::EndChat(*reason), at);
                }
            }
            Event::SessionTaken { handler } => {
                self.handler = handler.clone();
                self.last_activity = at;
            }
            Event::Accepted(accepted) => self.enqueue(accepted, at),
            Event::Cancelled { message } => {
                let mut cancelled = self.dequeue(*message)?;
                cancelled.apply(event, at);
                return Some(cancelled);
            }
            Event::Settled { message } => {
                self.note_orphans(*message, at);
                return self.sent.remove(message);
            }
            Event::Submitting { message, .. } => {
                self.last_sent = at;
                return self.apply_to_message(*message, event, at);
            }
            Event::Submitted { message, .. } => {
                self.last_activity = at;
                return self.apply_to_message(*message, event, at);
            }
            Event::Deferred { message, .. }
            | Event::PartFailed { message, .. }
            | Event::Expired { message }
            | Event::InDoubt { message, .. }
            | Event::DoubtSettled { message, .. }
            | Event::Queried { message, .. }
            | Event::InReplyTo { message, .. }
            | Event::Receipt { message, .. } => return self.apply_to_message(*message, event, at),
            Event::LateReceipt(late) => self.notify_late(late, at),
            Event::Revived(revived) => self.revive(revived, at),
            Event::Received(received) => self.receive_whole(received, at),
            Event::PartReceived(part) => {
                self.last_activity = at;
                self.assembly.add(PartReceived::clone(part), at);
            }
            Event::CustomerKnown(known) => {
                self.customer_shown = known.customer_shown.clone();
                self.add_aliases(&known.aliases);
            }
            Event::CustomerMoved(moved) => self.follow(moved),
            Event::Offered(offered) => {
                self.choices = Some(PendingChoices { choices: offered.choices.clone(), answered: false });
            }
            Event::PartsGivenUp => drop(self.assembly.close_oldest(at)),
            Event::Taken { delivery } => drop(self.remove_delivery(*delivery)),
            Event::DeadLettered { delivery, cause } => self.move_to_dead_letters(*delivery, cause),
            Event::DeadLetterReplayed { delivery } => self.redeliver(*delivery),
            Event::Carried { snapshot, .. } => self.apply_carried(snapshot, at),
            // Events of channels and of the log.
            _ => {}
        }
        None
    }

    fn revive(&mut self, revived: &Revived, at: Timestamp) {
        *self = Self::new(revived.address.clone(), revived.counters);
        self.reached = revived.reached.clone();
        self.customer_shown = revived.customer_shown.clone();
        self.did_shown = revived.did_shown.clone();
        self.since = at;
    }

    /// Takes on where the customer is reached from now on. It may be the stream's first event.
    fn follow(&mut self, moved: &CustomerMoved) {
        self.address = moved.address.clone();
        self.reached = Some(moved.reached.clone()).filter(|reached| *reached != self.address.customer);
        self.customer_shown = moved.customer_shown.clone();
    }

    fn begin(&mut self, opened: &SessionOpened, at: Timestamp) {
        if self.is_done() {
            // A live stream left memory when it was done and began from nothing. A replay must
            // forget the same.
            *self = Self::new(opened.address.clone(), opened.counters);
            self.since = at;
        }
        self.address = opened.address.clone();
        self.reached = opened.reached.clone();
        self.customer_shown = opened.customer_shown.clone();
        self.did_shown = opened.did_shown.clone();
        self.handler = opened.handler.clone();
        self.counters = opened.counters;
        let (before, ordinal) = (opened.counters.sessions, opened.ordinal);
        invariant!(before < ordinal, "session {ordinal} begins after {before}");
        self.counters.sessions = opened.ordinal;
        self.open = true;
        self.opened_at = at;
        self.last_activity = at;
        self.last_inbound = None;
    }

    fn enqueue(&mut self, accepted: &Accepted, at: Timestamp) {
        let number = accepted.number;
        invariant!(accepted.split.parts > 0, "message {} has no parts", number.0);
        self.counters.messages = accepted.number.0;
        if accepted.split.parts > 1 {
            self.counters.references = accepted.split.reference;
        }
        self.last_activity = at;
        self.choices.take_if(|pending| pending.answered);
        self.queue.push_back(Box::new(Outbound::new(accepted, at)));
    }

    fn apply_to_message(&mut self, number: MessageNo, event: &Event, at: Timestamp) -> Option<Box<Outbound>> {
        self.message_mut(number)?.apply(event, at);
        self.conclude(number, at)
    }

    /// Remembers names of the customer, the newest ones.
    fn add_aliases(&mut self, names: &[Arc<str>]) {
        let known = std::mem::take(&mut self.aliases);
        self.aliases = known.into_iter().filter(|name| !names.contains(name)).collect();
        self.aliases.extend(names.iter().cloned());
        let excess = self.aliases.len().saturating_sub(ALIASES_MAX);
        self.aliases.drain(..excess);
        invariant!(self.aliases.len() <= ALIASES_MAX, "{} names", self.aliases.len());
    }

    /// Adds a message that a piece of the state tells, unless it is known.
    pub(super) fn add_carried(&mut self, message: Outbound) {
        let (number, progress) = (message.number, Progress::of(&message));
        if self.message(number).is_some() {
            return;
        }
        let (Ok(position) | Err(position)) = self.queue_position(number);
        self.queue.insert(position, Box::new(message));
        self.place(number, progress);
    }

    fn message_mut(&mut self, number: MessageNo) -> Option<&mut Outbound> {
        let queued = self.queue_position(number);
        match self.sent.get_mut(&number) {
            Some(message) => Some(message),
            None => self.queue.get_mut(queued.ok()?).map(|message| &mut **message),
        }
    }

    /// Notifies the business of a new final status, then moves the message to where its state
    /// belongs, or drops it when it is settled.
    fn conclude(&mut self, number: MessageNo, at: Timestamp) -> Option<Box<Outbound>> {
        let message = self.message_mut(number)?;
        let status = message.status();
        let is_final =
            matches!(status, MessageStatus::Failed | MessageStatus::Delivered | MessageStatus::Read);
        let notification = (is_final && status > message.notified).then(|| {
            message.notified = status;
            let notification = Notification {
                id: message.id.clone(),
                status,
                failure: message.failure().map(|(failure, part)| (failure.clone(), part)),
                adapted: message.adapted.clone(),
                conversation_id: message.conversation_id.clone(),
                channel_data: message.channel_data.clone(),
            };
            (message.destination.clone(), DeliveryKind::Notification(Box::new(notification)))
        });
        if message.parts.iter().all(|part| part.phase == Phase::Answered) {
            message.content = Content::Text(Box::from(""));
        }
        let progress = Progress::of(message);
        invariant!(message.number == number, "{} is found as {}", message.number.0, number.0);
        invariant!(!message.parts.is_empty(), "message {} has no parts", number.0);
        if let Some((destination, kind)) = notification {
            self.deliver(destination, kind, at);
        }
        if progress == Progress::Settled {
            self.note_orphans(number, at);
        }
        self.place(number, progress)
    }

    /// Remembers when a message with unknown copies was dropped: their receipts may still come.
    fn note_orphans(&mut self, number: MessageNo, at: Timestamp) {
        if self.message(number).is_some_and(Outbound::has_doubts) {
            self.counters.orphan(at);
        }
    }

    /// Keeps open messages in the queue and answered ones in `sent`, in order; removes and returns
    /// settled ones.
    fn place(&mut self, number: MessageNo, progress: Progress) -> Option<Box<Outbound>> {
        let settled = match progress {
            Progress::Settled => self.sent.remove(&number).or_else(|| self.dequeue(number)),
            Progress::Answered => {
                if let Some(message) = self.dequeue(number) {
                    self.sent.insert(number, message);
                }
                None
            }
            Progress::Open => {
                if let Some(message) = self.sent.remove(&number) {
                    let (Ok(position) | Err(position)) = self.queue_position(number);
                    self.queue.insert(position, message);
                }
                None
            }
        };
        let (is_queued, is_sent) = (self.queue_position(number).is_ok(), self.sent.contains_key(&number));
        invariant!(is_queued == (progress == Progress::Open), "message {}: queued", number.0);
        invariant!(is_sent == (progress == Progress::Answered), "message {}: sent", number.0);
        settled
    }

    fn dequeue(&mut self, number: MessageNo) -> Option<Box<Outbound>> {
        self.queue.remove(self.queue_position(number).ok()?)
    }

    fn notify_late(&mut self, late: &LateReceipt, at: Timestamp) {
        let Some(notify) = &late.notify else { return };
        let notification = Notification {
            id: notify.id.clone(),
            status: notify.status,
            failure: late.state.failed.then(|| (reported(&late.code, at), late.part)),
            adapted: Default::default(),
            conversation_id: notify.conversation_id.clone(),
            channel_data: notify.channel_data.clone(),
        };
        self.deliver(notify.destination.clone(), DeliveryKind::Notification(Box::new(notification)), at);
    }

    fn deliver(&mut self, destination: Option<DestinationId>, kind: DeliveryKind, at: Timestamp) {
        self.counters.deliveries = self.counters.deliveries.saturating_add(1);
        let (number, last) = (self.counters.deliveries, self.deliveries.back());
        let is_new = last.is_none_or(|last| last.number < number);
        invariant!(is_new, "delivery {number} comes after {:?}", last.map(|last| last.number));
        let delivery = Delivery {
            number: self.counters.deliveries,
            at,
            ordinal: self.counters.sessions,
            destination,
            kind,
        };
        self.deliveries.push_back(delivery);
    }

    fn receive_whole(&mut self, received: &Received, at: Timestamp) {
        self.last_activity = at;
        if received.is_written {
            self.last_inbound = Some(at);
            if let Some(pending) = &mut self.choices {
                pending.answered = true;
            }
        }
        self.deliver(None, DeliveryKind::Message(Arc::new(received.clone())), at);
        let (said, number) = (received.delivery, self.counters.deliveries);
        invariant!(said == number, "a message was announced as delivery {said} and is {number}");
    }

    /// Removes a delivery, nearly always the first one.
    fn remove_delivery(&mut self, number: u32) -> Option<Delivery> {
        let position = self.deliveries.iter().position(|delivery| delivery.number == number)?;
        self.deliveries.remove(position)
    }

    /// Moves a delivery to the dead letters.
    fn move_to_dead_letters(&mut self, number: u32, cause: &Cause) {
        if let Some(delivery) = self.remove_delivery(number) {
            if self.dead_letters.len() >= DEAD_LETTERS_MAX {
                self.dead_letters.remove(0);
            }
            self.dead_letters.push(DeadLetter { delivery, cause: cause.clone() });
            let letters = self.dead_letters.len();
            invariant!(letters <= DEAD_LETTERS_MAX, "{letters} dead letters");
        }
    }

    /// Moves a dead letter back, behind the deliveries that wait.
    fn redeliver(&mut self, number: u32) {
        if let Some(position) = self.dead_letters.iter().position(|letter| letter.delivery.number == number) {
            let letter = self.dead_letters.remove(position);
            self.deliveries.push_back(letter.delivery);
        }
    }
}

/// How far a message has come; decides where the session keeps it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Parts wait for a submit or its answer.
    Open,
    /// Every part was answered, or is held in doubt.
    Answered,
    /// No further event can change it.
    Settled,
}

impl Progress {
    fn of(message: &Outbound) -> Self {
        if message.settled() {
            Self::Settled
        } else if message.answered() {
            Self::Answered
        } else {
            Self::Open
        }
    }
}
