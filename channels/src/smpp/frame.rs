//! Finds PDU boundaries in a stream of bytes. Never assumes that one read is one PDU, and never
//! holds more of a PDU than its limit.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::pdu::PduHeader;

/// Default maximum length of a PDU: a payload of 64 KiB and 1 KiB around it.
pub const PDU_BYTES_MAX: usize = 65 * 1024;

/// Length of a header in octets.
pub const HEADER_BYTES: usize = 16;

/// One PDU with its parsed header and its unparsed body.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The header, valid even when the body is not.
    pub header: PduHeader,
    /// The octets after the header.
    pub body: Bytes,
}

/// The body is left out: it may hold a password or a customer's words.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("header", &self.header).field("body_octets", &self.body.len()).finish()
    }
}

/// An impossible PDU length: the boundaries are lost and the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PDU claims {length} octets, expected 16 to {max}; the stream cannot be followed, reconnect")]
pub struct FrameError {
    /// The claimed length.
    pub length: u32,
    /// The limit.
    pub max: usize,
}

/// Cuts PDUs out of a stream.
pub struct Frames {
    buffer: BytesMut,
    max: usize,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("buffered_octets", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Frames {
    /// Returns a reader that accepts PDUs of up to `pdu_bytes_max` octets.
    pub fn new(pdu_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), max: pdu_bytes_max.max(HEADER_BYTES) }
    }

    /// Appends input. Draining with [`Frames::next_frame`] after each call keeps less than one PDU
    /// here.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete PDU, if present.
    ///
    /// # Errors
    ///
    /// The length is impossible: reported as soon as its four octets arrived, and on each later
    /// call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        if octets < HEADER_BYTES || octets > self.max {
            return Err(FrameError { length, max: self.max });
        }
        if self.buffer.len() < octets {
            return Ok(None);
        }
        let mut pdu = self.buffer.split_to(octets).freeze();
        let header = PduHeader::read(&pdu);
        pdu.advance(HEADER_BYTES);
        Ok(header.map(|header| Frame { header, body: pdu }))
    }

    /// Returns whether a PDU is incomplete.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Returns the number of octets that wait for the rest of their PDU.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(body.len() + 16).unwrap().to_be_bytes().to_vec();
        for field in [0x15, 0, sequence] {
            out.extend_from_slice(&u32::to_be_bytes(field));
        }
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_pdus() {
        let stream = [pdu(1, b""), pdu(2, b"abc"), pdu(3, b"")].concat();
        for cut in 0..=stream.len() {
            for size in [1, 2, 7, 100] {
                let mut frames = Frames::new(64);
                let mut seen = Vec::new();
                let (head, tail) = stream.split_at(cut);
                for piece in [head, tail].iter().flat_map(|half| half.chunks(size)) {
                    frames.push(piece);
                    while let Some(frame) = frames.next_frame().unwrap() {
                        seen.push((frame.header.sequence, frame.body));
                    }
                }
                let expected = [(1, Bytes::new()), (2, Bytes::from_static(b"abc")), (3, Bytes::new())];
                assert_eq!(seen, expected, "cut {cut}, pieces of {size}");
                assert!(!frames.is_partial());
            }
        }
    }

    #[test]
    fn impossible_lengths_are_fatal_at_once_and_for_ever() {
        for length in [0, 15, 65, 1 << 31, u32::MAX] {
            let mut frames = Frames::new(64);
            frames.push(&length.to_be_bytes());
            assert_eq!(frames.next_frame(), Err(FrameError { length, max: 64 }));
            frames.push(&pdu(1, b""));
            assert_eq!(frames.next_frame(), Err(FrameError { length, max: 64 }));
        }
    }
}
