//! The opening of the session to which an event belongs: it names the address. Found along the
//! events of one message, never through the session's history.

use message::{Event, Seq, Timestamp, event::Revived};
use storage::{ReadError, Stored};

use crate::{
    domain::session::{Session, carried},
    history::reader::LogReader,
};

/// Maximum number of events read for one opening; one further back is not found.
const WALK_MAX: usize = 100_000;

/// An opening as the log holds it.
pub(crate) struct Opening {
    /// Its event, and those that stand before it in the stream and among the openings.
    pub(crate) seq: Seq,
    pub(crate) prev: Seq,
    pub(crate) earlier: Seq,
    /// The state with which the session began, without its lists.
    pub(crate) session: Session,
    /// Whether the session began before: its state was told again here, or it was touched again
    /// after its end.
    pub(crate) is_continued: bool,
}

impl Opening {
    /// Returns the opening that an event is, if it is one.
    pub(crate) fn of(stored: &Stored) -> Option<Self> {
        let session = match &stored.event {
            event @ (Event::SessionOpened(_) | Event::Revived(_)) => begun(event, stored.at),
            Event::Carried { message: None, snapshot } => carried::session_in(snapshot)?,
            _ => return None,
        };
        let is_continued = !matches!(stored.event, Event::SessionOpened(_));
        Some(Self { seq: stored.seq, prev: stored.prev, earlier: stored.about, session, is_continued })
    }

    /// Finds the opening of the session to which the event `seq` belongs. `None` if retention has
    /// removed it.
    ///
    /// # Errors
    ///
    /// Returns an error if an event cannot be read.
    pub(crate) fn find(reader: &LogReader, seq: Seq) -> Result<Option<Self>, ReadError> {
        let mut next = seq;
        for _ in 0..WALK_MAX {
            let Some(stored) = reader.event(next)? else { break };
            if let Some(opening) = Self::of(&stored) {
                return Ok(Some(opening));
            }
            if stored.about >= next {
                break;
            }
            next = stored.about;
        }
        Ok(None)
    }

    /// Returns the event that makes a finished stream live again.
    pub(crate) fn revived(&self, counters: message::Counters) -> Revived {
        let Session { address, reached, customer_shown, did_shown, .. } = self.session.clone();
        Revived { address, reached, customer_shown, did_shown, counters }
    }
}

fn begun(event: &Event, at: Timestamp) -> Session {
    let mut session = Session::blank();
    session.apply(event, at);
    session
}
