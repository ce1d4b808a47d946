//! Who waits until everything that came in one call is flushed. What is lost on the way, with an actor, a queue or a
//! failed log, counts as not safe: the waiting side then has its peer repeat the call.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::oneshot;

/// A share in the answer: safe by [`Waits::safe`], lost when dropped without it. The answer goes out with the last
/// share.
#[derive(Debug)]
pub(crate) struct Waits {
    all: Arc<All>,
    is_safe: bool,
}

#[derive(Debug)]
struct All {
    lost: AtomicBool,
    done: Mutex<Option<oneshot::Sender<bool>>>,
}

impl Drop for All {
    fn drop(&mut self) {
        let done = self.done.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            let _caller_gone = done.send(!self.lost.load(Ordering::Acquire));
        }
    }
}

impl Waits {
    /// The first share, and the answer: whether all shares became safe.
    pub(crate) fn new() -> (Self, oneshot::Receiver<bool>) {
        let (done, answer) = oneshot::channel();
        let all = All { lost: AtomicBool::new(false), done: Mutex::new(Some(done)) };
        (Self { all: Arc::new(all), is_safe: false }, answer)
    }

    /// One more share.
    pub(crate) fn share(&self) -> Self {
        Self { all: self.all.clone(), is_safe: false }
    }

    /// What this share stands for is flushed, or needs no flush.
    pub(crate) fn safe(mut self) {
        self.is_safe = true;
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.is_safe {
            self.all.lost.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_with_the_last_share_and_one_lost_share_spoils_it() {
        let (first, mut answer) = Waits::new();
        let second = first.share();
        first.safe();
        assert!(answer.try_recv().is_err(), "one share is still out");
        second.safe();
        assert_eq!(answer.try_recv(), Ok(true));

        let (first, mut answer) = Waits::new();
        let second = first.share();
        drop(second);
        first.safe();
        assert_eq!(answer.try_recv(), Ok(false));
    }
}
