//! `patchbay sim`: simulated providers for tests, with faults that can be changed while they run.
//! They accept everyone, so their control APIs listen on loopback only.

mod rest;
mod settings;
mod smsc;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use self::{rest::RestArguments, smsc::SmscArguments};
use crate::run::Failure;

#[derive(Debug)]
pub(super) enum SimCommand {
    Smsc(SmscArguments),
    Rest(String, RestArguments),
}

/// Written by hand, since the names of the REST providers come from their descriptions.
impl Subcommand for SimCommand {
    fn augment_subcommands(command: Command) -> Command {
        let smsc = SmscArguments::augment_args(Command::new("smsc").about("An SMSC for SMPP 3.4"));
        rest::commands().fold(command.subcommand(smsc), Command::subcommand)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == "smsc" || rest::commands().any(|command| command.get_name() == name)
    }
}

impl FromArgMatches for SimCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("smsc", matches)) => Ok(Self::Smsc(SmscArguments::from_arg_matches(matches)?)),
            Some((name, matches)) => {
                Ok(Self::Rest(name.to_owned(), RestArguments::from_arg_matches(matches)?))
            }
            None => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

pub(super) async fn perform(command: SimCommand) -> Result<(), Failure> {
    match command {
        SimCommand::Smsc(arguments) => smsc::perform(arguments).await,
        SimCommand::Rest(provider, arguments) => rest::perform(provider, arguments).await,
    }
}
