//! The sessions of a channel that wait for their turn: one lane for each priority, first come first
//! served within it. A session waits at most once. Holds 24 bytes a session and never a message,
//! because the log is the backlog.

use std::collections::{HashMap, VecDeque};

use message::StreamId;
use storage::invariant;

use crate::domain::hash::StreamHash;

/// Number of lanes: one for each priority, 0 to 10.
const LANES: usize = 11;

/// Maximum number of entries that are searched for a session's place.
const PLACE_SEARCH_MAX: usize = 100_000;

/// The place of a waiting session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LanePlace {
    /// Sessions that go before it.
    pub(crate) sessions: usize,
    /// Their due parts.
    pub(crate) parts: usize,
    /// The due parts of all sessions that take turns with it, its own included.
    pub(crate) round: usize,
}

/// The waiting sessions.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: [VecDeque<(StreamId, u16)>; LANES],
    /// The lane in which each session waits.
    waiting: HashMap<StreamId, u8, StreamHash>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { lanes: std::array::from_fn(|_| VecDeque::new()), waiting: HashMap::default() }
    }
}

impl Lanes {
    /// Appends a session with its number of due parts to a lane. A session that waits in a lower
    /// lane moves up; its entry there is skipped later.
    pub(crate) fn push(&mut self, stream: StreamId, lane: u8, parts: u16) {
        let lane = lane.min(LANES as u8 - 1);
        match self.waiting.get(&stream) {
            Some(now) if *now >= lane => return,
            _ => self.waiting.insert(stream, lane),
        };
        if let Some(queue) = self.lanes.get_mut(usize::from(lane)) {
            queue.push_back((stream, parts));
        }
    }

    /// Removes the first session of the highest lane, with its number of due parts.
    pub(crate) fn pop(&mut self) -> Option<(StreamId, u16)> {
        for (lane, queue) in self.lanes.iter_mut().enumerate().rev() {
            while let Some((stream, parts)) = queue.pop_front() {
                if self.waiting.get(&stream) == Some(&(lane as u8)) {
                    self.waiting.remove(&stream);
                    return Some((stream, parts));
                }
            }
        }
        invariant!(self.waiting.is_empty(), "{} sessions wait in no lane", self.waiting.len());
        None
    }

    /// Returns the place of a waiting session; `None` if it does not wait, or if too many wait to
    /// look for it. An entry of a session that moved up counts in both of its lanes.
    pub(crate) fn place(&self, stream: StreamId) -> Option<LanePlace> {
        let own = usize::from(*self.waiting.get(&stream)?);
        let entries = self.lanes.iter().skip(own).rev().flatten();
        let (mut round, mut found) = (0, None);
        for (sessions, (other, due)) in entries.take(PLACE_SEARCH_MAX).enumerate() {
            if *other == stream {
                found = Some((sessions, round));
            }
            round += usize::from(*due);
        }
        found.map(|(sessions, parts)| LanePlace { sessions, parts, round })
    }

    /// Returns the number of waiting sessions.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns whether no session waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_sessions_go_first_and_each_once() {
        let mut lanes = Lanes::default();
        let s = |n| StreamId(n);
        lanes.push(s(1), 0, 1);
        lanes.push(s(2), 0, 1);
        lanes.push(s(3), 5, 2);
        lanes.push(s(2), 9, 1);
        lanes.push(s(1), 0, 1);
        assert_eq!(lanes.len(), 3);
        // The second entry of a session that moved up is still there.
        let place = |n, sessions, parts| {
            let found = lanes.place(s(n)).unwrap();
            assert_eq!((found.sessions, found.parts), (sessions, parts), "{n}");
            found.round
        };
        assert_eq!((place(2, 0, 0), place(3, 1, 1)), (1, 3));
        assert_eq!(place(1, 2, 3), 5);
        assert_eq!(lanes.place(s(9)), None);
        let order: Vec<u128> = std::iter::from_fn(|| lanes.pop()).map(|(s, _)| s.0).collect();
        assert_eq!(order, [2, 3, 1]);
        assert!(lanes.is_empty());
    }
}
