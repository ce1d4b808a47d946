//! `patchbay completions` and `patchbay man`: generated from the command line itself.

use std::{fs, path::PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{console, run::Failure};

const COMPLETIONS_EXAMPLES: &str = "Examples:\n  patchbay completions bash > ~/.local/share/bash-completion/completions/patchbay\n  \
                                    patchbay completions zsh > ~/.zfunc/_patchbay";
const MAN_EXAMPLES: &str =
    "Examples:\n  patchbay man --dir ~/.local/share/man/man1\n  patchbay man > patchbay.1";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(super) struct CompletionsArguments {
    /// The shell to complete for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(super) struct ManArguments {
    /// Write one page for each command to this folder, instead of one page to standard output
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(arguments: &CompletionsArguments, mut command: Command) {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "patchbay", &mut text);
    // A closed pipe ends the output.
    _ = console::bytes(&text);
}

pub(super) fn man(arguments: &ManArguments, mut command: Command) -> Result<(), Failure> {
    // Gives each subcommand its whole name.
    command.build();
    let Some(folder) = &arguments.dir else {
        _ = console::bytes(&page(command)?);
        return Ok(());
    };
    let failed = |e: std::io::Error| Failure::Running(format!("{}: {e}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut written = 0;
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|one| one.get_name() != "help").cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        fs::write(folder.join(format!("{name}.1")), page(command)?).map_err(failed)?;
        written += 1;
    }
    console::line(format!("{} in {}", console::counted(written, "page"), folder.display()));
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text).map_err(Failure::running)?;
    Ok(text)
}
