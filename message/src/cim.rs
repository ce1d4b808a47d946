//! The CIM wire form: the JSON that a business and Patchbay exchange. [`parse()`] reads what a
//! business posts, [`mod@write`] writes what is posted to it, [`body`] reads rich bodies, and
//! [`adapt`] turns them into plain text. Nothing here draws an id, reads a clock or fails on
//! unknown keys.
//!
//! Reading is lenient, because peers differ: enum words in any case, numbers as texts, the older
//! spellings (`channelsessionId`, `mediaURL`) and the older place (`header.channelSession`).
//!
//! CIM leaves the keys of `schedulingMetaData` open. Patchbay's keys are optional. They stand there
//! or among the attributes of `channelData.additionalAttributes`; the first place wins.
//!
//! | key | value |
//! |---|---|
//! | `sendAt` | earliest instant: epoch milliseconds, as number or text, or RFC 3339 |
//! | `expiresAt` | latest instant: likewise |
//! | `validityPeriod` | seconds, or a text with units (`2h 30m`), from the earliest instant |

pub mod adapt;
pub mod body;
mod check;
mod choice;
mod error;
mod handling;
mod header;
mod lenient;
pub mod markdown;
mod message;
mod parse;
mod rule;
mod time;
pub mod write;

#[cfg(test)]
mod tests;

pub use adapt::{Adapted, Marks, NotSendable, plain_text_of, words_of};
pub use choice::choice;
pub use error::Error;
pub use lenient::{List, Number, Object, Text};
pub use message::{
    ADDRESS_BYTES_MAX, BODY_JSON_BYTES_MAX, CHANNEL_DATA_BYTES_MAX, ITEMS_MAX, Intent,
    MESSAGE_JSON_BYTES_MAX, Message, NAME_BYTES_MAX, PRIORITY_MAX, Scheduling, Sender, SenderKind,
    TEXT_BYTES_MAX, VALIDITY_MS_MAX,
};
pub use parse::{items, parse};
pub use rule::Rule;
