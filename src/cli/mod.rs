//! The command line and its exit codes: 0 success, 1 failure while running, 2 bad usage or
//! configuration, 5 a running Patchbay that cannot be reached; `send` has more.

mod admin;
mod check;
mod client;
mod control;
mod dead_letters;
mod demo;
mod exit;
mod explain;
mod in_doubt;
mod init;
pub mod log;
mod manual;
mod messages;
mod openapi;
mod probe;
mod providers;
mod reason;
mod run;
mod send;
mod sim;
mod status;
mod table;
mod tail;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

use crate::{console, run::Failure};

/// A customer channel manager: connects a business to the channels its customers write on.
#[derive(Debug, Parser)]
#[command(name = "patchbay", version, about, propagate_version = true, arg_required_else_help = true, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router until SIGTERM or Ctrl-C
    Run(run::RunArguments),
    /// Check a configuration; with --probe, also log in to its providers
    Check(check::CheckArguments),
    /// Write a configuration, from flags and from answers at the terminal
    Init(init::InitArguments),
    /// See it work in under a minute, without an account or a configuration: simulated providers of
    /// SMS, WhatsApp, Messenger and Telegram, the router, and a bot that answers
    Demo(demo::DemoArguments),
    /// Run a simulated provider, with faults on demand, or a simulated business
    #[command(subcommand, after_help = sim::EXAMPLES)]
    Sim(sim::SimCommand),
    /// Send a message through a running Patchbay
    Send(send::SendArguments),
    /// Tell whether all is well in a running Patchbay, and if not, the cause and the fix
    Status(status::StatusArguments),
    /// List, find and show messages of a running Patchbay
    Messages(messages::MessagesArguments),
    /// List the parts in doubt, and decide them
    InDoubt(in_doubt::InDoubtArguments),
    /// List the deliveries that were given up, and try them again
    DeadLetters(dead_letters::DeadLettersArguments),
    /// Pause, resume or restart a channel of a running Patchbay
    #[command(subcommand)]
    Channel(control::ChannelCommand),
    /// Give an order to a destination of a running Patchbay
    #[command(subcommand)]
    Destination(control::DestinationCommand),
    /// Let a running Patchbay read its configuration again
    Reload(control::ReloadArguments),
    /// Follow the events of a running Patchbay
    Tail(tail::TailArguments),
    /// List the providers; with a name, show its account keys, limits, statuses and events
    Providers(providers::ProvidersArguments),
    /// Explain a provider's code: what it means, what usually causes it, and what helps
    Explain(explain::ExplainArguments),
    /// Read the event log of a Patchbay that is not running
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Print the OpenAPI document of the send API, or of the admin port
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApiArguments),
    /// Print completions for a shell
    Completions(manual::CompletionsArguments),
    /// Print the manual page, or write one for each command
    Man(manual::ManArguments),
}

impl Command {
    /// Whether errors are printed as JSON, too.
    fn json(&self) -> bool {
        match self {
            Self::Run(_) | Self::Demo(_) | Self::OpenApi(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Check(arguments) => arguments.json,
            Self::Init(arguments) => arguments.json,
            Self::Sim(command) => command.json(),
            Self::Send(arguments) => arguments.json,
            Self::Status(arguments) => arguments.json,
            Self::Messages(arguments) => arguments.json,
            Self::InDoubt(arguments) => arguments.json(),
            Self::DeadLetters(arguments) => arguments.json(),
            Self::Channel(command) => command.json(),
            Self::Destination(command) => command.json(),
            Self::Reload(arguments) => arguments.json,
            Self::Tail(arguments) => arguments.json,
            Self::Providers(arguments) => arguments.json,
            Self::Explain(arguments) => arguments.json,
            Self::Log(command) => command.json(),
        }
    }
}

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // clap reports help and version as errors; only those print to standard output and exit
            // with 0.
            let code = u8::try_from(e.exit_code()).unwrap_or(2);
            if code != 0 && std::env::args().any(|argument| argument == "--json") {
                tell(&Failure::Usage(e.to_string().trim_end().to_owned()), true);
            } else {
                _ = e.print();
            }
            return ExitCode::from(code);
        }
    };
    let as_json = arguments.command.json();
    match perform(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure, as_json);
            ExitCode::from(failure.code())
        }
    }
}

/// Prints a failure to standard error. Without words, it is told already.
fn tell(failure: &Failure, as_json: bool) {
    let words = failure.to_string();
    if words.is_empty() {
        return;
    }
    match failure {
        failure if as_json => {
            console::error(json!({ "exitCode": failure.code(), "error": words }).to_string());
        }
        Failure::Usage(why) => console::error(why),
        _ => console::error(format!("patchbay: {words}")),
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    let command = match perform_at_once(command) {
        Ok(done) => return done,
        Err(command) => command,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::running)?;
    let done = runtime.block_on(async {
        match *command {
            Command::Run(arguments) => run::perform(arguments).await,
            Command::Check(arguments) => check::perform(arguments).await,
            Command::Demo(arguments) => demo::perform(arguments).await,
            Command::Sim(arguments) => sim::perform(arguments).await,
            Command::Send(arguments) => send::perform(arguments).await,
            Command::Status(arguments) => status::perform(arguments).await,
            Command::Messages(arguments) => messages::perform(arguments).await,
            Command::InDoubt(arguments) => in_doubt::perform(arguments).await,
            Command::DeadLetters(arguments) => dead_letters::perform(arguments).await,
            Command::Channel(command) => control::channel(command).await,
            Command::Destination(command) => control::destination(command).await,
            Command::Reload(arguments) => control::reload(arguments).await,
            Command::Tail(arguments) => tail::perform(arguments).await,
            _ => Ok(()),
        }
    });
    // Abandoned work (resolving a name) must not delay the exit.
    runtime.shutdown_background();
    done
}

/// Performs a command that needs no runtime; gives back any other.
fn perform_at_once(command: Command) -> Result<Result<(), Failure>, Box<Command>> {
    Ok(match command {
        Command::Log(arguments) => log::perform(arguments),
        Command::Init(arguments) => init::perform(&arguments),
        Command::Providers(arguments) => providers::perform(&arguments),
        Command::Explain(arguments) => explain::perform(&arguments),
        Command::OpenApi(arguments) => {
            openapi::perform(&arguments);
            Ok(())
        }
        Command::Completions(arguments) => {
            manual::completions(&arguments, Arguments::command());
            Ok(())
        }
        Command::Man(arguments) => manual::man(&arguments, Arguments::command()),
        other => return Err(Box::new(other)),
    })
}
