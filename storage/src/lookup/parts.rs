//! The look-ups of one segment and how they get to the disk: part by part while it is written to, all in one file when
//! it is full. At any moment each key is found, and a crash leaves either a part's file or the blocks to read it from.

use std::sync::Arc;

use message::Seq;

use crate::{
    disk::seam::Engine,
    error::EngineError,
    item::Found,
    lookup::file::{Facts, Sealed},
    lookup::memtable::Fresh,
};

/// The look-ups of a segment that is written to, the oldest first.
#[derive(Clone)]
pub(crate) struct Parts {
    /// On the disk.
    pub(crate) pieces: Vec<Arc<Sealed>>,
    /// In memory, after those; only the last grows.
    pub(crate) fresh: Vec<Arc<Fresh>>,
}

/// The look-ups of a segment.
#[derive(Clone)]
pub(crate) enum Lookup {
    Open(Arc<Parts>),
    Sealed(Arc<Sealed>),
}

impl Lookup {
    pub(crate) fn facts(&self, first: Seq) -> Facts {
        match self {
            Self::Open(parts) => {
                let Parts { pieces, fresh } = &**parts;
                let pieces = pieces.iter().map(|piece| piece.facts);
                let all = pieces.chain(fresh.iter().map(|fresh| fresh.facts()));
                all.fold(Facts::none(first), Facts::join)
            }
            Self::Sealed(sealed) => sealed.facts,
        }
    }

    /// What was remembered under a key, the newest first.
    pub(crate) fn find(&self, engine: &dyn Engine, hash: u128) -> Result<Option<Found>, EngineError> {
        let Parts { pieces, fresh } = match self {
            Self::Open(parts) => &**parts,
            Self::Sealed(sealed) => return sealed.find(engine, hash),
        };
        if let Some(found) = fresh.iter().rev().find_map(|fresh| fresh.find(hash)) {
            return Ok(Some(found));
        }
        for piece in pieces.iter().rev() {
            if let Some(found) = piece.find(engine, hash)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// All files, the newest first.
    pub(crate) fn files(&mut self) -> impl Iterator<Item = &mut Arc<Sealed>> {
        let (pieces, whole) = match self {
            Self::Open(parts) => (Arc::make_mut(parts).pieces.as_mut_slice(), None),
            Self::Sealed(sealed) => (Default::default(), Some(sealed)),
        };
        whole.into_iter().chain(pieces.iter_mut().rev())
    }
}
