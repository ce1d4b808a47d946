//! The same process with its deliberate bugs, for the proof that the crash loop finds them. It has a name of its
//! own so that it is never taken for the real one.

use std::process::ExitCode;

fn main() -> ExitCode {
    patchbay::cli::main()
}
