//! Optional parameters (TLVs), known, unknown and vendor-specific alike: a tag, a length and a
//! value. Reading never fails: a value that exceeds the body is clipped and noted.

use super::wire::{EncodeError, Salvage};

/// `dest_addr_subunit`, u8: where in the handset a text goes.
pub const DEST_ADDR_SUBUNIT: u16 = 0x0005;
/// `additional_status_info_text`: the reason of a refusal in words.
pub const ADDITIONAL_STATUS_INFO_TEXT: u16 = 0x001D;
/// `receipted_message_id`: the id of the reported message, a C-string.
pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
/// `user_message_reference`, u16.
pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
/// `source_port`, u16.
pub const SOURCE_PORT: u16 = 0x020A;
/// `destination_port`, u16.
pub const DESTINATION_PORT: u16 = 0x020B;
/// `sar_msg_ref_num`, u16.
pub const SAR_MSG_REF_NUM: u16 = 0x020C;
/// `sar_total_segments`, u8.
pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
/// `sar_segment_seqnum`, u8.
pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
/// `sc_interface_version`, u8, in a bind reply.
pub const SC_INTERFACE_VERSION: u16 = 0x0210;
/// `network_error_code`: a network type, u8, and a code, u16.
pub const NETWORK_ERROR_CODE: u16 = 0x0423;
/// `message_payload`: the text, instead of `short_message`.
pub const MESSAGE_PAYLOAD: u16 = 0x0424;
/// `more_messages_to_send`, u8.
pub const MORE_MESSAGES_TO_SEND: u16 = 0x0426;
/// `message_state`, u8.
pub const MESSAGE_STATE: u16 = 0x0427;
/// `congestion_state` (5.0), u8, 0 to 100.
pub const CONGESTION_STATE: u16 = 0x0428;

/// One optional parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag; 0x1400 to 0x3FFF belong to vendors.
    pub tag: u16,
    /// The octets of the value.
    pub value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Returns a value of one, two or four octets as a number.
    pub fn number(&self) -> Option<u32> {
        match *self.value {
            [a] => Some(u32::from(a)),
            [a, b] => Some(u32::from(u16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
            _ => None,
        }
    }

    /// Returns the value up to its NUL, if present.
    pub fn text(&self) -> &'a [u8] {
        self.value.split(|octet| *octet == 0).next().unwrap_or_default()
    }
}

/// A payload is a customer's text: only its length is shown.
impl std::fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tag {
            MESSAGE_PAYLOAD => write!(f, "message_payload: {} octets", self.value.len()),
            tag => write!(f, "0x{tag:04X}: {}", self.value.escape_ascii()),
        }
    }
}

/// The optional parameters of a PDU: as received, or a list to send.
#[derive(Clone, Copy)]
pub struct Tlvs<'a>(TlvForm<'a>);

#[derive(Clone, Copy)]
enum TlvForm<'a> {
    Wire(&'a [u8]),
    List(&'a [Tlv<'a>]),
}

impl Default for Tlvs<'_> {
    fn default() -> Self {
        Self(TlvForm::Wire(&[]))
    }
}

impl<'a> Tlvs<'a> {
    /// Returns the parameters of a received body.
    pub fn wire(octets: &'a [u8]) -> Self {
        Self(TlvForm::Wire(octets))
    }

    /// Returns a list to send.
    pub fn list(list: &'a [Tlv<'a>]) -> Self {
        Self(TlvForm::List(list))
    }

    /// Returns all parameters in order, repeated tags included.
    pub fn iter(&self) -> TlvIter<'a> {
        TlvIter(self.0)
    }

    /// Returns the first parameter with this tag.
    pub fn get(&self, tag: u16) -> Option<Tlv<'a>> {
        self.iter().find(|tlv| tlv.tag == tag)
    }

    /// Returns the first parameter with this tag, as a number.
    pub fn number(&self, tag: u16) -> Option<u32> {
        self.get(tag)?.number()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            TlvForm::Wire(octets) => octets.is_empty(),
            TlvForm::List(list) => list.is_empty(),
        }
    }

    /// Returns the received octets, if these parameters were received.
    pub fn as_wire(&self) -> Option<&'a [u8]> {
        match self.0 {
            TlvForm::Wire(octets) => Some(octets),
            TlvForm::List(_) => None,
        }
    }

    /// Notes in `salvage` whether a value was clipped.
    pub(super) fn check(self, salvage: &mut Salvage) -> Self {
        if let TlvForm::Wire(mut rest) = self.0 {
            while !rest.is_empty() {
                let (_, after, clipped) = split(rest);
                salvage.tlv_clipped |= clipped;
                rest = after;
            }
        }
        self
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        for tlv in self.iter() {
            let length = u16::try_from(tlv.value.len()).map_err(|_| EncodeError::TooLong {
                field: "a tlv's value",
                actual: tlv.value.len(),
                max: usize::from(u16::MAX),
            })?;
            out.extend_from_slice(&tlv.tag.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(tlv.value);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Tlvs<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Tlvs<'_> {}

/// An iterator over optional parameters.
#[derive(Clone, Copy)]
pub struct TlvIter<'a>(TlvForm<'a>);

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        match &mut self.0 {
            TlvForm::Wire([]) => None,
            TlvForm::Wire(rest) => {
                let (tlv, after, _) = split(rest);
                *rest = after;
                tlv
            }
            TlvForm::List(list) => {
                let (first, after) = list.split_first()?;
                *list = after;
                Some(*first)
            }
        }
    }
}

/// Returns the first TLV, the rest, and whether it was clipped. Fewer than four octets are not a
/// TLV.
fn split(octets: &[u8]) -> (Option<Tlv<'_>>, &[u8], bool) {
    let Some(([tag_high, tag_low, high, low], rest)) = octets.split_first_chunk() else {
        return (None, &[], true);
    };
    let tag = u16::from_be_bytes([*tag_high, *tag_low]);
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match rest.split_at_checked(length) {
        Some((value, after)) => (Some(Tlv { tag, value }), after, false),
        None => (Some(Tlv { tag, value: rest }), &[], true),
    }
}
