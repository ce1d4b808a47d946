//! Failures of parts as plain data.

use serde::{Deserialize, Serialize};

use crate::{event::Cause, id::Timestamp};

/// The side that failed a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedBy {
    /// The provider, by its answer or by a receipt.
    Provider,
    /// Patchbay, which could not send it or gave it up.
    Patchbay,
    /// The end of the message's validity.
    Expiry,
    /// The business, which withdrew the message.
    Business,
    /// An operator, who gave it up while it was in doubt.
    Operator,
}

/// Why a part failed, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The code and the words of the side that failed it.
    pub cause: Cause,
    /// The side that failed it.
    pub by: FailedBy,
    /// When it failed.
    pub at: Timestamp,
}
