//! Where to look for a key in a block file: an entry every so many bytes, found by reading the file once or kept
//! beside it. It says where frames are, never what is in them.

use std::{fs::File, io};

use message::Seq;

use crate::{
    block::frame::{FRAME_BYTES, Frame, HEADER_BYTES},
    block::key::key_of,
    bytes::Cursor,
    disk::window::Window,
};

/// Bytes of a file for each entry, at least.
const STRIDE_BYTES: u64 = 16 * 1024;
/// Read at once when the whole file is.
const SCAN_BYTES: usize = 64 * 1024;
const VERSION: u8 = 1;

/// Where to look for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Some of the keys, and where their frames begin.
    entries: Vec<(u64, u64)>,
    /// The greatest key.
    pub(crate) last: Option<u64>,
    /// Where the next frame goes.
    pub(crate) end: u64,
}

impl Default for Places {
    fn default() -> Self {
        Self { entries: Vec::new(), last: None, end: HEADER_BYTES }
    }
}

impl Places {
    /// Takes up the next frame.
    pub(crate) fn push(&mut self, frame: &Frame) {
        let is_far = self.entries.last().is_none_or(|(_, at)| frame.at >= at + STRIDE_BYTES);
        if is_far {
            self.entries.push((frame.key, frame.at));
        }
        self.last = Some(frame.key);
        self.end = frame.end();
    }

    /// Between where and where the greatest key not above `key` lies, if it is there.
    pub(crate) fn around(&self, key: &[u8]) -> (u64, u64) {
        let after = self.entries.partition_point(|(first, _)| key_of(Seq(*first)).as_slice() <= key);
        let at = |n: usize| self.entries.get(n).map(|(_, at)| *at);
        match after.checked_sub(1).and_then(at) {
            Some(from) => (from, at(after).unwrap_or(self.end)),
            None => (HEADER_BYTES, HEADER_BYTES),
        }
    }

    /// As a file: version, last key, end, entries, checksum.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let fields = [self.last.unwrap_or(0), self.end].into_iter();
        for field in fields.chain(self.entries.iter().flat_map(|(key, at)| [*key, *at])) {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None`: it is damaged, and the file is to be read instead.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let mut cursor = Cursor(content);
        if u32::from_le_bytes(*crc) != crc32fast::hash(content) || cursor.u8()? != VERSION {
            return None;
        }
        let (last, end) = (cursor.u64()?, cursor.u64()?);
        let mut entries = Vec::with_capacity(cursor.0.len() / 16);
        while let Some(key) = cursor.u64() {
            entries.push((key, cursor.u64()?));
        }
        Some(Self { last: entries.first().map(|_| last), entries, end })
    }
}

/// What reading a whole file gave.
pub(crate) struct Scanned {
    pub(crate) places: Places,
    /// Bytes behind the last whole frame, up to the last that is not zero.
    pub(crate) torn: Option<u64>,
    /// There is a whole frame behind them: a crash cannot have done that.
    pub(crate) damaged: bool,
}

/// Finds all frames of a file behind those that are known.
pub(crate) fn scan(file: &File, len: u64, known: Places) -> io::Result<Scanned> {
    let mut window = Window::new(file, SCAN_BYTES);
    let mut places = known;
    let mut before = Places::default();
    let mut newest: Option<Frame> = None;
    while let Some(frame) = Frame::parse(window.get(places.end, FRAME_BYTES as usize)?, places.end) {
        if frame.end() > len || places.last.is_some_and(|last| frame.key <= last) {
            break;
        }
        (before.last, before.end) = (places.last, places.end);
        places.push(&frame);
        newest = Some(frame);
    }
    // Values are checked when they are read; only the last one may be there in part.
    if let Some(frame) = newest
        && !frame.holds(&frame.value(&mut window)?)
    {
        before.entries = std::mem::take(&mut places.entries);
        before.entries.retain(|(_, at)| *at < frame.at);
        places = before;
    }
    let end = end_of_bytes(&mut window, places.end, len)?;
    let damaged = end > places.end && has_frame(&mut window, places.end + 1, end, places.last)?;
    Ok(Scanned { torn: (end > places.end).then(|| end - places.end), places, damaged })
}

/// Where the last byte ends that is not zero, from `from` on.
fn end_of_bytes(window: &mut Window<'_>, from: u64, len: u64) -> io::Result<u64> {
    let (mut at, mut end) = (from, from);
    while at < len {
        let bytes = window.get(at, SCAN_BYTES)?;
        if bytes.is_empty() {
            break;
        }
        // Mostly it is all zeros, which is told quickest without asking where.
        let any = bytes.iter().fold(0, |any, byte| any | byte);
        if any != 0
            && let Some(last) = bytes.iter().rposition(|byte| *byte != 0)
        {
            end = at + last as u64 + 1;
        }
        at += bytes.len() as u64;
    }
    Ok(end)
}

/// Whether a whole frame with a key above `last` lies anywhere between.
fn has_frame(window: &mut Window<'_>, from: u64, to: u64, last: Option<u64>) -> io::Result<bool> {
    for at in from..to {
        let frame = Frame::parse(window.get(at, FRAME_BYTES as usize)?, at);
        if let Some(frame) = frame.filter(|frame| last.is_none_or(|last| frame.key > last))
            && frame.end() <= to
            && frame.holds(&frame.value(window)?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
