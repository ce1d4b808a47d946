//! Waiting for a fact about a simulator, instead of sleeping until it is probably true.

use tokio::sync::Notify;

/// Tells waiting tasks that something changed.
#[derive(Debug, Default)]
pub(crate) struct Changes(Notify);

impl Changes {
    /// Wakes every waiting task.
    pub(crate) fn announce(&self) {
        self.0.notify_waiters();
    }

    /// Waits until `read` returns a value that satisfies `is_reached`, and returns it. Never times
    /// out.
    pub(crate) async fn wait_for<T>(&self, read: impl Fn() -> T, is_reached: impl Fn(&T) -> bool) -> T {
        loop {
            let changed = self.0.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let value = read();
            if is_reached(&value) {
                return value;
            }
            changed.await;
        }
    }

    /// Resolves at the next change. Enable it before reading the state that it is about.
    pub(crate) fn next(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.notified()
    }
}
