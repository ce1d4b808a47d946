//! The links of a channel: started, watched, started anew when their actor dies; what they report is taken in.

use channels::LinkKind;
use message::event::Cause;
use ractor::{Actor, ActorId};

use crate::{
    actor::{
        channel::{link_slot::LinkSlot, send::LOST, state::ChannelState},
        link::{LinkArguments, http::HttpLink, smpp::SmppLink},
    },
    protocol::{
        host::Task,
        link::{LinkEvent, LinkMessage, LinkToken},
        part::Query,
    },
    sabotage::Sabotage,
};

impl ChannelState {
    pub(super) async fn start_links(&mut self) -> Result<(), String> {
        let Some(entry) = self.shared.channels.get(self.ix) else { return Ok(()) };
        let (links, up) = match entry.channel().link() {
            LinkKind::Smpp(account) => (account.connections().len(), "bound"),
            // One link lets many calls run at once.
            LinkKind::Http(_) => (1, "ready"),
        };
        for _ in 0..links {
            self.links.push(LinkSlot {
                actor: None,
                free: 0,
                batch: Vec::new(),
                acks: Vec::new(),
                status: "connecting",
                up,
                reason: String::new(),
                since: self.shared.now(),
                attempts: 0,
            });
        }
        for link in 0..self.links.len() {
            self.start_link(link).await?;
        }
        Ok(())
    }

    async fn start_link(&mut self, link: usize) -> Result<(), String> {
        let arguments = LinkArguments {
            shared: self.shared.clone(),
            channel: self.ix,
            link: link as u16,
            owner: self.myself.clone(),
        };
        let cell = self.myself.get_cell();
        let Some(entry) = self.shared.channels.get(self.ix) else { return Ok(()) };
        let started = match entry.channel().link() {
            LinkKind::Smpp(_) => Actor::spawn_linked(None, SmppLink, arguments, cell).await,
            LinkKind::Http(_) => Actor::spawn_linked(None, HttpLink, arguments, cell).await,
        };
        let (actor, _handle) = started.map_err(|e| format!("a link: {e}"))?;
        if let Some(slot) = self.links.get_mut(link) {
            slot.actor = Some(actor);
        }
        Ok(())
    }

    /// A link's actor died: what was with it is in doubt, and a new one takes its place.
    pub(super) async fn link_gone(&mut self, id: ActorId) {
        let gone = |slot: &LinkSlot| slot.actor.as_ref().is_some_and(|a| a.get_id() == id);
        let Some(link) = self.links.iter().position(gone) else { return };
        self.link_down(link, "its actor failed".to_owned());
        let mut tasks = Vec::new();
        for token in self.outstanding.of_link(link as u16) {
            if let Some(part) = self.outstanding.get(token) {
                self.answered(link as u16, LinkToken { token, part }, LOST, &mut tasks);
            }
        }
        self.tell_hosts(tasks);
        if !self.is_draining
            && let Err(error) = self.start_link(link).await
        {
            tracing::error!(link, error, "a link cannot be started");
        }
        self.pump();
    }

    fn link_down(&mut self, link: usize, reason: String) {
        let now = self.shared.now();
        if let Some(slot) = self.links.get_mut(link) {
            slot.free = 0;
            slot.status = "waiting";
            slot.reason = reason;
            slot.since = now;
        }
    }

    /// What happened on a link, in order.
    pub(super) fn link_reports(&mut self, link: u16, _epoch: u32, events: Vec<LinkEvent>) {
        let mut tasks: Vec<Vec<Task>> = Vec::new();
        for event in events {
            match event {
                LinkEvent::Up { window } => {
                    if Sabotage::DropQueueOnReconnect.is_chosen() {
                        self.outbox.clear();
                        self.lanes = Default::default();
                    }
                    let now = self.shared.now();
                    let out = self.outstanding.of_link(link).len();
                    if let Some(slot) = self.links.get_mut(usize::from(link)) {
                        slot.free = window.saturating_sub(out);
                        slot.status = slot.up;
                        slot.reason.clear();
                        slot.since = now;
                        slot.attempts = 0;
                    }
                }
                LinkEvent::Trial => {
                    if let Some(slot) = self.links.get_mut(usize::from(link)) {
                        slot.free = 1;
                    }
                }
                LinkEvent::Down { reason } => {
                    self.link_down(usize::from(link), reason);
                    // Who knows for how long: until then parts may expire, or more urgent ones come.
                    if self.links.iter().all(|link| !link.is_bound()) {
                        self.return_outbox();
                    }
                }
                LinkEvent::Trying { attempts, status, reason } => {
                    let now = self.shared.now();
                    if let Some(slot) = self.links.get_mut(usize::from(link)) {
                        slot.attempts = attempts;
                        if slot.status != status || slot.reason != reason {
                            (slot.status, slot.reason, slot.since) = (status, reason, now);
                        }
                    }
                }
                LinkEvent::Refused(cause) => self.stop(cause),
                LinkEvent::Answered(token, answer) => self.answered(link, token, answer, &mut tasks),
                LinkEvent::Delivered { token, message } => self.delivered(link, token, &message, &mut tasks),
                LinkEvent::Queried { part, status } => self.query_answered(part, status, &mut tasks),
                LinkEvent::Congested(state) => self.congested(state),
                LinkEvent::SetUp(view) => self.set_up = Some(view),
                LinkEvent::Profile(customer, said) => self.profiles.know(customer, said),
                LinkEvent::Account(facts) => {
                    facts.into_iter().for_each(|(about, says)| self.account_says(about, says));
                }
                LinkEvent::Malformed(count) => {
                    self.counts.malformed += count;
                    self.metrics.malformed.increment(count);
                }
            }
        }
        self.tell_hosts(tasks);
        self.pump();
        self.show_status();
    }

    /// The provider refuses the credentials: nothing is tried until someone changes something.
    pub(super) fn stop(&mut self, cause: Cause) {
        if self.stopped.is_some() {
            return;
        }
        tracing::error!(
            code = &*cause.code,
            reason = &*cause.reason,
            "the channel stops: credentials refused"
        );
        self.stopped = Some(cause.clone());
        for link in &self.links {
            link.tell(LinkMessage::Stop);
        }
        self.append_own(message::Event::ChannelStopped { cause }, None);
        self.return_outbox();
    }

    /// Parts that cannot go out for long are given back, so that their sessions know.
    pub(super) fn return_outbox(&mut self) {
        let mut tasks = Vec::new();
        while let Some(job) = self.outbox.pop_front() {
            let op = crate::protocol::host::Op::Outcome {
                number: job.part.number,
                part: job.part.part,
                outcome: crate::domain::session::Outcome::NotSent,
                spellings: Vec::new(),
            };
            self.to_host(job.part.stream, op, &mut tasks);
        }
        self.tell_hosts(tasks);
    }

    /// SMPP 5.0 congestion: above 80 the channel pauses.
    fn congested(&mut self, state: u8) {
        if state > CONGESTED_ABOVE {
            self.rate.pause(0, self.shared.monotonic_ms());
            self.counts.throttled += 1;
        }
    }

    /// Asks the provider what became of parts, on the first link that can.
    pub(super) fn query(&mut self, queries: Vec<Query>) {
        if !queries.is_empty()
            && let Some(link) = self.links.iter().find(|link| link.is_bound() && link.free > 0)
        {
            link.tell(LinkMessage::Query(queries));
        }
    }
}

const CONGESTED_ABOVE: u8 = 80;
