//! The start: what happened after the last checkpoint is applied to what the index knows, through the same code
//! as when it was live. How long that takes depends on what happened since the checkpoint, never on history.

use std::collections::HashMap;

use message::{Event, Seq, StreamId};

use crate::{
    error::StartError,
    hash::StreamHash,
    host::{Slot, hydrate},
    session::Session,
    shared::Shared,
};

/// Brings the index up to the end of the log.
pub(crate) fn replay(shared: &Shared) -> Result<(), StartError> {
    let failed = |e: &dyn std::fmt::Display| StartError::Log(e.to_string());
    let from = shared.log.index().checkpoint_seq();
    let mut changed: HashMap<StreamId, Slot, StreamHash> = HashMap::default();
    for stored in shared.log.read(Seq(from.0 + 1)) {
        let stored = stored.map_err(|e| failed(&e))?;
        if is_of_channel(&stored.event) {
            continue;
        }
        let slot = match changed.get_mut(&stored.stream) {
            Some(slot) => slot,
            None => {
                let entry = shared.log.index().get(stored.stream).map_err(|e| failed(&e))?;
                let slot = match entry {
                    Some(entry) => match hydrate::decode(&entry) {
                        Ok(session) => Slot::new(stored.stream, session, entry.applied),
                        // A snapshot of another version: its session is made anew from the log.
                        Err(_) => {
                            hydrate::from_log(shared, stored.stream, entry.applied).map_err(|e| failed(&e))?
                        }
                    },
                    None => {
                        // Removed since the checkpoint: what it had applied then is not applied again.
                        let applied = shared.log.index().applied(stored.stream).map_err(|e| failed(&e))?;
                        Slot::new(stored.stream, Session::blank(), applied)
                    }
                };
                changed.entry(stored.stream).or_insert(slot)
            }
        };
        if stored.seq > slot.head {
            slot.session.apply(&stored.event, stored.at);
            slot.head = stored.seq;
        }
    }
    let mut slots: Vec<Slot> = changed.into_values().collect();
    slots.sort_by_key(|slot| slot.stream);
    let now = shared.now();
    for mut slot in slots {
        if slot.session.is_done() {
            shared.log.index().remove(slot.stream, slot.head);
        } else {
            // Into the index's delta: it comes into memory when it is touched, at once if it has work.
            slot.channel = shared.channel_ix.get(&slot.session.address.channel).copied();
            slot.write_to_index(shared, now);
        }
    }
    Ok(())
}

fn is_of_channel(event: &Event) -> bool {
    matches!(
        event,
        Event::ChannelStopped { .. }
            | Event::ChannelStarted
            | Event::ReceiptUnmatched(_)
            | Event::ReceiptSettled { .. }
    )
}
