//! Exit codes of their own, beside 0 success, 1 failure while running and 2 bad usage or
//! configuration.

/// `status` found an error; it is told already.
pub(super) const NOT_WELL: u8 = 1;
/// The provider reported that the message failed.
pub(super) const FAILED: u8 = 3;
/// The message has no final status in time.
pub(super) const NOT_FINAL: u8 = 4;
/// The running Patchbay cannot be reached.
pub(super) const UNREACHABLE: u8 = 5;

/// The codes, for the help of the whole command line.
pub(super) const HELP: &str = "Exit codes: 0 success; 1 failure while running; 2 bad usage, bad configuration, or \
                               refused; 5 the running Patchbay cannot be reached. `send --wait` has more.\n\n\
                               Examples:\n  patchbay demo\n  patchbay init\n  patchbay send --help";
