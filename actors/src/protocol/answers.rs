//! Answers to callers outside of the actors. An answer is sent only after the flush of what it
//! depends on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::{MessageId, SessionId};
use storage::invariant;
use tokio::sync::oneshot;

use crate::{domain::pending_ids::Claim, error::Refusal};

/// An accepted message; durable when this is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The message's id: the caller's, or a new one.
    pub message_id: MessageId,
    /// Whether the same id had been accepted before; then nothing was sent this time.
    pub duplicate: bool,
    /// The message's session.
    pub session: SessionId,
}

/// The sender of an answer to one request.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// The answers so far, in the order of the messages.
type AnswerList = Vec<Option<Result<Acceptance, Refusal>>>;

/// The answers to one call of `accept`. They are filled in as messages become durable; the last one
/// wakes the caller.
pub(crate) struct Answers {
    inner: Mutex<AnswersInner>,
}

struct AnswersInner {
    answers: AnswerList,
    missing: usize,
    /// Ids that stay reserved until every answer is known.
    claims: Vec<Claim>,
    done: Option<oneshot::Sender<AnswerList>>,
}

impl Answers {
    pub(crate) fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<AnswerList>) {
        let (done, wait) = oneshot::channel();
        let inner =
            AnswersInner { answers: vec![None; count], missing: count, claims: Vec::new(), done: Some(done) };
        (Arc::new(Self { inner: Mutex::new(inner) }), wait)
    }

    fn inner(&self) -> MutexGuard<'_, AnswersInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message's id reserved for its customer until all messages are answered.
    pub(crate) fn hold(&self, claim: Claim) {
        self.inner().claims.push(claim);
    }

    /// Sets the answer to the message at `place`; later answers to it are ignored.
    pub(crate) fn put(&self, place: usize, answer: Result<Acceptance, Refusal>) {
        let mut inner = self.inner();
        if let Some(slot) = inner.answers.get_mut(place)
            && slot.is_none()
        {
            *slot = Some(answer);
            let missing = inner.missing;
            invariant!(missing > 0, "an answer at {place} comes when none is missing");
            inner.missing = missing.saturating_sub(1);
        }
        if inner.missing == 0
            && let Some(done) = inner.done.take()
        {
            let _caller_gone = done.send(std::mem::take(&mut inner.answers));
        }
    }
}
