//! One connection of an ESME, without its socket: what is to be written, and what awaits an answer.

use std::{collections::BTreeMap, sync::Arc};

use channels::smpp::{Millis, pdu::BindKind};
use tokio::sync::Notify;

use super::mo::MoId;

/// Identifies a connection.
pub(super) type ConnectionId = u64;
/// Identifies an account by its place in the list.
pub(super) type AccountId = usize;

/// Maximum number of octets that wait to be written; beyond it a connection is not read and gets no
/// deliveries.
pub(super) const OUT_BYTES_MAX: usize = 4 << 20;

/// Whether and how a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    No,
    /// After everything is written.
    Flushed,
    /// At once.
    Now,
}

/// An account and the kind of bind to it.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) account: AccountId,
    pub(super) kind: BindKind,
}

/// The state of one connection.
pub(super) struct Connection {
    pub(super) bound: Option<Bound>,
    pub(super) out: Vec<u8>,
    pub(super) in_flight: BTreeMap<u32, InFlight>,
    pub(super) end: End,
    /// A fault broke the stream; nothing more is written.
    pub(super) muted: bool,
    pub(super) unbound: bool,
    /// When an unbind was sent that is not answered yet.
    pub(super) unbinding: Option<Millis>,
    /// Octets received.
    pub(super) octets: u64,
    /// When the last PDU arrived.
    pub(super) heard: Millis,
    /// When an enquire_link was sent that is not answered yet.
    pub(super) enquired: Option<Millis>,
    sequence: u32,
    wake: Arc<Notify>,
}

/// A delivery that awaits its answer.
pub(super) struct InFlight {
    pub(super) delivery: Delivery,
    pub(super) sent: Millis,
}

/// A deliver_sm or data_sm, complete except for its sequence number.
pub(super) struct Delivery {
    pub(super) pdu: Vec<u8>,
    pub(super) subject: Subject,
    pub(super) tries: u32,
    /// The connection of the submit; 0 for a customer's message.
    pub(super) origin: ConnectionId,
}

/// The subject of a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Receipt,
    Mo(MoId),
}

impl Connection {
    pub(super) fn new(wake: Arc<Notify>, now: Millis) -> Self {
        Self {
            bound: None,
            out: Vec::new(),
            in_flight: BTreeMap::new(),
            end: End::No,
            muted: false,
            unbound: false,
            unbinding: None,
            octets: 0,
            heard: now,
            enquired: None,
            sequence: 0,
            wake,
        }
    }

    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= 0x7FFF_FFFF { 1 } else { self.sequence + 1 };
        self.sequence
    }

    /// Appends to the octets that are to be written, and wakes the task that writes them.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.muted {
            return;
        }
        if self.out.is_empty() {
            self.wake.notify_one();
        }
        write(&mut self.out);
    }

    /// Wakes the task that serves the connection.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn end(&mut self, end: End) {
        self.end = end;
        self.wake();
    }

    /// Returns whether the bind receives deliveries.
    pub(super) fn receives(&self) -> bool {
        self.bound.is_some_and(|bound| bound.kind.receives())
    }

    /// Returns whether one more delivery fits.
    pub(super) fn has_room(&self, window: usize) -> bool {
        self.receives()
            && self.end == End::No
            && !self.muted
            && self.in_flight.len() < window
            && self.out.len() < OUT_BYTES_MAX
    }
}
