//! The router as actors: session hosts, channels with their links, destinations, timers.
//!
//! ```text
//! root               starts all others; the log's writer thread beside it is fatal when it fails
//! ├── session hosts  run the sessions of one address range each, and catch a panic in one
//! ├── destinations   post deliveries, in order for each session, until they are accepted
//! ├── channels       lanes, rate, correlation of receipts
//! │   └── links      connect, bind, back off, make calls
//! └── timers         ticks, wake-ups of sessions not in memory, checkpoints, retention
//! ```
//!
//! A host appends its decisions to the log; effects follow the flush (`actor/host/batch.rs`). Every
//! actor's state can be rebuilt from configuration and log. Imports run down the layers only:
//! `entry`, `actor`, `context`, `protocol`, `view` and `history`, `domain`, then configuration,
//! seams and errors.

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
pub use context::media_store::{MediaFile, NoFile};
pub use entry::{
    accept::Origin,
    bulk::{DeadLetterFilter, Done, Replayed},
    control::Control,
    reconfigure::{Reconfiguration, Reconfigured},
    router::{OpenSession, Router},
    scoped::ScopedRouter,
};
pub use error::{Refusal, StartError};
pub use protocol::{answers::Acceptance, webhook};
pub use seams::Seams;
pub use view::{TailEvent, page::Page};
