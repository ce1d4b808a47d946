//! Limits repeated lines of the process's own log, so that nobody outside can fill it. Each place
//! in the code may write a limited number of lines in a while; further ones are counted, and the
//! count is written before its next line. Errors are always written, and so are lines that only a
//! finer filter shows.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Event, Level, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Layer};

/// The time over which lines are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// The largest number of lines of one place within [`WINDOW`].
const LINES_MAX: u32 = 50;

/// The lines of every place; as many as the program has.
#[derive(Default)]
pub(super) struct RepeatLimit(Mutex<HashMap<Identifier, Repeats>>);

struct Repeats {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// The fate of a line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Written,
    LeftOut,
    /// It is written, after this number of lines that were not.
    WrittenAfter(u64),
}

impl Repeats {
    fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, left_out: 0 }
    }

    fn line(&mut self, now: Instant) -> Line {
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.lines) = (now, 1);
            let left_out = std::mem::take(&mut self.left_out);
            return if left_out > 0 { Line::WrittenAfter(left_out) } else { Line::Written };
        }
        if self.lines < LINES_MAX {
            self.lines += 1;
            return Line::Written;
        }
        self.left_out += 1;
        Line::LeftOut
    }
}

impl RepeatLimit {
    fn line(&self, place: Identifier, now: Instant) -> Line {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(place).or_insert_with(|| Repeats::new(now)).line(now)
    }
}

impl<S: Subscriber> Layer<S> for RepeatLimit {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let place = event.metadata();
        if !matches!(*place.level(), Level::WARN | Level::INFO) {
            return true;
        }
        match self.line(place.callsite(), Instant::now()) {
            Line::Written => true,
            Line::LeftOut => {
                metrics::counter!("patchbay_log_lines_left_out_total").increment(1);
                false
            }
            Line::WrittenAfter(lines) => {
                let (file, line) = (place.file().unwrap_or_default(), place.line().unwrap_or_default());
                tracing::warn!(lines, file, line, "lines like the next one were left out");
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, MutexGuard},
    };

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    struct Writer<'a>(MutexGuard<'a, Vec<u8>>);

    impl io::Write for Writer<'_> {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Writer<'a>;

        fn make_writer(&'a self) -> Writer<'a> {
            Writer(self.0.lock().unwrap())
        }
    }

    #[test]
    fn a_flood_of_lines_is_cut_and_everything_else_is_written() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(written.clone());
        let subscriber = tracing_subscriber::registry().with(RepeatLimit::default()).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..1_000 {
                tracing::warn!(n, "flood");
                if n % 100 == 0 {
                    tracing::warn!(n, "another place");
                }
                if n < 200 {
                    tracing::error!(n, "failure");
                    tracing::debug!(n, "detail");
                }
            }
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let count = |word| text.matches(word).count();
        assert_eq!([count("flood"), count("another place")], [LINES_MAX as usize, 10]);
        assert_eq!([count("failure"), count("detail")], [200, 200]);
    }

    #[test]
    fn the_lines_left_out_are_counted_until_the_next_one() {
        let start = Instant::now();
        let mut repeats = Repeats::new(start);
        for n in 0..LINES_MAX + 7 {
            let expected = if n < LINES_MAX { Line::Written } else { Line::LeftOut };
            assert_eq!(repeats.line(start), expected);
        }
        assert_eq!(repeats.line(start + WINDOW), Line::WrittenAfter(7));
        assert_eq!(repeats.line(start + WINDOW), Line::Written);
    }
}
