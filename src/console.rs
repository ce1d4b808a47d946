//! The only place that writes to the terminal. A closed pipe ends the output, never the process.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether a write to standard output has failed: the reader closed the pipe.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output.
pub fn line(text: impl AsRef<str>) {
    if write(&mut io::stdout().lock(), text.as_ref()).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Returns whether standard output is closed.
pub fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Writes a line to standard error.
pub fn error(text: impl AsRef<str>) {
    // An error has nowhere to be reported.
    _ = write(&mut io::stderr().lock(), text.as_ref());
}

/// Writes a question to standard error; the answer follows on the same line.
pub fn prompt(text: impl AsRef<str>) {
    let mut stderr = io::stderr().lock();
    // A question that nobody can see is answered by the end of the input.
    _ = stderr.write_all(text.as_ref().as_bytes()).and_then(|()| stderr.flush());
}

/// Writes bytes to standard output as they are.
///
/// # Errors
/// When standard output is closed: the caller stops producing.
pub fn bytes(data: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(data)
}

/// Returns `1 channel`, `2 channels`.
pub fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn write(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.write_all(b"\n")?;
    to.flush()
}
