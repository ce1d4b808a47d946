//! The binary's own parts: configuration, HTTP surfaces, the web page, the command line. Routing is in `actors`.

pub mod cli;
pub mod config;
pub mod console;
pub mod http;
pub mod instant;
mod media_key;
pub mod run;
pub mod seams;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod ui;
