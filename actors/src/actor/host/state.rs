//! The state of a session host.

use std::{collections::BTreeSet, sync::Arc};

use message::{StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::{actor::host::live::LiveSessions, context::Shared};

/// Its state.
pub(crate) struct HostState {
    pub(super) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: LiveSessions,
    /// The instants at which time alone changes a live session.
    pub(crate) timers: BTreeSet<(Timestamp, StreamId)>,
    pub(super) checkpoint: Option<CheckpointRun>,
    /// Live sessions that the figure for it was told of.
    pub(super) shown: usize,
    pub(super) panics: metrics::Counter,
}

pub(super) struct CheckpointRun {
    pub(super) dirty: Vec<u32>,
    /// Sessions in one turn.
    pub(super) turn: usize,
    pub(super) reply: oneshot::Sender<()>,
}
