//! x
use crate::run::Failure;
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}
pub(super) async fn perform(_: Arguments) -> Result<(), Failure> { Ok(()) }
