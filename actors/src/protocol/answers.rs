//! Answers to requests, filled in as their messages become durable.

use std::sync::Arc;

use message::{MessageId, SessionId};
use tokio::sync::oneshot;

use crate::{domain::pending_ids::Claim, error::Refusal};

/// A message was taken (or had been before): durable when this is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Its id: the one given, or the one drawn.
    pub message_id: MessageId,
    /// Whether the same id had been accepted before: nothing was sent for this one.
    pub duplicate: bool,
    /// Its session.
    pub session: SessionId,
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// The answers to one request, filled in as its messages become durable; the last one wakes the caller.
pub(crate) struct Answers {
    inner: std::sync::Mutex<AnswersInner>,
}

struct AnswersInner {
    answers: AnswerList,
    missing: usize,
    /// Dropped with the last who could still accept one of the messages.
    claims: Vec<Claim>,
    done: Option<oneshot::Sender<AnswerList>>,
}

/// The answers so far, in the order of the messages.
type AnswerList = Vec<Option<Result<Acceptance, Refusal>>>;

impl Answers {
    pub(crate) fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<AnswerList>) {
        let (done, wait) = oneshot::channel();
        let inner =
            AnswersInner { answers: vec![None; count], missing: count, claims: Vec::new(), done: Some(done) };
        (Arc::new(Self { inner: std::sync::Mutex::new(inner) }), wait)
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, AnswersInner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps a message's id to its customer until all are answered.
    pub(crate) fn hold(&self, claim: Claim) {
        self.inner().claims.push(claim);
    }

    pub(crate) fn put(&self, place: usize, answer: Result<Acceptance, Refusal>) {
        let mut inner = self.inner();
        if let Some(slot) = inner.answers.get_mut(place)
            && slot.is_none()
        {
            *slot = Some(answer);
            inner.missing -= 1;
        }
        if inner.missing == 0
            && let Some(done) = inner.done.take()
        {
            let _caller_gone = done.send(std::mem::take(&mut inner.answers));
        }
    }
}
