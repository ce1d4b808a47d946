//! Checks of the workspace's structure and language, measured from its source text.
//!
//! `cargo run -p tidy` prints the figures of the working tree, and with `-- --rev REV` those of
//! another commit; `cargo test -p tidy` fails where a rule is broken. Both only read source text.

pub mod figures;
pub mod graph;
pub mod imports;
pub mod language;
pub mod layers;
pub mod names;
pub mod source;
