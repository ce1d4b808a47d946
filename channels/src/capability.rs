//! What a channel can carry and its limits, as numbers: drives validation, plans, adaptation and the docs.

use message::BodyType;

/// The capabilities of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Body types that go out as they are; every other sendable one is adapted.
    pub native: &'static [BodyType],
    /// The longest text of one message, in Unicode code points.
    pub text_characters_max: usize,
    /// Whether delivery receipts come back.
    pub receipts: bool,
    /// Whether read receipts come back.
    pub read_receipts: bool,
    /// Whether customers can write in.
    pub inbound: bool,
}
