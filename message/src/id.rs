//! Identifiers and instants as plain values. Never draws an id or reads a clock.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text without checking it.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// The configured id of a channel; unique within one instance.
    ChannelId
}
text_id! {
    /// The configured id of a destination.
    DestinationId
}
text_id! {
    /// The business's id of a message (CIM `id`): opaque, at most [`MESSAGE_ID_BYTES_MAX`] bytes.
    MessageId
}

/// Longest message id in bytes; longer ones are refused.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;

/// A stream of the log: the events of one session address, or of one channel. 128 bits of SHA-256
/// of its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId(pub u128);

impl StreamId {
    /// Returns the 32 hexadecimal digits of the id. Written by hand: it runs several times for each
    /// message, and `format!` of 128 bits takes a thousand instructions.
    pub(crate) fn hex(self) -> [u8; 32] {
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            if let [high, low] = pair {
                (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
            }
        }
        text
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The position of an event in the log, from 1, without gaps. 0 means "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first event.
    pub const NONE: Seq = Seq(0);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The number of an outbound message within its stream, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageNo(pub u32);

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the instant `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds since `earlier`; 0 when it is not earlier.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A session: the stream of its address, and its number on that address from 1.
///
/// Written `s-<32 hex digits>-<number>`, so that a session is found by its id without a look-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The stream of the session's address.
    pub stream: StreamId,
    /// The session's number on its address; the first is 1.
    pub ordinal: u32,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s-{}-{}", self.stream, self.ordinal)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a session id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session id (expected s-<32 hex digits>-<number>): {0:?}")]
pub struct NotASessionId(String);

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (stream, ordinal) = text.strip_prefix("s-")?.split_once('-')?;
            if stream.len() != 32 {
                return None;
            }
            let stream = StreamId(u128::from_str_radix(stream, 16).ok()?);
            Some(Self { stream, ordinal: ordinal.parse().ok()? })
        };
        parse().ok_or_else(|| NotASessionId(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_reads_back_as_written() {
        let id = SessionId { stream: StreamId(0xfeed), ordinal: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in
            ["", "s-", "s-1-1", "x-0000000000000000000000000000feed-1", "s-0000000000000000000000000000feed-"]
        {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}
