//! The state of a channel.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use message::Timestamp;
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::{metrics::Metrics, own_stream::OwnStream};
use crate::{
    actor::channel::{
        link_slot::LinkSlot,
        outbox::{Outstanding, PartJob},
        profiles,
        recent::Recent,
    },
    config::ChannelIx,
    context::Shared,
    domain::{correlation::Correlation, lanes::Lanes, prefetch::Ahead, rate::Rate},
    protocol::channel::ChannelMessage,
    view::{ChannelCounts, FactView, SetUpView},
};

/// Its state.
pub(crate) struct ChannelState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ix: ChannelIx,
    pub(crate) myself: ActorRef<ChannelMessage>,
    pub(super) lanes: Lanes,
    pub(super) rate: Rate,
    /// Parts whose intent is durable and that wait for window and rate.
    pub(super) outbox: VecDeque<PartJob>,
    /// Room kept for sessions that were asked.
    pub(super) reserved: usize,
    /// What is made ready beyond the window's room.
    pub(super) ahead: Ahead,
    pub(super) outstanding: Outstanding,
    pub(crate) links: Vec<LinkSlot>,
    pub(super) correlation: Correlation,
    pub(super) own: OwnStream,
    /// The customers that wrote lately, by all their names.
    pub(super) recent: Recent,
    /// What is known of customers whose messages do not name them.
    pub(super) profiles: profiles::Profiles,
    /// Why nothing is sent, while something must change first.
    pub(super) stopped: Option<message::event::Cause>,
    pub(super) draining: Option<oneshot::Sender<()>>,
    pub(super) is_draining: bool,
    pub(super) kick_at_ms: u64,
    pub(super) counts: ChannelCounts,
    pub(super) metrics: Metrics,
    /// When the status last changed, and to what.
    pub(super) status: (&'static str, String, Timestamp),
    pub(super) set_up: Option<SetUpView>,
    /// What the provider says of the account, by what it is about.
    pub(super) account: BTreeMap<Box<str>, FactView>,
}
