//! Whether the router runs, drains, or has failed.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

/// The state of the whole router.
pub(crate) struct Lifecycle {
    failure: watch::Sender<Option<String>>,
    draining: AtomicBool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { failure: watch::channel(None).0, draining: AtomicBool::new(false) }
    }
}

impl Lifecycle {
    /// Ends the router with a reason; only the first reason is kept.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(reason, "the router cannot continue");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(reason);
            first
        });
    }

    /// Returns what was looked for. A failed read ends the router: if it meant "not found", what
    /// depends on it would be lost.
    pub(crate) fn found<T>(&self, what: impl Display, read: Result<Option<T>, impl Display>) -> Option<T> {
        read.unwrap_or_else(|error| {
            self.fail(format!("{what} cannot be read: {error}"));
            None
        })
    }

    /// Whether the router cannot continue.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Waits for a failure and returns its reason.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the router has ended".to_owned(),
        }
    }

    /// Refuses messages from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
