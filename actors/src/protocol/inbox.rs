//! The way to a session host. Work that arrives while the host is busy joins one batch, so that one
//! turn, one append and one flush serve all of it. Order is kept: any other message closes the
//! batch first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::protocol::{host::HostMessage, recipient::Recipient, task::Task, tasks::PendingWork};

/// A session host's mailbox.
pub(crate) struct Inbox {
    host: Recipient<HostMessage>,
    /// The batch that was sent last, as long as nothing was sent after it. Only the host's mailbox
    /// owns it: when the host dies its tasks are dropped, and their callers see that.
    last: Mutex<Weak<PendingWork>>,
}

impl Inbox {
    pub(crate) fn new(host: Recipient<HostMessage>) -> Self {
        Self { host, last: Mutex::default() }
    }

    /// Sends tasks, joined with those that the host has not begun.
    pub(crate) fn work(&self, tasks: Vec<Task>) {
        // The lock is held while sending, so that batches are in the mailbox in the order in which
        // they were begun.
        let mut last = self.last();
        let tasks = match last.upgrade() {
            Some(batch) => batch.join(tasks),
            None => Some(tasks),
        };
        if let Some(tasks) = tasks {
            let batch = Arc::new(PendingWork::new(tasks));
            *last = Arc::downgrade(&batch);
            self.host.tell(HostMessage::Work(batch));
        }
    }

    /// Sends any other message; tasks sent later stay behind it.
    pub(crate) fn tell(&self, message: HostMessage) {
        let mut last = self.last();
        *last = Weak::new();
        self.host.tell(message);
    }

    fn last(&self) -> MutexGuard<'_, Weak<PendingWork>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
