//! What a session host is given while it is busy: work joins the batch that waits for it already, so that one turn, one
//! append and one flush serve all of it. Order never changes: whatever else a host is told closes the batch first.

use std::sync::{Arc, Mutex, Weak};

use ractor::ActorRef;

use crate::protocol::host::{Batch, HostMessage, Task, lock};

/// The way to a host.
pub(crate) struct Inbox {
    host: ActorRef<HostMessage>,
    /// The batch sent last, for as long as nothing was sent after it. The host's mailbox alone keeps it: what a host
    /// leaves behind when it dies is dropped, and whoever waits for it is told.
    last: Mutex<Weak<Batch>>,
}

impl Inbox {
    pub(crate) fn new(host: ActorRef<HostMessage>) -> Self {
        Self { host, last: Mutex::default() }
    }

    /// Gives it work.
    pub(crate) fn work(&self, tasks: Vec<Task>) {
        // Held until it is sent: batches lie in the mailbox in the order in which they were begun.
        let mut last = lock(&self.last);
        let tasks = match last.upgrade() {
            Some(batch) => batch.join(tasks),
            None => Some(tasks),
        };
        if let Some(tasks) = tasks {
            let batch = Arc::new(Batch(Mutex::new(Some(tasks))));
            *last = Arc::downgrade(&batch);
            let _gone = self.host.cast(HostMessage::Work(batch));
        }
    }

    /// Tells it anything else: work given later stays behind it.
    pub(crate) fn tell(&self, message: HostMessage) {
        let mut last = lock(&self.last);
        *last = Weak::new();
        let _gone = self.host.cast(message);
    }
}

#[cfg(test)]
mod tests {
    use message::StreamId;

    use super::*;
    use crate::protocol::host::{Op, TASKS_MAX};

    fn tasks(from: u128, count: u128) -> Vec<Task> {
        (from..from + count).map(|n| Task { stream: StreamId(n), op: Op::Wake }).collect()
    }

    fn streams(tasks: &[Task]) -> Vec<u128> {
        tasks.iter().map(|task| task.stream.0).collect()
    }

    #[test]
    fn work_joins_in_order_until_it_is_taken() {
        let batch = Batch(Mutex::new(Some(tasks(0, 3))));
        assert!(batch.join(tasks(3, 2)).is_none());
        assert_eq!(streams(&batch.take()), [0, 1, 2, 3, 4]);
        let back = batch.join(tasks(5, 1));
        assert_eq!(back.map(|tasks| streams(&tasks)), Some(vec![5]));
        assert!(batch.take().is_empty());
    }

    #[test]
    fn a_full_batch_takes_no_more() {
        let batch = Batch(Mutex::new(Some(tasks(0, TASKS_MAX as u128))));
        assert_eq!(batch.join(tasks(1_000, 1)).map(|tasks| streams(&tasks)), Some(vec![1_000]));
        assert_eq!(batch.take().len(), TASKS_MAX);
    }
}
