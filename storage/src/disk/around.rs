//! A hook around everything that may wait for the disk while an event or a key is looked for, so
//! that the caller's threads can make up for the one that waits.

/// Runs a read that may wait for the disk. It must call its argument once, on the same thread.
pub type AroundRead = fn(&mut dyn FnMut());

/// The hook of an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around(AroundRead);

impl Default for Around {
    fn default() -> Self {
        Self(|read| read())
    }
}

impl From<AroundRead> for Around {
    fn from(hook: AroundRead) -> Self {
        Self(hook)
    }
}

impl Around {
    /// Runs `read` inside the hook.
    pub(crate) fn run<T>(self, read: impl FnOnce() -> T) -> T {
        let (mut read, mut done) = (Some(read), None);
        (self.0)(&mut || {
            if let Some(read) = read.take() {
                done = Some(read());
            }
        });
        match (done, read) {
            (Some(done), _) => done,
            (None, Some(read)) => read(),
            (None, None) => unreachable!("a read that was taken has run"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }

    #[test]
    fn a_read_runs_once_whatever_the_hook_does() {
        let hooks: [AroundRead; 3] = [
            |read| read(),
            |_read| {},
            |read| {
                read();
                read();
            },
        ];
        for hook in hooks {
            CALLS.set(0);
            let done = Around::from(hook).run(|| {
                CALLS.set(CALLS.get() + 1);
                7
            });
            assert_eq!((done, CALLS.get()), (7, 1));
        }
    }
}
