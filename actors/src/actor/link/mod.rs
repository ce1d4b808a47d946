//! Links: the live connections of channels. A link's actor owns the life of one connection
//! (connect, back off, stop) and reports its events to the channel in batches. Links run on the
//! network runtime and never read the log.

pub(crate) mod caller;
pub(crate) mod http;
mod note;
mod poll;
pub(crate) mod smpp;
mod smpp_connection;

use std::sync::Arc;

use crate::{
    config::ChannelIx,
    context::Context,
    protocol::{channel::ChannelMessage, recipient::Recipient},
};

/// The parameters of a link's actor.
pub(crate) struct LinkArguments {
    pub(crate) context: Arc<Context>,
    pub(crate) channel: ChannelIx,
    /// The link's number in its channel.
    pub(crate) link: u16,
    /// The run of this actor, for its reports.
    pub(crate) run: u32,
    /// The number of restarts by an operator so far.
    pub(crate) epoch: u32,
    pub(crate) owner: Recipient<ChannelMessage>,
}
