//! Which channel carries a message, and whose session it belongs to. Explains its choice; changes nothing.

use message::cim;

use crate::{
    error::Refusal,
    session::Identity,
    shared::{ChannelEntry, ChannelIx, Shared},
};

/// Identifiers named when one is not known.
const KNOWN_SHOWN_MAX: usize = 8;

impl Shared {
    /// The channel that carries a message: by its service identifier, narrowed by its type.
    pub(crate) fn route(
        &self,
        message: &cim::Message,
    ) -> Result<(ChannelIx, &ChannelEntry, String), Refusal> {
        self.find_channel(&message.service_identifier, message.channel_type.as_deref())
    }

    pub(crate) fn find_channel(
        &self,
        service_identifier: &str,
        channel_type: Option<&str>,
    ) -> Result<(ChannelIx, &ChannelEntry, String), Refusal> {
        let fits_type = |entry: &ChannelEntry| {
            channel_type.is_none_or(|wanted| {
                let provider = entry.channel().provider();
                wanted.eq_ignore_ascii_case(entry.config.id.as_str())
                    || wanted.eq_ignore_ascii_case(provider.name)
                    || provider.channel_types.iter().any(|t| wanted.eq_ignore_ascii_case(t))
            })
        };
        let has_did = |entry: &ChannelEntry| {
            let canonical = entry.channel().did(service_identifier);
            entry.dids.iter().any(|(did, _, _)| *did == canonical)
        };
        let mut fitting = self.channels.iter().enumerate().filter(|(_, e)| has_did(e) && fits_type(e));
        let Some((ix, entry)) = fitting.next() else {
            return Err(self.unknown_channel(service_identifier));
        };
        let others = fitting.count();
        let narrowed = channel_type.map(|t| format!(" and the type {t:?}")).unwrap_or_default();
        let first =
            if others > 0 { format!("; the first of {} that have it", others + 1) } else { String::new() };
        let because = format!("it has the serviceIdentifier {service_identifier:?}{narrowed}{first}");
        Ok((ix, entry, because))
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
