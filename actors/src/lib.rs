//! The router as actors: session hosts, channels with their links, destinations, timers.
//!
//! ```text
//! root                      starts all others; the log's writer thread stands beside it, its failure is fatal
//! ├── session hosts         one address range each; run the sessions (a panic in one is caught at its boundary)
//! ├── destinations          one each: post, in order per session, until taken
//! ├── channels              one each: lanes, rate, correlation
//! │   └── links             one each: connect, bind, backoff; a pump moves the bytes
//! └── timers                ticks, wake-ups of sessions not in memory, checkpoints, retention
//! ```
//!
//! What a host decides is appended to the log; effects follow the flush (`host/stage.rs`). Whatever an actor
//! knows can be rebuilt from configuration and log.

mod actor;
pub mod config;
mod context;
pub mod domain;
pub mod egress;
mod entry;
pub mod error;
mod history;
mod protocol;
#[cfg(feature = "sabotage")]
pub mod sabotage;
#[cfg(not(feature = "sabotage"))]
mod sabotage;
pub mod seams;
pub mod view;

pub use config::Config;
pub use context::{media_queue::NoFile, media_store::MediaFile};
pub use entry::router::{OpenSession, Origin, Router};
pub use error::{Refusal, StartError};
pub use protocol::{answers::Acceptance, webhook};
pub use seams::Seams;
pub use view::{TailEvent, page::Page};
