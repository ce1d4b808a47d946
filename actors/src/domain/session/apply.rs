//! How facts change a session. Total: an event that does not fit (a part that is not there) changes nothing.
//! The only place that changes a session, live and in replay.

use std::sync::Arc;

use message::{
    Content, Event, MessageNo, MessageStatus, PartState, PartStatus, Timestamp,
    event::{
        ALL_PARTS, Accepted, Cause, CloseReason, DoubtSettlement, LateReceipt, PartReceived, Received,
        SessionOpened,
    },
};

use crate::sabotage::Sabotage;

use super::state::{Delivery, DeliveryKind, Notification, Offer, Outbound, Part, Phase, Session};

/// The most dead letters one session keeps; the oldest give way.
pub const DEAD_LETTERS_MAX: usize = 1_000;

impl Outbound {
    /// A message as it is when it has just been accepted.
    pub fn of(accepted: &Accepted, at: Timestamp) -> Self {
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
            cause: None,
            reply_to: None,
        }
    }

    /// Applies an event that is about this message.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Submitting { parts, .. } => {
                for part in parts {
                    self.part(*part, |p| {
                        p.phase = Phase::Submitting;
                        p.handed_at = at;
                        p.resent = p.resent.saturating_add(u16::from(p.resent < p.doubts));
                        p.state = p.state.join(PartState::reached(PartStatus::Enroute));
                    });
                }
            }
            Event::Submitted { part, provider_id, .. } => self.part(*part, |p| p.taken(provider_id)),
            Event::Deferred { part, retry_at, counted, .. } => self.part(*part, |p| {
                p.phase = Phase::Waiting;
                p.retry_at = *retry_at;
                p.tries = p.tries.saturating_add(u16::from(*counted));
            }),
            Event::PartFailed { part, cause, .. } => self.failed(*part, cause),
            Event::Expired { .. } => {
                self.failed(ALL_PARTS, &Cause::new("expired", "its validity ended before it was sent"));
            }
            Event::Cancelled { .. } => self.failed(ALL_PARTS, &Cause::new("cancelled", "withdrawn in time")),
            Event::InDoubt { part, resend_at, .. } => self.part(*part, |p| {
                p.state = p.state.join(PartState::reached(PartStatus::InDoubt));
                p.doubts = p.doubts.saturating_add(1);
                p.phase = if resend_at.is_some() { Phase::Waiting } else { Phase::Held };
                p.retry_at = resend_at.unwrap_or(at);
            }),
            Event::DoubtSettled { part, by, .. } => {
                if *by == DoubtSettlement::Fail {
                    self.cause = Some(Cause::new("in_doubt", "given up while in doubt"));
                }
                self.part(*part, |p| p.doubt_settled(*by, at));
            }
            Event::Receipt { part, state, code, .. } => {
                self.cause = Some(cause_of(*state, code));
                self.part(*part, |p| p.receipt(*state));
            }
            Event::LateReceipt(late) => self.part(late.part, |p| p.receipt(late.state)),
            Event::Queried { part, .. } => self.part(*part, |p| p.queried = true),
            Event::InReplyTo { provider_id, .. } => self.reply_to = Some(provider_id.clone()),
            _ => {}
        }
        if self.answered() && self.answered_at.is_none() {
            self.answered_at = Some(at);
        }
    }

    fn part(&mut self, part: u16, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.parts.get_mut(usize::from(part)) {
            change(part);
        }
    }

    fn failed(&mut self, part: u16, cause: &Cause) {
        self.cause = Some(cause.clone());
        for (n, p) in self.parts.iter_mut().enumerate() {
            let meant = if part == ALL_PARTS {
                matches!(p.phase, Phase::Waiting | Phase::Held)
            } else {
                n == usize::from(part)
            };
            if meant {
                p.phase = Phase::Answered;
                p.state = p.state.join(PartState::failure());
            }
        }
    }
}

impl Part {
    fn taken(&mut self, provider_id: &Arc<str>) {
        // A second submit that was answered says nothing about the first, which is still in doubt.
        // One that comes late is the first's own.
        self.doubts = self.doubts.saturating_sub(u16::from(self.phase != Phase::Submitting));
        self.phase = Phase::Answered;
        self.provider_id = provider_id.clone();
        self.state = self.state.join(PartState::reached(PartStatus::Sent));
    }

    fn receipt(&mut self, state: PartState) {
        self.state = if Sabotage::StatusGoesBack.is_chosen() { state } else { self.state.join(state) };
        // Whatever it says, there would be none for a part that was not taken.
        if matches!(self.phase, Phase::Waiting | Phase::Held) {
            self.phase = Phase::Answered;
            self.state = self.state.join(PartState::reached(PartStatus::Sent));
        }
    }

    fn doubt_settled(&mut self, by: DoubtSettlement, at: Timestamp) {
        match by {
            DoubtSettlement::Resend => {
                self.phase = Phase::Waiting;
                self.retry_at = at;
                return;
            }
            DoubtSettlement::Fail => self.state = self.state.join(PartState::failure()),
            DoubtSettlement::Sent => self.state = self.state.join(PartState::reached(PartStatus::Sent)),
        }
        self.phase = Phase::Answered;
    }
}

/// A receipt's code, `<code>` or `<code>: <words>`, as the cause of what it reports.
fn cause_of(state: PartState, code: &str) -> Cause {
    match code.split_once(": ") {
        Some((code, words)) => Cause::new(code, words),
        None if state.failed => Cause::new(code, "the provider reports a failure"),
        None => Cause::new(code, ""),
    }
}

impl Session {
    /// Applies one event that happened at `at`.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::SessionOpened(opened) => self.opened(opened, at),
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
            Event::Accepted(accepted) => self.accepted(accepted, at),
            Event::Cancelled { message } => drop(self.unqueue(*message)),
            Event::Settled { message } => {
                self.note_orphans(*message, at);
                self.sent.remove(message);
            }
            Event::Submitting { message, .. }
            | Event::Submitted { message, .. }
            | Event::Deferred { message, .. }
            | Event::PartFailed { message, .. }
            | Event::Expired { message }
            | Event::InDoubt { message, .. }
            | Event::DoubtSettled { message, .. }
            | Event::Queried { message, .. }
            | Event::InReplyTo { message, .. }
            | Event::Receipt { message, .. } => {
                if matches!(event, Event::Submitting { .. }) {
                    self.last_sent = at;
                }
                if matches!(event, Event::Submitted { .. }) {
                    self.last_activity = at;
                }
                if let Some(outbound) = self.find(*message) {
                    outbound.apply(event, at);
                    self.conclude(*message, at);
                }
            }
            Event::LateReceipt(late) => self.late_receipt(late, at),
            Event::Revived(revived) => {
                *self = Self::new(revived.address.clone(), revived.counters);
                self.customer_shown = revived.customer_shown.clone();
                self.did_shown = revived.did_shown.clone();
            }
            Event::Received(received) => self.received(received, at),
            Event::PartReceived(part) => {
                self.last_activity = at;
                self.assembly.add(PartReceived::clone(part), at);
            }
            Event::CustomerKnown(known) => self.customer_shown = known.customer_shown.clone(),
            Event::Offered(offered) => {
                self.offer = Some(Offer { choices: offered.choices.clone(), answered: false });
            }
            Event::PartsGivenUp => {
                self.assembly.close_oldest(at);
            }
            Event::Taken { delivery } => drop(self.undeliver(*delivery)),
            Event::DeadLettered { delivery, cause } => self.dead_lettered(*delivery, cause),
            Event::DeadLetterReplayed { delivery } => {
                if let Some(at) = self.dead_letters.iter().position(|(d, _)| d.number == *delivery) {
                    let (delivery, _) = self.dead_letters.remove(at);
                    self.deliveries.push_back(delivery);
                }
            }
            Event::ChannelStopped { .. }
            | Event::ChannelStarted
            | Event::ReceiptUnmatched(_)
            | Event::ReceiptSettled { .. } => {}
        }
    }

    fn opened(&mut self, opened: &SessionOpened, at: Timestamp) {
        if self.is_done() {
            // A finished stream left memory, and begins anew: replay must forget what memory has forgotten.
            *self = Self::new(opened.address.clone(), opened.counters);
        }
        self.address = opened.address.clone();
        self.customer_shown = opened.customer_shown.clone();
        self.did_shown = opened.did_shown.clone();
        self.handler = opened.handler.clone();
        self.counters = opened.counters;
        self.counters.sessions = opened.ordinal;
        self.open = true;
        self.opened_at = at;
        self.last_activity = at;
        self.last_inbound = None;
    }

    fn accepted(&mut self, accepted: &Accepted, at: Timestamp) {
        self.counters.messages = accepted.number.0;
        if accepted.split.parts > 1 {
            self.counters.references = accepted.split.reference;
        }
        self.last_activity = at;
        self.offer.take_if(|offer| offer.answered);
        self.queue.push_back(Box::new(Outbound::of(accepted, at)));
    }

    fn find(&mut self, number: MessageNo) -> Option<&mut Outbound> {
        let queued = self.queued(number);
        match self.sent.get_mut(&number) {
            Some(message) => Some(message),
            None => self.queue.get_mut(queued.ok()?).map(|m| &mut **m),
        }
    }

    /// Tells the business of a status it must know, moves the message on, drops it when it is settled.
    fn conclude(&mut self, number: MessageNo, at: Timestamp) {
        let Some(message) = self.find(number) else { return };
        let status = message.status();
        let told = matches!(status, MessageStatus::Failed | MessageStatus::Delivered | MessageStatus::Read)
            && status > message.notified;
        let notification = told.then(|| {
            message.notified = status;
            let notification = Notification {
                id: message.id.clone(),
                status,
                cause: message.cause.clone(),
                adapted: message.adapted.clone(),
                conversation_id: message.conversation_id.clone(),
                channel_data: message.channel_data.clone(),
            };
            (message.destination.clone(), DeliveryKind::Notification(Box::new(notification)))
        });
        let (answered, settled) = (message.answered(), message.settled());
        if message.parts.iter().all(|p| p.phase == Phase::Answered) {
            message.content = Content::Text(Box::from(""));
        }
        if let Some((destination, kind)) = notification {
            self.deliver(destination, kind, at);
        }
        if settled {
            self.note_orphans(number, at);
        }
        self.place(number, answered, settled);
    }

    fn note_orphans(&mut self, number: MessageNo, at: Timestamp) {
        if self.message(number).is_some_and(Outbound::has_doubts) {
            self.counters.orphan(at);
        }
    }

    /// Keeps an unanswered message in the queue and an answered one among the sent, in order.
    fn place(&mut self, number: MessageNo, answered: bool, settled: bool) {
        if settled {
            self.sent.remove(&number);
            self.unqueue(number);
        } else if answered {
            if let Some(message) = self.unqueue(number) {
                self.sent.insert(number, message);
            }
        } else if let Some(message) = self.sent.remove(&number) {
            let (Ok(at) | Err(at)) = self.queued(number);
            self.queue.insert(at, message);
        }
    }

    fn unqueue(&mut self, number: MessageNo) -> Option<Box<Outbound>> {
        self.queue.remove(self.queued(number).ok()?)
    }

    fn late_receipt(&mut self, late: &LateReceipt, at: Timestamp) {
        let Some(notify) = &late.notify else { return };
        let cause = cause_of(PartState::default(), &late.code);
        let notification = Notification {
            id: notify.id.clone(),
            status: notify.status,
            cause: Some(cause),
            adapted: Default::default(),
            conversation_id: notify.conversation_id.clone(),
            channel_data: notify.channel_data.clone(),
        };
        self.deliver(notify.destination.clone(), DeliveryKind::Notification(Box::new(notification)), at);
    }

    fn deliver(&mut self, destination: Option<message::DestinationId>, kind: DeliveryKind, at: Timestamp) {
        self.counters.deliveries = self.counters.deliveries.saturating_add(1);
        let delivery = Delivery {
            number: self.counters.deliveries,
            at,
            ordinal: self.counters.sessions,
            destination,
            kind,
        };
        self.deliveries.push_back(delivery);
    }

    fn received(&mut self, received: &Received, at: Timestamp) {
        self.last_activity = at;
        self.last_inbound = Some(at);
        if let Some(offer) = &mut self.offer {
            offer.answered = true;
        }
        self.deliver(None, DeliveryKind::Message(std::sync::Arc::new(received.clone())), at);
    }

    /// Mostly the first one.
    fn undeliver(&mut self, number: u32) -> Option<Delivery> {
        let at = self.deliveries.iter().position(|d| d.number == number)?;
        self.deliveries.remove(at)
    }

    fn dead_lettered(&mut self, number: u32, cause: &Cause) {
        if let Some(delivery) = self.undeliver(number) {
            if self.dead_letters.len() >= DEAD_LETTERS_MAX {
                self.dead_letters.remove(0);
            }
            self.dead_letters.push((delivery, cause.clone()));
        }
    }
}
