//! Look-ups of a segment on their way to the disk: part by part while it is written to, all in one file when it is full.
//! At any moment each key is found, and a crash leaves either a part's file or the blocks to read it from.

use std::sync::{Arc, PoisonError};

use message::Seq;

use crate::{
    disk::seam::Engine,
    error::EngineError,
    log::segment::Segment,
    lookup::{
        file::{self, Sealed, piece_name},
        memtable::Fresh,
        parts::{Lookup, Parts},
        writer::{self, Source},
    },
};

/// Small parts of which so many follow each other become one.
const SMALL_MAX: usize = 8;

/// The keys of a part of which every event is on the disk.
fn source(fresh: &Fresh) -> (Source, u64) {
    while !fresh.is_complete() {
        // An append has its numbers and is about to insert its keys.
        std::thread::yield_now();
    }
    let sorted = fresh.sorted();
    let entries = sorted.len() as u64;
    (Source::Memory(sorted.into_iter()), entries)
}

fn files(engine: &dyn Engine, pieces: &[Arc<Sealed>]) -> Result<(Vec<Source>, u64), EngineError> {
    let walks = pieces.iter().map(|piece| Ok(Source::File(piece.walk(engine)?)));
    Ok((walks.collect::<Result<_, EngineError>>()?, pieces.iter().map(|piece| piece.len()).sum()))
}

impl Segment {
    /// Ends the part that grows; what is appended from `next` on goes to another.
    pub(crate) fn begin_part(&self, next: Seq) -> Arc<Fresh> {
        let fresh = Arc::new(Fresh::new(next));
        self.change(|lookup| match lookup {
            Lookup::Open(parts) => Arc::make_mut(parts).fresh.push(fresh.clone()),
            // Nothing is appended to it any more.
            Lookup::Sealed(_) => {}
        });
        fresh
    }

    /// The oldest part that is in memory and does not grow any more, and where the next begins.
    fn ended_part(&self) -> Option<(Arc<Fresh>, Seq)> {
        self.look(|lookup| match lookup {
            Lookup::Open(parts) => Some((parts.fresh.first()?.clone(), parts.fresh.get(1)?.first)),
            Lookup::Sealed(_) => None,
        })
    }

    /// Writes the parts down that do not grow any more, as far as every event up to `committed` goes, and merges small
    /// ones: those of less than `small_bytes`. It waits for no flush, since the writer may wait for who seals.
    pub(crate) fn seal_parts(
        &self,
        engine: &dyn Engine,
        small_bytes: u64,
        committed: Seq,
    ) -> Result<(), EngineError> {
        let _alone = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((fresh, next)) = self.ended_part()
            && next.0 <= committed.0.saturating_add(1)
        {
            self.seal_part(engine, &fresh)?;
            self.merge_small(engine, small_bytes)?;
        }
        Ok(())
    }

    fn seal_part(&self, engine: &dyn Engine, fresh: &Fresh) -> Result<(), EngineError> {
        let (keys, entries) = source(fresh);
        self.pinned_or_open(engine)?.settle()?;
        let file = piece_name(fresh.first);
        let piece = writer::write(engine, &self.name, &file, fresh.facts(), (vec![keys], entries))?;
        let piece = Arc::new(piece.held(engine)?);
        self.change(|lookup| {
            if let Lookup::Open(parts) = lookup {
                let parts = Arc::make_mut(parts);
                parts.pieces.push(piece);
                parts.fresh.remove(0);
            }
        });
        Ok(())
    }

    /// Makes one of the small pieces at the end when there are many. It takes the name of the first of them; those that
    /// follow do not count from then on, whether a crash leaves them there or not.
    fn merge_small(&self, engine: &dyn Engine, small_bytes: u64) -> Result<(), EngineError> {
        let Lookup::Open(parts) = self.lookup() else { return Ok(()) };
        let pieces = &parts.pieces;
        let is_small = |piece: &&Arc<Sealed>| piece.facts.block_bytes < small_bytes;
        let small = pieces.iter().rev().take_while(is_small).count();
        let kept = pieces.len().saturating_sub(small);
        let small = pieces.get(kept..).unwrap_or_default();
        let Some((first, others)) = small.split_first().filter(|_| small.len() >= SMALL_MAX) else {
            return Ok(());
        };
        let facts = others.iter().fold(first.facts, |facts, piece| facts.join(piece.facts));
        let file = piece_name(facts.first);
        let merged = writer::write(engine, &self.name, &file, facts, files(engine, small)?)?;
        let merged = Arc::new(merged.held(engine)?);
        self.change(|lookup| {
            if let Lookup::Open(parts) = lookup {
                let parts = Arc::make_mut(parts);
                parts.pieces.truncate(kept);
                parts.pieces.push(merged);
            }
        });
        others.iter().try_for_each(|piece| engine.remove_file(&self.name, &piece_name(piece.facts.first)))
    }

    /// Writes all look-ups down in one file, and closes the segment. Nothing is appended to it any more, and all of it
    /// is on the disk.
    pub(crate) fn seal(&self, engine: &dyn Engine) -> Result<(), EngineError> {
        let _alone = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let Lookup::Open(parts) = self.lookup() else { return Ok(()) };
        let Parts { pieces, fresh } = &*parts;
        let (mut sources, mut entries) = files(engine, pieces)?;
        for fresh in fresh {
            let (keys, count) = source(fresh);
            sources.push(keys);
            entries = entries.saturating_add(count);
        }
        self.pinned_or_open(engine)?.seal()?;
        let sealed = writer::write(engine, &self.name, file::FILE, self.facts(), (sources, entries))?;
        self.change(|lookup| *lookup = Lookup::Sealed(Arc::new(sealed)));
        self.close();
        pieces.iter().try_for_each(|piece| engine.remove_file(&self.name, &piece_name(piece.facts.first)))
    }
}
