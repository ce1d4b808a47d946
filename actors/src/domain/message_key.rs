//! The look-up of a message by the business's id. Its value holds the number of the message and a
//! digest of its content, which tells another message under the same id from a repetition. Pure.

use message::{Content, MessageId, MessageNo, StreamId, address};
use storage::{Found, Key, Tag};

/// The digest of a content that is not known: look-ups without one fit every content.
const UNKNOWN: u32 = 0;

/// Returns the look-up key of a message. `hash`: that of its id ([`address::message_key`]).
pub(crate) fn key(hash: u128, stream: StreamId, number: MessageNo, content: &Content) -> Key {
    let b = u64::from(digest(content)) << 32 | u64::from(number.0);
    Key { hash, a: stream.0, b: Tag::Value(b) }
}

/// Returns the look-up key of a message whose content is not known as the business wrote it.
/// `found` is what the id leads to so far: the digest in it still holds.
pub(crate) fn again(stream: StreamId, id: &MessageId, number: MessageNo, found: Option<Found>) -> Key {
    let known = found.filter(|found| found.a == stream.0 && self::number(*found) == number);
    let b = known.map_or(u64::from(number.0), |found| found.b);
    Key { hash: address::message_key(id.as_str()), a: stream.0, b: Tag::Value(b) }
}

/// Returns the number of the message that was found.
pub(crate) fn number(found: Found) -> MessageNo {
    MessageNo(found.b as u32)
}

/// Whether the message that was found has another content. `b` is the value of its look-up.
pub(crate) fn differs(b: u64, content: &Content) -> bool {
    let known = (b >> 32) as u32;
    known != UNKNOWN && known != digest(content)
}

/// Returns 32 bits that follow from a content as the business wrote it. It wrote both contents, so
/// nothing but an error has to be found, and FNV-1a does that.
fn digest(content: &Content) -> u32 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    let hash = add(OFFSET, content);
    match (hash >> 32) as u32 ^ hash as u32 {
        UNKNOWN => 1,
        digest => digest,
    }
}

fn add(hash: u64, content: &Content) -> u64 {
    match content {
        Content::Text(text) => add_field(hash, b't', text.as_bytes()),
        Content::Rich { body_type, json } => {
            add_field(add_field(hash, b'y', body_type.as_wire().as_bytes()), b'r', json.as_bytes())
        }
        Content::Binary(octets) => add_field(hash, b'o', octets),
        Content::Parts(parts) => add_field(parts.iter().fold(hash, add), b'p', &[]),
    }
}

/// Adds a field with its kind and length, so that fields do not run into each other.
fn add_field(hash: u64, kind: u8, octets: &[u8]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let length = (octets.len() as u64).to_le_bytes();
    let head = [kind].into_iter().chain(length);
    head.chain(octets.iter().copied()).fold(hash, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use message::BodyType;

    use super::*;

    fn text(words: &str) -> Content {
        Content::Text(words.into())
    }

    #[test]
    fn a_repetition_is_told_from_another_message_under_the_same_id() {
        let rich = |body_type, json: &str| Content::Rich { body_type, json: json.into() };
        let contents = [
            text("Hello"),
            text("Hello "),
            text(""),
            rich(BodyType::Image, "{}"),
            rich(BodyType::Video, "{}"),
            rich(BodyType::Image, "{\"a\":1}"),
            Content::Binary(b"Hello".as_slice().into()),
            Content::Parts([text("He"), text("llo")].into()),
        ];
        for (n, first) in contents.iter().enumerate() {
            let key = key(1, StreamId(1), MessageNo(u32::MAX), first);
            let Tag::Value(b) = key.b else { panic!("{key:?}") };
            assert_eq!(number(Found { a: key.a, b }), MessageNo(u32::MAX));
            for (m, second) in contents.iter().enumerate() {
                assert_eq!(differs(b, second), n != m, "{first:?} {second:?}");
                assert!(!differs(7, second), "a look-up without a digest fits");
            }
        }
    }
}
