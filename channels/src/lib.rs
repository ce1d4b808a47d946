//! What providers say and how it is said: alphabets, parts, receipts. Pure: no IO, no clock, no randomness.

pub mod gsm7;
pub mod incoming;
pub mod join;
pub mod national;
mod parts;
pub mod smpp;
pub mod spelling;
pub mod split;
pub mod transliterate;
