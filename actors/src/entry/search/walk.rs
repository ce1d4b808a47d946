//! Reads the log backwards for events that a search wants: all of it, or some streams. Each walk
//! ends when it has enough, or when it has looked at as much as one request may.

use message::{Event, MessageNo, Seq, StreamId, Timestamp, event::Received};
use storage::{ReadError, Stored};

use super::filter::Trigger;
use crate::{
    context::Context, domain::subject::message_of, history::reader::LogReader, view::messages::MessageQuery,
};

/// Maximum number of events that one request looks at.
const EVENTS_MAX: u32 = 1_000_000;
/// Maximum time for which one request looks, in milliseconds.
const SEARCH_MS_MAX: u64 = 1_000;
/// Number of events between two looks at the clock.
const EVENTS_A_LOOK: u32 = 256;
/// How much earlier an event may be recorded than one before it, in milliseconds.
const OVERLAP_MS: u64 = 60_000;

/// The events and the time that one request has left.
pub(super) struct Budget {
    events: u32,
    until_ms: u64,
    is_over: bool,
}

impl Budget {
    pub(super) fn new(context: &Context) -> Self {
        let until_ms = context.monotonic_ms().saturating_add(SEARCH_MS_MAX);
        Self { events: EVENTS_MAX, until_ms, is_over: false }
    }

    /// Counts one event. Returns whether it was the last that may be looked at.
    fn spend(&mut self, context: &Context) -> bool {
        self.events = self.events.saturating_sub(1);
        if self.events.is_multiple_of(EVENTS_A_LOOK) {
            self.look(context);
        }
        self.is_over
    }

    /// Looks at the clock.
    pub(super) fn look(&mut self, context: &Context) {
        self.is_over |= self.events == 0 || context.monotonic_ms() >= self.until_ms;
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

/// An event that may lead to a wanted message.
pub(super) struct Candidate {
    pub(super) seq: Seq,
    pub(super) at: Timestamp,
    pub(super) stream: StreamId,
    pub(super) subject: CandidateSubject,
}

/// The message that a candidate is about.
pub(super) enum CandidateSubject {
    /// A message of the business.
    Sent(MessageNo),
    /// A customer's message, and the opening of its session.
    Written(Box<Received>, Seq),
}

fn candidate(query: &MessageQuery, trigger: Trigger, stored: Stored) -> Option<Candidate> {
    let is_early = query.from.is_some_and(|from| stored.at < from);
    let is_late = query.to.is_some_and(|to| stored.at > to);
    if is_early || is_late || !trigger.hits(query, &stored.event) {
        return None;
    }
    let Stored { seq, at, stream, about, event, .. } = stored;
    let subject = match (message_of(&event), event) {
        (_, Event::Received(received)) => CandidateSubject::Written(received, about),
        (Some(number), _) => CandidateSubject::Sent(number),
        (None, _) => return None,
    };
    Some(Candidate { seq, at, stream, subject })
}

/// Whether everything from this event back is earlier than what is wanted.
fn is_past(query: &MessageQuery, at: Timestamp) -> bool {
    query.from.is_some_and(|from| at.plus_ms(OVERLAP_MS) < from)
}

/// The result of a walk.
pub(super) struct Walked {
    pub(super) candidates: Vec<Candidate>,
    /// The time of the last event that was looked at.
    pub(super) back_to: Option<Timestamp>,
    /// Where it ended before the end was reached; for each stream, if it walked along streams.
    pub(super) ends: Vec<(StreamId, Seq)>,
}

/// Returns the event with which a search through the whole log begins.
pub(super) fn beginning(reader: &LogReader, query: &MessageQuery) -> Result<Seq, ReadError> {
    match query.to {
        Some(to) => reader.upto(to.plus_ms(OVERLAP_MS)),
        None => Ok(reader.committed()),
    }
}

/// Walks through the whole log from an event on backwards, for at most `most` candidates.
pub(super) fn through_log(
    context: &Context,
    (query, trigger): (&MessageQuery, Trigger),
    from: Seq,
    most: usize,
    budget: &mut Budget,
) -> Result<Walked, ReadError> {
    let mut walked = Walked { candidates: Vec::new(), back_to: None, ends: Vec::new() };
    let mut next = from;
    for stored in context.reader.backwards(from) {
        let stored = match stored {
            Ok(stored) => stored,
            // What was found is shown; the next page tells of the damage.
            Err(_) if !walked.candidates.is_empty() => break,
            Err(error) => return Err(error),
        };
        walked.back_to = Some(stored.at);
        next = Seq(stored.seq.0.saturating_sub(1));
        if is_past(query, stored.at) {
            next = Seq::NONE;
            break;
        }
        walked.candidates.extend(candidate(query, trigger, stored));
        if walked.candidates.len() >= most || budget.spend(context) {
            break;
        }
        if next == Seq::NONE {
            break;
        }
    }
    let is_removed = context.reader.event(next)?.is_none();
    if next != Seq::NONE && !is_removed {
        walked.ends.push((StreamId(0), next));
    }
    Ok(walked)
}

/// One stream on the way back.
struct StreamWalk {
    stream: StreamId,
    /// The event to look at next.
    next: Seq,
    /// A candidate that was found there, and is not taken yet.
    found: Option<Candidate>,
}

impl StreamWalk {
    /// Goes back to the next candidate.
    fn go(
        &mut self,
        context: &Context,
        (query, trigger): (&MessageQuery, Trigger),
        back_to: &mut Option<Timestamp>,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        while self.found.is_none() && self.next != Seq::NONE && !budget.is_over() {
            let Some(stored) = context.reader.event(self.next)? else {
                self.next = Seq::NONE;
                break;
            };
            // A damaged link must not make it walk in circles.
            let prev = if stored.prev < stored.seq { stored.prev } else { Seq::NONE };
            *back_to = Some(back_to.map_or(stored.at, |known| known.min(stored.at)));
            self.next = if is_past(query, stored.at) { Seq::NONE } else { prev };
            self.found = candidate(query, trigger, stored);
            budget.spend(context);
        }
        Ok(())
    }

    /// The event from which on it must be walked again.
    fn place(&self) -> Seq {
        self.found.as_ref().map_or(self.next, |found| found.seq)
    }
}

/// Walks along streams from these events on backwards, for at most `most` candidates, the newest
/// first.
pub(super) fn along_streams(
    context: &Context,
    wanted: (&MessageQuery, Trigger),
    from: &[(StreamId, Seq)],
    most: usize,
    budget: &mut Budget,
) -> Result<Walked, ReadError> {
    let mut walked = Walked { candidates: Vec::new(), back_to: None, ends: Vec::new() };
    let mut walks: Vec<StreamWalk> =
        from.iter().map(|(stream, seq)| StreamWalk { stream: *stream, next: *seq, found: None }).collect();
    while walked.candidates.len() < most {
        for walk in &mut walks {
            walk.go(context, wanted, &mut walked.back_to, budget)?;
        }
        // One that ended too soon may have a newer candidate than the others.
        let newest = walks.iter_mut().max_by_key(|walk| walk.place());
        match newest.and_then(|walk| walk.found.take()) {
            Some(found) => walked.candidates.push(found),
            None => break,
        }
    }
    let left = walks.iter().filter(|walk| walk.place() != Seq::NONE);
    walked.ends = left.map(|walk| (walk.stream, walk.place())).collect();
    Ok(walked)
}
