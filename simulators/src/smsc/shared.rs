//! The SMSC's state behind a lock, with its clock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use channels::smpp::Millis;
use tokio::time::Instant;

use super::{core::Core, script::SmscScript};
use crate::toolkit::changes::Changes;

/// A running SMSC.
pub(super) struct SharedCore {
    pub(super) started: Instant,
    /// Announced after each step.
    pub(super) changes: Changes,
    core: Mutex<Core>,
}

impl SharedCore {
    /// Starts the clock.
    pub(super) fn new(script: SmscScript) -> Self {
        Self { started: Instant::now(), changes: Changes::default(), core: Mutex::new(Core::new(script)) }
    }

    /// Locks the state. No holder of the lock can panic half way, so a poisoned lock is usable.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns milliseconds since the start.
    pub(super) fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }
}
