//! The time at which an item comes.

/// 2026-11-21 00:00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_219_200_000;
