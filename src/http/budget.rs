//! A budget of bytes for request bodies that are being read. When it is used up, the body that
//! holds most of it is given up, so that small ones always find room.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::Counter;
use tokio::sync::Notify;

/// The memory for the bodies of one kind of sender.
pub(super) struct Budget {
    bytes_max: usize,
    used: Mutex<Used>,
    given_up: Counter,
}

#[derive(Default)]
struct Used {
    bytes: usize,
    next: u64,
    bodies: BTreeMap<u64, HeldBody>,
}

struct HeldBody {
    bytes: usize,
    give_up: Arc<Notify>,
}

/// The share of one body; dropping it returns its bytes.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    number: u64,
    give_up: Arc<Notify>,
}

impl Budget {
    /// Returns a budget; `sender` names the kind of sender in metrics.
    pub(super) fn new(sender: &'static str, bytes_max: usize) -> Self {
        let given_up = metrics::counter!("patchbay_http_bodies_given_up_total", "sender" => sender);
        Self { bytes_max, used: Mutex::default(), given_up }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an empty share for a body.
    pub(super) fn share(&self) -> Share<'_> {
        let give_up = Arc::new(Notify::new());
        let mut used = self.used();
        used.next += 1;
        let number = used.next;
        used.bodies.insert(number, HeldBody { bytes: 0, give_up: give_up.clone() });
        Share { budget: self, number, give_up }
    }
}

impl Share<'_> {
    /// Takes more bytes. Returns whether there was room for them.
    pub(super) fn grow(&self, bytes: usize) -> bool {
        let mut used = self.budget.used();
        while used.bytes.saturating_add(bytes) > self.budget.bytes_max {
            let largest = used.bodies.iter().max_by_key(|(_, body)| body.bytes);
            let Some((number, largest)) = largest.map(|(number, body)| (*number, body.bytes)) else { break };
            let own = used.bodies.get(&self.number).map_or(0, |body| body.bytes);
            if number == self.number || own.saturating_add(bytes) >= largest {
                self.budget.given_up.increment(1);
                return false;
            }
            used.remove(number);
            self.budget.given_up.increment(1);
        }
        let Some(own) = used.bodies.get_mut(&self.number) else { return false };
        own.bytes = own.bytes.saturating_add(bytes);
        used.bytes = used.bytes.saturating_add(bytes);
        true
    }

    /// Resolves when the body is given up in favour of others.
    pub(super) async fn given_up(&self) {
        self.give_up.notified().await;
    }
}

impl Used {
    /// Gives up a body: its reader is told, and its bytes count no more.
    fn remove(&mut self, number: u64) {
        if let Some(body) = self.bodies.remove(&number) {
            self.bytes = self.bytes.saturating_sub(body.bytes);
            body.give_up.notify_one();
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.used().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_given_up(share: &Share<'_>) -> bool {
        tokio::time::timeout(Duration::from_millis(1), share.given_up()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_body_makes_room_for_smaller_ones() {
        let budget = Budget::new("test", 100);
        let (large, middle, small) = (budget.share(), budget.share(), budget.share());
        assert!(large.grow(60) && middle.grow(40));
        assert!(small.grow(10), "a small body always finds room");
        assert!(is_given_up(&large).await && !is_given_up(&middle).await);
        assert!(!large.grow(1), "a body that was given up gets nothing");
        assert_eq!(budget.used().bytes, 50);
        assert!(!small.grow(60), "no body grows beyond the others at their cost");
        assert!(!is_given_up(&middle).await);
        drop(middle);
        assert!(small.grow(60));
        drop((large, small));
        assert_eq!(budget.used().bytes, 0);
    }

    #[test]
    fn a_body_larger_than_the_budget_is_refused() {
        let budget = Budget::new("test", 100);
        assert!(!budget.share().grow(101));
    }
}
