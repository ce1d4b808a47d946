//! A session's state in pieces, told again in the log before retention removes the events from
//! which it follows. A piece that the session knows changes nothing; a session that lost its
//! beginning becomes whole by them.

use message::{
    Event, MessageNo, Timestamp,
    event::Received,
    snapshot::{
        CarriedSessionV1, CarriedSnapshot, CarriedV1, DeadLetterV1, DeliveryV1, OutboundV1, SessionSnapshot,
    },
};
use storage::CodecError;

use super::state::{DeadLetter, Delivery, DeliveryKind, Outbound, Session};

/// The kind of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedPiece {
    /// The first piece.
    First,
    /// An item of one of the lists.
    Item,
    /// The last piece, or one that is not known.
    Last,
}

impl CarriedPiece {
    /// Returns the kind of an encoded piece.
    pub fn of(snapshot: &[u8]) -> Self {
        match decode(snapshot) {
            Some(CarriedV1::Session(_)) => Self::First,
            Some(CarriedV1::End) | None => Self::Last,
            Some(_) => Self::Item,
        }
    }
}

/// Whether an event is a first piece that no others follow.
pub fn is_whole(event: &Event) -> bool {
    let Event::Carried { message: None, snapshot } = event else { return false };
    match decode(snapshot) {
        Some(CarriedV1::Session(first)) => is_alone(&first),
        _ => false,
    }
}

/// Returns the session in a first piece, without its lists.
pub fn session_in(snapshot: &[u8]) -> Option<Session> {
    match decode(snapshot)? {
        CarriedV1::Session(first) => Some(Session::from(SessionSnapshot::V1(first.session))),
        _ => None,
    }
}

/// Returns the message in a piece.
pub fn message_in(snapshot: &[u8]) -> Option<Outbound> {
    match decode(snapshot)? {
        CarriedV1::Message(message) => Some(Outbound::from(*message)),
        _ => None,
    }
}

/// Returns the customer's message in a piece.
pub fn received_in(snapshot: &[u8]) -> Option<Box<Received>> {
    let delivery = match decode(snapshot)? {
        CarriedV1::Delivery(delivery) => Delivery::from(*delivery),
        CarriedV1::DeadLetter(letter) => DeadLetter::from(*letter).delivery,
        _ => return None,
    };
    match delivery.kind {
        DeliveryKind::Message(received) => Some(Box::new(Received::clone(&received))),
        _ => None,
    }
}

fn decode(snapshot: &[u8]) -> Option<CarriedV1<'static>> {
    let CarriedSnapshot::V1(piece) = storage::decode_snapshot(snapshot).ok()?;
    Some(piece)
}

/// The subject of a piece, by which its look-up keys are found.
#[derive(Clone, Copy, Debug)]
pub enum CarriedSubject<'a> {
    /// Everything but the lists.
    Session,
    /// A message that is not settled.
    Message(&'a Outbound),
    /// A delivery, waiting or given up.
    Delivery(&'a Delivery),
    /// Nothing.
    End,
}

impl Session {
    /// Returns the events that tell the whole state again, with the subject of each.
    ///
    /// # Errors
    /// When a piece cannot be encoded.
    pub fn carry(&self) -> Result<Vec<(Event, CarriedSubject<'_>)>, CodecError> {
        let mut pieces = vec![(self.first_piece()?, CarriedSubject::Session)];
        for message in self.messages() {
            let piece = CarriedV1::Message(Box::new(OutboundV1::from(message)));
            pieces.push((event(Some(message.number), piece)?, CarriedSubject::Message(message)));
        }
        for delivery in &self.deliveries {
            let piece = CarriedV1::Delivery(Box::new(DeliveryV1::from(delivery)));
            pieces.push((event(None, piece)?, CarriedSubject::Delivery(delivery)));
        }
        for letter in &self.dead_letters {
            let piece = CarriedV1::DeadLetter(Box::new(DeadLetterV1::from(letter)));
            pieces.push((event(None, piece)?, CarriedSubject::Delivery(&letter.delivery)));
        }
        if pieces.len() > 1 {
            pieces.push((event(None, CarriedV1::End)?, CarriedSubject::End));
        }
        Ok(pieces)
    }

    fn first_piece(&self) -> Result<Event, CodecError> {
        let SessionSnapshot::V1(mut session) = SessionSnapshot::from(self);
        session.queue.clear();
        session.sent.clear();
        session.deliveries.clear();
        session.dead_letters.clear();
        let first = CarriedSessionV1 {
            session,
            messages: self.messages().map(|message| message.number).collect(),
            deliveries: self.deliveries.iter().map(|delivery| delivery.number).collect(),
            dead_letters: self.dead_letters.iter().map(|letter| letter.delivery.number).collect(),
        };
        event(None, CarriedV1::Session(Box::new(first)))
    }

    /// Applies a piece. One that cannot be read changes nothing.
    pub(super) fn apply_carried(&mut self, snapshot: &[u8], at: Timestamp) {
        match decode(snapshot) {
            Some(CarriedV1::Session(first)) => {
                let is_whole = is_alone(&first);
                self.begin_carried(*first);
                if is_whole {
                    self.since = at;
                }
            }
            Some(CarriedV1::Message(message)) => self.add_carried(Outbound::from(*message)),
            Some(CarriedV1::Delivery(delivery)) if !self.has_delivery(delivery.number) => {
                self.deliveries.push_back(Delivery::from(*delivery));
            }
            Some(CarriedV1::DeadLetter(letter)) => {
                let letter = DeadLetter::from(*letter);
                let number = letter.delivery.number;
                if self.dead_letters.iter().all(|known| known.delivery.number != number) {
                    self.dead_letters.push(letter);
                }
            }
            Some(CarriedV1::End) => self.since = at,
            Some(CarriedV1::Delivery(_)) | None => {}
        }
    }

    /// Whether a delivery waits. Their numbers rise, but for dead letters that were replayed.
    fn has_delivery(&self, number: u32) -> bool {
        let is_found = self.deliveries.binary_search_by_key(&number, |delivery| delivery.number).is_ok();
        is_found || self.deliveries.iter().any(|delivery| delivery.number == number)
    }

    /// Takes over all but the lists, of which only the named items stay.
    fn begin_carried(&mut self, first: CarriedSessionV1<'_>) {
        let CarriedSessionV1 { session, mut messages, mut deliveries, mut dead_letters } = first;
        messages.sort_unstable();
        deliveries.sort_unstable();
        dead_letters.sort_unstable();
        let is_named = |number: MessageNo| messages.binary_search(&number).is_ok();
        let known = std::mem::replace(self, Self::from(SessionSnapshot::V1(session)));
        self.since = known.since;
        self.queue = known.queue;
        self.sent = known.sent;
        self.deliveries = known.deliveries;
        self.dead_letters = known.dead_letters;
        self.queue.retain(|message| is_named(message.number));
        self.sent.retain(|number, _| is_named(*number));
        self.deliveries.retain(|delivery| deliveries.binary_search(&delivery.number).is_ok());
        self.dead_letters.retain(|letter| dead_letters.binary_search(&letter.delivery.number).is_ok());
    }
}

/// Whether no other pieces follow a first one.
fn is_alone(first: &CarriedSessionV1<'_>) -> bool {
    first.messages.is_empty() && first.deliveries.is_empty() && first.dead_letters.is_empty()
}

fn event(message: Option<MessageNo>, piece: CarriedV1<'_>) -> Result<Event, CodecError> {
    let snapshot = storage::encode_snapshot(&CarriedSnapshot::V1(piece))?;
    Ok(Event::Carried { message, snapshot: snapshot.into() })
}
