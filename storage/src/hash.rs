//! Maps over keys that are uniformly distributed already, and the halves of such a key. Not for
//! keys that a peer chooses.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Takes a key as its own hash: keys are uniformly distributed already.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = low(value) ^ high(value);
    }
}

/// A map whose keys are uniformly distributed already. Its order must never matter.
pub(crate) type UniformMap<K, V> = HashMap<K, V, BuildHasherDefault<Identity>>;

pub(crate) fn low(value: u128) -> u64 {
    value as u64
}

pub(crate) fn high(value: u128) -> u64 {
    low(value >> 64)
}
