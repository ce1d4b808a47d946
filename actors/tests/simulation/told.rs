//! The state of each message, from its events in the log alone.

use std::collections::BTreeMap;

use actors::domain::session::Outbound;
use message::{Event, MessageNo, Seq, StreamId};
use storage::Stored;

/// The state of a message by its own events.
pub(crate) struct Told {
    pub(crate) number: usize,
    pub(crate) stream: StreamId,
    pub(crate) no: MessageNo,
    pub(crate) accepted_at: Seq,
    pub(crate) outbound: Outbound,
    pub(crate) events: Vec<Event>,
}

impl Told {
    /// The ids that the log knows for a part.
    pub(crate) fn ids(&self, part: u16) -> Vec<&str> {
        let of_part = |event: &'_ Event| matches!(event, Event::Submitted { part: p, .. } if *p == part);
        let submitted = self.events.iter().filter(|event| of_part(event));
        submitted
            .filter_map(|event| match event {
                Event::Submitted { provider_id, .. } => Some(&**provider_id),
                _ => None,
            })
            .collect()
    }

    /// Whether nothing more can happen to it but a late receipt.
    pub(crate) fn is_over(&self) -> bool {
        self.outbound.settled() || self.has(|e| matches!(e, Event::Settled { .. } | Event::Cancelled { .. }))
    }

    pub(crate) fn has(&self, which: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(which)
    }
}

fn about(event: &Event) -> Option<MessageNo> {
    match event {
        Event::Accepted(a) => Some(a.number),
        Event::LateReceipt(l) => Some(l.message),
        Event::Submitting { message, .. }
        | Event::Submitted { message, .. }
        | Event::Deferred { message, .. }
        | Event::PartFailed { message, .. }
        | Event::Expired { message }
        | Event::Cancelled { message }
        | Event::Settled { message }
        | Event::InDoubt { message, .. }
        | Event::DoubtSettled { message, .. }
        | Event::Queried { message, .. }
        | Event::Receipt { message, .. } => Some(*message),
        _ => None,
    }
}

/// The state of every message.
pub(crate) fn told(events: &[Stored], failures: &mut Vec<String>) -> BTreeMap<usize, Told> {
    let mut by_place: BTreeMap<(StreamId, MessageNo), usize> = BTreeMap::new();
    let mut all: BTreeMap<usize, Told> = BTreeMap::new();
    for stored in events {
        let Some(no) = about(&stored.event) else { continue };
        if let Event::Accepted(accepted) = &stored.event {
            let number: usize = accepted.id.as_str().trim_start_matches('m').parse().expect("an id");
            by_place.insert((stored.stream, no), number);
            let outbound = Outbound::new(accepted, stored.at);
            let (stream, accepted_at) = (stored.stream, stored.seq);
            let told = Told { number, stream, no, accepted_at, outbound, events: Vec::new() };
            if all.insert(number, told).is_some() {
                failures.push(format!("m{number} was accepted twice"));
            }
        }
        let Some(told) = by_place.get(&(stored.stream, no)).and_then(|n| all.get_mut(n)) else {
            failures.push(format!("an event about no message: {:?}", stored.event));
            continue;
        };
        told.outbound.apply(&stored.event, stored.at);
        told.events.push(stored.event.clone());
    }
    all
}
