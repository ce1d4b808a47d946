//! Rebuilding what a damaged page of the index's database held. The state of a stream is opaque
//! here, so a lost entry becomes one without state, whose owner rebuilds it from the stream's
//! events; due times follow from the entries.

use std::collections::{BTreeMap, BTreeSet};

use message::{Seq, StreamId, Timestamp};

use crate::{
    disk::seam::{LostKeys, Write},
    error::{EngineError, IndexError},
    hash::UniformMap,
    index::{
        entry::{Due, Entry},
        keys::{META_CHECKPOINT, META_ENTRIES, due_key, entry_key, read_due, read_stream, tombstone_key},
    },
};

/// The events from which an index is rebuilt.
pub(crate) trait EventSource: Send + Sync {
    /// Returns the last flushed event of every stream that is wanted.
    fn last_events(
        &self,
        is_wanted: &mut dyn FnMut(StreamId) -> Result<bool, EngineError>,
    ) -> Result<UniformMap<StreamId, Seq>, EngineError>;
    /// Reports that something is rebuilt.
    fn report(&self, damage: &EngineError);
}

/// The part of the database that is known in memory, too.
pub(super) struct Known {
    /// Removed streams and their last events.
    pub(super) tombstones: BTreeMap<StreamId, Seq>,
    pub(super) checkpoint: Seq,
    /// The number of entries.
    pub(super) entries: u64,
}

/// The writes that restore lost keys, in their order.
pub(super) fn restore(
    known: &Known,
    events: &dyn EventSource,
    lost: &dyn LostKeys,
) -> Result<Vec<Write>, EngineError> {
    let last = events.last_events(&mut |stream| lost.contains(&entry_key(stream)))?;
    let mut writes = restore_due(lost, &last)?;
    let mut entries: Vec<(StreamId, Seq)> = last.into_iter().collect();
    entries.sort_unstable();
    for (stream, applied) in entries {
        let entry = Entry { applied, due: Some(Timestamp(0)), bytes: Box::default() };
        writes.push(Write::Put(entry_key(stream), entry.encode()));
    }
    let number = |value: u64| Box::from(value.to_le_bytes());
    let tombstones = known.tombstones.iter();
    let rest = tombstones.map(|(stream, applied)| (tombstone_key(*stream), number(applied.0)));
    let numbers = [(META_CHECKPOINT, known.checkpoint.0), (META_ENTRIES, known.entries)];
    let rest = rest.chain(numbers.map(|(key, value)| (Box::from(key), number(value))));
    for (key, value) in rest {
        if lost.contains(&key)? {
            writes.push(Write::Put(key, value));
        }
    }
    Ok(writes)
}

/// The writes that make the due times those of the entries.
fn restore_due(lost: &dyn LostKeys, restored: &UniformMap<StreamId, Seq>) -> Result<Vec<Write>, EngineError> {
    let invalid = |key: &[u8]| EngineError::damaged("index", 0, format!("the key {key:02x?} is not valid"));
    let (mut stored, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    lost.for_each_other(&mut |key, value| {
        match key.first() {
            Some(b'd') => {
                stored.insert(read_due(key).ok_or_else(|| invalid(key))?);
            }
            Some(b'e') => {
                let stream = read_stream(key).ok_or_else(|| invalid(key))?;
                let entry = Entry::decode(stream, value).map_err(|_| invalid(key))?;
                if let Some(at) = entry.due.filter(|_| !restored.contains_key(&stream)) {
                    wanted.insert(Due { at, stream });
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    wanted.extend(restored.keys().map(|stream| Due { at: Timestamp(0), stream: *stream }));
    let change = |due: &Due| match wanted.contains(due) {
        true => Write::Put(due_key(*due), Box::default()),
        false => Write::Delete(due_key(*due)),
    };
    Ok(stored.symmetric_difference(&wanted).map(change).collect())
}

/// The damage that an error tells of, if it can be repaired.
pub(super) fn damage(error: &IndexError) -> Option<&EngineError> {
    match error {
        IndexError::Engine(damage @ EngineError::Damaged { .. }) => Some(damage),
        _ => None,
    }
}
