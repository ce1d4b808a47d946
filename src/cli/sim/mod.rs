//! `patchbay sim`: simulated providers for tests, with faults that can be changed while they run.
//! They accept everyone, so their control APIs listen on loopback only.

mod business;
mod control;
mod paste;
mod ports;
mod rest;
mod settings;
mod smsc;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

pub(super) use self::smsc::Sms;
use self::{business::BusinessArguments, rest::RestArguments, smsc::SmscArguments};
use crate::run::Failure;

pub(super) const EXAMPLES: &str = "Each prints the part of a configuration that connects to it.\n\nExamples:\n  patchbay sim smsc\n  patchbay sim business --echo";

#[derive(Debug)]
pub(super) enum SimCommand {
    Business(BusinessArguments),
    Smsc(SmscArguments),
    Rest(String, RestArguments),
}

/// Written by hand, since the names of the REST providers come from their descriptions.
impl Subcommand for SimCommand {
    fn augment_subcommands(command: Command) -> Command {
        let business = Command::new("business")
            .about("Your service: a destination that prints what arrives, and answers with --echo");
        let smsc = Command::new("smsc").about("An SMSC for SMPP 3.4");
        let command = command
            .subcommand(BusinessArguments::augment_args(business))
            .subcommand(SmscArguments::augment_args(smsc));
        rest::commands().fold(command, Command::subcommand)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        matches!(name, "business" | "smsc") || rest::commands().any(|command| command.get_name() == name)
    }
}

impl FromArgMatches for SimCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("business", matches)) => Ok(Self::Business(BusinessArguments::from_arg_matches(matches)?)),
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

impl SimCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Business(arguments) => arguments.json,
            Self::Smsc(arguments) => arguments.json,
            Self::Rest(_, arguments) => arguments.json,
        }
    }
}

pub(super) async fn perform(command: SimCommand) -> Result<(), Failure> {
    match command {
        SimCommand::Business(arguments) => business::perform(arguments).await,
        SimCommand::Smsc(arguments) => smsc::perform(arguments).await,
        SimCommand::Rest(provider, arguments) => rest::perform(provider, arguments).await,
    }
}
