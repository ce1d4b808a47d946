//! Our own addresses as the provider states them.

/// Our own addresses, as the provider names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Each address, or each name of the only one.
    pub addresses: Vec<Box<str>>,
    /// The provider's word for them (`display_phone_number`).
    pub called: &'static str,
    /// Whether the list has only numbers with a country: it says nothing about short codes and
    /// names.
    pub only_numbers: bool,
}
