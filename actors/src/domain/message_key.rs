//! The look-up of a message by the business's id. Its value holds the number of the message and a
//! digest of its content, which tells another message under the same id from a repetition. Pure.

use message::{Content, MessageId, MessageNo, StreamId, address};
use sha2::{Digest, Sha256};
use storage::{Found, Key, Tag};

/// The digest of a content that is not known: look-ups without one fit every content.
const UNKNOWN: u32 = 0;

/// Returns the look-up key of a message.
pub(crate) fn key(stream: StreamId, id: &MessageId, number: MessageNo, content: &Content) -> Key {
    let b = u64::from(digest(content)) << 32 | u64::from(number.0);
    Key { hash: address::message_key(id.as_str()), a: stream.0, b: Tag::Value(b) }
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

/// Returns 32 bits of SHA-256 over a content as the business wrote it.
fn digest(content: &Content) -> u32 {
    let mut hash = Sha256::new();
    add(&mut hash, content);
    let first = hash.finalize().first_chunk().copied().map_or(UNKNOWN, u32::from_be_bytes);
    if first == UNKNOWN { 1 } else { first }
}

fn add(hash: &mut Sha256, content: &Content) {
    let (kind, octets): (&[u8], &[u8]) = match content {
        Content::Text(text) => (b"text", text.as_bytes()),
        Content::Rich { body_type, json } => {
            hash.update(body_type.as_wire());
            (b"rich", json.as_bytes())
        }
        Content::Binary(octets) => (b"octets", octets),
        Content::Parts(parts) => {
            parts.iter().for_each(|part| add(hash, part));
            (b"parts", b"")
        }
    };
    hash.update(kind);
    hash.update((octets.len() as u64).to_le_bytes());
    hash.update(octets);
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
            let key = key(StreamId(1), &"m".into(), MessageNo(u32::MAX), first);
            let Tag::Value(b) = key.b else { panic!("{key:?}") };
            assert_eq!(number(Found { a: key.a, b }), MessageNo(u32::MAX));
            for (m, second) in contents.iter().enumerate() {
                assert_eq!(differs(b, second), n != m, "{first:?} {second:?}");
                assert!(!differs(7, second), "a look-up without a digest fits");
            }
        }
    }
}
