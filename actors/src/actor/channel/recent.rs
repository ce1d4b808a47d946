//! A cache of where customers' names lead. It covers the time until the log's look-up holds a new
//! name or a change of address, and saves look-ups after that.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use message::{Address, Timestamp, address, event::CustomerMoved};
use storage::invariant;

use crate::{
    context::{Context, entries::ChannelEntry},
    domain::{
        hash::StreamHash,
        moves::{self, Move, MovePlan, World},
        names::{NameState, Names},
    },
    history::lookup,
};

/// Maximum number of names in one generation; a full one replaces the older.
const RECENT_MAX: usize = 65_536;

/// Maximum number of changes of address that are remembered until the log holds them.
const MOVES_MAX: usize = 1_024;

/// The names that were found lately, in two generations, and the last changes of address.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    names: [HashMap<u128, NameState, StreamHash>; 2],
    moves: VecDeque<u64>,
}

/// The session of a customer who wrote.
pub(crate) struct Resolved {
    pub(crate) address: Address,
    /// The names that do not lead to it yet. `None`: it was written before the customer left the
    /// address, which says nothing about names any more.
    pub(crate) new_names: Option<Vec<Arc<str>>>,
}

impl Recent {
    fn get(&self, key: u128) -> Option<NameState> {
        let [now, before] = &self.names;
        now.get(&key).or_else(|| before.get(&key)).cloned()
    }

    fn put(&mut self, key: u128, state: NameState) {
        let [now, before] = &mut self.names;
        if now.len() >= RECENT_MAX {
            *before = std::mem::take(now);
        }
        now.insert(key, state);
        invariant!(now.len() <= RECENT_MAX, "{} names are remembered", now.len());
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
        known.map_or_else(|| own_address(entry, did, names), NameState::into_address)
    }

    fn known(
        &self,
        context: &Context,
        entry: &ChannelEntry,
        did: &Arc<str>,
        name: &Arc<str>,
    ) -> Option<NameState> {
        let key = address::alias_key(&entry.config.id, did, name);
        self.get(key).or_else(|| context.name_state(entry, did, name))
    }

    /// Finds the session of a customer who wrote at an instant, and makes all names lead to it. A
    /// name that its owner has left makes an address of its own.
    pub(crate) fn resolve(
        &mut self,
        context: &Context,
        entry: &ChannelEntry,
        did: &Arc<str>,
        names: &Names,
        written: Option<Timestamp>,
    ) -> Resolved {
        let known: Vec<Option<NameState>> =
            names.iter().map(|name| self.known(context, entry, did, name)).collect();
        let owned = known.iter().flatten().find_map(|state| match state {
            NameState::Owned { address, .. } => Some(address),
            NameState::Released { .. } => None,
        });
        let is_left = |state: &&NameState| matches!(state, NameState::Released { .. });
        let left = known.iter().flatten().filter(is_left).find_map(|state| state.owner_at(written));
        if let Some(earlier) = left {
            return Resolved { address: owned.unwrap_or(earlier).clone(), new_names: None };
        }
        let address = match owned {
            Some(address) => address.clone(),
            None => moves::fresh(&own_address(entry, did, names), known.first().and_then(Option::as_ref)),
        };
        let mut new_names = Vec::new();
        for (name, known) in names.iter().zip(known) {
            let leads_here =
                |known: &NameState| matches!(known, NameState::Owned { address: to, .. } if *to == address);
            if !known.as_ref().is_some_and(leads_here) {
                new_names.push(name.clone());
                let state = NameState::Owned { address: address.clone(), since: None };
                self.put(address::alias_key(&entry.config.id, did, name), state);
            } else if let Some(known) = known {
                self.put(address::alias_key(&entry.config.id, did, name), known);
            }
        }
        Resolved { address, new_names: Some(new_names) }
    }

    /// Decides what a change of address means for the sessions. `is_known`: the log holds it.
    pub(crate) fn plan_move(
        &mut self,
        context: &Context,
        entry: &ChannelEntry,
        did: &Arc<str>,
        change: &Move,
        is_known: bool,
    ) -> MovePlan {
        let own = |name: &Arc<str>| Address {
            channel: entry.config.id.clone(),
            did: did.clone(),
            customer: name.clone(),
        };
        let world = World {
            state: &|name| self.known(context, entry, did, name),
            heard: &|address| lookup::heard(&context.reader, context.stream_of(address)),
            own: &own,
        };
        if is_known || self.moves.contains(&change.change) {
            return moves::repeated(change, &world);
        }
        let plan = moves::plan(change, &world);
        if self.moves.len() >= MOVES_MAX {
            self.moves.pop_front();
        }
        self.moves.push_back(change.change);
        invariant!(self.moves.len() <= MOVES_MAX, "{} moves are remembered", self.moves.len());
        plan
    }

    /// Notes a change of address, before the log holds it.
    pub(crate) fn note_move(&mut self, entry: &ChannelEntry, did: &Arc<str>, moved: &CustomerMoved) {
        let released = moved.released.iter().map(|(name, _)| name);
        for name in moved.names.iter().chain(released) {
            self.put(address::alias_key(&entry.config.id, did, name), NameState::after(moved, name));
        }
    }
}

fn own_address(entry: &ChannelEntry, did: &Arc<str>, names: &Names) -> Address {
    let customer = names.first().cloned().unwrap_or_else(|| "".into());
    Address { channel: entry.config.id.clone(), did: did.clone(), customer }
}
