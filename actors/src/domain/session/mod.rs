//! A session as a pure state machine. Reads no clock, does no IO and draws no randomness.
//!
//! | file | content |
//! |---|---|
//! | [`state`] | the state, and questions about it |
//! | [`apply`] | changes the state by an event; the only place that does |
//! | [`carried`] | the state in pieces, for retention |
//! | [`decide`] | which events follow from a command, an outcome, a receipt or the time |
//! | [`bulk`] | which events follow from a command about all messages |
//! | [`inbound`] | which events follow when the customer writes |
//! | [`ready`] | which parts are due, and when to look again |
//! | `waiting` | why a message is not done |
//! | [`window`] | whether the provider allows a content now |
//! | [`policy`] | the configuration that decisions read |
//! | `snapshot` | the state as the index stores it |
//!
//! # Lifecycle
//!
//! The first message of either side opens a session ([`Session::accept`], [`Session::receive`]).
//! An outbound message waits in `queue`; its parts go [`Phase::Waiting`] → [`Phase::Submitting`] →
//! [`Phase::Answered`], back to `Waiting` for a retry, or to [`Phase::Held`] when their outcome is
//! unknown. Once every part is answered the message moves to `sent` and awaits receipts, until all
//! its parts are final or the receipts are overdue. Final statuses and inbound messages become
//! deliveries, in order. Inactivity or a command closes the session; its unfinished messages and
//! deliveries stay until [`Session::is_done`], and the next message opens the next session.
//!
//! Replaying a stream's events through [`Session::apply`] gives the live state at every point.

pub mod apply;
pub mod bulk;
pub mod carried;
pub mod decide;
mod failed_by;
pub mod inbound;
pub mod policy;
pub mod ready;
mod snapshot;
pub mod state;
pub(crate) mod waiting;
pub mod window;

#[cfg(test)]
mod tests;

pub use carried::{CarriedPiece, CarriedSubject};
pub use decide::{Accept, DoubtMatch, Events, Identity, Outcome, UnknownReceipt};
pub use inbound::{Inbound, InboundBody};
pub use policy::Policy;
pub use ready::DueParts;
pub(crate) use ready::earlier;
pub use state::{
    DeadLetter, Delivery, DeliveryKind, Notification, Outbound, Part, PendingChoices, Phase, Session,
};
pub(crate) use waiting::{SessionWait, WaitStep};
