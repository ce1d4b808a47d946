//! The check of every file of a log that is not open. It reads all of them and repairs nothing.

use std::fmt;

use message::Seq;

use crate::{
    block::format::Block,
    disk::seam::{BlockStore, Engine},
    error::{BadBlock, BlockFault, EngineError, OpenError},
    index,
    log::{
        open::segment_names,
        segment::for_each_block,
        segment_list::{self, StoredList},
    },
    lookup::{
        facts::Facts,
        file::{self, WHOLE, part_name},
    },
};

/// The result of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Segments read.
    pub segments: usize,
    /// Sound blocks.
    pub blocks: u64,
    /// Events in them, each of them decoded.
    pub events: u64,
    /// Bytes of the sound blocks.
    pub block_bytes: u64,
    /// Every block that is not sound.
    pub bad: Vec<BadBlock>,
    /// Segments that are missing between others.
    pub gaps: Vec<Gap>,
    /// Every file, but for single blocks, that is damaged, cut short or missing.
    pub files: Vec<DamagedFile>,
}

impl Report {
    /// Whether nothing is damaged or missing.
    pub fn is_sound(&self) -> bool {
        self.bad.is_empty() && self.gaps.is_empty() && self.files.is_empty()
    }

    /// Whether something must be restored from a backup.
    pub fn needs_backup(&self) -> bool {
        let is_lost = |file: &DamagedFile| file.remedy == Remedy::RestoreBackup;
        !self.bad.is_empty() || !self.gaps.is_empty() || self.files.iter().any(is_lost)
    }

    fn add(&mut self, damage: EngineError, remedy: Remedy) {
        let (file, offset, what) = match damage {
            EngineError::Damaged { file, offset, what } => (file, offset, what),
            EngineError::Failed { what, reason } => (what, 0, reason),
            EngineError::InUse(file) => (file, 0, "it is in use".into()),
            other => (String::new(), 0, other.to_string()),
        };
        self.files.push(DamagedFile { file, offset, what, remedy });
    }
}

/// Events that are missing before a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last event before the gap.
    pub after: Seq,
    /// The folder behind the gap.
    pub folder: String,
}

/// A file that does not hold what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedFile {
    /// The file, below the folder of the log.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
    /// A description of the damage.
    pub what: String,
    /// The action to take.
    pub remedy: Remedy,
}

impl fmt::Display for DamagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, what, remedy } = self;
        write!(f, "{file}, byte {offset}: {what}; {remedy}")
    }
}

/// The action to take about a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: the log rebuilds it from the blocks.
    Rebuilt,
    /// It cannot be rebuilt.
    RestoreBackup,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rebuilt => "nothing to do, the log rebuilds it from the blocks",
            Self::RestoreBackup => "restore the folder from a backup",
        })
    }
}

/// Reads every file of a log and decodes every event. An engine is held by one process at a time,
/// so this is for a log that is not running.
pub fn verify(engine: &dyn Engine) -> Result<Report, OpenError> {
    let mut report = Report::default();
    let names = segment_names(engine)?;
    let committed = check_list(engine, &names, &mut report)?;
    let mut end: Option<Seq> = None;
    for (first, name) in &names {
        if let Some(end) = end.filter(|end| end != first) {
            report.gaps.push(Gap { after: Seq(end.0.saturating_sub(1)), folder: name.clone() });
        }
        let is_newest = names.last().is_some_and(|(newest, _)| newest == first);
        end = Some(check_segment(engine, (*first, is_newest), name, &mut report)?);
        report.segments += 1;
    }
    if let (Some(end), Some((_, newest))) = (end.filter(|end| *end <= committed), names.last()) {
        let what =
            format!("it ends before event {end}, but event {committed} was written: it is an older copy");
        report.add(EngineError::damaged(newest, 0, what), Remedy::RestoreBackup);
    }
    check_index(engine, names.first().map_or(Seq(1), |(first, _)| *first), &mut report)?;
    Ok(report)
}

/// Checks the list of segments, and returns an event that it knows to have been flushed.
fn check_list(engine: &dyn Engine, names: &[(Seq, String)], report: &mut Report) -> Result<Seq, EngineError> {
    match segment_list::read(engine)? {
        StoredList::Missing if names.is_empty() => {}
        StoredList::Missing => {
            report.add(EngineError::damaged(segment_list::FILE, 0, "it is missing"), Remedy::Rebuilt);
        }
        StoredList::Damaged(damage) => report.add(damage, Remedy::Rebuilt),
        StoredList::Listed(listed) => {
            if let Some(segment) = segment_list::missing(&listed.firsts, names) {
                report.add(EngineError::damaged(segment, 0, "the folder is missing"), Remedy::RestoreBackup);
            }
            return Ok(listed.committed);
        }
    }
    Ok(Seq::NONE)
}

/// Checks a segment and returns where the next one should begin.
fn check_segment(
    engine: &dyn Engine,
    (first, is_newest): (Seq, bool),
    name: &str,
    report: &mut Report,
) -> Result<Seq, OpenError> {
    let sealed = check_look_ups(engine, first, name, report);
    if sealed.is_none() && !is_newest && engine.open_file(name, WHOLE)?.is_none() {
        report.add(EngineError::damaged(format!("{name}/{WHOLE}"), 0, "it is missing"), Remedy::Rebuilt);
    }
    if let Some(sealed) = sealed {
        let bytes = engine.block_file_bytes(name)?;
        if bytes < sealed.file_bytes {
            let what = format!("the blocks were cut short, {} bytes were sealed", sealed.file_bytes);
            report.add(EngineError::damaged(name, bytes, what), Remedy::RestoreBackup);
        }
    }
    let store = match engine.open_blocks(name) {
        Ok(store) => store,
        Err(damage @ EngineError::Damaged { .. }) => {
            report.add(damage, Remedy::RestoreBackup);
            return Ok(sealed.map_or(first, |facts| facts.end()));
        }
        Err(e) => return Err(e.into()),
    };
    for finding in store.damaged_files() {
        report.add(finding, Remedy::Rebuilt);
    }
    let end = check_blocks(&*store, first, name, report);
    Ok(end.max(sealed.map_or(first, |facts| facts.end())))
}

/// Checks the blocks of a segment and returns the event behind the last.
fn check_blocks(store: &dyn BlockStore, first: Seq, name: &str, report: &mut Report) -> Seq {
    let mut next = first;
    let read = for_each_block(store, Seq::NONE, first, |pairing| {
        match sound(pairing.key, pairing.bytes, pairing.expected) {
            Ok(block) => {
                report.blocks += 1;
                report.events += u64::from(block.count);
                report.block_bytes += pairing.bytes.len() as u64;
                next = block.end();
            }
            Err(fault) => {
                next = Block::parse(pairing.key, pairing.bytes).map_or(pairing.expected, |b| b.end());
                report.bad.push(BadBlock { segment: name.to_owned(), block: pairing.key, fault });
            }
        }
        Ok::<_, EngineError>(next)
    });
    if let Err(damage) = read {
        report.add(damage, Remedy::RestoreBackup);
    }
    let tail = store.tail();
    let lost = tail.flushed.filter(|flushed| *flushed >= next);
    let lost = lost.map(|flushed| BlockFault::Lost { flushed });
    if let Some(fault) = lost.or(tail.torn_bytes.map(|have| BlockFault::Torn { have })) {
        report.bad.push(BadBlock { segment: name.to_owned(), block: next, fault });
    }
    next
}

/// Checks the look-up files of a segment, and returns the facts of a sealed one.
fn check_look_ups(engine: &dyn Engine, first: Seq, name: &str, report: &mut Report) -> Option<Facts> {
    let mut check = |file: &str| match file::check(engine, name, file) {
        Ok(facts) => facts,
        Err(damage) => {
            report.add(damage, Remedy::Rebuilt);
            None
        }
    };
    let sealed = check(WHOLE);
    let mut next = first;
    while let Some(facts) = check(&part_name(next)).filter(|facts| facts.last >= next) {
        next = facts.end();
    }
    sealed
}

fn check_index(engine: &dyn Engine, begin: Seq, report: &mut Report) -> Result<(), EngineError> {
    let missing = || EngineError::damaged(index::store::NAME, 0, "it is missing");
    if !engine.names()?.iter().any(|name| name == index::store::NAME) {
        // Retention needs a checkpoint, and so an index.
        if begin > Seq(1) {
            report.add(missing(), Remedy::Rebuilt);
        }
        return Ok(());
    }
    match engine.open_index(index::store::NAME) {
        Ok(store) => store.check().into_iter().for_each(|damage| report.add(damage, Remedy::Rebuilt)),
        Err(damage) => report.add(damage, Remedy::Rebuilt),
    }
    Ok(())
}

fn sound(key: Seq, bytes: &[u8], expected: Seq) -> Result<Block<'_>, BlockFault> {
    let block = Block::parse(key, bytes)?;
    for record in block.records() {
        record?.decode()?;
    }
    if block.first == expected { Ok(block) } else { Err(BlockFault::Gap { wanted: expected }) }
}
