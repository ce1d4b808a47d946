//! Messages to a destination.

use std::sync::Arc;

use message::{ChannelId, StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::{domain::session::DeliveryKind, view::DestinationView};

/// A message to a destination's actor.
pub(crate) enum DestinationMessage {
    /// Posts deliveries.
    Deliver(Vec<DeliveryBatch>),
    /// Retries the batches whose pause is over.
    Tick,
    /// Shows the destination's state.
    View(oneshot::Sender<DestinationView>),
    /// Ends every pause that failures have caused.
    TryNow,
    /// Starts no further POST, and answers when none is in flight.
    Drain(oneshot::Sender<()>),
}

/// Deliveries of one session, in order.
pub(crate) struct DeliveryBatch {
    pub(crate) stream: StreamId,
    pub(crate) customer: Arc<str>,
    pub(crate) did: Arc<str>,
    pub(crate) channel: ChannelId,
    pub(crate) deliveries: Vec<PendingDelivery>,
}

/// A delivery that the destination has not accepted yet.
pub(crate) struct PendingDelivery {
    pub(crate) number: u32,
    pub(crate) at: Timestamp,
    pub(crate) ordinal: u32,
    pub(crate) kind: DeliveryKind,
}

/// Formats the id of a delivery. Every attempt carries the same id, so that the business can detect
/// a repetition.
pub(crate) fn event_id(stream: StreamId, number: u32) -> String {
    format!("{stream}-{number}")
}

/// The attribute beside a customer's message that names the message it answers.
pub(crate) const ORIGINAL_ID: &str = "originalMessageId";
