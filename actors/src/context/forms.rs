//! A list that only grows, whose entries stay where they are: a borrowed entry remains valid while
//! others are added. Reading takes no lock.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Number of entries in a chunk.
const CHUNK: usize = 256;
/// Maximum number of chunks.
const CHUNKS_MAX: usize = 256;

/// Maximum number of entries of a list. Each change of a configured thing takes one.
pub(crate) const FORMS_MAX: usize = CHUNK * CHUNKS_MAX;

type Chunk<T> = Box<[OnceLock<Box<T>>]>;

/// A list that only grows.
pub(crate) struct Forms<T> {
    chunks: Box<[OnceLock<Chunk<T>>]>,
    /// The number of entries; held while one is added.
    count: Mutex<usize>,
}

impl<T> Default for Forms<T> {
    fn default() -> Self {
        Self { chunks: empty(CHUNKS_MAX), count: Mutex::new(0) }
    }
}

impl<T> Forms<T> {
    /// Returns an entry by its position.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get()?.get(at % CHUNK)?.get().map(|entry| &**entry)
    }

    /// Adds an entry and returns its position; `None` if the list is full.
    pub(crate) fn add(&self, entry: T) -> Option<usize> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let at = *count;
        let chunk = self.chunks.get(at / CHUNK)?.get_or_init(|| empty(CHUNK));
        chunk.get(at % CHUNK)?.set(Box::new(entry)).ok()?;
        *count += 1;
        Some(at)
    }

    /// Returns the number of entries that still fit.
    pub(crate) fn room(&self) -> usize {
        FORMS_MAX - (*self.count.lock().unwrap_or_else(PoisonError::into_inner)).min(FORMS_MAX)
    }
}

fn empty<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_in_its_place_until_the_list_is_full() {
        let forms = Forms::default();
        assert_eq!(forms.add(0), Some(0));
        let first = forms.get(0).map(std::ptr::from_ref::<usize>);
        for n in 1..FORMS_MAX {
            assert_eq!(forms.room(), FORMS_MAX - n);
            assert_eq!(forms.add(n), Some(n));
        }
        assert_eq!((forms.add(FORMS_MAX), forms.room()), (None, 0));
        assert_eq!(forms.get(0).map(std::ptr::from_ref::<usize>), first);
        assert_eq!(forms.get(FORMS_MAX - 1), Some(&(FORMS_MAX - 1)));
        assert_eq!(forms.get(FORMS_MAX), None);
    }
}
