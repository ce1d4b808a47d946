//! The configured channels and destinations, with the addresses of their actors, and the choice of
//! a channel for a message.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use channels::{Channel, HttpChannel, LinkKind};
use message::{Address, ChannelId, DestinationId, Timestamp, cim};
use storage::invariant;

use crate::{
    config::{ChannelConfig, ChannelIx, Config, DestinationConfig, DestinationIx},
    domain::{
        credit::Credit,
        session::{Identity, Policy},
    },
    error::{Refusal, StartError},
    protocol::{
        channel::ChannelMessage, destination::DestinationMessage, recipient::Recipient,
        webhook::WebhookCounters,
    },
    view::http_trace::HttpTrace,
};

/// Maximum number of configured identifiers named in a refusal.
const KNOWN_SHOWN_MAX: usize = 8;
/// Maximum number of spellings of service identifiers that are cached; further ones are computed
/// each time.
const SPELLINGS_MAX: usize = 20_000;
/// Maximum length of a cached spelling, in bytes.
const SPELLING_BYTES_MAX: usize = 200;

/// One of our own addresses on a channel.
pub(crate) struct DidEntry {
    pub(crate) canonical: Arc<str>,
    /// The spelling in the configuration.
    pub(crate) shown: Arc<str>,
    pub(crate) destination: DestinationIx,
}

/// A configured channel and its actor.
pub(crate) struct ChannelEntry {
    pub(crate) config: ChannelConfig,
    pub(crate) policy: Policy,
    /// Whether its customers may have several names.
    pub(crate) has_aliases: bool,
    pub(crate) dids: Vec<DidEntry>,
    /// Room in its window that sessions may use without asking.
    pub(crate) credit: Credit,
    /// The number of sessions that wait for their turn on it.
    pub(crate) waiting: AtomicUsize,
    /// When the provider may last have missed an acknowledgement, in milliseconds; 0: never.
    lost_at: AtomicU64,
    /// The HTTP calls between the channel and its provider.
    pub(crate) trace: HttpTrace,
    /// Counters of its webhooks, created with the first one.
    pub(crate) webhooks: OnceLock<WebhookCounters>,
    pub(crate) actor: ArcSwapOption<Recipient<ChannelMessage>>,
}

impl ChannelEntry {
    fn new(config: &ChannelConfig, dids: Vec<DidEntry>, session_queue_max: usize) -> Self {
        Self {
            policy: Policy::of(config, session_queue_max),
            has_aliases: matches!(config.channel.link(), LinkKind::Http(_)),
            config: config.clone(),
            dids,
            credit: Credit::default(),
            waiting: AtomicUsize::new(0),
            lost_at: AtomicU64::new(0),
            trace: HttpTrace::default(),
            webhooks: OnceLock::new(),
            actor: ArcSwapOption::empty(),
        }
    }

    /// Notes that the provider may have missed an acknowledgement and repeats what it brought: a
    /// link was lost, or a call was not answered.
    pub(crate) fn note_loss(&self, now: Timestamp) {
        self.lost_at.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Returns when that was last noted.
    pub(crate) fn lost_at(&self) -> Timestamp {
        Timestamp(self.lost_at.load(Ordering::Relaxed))
    }

    /// The provider's side of the channel.
    pub(crate) fn channel(&self) -> &dyn Channel {
        &*self.config.channel
    }

    /// The provider's HTTP side, if it has one.
    pub(crate) fn http(&self) -> Option<&dyn HttpChannel> {
        match self.channel().link() {
            LinkKind::Http(http) => Some(http),
            LinkKind::Smpp(_) => None,
        }
    }

    /// Whether the channel is an SMPP channel.
    pub(crate) fn is_smpp(&self) -> bool {
        matches!(self.channel().link(), LinkKind::Smpp(_))
    }

    /// Returns the destination of a DID's deliveries. A DID that is no longer configured gets the
    /// first DID's destination, so that nothing is lost.
    pub(crate) fn destination(&self, did: &str) -> DestinationIx {
        let known = self.dids.iter().find(|known| *known.canonical == *did);
        known.or(self.dids.first()).map_or(DestinationIx(0), |known| known.destination)
    }

    /// Returns a DID as the provider names it, or the first one when it names none.
    pub(crate) fn did_or_first(&self, did: &Arc<str>) -> Arc<str> {
        let first = self.config.dids.first().filter(|_| did.is_empty());
        first.map_or_else(|| did.clone(), |first| first.number.clone())
    }

    /// Returns the identity of the session between a DID and a customer.
    pub(crate) fn identity(&self, did: &str, customer: Arc<str>, shown: &str) -> Identity {
        let canonical = self.channel().did(did);
        let known = self.dids.iter().find(|known| known.canonical == canonical);
        Identity {
            did_shown: known.map_or_else(|| Arc::from(did), |known| known.shown.clone()),
            address: Address { channel: self.config.id.clone(), did: canonical, customer },
            customer_shown: Arc::from(shown),
            reached: None,
        }
    }

    /// Returns the address of the session between a DID and a customer. A sender that the channel
    /// does not accept as a customer, such as an alphanumeric name, is one all the same.
    pub(crate) fn address(&self, did: &str, customer: &str) -> Address {
        let channel = self.channel();
        Address {
            channel: self.config.id.clone(),
            did: channel.did(did),
            customer: channel.customer(customer).unwrap_or_else(|_| customer.into()),
        }
    }

    /// Sends a message to the channel's actor. While the actor is being restarted the message is
    /// dropped; the restart makes hosts announce their sessions again.
    pub(crate) fn tell(&self, message: ChannelMessage) {
        if let Some(actor) = &*self.actor.load() {
            actor.tell(message);
        }
    }

    fn has_did(&self, service_identifier: &str) -> bool {
        let canonical = self.channel().did(service_identifier);
        self.dids.iter().any(|did| did.canonical == canonical)
    }

    fn has_type(&self, wanted: &str) -> bool {
        let provider = self.channel().provider();
        wanted.eq_ignore_ascii_case(self.config.id.as_str())
            || wanted.eq_ignore_ascii_case(provider.name)
            || provider.channel_types.iter().any(|known| wanted.eq_ignore_ascii_case(known))
    }
}

/// A configured destination and its actor.
pub(crate) struct DestinationEntry {
    pub(crate) config: DestinationConfig,
    pub(crate) actor: ArcSwapOption<Recipient<DestinationMessage>>,
}

impl DestinationEntry {
    /// Sends a message to the destination's actor. While the actor is being restarted the message
    /// is dropped; the restart makes hosts offer their deliveries again.
    pub(crate) fn tell(&self, message: DestinationMessage) {
        if let Some(actor) = &*self.actor.load() {
            actor.tell(message);
        }
    }
}

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
            others => format!("; the first of {} that have it", others + 1),
        };
        format!("it has the serviceIdentifier {service_identifier:?}{narrowed}{first}")
    }
}

/// All channels and destinations, in the order of the configuration.
pub(crate) struct Directory {
    channels: Vec<ChannelEntry>,
    channel_ix: BTreeMap<ChannelId, ChannelIx>,
    destinations: Vec<DestinationEntry>,
    destination_ix: BTreeMap<DestinationId, DestinationIx>,
    /// The channels that have a service identifier, by its spelling. This follows from the
    /// configuration alone; asking a thousand channels costs more than the rest of an acceptance.
    spellings: RwLock<BTreeMap<Box<str>, Arc<[ChannelIx]>>>,
}

impl Directory {
    /// # Errors
    ///
    /// Returns an error if two entries have the same id, or a channel has no DID or names an
    /// unknown destination.
    pub(crate) fn new(config: &Config) -> Result<Self, StartError> {
        let mut destination_ix = BTreeMap::new();
        let mut destinations = Vec::new();
        for destination in &config.destinations {
            let ix = DestinationIx(destinations.len());
            if destination_ix.insert(destination.id.clone(), ix).is_some() {
                return Err(StartError::Config(format!("two destinations have the id {}", destination.id)));
            }
            destinations
                .push(DestinationEntry { config: destination.clone(), actor: ArcSwapOption::empty() });
        }
        let mut channel_ix = BTreeMap::new();
        let mut channels = Vec::new();
        for channel in &config.channels {
            if channel_ix.insert(channel.id.clone(), ChannelIx(channels.len())).is_some() {
                return Err(StartError::Config(format!("two channels have the id {}", channel.id)));
            }
            let dids = dids_of(channel, &destination_ix)?;
            channels.push(ChannelEntry::new(channel, dids, config.limits.session_queue_max));
        }
        Ok(Self { channels, channel_ix, destinations, destination_ix, spellings: RwLock::default() })
    }

    pub(crate) fn channel(&self, ix: ChannelIx) -> Option<&ChannelEntry> {
        self.channels.get(ix.0)
    }

    pub(crate) fn channel_ix(&self, id: &ChannelId) -> Option<ChannelIx> {
        self.channel_ix.get(id).copied()
    }

    pub(crate) fn channel_by_id(&self, id: &ChannelId) -> Option<(ChannelIx, &ChannelEntry)> {
        let ix = self.channel_ix(id)?;
        Some((ix, self.channel(ix)?))
    }

    pub(crate) fn channels(&self) -> impl ExactSizeIterator<Item = (ChannelIx, &ChannelEntry)> {
        self.channels.iter().enumerate().map(|(n, entry)| (ChannelIx(n), entry))
    }

    pub(crate) fn destination(&self, ix: DestinationIx) -> Option<&DestinationEntry> {
        self.destinations.get(ix.0)
    }

    pub(crate) fn destination_ix(&self, id: &DestinationId) -> Option<DestinationIx> {
        self.destination_ix.get(id).copied()
    }

    /// Returns the id of the destination of an address; empty if its channel is not configured.
    pub(crate) fn destination_of(&self, address: &Address) -> DestinationId {
        let found = self.channel_by_id(&address.channel).and_then(|(_, entry)| {
            self.destination(entry.destination(&address.did)).map(|found| found.config.id.clone())
        });
        found.unwrap_or_else(|| "".into())
    }

    pub(crate) fn destinations(&self) -> impl Iterator<Item = (DestinationIx, &DestinationEntry)> {
        self.destinations.iter().enumerate().map(|(n, entry)| (DestinationIx(n), entry))
    }

    /// Chooses the channel of a message by its service identifier, narrowed by its channel type.
    ///
    /// # Errors
    ///
    /// Returns a refusal that names configured identifiers if no channel fits.
    pub(crate) fn route(&self, message: &cim::Message) -> Result<Found<'_>, Refusal> {
        self.find(&message.service_identifier, message.channel_type.as_deref(), |entry| {
            entry.channel().sends().is_ok()
        })
    }

    /// Chooses a channel by service identifier and, if given, channel type.
    ///
    /// # Errors
    ///
    /// As for [`Self::route`].
    pub(crate) fn find_channel(
        &self,
        service_identifier: &str,
        channel_type: Option<&str>,
    ) -> Result<Found<'_>, Refusal> {
        self.find(service_identifier, channel_type, |_| true)
    }

    /// Chooses the first channel that is preferred, else the first one.
    fn find(
        &self,
        service_identifier: &str,
        channel_type: Option<&str>,
        is_preferred: impl Fn(&ChannelEntry) -> bool,
    ) -> Result<Found<'_>, Refusal> {
        let with_did = self.with_did(service_identifier);
        let fitting = || {
            let known = with_did.iter().filter_map(|ix| Some((*ix, self.channel(*ix)?)));
            known.filter(|(_, entry)| channel_type.is_none_or(|wanted| entry.has_type(wanted)))
        };
        let preferred = fitting().find(|(_, entry)| is_preferred(entry));
        let Some((ix, entry)) = preferred.or_else(|| fitting().next()) else {
            return Err(self.unknown_channel(service_identifier, None));
        };
        Ok(Found { ix, entry, others: fitting().count().saturating_sub(1) })
    }

    /// Returns the channels that have a DID, in the order of the configuration.
    fn with_did(&self, service_identifier: &str) -> Arc<[ChannelIx]> {
        let known = self.spellings.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(service_identifier) {
            return found.clone();
        }
        drop(known);
        let found: Arc<[ChannelIx]> = self
            .channels()
            .filter(|(_, entry)| entry.has_did(service_identifier))
            .map(|(ix, _)| ix)
            .collect();
        if !found.is_empty() && service_identifier.len() <= SPELLING_BYTES_MAX {
            let mut known = self.spellings.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() < SPELLINGS_MAX {
                known.insert(service_identifier.into(), found.clone());
            }
            invariant!(known.len() <= SPELLINGS_MAX, "{} spellings are kept", known.len());
        }
        found
    }

    /// Returns the refusal of a service identifier that no channel has. It names the configured
    /// ones, or those of one destination.
    pub(crate) fn unknown_channel(&self, service_identifier: &str, only: Option<&DestinationId>) -> Refusal {
        let dids = self.channels.iter().flat_map(|channel| &channel.config.dids);
        let dids = dids.filter(|did| only.is_none_or(|only| did.destination == *only));
        let all: Vec<&str> = dids.map(|did| &*did.number).collect();
        let mut known = all.iter().take(KNOWN_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
        if all.len() > KNOWN_SHOWN_MAX {
            known.push_str(", ...");
        }
        Refusal::UnknownChannel { service_identifier: service_identifier.into(), known }
    }
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
