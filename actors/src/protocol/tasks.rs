//! Collections of tasks: grouped by host before they are sent, and joined while they wait for one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use message::StreamId;
use storage::invariant;

use crate::protocol::task::{Op, Task};

/// Maximum number of tasks in one batch, so that a host's turn stays about a millisecond. Tasks
/// beyond it begin a new batch.
pub(crate) const TASKS_MAX: usize = 256;

/// Returns the number of the host that runs a stream's sessions, of `hosts` in all.
pub(crate) fn host_of(stream: StreamId, hosts: usize) -> usize {
    (stream.0 % hosts.max(1) as u128) as usize
}

/// Tasks grouped by the host that runs their sessions, in the order in which they were added.
pub(crate) struct Tasks {
    hosts: usize,
    by_host: Vec<Vec<Task>>,
}

impl Tasks {
    /// Allocates nothing before the first task.
    pub(crate) fn new(hosts: usize) -> Self {
        Self { hosts: hosts.max(1), by_host: Vec::new() }
    }

    /// Adds an operation on a session.
    pub(crate) fn push(&mut self, stream: StreamId, op: Op) {
        self.push_task(Task { stream, op });
    }

    /// Adds a task.
    pub(crate) fn push_task(&mut self, task: Task) {
        if self.by_host.is_empty() {
            self.by_host.resize_with(self.hosts, Vec::new);
        }
        if let Some(tasks) = self.by_host.get_mut(host_of(task.stream, self.hosts)) {
            tasks.push(task);
        }
    }

    /// The number of tasks for all hosts.
    pub(crate) fn len(&self) -> usize {
        self.by_host.iter().map(Vec::len).sum()
    }

    /// The tasks of each host that has any.
    pub(crate) fn into_batches(self) -> impl Iterator<Item = (usize, Vec<Task>)> {
        self.by_host.into_iter().enumerate().filter(|(_, tasks)| !tasks.is_empty())
    }
}

/// Tasks on their way to a host. Senders may add to them until the host takes them.
pub(crate) struct PendingWork(Mutex<Option<Vec<Task>>>);

impl PendingWork {
    /// Begins a batch.
    pub(crate) fn new(tasks: Vec<Task>) -> Self {
        Self(Mutex::new(Some(tasks)))
    }

    /// Takes all tasks; nothing can be added afterwards.
    pub(crate) fn drain(&self) -> Vec<Task> {
        self.lock().take().unwrap_or_default()
    }

    /// Appends tasks, or returns them when the batch was taken or is full.
    pub(crate) fn join(&self, tasks: Vec<Task>) -> Option<Vec<Task>> {
        match self.lock().as_mut().filter(|waiting| waiting.len() + tasks.len() <= TASKS_MAX) {
            Some(waiting) => {
                waiting.extend(tasks);
                let count = waiting.len();
                invariant!(count <= TASKS_MAX, "{count} tasks in a batch");
                None
            }
            None => Some(tasks),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Task>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(from: u128, count: u128) -> Vec<Task> {
        (from..from + count).map(|n| Task { stream: StreamId(n), op: Op::Wake }).collect()
    }

    fn streams(tasks: &[Task]) -> Vec<u128> {
        tasks.iter().map(|task| task.stream.0).collect()
    }

    #[test]
    fn work_joins_in_order_until_it_is_taken() {
        let batch = PendingWork::new(tasks(0, 3));
        assert!(batch.join(tasks(3, 2)).is_none());
        assert_eq!(streams(&batch.drain()), [0, 1, 2, 3, 4]);
        let back = batch.join(tasks(5, 1));
        assert_eq!(back.map(|tasks| streams(&tasks)), Some(vec![5]));
        assert!(batch.drain().is_empty());
    }

    #[test]
    fn a_full_batch_accepts_no_more() {
        let batch = PendingWork::new(tasks(0, TASKS_MAX as u128));
        assert_eq!(batch.join(tasks(1_000, 1)).map(|tasks| streams(&tasks)), Some(vec![1_000]));
        assert_eq!(batch.drain().len(), TASKS_MAX);
    }

    #[test]
    fn tasks_are_grouped_by_host_in_order() {
        let mut all = Tasks::new(2);
        for task in tasks(0, 5) {
            all.push_task(task);
        }
        assert_eq!(all.len(), 5);
        let batches: Vec<_> = all.into_batches().map(|(host, tasks)| (host, streams(&tasks))).collect();
        assert_eq!(batches, [(0, vec![0, 2, 4]), (1, vec![1, 3])]);
    }
}
