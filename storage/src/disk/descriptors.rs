//! Opens files when descriptors are scarce. A process (EMFILE) or system (ENFILE) without a free
//! descriptor says nothing about the disk: connections end and return theirs, so an operation that
//! fails for this reason waits and is tried again.

use std::{io, thread, time::Duration};

use rustix::io::Errno;

/// The first pause before another try; it doubles.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Time after which the operation fails: something keeps descriptors for ever, and a restart of the
/// process returns them.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Time between two warnings of one operation.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Whether an operation failed because no descriptor was free.
pub(crate) fn is_scarce(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Runs an operation that opens files, again and again while no descriptor is free.
pub(crate) fn with_descriptor<T>(open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    wait_for(WAIT_MAX, open)
}

fn wait_for<T>(wait_max: Duration, mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let (mut pause, mut waited, mut warn_at) = (PAUSE, Duration::ZERO, Duration::ZERO);
    loop {
        let error = match open() {
            Err(error) if is_scarce(&error) && waited < wait_max => error,
            done => return done,
        };
        if waited >= warn_at {
            tracing::warn!(%error, "the log waits for a free descriptor: raise the limit on open files (LimitNOFILE)");
            warn_at = waited + WARN_EVERY;
        }
        thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(error: Errno, times: u32) -> (u32, io::Result<()>) {
        let mut tries = 0;
        let done = wait_for(Duration::from_millis(100), || {
            tries += 1;
            if tries > times { Ok(()) } else { Err(error.into()) }
        });
        (tries, done)
    }

    #[test]
    fn only_the_want_of_a_descriptor_is_waited_out() {
        for error in [Errno::MFILE, Errno::NFILE] {
            let (tries, done) = failing(error, 3);
            assert!(done.is_ok() && tries == 4, "{error}: {tries}");
        }
        for error in [Errno::IO, Errno::NOSPC, Errno::ACCESS, Errno::NOENT, Errno::NOMEM] {
            let (tries, done) = failing(error, 3);
            assert!(done.is_err() && tries == 1, "{error}: {tries}");
        }
    }

    #[test]
    fn the_wait_ends() {
        let (tries, done) = failing(Errno::MFILE, u32::MAX);
        assert!(is_scarce(&done.unwrap_err()) && tries > 2);
    }
}
