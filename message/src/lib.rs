//! The words of Patchbay as types: ids, addresses, contents, statuses and the facts the log holds.
//! Pure: no IO, no clock, no randomness, no runtime.

pub mod address;
pub mod cim;
pub mod content;
pub mod counters;
pub mod event;
pub mod id;
pub mod status;

pub use address::Address;
pub use content::{BodyType, Content};
pub use counters::Counters;
pub use event::Event;
pub use id::{ChannelId, DestinationId, MessageId, MessageNo, Seq, SessionId, StreamId, Timestamp};
pub use status::{MessageStatus, PartState, PartStatus};
