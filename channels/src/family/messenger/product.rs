//! The two products of the Messenger Platform.

/// A product of the Messenger Platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// A page's Messenger.
    Page,
    /// An Instagram account's direct messages.
    Instagram,
}
