//! Message ids under way: between a request that names one and the log that knows it. Two requests that name the same id
//! for two customers at the same instant must not both be taken, though two hosts take them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use message::{MessageId, StreamId};

/// The ids under way. No more than the messages of the requests that wait for an answer.
#[derive(Default)]
pub(crate) struct Claims(Mutex<BTreeMap<MessageId, Held>>);

struct Held {
    stream: StreamId,
    holders: usize,
}

/// An id that is under way for one stream only, until this is dropped.
pub(crate) struct Claim {
    claims: Arc<Claims>,
    id: MessageId,
}

impl Claims {
    fn held(&self) -> MutexGuard<'_, BTreeMap<MessageId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds an id for a stream, as often as asked; nothing when another stream holds it.
    pub(crate) fn claim(self: &Arc<Self>, id: MessageId, stream: StreamId) -> Option<Claim> {
        let mut all = self.held();
        let held = all.entry(id.clone()).or_insert(Held { stream, holders: 0 });
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
        if let Some(held) = all.get_mut(&self.id) {
            held.holders -= 1;
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
    fn an_id_is_held_for_one_stream_until_its_last_holder_is_gone() {
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
