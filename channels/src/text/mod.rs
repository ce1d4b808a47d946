//! Text to SMS parts and back: alphabets, splitting, transliteration, joining; and Markdown to
//! providers' markup.

pub mod charsets;
mod default_tables;
pub mod entities;
pub mod gsm7;
pub mod incoming;
pub mod join;
pub mod markup;
pub mod national;
pub mod parts;
pub mod split;
pub mod transliterate;
pub mod utf16;
