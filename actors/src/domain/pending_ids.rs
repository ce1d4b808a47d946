//! Message ids of requests in flight, until the log knows them. Two requests with one id for two
//! customers must not both be accepted, although two hosts handle them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use message::{MessageId, StreamId};
use storage::invariant;

/// The ids in flight; at most the messages of the requests that wait for an answer.
#[derive(Default)]
pub(crate) struct Claims(Mutex<BTreeMap<MessageId, Reservation>>);

struct Reservation {
    stream: StreamId,
    holders: usize,
}

/// A guard that reserves an id for one stream until it is dropped.
pub(crate) struct Claim {
    claims: Arc<Claims>,
    id: MessageId,
}

impl Claims {
    fn held(&self) -> MutexGuard<'_, BTreeMap<MessageId, Reservation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves an id for a stream, any number of times. `None`: another stream holds it.
    pub(crate) fn claim(self: &Arc<Self>, id: MessageId, stream: StreamId) -> Option<Claim> {
        let mut all = self.held();
        let held = all.entry(id.clone()).or_insert(Reservation { stream, holders: 0 });
        if held.stream != stream {
            return None;
        }
        held.holders += 1;
        Some(Claim { claims: self.clone(), id })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.claims.held();
        let held = all.get_mut(&self.id);
        invariant!(held.as_ref().is_some_and(|held| held.holders > 0), "a reservation is gone");
        if let Some(held) = held {
            held.holders = held.holders.saturating_sub(1);
            if held.holders == 0 {
                all.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_reserved_for_one_stream_until_the_last_guard_is_dropped() {
        let claims = Arc::new(Claims::default());
        let (ours, theirs) = (StreamId(1), StreamId(2));
        let first = claims.claim("a".into(), ours).unwrap();
        let second = claims.claim("a".into(), ours).unwrap();
        assert!(claims.claim("a".into(), theirs).is_none());
        assert!(claims.claim("b".into(), theirs).is_some());
        drop(first);
        assert!(claims.claim("a".into(), theirs).is_none());
        drop(second);
        assert!(claims.claim("a".into(), theirs).is_some());
        assert!(claims.held().is_empty());
    }
}
