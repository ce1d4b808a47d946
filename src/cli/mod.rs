//! The command line: what there is, and with which exit code it ends: 0 fine, 1 failed while running, 2 bad usage
//! or configuration.

mod check;
mod client;
mod demo;
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

/// Patchbay, a customer channel manager: connects a business to the channels its customers write on.
#[derive(Debug, Parser)]
#[command(name = "patchbay", version, about, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router until SIGTERM or Ctrl-C
    Run(run::Arguments),
    /// Check a configuration; with --probe also log in at its providers
    Check(check::Arguments),
    /// Try it in under a minute: simulated SMS provider, router, echo bot; needs no account and no configuration
    Demo(demo::Arguments),
    /// Run the simulated side of a provider, with faults on demand
    #[command(subcommand)]
    Sim(sim::Arguments),
    /// Send a message through a running Patchbay
    Send(send::Arguments),
    /// Follow what happens in a running Patchbay
    Tail(tail::Arguments),
    /// List the providers; with a name, its account keys, limits and words for states
    Providers(providers::Arguments),
    /// Look into the event log of a Patchbay that is not running
    #[command(subcommand)]
    Log(log::Arguments),
}

/// Runs the command line; the exit code tells how it went.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version are errors to clap; only those go to standard output and are fine.
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
            Command::Log(_) | Command::Providers(_) => Ok(()),
        }
    });
    // Work that nobody waits for any more (a name being resolved) must not hold up the end.
    runtime.shutdown_background();
    done
}
