//! Pure policy: no IO, no clock, no randomness. Knows no actor and no message between actors.

pub(crate) mod admission;
pub mod backoff;
pub(crate) mod circuit;
pub(crate) mod correlation;
pub(crate) mod credit;
pub(crate) mod hash;
pub(crate) mod lanes;
pub(crate) mod media_address;
pub(crate) mod names;
pub(crate) mod pending_ids;
pub(crate) mod prefetch;
pub mod rate;
pub mod session;
pub(crate) mod subject;
