//! Names of a customer: a number, an opaque user id, an older spelling of the same number. Each
//! name is an alias that leads to one session; the log's look-ups hold them. Pure.

use std::sync::Arc;

use channels::{Channel, address::number};
use message::{Address, ChannelId, StreamId, Timestamp, address, event::CustomerMoved};
use smallvec::SmallVec;
use storage::{Key, Tag};

/// Canonical names of a customer, beginning with the one by which the customer is addressed.
pub(crate) type Names = SmallVec<[Arc<str>; 4]>;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameState {
    /// To a customer's session.
    Owned {
        /// The session's address.
        address: Address,
        /// When the name changed hands, if it did.
        since: Option<Timestamp>,
    },
    /// To nobody who writes. Messages of the business go to the last owner, until another one
    /// writes.
    Released {
        /// The address of the last owner's session.
        last: Address,
        /// Where the last owner is reached.
        next: Arc<str>,
        /// Since when.
        at: Timestamp,
        /// The change that released it.
        change: u64,
    },
}

impl NameState {
    /// Returns the state of a name that an event is about.
    pub(crate) fn after(moved: &CustomerMoved, name: &str) -> Self {
        let last = moved.address.clone();
        match moved.released.iter().find(|(released, _)| **released == *name) {
            Some((_, at)) => {
                Self::Released { last, next: moved.reached.clone(), at: *at, change: moved.change }
            }
            None => Self::Owned { address: last, since: Some(moved.at) },
        }
    }

    /// Returns the session to which messages of the business go.
    pub(crate) fn into_address(self) -> Address {
        match self {
            Self::Owned { address, .. } => address,
            Self::Released { last, .. } => last,
        }
    }

    /// Returns the session of the customer who wrote from the name at an instant. `None`: it was
    /// nobody's.
    pub(crate) fn owner_at(&self, written: Option<Timestamp>) -> Option<&Address> {
        match self {
            Self::Owned { address, .. } => Some(address),
            Self::Released { last, at, .. } => written.is_some_and(|written| written < *at).then_some(last),
        }
    }
}

/// Returns the look-up keys under which a new session is found.
pub(crate) fn keys_of(stream: StreamId, address: &Address, reached: Option<&Arc<str>>) -> SmallVec<[Key; 2]> {
    let Address { channel, did, customer } = address;
    let name = reached.unwrap_or(customer);
    let own = std::iter::once(name.to_string()).chain(number::variants(name));
    let reached = reached.is_some().then(|| reached_key(stream));
    own.map(|name| key(stream, channel, did, &name)).chain(reached).collect()
}

/// Returns the look-up keys of a change of address, at most `max`.
pub(crate) fn keys_of_move(stream: StreamId, moved: &CustomerMoved, max: usize) -> SmallVec<[Key; 2]> {
    let Address { channel, did, .. } = &moved.address;
    let names = moved.names.iter().chain(moved.released.iter().map(|(name, _)| name));
    // Without a stream the look-up reads the event, which tells more.
    let keys = names.map(|name| Key { a: 0, ..key(stream, channel, did, name) });
    std::iter::once(reached_key(stream)).chain(keys).take(max).collect()
}

fn reached_key(stream: StreamId) -> Key {
    Key { hash: address::reached_key(stream), a: stream.0, b: Tag::OwnSeq }
}

/// Returns the look-up key of a name, for an event that holds the address.
pub(crate) fn key(stream: StreamId, channel: &ChannelId, did: &str, name: &str) -> Key {
    Key { hash: address::alias_key(channel, did, name), a: stream.0, b: Tag::OwnSeq }
}

/// Returns a customer's canonical names with their other spellings, in order, each once.
pub(crate) fn names<'a>(channel: &dyn Channel, names: impl IntoIterator<Item = &'a Arc<str>>) -> Names {
    let mut all = Names::new();
    for name in names {
        let canonical = channel.customer(name).unwrap_or_else(|_| name.clone());
        let others = number::variants(&canonical).into_iter().map(Arc::from);
        for name in std::iter::once(canonical).chain(others) {
            if !name.is_empty() && !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}
