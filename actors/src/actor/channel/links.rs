//! The links of a channel: started, restarted when their actor dies, and used evenly.

use std::sync::Arc;

use channels::{LinkKind, http::Request};
use message::{Timestamp, event::Cause};
use ractor::{Actor, ActorCell, ActorId};
use storage::invariant;

use crate::{
    actor::{
        channel::link_slot::{LinkActor, LinkSlot},
        link::{LinkArguments, http::HttpLink, smpp::SmppLink},
    },
    config::ChannelIx,
    context::Context,
    protocol::{
        channel::ChannelMessage,
        link::{LinkCommand, LinkPart, LinkStatus},
        part::{InboundAck, Query},
        recipient::Recipient,
    },
};

/// The parameters that all links of a channel share.
pub(crate) struct LinkOwner {
    pub(crate) context: Arc<Context>,
    pub(crate) channel: ChannelIx,
    pub(crate) messages: Recipient<ChannelMessage>,
    /// The channel's actor, which supervises its links.
    pub(crate) cell: ActorCell,
}

/// All links of a channel.
pub(crate) struct Links {
    owner: LinkOwner,
    slots: Vec<LinkSlot>,
}

impl Links {
    /// Starts a channel's links: one for each SMPP bind, or one that makes HTTP calls.
    ///
    /// # Errors
    ///
    /// Returns the reason if a link's actor cannot be started.
    pub(crate) async fn start(owner: LinkOwner) -> Result<Self, String> {
        let entry = owner.context.directory.channel(owner.channel).ok_or("no such channel")?;
        let count = match entry.channel().link() {
            LinkKind::Smpp(account) => account.connections().len(),
            LinkKind::Http(_) => 1,
        };
        let now = owner.context.now();
        let slots = (0..count).map(|_| LinkSlot::new(now)).collect();
        let mut links = Self { owner, slots };
        for link in 0..count {
            links.start_actor(link, 0).await?;
        }
        Ok(links)
    }

    /// Starts a link's actor.
    ///
    /// # Errors
    ///
    /// Returns the reason if it cannot be started.
    pub(crate) async fn start_actor(&mut self, link: usize, epoch: u32) -> Result<(), String> {
        let Some(slot) = self.slots.get_mut(link) else { return Ok(()) };
        slot.run = slot.run.wrapping_add(1);
        let LinkOwner { context, channel, messages, cell } = &self.owner;
        let arguments = LinkArguments {
            context: context.clone(),
            channel: *channel,
            link: link as u16,
            run: slot.run,
            epoch,
            owner: messages.clone(),
        };
        let entry = context.directory.channel(*channel).ok_or("no such channel")?;
        let is_http = entry.http().is_some();
        let cell = cell.clone();
        let failed = |error: ractor::SpawnErr| format!("a link: {error}");
        slot.actor = Some(if is_http {
            let (actor, _) = Actor::spawn_linked(None, HttpLink, arguments, cell).await.map_err(failed)?;
            LinkActor { id: actor.get_id(), commands: Recipient::of(actor) }
        } else {
            let (actor, _) = Actor::spawn_linked(None, SmppLink, arguments, cell).await.map_err(failed)?;
            LinkActor { id: actor.get_id(), commands: Recipient::of(actor) }
        });
        Ok(())
    }

    /// The number of the link that an actor runs.
    pub(crate) fn of_actor(&self, id: ActorId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.actor.as_ref().is_some_and(|actor| actor.id == id))
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &LinkSlot> {
        self.slots.iter()
    }

    pub(crate) fn get_mut(&mut self, link: u16) -> Option<&mut LinkSlot> {
        self.slots.get_mut(usize::from(link))
    }

    /// The number of links that are up.
    pub(crate) fn up(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_up()).count()
    }

    /// The number of parts that all links accept now.
    pub(crate) fn free(&self) -> usize {
        self.slots.iter().map(|slot| slot.free).sum()
    }

    /// Marks a link as lost.
    pub(crate) fn set_down(&mut self, link: u16, reason: String, now: Timestamp) {
        if let Some(slot) = self.get_mut(link) {
            slot.free = 0;
            (slot.status, slot.reason, slot.since) = (LinkStatus::Waiting, reason, now);
            slot.next_try = None;
        }
    }

    /// Adds a part to the batch of the link with the most room, so that links share the work
    /// evenly. `part_for` makes it for that link. The caller has checked that there is room.
    pub(crate) fn add_part(&mut self, part_for: impl FnOnce(u16) -> LinkPart) {
        let emptiest = self.slots.iter_mut().enumerate().max_by_key(|(n, slot)| (slot.free, usize::MAX - n));
        let Some((n, slot)) = emptiest else { return };
        invariant!(slot.free > 0, "a part goes to link {n}, which has no room");
        slot.free = slot.free.saturating_sub(1);
        slot.batch.push(part_for(n as u16));
    }

    /// Submits the batches.
    pub(crate) fn submit(&mut self) {
        for slot in &mut self.slots {
            if !slot.batch.is_empty() {
                let batch = std::mem::take(&mut slot.batch);
                slot.tell(LinkCommand::Submit(batch));
            }
        }
    }

    /// Acknowledges deliveries on the links on which they arrived.
    pub(crate) fn acknowledge(&mut self, acks: Vec<InboundAck>) {
        for ack in acks {
            if let Some(slot) = self.get_mut(ack.link) {
                slot.acks.push(ack.token);
            }
        }
        for slot in &mut self.slots {
            if !slot.acks.is_empty() {
                let acks = std::mem::take(&mut slot.acks);
                slot.tell(LinkCommand::Acknowledge(acks));
            }
        }
    }

    /// Sends queries on the first link that can make them; without one they are dropped.
    pub(crate) fn query(&self, queries: Vec<Query>) {
        if !queries.is_empty()
            && let Some(slot) = self.slots.iter().find(|slot| slot.is_up() && slot.free > 0)
        {
            slot.tell(LinkCommand::Query(queries));
        }
    }

    /// Makes a call whose outcome changes nothing.
    pub(crate) fn fire_and_forget(&self, request: Request) {
        if let Some(slot) = self.slots.first() {
            slot.tell(LinkCommand::FireAndForget(Box::new(request)));
        }
    }

    /// Asks for a customer's profile.
    pub(crate) fn ask_profile(&self, customer: Arc<str>, request: Request) {
        if let Some(slot) = self.slots.first() {
            slot.tell(LinkCommand::Profile(customer, Box::new(request)));
        }
    }

    /// Makes all links connect now; what they report carries the new epoch from then on.
    pub(crate) fn restart(&self, epoch: u32) {
        self.slots.iter().for_each(|slot| slot.tell(LinkCommand::Restart { epoch }));
    }

    /// Makes all links stay away until a probe is accepted, because the credentials are refused.
    pub(crate) fn suspend(&self, cause: &Cause) {
        self.slots.iter().for_each(|slot| slot.tell(LinkCommand::Suspend(cause.clone())));
    }

    /// Makes all links unbind and stay away.
    pub(crate) fn stop(&self) {
        self.slots.iter().for_each(|slot| slot.tell(LinkCommand::Stop));
    }
}
