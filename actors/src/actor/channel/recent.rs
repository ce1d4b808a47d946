//! A cache of customers' addresses by name. It covers the time until the log's look-up holds a new
//! name, and saves look-ups after that.

use std::{collections::HashMap, sync::Arc};

use message::{Address, address};

use crate::{
    context::{Context, directory::ChannelEntry},
    domain::{hash::StreamHash, names::Names},
};

/// Maximum number of names in one generation; a full one replaces the older.
const RECENT_MAX: usize = 65_536;

/// The addresses that were found lately, in two generations.
#[derive(Debug, Default)]
pub(crate) struct Recent([HashMap<u128, Address, StreamHash>; 2]);

/// A customer's session.
pub(crate) struct Resolved {
    pub(crate) address: Address,
    /// The names that do not lead to it yet.
    pub(crate) new_names: Vec<Arc<str>>,
}

impl Recent {
    fn get(&self, key: u128) -> Option<Address> {
        let [now, before] = &self.0;
        now.get(&key).or_else(|| before.get(&key)).cloned()
    }

    fn put(&mut self, key: u128, address: Address) {
        let [now, before] = &mut self.0;
        if now.len() >= RECENT_MAX {
            *before = std::mem::take(now);
        }
        now.insert(key, address);
    }

    /// Finds a customer's session by any of the names. Without one, the first name makes the
    /// address.
    pub(crate) fn find(
        &self,
        context: &Context,
        entry: &ChannelEntry,
        did: &Arc<str>,
        names: &Names,
    ) -> Address {
        let known = names.iter().find_map(|name| self.known(context, entry, did, name));
        known.unwrap_or_else(|| own_address(entry, did, names))
    }

    fn known(
        &self,
        context: &Context,
        entry: &ChannelEntry,
        did: &Arc<str>,
        name: &Arc<str>,
    ) -> Option<Address> {
        let key = address::alias_key(&entry.config.id, did, name);
        self.get(key).or_else(|| context.address_of(entry, did, name))
    }

    /// Finds a customer's session as [`Self::find`] does, and makes all names lead to it.
    pub(crate) fn resolve(
        &mut self,
        context: &Context,
        entry: &ChannelEntry,
        did: &Arc<str>,
        names: &Names,
    ) -> Resolved {
        let known: Vec<Option<Address>> =
            names.iter().map(|name| self.known(context, entry, did, name)).collect();
        let first = known.iter().flatten().next().cloned();
        let address = first.unwrap_or_else(|| own_address(entry, did, names));
        let mut new_names = Vec::new();
        for (name, known) in names.iter().zip(known) {
            if known.is_none_or(|known| known != address) {
                new_names.push(name.clone());
            }
            self.put(address::alias_key(&entry.config.id, did, name), address.clone());
        }
        Resolved { address, new_names }
    }
}

fn own_address(entry: &ChannelEntry, did: &Arc<str>, names: &Names) -> Address {
    let customer = names.first().cloned().unwrap_or_else(|| "".into());
    Address { channel: entry.config.id.clone(), did: did.clone(), customer }
}
