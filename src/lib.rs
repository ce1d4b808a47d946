//! The binary: configuration, HTTP listeners, the web page, the command line. Routing is in
//! `actors`.
//!
//! Layers, from the top; a layer imports only those below it:
//!
//! ```text
//! main
//! cli                            commands, the demo, the simulators
//! run                            one running process
//! http                           the public and the admin listener
//! ui                             the web page
//! seams, telemetry, media_key    time, ids, connections; logs and metrics; the key of file URLs
//! config, console, instant       settings, terminal output, instants as text
//! ```

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
