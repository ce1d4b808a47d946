//! Adapts how many parts are prefetched beyond the free room of the window. While a part's intent
//! is flushed its place in the window is unused, so with slow flushes and fast answers the window
//! would never fill. Never more than one window is prefetched, because prefetched parts are in
//! doubt after a crash.

/// The target grows by 1/`STEP` of the idle window.
const STEP: usize = 4;
/// The target shrinks by what stayed unused during this many windows.
const WINDOWS: usize = 2;

/// The prefetch target of a channel.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    parts: usize,
    /// The fewest ready parts that were left over after sending since the last adjustment.
    least: Option<usize>,
    /// Parts sent since the last adjustment.
    sent: usize,
}

/// The state of a channel after it has sent the parts that fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Maximum number of unanswered parts.
    pub(crate) window: usize,
    /// Free room in the window.
    pub(crate) free: usize,
    /// Ready parts that were not sent.
    pub(crate) ready: usize,
    /// Parts whose intent is being flushed.
    pub(crate) flushing: usize,
    /// Whether sessions with due parts wait.
    pub(crate) more: bool,
    /// Parts that were just sent.
    pub(crate) sent: usize,
}

impl Ahead {
    /// Returns the number of parts to prefetch.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// Stops prefetching until the next adjustment.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// Raises the target when room was idle, and lowers it by the parts that were always left over.
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

    /// Simulates an SMSC that answers after `answer` turns, with flushes of `flush` turns. Returns
    /// the used share of the window and the target once both have settled.
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
    fn at_most_one_window_of_prefetch_hides_the_flushes() {
        // Window, flush, answer, and the share of the window in use; with nothing ahead it is at
        // most the answer's share of both, at least a half here; with one window more at most twice
        // that.
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
        fn the_target_never_exceeds_one_window(seen in prop::collection::vec((0usize..200, 0usize..200, 0usize..200, any::<bool>()), 1..100)) {
            let mut ahead = Ahead::default();
            for (free, ready, flushing, more) in seen {
                ahead.adapt(Seen { window: 100, free, ready, flushing, more, sent: free });
                prop_assert!(ahead.parts() <= 100);
            }
        }
    }
}
