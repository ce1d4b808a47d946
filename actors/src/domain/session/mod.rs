//! A session, pure: what it is ([`state`]), how facts change it ([`apply`]), which facts follow from a
//! command ([`decide`], [`inbound`]), and what it waits for ([`ready`]). No IO, no clock, no policy of its own:
//! the log's replay through `apply` gives the live state, always.

pub mod apply;
pub mod decide;
pub mod inbound;
pub mod policy;
pub mod ready;
pub mod state;
pub mod window;

#[cfg(test)]
mod tests;

pub use decide::{Accept, Events, Identity, Outcome};
pub use inbound::{Inbound, InboundBody};
pub use policy::Policy;
pub(crate) use ready::earlier;
pub use state::{Delivery, DeliveryKind, Notification, Outbound, Part, Phase, Session};
