//! Message ids of WhatsApp: `wamid.` and base64 of a small record in Thrift's compact form: the
//! address of the customer, whether the message is ours, and the token by which the chat itself
//! knows it. One message has several such ids: by number and by business-scoped id, as its sender
//! and as its receiver see it (chatwoot #15107, whatomate #507). The token is the same in all.

use crate::toolkit::auth;

const PREFIX: &str = "wamid.";
/// Minimum length of a token, in octets; shorter ones could be anything.
const TOKEN_MIN: usize = 8;

/// Returns the token in a message's id.
pub fn token(id: &str) -> Option<Box<str>> {
    let octets = auth::from_base64(id.strip_prefix(PREFIX)?)?;
    let token = field(&octets, TOKEN_FIELD).or_else(|| trailing(&octets))?;
    let is_token = token.len() >= TOKEN_MIN && token.bytes().all(|octet| octet.is_ascii_graphic());
    is_token.then(|| token.into())
}

/// The field of the record that holds the token.
const TOKEN_FIELD: u8 = 3;
/// Maximum depth of records in the record.
const DEPTH_MAX: usize = 4;

/// Returns the text in a field of a record.
fn field(octets: &[u8], wanted: u8) -> Option<&str> {
    let mut reader = Compact { rest: octets };
    let mut last = 0_u8;
    loop {
        let header = reader.octet()?;
        if header == 0 {
            return None;
        }
        let delta = header >> 4;
        last = if delta == 0 { u8::try_from(reader.varint()? >> 1).ok()? } else { last.checked_add(delta)? };
        match header & 0x0f {
            BINARY if last == wanted => return std::str::from_utf8(reader.binary()?).ok(),
            kind => reader.skip(kind, DEPTH_MAX)?,
        }
    }
}

const BINARY: u8 = 8;
const STRUCT: u8 = 12;

struct Compact<'a> {
    rest: &'a [u8],
}

impl<'a> Compact<'a> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            // Booleans have no value of their own.
            1 | 2 => {}
            3 => drop(self.octet()?),
            4..=6 => drop(self.varint()?),
            7 => self.rest = self.rest.get(8..)?,
            BINARY => drop(self.binary()?),
            STRUCT => loop {
                let header = self.octet()?;
                if header == 0 {
                    break;
                }
                if header >> 4 == 0 {
                    self.varint()?;
                }
                self.skip(header & 0x0f, depth.checked_sub(1)?)?;
            },
            _ => return None,
        }
        Some(())
    }
}

/// Returns the letters and digits at the end, for a record of another form.
fn trailing(octets: &[u8]) -> Option<&str> {
    let end = octets.iter().rposition(|octet| *octet != 0)? + 1;
    let octets = octets.get(..end)?;
    let begin = octets.iter().rposition(|octet| !octet.is_ascii_alphanumeric())? + 1;
    std::str::from_utf8(octets.get(begin..)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An id as Meta makes it.
    fn wamid(address: &str, is_ours: bool, token: &str) -> String {
        let mut octets = vec![0x1c, 0x18, address.len() as u8];
        octets.extend(address.as_bytes());
        octets.extend([0x15, 0x02, 0x00, if is_ours { 0x11 } else { 0x12 }, 0x18, token.len() as u8]);
        octets.extend(token.as_bytes());
        octets.push(0);
        format!("wamid.{}", auth::base64(&octets))
    }

    #[test]
    fn ids_seen_in_the_field() {
        let cases = [
            // Meta's reference, system messages.
            ("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUFERjg0NDEzNDdFODU3MUMxMAA=", Some("3AADF8441347E8571C10")),
            ("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=", Some("3A4A6599AEE03810144F")),
            // Without padding, and in the alphabet for addresses.
            ("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA", Some("3A4A6599AEE03810144F")),
            ("wamid.HBgMOTE5OTcwNTg1NTU2FQIAERgSQjhGRDQ2REFBQjAxMjJBM0Q1AA==", Some("B8FD46DAAB0122A3D5")),
            ("wamid.A", None),
            ("wamid.", None),
            ("wamid.Qx0aZ1", None),
            ("gBGGSFcCNEOPAgkO_KJ55r4w_ww", None),
            ("", None),
        ];
        for (id, expected) in cases {
            assert_eq!(token(id).as_deref(), expected, "{id}");
        }
    }

    proptest! {
        #[test]
        fn one_message_has_one_token(
            one in "[0-9]{8,15}", other in "[A-Z]{2}\\.[A-Za-z0-9]{1,60}", ours: bool, id in "[0-9A-F]{16,32}",
        ) {
            let expected = Some(Box::from(&*id));
            prop_assert_eq!(token(&wamid(&one, ours, &id)), expected.clone());
            prop_assert_eq!(token(&wamid(&other, !ours, &id)), expected);
        }

        #[test]
        fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let _token_or_not = token(&format!("wamid.{}", auth::base64(&octets)));
        }
    }
}
