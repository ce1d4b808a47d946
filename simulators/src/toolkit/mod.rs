//! Building blocks that know nothing of providers or of the engine: HTTP forms, signatures, dates, numbers, files.

pub(crate) mod http;
pub(crate) mod media;
pub(crate) mod number;
pub(crate) mod sign;
pub(crate) mod time;
