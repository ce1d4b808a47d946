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
//! seams, telemetry               time, ids, connections; logs and metrics
//! descriptors, data_folder, data_keys
//!                                the limit on open files; the data folder and its keys
//! config, console, instant       settings, terminal output, instants as text
//! ```

pub mod cli;
pub mod config;
pub mod console;
mod data_folder;
mod data_keys;
mod descriptors;
pub mod http;
pub mod instant;
pub mod run;
pub mod seams;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod ui;
