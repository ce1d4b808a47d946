//! Completion of everything that one call brought: the caller learns whether all of it was flushed.
//! A share that is dropped, with an actor, a queue or a failed log, counts as a failure; the peer
//! then repeats its call.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::oneshot;

/// A share in the answer to a call: a drop guard that fails the call unless it is completed. The
/// answer is sent with the last share.
#[derive(Debug)]
pub(crate) struct Completion {
    all: Arc<AllShares>,
    is_complete: bool,
}

#[derive(Debug)]
struct AllShares {
    lost: AtomicBool,
    done: Mutex<Option<oneshot::Sender<bool>>>,
}

impl Drop for AllShares {
    fn drop(&mut self) {
        let done = self.done.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            let _caller_gone = done.send(!self.lost.load(Ordering::Acquire));
        }
    }
}

impl Completion {
    /// Returns the first share, and the answer: whether every share was completed.
    pub(crate) fn new() -> (Self, oneshot::Receiver<bool>) {
        let (done, answer) = oneshot::channel();
        let all = AllShares { lost: AtomicBool::new(false), done: Mutex::new(Some(done)) };
        (Self { all: Arc::new(all), is_complete: false }, answer)
    }

    /// Returns one more share.
    pub(crate) fn share(&self) -> Self {
        Self { all: self.all.clone(), is_complete: false }
    }

    /// Completes this share: its work is flushed, or needed no flush.
    pub(crate) fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if !self.is_complete {
            self.all.lost.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_with_the_last_share_and_one_lost_share_fails_it() {
        let (first, mut answer) = Completion::new();
        let second = first.share();
        first.complete();
        assert!(answer.try_recv().is_err(), "one share is still held");
        second.complete();
        assert_eq!(answer.try_recv(), Ok(true));

        let (first, mut answer) = Completion::new();
        let second = first.share();
        drop(second);
        first.complete();
        assert_eq!(answer.try_recv(), Ok(false));
    }
}
