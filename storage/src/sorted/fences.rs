//! Fences, the first key of each page, and with the filter all that a look-up needs in memory to
//! read one page.

use crate::{
    bytes::Cursor,
    sorted::{PAGE_BYTES, Shape, filter::Filter},
};

/// The keys that a page of the file can hold, without an upper bound for the last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub(super) from: Box<[u8]>,
    /// The first key behind the range; `None` if it has no end.
    pub(super) until: Option<Box<[u8]>>,
}

impl KeyRange {
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        *self.from <= *key && self.until.as_ref().is_none_or(|until| *key < **until)
    }
}

/// The place of a page in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) bytes: usize,
}

/// A fence of a page of variable size.
#[derive(Debug)]
pub(super) struct Fence {
    first: Box<[u8]>,
    offset: u64,
    bytes: u32,
}

/// The fences of a file.
#[derive(Debug)]
pub(super) enum Fences {
    /// The first 8 bytes of each page's first key; pages have one size.
    Uniform(Vec<u64>),
    /// Whole keys, and where the pages lie.
    Variable(Vec<Fence>),
}

/// The filter and the fences of a file, in memory.
#[derive(Debug)]
pub(crate) struct FilterAndFences {
    pub(super) filter: Filter,
    pub(super) fences: Fences,
}

/// The first 8 bytes of a key, as a number in the order of the keys.
pub(super) fn prefix(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Fences {
    pub(super) fn new(shape: Shape) -> Self {
        match shape {
            Shape::Uniform => Self::Uniform(Vec::new()),
            Shape::Variable => Self::Variable(Vec::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Uniform(fences) => fences.len(),
            Self::Variable(fences) => fences.len(),
        }
    }

    /// Adds the fence of the next page.
    pub(super) fn push(&mut self, first: &[u8], place: Place) {
        match self {
            Self::Uniform(fences) => fences.push(prefix(first)),
            Self::Variable(fences) => fences.push(Fence {
                first: first.into(),
                offset: place.offset,
                bytes: u32::try_from(place.bytes).unwrap_or(u32::MAX),
            }),
        }
    }

    /// The number of leading pages that may begin at or before `key`: the key lies in the last of
    /// them or, if several fences are equal, perhaps in one shortly before it.
    pub(super) fn pages_up_to(&self, key: &[u8]) -> usize {
        match self {
            Self::Uniform(fences) => {
                let prefix = prefix(key);
                fences.partition_point(|fence| *fence <= prefix)
            }
            Self::Variable(fences) => fences.partition_point(|fence| *fence.first <= *key),
        }
    }

    /// The place of a page, if its size is not fixed.
    pub(super) fn place(&self, page: usize) -> Option<Place> {
        match self {
            Self::Uniform(_) => None,
            Self::Variable(fences) => fences.get(page).map(|fence| Place {
                offset: fence.offset,
                bytes: usize::try_from(fence.bytes).unwrap_or(usize::MAX),
            }),
        }
    }

    /// Whether a page that begins with `first` belongs to this fence.
    pub(super) fn fits(&self, page: usize, first: &[u8]) -> bool {
        match self {
            Self::Uniform(fences) => fences.get(page) == Some(&prefix(first)),
            Self::Variable(fences) => fences.get(page).is_some_and(|fence| *fence.first == *first),
        }
    }

    /// The first key of a page, if the fences hold whole keys.
    pub(super) fn first_key(&self, page: usize) -> Option<&[u8]> {
        match self {
            Self::Uniform(_) => None,
            Self::Variable(fences) => fences.get(page).map(|fence| &*fence.first),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Uniform(fences) => fences.iter().flat_map(|fence| fence.to_le_bytes()).collect(),
            Self::Variable(fences) => {
                let mut bytes = Vec::new();
                for fence in fences {
                    bytes.push(u8::try_from(fence.first.len()).unwrap_or(u8::MAX));
                    bytes.extend_from_slice(&fence.first);
                    bytes.extend_from_slice(&fence.offset.to_le_bytes());
                    bytes.extend_from_slice(&fence.bytes.to_le_bytes());
                }
                bytes
            }
        }
    }

    /// Reads the fences of `pages` pages that fill `page_bytes` bytes without a gap; `None` if
    /// these bytes are not that.
    pub(super) fn decode(shape: Shape, bytes: &[u8], pages: u64, page_bytes: u64) -> Option<Self> {
        let pages = usize::try_from(pages).ok()?;
        let fences = match shape {
            Shape::Uniform => {
                let (words, rest) = bytes.as_chunks();
                let is_whole = rest.is_empty() && page_bytes == pages as u64 * PAGE_BYTES as u64;
                is_whole
                    .then(|| Self::Uniform(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))?
            }
            Shape::Variable => {
                let mut cursor = Cursor(bytes);
                let mut fences = Vec::with_capacity(pages.min(bytes.len()));
                let mut end = 0;
                while !cursor.0.is_empty() {
                    let len = cursor.u8()?;
                    let first = Box::from(cursor.take(usize::from(len))?);
                    let fence = Fence { first, offset: cursor.u64()?, bytes: cursor.u32()? };
                    if fence.offset != end {
                        return None;
                    }
                    end += u64::from(fence.bytes);
                    fences.push(fence);
                }
                (end == page_bytes).then_some(Self::Variable(fences))?
            }
        };
        (fences.len() == pages).then_some(fences)
    }
}
