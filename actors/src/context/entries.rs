//! One configured channel or destination each, with the address of its actor.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use channels::{Channel, HttpChannel, LinkKind, Protection, address::country};
use message::{Address, DestinationId, StreamId, Timestamp};

use crate::{
    config::{ChannelConfig, DestinationConfig, DestinationIx},
    context::tally::ChannelTally,
    domain::{
        credit::Credit,
        refused_calls::RefusedCalls,
        session::{Identity, Policy},
    },
    protocol::{
        channel::ChannelMessage, destination::DestinationMessage, recipient::Recipient,
        webhook::WebhookCounters,
    },
    view::{ChannelCounts, RefusedCallsView, http_trace::HttpTrace},
};

/// One of our own addresses on a channel.
pub(crate) struct DidEntry {
    pub(crate) canonical: Arc<str>,
    /// The spelling in the configuration.
    pub(crate) shown: Arc<str>,
    pub(crate) destination: DestinationIx,
}

/// A form of a channel, and its actor.
pub(crate) struct ChannelEntry {
    pub(crate) config: ChannelConfig,
    /// The stream of its own events.
    pub(crate) stream: StreamId,
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
    /// The HTTP calls between the channel and its provider; all forms share them.
    pub(crate) trace: Arc<HttpTrace>,
    /// Its counts in messages; all forms share them.
    pub(crate) tally: Arc<ChannelTally>,
    /// The counts of the form before.
    pub(crate) counts_before: OnceLock<ChannelCounts>,
    /// Counters of its webhooks, created with the first one.
    pub(crate) webhooks: OnceLock<WebhookCounters>,
    refused_calls: Mutex<RefusedCalls>,
    pub(crate) actor: ArcSwapOption<Recipient<ChannelMessage>>,
}

impl ChannelEntry {
    pub(crate) fn new(
        config: &ChannelConfig,
        dids: Vec<DidEntry>,
        session_queue_max: usize,
        before: Option<&Self>,
    ) -> Self {
        let tally = before.map(|before| before.tally.clone());
        Self {
            policy: Policy::of(config, session_queue_max),
            has_aliases: matches!(config.channel.link(), LinkKind::Http(_)),
            config: config.clone(),
            stream: message::address::channel_stream(&config.id),
            dids,
            credit: Credit::default(),
            waiting: AtomicUsize::new(0),
            lost_at: AtomicU64::new(0),
            trace: before.map(|before| before.trace.clone()).unwrap_or_default(),
            tally: tally.unwrap_or_else(|| Arc::new(ChannelTally::new(&config.id))),
            counts_before: OnceLock::new(),
            webhooks: OnceLock::new(),
            refused_calls: Mutex::default(),
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

    /// Notes a webhook that was refused.
    pub(crate) fn note_refused(&self, reason: &str, now: Timestamp) {
        self.refused_calls.lock().unwrap_or_else(PoisonError::into_inner).note(reason, now);
    }

    /// Shows the webhooks that were refused lately.
    pub(crate) fn webhooks_refused(&self, now: Timestamp) -> Option<RefusedCallsView> {
        let calls = self.refused_calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.lasts(now).then(|| RefusedCallsView {
            count: calls.count,
            since: calls.since,
            last_at: calls.last_at,
            reason: calls.reason.clone(),
        })
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

    /// Returns a customer's national number as an international one, where the channel names the
    /// country of such numbers.
    pub(crate) fn international<'a>(&self, customer: &'a str) -> Cow<'a, str> {
        let country = self.config.default_country.filter(|_| self.channel().provider().reaches_numbers());
        let spelled = country.and_then(|country| country.international(customer));
        spelled.map_or(Cow::Borrowed(customer), Cow::Owned)
    }

    /// Whether a customer's number is a national one that the provider cannot reach. An SMSC has a
    /// country of its own and takes such numbers as they are.
    pub(crate) fn refuses_national(&self, customer: &str) -> bool {
        let channel = self.channel();
        !self.is_smpp() && country::is_national(customer) && channel.provider().reaches_numbers()
    }

    /// Returns what to know about a customer's number that an SMSC gets without its country.
    pub(crate) fn national_note(&self, customer: &str) -> Option<Box<str>> {
        let LinkKind::Smpp(account) = self.channel().link() else { return None };
        (account.country_code.is_empty() && country::is_national(customer)).then(|| {
            let id = &self.config.id;
            format!(
                "{customer} is a national number, and the SMSC gets it as it is: set default_country in \
                 [[channel]] {id} if it belongs to a country"
            )
            .into()
        })
    }

    /// Returns the address at which the provider calls, if it calls one and that is known.
    pub(crate) fn webhook_url(&self) -> Option<Arc<str>> {
        self.http().filter(|http| http.protection() != Protection::NoWebhooks)?;
        self.config.http.webhook_url.clone()
    }

    pub(crate) fn has_did(&self, service_identifier: &str) -> bool {
        let canonical = self.channel().did(service_identifier);
        self.dids.iter().any(|did| did.canonical == canonical)
    }

    pub(crate) fn has_type(&self, wanted: &str) -> bool {
        let provider = self.channel().provider();
        wanted.eq_ignore_ascii_case(self.config.id.as_str())
            || wanted.eq_ignore_ascii_case(provider.name)
            || provider.channel_types.iter().any(|known| wanted.eq_ignore_ascii_case(known))
    }
}

/// A configured destination and its actor.
pub(crate) struct DestinationEntry {
    pub(crate) id: DestinationId,
    config: ArcSwap<DestinationConfig>,
    pub(crate) actor: ArcSwapOption<Recipient<DestinationMessage>>,
}

impl DestinationEntry {
    pub(crate) fn new(config: &DestinationConfig) -> Self {
        Self {
            id: config.id.clone(),
            config: ArcSwap::from_pointee(config.clone()),
            actor: ArcSwapOption::empty(),
        }
    }

    /// Gives it other settings.
    pub(crate) fn set_config(&self, config: &DestinationConfig) {
        self.config.store(Arc::new(config.clone()));
    }

    /// Its settings, which may change while it runs.
    pub(crate) fn config(&self) -> Arc<DestinationConfig> {
        self.config.load_full()
    }

    /// Sends a message to the destination's actor. While the actor is being restarted the message
    /// is dropped; the restart makes hosts offer their deliveries again.
    pub(crate) fn tell(&self, message: DestinationMessage) {
        if let Some(actor) = &*self.actor.load() {
            actor.tell(message);
        }
    }
}
