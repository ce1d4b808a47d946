//! The command line and its exit codes: 0 success, 1 failure while running, 2 bad usage or
//! configuration.

mod check;
mod client;
mod demo;
mod explain;
pub mod log;
mod probe;
mod providers;
mod run;
mod send;
mod sim;
mod tail;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{console, run::Failure};

/// A customer channel manager: connects a business to the channels its customers write on.
#[derive(Debug, Parser)]
#[command(name = "patchbay", version, about, propagate_version = true, arg_required_else_help = true)]
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
    /// See it work in under a minute, without an account or a configuration: simulated providers,
    /// the router, and a bot that answers
    Demo(demo::DemoArguments),
    /// Run a simulated provider, with faults on demand
    #[command(subcommand)]
    Sim(sim::SimCommand),
    /// Send a message through a running Patchbay
    Send(send::SendArguments),
    /// Follow the events of a running Patchbay
    Tail(tail::TailArguments),
    /// List the providers; with a name, show its account keys, limits, statuses and events
    Providers(providers::ProvidersArguments),
    /// Explain a provider's code: what it means, what usually causes it, and what helps
    Explain(explain::ExplainArguments),
    /// Read the event log of a Patchbay that is not running
    #[command(subcommand)]
    Log(log::LogCommand),
}

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // clap reports help and version as errors; only those print to standard output and exit
            // with 0.
            let code = u8::try_from(e.exit_code()).unwrap_or(2);
            _ = e.print();
            return ExitCode::from(code);
        }
    };
    match perform(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Running(why)) => {
            console::error(format!("patchbay: {why}"));
            ExitCode::from(1)
        }
        Err(Failure::Usage(why)) => {
            console::error(why);
            ExitCode::from(2)
        }
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    if let Command::Log(arguments) = command {
        return log::perform(arguments);
    }
    if let Command::Providers(arguments) = command {
        return providers::perform(&arguments);
    }
    if let Command::Explain(arguments) = command {
        return explain::perform(&arguments);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::running)?;
    let done = runtime.block_on(async {
        match command {
            Command::Run(arguments) => run::perform(arguments).await,
            Command::Check(arguments) => check::perform(arguments).await,
            Command::Demo(arguments) => demo::perform(arguments).await,
            Command::Sim(arguments) => sim::perform(arguments).await,
            Command::Send(arguments) => send::perform(arguments).await,
            Command::Tail(arguments) => tail::perform(arguments).await,
            Command::Log(_) | Command::Providers(_) | Command::Explain(_) => Ok(()),
        }
    });
    // Abandoned work (resolving a name) must not delay the exit.
    runtime.shutdown_background();
    done
}
