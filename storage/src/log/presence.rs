//! Checks at the start that everything is there that was: that nothing is missing before the first
//! segment but what retention removed, that sealed segments begin and end where they did, and that
//! the newest segment is not an older copy. Absence is told, never assumed.

use message::{Seq, address};

use crate::{
    disk::seam::Engine,
    error::OpenError,
    log::{segment::Chain, segment_list::StoredList},
    lookup::facts::Facts,
};

/// Checks that a sealed segment is as long as it was, and begins with its first event.
pub(crate) fn check_sealed(engine: &dyn Engine, name: &str, facts: Facts) -> Result<(), OpenError> {
    let (bytes, sealed) = (engine.block_file_bytes(name)?, facts.file_bytes);
    if bytes < sealed {
        return Err(OpenError::Shortened { segment: name.to_owned(), bytes, sealed });
    }
    match engine.first_block(name, facts.first)? {
        Some(found) if found == facts.first => Ok(()),
        found => Err(OpenError::OtherBlocks { segment: name.to_owned(), first: facts.first, found }),
    }
}

/// Checks that the log begins where retention left it: as the list says, and without a list as the
/// log itself says.
///
/// `begin` is its first event and `last` its last. A log without events cannot say anything.
pub(crate) fn check_begin(
    chain: &Chain,
    listed: &StoredList,
    (begin, last): (Seq, Seq),
) -> Result<(), OpenError> {
    if begin <= Seq(1) || last < begin || matches!(listed, StoredList::Listed(_)) {
        return Ok(());
    }
    let found = chain.find(address::log_stream().0).map_err(OpenError::Read)?;
    let left = found.map_or(Seq(1), |found| Seq(u64::try_from(found.a).unwrap_or(u64::MAX)));
    if left < begin {
        return Err(OpenError::NoBeginning { left, begin });
    }
    if left > begin {
        tracing::warn!(%begin, %left, "segments are here again that retention had removed");
    }
    Ok(())
}

/// Checks that no event is missing at the end that is known to have been flushed.
pub(crate) fn check_end(listed: &StoredList, last: Seq) -> Result<(), OpenError> {
    match listed {
        StoredList::Listed(listed) if listed.committed > last => {
            Err(OpenError::Behind { last, committed: listed.committed })
        }
        _ => Ok(()),
    }
}
