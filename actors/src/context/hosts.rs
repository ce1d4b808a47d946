//! The way to the session hosts.

use std::sync::OnceLock;

use message::StreamId;
use storage::invariant;

use crate::protocol::{
    host::HostMessage,
    inbox::Inbox,
    task::{Op, Task},
    tasks::{self, Tasks},
};

/// The mailboxes of all session hosts.
pub(crate) struct Hosts {
    count: usize,
    inboxes: OnceLock<Vec<Inbox>>,
}

impl Hosts {
    pub(crate) fn new(count: usize) -> Self {
        Self { count: count.max(1), inboxes: OnceLock::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Sets the mailboxes; returns false when they were set before.
    pub(crate) fn set(&self, inboxes: Vec<Inbox>) -> bool {
        self.inboxes.set(inboxes).is_ok()
    }

    /// Returns the number of the host that runs a stream's sessions.
    pub(crate) fn of(&self, stream: StreamId) -> usize {
        tasks::host_of(stream, self.count)
    }

    /// Returns an empty collection of tasks for these hosts.
    pub(crate) fn tasks(&self) -> Tasks {
        Tasks::new(self.count)
    }

    /// Sends tasks to their hosts.
    pub(crate) fn work(&self, tasks: Tasks) {
        for (host, tasks) in tasks.into_batches() {
            self.work_on(host, tasks);
        }
    }

    /// Sends one operation on one session.
    pub(crate) fn perform(&self, stream: StreamId, op: Op) {
        self.work_on(self.of(stream), vec![Task { stream, op }]);
    }

    fn work_on(&self, host: usize, tasks: Vec<Task>) {
        let inbox = self.inboxes.get().and_then(|inboxes| inboxes.get(host));
        invariant!(inbox.is_some(), "{} tasks for host {host}, which is not there", tasks.len());
        if let Some(inbox) = inbox {
            inbox.work(tasks);
        }
    }

    /// Sends a message to one host.
    pub(crate) fn tell(&self, host: usize, message: HostMessage) {
        if let Some(inbox) = self.inboxes.get().and_then(|inboxes| inboxes.get(host)) {
            inbox.tell(message);
        }
    }

    /// Sends a message to each host.
    pub(crate) fn tell_all(&self, mut message: impl FnMut() -> HostMessage) {
        for host in 0..self.count {
            self.tell(host, message());
        }
    }
}
