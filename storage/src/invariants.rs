//! Checks of what this code itself must keep true, also in a released build.
//!
//! A build with debug assertions, as tests and the simulation use, panics at a broken invariant. A
//! released one counts and logs it and goes on: the owner of the state in question compares
//! [`broken_here`] before and after, and replaces what it does not trust any more.

use std::{
    cell::Cell,
    fmt,
    panic::Location,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// Checks a condition that only a bug can break; the facts, in the form of [`format!`], tell what
/// was found instead. Facts name numbers and places, never the words of a customer.
#[macro_export]
macro_rules! invariant {
    ($holds:expr, $($facts:tt)+) => {
        if !($holds && $crate::invariants::is_believed()) {
            $crate::invariants::broken(stringify!($holds), format_args!($($facts)+));
        }
    };
}

/// Broken invariants of this process.
static BROKEN: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static BROKEN_HERE: Cell<u64> = const { Cell::new(0) };
    static PANICS: Cell<bool> = const { Cell::new(cfg!(debug_assertions)) };
    /// The checks until one is taken for broken, and after each of those; 0: all are believed.
    static DOUBTS: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Returns the number of broken invariants that this process went on after.
pub fn broken_total() -> u64 {
    BROKEN.load(Ordering::Relaxed)
}

/// Returns the number of broken invariants that this thread went on after.
pub fn broken_here() -> u64 {
    BROKEN_HERE.get()
}

/// Has this thread go on after a broken invariant, as a released build does, and take every
/// `every`th check for broken (0: none). For tests of what follows.
#[doc(hidden)]
pub fn go_on_here(every: u32) {
    PANICS.set(false);
    DOUBTS.set((every, every));
}

/// Returns false for the checks that [`go_on_here`] asked to fail. Always true in a released build.
#[doc(hidden)]
#[inline]
pub fn is_believed() -> bool {
    !cfg!(debug_assertions) || DOUBTS.get().1 == 0 || is_next_believed()
}

fn is_next_believed() -> bool {
    let (left, every) = DOUBTS.get();
    let is_doubted = left <= 1;
    DOUBTS.set((if is_doubted { every } else { left - 1 }, every));
    !is_doubted
}

/// Takes note of a broken invariant.
#[doc(hidden)]
#[cold]
#[inline(never)]
#[track_caller]
#[allow(clippy::panic, reason = "a broken invariant fails the test that met it")]
pub fn broken(condition: &str, facts: fmt::Arguments<'_>) {
    let place = Location::caller();
    if PANICS.get() && !thread::panicking() {
        panic!("broken invariant `{condition}` at {place}: {facts}");
    }
    BROKEN.fetch_add(1, Ordering::Relaxed);
    BROKEN_HERE.set(BROKEN_HERE.get() + 1);
    tracing::error!(
        condition, %place, %facts,
        "an invariant is broken, which is a bug of Patchbay: please report this line"
    );
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::{broken_here, broken_total, go_on_here};

    #[test]
    fn a_test_panics_and_a_release_counts_and_goes_on() {
        let stock = 3;
        let panic = catch_unwind(|| invariant!(stock < 3, "{stock} are left")).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("`stock < 3`") && text.contains("invariants.rs"), "{text}");
        assert!(text.ends_with(": 3 are left"), "{text}");
        assert_eq!(broken_here(), 0);
        let before = broken_total();
        go_on_here(0);
        invariant!(stock == 3, "never told");
        assert_eq!(broken_here(), 0);
        invariant!(stock < 3, "{stock} are left");
        assert_eq!(broken_here(), 1);
        assert!(broken_total() > before);
    }

    #[test]
    fn checks_can_be_made_to_fail() {
        go_on_here(3);
        let failed = |_| {
            let before = broken_here();
            invariant!(true, "taken for broken");
            broken_here() > before
        };
        let found: Vec<bool> = (0..7).map(failed).collect();
        assert_eq!(found, [false, false, true, false, false, true, false]);
    }
}
