//! Random numbers from a seed, and faults that happen by pattern: equal seeds give equal courses on
//! every machine.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often a fault happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pattern {
    /// Not at all.
    #[default]
    Never,
    /// Each time.
    Always,
    /// Exactly every Nth time, written `1/100`.
    Every(u32),
    /// At random, with this probability from 0 to 1; written as a percentage such as `0.5%`.
    Rate(f64),
}

/// A text that cannot be read as a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid pattern; write never, always, 1/100 (every hundredth) or 0.5% (at random)")]
pub struct BadPattern(String);

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let wrong = || BadPattern(text.chars().take(40).collect());
        match text.trim() {
            "never" | "" | "0" => return Ok(Self::Never),
            "always" => return Ok(Self::Always),
            _ => {}
        }
        if let Some(percent) = text.trim().strip_suffix('%') {
            let rate = percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0;
            return if (0.0..=1.0).contains(&rate) { Ok(Self::Rate(rate)) } else { Err(wrong()) };
        }
        let every = text.trim().strip_prefix("1/").ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        if every == 0 { Err(wrong()) } else { Ok(Self::Every(every)) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Always => f.write_str("always"),
            Self::Every(every) => write!(f, "1/{every}"),
            Self::Rate(rate) => write!(f, "{}%", rate * 100.0),
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A random number generator (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `most`, inclusive.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        if most == 0 { 0 } else { self.next() % most.saturating_add(1).max(1) }
    }
}

/// The state of one fault: its own count and generator, so that faults do not influence each other.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    count: u32,
    chance: Chance,
}

impl Trigger {
    pub(crate) fn new(seed: u64) -> Self {
        Self { count: 0, chance: Chance(seed) }
    }

    /// Returns whether the fault happens this time.
    pub(crate) fn fires(&mut self, pattern: Pattern) -> bool {
        match pattern {
            Pattern::Never => false,
            Pattern::Always => true,
            Pattern::Every(every) => {
                self.count += 1;
                let due = self.count >= every;
                if due {
                    self.count = 0;
                }
                due
            }
            #[allow(clippy::cast_precision_loss, reason = "53 bits are enough for a probability")]
            Pattern::Rate(rate) => ((self.chance.next() >> 11) as f64) < rate * (1u64 << 53) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_back_as_written() {
        for (text, pattern) in [
            ("never", Pattern::Never),
            ("always", Pattern::Always),
            ("1/100", Pattern::Every(100)),
            ("50%", Pattern::Rate(0.5)),
        ] {
            assert_eq!(text.parse(), Ok(pattern));
            assert_eq!(pattern.to_string(), text);
        }
        for wrong in ["1/0", "often", "101%", "-1%", "1/-2", "%"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_fires_as_often_as_it_says() {
        let fired = |pattern| {
            let mut trigger = Trigger::new(7);
            (0..10_000).filter(|_| trigger.fires(pattern)).count()
        };
        assert_eq!(fired(Pattern::Every(100)), 100);
        assert_eq!(fired(Pattern::Always), 10_000);
        let at_random = fired(Pattern::Rate(0.1));
        assert!((900..1_100).contains(&at_random), "{at_random}");
        assert_eq!(at_random, fired(Pattern::Rate(0.1)), "the seed decides");
    }
}
