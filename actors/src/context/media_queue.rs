//! Customers' files: the queue of those to be fetched before the business asks, and the limit on
//! fetches at once.

use std::sync::Arc;

use channels::MediaRef;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    config::{ChannelIx, MediaConfig},
    context::media_store::MediaStore,
};

/// Maximum number of files fetched at once; further callers are told to come again.
const FETCHES_MAX: usize = 8;
/// Maximum number of files that wait to be fetched ahead; further ones are fetched on demand.
const WAITING_MAX: usize = 1_024;

/// A file to be fetched ahead.
pub(crate) struct FetchRequest {
    pub(crate) channel: ChannelIx,
    pub(crate) file: MediaRef,
}

/// The files of all channels.
pub(crate) struct MediaQueue {
    pub(crate) config: MediaConfig,
    pub(crate) store: MediaStore,
    slots: Arc<Semaphore>,
    waiting: mpsc::Sender<FetchRequest>,
}

impl MediaQueue {
    /// Returns the queue and the receiver of what is to be fetched ahead.
    pub(crate) fn new(config: &MediaConfig) -> (Self, mpsc::Receiver<FetchRequest>) {
        let (waiting, requests) = mpsc::channel(WAITING_MAX);
        let store = MediaStore::new(config.folder.clone(), config.bytes_max, config.readers_max);
        let slots = Arc::new(Semaphore::new(FETCHES_MAX));
        (Self { config: config.clone(), store, slots, waiting }, requests)
    }

    /// Queues a file to be fetched soon. When the queue is full it is fetched on demand instead.
    pub(crate) fn fetch_ahead(&self, request: FetchRequest) {
        if self.waiting.try_send(request).is_err() {
            metrics::counter!("patchbay_media_not_fetched_ahead_total").increment(1);
        }
    }

    /// Reserves the right to fetch one file now, if not too many are being fetched.
    pub(crate) fn try_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().try_acquire_owned().ok()
    }

    /// Waits for the right to fetch one file.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().acquire_owned().await.ok()
    }
}
