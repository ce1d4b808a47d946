//! The queue of customers' files that are fetched before anybody asks for them.

use std::sync::Arc;

use channels::MediaRef;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    config::{ChannelIx, MediaConfig},
    context::media_store::Store,
};

/// Files fetched at once.
const FETCHES_MAX: usize = 8;

/// Files that wait to be fetched before anybody asked; more are fetched when they are asked for.
const WAITING_MAX: usize = 1_024;

/// Why a file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFile {
    /// Nothing has this address. Answer 404.
    #[error("there is no such file")]
    Unknown,
    /// The provider does not give it. Answer 502.
    #[error("the provider does not give the file: {0}")]
    Refused(String),
    /// Not now. Answer 503.
    #[error("too many files are fetched at once")]
    Busy,
}

/// Files to be fetched before anybody asks.
pub(crate) struct Wanted {
    pub(crate) channel: ChannelIx,
    pub(crate) file: MediaRef,
}

/// What the router keeps for files.
pub(crate) struct Files {
    pub(crate) store: Store,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) waiting: mpsc::Sender<Wanted>,
}

impl Files {
    /// With what is fetched ahead on the other end.
    pub(crate) fn new(config: &MediaConfig) -> (Self, mpsc::Receiver<Wanted>) {
        let (waiting, wanted) = mpsc::channel(WAITING_MAX);
        let store = Store::new(config.folder.clone(), config.bytes_max);
        (Self { store, room: Arc::new(Semaphore::new(FETCHES_MAX)), waiting }, wanted)
    }

    /// Has a file fetched soon. What finds no room is fetched when it is asked for.
    pub(crate) fn want(&self, wanted: Wanted) {
        if self.waiting.try_send(wanted).is_err() {
            metrics::counter!("patchbay_media_not_fetched_ahead_total").increment(1);
        }
    }
}
