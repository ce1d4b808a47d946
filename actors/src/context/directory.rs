//! Which channel carries a message, and whose session it belongs to. Explains its choice; changes nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use message::cim;

use crate::{
    config::ChannelIx,
    context::{ChannelEntry, Shared},
    domain::session::Identity,
    error::Refusal,
};

/// Identifiers named when one is not known.
const KNOWN_SHOWN_MAX: usize = 8;
/// Spellings of service identifiers remembered, and how long one of them may be.
const SPELLINGS_MAX: usize = 20_000;
const SPELLING_BYTES_MAX: usize = 200;

/// The channels that carry what is addressed to a service identifier, remembered as spelled: it follows from the
/// configuration alone, and to ask each channel for its spelling costs more than all else about a message once there
/// are a thousand.
#[derive(Default)]
pub(crate) struct Routes(RwLock<BTreeMap<Box<str>, Arc<[ChannelIx]>>>);

/// A channel that was found.
pub(crate) struct Found<'a> {
    pub(crate) ix: ChannelIx,
    pub(crate) entry: &'a ChannelEntry,
    /// How many further channels would have done.
    others: usize,
}

impl Found<'_> {
    /// Why it was chosen, in words.
    pub(crate) fn because(&self, service_identifier: &str, channel_type: Option<&str>) -> String {
        let narrowed = channel_type.map(|t| format!(" and the type {t:?}")).unwrap_or_default();
        let first = match self.others {
            0 => String::new(),
            others => format!("; the first of {} that have it", others + 1),
        };
        format!("it has the serviceIdentifier {service_identifier:?}{narrowed}{first}")
    }
}

impl Shared {
    /// The channel that carries a message: by its service identifier, narrowed by its type.
    pub(crate) fn route(&self, message: &cim::Message) -> Result<Found<'_>, Refusal> {
        self.find_channel(&message.service_identifier, message.channel_type.as_deref())
    }

    pub(crate) fn find_channel(
        &self,
        service_identifier: &str,
        channel_type: Option<&str>,
    ) -> Result<Found<'_>, Refusal> {
        let fits_type = |entry: &ChannelEntry| {
            channel_type.is_none_or(|wanted| {
                let provider = entry.channel().provider();
                wanted.eq_ignore_ascii_case(entry.config.id.as_str())
                    || wanted.eq_ignore_ascii_case(provider.name)
                    || provider.channel_types.iter().any(|t| wanted.eq_ignore_ascii_case(t))
            })
        };
        let with_did = self.with_did(service_identifier);
        let mut fitting = with_did
            .iter()
            .filter_map(|ix| Some((*ix, self.channels.get(*ix)?)))
            .filter(|(_, entry)| fits_type(entry));
        let Some((ix, entry)) = fitting.next() else {
            return Err(self.unknown_channel(service_identifier));
        };
        let others = fitting.count();
        Ok(Found { ix, entry, others })
    }

    /// The channels that have a DID, in the order of the configuration.
    fn with_did(&self, service_identifier: &str) -> Arc<[ChannelIx]> {
        let known = self.routes.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(service_identifier) {
            return found.clone();
        }
        drop(known);
        let has_did = |entry: &ChannelEntry| {
            let canonical = entry.channel().did(service_identifier);
            entry.dids.iter().any(|(did, _, _)| *did == canonical)
        };
        let all = self.channels.iter().enumerate();
        let found: Arc<[ChannelIx]> = all.filter(|(_, e)| has_did(e)).map(|(ix, _)| ix).collect();
        if !found.is_empty() && service_identifier.len() <= SPELLING_BYTES_MAX {
            let mut known = self.routes.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() < SPELLINGS_MAX {
                known.insert(service_identifier.into(), found.clone());
            }
        }
        found
    }

    fn unknown_channel(&self, service_identifier: &str) -> Refusal {
        let all: Vec<&str> =
            self.channels.iter().flat_map(|c| c.config.dids.iter().map(|d| &*d.number)).collect();
        let mut known = all.iter().take(KNOWN_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
        if all.len() > KNOWN_SHOWN_MAX {
            known.push_str(", ...");
        }
        Refusal::UnknownChannel { service_identifier: service_identifier.into(), known }
    }

    pub(crate) fn identity_of(
        &self,
        entry: &ChannelEntry,
        did: &str,
        customer: &str,
    ) -> Result<Identity, Refusal> {
        let canonical = entry.channel().customer(customer).map_err(|r| Refusal::Unsendable(r.0))?;
        let mut identity = self.identity(entry, did, canonical.clone(), customer);
        if let Some(known) = self.known_address(entry, &identity.address.did, &canonical) {
            identity.address = known;
        }
        Ok(identity)
    }
}
