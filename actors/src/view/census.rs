//! Counts of what waits in all sessions together, apart from messages, which are always counted.

use std::collections::BTreeMap;

use message::{ChannelId, DestinationId, Timestamp};

use crate::domain::session::{Phase, Session, earlier};

/// The work that waits in the sessions that were counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Parts in doubt, keyed by the id of their channel.
    pub(crate) channels: BTreeMap<ChannelId, ChannelCensus>,
    /// Deliveries, keyed by the id of the endpoint that takes them.
    pub(crate) destinations: BTreeMap<DestinationId, DestinationCensus>,
    /// Whether the time did not suffice to count all sessions.
    pub(crate) is_partial: bool,
}

/// The parts of one channel that wait for a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChannelCensus {
    /// Parts in doubt that are held.
    pub(crate) held: usize,
    /// Since when the oldest of them is held.
    pub(crate) held_since: Option<Timestamp>,
}

/// The deliveries that wait for one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DestinationCensus {
    /// Deliveries that it has not accepted.
    pub(crate) waiting: usize,
    /// When the oldest of them was made.
    pub(crate) oldest: Option<Timestamp>,
    /// Deliveries that were given up.
    pub(crate) dead: usize,
    /// When the oldest of them was made.
    pub(crate) dead_since: Option<Timestamp>,
}

impl Census {
    /// Counts a session. `own` is the destination of its DID.
    pub(crate) fn add(&mut self, session: &Session, own: &DestinationId) {
        self.add_held(session);
        let letters = session.dead_letters.iter().map(|letter| (&letter.delivery, true));
        for (delivery, is_dead) in session.deliveries.iter().map(|delivery| (delivery, false)).chain(letters)
        {
            let destination = delivery.destination.as_ref().unwrap_or(own);
            let of = entry(&mut self.destinations, destination);
            let (count, oldest) = match is_dead {
                true => (&mut of.dead, &mut of.dead_since),
                false => (&mut of.waiting, &mut of.oldest),
            };
            *count += 1;
            *oldest = Some(oldest.map_or(delivery.at, |at| at.min(delivery.at)));
        }
    }

    fn add_held(&mut self, session: &Session) {
        let parts = session.messages().flat_map(|message| &message.parts);
        for part in parts.filter(|part| part.phase == Phase::Held) {
            let of = entry(&mut self.channels, &session.address.channel);
            of.held += 1;
            // A part that is held keeps the instant of its doubt there.
            of.held_since = Some(of.held_since.map_or(part.retry_at, |at| at.min(part.retry_at)));
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn merge(&mut self, other: Self) {
        self.is_partial |= other.is_partial;
        for (id, more) in other.channels {
            let of = entry(&mut self.channels, &id);
            of.held += more.held;
            of.held_since = earlier(of.held_since, more.held_since);
        }
        for (id, more) in other.destinations {
            let of = entry(&mut self.destinations, &id);
            of.waiting += more.waiting;
            of.dead += more.dead;
            of.oldest = earlier(of.oldest, more.oldest);
            of.dead_since = earlier(of.dead_since, more.dead_since);
        }
    }
}

fn entry<'a, K: Ord + Clone, V: Default>(map: &'a mut BTreeMap<K, V>, key: &K) -> &'a mut V {
    map.entry(key.clone()).or_default()
}
