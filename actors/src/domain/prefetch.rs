//! How many parts are made ready beyond what the window has room for. A part holds its place while its intent is flushed:
//! where flushes take longer than answers, a window would be half empty all the time. Pure. Never more than one window: what
//! is ready and not sent is in doubt after a crash.

/// Of the room that nothing was ready for, so much is added at once.
const STEP: usize = 4;
/// What is never needed while so many windows are sent is not made ready any more.
const WINDOWS: usize = 2;

/// What a channel makes ready ahead.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    parts: usize,
    /// Of parts that were ready and not sent, the fewest since it was last looked.
    least: Option<usize>,
    /// Parts sent since then.
    sent: usize,
}

/// What a channel sees after it has sent what it could.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Parts that may be unanswered at once.
    pub(crate) window: usize,
    /// Room in the window.
    pub(crate) free: usize,
    /// Parts that are ready and were not sent.
    pub(crate) ready: usize,
    /// Parts whose intent is being flushed.
    pub(crate) flushing: usize,
    /// Whether sessions wait to be asked.
    pub(crate) more: bool,
    /// Parts sent just now.
    pub(crate) sent: usize,
}

impl Ahead {
    /// How many.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// None, for the time being.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// Room that nothing is ready for wants more ahead; parts that are always ready want less.
    pub(crate) fn adapt(&mut self, seen: Seen) {
        let Seen { window, free, ready, flushing, more, sent } = seen;
        if ready == 0 && free > 0 && flushing > 0 && more {
            self.parts += free.div_ceil(STEP);
        }
        let least = self.least.map_or(ready, |least| least.min(ready));
        self.least = Some(least);
        self.sent += sent;
        if self.sent >= window * WINDOWS {
            self.parts = self.parts.saturating_sub(least);
            (self.least, self.sent) = (None, 0);
        }
        self.parts = self.parts.min(window);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs an SMSC that answers after `answer` turns beside flushes of `flush` turns; the share of the window that was in
    /// use, and what was ahead, after it has settled.
    fn run(window: usize, flush: usize, answer: usize) -> (f64, usize) {
        let mut ahead = Ahead::default();
        let (mut flushing, mut out) = (std::collections::VecDeque::new(), std::collections::VecDeque::new());
        let (mut ready, mut used) = (0, 0);
        let turns = 40 * (flush + answer);
        for turn in 0..2 * turns {
            while flushing.front().is_some_and(|at| at + flush <= turn) {
                flushing.pop_front();
                ready += 1;
            }
            while out.front().is_some_and(|at| at + answer <= turn) {
                out.pop_front();
            }
            let sent = ready.min(window - out.len());
            ready -= sent;
            out.extend(std::iter::repeat_n(turn, sent));
            let free = window - out.len();
            ahead.adapt(Seen { window, free, ready, flushing: flushing.len(), more: true, sent });
            while flushing.len() + ready < free + ahead.parts() {
                flushing.push_back(turn);
            }
            used += if turn >= turns { out.len() } else { 0 };
        }
        (used as f64 / (turns * window) as f64, ahead.parts())
    }

    #[test]
    fn flushes_are_hidden_by_at_most_one_window_more() {
        // Window, flush, answer, and the share of the window in use; with nothing ahead it is at most the answer's share
        // of both, at least a half here; with one window more at most twice that.
        for (window, flush, answer, share) in
            [(100, 2, 2, 1.0), (100, 2, 20, 1.0), (10, 3, 30, 1.0), (1_000, 5, 20, 1.0), (100, 9, 3, 0.5)]
        {
            let (used, parts) = run(window, flush, answer);
            assert!(used >= share - 0.01, "{window} {flush} {answer}: {used} with {parts} ahead");
        }
        let (_, parts) = run(100, 2, 20);
        assert!(parts < 100, "{parts} ahead of an SMSC that answers late");
    }

    proptest! {
        #[test]
        fn never_more_than_a_window_is_ahead(seen in prop::collection::vec((0usize..200, 0usize..200, 0usize..200, any::<bool>()), 1..100)) {
            let mut ahead = Ahead::default();
            for (free, ready, flushing, more) in seen {
                ahead.adapt(Seen { window: 100, free, ready, flushing, more, sent: free });
                prop_assert!(ahead.parts() <= 100);
            }
        }
    }
}
