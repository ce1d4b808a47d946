//! The problems of the node as a metric: 1 while there is one, 0 when it is over.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use actors::view::ProblemView;
use metrics::{Gauge, gauge};
use serde::Serialize;

/// The metric.
const PROBLEMS: &str = "patchbay_problems";
/// Maximum number of problems that are told apart; others have no code.
const PROBLEMS_MAX: usize = 500;

/// The facts that tell a problem from another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    kind: String,
    severity: String,
    channel: String,
    destination: String,
    code: String,
}

impl Labels {
    fn of(problem: &ProblemView) -> Self {
        let text = |id: Option<String>| id.unwrap_or_default();
        Self {
            kind: word(&problem.kind),
            severity: word(&problem.severity),
            channel: text(problem.channel.as_ref().map(ToString::to_string)),
            destination: text(problem.destination.as_ref().map(ToString::to_string)),
            code: text(problem.code.as_ref().map(ToString::to_string)),
        }
    }

    fn gauge(&self) -> Gauge {
        let Self { kind, severity, channel, destination, code } = self.clone();
        gauge!(
            PROBLEMS, "kind" => kind, "severity" => severity, "channel" => channel,
            "destination" => destination, "code" => code,
        )
    }
}

/// Returns the word that JSON has for a kind or a severity.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|json| Some(json.as_str()?.to_owned())).unwrap_or_default()
}

/// The gauges of all problems that there were since the start; the recorder has them for ever, too.
static GAUGES: Mutex<BTreeMap<Labels, Gauge>> = Mutex::new(BTreeMap::new());

/// Sets the gauges to the problems that there are.
pub fn publish(problems: &[ProblemView]) {
    let mut gauges = GAUGES.lock().unwrap_or_else(PoisonError::into_inner);
    for (labels, count) in counts(gauges.keys(), problems) {
        gauges.entry(labels).or_insert_with_key(Labels::gauge).set(count);
    }
}

/// Counts the problems by their labels; those that are over count as 0.
fn counts<'a>(known: impl Iterator<Item = &'a Labels>, problems: &[ProblemView]) -> BTreeMap<Labels, f64> {
    let mut counts: BTreeMap<Labels, f64> = known.map(|labels| (labels.clone(), 0.0)).collect();
    for problem in problems {
        let mut labels = Labels::of(problem);
        if counts.len() >= PROBLEMS_MAX && !counts.contains_key(&labels) {
            labels.code.clear();
        }
        *counts.entry(labels).or_default() += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use actors::view::{ProblemKind, Severity};
    use message::Timestamp;

    use super::*;

    fn problem(code: &str) -> ProblemView {
        ProblemView {
            severity: Severity::Error,
            kind: ProblemKind::ChannelStopped,
            channel: Some("sms".into()),
            destination: None,
            since: Timestamp(7),
            reason: String::new(),
            code: Some(code.into()),
            fix: String::new(),
            link: String::new(),
        }
    }

    #[test]
    fn a_problem_that_is_over_is_told_as_none() {
        let first = counts([].into_iter(), &[problem("14")]);
        let (labels, count) = first.iter().next().unwrap();
        let told = (&*labels.kind, &*labels.severity, &*labels.channel, &*labels.code, *count);
        assert_eq!(told, ("channelStopped", "error", "sms", "14", 1.0));
        let then = counts(first.keys(), &[problem("15")]);
        assert_eq!(then.values().copied().collect::<Vec<_>>(), [0.0, 1.0]);
    }

    #[test]
    fn codes_are_limited() {
        let many: Vec<ProblemView> = (0..2 * PROBLEMS_MAX).map(|n| problem(&n.to_string())).collect();
        assert_eq!(counts([].into_iter(), &many).len(), PROBLEMS_MAX + 1);
    }
}
