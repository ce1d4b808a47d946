//! Recovery of a block file: finds its frames, and tells what a crash left at the end from damage.
//! It never writes.

use std::{fs::File, io};

use message::Seq;

use crate::{
    block::{
        format::Block,
        frame::{FRAME_BYTES, Frame, HEADER_BYTES},
        offsets::OffsetIndex,
    },
    disk::{around::Around, window::Window},
};

/// Bytes read at once when the whole file is read.
const SCAN_BYTES: usize = 64 * 1024;
/// Bytes read at once to find one frame.
const FIND_BYTES: usize = 16 * 1024;
/// Bytes of a file for each entry of its offset index, at least.
const STRIDE_BYTES: u64 = 16 * 1024;

/// Returns the offset index of a block file without blocks.
pub(crate) fn empty_index() -> OffsetIndex {
    OffsetIndex::new(HEADER_BYTES, STRIDE_BYTES)
}

/// The result of reading a block file.
pub(crate) struct Scanned {
    pub(crate) offsets: OffsetIndex,
    /// Bytes after the last complete frame, up to the last that is not zero.
    pub(crate) torn_bytes: Option<u64>,
    /// A complete frame follows those bytes, which no crash can cause.
    pub(crate) is_damaged: bool,
}

/// Finds all frames of a file after those that `known` has.
pub(crate) fn scan(file: &File, len: u64, known: OffsetIndex) -> io::Result<Scanned> {
    let mut window = Window::new(file, Around::default(), SCAN_BYTES);
    let mut offsets = known;
    let mut newest: Option<(Frame, Option<Seq>)> = None;
    while let Some(frame) = Frame::parse(window.get(offsets.end, FRAME_BYTES as usize)?, offsets.end) {
        if frame.end() > len || offsets.last.is_some_and(|last| frame.block <= last) {
            break;
        }
        newest = Some((frame, offsets.last));
        offsets.push(frame.block, frame.end());
    }
    // Values are checked when they are read; only the last one may be incomplete.
    if let Some((frame, before)) = newest
        && !frame.holds(&frame.value(&mut window)?)
    {
        offsets.truncate(frame.at, before);
    }
    let end = end_of_bytes(&mut window, offsets.end, len)?;
    let is_torn = end > offsets.end;
    let is_damaged = is_torn && has_frame(&mut window, offsets.end + 1, end, offsets.last)?;
    Ok(Scanned { torn_bytes: is_torn.then(|| end - offsets.end), offsets, is_damaged })
}

/// Returns `known` if the last of its frames is where it says, and an empty index if not.
pub(crate) fn checked(file: &File, len: u64, known: OffsetIndex) -> io::Result<OffsetIndex> {
    let Some(last) = known.last.filter(|_| known.end <= len) else { return Ok(empty_index()) };
    let mut window = Window::new(file, Around::default(), FIND_BYTES);
    let mut at = known.around(last).start;
    while let Some(frame) = Frame::parse(window.get(at, FRAME_BYTES as usize)?, at) {
        at = frame.end();
        if at >= known.end {
            let is_last = frame.block == last && at == known.end;
            let is_whole = is_last && frame.holds(&frame.value(&mut window)?);
            return Ok(if is_whole { known } else { empty_index() });
        }
    }
    Ok(empty_index())
}

/// Returns the number of the first event after the last block of `offsets`.
pub(crate) fn next_block(file: &File, offsets: &OffsetIndex) -> io::Result<Option<Seq>> {
    let Some(last) = offsets.last else { return Ok(None) };
    let mut window = Window::new(file, Around::default(), FIND_BYTES);
    let mut at = offsets.around(last).start;
    while at < offsets.end {
        let frame = Frame::read(&mut window, at)?;
        if frame.block == last {
            let value = frame.value(&mut window)?;
            return Ok(Block::parse(last, &value).ok().map(|block| block.end()));
        }
        at = frame.end();
    }
    Ok(None)
}

/// Returns where the last byte that is not zero ends, from `from` on.
fn end_of_bytes(window: &mut Window<'_>, from: u64, len: u64) -> io::Result<u64> {
    let (mut at, mut end) = (from, from);
    while at < len {
        let bytes = window.get(at, SCAN_BYTES)?;
        if bytes.is_empty() {
            break;
        }
        // Most of it is zeros, and finding that out is faster than finding a position.
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

/// Returns whether a complete frame with a number above `last` lies anywhere between.
fn has_frame(window: &mut Window<'_>, from: u64, to: u64, last: Option<Seq>) -> io::Result<bool> {
    for at in from..to {
        let frame = Frame::parse(window.get(at, FRAME_BYTES as usize)?, at);
        if let Some(frame) = frame.filter(|frame| last.is_none_or(|last| frame.block > last))
            && frame.end() <= to
            && frame.holds(&frame.value(window)?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
