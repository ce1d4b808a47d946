//! The router as actors: session hosts, channels with their links, destinations, timers.

pub mod config;
pub mod error;
pub mod router;
pub mod seams;
pub mod view;

pub use config::Config;
pub use error::{Refusal, StartError};
pub use router::Router;
pub use seams::Seams;
