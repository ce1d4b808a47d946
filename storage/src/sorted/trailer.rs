//! The trailer at the end of a sorted file: its shape, the sizes of its regions, and the owner's
//! note.

use crate::{
    bytes::Cursor,
    sorted::{PAGE_BYTES, Shape},
};

const MAGIC: &[u8; 8] = b"patchsrt";
const VERSION: u32 = 1;
const NOTE_WORDS: usize = 7;
/// Maximum number of records that a trailer may promise: a file is not worth more memory than that.
const RECORDS_MAX: u64 = 1 << 32;
pub(super) const TRAILER_BYTES: usize = 8 + 4 + 4 + 5 * 8 + 4 + 4 + NOTE_WORDS * 8 + 4;

/// Words that the owner of a file stores with it.
pub(crate) type Note = [u64; NOTE_WORDS];

/// The trailer of a sorted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) shape: Shape,
    pub(super) pages: u64,
    pub(super) page_bytes: u64,
    pub(super) records: u64,
    pub(super) fence_bytes: u64,
    pub(super) filter_words: u64,
    pub(super) fences_crc: u32,
    pub(super) filter_crc: u32,
    pub(super) note: Note,
}

impl Trailer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let shape: u32 = match self.shape {
            Shape::Uniform => 0,
            Shape::Variable => 1,
        };
        bytes.extend([VERSION, shape].into_iter().flat_map(u32::to_le_bytes));
        let sizes = [self.pages, self.page_bytes, self.records, self.fence_bytes, self.filter_words];
        bytes.extend(sizes.into_iter().flat_map(u64::to_le_bytes));
        bytes.extend([self.fences_crc, self.filter_crc].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(self.note.into_iter().flat_map(u64::to_le_bytes));
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the trailer of a file of `file_bytes` bytes. An error says what is wrong with it.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, &'static str> {
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or("it is cut short")?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return Err("the checksum of its trailer is wrong");
        }
        let mut cursor = Cursor(content);
        if cursor.array() != Some(*MAGIC) || cursor.u32() != Some(VERSION) {
            return Err("its format is not known");
        }
        let trailer = Self::decode_fields(&mut cursor).ok_or("its trailer is not valid")?;
        match trailer.file_bytes() {
            Some(bytes) if bytes == file_bytes => Ok(trailer),
            _ => Err("its length is not the one in its trailer"),
        }
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Option<Self> {
        let shape = match cursor.u32()? {
            0 => Shape::Uniform,
            1 => Shape::Variable,
            _ => return None,
        };
        let mut trailer = Self {
            shape,
            pages: cursor.u64()?,
            page_bytes: cursor.u64()?,
            records: cursor.u64()?,
            fence_bytes: cursor.u64()?,
            filter_words: cursor.u64()?,
            fences_crc: cursor.u32()?,
            filter_crc: cursor.u32()?,
            note: Note::default(),
        };
        for word in &mut trailer.note {
            *word = cursor.u64()?;
        }
        let is_sound = trailer.records <= RECORDS_MAX
            && (shape == Shape::Variable
                || trailer.pages.checked_mul(PAGE_BYTES as u64)? == trailer.page_bytes);
        is_sound.then_some(trailer)
    }

    pub(super) fn filter_bytes(&self) -> u64 {
        self.filter_words.saturating_mul(8)
    }

    /// Bytes of the whole file; `None` for more than a file can have.
    fn file_bytes(&self) -> Option<u64> {
        let regions = self.page_bytes.checked_add(self.fence_bytes)?;
        regions.checked_add(self.filter_words.checked_mul(8)?)?.checked_add(TRAILER_BYTES as u64)
    }
}
