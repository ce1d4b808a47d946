//! Primitives of an SMPP body: octets, C-strings and lengths, read from and written to byte slices.
//! Reading never looks past the body, and never fails where something useful can be salvaged.

/// Repairs made while a body was read. Peers cause all of these; the message is still usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// The length or header of a TLV exceeded the body: its value was clipped.
    pub tlv_clipped: bool,
    /// `sm_length` exceeded the body: the text was clipped.
    pub text_clipped: bool,
    /// The last C-string had no NUL, or was missing.
    pub nul_missing: bool,
    /// A C-string exceeded the specification's limit; it was kept whole.
    pub field_overlong: bool,
}

impl Salvage {
    /// Returns whether nothing was repaired.
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// A body that cannot be read because it ends within a mandatory field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body ends inside {field}; expected a complete {field}")]
pub struct BodyError {
    /// The field, as the specification names it.
    pub field: &'static str,
}

/// A PDU that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field has more octets than the protocol can carry.
    #[error("{field} has {actual} octets, at most {max} fit; shorten it")]
    TooLong {
        /// The field, as the specification names it.
        field: &'static str,
        /// The length found.
        actual: usize,
        /// The maximum length.
        max: usize,
    },
    /// A C-string contains a NUL, which would end it early.
    #[error("{field} contains a NUL octet; remove it")]
    Nul {
        /// The field, as the specification names it.
        field: &'static str,
    },
}

/// Reads a body from its front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    pub(super) salvage: Salvage,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body, salvage: Salvage::default() }
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, BodyError> {
        let (first, rest) = self.rest.split_first().ok_or(BodyError { field })?;
        self.rest = rest;
        Ok(*first)
    }

    /// Reads a C-string of at most `max` octets before its NUL. A longer one is kept and noted.
    #[inline]
    pub(super) fn text(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], BodyError> {
        let at = self.rest.iter().position(|octet| *octet == 0).ok_or(BodyError { field })?;
        let (text, rest) = self.rest.split_at_checked(at).ok_or(BodyError { field })?;
        self.rest = rest.get(1..).unwrap_or_default();
        self.salvage.field_overlong |= at > max;
        Ok(text)
    }

    /// Reads a C-string that may lack its NUL or be missing.
    pub(super) fn last_text(&mut self, field: &'static str, max: usize) -> &'a [u8] {
        self.text(field, max).unwrap_or_else(|_| {
            let text = std::mem::take(&mut self.rest);
            self.salvage.nul_missing = true;
            self.salvage.field_overlong |= text.len() > max;
            text
        })
    }

    /// Returns the next `length` octets, or fewer at the end of the body.
    pub(super) fn octets(&mut self, length: usize) -> &'a [u8] {
        match self.rest.split_at_checked(length) {
            Some((octets, rest)) => {
                self.rest = rest;
                octets
            }
            None => {
                self.salvage.text_clipped = true;
                std::mem::take(&mut self.rest)
            }
        }
    }
}

/// Writes a C-string of at most `max` octets and its NUL.
#[inline]
pub(super) fn put_text(
    out: &mut Vec<u8>,
    text: &[u8],
    field: &'static str,
    max: usize,
) -> Result<(), EncodeError> {
    if text.len() > max {
        return Err(EncodeError::TooLong { field, actual: text.len(), max });
    }
    if text.contains(&0) {
        return Err(EncodeError::Nul { field });
    }
    out.extend_from_slice(text);
    out.push(0);
    Ok(())
}
