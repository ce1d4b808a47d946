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

mod accept;
mod ahead;
mod channel;
mod claims;
pub mod config;
mod correlation;
mod credit;
mod describe;
mod destination;
pub mod error;
mod exchange;
mod fold;
mod hash;
mod host;
mod identity;
mod inbox;
mod lanes;
mod link;
pub mod media;
mod page;
mod plan;
pub mod rate;
mod replay;
pub mod restart;
mod root;
pub mod route;
pub mod router;
mod routing;
#[cfg(feature = "sabotage")]
pub mod sabotage;
#[cfg(not(feature = "sabotage"))]
mod sabotage;
mod safe;
pub mod seams;
pub mod session;
mod shared;
mod tail;
mod timers;
pub mod view;
pub mod webhook;
mod wire;

pub use config::Config;
pub use error::{Refusal, StartError};
pub use page::Page;
pub use router::Router;
pub use seams::Seams;
