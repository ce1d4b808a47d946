//! Customers that wrote lately, by all their names.

use std::{collections::HashMap, sync::Arc};

use message::{Address, ChannelId, address};

use crate::{
    context::Shared,
    domain::{hash::StreamHash, names::Names},
};

/// Names remembered beside the log, until its own look-up has them for sure: two generations of this.
const RECENT_MAX: usize = 65_536;

/// What a channel found lately.
#[derive(Debug, Default)]
pub(crate) struct Recent([HashMap<u128, Address, StreamHash>; 2]);

impl Recent {
    pub(super) fn get(&self, key: u128) -> Option<Address> {
        let [now, before] = &self.0;
        now.get(&key).or_else(|| before.get(&key)).cloned()
    }

    pub(super) fn put(&mut self, key: u128, address: Address) {
        let [now, before] = &mut self.0;
        if now.len() >= RECENT_MAX {
            *before = std::mem::take(now);
        }
        now.insert(key, address);
    }

    /// The address of a customer's session by any of their names; their own where there is none.
    pub(crate) fn find(
        &self,
        shared: &Shared,
        (channel, did): (&ChannelId, &Arc<str>),
        names: &Names,
    ) -> Address {
        let known = names.iter().find_map(|name| self.known(shared, (channel, did), name));
        known.unwrap_or_else(|| own_address(channel, did, names))
    }

    pub(super) fn known(
        &self,
        shared: &Shared,
        (channel, did): (&ChannelId, &Arc<str>),
        name: &Arc<str>,
    ) -> Option<Address> {
        self.get(address::alias_key(channel, did, name)).or_else(|| shared.address_of(channel, did, name))
    }

    /// The address of a customer's session by any of their names, and the names that nobody knows to lead there.
    pub(crate) fn resolve(
        &mut self,
        shared: &Shared,
        (channel, did): (&ChannelId, &Arc<str>),
        names: &Names,
    ) -> (Address, Vec<Arc<str>>) {
        let keys: Vec<u128> = names.iter().map(|name| address::alias_key(channel, did, name)).collect();
        let known: Vec<Option<Address>> =
            names.iter().map(|name| self.known(shared, (channel, did), name)).collect();
        let first = known.iter().flatten().next().cloned();
        let found = first.unwrap_or_else(|| own_address(channel, did, names));
        let mut new = Vec::new();
        for ((key, name), known) in keys.into_iter().zip(names).zip(known) {
            if known.is_none_or(|known| known != found) {
                new.push(name.clone());
            }
            self.put(key, found.clone());
        }
        (found, new)
    }
}

pub(super) fn own_address(channel: &ChannelId, did: &Arc<str>, names: &Names) -> Address {
    let customer = names.first().cloned().unwrap_or_else(|| "".into());
    Address { channel: channel.clone(), did: did.clone(), customer }
}
