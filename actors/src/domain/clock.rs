//! Doubts the wall clock: a jump counts only when it has lasted. The monotonic clock says how much
//! time has passed, so while a jump is in doubt time goes on as before, and nothing that cannot be
//! undone is done before both agree that its time has come. Pure: both clocks are arguments.

use message::Timestamp;
use storage::invariant;

/// Steps of the wall clock up to this are believed at once, in milliseconds: it is being adjusted.
const STEP_MAX_MS: u64 = 2_000;
/// How long a jump must last to be believed, in milliseconds.
pub const WAIT_MS: u64 = 5 * 60 * 1_000;
/// A start that is later than the log's newest event by more than this is in doubt, in
/// milliseconds: the machine's clock may be wrong.
const AWAY_MAX_MS: u64 = 60 * 60 * 1_000;

/// An instant, with the bounds that hold while the wall clock is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time to record and to schedule by.
    pub now: Timestamp,
    /// Certainly reached: what is due by then may be done even if it cannot be undone.
    pub sure: Timestamp,
    /// Perhaps reached: what ends by then must not be begun.
    pub latest: Timestamp,
}

impl From<Timestamp> for Moment {
    fn from(now: Timestamp) -> Self {
        Self { now, sure: now, latest: now }
    }
}

/// The change that a reading noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// The wall clock jumped by this many milliseconds, and is in doubt.
    Jumped(i64),
    /// The jump was undone before it was believed.
    CameBack,
    /// The jump lasted and is believed.
    Believed,
}

/// The wall clock, compared with the monotonic clock.
#[derive(Clone, Debug)]
pub struct SteadyClock {
    /// Wall-clock time minus monotonic time, in milliseconds, as believed.
    believed: i64,
    doubt: Option<ClockDoubt>,
}

#[derive(Clone, Copy, Debug)]
struct ClockDoubt {
    /// Wall-clock time minus monotonic time as the wall clock says.
    claimed: i64,
    since_ms: u64,
    /// Whether the wall clock is the better guess meanwhile: a start cannot compare it with the
    /// monotonic time of an earlier run.
    is_likely: bool,
}

impl SteadyClock {
    /// Starts with both clocks and the time of the newest event in the log, if there is one.
    pub fn new(wall: Timestamp, monotonic_ms: u64, newest: Option<Timestamp>) -> Self {
        let claimed = offset(wall, monotonic_ms);
        let doubt = |is_likely| Some(ClockDoubt { claimed, since_ms: monotonic_ms, is_likely });
        match newest {
            Some(newest) if newest.0 > wall.0.saturating_add(STEP_MAX_MS) => {
                Self { believed: offset(newest, monotonic_ms), doubt: doubt(false) }
            }
            Some(newest) if wall.since_ms(newest) > AWAY_MAX_MS => {
                Self { believed: offset(newest, monotonic_ms), doubt: doubt(true) }
            }
            _ => Self { believed: claimed, doubt: None },
        }
    }

    /// Reads both clocks.
    pub fn read(&mut self, wall: Timestamp, monotonic_ms: u64) -> (Moment, Option<ClockChange>) {
        let claimed = offset(wall, monotonic_ms);
        let change = self.compare(claimed, monotonic_ms);
        let believed = instant(self.believed, monotonic_ms);
        let moment = match self.doubt {
            None => Moment::from(wall),
            Some(doubt) => Moment {
                now: if doubt.is_likely { wall } else { believed },
                sure: believed.min(wall),
                latest: believed.max(wall),
            },
        };
        let Moment { now, sure, latest } = moment;
        invariant!(sure <= now && now <= latest, "{moment:?} at {wall:?}");
        (moment, change)
    }

    fn compare(&mut self, claimed: i64, monotonic_ms: u64) -> Option<ClockChange> {
        if self.believed.abs_diff(claimed) <= STEP_MAX_MS {
            self.believed = claimed;
            return self.doubt.take().map(|_| ClockChange::CameBack);
        }
        match &mut self.doubt {
            Some(doubt) if doubt.claimed.abs_diff(claimed) <= STEP_MAX_MS => {
                doubt.claimed = claimed;
                if monotonic_ms.saturating_sub(doubt.since_ms) < WAIT_MS {
                    return None;
                }
                (self.believed, self.doubt) = (claimed, None);
                Some(ClockChange::Believed)
            }
            _ => {
                let doubt = ClockDoubt { claimed, since_ms: monotonic_ms, is_likely: false };
                self.doubt = Some(doubt);
                Some(ClockChange::Jumped(claimed.saturating_sub(self.believed)))
            }
        }
    }

    /// Returns the milliseconds by which the wall clock is ahead of the believed time; `None` while
    /// it is not in doubt.
    pub fn doubt_ms(&self) -> Option<i64> {
        self.doubt.map(|doubt| doubt.claimed.saturating_sub(self.believed))
    }
}

fn offset(wall: Timestamp, monotonic_ms: u64) -> i64 {
    let ms = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    ms(wall.0).saturating_sub(ms(monotonic_ms))
}

fn instant(offset: i64, monotonic_ms: u64) -> Timestamp {
    let ms = i64::try_from(monotonic_ms).unwrap_or(i64::MAX).saturating_add(offset);
    Timestamp(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;
    const BEGIN: u64 = 1_780_000_000_000;

    /// Reads the clock each second; `wrong` says by how much the wall clock is off then. Returns
    /// the largest error of `now`, and the latest `sure` and `latest`, against the true time.
    fn drive(seconds: u64, wrong: impl Fn(u64) -> i64) -> (u64, i64, i64) {
        let wall = |s: u64| Timestamp((BEGIN + s * 1_000).saturating_add_signed(wrong(s)));
        let mut clock = SteadyClock::new(wall(0), 0, None);
        let (mut error, mut sure, mut latest) = (0, i64::MIN, i64::MIN);
        for s in 0..seconds {
            let (moment, _) = clock.read(wall(s), s * 1_000);
            let truth = (BEGIN + s * 1_000) as i64;
            error = error.max(moment.now.0.abs_diff(truth as u64));
            sure = sure.max(moment.sure.0 as i64 - truth);
            latest = latest.max(moment.latest.0 as i64 - truth);
            assert!(moment.sure <= moment.now && moment.now <= moment.latest);
        }
        (error, sure, latest)
    }

    #[test]
    fn a_jump_that_passes_changes_no_time_and_makes_nothing_sure() {
        let during = |from: u64, to: u64, by: i64| move |s: u64| if (from..to).contains(&s) { by } else { 0 };
        for by in [3 * DAY, -3 * DAY, 3_600_000, -3_600_000, 10_000, -10_000] {
            for lasts in [1, 3, 30, 120, 299] {
                let (error, sure, latest) = drive(900, during(100, 100 + lasts, by));
                assert_eq!((error, sure), (0, 0), "{by} for {lasts} s");
                assert_eq!(latest, by.max(0), "what ends meanwhile is not begun");
            }
        }
        // Two jumps after each other, and one within another.
        let (error, sure, _) = drive(900, |s| match s {
            10..=100 => 3 * DAY,
            101..=200 => -DAY,
            201..=400 => 7 * DAY,
            _ => 0,
        });
        assert_eq!((error, sure), (0, 0));
    }

    #[test]
    fn small_steps_are_followed_and_a_jump_that_lasts_is_believed() {
        // It is slowly adjusted by a minute.
        let (error, ..) = drive(900, |s| (s * 66) as i64);
        assert!(error <= 900 * 66);
        for by in [3 * DAY, -3 * DAY] {
            let mut clock = SteadyClock::new(Timestamp(BEGIN), 0, None);
            let wall = |ms: u64| Timestamp((BEGIN + ms).saturating_add_signed(by));
            assert_eq!(clock.read(wall(1_000), 1_000).1, Some(ClockChange::Jumped(by)));
            assert_eq!(clock.doubt_ms(), Some(by));
            assert_eq!(clock.read(wall(2_000), 2_000).0.now, Timestamp(BEGIN + 2_000));
            let (moment, change) = clock.read(wall(1_000 + WAIT_MS), 1_000 + WAIT_MS);
            assert_eq!((moment, change), (wall(1_000 + WAIT_MS).into(), Some(ClockChange::Believed)));
            assert_eq!(clock.doubt_ms(), None);
        }
    }

    #[test]
    fn a_start_is_compared_with_the_newest_event() {
        let hour = 3_600_000;
        // Wall clock against the newest event; `now` and `sure` against the wall clock.
        for (wall, now, sure, is_doubtful) in [
            (1_000, 0, 0, false),
            (-1_000, 0, 0, false),
            (hour / 2, 0, 0, false),
            (3 * DAY, 0, -3 * DAY, true),
            (-3 * DAY, 3 * DAY, 0, true),
            (-hour, hour, 0, true),
        ] {
            let at = Timestamp(BEGIN.saturating_add_signed(wall));
            let mut clock = SteadyClock::new(at, 77, Some(Timestamp(BEGIN)));
            let (moment, _) = clock.read(at, 77);
            let against = |instant: Timestamp| instant.0 as i64 - at.0 as i64;
            assert_eq!((against(moment.now), against(moment.sure)), (now, sure), "{wall}");
            assert_eq!(clock.doubt_ms().is_some(), is_doubtful, "{wall}");
            let later = Timestamp(at.0 + WAIT_MS);
            assert_eq!(clock.read(later, 77 + WAIT_MS).0, later.into(), "{wall}: believed in the end");
        }
        assert_eq!(SteadyClock::new(Timestamp(BEGIN), 5, None).doubt_ms(), None);
    }
}
