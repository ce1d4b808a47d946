//! A filter in front of keys on the disk: one cache line per key decides. It may say "perhaps" wrongly, never "no".

/// Filter bits per key: with 8 probes within one cache line, about one wrong "perhaps" in 200.
const BITS_PER_KEY: usize = 12;
const LINE_WORDS: usize = 8;

/// The filter, over keys that are uniformly distributed.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

fn low(value: u128) -> u64 {
    value as u64
}

impl Filter {
    pub(crate) fn for_keys(keys: usize) -> Self {
        let lines = keys.saturating_mul(BITS_PER_KEY).div_ceil(LINE_WORDS * 64).max(1);
        Self { words: vec![0; lines * LINE_WORDS] }
    }

    /// A filter as it was written. `None`: its words are no filter.
    pub(crate) fn of_words(words: Vec<u64>) -> Option<Self> {
        (!words.is_empty() && words.len().is_multiple_of(LINE_WORDS)).then_some(Self { words })
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    fn line(&self, hash: u128) -> usize {
        let lines = (self.words.len() / LINE_WORDS) as u128;
        usize::try_from(((hash >> 64) * lines) >> 64).unwrap_or(0) * LINE_WORDS
    }

    /// The bit looked at in each word of the line.
    fn bit(hash: u128, word: usize) -> u64 {
        1 << ((low(hash) >> (word * 6)) & 63)
    }

    pub(crate) fn insert(&mut self, hash: u128) {
        let line = self.line(hash);
        if let Some(words) = self.words.get_mut(line..line + LINE_WORDS) {
            for (at, word) in words.iter_mut().enumerate() {
                *word |= Self::bit(hash, at);
            }
        }
    }

    pub(crate) fn may_hold(&self, hash: u128) -> bool {
        let line = self.line(hash);
        self.words
            .get(line..line + LINE_WORDS)
            .is_some_and(|words| words.iter().enumerate().all(|(at, word)| word & Self::bit(hash, at) != 0))
    }
}
