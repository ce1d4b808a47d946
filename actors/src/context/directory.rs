//! The configured channels and destinations, with the addresses of their actors, and the choice of
//! a channel for a message.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use message::{Address, ChannelId, DestinationId, cim, event::Cause};
use storage::invariant;

use crate::{
    config::{ChannelConfig, ChannelIx, Config, DestinationConfig, DestinationIx},
    context::{
        entries::{ChannelEntry, DestinationEntry, DidEntry},
        forms::{FORMS_MAX, Forms},
    },
    error::{Refusal, StartError},
};

/// Maximum number of configured identifiers named in a refusal.
const KNOWN_SHOWN_MAX: usize = 8;
/// Maximum number of spellings of service identifiers that are cached; further ones are computed
/// each time.
const SPELLINGS_MAX: usize = 20_000;
/// Maximum length of a cached spelling, in bytes.
const SPELLING_BYTES_MAX: usize = 200;

/// The channel chosen for a message.
pub(crate) struct Found<'a> {
    pub(crate) ix: ChannelIx,
    pub(crate) entry: &'a ChannelEntry,
    /// The number of further channels that would fit.
    others: usize,
}

impl Found<'_> {
    /// Explains the choice.
    pub(crate) fn because(&self, service_identifier: &str, channel_type: Option<&str>) -> String {
        let narrowed = channel_type.map(|t| format!(" and the type {t:?}")).unwrap_or_default();
        let first = match self.others {
            0 => String::new(),
            others => format!("; {} have it, and it is preferred or the only one that sends", others + 1),
        };
        format!("it has the serviceIdentifier {service_identifier:?}{narrowed}{first}")
    }
}

/// All channels and destinations.
///
/// A channel's entry never changes: a changed configuration makes another form of the channel with
/// an entry of its own, and the old one stays readable where it is held. A removed channel's
/// sessions keep its last form, so that what they owe is still done by its policy.
pub(crate) struct Directory {
    channels: Forms<ChannelEntry>,
    destinations: Forms<DestinationEntry>,
    current: ArcSwap<Current>,
}

/// The present configuration.
#[derive(Default)]
struct Current {
    lists: Lists,
    /// The channels that have a service identifier, by its spelling. This follows from the
    /// configuration alone; asking a thousand channels costs more than the rest of an acceptance.
    spellings: RwLock<BTreeMap<Box<str>, Arc<[ChannelIx]>>>,
}

#[derive(Clone, Default)]
struct Lists {
    /// The configured channels, in the order in which they are chosen.
    channels: Vec<ChannelIx>,
    /// The newest form of each channel that is or was configured.
    channel_ix: BTreeMap<ChannelId, ChannelIx>,
    /// The configured destinations.
    destinations: Vec<DestinationIx>,
    /// The places of the configured destinations.
    destination_ix: BTreeMap<DestinationId, DestinationIx>,
    /// The places of those that were configured, for the time when they are again.
    destinations_before: BTreeMap<DestinationId, DestinationIx>,
}

impl Directory {
    /// # Errors
    ///
    /// Returns an error if two entries have the same id, or a channel has no DID or names an
    /// unknown destination.
    pub(crate) fn new(config: &Config) -> Result<Self, StartError> {
        let directory =
            Self { channels: Forms::default(), destinations: Forms::default(), current: ArcSwap::default() };
        for destination in &config.destinations {
            if directory.destination_ix(&destination.id).is_some() {
                return Err(StartError::Config(format!("two destinations have the id {}", destination.id)));
            }
            directory.put_destination(destination)?;
        }
        for channel in &config.channels {
            if directory.channel_ix(&channel.id).is_some() {
                return Err(StartError::Config(format!("two channels have the id {}", channel.id)));
            }
            let form = directory.add_form(channel, config.limits.session_queue_max)?;
            directory.switch(form);
        }
        Ok(directory)
    }

    /// Adds a form of a channel. It is not used before [`Self::switch`].
    ///
    /// # Errors
    ///
    /// Returns an error if the channel has no DID or names an unknown destination, or if there were
    /// too many changes since the start.
    pub(crate) fn add_form(
        &self,
        config: &ChannelConfig,
        session_queue_max: usize,
    ) -> Result<ChannelIx, StartError> {
        let current = self.current.load();
        let dids = dids_of(config, &current.lists.destination_ix)?;
        let before = current.lists.channel_ix.get(&config.id).and_then(|ix| self.channel(*ix));
        let entry = ChannelEntry::new(config, dids, session_queue_max, before);
        self.channels.add(entry).map(ChannelIx).ok_or_else(too_many_changes)
    }

    /// Makes a form the one of its channel, in the place of the form before.
    pub(crate) fn switch(&self, form: ChannelIx) {
        let Some(entry) = self.channel(form) else { return };
        self.update(|lists| {
            let before = lists.channel_ix.insert(entry.config.id.clone(), form);
            match lists.channels.iter_mut().find(|ix| Some(**ix) == before) {
                Some(place) => *place = form,
                None => lists.channels.push(form),
            }
        });
    }

    /// Removes a channel: no message is routed to it, and its sessions keep its last form.
    pub(crate) fn remove_channel(&self, id: &ChannelId) {
        self.update(|lists| {
            let removed = lists.channel_ix.get(id).copied();
            lists.channels.retain(|ix| Some(*ix) != removed);
        });
    }

    /// Sets the order in which channels are chosen; those that it does not name follow.
    pub(crate) fn order_channels(&self, order: &[ChannelId]) {
        let place = |ix: &ChannelIx| {
            let id = self.channel(*ix).map(|entry| &entry.config.id);
            order.iter().position(|known| Some(known) == id).unwrap_or(order.len())
        };
        self.update(|lists| lists.channels.sort_by_key(place));
    }

    /// Adds a destination, or gives the one of this id other settings.
    ///
    /// # Errors
    ///
    /// Returns an error if there were too many changes since the start.
    pub(crate) fn put_destination(&self, config: &DestinationConfig) -> Result<DestinationIx, StartError> {
        let known = {
            let current = self.current.load();
            let known = current.lists.destination_ix.get(&config.id);
            known.or(current.lists.destinations_before.get(&config.id)).copied()
        };
        let ix = match known {
            Some(ix) => ix,
            None => {
                let entry = DestinationEntry::new(config);
                self.destinations.add(entry).map(DestinationIx).ok_or_else(too_many_changes)?
            }
        };
        if let Some(entry) = self.destination(ix) {
            entry.set_config(config);
        }
        self.update(|lists| {
            lists.destinations_before.remove(&config.id);
            if lists.destination_ix.insert(config.id.clone(), ix).is_none() {
                lists.destinations.push(ix);
            }
        });
        Ok(ix)
    }

    /// Removes a destination: what names it goes to the destination of its DID.
    pub(crate) fn remove_destination(&self, id: &DestinationId) {
        self.update(|lists| {
            if let Some(ix) = lists.destination_ix.remove(id) {
                lists.destinations.retain(|known| *known != ix);
                lists.destinations_before.insert(id.clone(), ix);
            }
        });
    }

    fn update(&self, change: impl Fn(&mut Lists)) {
        self.current.rcu(|current| {
            let mut lists = current.lists.clone();
            change(&mut lists);
            Current { lists, spellings: RwLock::default() }
        });
    }

    /// The number of changes of channels for which there is room.
    pub(crate) fn room(&self) -> usize {
        self.channels.room().min(self.destinations.room())
    }

    pub(crate) fn channel(&self, ix: ChannelIx) -> Option<&ChannelEntry> {
        self.channels.get(ix.0)
    }

    /// Returns the newest form of a channel that is or was configured.
    pub(crate) fn channel_ix(&self, id: &ChannelId) -> Option<ChannelIx> {
        self.current.load().lists.channel_ix.get(id).copied()
    }

    /// Returns a channel that is or was configured.
    pub(crate) fn channel_by_id(&self, id: &ChannelId) -> Option<(ChannelIx, &ChannelEntry)> {
        let ix = self.channel_ix(id)?;
        Some((ix, self.channel(ix)?))
    }

    /// Returns the name of a channel's provider; empty if the channel was never configured.
    pub(crate) fn provider_of(&self, id: &ChannelId) -> &'static str {
        self.channel_by_id(id).map_or("", |(_, entry)| entry.channel().provider().name)
    }

    /// Returns a channel that is configured now.
    pub(crate) fn configured(&self, id: &ChannelId) -> Option<(ChannelIx, &ChannelEntry)> {
        self.channel_by_id(id).filter(|(ix, _)| self.is_configured(*ix))
    }

    /// Whether a form is the one of a channel that is configured now.
    pub(crate) fn is_configured(&self, ix: ChannelIx) -> bool {
        self.current.load().lists.channels.contains(&ix)
    }

    /// The number of configured channels.
    pub(crate) fn channel_count(&self) -> usize {
        self.current.load().lists.channels.len()
    }

    /// The configured channels, in the order in which they are chosen.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (ChannelIx, &ChannelEntry)> {
        let all = self.current.load().lists.channels.clone();
        all.into_iter().filter_map(move |ix| Some((ix, self.channel(ix)?)))
    }

    pub(crate) fn destination(&self, ix: DestinationIx) -> Option<&DestinationEntry> {
        self.destinations.get(ix.0)
    }

    /// Returns the place of a destination that is configured now.
    pub(crate) fn destination_ix(&self, id: &DestinationId) -> Option<DestinationIx> {
        self.current.load().lists.destination_ix.get(id).copied()
    }

    /// Returns the id of the destination of an address; empty if its channel is not configured.
    pub(crate) fn destination_of(&self, address: &Address) -> DestinationId {
        let found = self.channel_by_id(&address.channel).and_then(|(_, entry)| {
            self.destination(entry.destination(&address.did)).map(|found| found.id.clone())
        });
        found.unwrap_or_else(|| "".into())
    }

    /// The configured destinations.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = (DestinationIx, &DestinationEntry)> {
        let all = self.current.load().lists.destinations.clone();
        all.into_iter().filter_map(move |ix| Some((ix, self.destination(ix)?)))
    }

    /// Chooses the channel of a message by its service identifier, narrowed by its channel type.
    ///
    /// # Errors
    ///
    /// As for [`Self::find_channel`].
    pub(crate) fn route(&self, message: &cim::Message) -> Result<Found<'_>, Refusal> {
        self.find_channel(&message.service_identifier, message.channel_type.as_deref())
    }

    /// Chooses a channel by service identifier and, if given, channel type: the only one that can
    /// send, else the preferred one.
    ///
    /// # Errors
    ///
    /// Returns a refusal that names configured identifiers if no channel fits, or the channels if
    /// several do.
    pub(crate) fn find_channel(
        &self,
        service_identifier: &str,
        channel_type: Option<&str>,
    ) -> Result<Found<'_>, Refusal> {
        let with_did = self.with_did(service_identifier);
        let fitting = || {
            let known = with_did.iter().filter_map(|ix| Some((*ix, self.channel(*ix)?)));
            known.filter(|(_, entry)| channel_type.is_none_or(|wanted| entry.has_type(wanted)))
        };
        let sends = |(_, entry): &(ChannelIx, &ChannelEntry)| entry.channel().sends().is_ok();
        let (all, sending) = (fitting().count(), fitting().filter(sends).count());
        let chosen = match (all, sending) {
            (0, _) if with_did.is_empty() => return Err(self.unknown_channel(service_identifier, None)),
            (0, _) => return Err(self.unknown_type(service_identifier, channel_type, &with_did)),
            (_, 0) => fitting().next(),
            (_, 1) => fitting().find(sends),
            _ => fitting().filter(sends).find(|(_, entry)| entry.config.preferred == Some(true)),
        };
        let Some((ix, entry)) = chosen else {
            return Err(ambiguous(service_identifier, fitting().filter(sends).map(|(_, entry)| entry)));
        };
        Ok(Found { ix, entry, others: all.saturating_sub(1) })
    }

    /// Returns the channels that have a DID, in the order in which they are chosen.
    fn with_did(&self, service_identifier: &str) -> Arc<[ChannelIx]> {
        let current = self.current.load();
        let known = current.spellings.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(service_identifier) {
            return found.clone();
        }
        drop(known);
        let channels = current.lists.channels.iter().copied();
        let has_did = |ix: &ChannelIx| self.channel(*ix).is_some_and(|e| e.has_did(service_identifier));
        let found: Arc<[ChannelIx]> = channels.filter(has_did).collect();
        if !found.is_empty() && service_identifier.len() <= SPELLING_BYTES_MAX {
            let mut known = current.spellings.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() < SPELLINGS_MAX {
                known.insert(service_identifier.into(), found.clone());
            }
            invariant!(known.len() <= SPELLINGS_MAX, "{} spellings are kept", known.len());
        }
        found
    }

    /// Returns the refusal of a channel type that no channel with this service identifier has.
    fn unknown_type(
        &self,
        service_identifier: &str,
        wanted: Option<&str>,
        with_did: &[ChannelIx],
    ) -> Refusal {
        let known = with_did.iter().filter_map(|ix| self.channel(*ix)).take(KNOWN_SHOWN_MAX).map(|entry| {
            let types = entry.channel().provider().channel_types;
            format!("{:?} ({})", entry.config.id.as_str(), types.join(", "))
        });
        let reason = format!(
            "channelTypeCode {:?} is none of the channels with the serviceIdentifier {service_identifier:?}; \
             expected the id or a type of {}",
            wanted.unwrap_or_default(),
            known.collect::<Vec<_>>().join(" or ")
        );
        Refusal::Unsendable(Cause::new("400", reason))
    }

    /// Returns the refusal of a service identifier that no channel has. It names the configured
    /// ones, or those of one destination.
    pub(crate) fn unknown_channel(&self, service_identifier: &str, only: Option<&DestinationId>) -> Refusal {
        let dids = self.channels().flat_map(|(_, channel)| &channel.config.dids);
        let dids = dids.filter(|did| only.is_none_or(|only| did.destination == *only));
        let all: Vec<&str> = dids.map(|did| &*did.number).collect();
        let mut known = all.iter().take(KNOWN_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
        if all.len() > KNOWN_SHOWN_MAX {
            known.push_str(", ...");
        }
        Refusal::UnknownChannel { service_identifier: service_identifier.into(), known }
    }
}

fn too_many_changes() -> StartError {
    StartError::Config(format!("more than {FORMS_MAX} changes since the start: restart Patchbay"))
}

/// Returns the refusal of a service identifier that several channels have.
fn ambiguous<'e>(service_identifier: &str, fitting: impl Iterator<Item = &'e ChannelEntry>) -> Refusal {
    let ids: Vec<&str> = fitting.map(|entry| entry.config.id.as_str()).collect();
    let reason = format!(
        "{} channels have the serviceIdentifier {service_identifier:?}: say channelTypeCode ({}), or set \
         preferred = true in one [[channel]]",
        ids.len(),
        ids.iter().take(KNOWN_SHOWN_MAX).map(|id| format!("{id:?}")).collect::<Vec<_>>().join(" or "),
    );
    Refusal::Unsendable(Cause::new("400", reason))
}

fn dids_of(
    channel: &ChannelConfig,
    destination_ix: &BTreeMap<DestinationId, DestinationIx>,
) -> Result<Vec<DidEntry>, StartError> {
    let dids = channel.dids.iter().map(|did| {
        let destination = destination_ix.get(&did.destination).copied();
        let destination = destination.ok_or_else(|| {
            StartError::Config(format!("channel {}: unknown destination {}", channel.id, did.destination))
        })?;
        Ok(DidEntry { canonical: channel.channel.did(&did.number), shown: did.number.clone(), destination })
    });
    let dids = dids.collect::<Result<Vec<_>, _>>()?;
    if dids.is_empty() {
        return Err(StartError::Config(format!("channel {} has no dids", channel.id)));
    }
    Ok(dids)
}
