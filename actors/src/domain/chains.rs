//! The places of a stream's events in the log: the newest event of each unsettled message, and the
//! opening of the newest session. Each event names the one before it about the same message, so a
//! look at a message costs its own events, however long the session. Pure.

use std::collections::VecDeque;

use message::{Event, MessageNo, Seq, snapshot::ChainsV1};
use smallvec::SmallVec;
use storage::{Prev, invariant};

use crate::domain::{session::CarriedPiece, subject::message_of};

/// The place of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Its number in the log.
    At(Seq),
    /// Its index in the batch in progress, which has no numbers yet.
    InBatch(u32),
}

impl From<Position> for Prev {
    fn from(position: Position) -> Self {
        match position {
            Position::At(seq) => Self::At(seq),
            Position::InBatch(index) => Self::Earlier(index),
        }
    }
}

/// The places of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chains {
    opening: Position,
    /// In the order of the messages: most come at the end and leave near the front.
    heads: VecDeque<(MessageNo, Position)>,
    /// Subjects that the batch in progress changed; `None` stands for the opening.
    in_batch: SmallVec<[Option<MessageNo>; 4]>,
}

impl Default for Chains {
    fn default() -> Self {
        Self { opening: Position::At(Seq::NONE), heads: VecDeque::new(), in_batch: SmallVec::new() }
    }
}

impl Chains {
    /// Returns the newest event of a message that is not settled.
    pub(crate) fn head(&self, number: MessageNo) -> Option<Position> {
        Some(self.heads.get(self.place(number).ok()?)?.1)
    }

    /// Returns the index of a message among the heads; `Err`: the index at which to insert it.
    fn place(&self, number: MessageNo) -> Result<usize, usize> {
        self.heads.binary_search_by_key(&number, |(number, _)| *number)
    }

    fn head_mut(&mut self, number: MessageNo) -> Option<&mut Position> {
        let at = self.place(number).ok()?;
        self.heads.get_mut(at).map(|(_, position)| position)
    }

    /// Returns the event before one that is recorded now, about the same message. The first event
    /// of a message, and one about none, lead to the opening of the newest session; an opening
    /// leads to the opening before it.
    pub(crate) fn before(&self, event: &Event) -> Position {
        let begins = matches!(event, Event::Accepted(_) | Event::Carried { .. });
        let head = message_of(event).filter(|_| !begins).and_then(|number| self.head(number));
        head.unwrap_or(self.opening)
    }

    /// Notes where an event was recorded. `is_open`: its message, if it has one, is not settled.
    pub(crate) fn advance(&mut self, event: &Event, position: Position, is_open: bool) {
        let subject = match (opens(event), message_of(event)) {
            (true, _) => None,
            (false, Some(number)) => Some(number),
            (false, None) => return,
        };
        match subject {
            None => self.opening = position,
            Some(number) => match self.place(number) {
                Ok(at) if is_open => {
                    if let Some((_, head)) = self.heads.get_mut(at) {
                        *head = position;
                    }
                }
                Ok(at) => _ = self.heads.remove(at),
                Err(at) if is_open => self.heads.insert(at, (number, position)),
                Err(_) => {}
            },
        }
        if let Position::InBatch(index) = position {
            // Each of them changed one subject.
            let before = self.in_batch.len();
            invariant!(before <= index as usize, "{before} subjects before item {index}");
            self.in_batch.push(subject);
        }
    }

    /// Gives the events of the batch in progress their numbers; its first has the number `first`.
    pub(crate) fn resolve(&mut self, first: Seq) {
        for subject in std::mem::take(&mut self.in_batch) {
            let position = match subject {
                None => Some(&mut self.opening),
                Some(number) => self.head_mut(number),
            };
            if let Some(position) = position
                && let Position::InBatch(index) = *position
            {
                *position = Position::At(Seq(first.0.saturating_add(u64::from(index))));
            }
        }
        let opening = self.opening;
        invariant!(matches!(opening, Position::At(_)), "the opening is still {opening:?}");
    }

    /// Returns the state in the snapshot format. No batch may be in progress.
    pub(crate) fn to_snapshot(&self) -> ChainsV1 {
        let at = |position: Position| match position {
            Position::At(seq) => seq,
            Position::InBatch(_) => Seq::NONE,
        };
        let heads = self.heads.iter().map(|(number, position)| (*number, at(*position)));
        ChainsV1 { opening: at(self.opening), heads: heads.collect() }
    }
}

impl From<ChainsV1> for Chains {
    fn from(v1: ChainsV1) -> Self {
        let heads = v1.heads.into_iter().map(|(number, seq)| (number, Position::At(seq)));
        Self { opening: Position::At(v1.opening), heads: heads.collect(), in_batch: SmallVec::new() }
    }
}

/// Whether an event is an opening: it names the address, and the state of the stream is known from
/// it on.
pub(crate) fn opens(event: &Event) -> bool {
    match event {
        Event::SessionOpened(_) | Event::Revived(_) => true,
        Event::Carried { message: None, snapshot } => CarriedPiece::of(snapshot) == CarriedPiece::First,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use message::event::CloseReason;

    use super::*;

    fn about(number: u32) -> Event {
        Event::Queried { message: MessageNo(number), part: 0 }
    }

    #[test]
    fn each_event_leads_to_the_one_before_about_its_message() {
        let mut chains = Chains::from(ChainsV1 { opening: Seq(5), heads: vec![(MessageNo(1), Seq(6))] });
        let close = Event::SessionClosed { reason: CloseReason::Business };
        assert_eq!(chains.before(&about(1)), Position::At(Seq(6)));
        assert_eq!(chains.before(&about(2)), Position::At(Seq(5)), "the opening");
        assert_eq!(chains.before(&close), Position::At(Seq(5)));
        chains.advance(&about(1), Position::InBatch(0), true);
        chains.advance(&about(2), Position::InBatch(1), true);
        chains.advance(&close, Position::InBatch(2), false);
        assert_eq!(chains.before(&about(1)), Position::InBatch(0));
        chains.resolve(Seq(40));
        assert_eq!(chains.before(&about(2)), Position::At(Seq(41)));
        chains.advance(&about(1), Position::At(Seq(50)), false);
        assert_eq!(chains.before(&about(1)), Position::At(Seq(5)), "a settled message is not known");
        assert_eq!(chains.to_snapshot().heads, [(MessageNo(2), Seq(41))]);
    }
}
