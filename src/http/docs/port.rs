//! The two ports, as their descriptions tell of them.

/// A port and the words about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescribedPort {
    /// The send API.
    Public,
    /// The admin port.
    Admin,
}

impl DescribedPort {
    /// Returns the heading of its description.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Public => "Patchbay send API",
            Self::Admin => "Patchbay admin API",
        }
    }

    /// Returns the purpose and the keys.
    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Public => {
                "Messages, sessions, webhooks of providers and files of customers, at [http] listen. Keys are those \
                 of api_keys in [http], or api_key of a destination."
            }
            Self::Admin => {
                "State, search and an operator's actions, at [admin] listen. The key is token in [admin]; without \
                 one, only this machine is admitted."
            }
        }
    }
}
