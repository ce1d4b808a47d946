//! Long work with the disk, beside the actors.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs long work with the disk on a thread where it delays no actor; on a runtime with one thread,
/// as in the simulation, in line. Returns `None` if it panics.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Some(work());
    }
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn long_work_has_a_thread_of_its_own() {
        let here = thread::current().id();
        assert_eq!(run(move || thread::current().id() == here).await, Some(false));
        assert_eq!(run(|| -> u8 { std::panic::panic_any("test") }).await, None);
    }

    #[tokio::test]
    async fn one_thread_does_everything_in_line() {
        let here = thread::current().id();
        assert_eq!(run(move || thread::current().id() == here).await, Some(true));
    }
}
