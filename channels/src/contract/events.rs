//! Tables of the events that a provider's reference lists, with what becomes of each. A reader asks
//! its table before it reads an item, so that nothing is handled that the table does not list; a
//! test sends a sample of each row, so that nothing is listed that is not handled.

/// The treatment of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A message of the customer, delivered to the business.
    Message,
    /// A NOTIFICATION or DELETEDNOTIFICATION in the customer's conversation.
    Notice,
    /// A change of the customer's address, told as a NOTIFICATION.
    Move,
    /// A report on a message of the business.
    Receipt,
    /// A notice about the account, shown with the channel's status.
    Account,
    /// Read by the rows of another place.
    Inside,
    /// Not read, for this reason.
    Ignored(&'static str),
}

/// An event of a provider's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// Where its name stands, in the provider's word.
    pub place: &'static str,
    /// The word for it in the provider's reference.
    pub name: &'static str,
    /// Its treatment.
    pub fate: Fate,
}

/// Returns a row of a table.
pub const fn row(place: &'static str, name: &'static str, fate: Fate) -> EventKind {
    EventKind { place, name, fate }
}

/// Returns what becomes of an event. `None`: the table does not list it.
pub fn fate(table: &[EventKind], place: &str, name: &str) -> Option<Fate> {
    table.iter().find(|kind| kind.place == place && kind.name == name).map(|kind| kind.fate)
}

/// Maximum number of kinds that one webhook reports as unknown.
const UNKNOWN_MAX: usize = 8;
/// Maximum length of the name of an unknown kind, in characters.
const NAME_CHARACTERS_MAX: usize = 64;

/// Notes an event that no table lists: it is counted and shown, and costs no neighbour.
pub fn note_unknown(unknown: &mut Vec<Box<str>>, place: &str, name: &str) {
    let plain = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    let kind: String = place.chars().chain([' ']).chain(plain).take(NAME_CHARACTERS_MAX).collect();
    if unknown.len() < UNKNOWN_MAX && !unknown.iter().any(|known| **known == *kind) {
        unknown.push(kind.into());
    }
}

impl Fate {
    /// Returns what becomes of it, in words.
    pub fn words(self) -> String {
        match self {
            Self::Message => "message".into(),
            Self::Notice => "notification".into(),
            Self::Move => "change of the customer's address".into(),
            Self::Receipt => "receipt".into(),
            Self::Account => "fact about the account".into(),
            Self::Inside => "read by its parts".into(),
            Self::Ignored(reason) => format!("ignored: {reason}"),
        }
    }
}
