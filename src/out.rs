//! The only place that writes to the terminal. A closed pipe ends the output, never the process.

use std::io::{self, Write};

/// Writes a line to standard output.
pub fn line(text: impl AsRef<str>) {
    write(&mut io::stdout().lock(), text.as_ref());
}

/// Writes a line to standard error.
pub fn error(text: impl AsRef<str>) {
    write(&mut io::stderr().lock(), text.as_ref());
}

/// Writes bytes to standard output as they are.
///
/// # Errors
/// When standard output is closed: the caller stops producing.
pub fn bytes(data: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(data)
}

/// `1 channel`, `2 channels`.
pub fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn write(to: &mut dyn Write, text: &str) {
    // Nobody is left to tell when the pipe is gone.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.write_all(b"\n")).and_then(|()| to.flush());
}
