//! Denied access and refused credentials of an HTTP link. Access that is denied to one call is
//! confirmed by the provider's probe; a provider that refuses the credentials is left alone with
//! growing pauses. An answer to what was begun before a restart concludes nothing.

use std::time::Duration;

use channels::SendError;
use message::event::Cause;

use super::{HttpLinkState, PROBE_TIMEOUT, note, run};
use crate::{
    actor::link::{
        caller::ProbeReport,
        note::{HttpLinkInput, LinkNote},
    },
    domain::circuit::{Asked, Circuit, Verdict},
    protocol::link::{LinkEvent, LinkStatus, LinkToken, PartAnswer},
};

impl HttpLinkState {
    pub(super) fn restart(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.begin_era();
        (self.is_stopped, self.is_suspended) = (false, false);
        self.circuit = Circuit::new();
        self.refusals.reset();
        (self.attempts, self.is_new, self.registration.is_done) = (0, true, false);
        self.probe();
    }

    /// Ends polling, and gives denied parts back: the answers so far say nothing about what comes.
    pub(super) fn begin_era(&mut self) {
        self.era = self.era.wrapping_add(1);
        self.poller = None;
        (self.poll_denied, self.confirming) = (None, None);
        let is_stopped = self.is_stopped;
        let given_back = |(token, cause)| {
            let error =
                if is_stopped { SendError::Unavailable(cause) } else { SendError::CredentialsRefused(cause) };
            LinkEvent::Answered(token, PartAnswer::Refused(error))
        };
        let given_back: Vec<_> = std::mem::take(&mut self.denied).into_iter().map(given_back).collect();
        if !given_back.is_empty() {
            self.report(given_back);
        }
    }

    /// Stays away until a probe is accepted, with growing pauses.
    pub(super) fn suspend(&mut self, cause: &Cause) {
        // A single part on trial may be refused again.
        let waits = self.is_suspended && !self.circuit.lets_through();
        if waits || self.is_stopped {
            return;
        }
        self.begin_era();
        self.is_suspended = true;
        self.circuit.suspend();
        self.registration.is_done = false;
        self.reason = format!("{} ({})", cause.reason, cause.code);
        self.wait_suspended();
    }

    /// Plans the next probe of a provider that refuses the credentials.
    pub(super) fn wait_suspended(&mut self) {
        let pause = self.caller.context.with_jitter(self.refusals.next_ms());
        let reason = format!("{}; next try in {} s", self.reason, pause.div_ceil(1_000));
        tracing::warn!(channel = self.caller.channel_id(), reason, "credentials refused");
        let (attempts, status, next_ms) = (self.attempts, LinkStatus::Stopped, Some(pause));
        self.report(vec![
            LinkEvent::Down { reason: reason.clone() },
            LinkEvent::Trying { attempts, status, reason, next_ms },
        ]);
        self.probe_after(pause);
    }

    pub(super) fn probe_after(&mut self, pause_ms: u64) {
        self.probe = self.probe.wrapping_add(1);
        let probe = self.probe;
        let due = move || HttpLinkInput::ProbeDue(probe);
        self.myself.send_after(Duration::from_millis(pause_ms), due);
    }

    pub(super) fn on_part(&mut self, token: LinkToken, answer: PartAnswer, verdict: &Verdict, era: u32) {
        let is_current = era == self.era;
        let answer = match answer {
            PartAnswer::Refused(SendError::Forbidden(cause)) if is_current && self.has_probe() => {
                self.denied.push((token, cause));
                return self.confirm();
            }
            // What was begun before a restart or a stop says nothing about the provider now.
            PartAnswer::Refused(SendError::Forbidden(cause)) if !is_current => {
                PartAnswer::Refused(SendError::Unavailable(cause))
            }
            answer => answer,
        };
        // The channel makes its link stay away: no further try is asked for.
        let is_refused = matches!(answer, PartAnswer::Refused(SendError::CredentialsRefused(_)));
        let mut events = vec![LinkEvent::Answered(token, answer)];
        if is_current && !is_refused {
            if matches!(verdict, Verdict::Unavailable(_)) {
                self.check_registration();
            }
            self.on_verdict(Asked::Part, verdict, &mut events);
        }
        self.report(events);
    }

    fn has_probe(&self) -> bool {
        self.caller.provider().is_some_and(|(http, _)| http.probe().is_some())
    }

    /// Asks the probe whether denied access concerns the account, one probe at a time. Calls that
    /// are denied meanwhile await the next.
    pub(super) fn confirm(&mut self) {
        if self.confirming.is_some() || (self.denied.is_empty() && self.poll_denied.is_none()) {
            return;
        }
        let Some((http, config)) = self.caller.provider() else { return };
        let Some(request) = http.probe() else {
            // A poll whose provider has no probe is a probe itself.
            if let Some(cause) = self.poll_denied.take() {
                self.refuse(cause);
            }
            return;
        };
        let limit = config.timeout.min(PROBE_TIMEOUT);
        self.confirming = Some(self.denied.len());
        let (caller, myself, era) = (self.caller.clone(), self.myself.clone(), self.era);
        run(async move {
            let report = caller.probe(request, limit).await;
            note(&myself, LinkNote::Confirmed(report, era));
        });
    }

    /// Handles the answer to the probe that denied calls await.
    pub(super) fn on_confirmed(&mut self, report: ProbeReport) {
        let asked = self.confirming.take().unwrap_or_default().min(self.denied.len());
        let denied: Vec<_> = self.denied.drain(..asked).collect();
        self.poll_denied = None;
        let refused = match report.result {
            Err(SendError::CredentialsRefused(cause)) => Some(cause),
            // The probe may be denied for itself: then it decides nothing.
            _ => None,
        };
        let silent = matches!(report.verdict, Verdict::Silent(_) | Verdict::Unavailable(_));
        let mut events = Vec::new();
        for (token, cause) in denied {
            let error = match &refused {
                Some(cause) => SendError::CredentialsRefused(cause.clone()),
                None if silent => SendError::Unavailable(cause),
                None => SendError::Forbidden(cause),
            };
            events.push(LinkEvent::Answered(token, PartAnswer::Refused(error)));
        }
        if refused.is_none() {
            self.on_verdict(Asked::Look, &report.verdict, &mut events);
            // A single try that told nothing of the provider is repeated.
            self.on_verdict(Asked::Part, &Verdict::Nothing, &mut events);
        }
        self.report(events);
        match refused {
            Some(cause) => self.refuse(cause),
            None => self.confirm(),
        }
    }

    /// Stays away because a probe shows that the provider refuses the credentials.
    pub(super) fn refuse(&mut self, cause: Cause) {
        if self.is_suspended {
            self.begin_era();
            self.circuit.suspend();
            self.reason = format!("{} ({})", cause.reason, cause.code);
            self.wait_suspended();
        } else {
            self.suspend(&cause);
        }
        self.report(vec![LinkEvent::CredentialsRefused { cause, epoch: self.epoch }]);
    }
}
