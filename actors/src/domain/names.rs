//! One customer under several names (a number, an opaque user id, the same number spelled as it was years ago): each
//! name leads to the session that was found under any of them. What is remembered is in the log's look-ups.

use std::sync::Arc;

use channels::address::number;
use message::{Address, ChannelId, Event, Seq, StreamId, address};
use smallvec::SmallVec;
use storage::{Key, Tag};

use crate::context::{ChannelEntry, Shared};

/// Names of a customer, canonical, the one they are addressed by first.
pub(crate) type Names = SmallVec<[Arc<str>; 4]>;

/// The names under which a session on an address is found from its first day.
pub(crate) fn keys_of(stream: StreamId, address: &Address) -> SmallVec<[Key; 2]> {
    let own = std::iter::once(address.customer.to_string()).chain(number::variants(&address.customer));
    own.map(|name| key(stream, &address.channel, &address.did, &name)).collect()
}

/// The key of a name in an event that holds the address.
pub(crate) fn key(stream: StreamId, channel: &ChannelId, did: &str, name: &str) -> Key {
    Key { hash: address::alias_key(channel, did, name), a: stream.0, b: Tag::OwnSeq }
}

/// A customer's names with their other spellings, in order, each once.
pub(crate) fn names<'a>(entry: &ChannelEntry, names: impl IntoIterator<Item = &'a Arc<str>>) -> Names {
    let mut all = Names::new();
    for name in names {
        let canonical = entry.channel().customer(name).unwrap_or_else(|_| name.clone());
        let others = number::variants(&canonical).into_iter().map(Arc::from);
        for name in std::iter::once(canonical).chain(others) {
            if !name.is_empty() && !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

impl Shared {
    /// The address to which a name leads, as the log knows it.
    pub(crate) fn address_of(&self, channel: &ChannelId, did: &Arc<str>, name: &Arc<str>) -> Option<Address> {
        let found = self.log.find(address::alias_key(channel, did, name))?;
        let own = Address { channel: channel.clone(), did: did.clone(), customer: name.clone() };
        if own.stream().0 == found.a {
            return Some(own);
        }
        match self.log.event(Seq(found.b)) {
            Ok(stored) => address_in(&stored?.event),
            Err(error) => {
                self.fail(format!("a customer's name cannot be looked up: {error}"));
                None
            }
        }
    }

    /// The address of a customer that the business names, where customers have several names.
    pub(crate) fn known_address(
        &self,
        entry: &ChannelEntry,
        did: &Arc<str>,
        customer: &Arc<str>,
    ) -> Option<Address> {
        if !entry.has_aliases {
            return None;
        }
        let names = names(entry, [customer]);
        names.iter().find_map(|name| self.address_of(&entry.config.id, did, name))
    }
}

fn address_in(event: &Event) -> Option<Address> {
    match event {
        Event::SessionOpened(opened) => Some(opened.address.clone()),
        Event::CustomerKnown(known) => Some(known.address.clone()),
        _ => None,
    }
}
