//! x
use crate::run::Failure;
#[derive(Debug, clap::Subcommand)]
pub(super) enum Arguments {X}
pub(super) async fn perform(_: Arguments) -> Result<(), Failure> { Ok(()) }
