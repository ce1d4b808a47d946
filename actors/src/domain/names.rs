//! Names of a customer: a number, an opaque user id, an older spelling of the same number. Each
//! name is an alias that leads to one session; the log's look-ups hold them. Pure.

use std::sync::Arc;

use channels::{Channel, address::number};
use message::{Address, ChannelId, StreamId, address};
use smallvec::SmallVec;
use storage::{Key, Tag};

/// Canonical names of a customer, beginning with the one by which the customer is addressed.
pub(crate) type Names = SmallVec<[Arc<str>; 4]>;

/// Returns the look-up keys under which a new session on an address is found.
pub(crate) fn keys_of(stream: StreamId, address: &Address) -> SmallVec<[Key; 2]> {
    let own = std::iter::once(address.customer.to_string()).chain(number::variants(&address.customer));
    own.map(|name| key(stream, &address.channel, &address.did, &name)).collect()
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
