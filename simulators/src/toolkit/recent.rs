//! Bounded memory for the questions of tests: recent items, and how often each key came.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// How much a simulator remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remember {
    /// Counts, recent messages, and how often each text came.
    #[default]
    All,
    /// Counts alone, for load tests.
    Counts,
}

/// Appends an item and evicts the oldest beyond `most`.
pub(crate) fn push<T>(recent: &mut VecDeque<T>, item: T, most: usize) {
    if recent.len() >= most {
        recent.pop_front();
    }
    recent.push_back(item);
}

/// How often each key came, for a bounded number of different keys.
#[derive(Debug)]
pub(crate) struct Tally<K> {
    times: BTreeMap<K, u32>,
    keys_max: usize,
}

impl<K: Ord> Tally<K> {
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { times: BTreeMap::new(), keys_max }
    }

    /// Counts a key; returns false when it is new and all places are taken.
    pub(crate) fn count(&mut self, key: K) -> bool {
        let fits = self.times.len() < self.keys_max || self.times.contains_key(&key);
        if fits {
            *self.times.entry(key).or_default() += 1;
        }
        fits
    }

    pub(crate) fn get(&self, key: &K) -> u32 {
        self.times.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, u32)> {
        self.times.iter().map(|(key, times)| (key, *times))
    }
}

/// The instants of the last second, to hold a rate.
#[derive(Debug, Default)]
pub(crate) struct LastSecond(VecDeque<u64>);

impl LastSecond {
    /// Returns whether there were `most` or more events in the second before `now_ms`.
    pub(crate) fn is_full(&mut self, most: u32, now_ms: u64) -> bool {
        while self.0.front().is_some_and(|at| at.saturating_add(1_000) <= now_ms) {
            self.0.pop_front();
        }
        self.0.len() >= usize::try_from(most).unwrap_or(usize::MAX)
    }

    pub(crate) fn add(&mut self, now_ms: u64) {
        self.0.push_back(now_ms);
    }
}
