//! Work of the SMSC for later, by due time. Never reads a clock.

use std::collections::BTreeMap;

use channels::smpp::{Millis, pdu::PduHeader};

use super::connection::{AccountId, ConnectionId, Delivery};

/// Maximum number of scheduled items.
const ITEMS_MAX: usize = 5_000_000;

/// An item of work.
pub(super) enum Due {
    /// Writes an answer.
    Octets(ConnectionId, Vec<u8>),
    Deliver(AccountId, Delivery),
    /// Answers a delayed bind.
    Bind(ConnectionId, PduHeader, Vec<u8>),
    /// Looks after a connection.
    Tick(ConnectionId),
    /// Lets background customers write.
    Background,
}

/// The result of adding an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is due before everything else.
    Earliest,
    Later,
    /// The schedule is full; the item is dropped.
    Full,
}

/// All scheduled items; those of one millisecond stay in the order of their addition.
#[derive(Default)]
pub(super) struct Schedule {
    items: BTreeMap<Millis, Vec<Due>>,
    count: usize,
}

impl Schedule {
    pub(super) fn add(&mut self, when: Millis, due: Due) -> Added {
        if self.count >= ITEMS_MAX {
            return Added::Full;
        }
        self.count += 1;
        let is_earliest = self.next().is_none_or(|first| when < first);
        self.items.entry(when).or_default().push(due);
        if is_earliest { Added::Earliest } else { Added::Later }
    }

    /// Returns when the first item is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.items.first_key_value().map(|(when, _)| *when)
    }

    /// Removes the items of the first due millisecond.
    pub(super) fn take_due(&mut self, now: Millis) -> Option<Vec<Due>> {
        let items = self.items.first_entry().filter(|first| *first.key() <= now)?.remove();
        self.count = self.count.saturating_sub(items.len());
        Some(items)
    }
}
