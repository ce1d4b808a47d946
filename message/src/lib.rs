//! The vocabulary of Patchbay as types: ids, addresses, contents, statuses, the CIM wire form, and
//! the formats of events and snapshots. Pure: no IO, no clock, no randomness, no runtime.
//!
//! Layers, from the top down: `cim` and `snapshot`; `failure`; `event`; `address`, `content`,
//! `counters` and `status`; `id`.

pub mod address;
pub mod cim;
pub mod content;
pub mod counters;
pub mod event;
pub mod failure;
pub mod id;
pub mod snapshot;
pub mod status;

pub use address::Address;
pub use content::{BodyType, Choice, Content};
pub use counters::Counters;
pub use event::Event;
pub use failure::{FailedBy, Failure};
pub use id::{ChannelId, DestinationId, MessageId, MessageNo, Seq, SessionId, StreamId, Timestamp};
pub use status::{MessageStatus, PartState, PartStatus};
