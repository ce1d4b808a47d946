//! Messages to a destination.

use std::sync::Arc;

use message::{ChannelId, StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::{domain::session::DeliveryKind, seams::PostResult, view::DestinationView};

/// Deliveries of one session, in order.
pub(crate) struct Offer {
    pub(crate) stream: StreamId,
    pub(crate) customer: Arc<str>,
    pub(crate) did: Arc<str>,
    pub(crate) channel: ChannelId,
    pub(crate) deliveries: Vec<OfferedDelivery>,
}

/// A delivery in an offer.
pub(crate) struct OfferedDelivery {
    pub(crate) number: u32,
    pub(crate) at: Timestamp,
    pub(crate) ordinal: u32,
    pub(crate) kind: DeliveryKind,
}

/// What a destination is told.
pub(crate) enum DestinationMessage {
    /// Deliveries to be posted.
    Offers(Vec<Offer>),
    /// A POST ended.
    Posted(u64, PostResult),
    /// Time has passed.
    Tick,
    /// A pause is over.
    Kick,
    /// Show yourself.
    View(oneshot::Sender<DestinationView>),
    /// Start nothing new; answer when nothing is under way.
    Drain(oneshot::Sender<()>),
}

/// The id of a delivery: the same for every try, so that the business can tell a repeat.
pub(crate) fn event_id(stream: StreamId, number: u32) -> String {
    format!("{stream}-{number}")
}
