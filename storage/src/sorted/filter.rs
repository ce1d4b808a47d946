//! The filter in front of a file's keys: one cache line decides for each key. False positives
//! occur, false negatives must not.

use crate::sorted::Shape;

/// Filter bits per key: with 8 probes within one cache line, about one false positive in 200.
const BITS_PER_KEY: usize = 12;
const LINE_WORDS: usize = 8;

/// A blocked Bloom filter.
#[derive(Debug, Default)]
pub(super) struct Filter {
    words: Vec<u64>,
}

/// The hash of a key: uniformly distributed keys are their own.
pub(super) fn hash(shape: Shape, key: &[u8]) -> u128 {
    match shape {
        Shape::Uniform => key.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)),
        Shape::Variable => mix(key),
    }
}

/// Two independent words from any bytes.
fn mix(key: &[u8]) -> u128 {
    const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];
    let mut words = [key.len() as u64, !0];
    let mut mix = |chunk: u64| {
        for (word, spread) in words.iter_mut().zip(SPREAD) {
            *word = (*word ^ chunk).wrapping_mul(spread);
            *word ^= *word >> 29;
        }
    };
    let (chunks, rest) = key.as_chunks::<8>();
    chunks.iter().for_each(|chunk| mix(u64::from_le_bytes(*chunk)));
    mix(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    mix(0);
    let [a, b] = words;
    u128::from(a) << 64 | u128::from(b)
}

impl Filter {
    pub(super) fn with_capacity(keys: u64) -> Self {
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        let lines = keys.saturating_mul(BITS_PER_KEY).div_ceil(LINE_WORDS * 64).max(1);
        Self { words: vec![0; lines * LINE_WORDS] }
    }

    /// Returns `None` if the words do not make whole cache lines.
    pub(super) fn from_words(words: Vec<u64>) -> Option<Self> {
        (!words.is_empty() && words.len().is_multiple_of(LINE_WORDS)).then_some(Self { words })
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn line(&self, hash: u128) -> usize {
        let lines = (self.words.len() / LINE_WORDS) as u128;
        usize::try_from(((hash >> 64) * lines) >> 64).unwrap_or(0) * LINE_WORDS
    }

    /// The bit that is probed in a word of the line.
    fn bit(hash: u128, word: usize) -> u64 {
        1 << ((hash as u64 >> (word * 6)) & 63)
    }

    pub(super) fn insert(&mut self, hash: u128) {
        let line = self.line(hash);
        if let Some(words) = self.words.get_mut(line..line + LINE_WORDS) {
            for (at, word) in words.iter_mut().enumerate() {
                *word |= Self::bit(hash, at);
            }
        }
    }

    pub(super) fn may_hold(&self, hash: u128) -> bool {
        self.line_of(hash).iter().enumerate().all(|(at, word)| word & Self::bit(hash, at) != 0)
    }

    fn line_of(&self, hash: u128) -> &[u64] {
        let line = self.line(hash);
        self.words.get(line..line + LINE_WORDS).unwrap_or_default()
    }
}
