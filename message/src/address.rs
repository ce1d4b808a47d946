//! Addresses of sessions, the streams that follow from them, and the look-up keys of the log. Pure
//! hashing: nothing here looks anything up.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{ChannelId, StreamId};

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
    /// Returns the stream of the log that holds this address's sessions.
    pub fn stream(&self) -> StreamId {
        stream_of(b'a', &[self.channel.as_str(), &self.did, &self.customer])
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

/// Returns the look-up key of an inbound message's provider id on a channel.
pub fn inbound_key(channel: &ChannelId, provider_id: &str) -> u128 {
    stream_of(b'i', &[channel.as_str(), provider_id]).0
}

/// Returns the look-up key of a customer's canonical name on a channel and DID; it leads to the
/// customer's session.
pub fn alias_key(channel: &ChannelId, did: &str, name: &str) -> u128 {
    stream_of(b'n', &[channel.as_str(), did, name]).0
}

/// Returns the look-up key of an inbound message's id towards the business; it leads to its event.
pub fn delivered_key(id: &str) -> u128 {
    stream_of(b'd', &[id]).0
}

/// Returns the look-up key of the time at which the customer of a stream last wrote.
pub fn heard_key(stream: StreamId) -> u128 {
    stream_of(b'w', &[std::str::from_utf8(&stream.hex()).unwrap_or_default()]).0
}

/// Returns the look-up key of the head of a finished stream.
pub fn head_key(stream: StreamId) -> u128 {
    stream_of(b'h', &[std::str::from_utf8(&stream.hex()).unwrap_or_default()]).0
}

/// Returns 128 bits of SHA-256 over the fields. Each is hashed with its length, so that different
/// lists of fields never hash the same bytes.
fn stream_of(kind: u8, fields: &[&str]) -> StreamId {
    let mut hash = Sha256::new();
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
            Address { channel: c.into(), did: d.into(), customer: k.into() }.stream()
        };
        assert_ne!(of("a", "b", "c"), of("ab", "", "c"));
        assert_ne!(of("a", "b", "c"), of("a", "bc", ""));
        assert_eq!(of("a", "b", "c"), of("a", "b", "c"));
    }

    #[test]
    fn streams_are_written_as_their_number_in_hexadecimal() {
        for n in [0, 1, 0xdead_beef, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            assert_eq!(StreamId(n).to_string(), format!("{n:032x}"));
        }
    }
}
