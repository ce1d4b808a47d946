//! The open connections of a listener. Their number is bounded. Those whose sender has proved
//! nothing yet (no key, no signature) have a bound of their own; when it is reached, or no room is
//! left, the oldest of them is closed in favour of a new one. Connections of senders who proved
//! themselves are never closed for others.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use metrics::{Counter, Gauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The largest number of strangers' connections, which bounds their memory.
const STRANGERS_MAX: usize = 2_048;

/// The seats of one listener.
pub(super) struct Connections {
    listener: &'static str,
    max: usize,
    strangers_max: usize,
    room: Arc<Semaphore>,
    strangers: Mutex<Strangers>,
    open: Gauge,
    evicted: Counter,
}

/// The connections that may be closed for others, by age.
#[derive(Default)]
struct Strangers {
    next: u64,
    seats: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection; dropping it makes room for another.
pub struct Seat {
    connections: Arc<Connections>,
    number: u64,
    evict: Arc<Notify>,
    is_known: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

/// While it exists, a stranger's connection is not closed for others.
pub struct HeldSeat<'a>(&'a Seat);

impl Connections {
    /// Returns the seats for up to `max` connections.
    pub(super) fn new(listener: &'static str, max: usize) -> Arc<Self> {
        Arc::new(Self {
            listener,
            max,
            strangers_max: max.clamp(1, STRANGERS_MAX),
            room: Arc::new(Semaphore::new(max)),
            strangers: Mutex::default(),
            open: metrics::gauge!("patchbay_http_connections", "listener" => listener),
            evicted: metrics::counter!("patchbay_http_connections_evicted_total", "listener" => listener),
        })
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a seat for a new connection. Waits while all seats are taken by known senders.
    pub(super) async fn seat(self: &Arc<Self>) -> Option<Seat> {
        let permit = match self.room.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.evict_oldest();
                self.room.clone().acquire_owned().await.ok()?
            }
        };
        if self.strangers().seats.len() >= self.strangers_max {
            self.evict_oldest();
        }
        let evict = Arc::new(Notify::new());
        let number = {
            let mut strangers = self.strangers();
            strangers.next += 1;
            let number = strangers.next;
            strangers.seats.insert(number, evict.clone());
            number
        };
        self.open.increment(1.0);
        Some(Seat {
            connections: self.clone(),
            number,
            evict,
            is_known: AtomicBool::new(false),
            _permit: permit,
        })
    }

    /// Closes the oldest connection whose sender has proved nothing.
    pub(super) fn evict_oldest(&self) {
        let Some((_, oldest)) = self.strangers().seats.pop_first() else { return };
        oldest.notify_one();
        self.evicted.increment(1);
        tracing::warn!(
            listener = self.listener,
            max = self.max,
            "too many connections: the oldest without a key or signature was closed"
        );
    }
}

impl Seat {
    /// Notes that the sender has proved itself, by a key or by a signature.
    pub fn trust(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            self.connections.strangers().seats.remove(&self.number);
        }
    }

    /// Keeps the connection open while a request that was read to its end is handled.
    pub fn hold(&self) -> HeldSeat<'_> {
        self.connections.strangers().seats.remove(&self.number);
        HeldSeat(self)
    }

    /// Resolves when the connection must be closed for another.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }
}

impl Drop for HeldSeat<'_> {
    fn drop(&mut self) {
        let seat = self.0;
        if !seat.is_known.load(Ordering::Relaxed) {
            seat.connections.strangers().seats.insert(seat.number, seat.evict.clone());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.strangers().seats.remove(&self.number);
        self.connections.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use tokio::time::timeout;

    use super::*;

    async fn is_evicted(seat: &Seat) -> bool {
        timeout(Duration::from_millis(1), seat.evicted()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_stranger_makes_room_and_no_known_sender_does() {
        let connections = Connections::new("test", 3);
        let first = connections.seat().await.unwrap();
        first.trust();
        let second = connections.seat().await.unwrap();
        let third = connections.seat().await.unwrap();
        assert!(!is_evicted(&second).await && !is_evicted(&third).await);
        // The new connection waits until the closed one has ended.
        let mut fourth = pin!(connections.seat());
        assert!(timeout(Duration::from_secs(1), fourth.as_mut()).await.is_err());
        assert!(is_evicted(&second).await);
        drop(second);
        let fourth = timeout(Duration::from_secs(1), fourth).await.unwrap().unwrap();
        assert!(!is_evicted(&first).await && !is_evicted(&third).await && !is_evicted(&fourth).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_connection_is_not_closed_until_it_is_let_go() {
        let connections = Connections::new("test", 2);
        let first = connections.seat().await.unwrap();
        let held = first.hold();
        let second = connections.seat().await.unwrap();
        connections.evict_oldest();
        assert!(!is_evicted(&first).await && is_evicted(&second).await);
        drop(held);
        connections.evict_oldest();
        assert!(is_evicted(&first).await);
    }

    #[tokio::test(start_paused = true)]
    async fn known_senders_wait_for_one_another() {
        let connections = Connections::new("test", 1);
        let only = connections.seat().await.unwrap();
        only.trust();
        assert!(timeout(Duration::from_secs(1), connections.seat()).await.is_err());
        assert!(!is_evicted(&only).await);
    }
}
