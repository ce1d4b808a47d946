//! The process with its deliberate bugs, to prove that the crash loop finds them. Its own name
//! keeps it from being mistaken for the real binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    patchbay::cli::main()
}
