//! Joins the parts of long inbound messages: a pure state machine for one pair of source and
//! destination. The caller keeps one [`Assembly`] for each pair, feeds it parts and instants, and
//! delivers the joined messages. No octet may be lost: an incomplete message is delivered with its
//! gaps marked.
//!
//! Some senders never change the reference, so a part alone does not tell a repetition from the
//! beginning of a new message ("Dear customer, ..."). A part that an open message lacks belongs to
//! that message (TS 23.040, 9.2.3.24.1). Any other part that equals one of a finished message is
//! held: if the whole turns out to be that message, it is a repetition and is never delivered; if
//! one part differs, it is a new message.
//!
//! Two messages of one length at the same time under one reference cannot be told apart: after the
//! first parts A1 and B1, a second part may be either's, or A's rest is lost. The newest beginning
//! gets it, as a lost rest is the more frequent. No part is lost.

use std::borrow::Cow;

use message::{
    Content, Timestamp,
    event::{Alphabet, Incomplete, PartReceived},
    snapshot::{AssemblyV1, FinishedV1, GroupV1, HeldPartV1},
};
use smallvec::SmallVec;

use crate::text::{incoming::decode, utf16};

/// Maximum number of unfinished messages of one pair; beyond it the oldest is delivered incomplete.
pub const OPEN_MAX: usize = 16;
/// Maximum number of octets held for one pair; beyond it the oldest message is delivered
/// incomplete.
pub const OPEN_OCTETS_MAX: usize = 1 << 20;
/// Number of finished messages remembered, so that repeated parts are recognised; the oldest are
/// forgotten.
pub const DONE_MAX: usize = 16;
/// Time for which finished messages are remembered, in milliseconds: as long as a server repeats a
/// deliver_sm whose reply it missed.
pub const DONE_MS_MAX: u64 = 10 * 60 * 1000;
/// Time for which a message that may have been completed by a repeated part waits for the part
/// itself, in milliseconds. A telephone sends one part every few seconds.
pub const SETTLE_MS: u64 = 10_000;
/// Default time for which parts wait for the others, in milliseconds; then the message is delivered
/// incomplete.
pub const HOLD_MS: u64 = 2 * 60 * 60 * 1000;
/// The mark in place of missing parts.
pub const MISSING: &str = "[…]";

/// The unfinished long messages from one source to one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembly {
    /// In the order of their first parts.
    open: Vec<Group>,
    /// In the order in which they finished.
    done: Vec<Done>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    reference: u16,
    total: u8,
    first_at: Timestamp,
    /// In ascending order of their numbers.
    parts: Vec<Held>,
    /// When a message that is complete, but perhaps with a repetition in place of its own part, is
    /// delivered.
    settles_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    number: u8,
    alphabet: Alphabet,
    octets: Box<[u8]>,
    /// Whether it may be a repetition: it equals a part of a finished message, and no other part of
    /// its own message had arrived.
    repeats: bool,
}

/// A finished message: its parts by number and fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Done {
    reference: u16,
    total: u8,
    at: Timestamp,
    prints: Vec<(u8, u64)>,
}

/// A joined message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The content, with [`MISSING`] in each gap.
    pub content: Content,
    /// The number of parts.
    pub total: u8,
    /// The numbers of the missing parts.
    pub missing: Vec<u8>,
    /// Whether some of it could not be read.
    pub lossy: bool,
    /// The arrival of its first part.
    pub first_at: Timestamp,
}

impl Joined {
    /// Returns how many parts arrived, when some are missing.
    pub fn incomplete(&self) -> Option<Incomplete> {
        let missing = u16::try_from(self.missing.len()).unwrap_or(u16::MAX);
        let total = u16::from(self.total);
        (missing > 0).then(|| Incomplete { arrived: total.saturating_sub(missing), total })
    }
}

/// The result of adding a part.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Added {
    /// Whether the part arrived before.
    pub repeated: bool,
    /// Whether the assembly changed, so that the part must be recorded.
    pub changed: bool,
    /// Messages that the part completed, or that made room for it.
    pub joined: SmallVec<[Joined; 1]>,
}

impl Assembly {
    /// Returns whether nothing is held or remembered, so that the assembly can be dropped.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.done.is_empty()
    }

    /// Adds a part.
    ///
    /// Parts belong together by reference *and* total. A part whose number is already present with
    /// other octets belongs to a later message under a reused reference: the older one is delivered
    /// incomplete.
    pub fn add(&mut self, part: PartReceived, now: Timestamp) -> Added {
        self.done.retain(|done| now.since_ms(done.at) < DONE_MS_MAX);
        let done = &self.done;
        self.open.retain(|group| {
            let is_known = |held: &Held| done.iter().any(|done| done.has(group, held));
            // The rest of a new message may still come when the finished one is forgotten.
            let may_go_on = !group.is_complete() && now.since_ms(group.first_at) < DONE_MS_MAX;
            !group.is_repetition() || may_go_on || group.parts.iter().all(is_known)
        });
        let mut added = Added { changed: true, ..Added::default() };
        if part.number == 0 || part.number > part.total || part.total < 2 {
            let (reference, alphabet, octets) = (part.reference, part.alphabet, part.octets);
            let parts = vec![Held { number: 1, alphabet, octets, repeats: false }];
            let group = Group { reference, total: 1, first_at: now, parts, settles_at: None };
            added.joined.push(group.joined());
            return added;
        }
        if let Some(at) = self.position(&part)
            && let Some(group) = self.open.get_mut(at)
            && group.has_equal(&part)
        {
            added.repeated = true;
            added.changed = group.confirm(part.number);
            if added.changed {
                self.complete(at, now, &mut added);
            }
            return added;
        }
        let at = self.place(&part, now, &mut added);
        let only_repeats = self.open.get(at).is_none_or(Group::all_repeat);
        let repeats = only_repeats && self.was_done(&part);
        // The message begins with its first part that is its own.
        let at = if only_repeats && !repeats { self.begin_now(at, now) } else { at };
        added.repeated = repeats;
        if let Some(group) = self.open.get_mut(at) {
            group.insert(part, repeats);
        }
        self.complete(at, now, &mut added);
        added
    }

    /// Delivers a message if all its parts are there and are its own.
    ///
    /// A part that equals one of a finished message and came before all others is its own if the
    /// new parts follow it in order. If one of them precedes it, it was rather a repetition, and
    /// the message's own part is about to come.
    fn complete(&mut self, at: usize, now: Timestamp, added: &mut Added) {
        let Some(group) = self.open.get_mut(at).filter(|group| group.is_complete()) else { return };
        let last_repetition = group.parts.iter().rev().find(|part| part.repeats).map(|part| part.number);
        let first_own = group.parts.iter().find(|part| !part.repeats).map(|part| part.number);
        let is_doubtful = match (last_repetition, first_own) {
            (None, _) => false,
            (Some(repetition), Some(own)) => repetition > own,
            (Some(_), None) => {
                let is_whole = |done: &Done| group.parts.iter().all(|part| done.has(group, part));
                if self.done.iter().any(is_whole) {
                    return;
                }
                true
            }
        };
        if is_doubtful {
            group.settles_at = Some(now.plus_ms(SETTLE_MS));
        } else {
            added.joined.extend(self.close(at, now));
        }
    }

    /// Returns the position of the message that a part belongs to, after making room for it.
    fn place(&mut self, part: &PartReceived, now: Timestamp, added: &mut Added) -> usize {
        let found = self.position(part);
        if let Some(group) = found.and_then(|at| self.open.get_mut(at))
            && let Some(held) = group.held(part.number)
        {
            if held.repeats {
                group.remove(part.number);
            } else {
                added.joined.extend(found.and_then(|at| self.close(at, now)));
            }
        }
        if self.position(part).is_none() && self.open.len() >= OPEN_MAX {
            self.make_room(now, added);
        }
        while !self.open.is_empty() && self.octets().saturating_add(part.octets.len()) > OPEN_OCTETS_MAX {
            self.make_room(now, added);
        }
        self.position(part).unwrap_or_else(|| self.begin(part, now))
    }

    /// Drops the oldest repetition, or delivers the oldest message incomplete.
    fn make_room(&mut self, now: Timestamp, added: &mut Added) {
        match self.open.iter().position(Group::is_repetition) {
            Some(at) => drop(self.open.remove(at)),
            None => added.joined.extend(self.close(0, now)),
        }
    }

    /// Removes the messages whose first part arrived `hold_ms` ago or earlier, and complete ones
    /// that waited long enough for a part of their own. [`Assembly::close_oldest`] removes the
    /// same, one at a time.
    pub fn overdue(&mut self, now: Timestamp, hold_ms: u64) -> Vec<Joined> {
        let mut joined = Vec::new();
        while self.next_due(hold_ms).is_some_and(|due| due <= now) {
            joined.extend(self.close_oldest(now));
        }
        joined
    }

    /// Returns the time at which [`Assembly::overdue`] will return something. Repetitions do not
    /// count: the next part drops them.
    pub fn next_due(&self, hold_ms: u64) -> Option<Timestamp> {
        let messages = self.open.iter().filter(|group| !group.is_repetition());
        messages.map(|group| group.settles_at.unwrap_or_else(|| group.first_at.plus_ms(hold_ms))).min()
    }

    /// Removes the unfinished message that is given up first, as replaying a delivery of an
    /// incomplete one requires. The choice does not depend on how long parts are held.
    pub fn close_oldest(&mut self, now: Timestamp) -> Option<Joined> {
        let settled = self.open.iter().position(|group| group.settles_at.is_some_and(|at| at <= now));
        let waits = |group: &Group| group.settles_at.is_none() && !group.is_repetition();
        let at = settled.or_else(|| self.open.iter().position(waits))?;
        self.close(at, now)
    }

    /// Returns the state in the snapshot format.
    pub fn to_snapshot(&self) -> AssemblyV1<'_> {
        AssemblyV1 {
            open: self.open.iter().map(GroupV1::from).collect(),
            done: self.done.iter().map(FinishedV1::from).collect(),
        }
    }

    /// Restores the state from the snapshot format.
    pub fn from_snapshot(v1: AssemblyV1<'_>) -> Self {
        Self {
            open: v1.open.into_iter().map(Group::from).collect(),
            done: v1.done.into_iter().map(Done::from).collect(),
        }
    }

    fn octets(&self) -> usize {
        self.open.iter().flat_map(|group| &group.parts).map(|part| part.octets.len()).sum()
    }

    fn position(&self, part: &PartReceived) -> Option<usize> {
        self.open.iter().position(|group| group.reference == part.reference && group.total == part.total)
    }

    fn begin(&mut self, part: &PartReceived, now: Timestamp) -> usize {
        // A clock that steps back must not put a younger group before an older one.
        let first_at = self.open.last().map_or(now, |last| last.first_at.max(now));
        self.open.push(Group {
            reference: part.reference,
            total: part.total,
            first_at,
            parts: Vec::with_capacity(usize::from(part.total)),
            settles_at: None,
        });
        self.open.len() - 1
    }

    /// Moves a message to the end, as if its first part had just arrived.
    fn begin_now(&mut self, at: usize, now: Timestamp) -> usize {
        if at >= self.open.len() {
            return at;
        }
        let mut group = self.open.remove(at);
        group.first_at = self.open.last().map_or(now, |last| last.first_at.max(now));
        self.open.push(group);
        self.open.len() - 1
    }

    fn close(&mut self, at: usize, now: Timestamp) -> Option<Joined> {
        if at >= self.open.len() {
            return None;
        }
        let group = self.open.remove(at);
        if self.done.len() >= DONE_MAX {
            self.done.remove(0);
        }
        let prints =
            group.parts.iter().map(|part| (part.number, print(part.alphabet, &part.octets))).collect();
        self.done.push(Done { reference: group.reference, total: group.total, at: now, prints });
        Some(group.joined())
    }

    fn was_done(&self, part: &PartReceived) -> bool {
        let print = (part.number, print(part.alphabet, &part.octets));
        self.done.iter().any(|done| {
            done.reference == part.reference && done.total == part.total && done.prints.contains(&print)
        })
    }
}

impl Done {
    /// Returns whether a part of an open message equals one of this message.
    fn has(&self, group: &Group, part: &Held) -> bool {
        let print = (part.number, print(part.alphabet, &part.octets));
        self.reference == group.reference && self.total == group.total && self.prints.contains(&print)
    }
}

impl<'a> From<&'a Group> for GroupV1<'a> {
    fn from(group: &'a Group) -> Self {
        let part = |held: &'a Held| HeldPartV1 {
            number: held.number,
            alphabet: held.alphabet,
            octets: Cow::Borrowed(&held.octets),
            repeats: held.repeats,
        };
        Self {
            reference: group.reference,
            total: group.total,
            first_at: group.first_at,
            parts: group.parts.iter().map(part).collect(),
            settles_at: group.settles_at,
        }
    }
}

impl From<GroupV1<'_>> for Group {
    fn from(v1: GroupV1<'_>) -> Self {
        let held = |part: HeldPartV1<'_>| Held {
            number: part.number,
            alphabet: part.alphabet,
            octets: part.octets.into_owned().into(),
            repeats: part.repeats,
        };
        Self {
            reference: v1.reference,
            total: v1.total,
            first_at: v1.first_at,
            parts: v1.parts.into_iter().map(held).collect(),
            settles_at: v1.settles_at,
        }
    }
}

impl<'a> From<&'a Done> for FinishedV1<'a> {
    fn from(done: &'a Done) -> Self {
        Self {
            reference: done.reference,
            total: done.total,
            at: done.at,
            prints: Cow::Borrowed(&done.prints),
        }
    }
}

impl From<FinishedV1<'_>> for Done {
    fn from(v1: FinishedV1<'_>) -> Self {
        Self { reference: v1.reference, total: v1.total, at: v1.at, prints: v1.prints.into_owned() }
    }
}

/// FNV-1a over the octets, to distinguish a repeated part from a new one.
fn print(alphabet: Alphabet, octets: &[u8]) -> u64 {
    let kind = if alphabet == Alphabet::Ucs2 { 1 } else { 0 };
    std::iter::once(kind)
        .chain(octets.iter().copied())
        .fold(0xCBF2_9CE4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3))
}

impl Group {
    fn held(&self, number: u8) -> Option<&Held> {
        self.parts.iter().find(|part| part.number == number)
    }

    /// Returns whether each part that arrived may be a repetition.
    fn all_repeat(&self) -> bool {
        self.parts.iter().all(|part| part.repeats)
    }

    /// Returns whether the known parts repeat a finished message; then it is never delivered.
    fn is_repetition(&self) -> bool {
        self.settles_at.is_none() && self.all_repeat()
    }

    fn is_complete(&self) -> bool {
        self.parts.len() == usize::from(self.total)
    }

    fn has_equal(&self, part: &PartReceived) -> bool {
        let held = self.held(part.number);
        held.is_some_and(|held| held.octets == part.octets && held.alphabet == part.alphabet)
    }

    /// Notes that a part came once more, after others of its own message: it is not a repetition of
    /// a finished one. Returns whether that was unknown.
    fn confirm(&mut self, number: u8) -> bool {
        if self.all_repeat() {
            return false;
        }
        let held = self.parts.iter_mut().find(|part| part.number == number && part.repeats);
        held.map(|held| held.repeats = false).is_some()
    }

    /// Removes a part that was a repetition, since another one came in its place. With it go the
    /// parts behind it where the message seemed complete: its own are still to come.
    fn remove(&mut self, number: u8) {
        let is_complete = self.is_complete();
        self.parts
            .retain(|part| part.number != number && !(is_complete && part.number > number && part.repeats));
        self.settles_at = None;
    }

    fn insert(&mut self, part: PartReceived, repeats: bool) {
        let PartReceived { number, alphabet, octets, .. } = part;
        let at = self.parts.partition_point(|held| held.number < number);
        self.parts.insert(at, Held { number, alphabet, octets, repeats });
    }

    fn joined(self) -> Joined {
        let missing = (1..=self.total).filter(|number| self.held(*number).is_none()).collect();
        let (content, lossy) = if self.parts.iter().all(|part| part.alphabet == Alphabet::Binary) {
            let octets: Vec<u8> = self.parts.iter().flat_map(|part| part.octets.iter().copied()).collect();
            (Content::Binary(octets.into()), false)
        } else {
            let (text, lossy) = self.text();
            (Content::Text(text.into()), lossy)
        };
        Joined { content, total: self.total, missing, lossy, first_at: self.first_at }
    }

    /// Neighbours of one alphabet are decoded together, since a character may be cut between them.
    /// The first part's byte order holds for all.
    fn text(&self) -> (String, bool) {
        let first = self.parts.first().filter(|part| part.alphabet == Alphabet::Ucs2);
        let mark = first.and_then(|part| utf16::mark(&part.octets));
        let (mut text, mut lossy) = (String::new(), false);
        let mut expected = 1_u16;
        let together =
            |a: &Held, b: &Held| a.alphabet == b.alphabet && a.number.checked_add(1) == Some(b.number);
        for run in self.parts.chunk_by(together) {
            let Some((first, last)) = run.first().zip(run.last()) else { continue };
            if u16::from(first.number) > expected {
                text.push_str(MISSING);
            }
            let octets: Vec<&[u8]> = run.iter().map(|part| &*part.octets).collect();
            let octets = match first.alphabet {
                Alphabet::Ucs2 => utf16::join(&octets, mark),
                _ => octets.concat(),
            };
            let (decoded, damaged) = decode(first.alphabet, &octets);
            text.push_str(&decoded);
            lossy |= damaged;
            expected = u16::from(last.number) + 1;
        }
        if expected <= u16::from(self.total) {
            text.push_str(MISSING);
        }
        (text, lossy)
    }
}

/// Returns the content of a message in one part, and whether some of it could not be read.
pub fn whole(alphabet: Alphabet, octets: &[u8]) -> (Content, bool) {
    if alphabet == Alphabet::Binary {
        return (Content::Binary(octets.into()), false);
    }
    let (text, lossy) = decode(alphabet, octets);
    (Content::Text(text.into()), lossy)
}
