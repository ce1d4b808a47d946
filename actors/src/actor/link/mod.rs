//! Links: the live connections of channels. A link actor owns the life of one connection (connect, backoff,
//! stop); what happens on it is told to the channel in batches.

pub(crate) mod caller;
pub(crate) mod http;
pub(crate) mod poll;
pub(crate) mod smpp;
pub(crate) mod smpp_connection;
pub(crate) mod told;

use std::sync::Arc;

use ractor::ActorRef;

use crate::{config::ChannelIx, context::Shared, protocol::channel::ChannelMessage};

/// What a link actor is started with.
pub(crate) struct LinkArguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: ChannelIx,
    pub(crate) link: u16,
    pub(crate) owner: ActorRef<ChannelMessage>,
}
