//! Spellings of telephone numbers, and of the message ids that providers use in answers and
//! receipts.

pub mod country;
pub mod number;
pub mod spelling;
