//! Pure policy: no IO, no clock, no randomness. Knows no actor and no message between actors.

pub(crate) mod admission;
pub mod backoff;
pub(crate) mod chains;
pub(crate) mod circuit;
pub mod clock;
pub(crate) mod correlation;
pub(crate) mod credit;
pub(crate) mod crowding;
pub(crate) mod hash;
pub(crate) mod kept_receipts;
pub(crate) mod lanes;
pub(crate) mod media_address;
pub(crate) mod message_key;
pub(crate) mod moves;
pub(crate) mod names;
pub(crate) mod pending_ids;
pub(crate) mod prefetch;
pub mod rate;
pub(crate) mod repeats;
pub mod session;
pub(crate) mod settled;
pub(crate) mod subject;
