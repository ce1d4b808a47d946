//! Whether an operator has paused a channel. Pure: each change is an event of the channel's own
//! stream, so that a restart finds the state that the last run left.

use message::{Event, Timestamp};

/// The pause of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause(Option<Timestamp>);

impl Pause {
    /// Returns the state that a snapshot holds.
    pub fn resumed(since: Option<Timestamp>) -> Self {
        Self(since)
    }

    /// Returns when the pause began; `None` without a pause.
    pub fn since(self) -> Option<Timestamp> {
        self.0
    }

    /// Returns whether nothing may be sent.
    pub fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// Returns the event that leads to the wanted state; `None` if it holds already, so that
    /// repeating a command changes neither the log nor the beginning of the pause.
    pub fn change(self, wanted: bool) -> Option<Event> {
        match (self.is_on(), wanted) {
            (false, true) => Some(Event::ChannelPaused),
            (true, false) => Some(Event::ChannelResumed),
            _ => None,
        }
    }

    /// Applies an event of the channel's stream; others change nothing.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ChannelPaused => _ = self.0.get_or_insert(at),
            Event::ChannelResumed => self.0 = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Commands in any order, with a snapshot or a restart anywhere: the replayed state is the
        /// live one, and the pause began at the first of the commands that asked for it.
        #[test]
        fn a_restart_finds_the_last_command(
            commands in prop::collection::vec(any::<bool>(), 0..40),
            snapshot_at in 0usize..40,
        ) {
            let (mut live, mut expected, mut stored) = (Pause::default(), None, Vec::new());
            let (mut snapshot, mut events_in_it) = (None, 0);
            for (n, wanted) in commands.into_iter().enumerate() {
                let at = Timestamp(n as u64 + 1);
                if n == snapshot_at {
                    (snapshot, events_in_it) = (live.since(), stored.len());
                }
                if let Some(event) = live.change(wanted) {
                    live.apply(&event, at);
                    stored.push((event, at));
                }
                expected = if wanted { expected.or(Some(at)) } else { None };
                prop_assert_eq!(live.since(), expected);
                prop_assert_eq!(live.change(wanted), None, "a repetition changes nothing");
            }
            let mut replayed = Pause::resumed(snapshot);
            for (event, at) in stored.into_iter().skip(events_in_it) {
                replayed.apply(&event, at);
            }
            prop_assert_eq!(replayed, live);
        }
    }
}
