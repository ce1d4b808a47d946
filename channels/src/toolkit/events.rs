//! Tables of events; see [`crate::contract::events`].

pub use crate::contract::events::*;
