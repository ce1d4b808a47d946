//! Addresses of sessions, the streams that follow from them, and the look-up keys of the log. Pure
//! hashing: nothing here looks anything up.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{ChannelId, MessageNo, StreamId};

/// A customer's address on a channel and DID. One address has at most one open session.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The id of the channel.
    pub channel: ChannelId,
    /// The business's own address (number, page id), in the provider's canonical spelling.
    pub did: Arc<str>,
    /// The customer's address, in the provider's canonical spelling.
    pub customer: Arc<str>,
}

impl Address {
    /// Returns the address of a later owner of a name, whose first owner's stream lives on under
    /// the name itself. `change` is that of the event which released the name.
    pub fn of_later_owner(channel: ChannelId, did: Arc<str>, name: &str, change: u64) -> Self {
        // No provider's customers have a name with `~`.
        Self { channel, did, customer: format!("{name}~{change:x}").into() }
    }

    /// Returns the name of which the address of a later owner was made.
    pub fn later_name(&self) -> Option<&str> {
        Some(self.customer.split_once('~')?.0)
    }

    /// Returns the stream of the log that holds this address's sessions. Session ids contain it, so
    /// it depends on a secret: nobody can compute the id of a session from a number.
    pub fn stream(&self, key: &StreamKey) -> StreamId {
        hash_after(key.hash.clone(), b'a', &[self.channel.as_str(), &self.did, &self.customer])
    }
}

/// The secret on which the streams of addresses depend. A log is readable only with the key with
/// which it was written. The default serves tests.
#[derive(Clone)]
pub struct StreamKey {
    /// The state of the hash after the key's block.
    hash: Sha256,
}

/// Bytes that SHA-256 compresses at once.
const HASH_BLOCK_BYTES: usize = 64;

impl StreamKey {
    /// Compresses the key once, in a block of its own, for all addresses.
    pub fn new(secret: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(secret);
        hash.update([0; HASH_BLOCK_BYTES - size_of::<[u8; 32]>()]);
        Self { hash }
    }
}

impl Default for StreamKey {
    fn default() -> Self {
        Self::new([0; 32])
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(***)")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.channel, self.did, self.customer)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns the stream of a channel's own events, such as its stops and unmatched receipts.
pub fn channel_stream(channel: &ChannelId) -> StreamId {
    stream_of(b'c', &[channel.as_str()])
}

/// Returns the look-up key of a business's message id. It is the same for all channels, since an id
/// is used once.
pub fn message_key(id: &str) -> u128 {
    stream_of(b'm', &[id]).0
}

/// Returns the look-up key of a provider's id for a part, as spelled, on a channel.
pub fn provider_id_key(channel: &ChannelId, provider_id: &str) -> u128 {
    stream_of(b'r', &[channel.as_str(), provider_id]).0
}

/// Returns the end of a customer's address as a number, which look-up keys can hold. Ends of up to
/// eight octets stay different; longer ones (names) may share a number, and a look-up
/// compares the whole.
pub fn scope_of(tail: &str) -> u64 {
    tail.bytes().fold(0, |scope: u64, octet| scope.rotate_left(8) ^ u64::from(octet))
}

/// Returns the look-up key of a provider's id for a part, as spelled, on a channel, among the
/// customers whose addresses have this end. `id_key`: the id's key among all customers.
pub fn scoped_id_key(id_key: u128, scope: u64) -> u128 {
    derived_key(id_key, b'q', scope)
}

/// Returns the look-up key of the newest session with a customer whose address has this end.
/// `channel`: the channel's own stream.
pub fn scope_key(channel: StreamId, scope: u64) -> u128 {
    derived_key(channel.0, b'u', scope)
}

/// Returns the look-up key that says that a provider gave an id, as spelled, to parts of several
/// customers of a channel.
pub fn shared_id_key(channel: &ChannelId, provider_id: &str) -> u128 {
    stream_of(b's', &[channel.as_str(), provider_id]).0
}

/// Returns the look-up key of an inbound message's provider id on a channel.
pub fn inbound_key(channel: &ChannelId, provider_id: &str) -> u128 {
    stream_of(b'i', &[channel.as_str(), provider_id]).0
}

/// Returns the look-up key of a customer's canonical name on a channel and DID; it leads to the
/// customer's session.
pub fn alias_key(channel: &ChannelId, did: &str, name: &str) -> u128 {
    stream_of(b'n', &[channel.as_str(), did, name]).0
}

/// Returns the look-up key of the newest event that tells where the customer of a stream is
/// reached, if that is another address than the stream's own.
pub fn reached_key(stream: StreamId) -> u128 {
    derived_key(stream.0, b'v', 0)
}

/// Returns the look-up key of an inbound message's id towards the business; it leads to its event.
pub fn delivered_key(id: &str) -> u128 {
    stream_of(b'd', &[id]).0
}

/// Returns the look-up key of the time at which the customer of a stream last wrote.
pub fn heard_key(stream: StreamId) -> u128 {
    derived_key(stream.0, b'w', 0)
}

/// Returns the look-up key of what the customer of a stream said in a message without an id.
pub fn said_key(stream: StreamId, said: &str) -> u128 {
    derived_key(stream_of(b'o', &[said]).0, b's', 0) ^ stream.0
}

/// Returns the look-up key of the head of a finished stream.
pub fn head_key(stream: StreamId) -> u128 {
    derived_key(stream.0, b'h', 0)
}

/// Returns the look-up key of the newest event of a settled message.
pub fn settled_key(stream: StreamId, number: MessageNo) -> u128 {
    derived_key(stream.0, b't', u64::from(number.0))
}

/// Returns a key that belongs to another one, which is a hash already: different kinds and numbers
/// give different keys.
fn derived_key(hash: u128, kind: u8, number: u64) -> u128 {
    // The factor is odd, so the product is different for each kind and number.
    let place = u128::from(number) << 8 | u128::from(kind);
    hash.rotate_left(64) ^ place.wrapping_mul(DERIVED_FACTOR)
}

/// Spreads kinds and numbers over all bits.
const DERIVED_FACTOR: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// Returns the stream of what the log records about itself; its id is a key of its newest event,
/// too.
pub fn log_stream() -> StreamId {
    stream_of(b'l', &[])
}

/// Returns 128 bits of SHA-256 over the fields. Each is hashed with its length, so that different
/// lists of fields never hash the same bytes.
fn stream_of(kind: u8, fields: &[&str]) -> StreamId {
    hash_after(Sha256::new(), kind, fields)
}

/// Returns the same, continuing from a hash.
fn hash_after(mut hash: Sha256, kind: u8, fields: &[&str]) -> StreamId {
    hash.update([kind]);
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    for (to, from) in first.iter_mut().zip(digest) {
        *to = from;
    }
    StreamId(u128::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let of = |c: &str, d: &str, k: &str| {
            let address = Address { channel: c.into(), did: d.into(), customer: k.into() };
            address.stream(&StreamKey::default())
        };
        assert_ne!(of("a", "b", "c"), of("ab", "", "c"));
        assert_ne!(of("a", "b", "c"), of("a", "bc", ""));
        assert_eq!(of("a", "b", "c"), of("a", "b", "c"));
    }

    #[test]
    fn a_stream_is_not_known_without_the_key() {
        let address = Address { channel: "sms".into(), did: "5155".into(), customer: "+491".into() };
        let with = |octet| address.stream(&StreamKey::new([octet; 32]));
        assert_ne!(with(1), with(2));
        assert_eq!(with(1), with(1));
        assert_eq!(format!("{:?}", StreamKey::new([7; 32])), "StreamKey(***)");
    }

    #[test]
    fn streams_are_written_as_their_number_in_hexadecimal() {
        for n in [0, 1, 0xdead_beef, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            assert_eq!(StreamId(n).to_string(), format!("{n:032x}"));
        }
    }
}
