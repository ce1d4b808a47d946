//! A circuit breaker for one provider. While it is open, single probes are tried; after a
//! successful probe a single part decides, because a provider may answer questions and accept
//! nothing. Pure: it is told the outcome of calls and returns the transition.

use storage::invariant;

use crate::domain::backoff::Backoff;

/// Calls in a row without an answer that open the circuit.
const SILENT_MAX: u32 = 3;
/// Answers "unavailable" in a row that open the circuit; more than silent calls, since one sick
/// object among healthy ones must not stop a channel.
const UNAVAILABLE_MAX: u32 = 10;
const BACKOFF_FIRST_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 60_000;

/// The evidence of one call about its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The provider answered.
    There,
    /// The provider did not answer, or cannot be reached.
    Silent(String),
    /// The provider answered that it is unavailable.
    Unavailable(String),
    /// The call tells nothing about the provider.
    Nothing,
}

/// The kind of call that gave a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A call that sends a part.
    Part,
    /// A harmless call: a probe or a poll.
    Look,
}

/// The transition after a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// No change.
    Stay,
    /// All calls are allowed.
    Close,
    /// A probe was answered after parts were not: one part is allowed.
    Half,
    /// No call is allowed for this number of milliseconds.
    Open(u64),
    /// The single try told nothing: it is repeated.
    TryAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CircuitState {
    Closed,
    Open,
    Trial,
    /// A probe was answered, and a part has to be.
    Half,
}

/// Failed calls of one kind in a row.
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

/// The circuit breaker of one provider.
#[derive(Debug)]
pub(crate) struct Circuit {
    phase: CircuitState,
    parts: Failed,
    looks: Failed,
    /// Whether it was open and no part was answered since.
    is_doubted: bool,
    backoff: Backoff,
}

impl Circuit {
    /// Creates a circuit in which the first call decides.
    pub(crate) fn new() -> Self {
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        let none = Failed::default();
        Self { phase: CircuitState::Trial, parts: none, looks: none, is_doubted: false, backoff }
    }

    /// Returns whether calls are allowed.
    pub(crate) fn lets_through(&self) -> bool {
        self.phase != CircuitState::Open
    }

    /// Returns whether all calls are allowed.
    pub(crate) fn is_closed(&self) -> bool {
        self.phase == CircuitState::Closed
    }

    /// Allows a single try after a pause.
    pub(crate) fn trial(&mut self) {
        self.phase = CircuitState::Trial;
    }

    /// Allows no call until a probe is accepted: the provider refuses the credentials. A single
    /// part decides then, because a probe does not show everything.
    pub(crate) fn suspend(&mut self) {
        self.phase = CircuitState::Open;
        self.is_doubted = true;
        self.parts = Failed::default();
    }

    /// Applies a verdict.
    pub(crate) fn learn(&mut self, asked: Asked, verdict: &Verdict) -> Turn {
        invariant!(!(self.is_closed() && self.is_doubted), "all calls to a provider in doubt");
        match verdict {
            Verdict::Nothing => match self.phase {
                CircuitState::Trial | CircuitState::Half => Turn::TryAgain,
                CircuitState::Open | CircuitState::Closed => Turn::Stay,
            },
            Verdict::There => self.there(asked),
            Verdict::Silent(_) | Verdict::Unavailable(_) => {
                let failed = match asked {
                    Asked::Part => &mut self.parts,
                    Asked::Look => &mut self.looks,
                };
                failed.count(matches!(verdict, Verdict::Silent(_)));
                match self.phase {
                    CircuitState::Open => Turn::Stay,
                    CircuitState::Closed if !failed.is_enough() => Turn::Stay,
                    CircuitState::Closed | CircuitState::Trial | CircuitState::Half => {
                        self.phase = CircuitState::Open;
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
            if self.phase != CircuitState::Trial {
                return Turn::Stay;
            }
            self.phase = CircuitState::Half;
            return Turn::Half;
        }
        self.is_doubted = false;
        self.backoff.reset();
        match std::mem::replace(&mut self.phase, CircuitState::Closed) {
            CircuitState::Closed => Turn::Stay,
            CircuitState::Open | CircuitState::Trial | CircuitState::Half => Turn::Close,
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
    fn occasional_failures_do_not_open_it() {
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
    fn a_try_without_evidence_is_repeated() {
        let mut circuit = Circuit::new();
        assert_eq!(circuit.learn(Asked::Part, &Verdict::Nothing), Turn::TryAgain);
        circuit.learn(Asked::Part, &silent());
        assert_eq!(circuit.learn(Asked::Part, &Verdict::Nothing), Turn::Stay);
        circuit.trial();
        assert!(matches!(circuit.learn(Asked::Part, &silent()), Turn::Open(2_000)));
    }

    #[test]
    fn a_provider_that_answers_probes_and_no_part_gets_one_part_at_a_time() {
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
    fn failed_probes_alone_open_it() {
        let mut circuit = Circuit::new();
        circuit.learn(Asked::Part, &Verdict::There);
        for _ in 0..SILENT_MAX - 1 {
            assert_eq!(circuit.learn(Asked::Look, &silent()), Turn::Stay);
        }
        assert_eq!(circuit.learn(Asked::Look, &silent()), Turn::Open(1_000));
    }
}
