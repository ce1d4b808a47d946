//! A hasher for keys that are hashes already: streams and look-up keys are 128 bits of SHA-256. Not
//! randomised, so that a simulation can be repeated exactly.

use std::hash::{BuildHasherDefault, Hasher};

/// The hasher of maps keyed by [`message::StreamId`] or a look-up key.
pub(crate) type StreamHash = BuildHasherDefault<Folded>;

/// Folds the last 128-bit value written into 64 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = (value >> 64) as u64 ^ value as u64;
    }
}
