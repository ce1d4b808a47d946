//! When a provider that does not answer is left alone, and when it is tried again. Pure: told what became of calls,
//! it says what to do; one look at a time while nobody is known to be there, and after that one part: a provider may
//! answer questions and take nothing.

use crate::domain::backoff::Backoff;

/// Calls in a row without an answer after which a provider is left alone.
const SILENT_MAX: u32 = 3;
/// The same for answers that say "not now": one sick object among healthy ones must not stop a channel.
const UNAVAILABLE_MAX: u32 = 10;
const BACKOFF_FIRST_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 60_000;

/// What a call says about its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers, whatever it says.
    There,
    /// It does not answer, or cannot be reached.
    Silent(String),
    /// It answers that it cannot.
    Unavailable(String),
    /// Nothing was learnt.
    Nothing,
}

/// What was asked when a verdict was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// That it takes a part.
    Part,
    /// Something harmless: whether it is there, what is new.
    Look,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing new.
    Stay,
    /// It is there again: everything may go.
    Close,
    /// It answers a look, and has left parts unanswered before: one of them may go.
    Half,
    /// Leave it alone for so many milliseconds.
    Open(u64),
    /// The one try came to nothing: give it another.
    TryAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open,
    Trial,
    /// A look was answered, a part is to be.
    Half,
}

/// Calls of one kind in a row that came to nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Failed {
    silent: u32,
    unavailable: u32,
}

impl Failed {
    fn count(&mut self, is_silent: bool) {
        self.silent = if is_silent { self.silent.saturating_add(1) } else { 0 };
        self.unavailable = self.unavailable.saturating_add(1);
    }

    fn is_enough(self) -> bool {
        self.silent >= SILENT_MAX || self.unavailable >= UNAVAILABLE_MAX
    }
}

/// The circuit to one provider.
#[derive(Debug)]
pub(crate) struct Circuit {
    phase: Phase,
    parts: Failed,
    looks: Failed,
    /// It was left alone, and has answered for no part since.
    is_doubted: bool,
    backoff: Backoff,
}

impl Circuit {
    /// Nothing is known yet: the first look decides.
    pub(crate) fn new() -> Self {
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        let none = Failed::default();
        Self { phase: Phase::Trial, parts: none, looks: none, is_doubted: false, backoff }
    }

    /// Whether calls may go.
    pub(crate) fn lets_through(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether all may go, not one only.
    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// One try may be made.
    pub(crate) fn trial(&mut self) {
        self.phase = Phase::Trial;
    }

    /// What a call's verdict changes.
    pub(crate) fn learn(&mut self, asked: Asked, verdict: &Verdict) -> Turn {
        match verdict {
            Verdict::Nothing => match self.phase {
                Phase::Trial | Phase::Half => Turn::TryAgain,
                Phase::Open | Phase::Closed => Turn::Stay,
            },
            Verdict::There => self.there(asked),
            Verdict::Silent(_) | Verdict::Unavailable(_) => {
                let failed = match asked {
                    Asked::Part => &mut self.parts,
                    Asked::Look => &mut self.looks,
                };
                failed.count(matches!(verdict, Verdict::Silent(_)));
                match self.phase {
                    Phase::Open => Turn::Stay,
                    Phase::Closed if !failed.is_enough() => Turn::Stay,
                    Phase::Closed | Phase::Trial | Phase::Half => {
                        self.phase = Phase::Open;
                        self.is_doubted = true;
                        Turn::Open(self.backoff.next_ms())
                    }
                }
            }
        }
    }

    fn there(&mut self, asked: Asked) -> Turn {
        self.looks = Failed::default();
        if asked == Asked::Part {
            self.parts = Failed::default();
        } else if self.is_doubted {
            if self.phase != Phase::Trial {
                return Turn::Stay;
            }
            self.phase = Phase::Half;
            return Turn::Half;
        }
        self.is_doubted = false;
        self.backoff.reset();
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Closed => Turn::Stay,
            Phase::Open | Phase::Trial | Phase::Half => Turn::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> Verdict {
        Verdict::Silent("refused".into())
    }

    #[test]
    fn an_hour_of_silence_costs_a_handful_of_calls() {
        let mut circuit = Circuit::new();
        assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Close);
        let (mut now, mut calls) = (0, 0);
        while now < 3_600_000 {
            calls += 1;
            match circuit.learn(Asked::Part, &silent()) {
                Turn::Open(pause) => {
                    assert!(!circuit.lets_through());
                    now += pause;
                    circuit.trial();
                }
                Turn::Stay => now += 1,
                turn => panic!("{turn:?}"),
            }
        }
        assert!((60..75).contains(&calls), "{calls}");
        assert_eq!(circuit.learn(Asked::Part, &Verdict::There), Turn::Close);
        assert!(circuit.is_closed());
    }

    #[test]
    fn now_and_then_a_failure_opens_nothing() {
        let mut circuit = Circuit::new();
        circuit.learn(Asked::Part, &Verdict::There);
        for _ in 0..1_000 {
            for verdict in [silent(), silent(), Verdict::There, Verdict::Unavailable("503".into())] {
                assert_eq!(circuit.learn(Asked::Part, &verdict), Turn::Stay);
            }
        }
        for _ in 0..UNAVAILABLE_MAX - 2 {
            assert_eq!(circuit.learn(Asked::Part, &Verdict::Unavailable("503".into())), Turn::Stay);
        }
        assert!(matches!(circuit.learn(Asked::Part, &Verdict::Unavailable("503".into())), Turn::Open(1_000)));
        assert_eq!(
            circuit.learn(Asked::Part, &silent()),
            Turn::Stay,
            "the rest of what was out changes nothing"
        );
    }

    #[test]
    fn a_try_that_teaches_nothing_is_made_again() {
        let mut circuit = Circuit::new();
        assert_eq!(circuit.learn(Asked::Part, &Verdict::Nothing), Turn::TryAgain);
        circuit.learn(Asked::Part, &silent());
        assert_eq!(circuit.learn(Asked::Part, &Verdict::Nothing), Turn::Stay);
        circuit.trial();
        assert!(matches!(circuit.learn(Asked::Part, &silent()), Turn::Open(2_000)));
    }

    #[test]
    fn a_provider_that_answers_looks_and_no_part_gets_one_part_at_a_time() {
        let mut circuit = Circuit::new();
        assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Close);
        // What it is asked beside does not excuse it.
        for _ in 0..SILENT_MAX - 1 {
            assert_eq!(circuit.learn(Asked::Part, &silent()), Turn::Stay);
            assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Stay);
        }
        assert_eq!(circuit.learn(Asked::Part, &silent()), Turn::Open(1_000));
        assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Stay, "nor opens it again");
        for pause in [2_000, 4_000, 8_000] {
            circuit.trial();
            assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Half);
            assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Stay, "and no second one");
            assert!(circuit.lets_through() && !circuit.is_closed());
            assert_eq!(circuit.learn(Asked::Part, &silent()), Turn::Open(pause));
        }
        circuit.trial();
        assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Half);
        assert_eq!(circuit.learn(Asked::Part, &Verdict::There), Turn::Close);
        assert_eq!(circuit.learn(Asked::Look, &Verdict::There), Turn::Stay);
        assert!(circuit.is_closed());
    }

    #[test]
    fn looks_that_fail_open_it_by_themselves() {
        let mut circuit = Circuit::new();
        circuit.learn(Asked::Part, &Verdict::There);
        for _ in 0..SILENT_MAX - 1 {
            assert_eq!(circuit.learn(Asked::Look, &silent()), Turn::Stay);
        }
        assert_eq!(circuit.learn(Asked::Look, &silent()), Turn::Open(1_000));
    }
}
