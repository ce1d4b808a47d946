//! The top line of every page: whether all is well, or what is not, with the cause and the fix. It
//! shows what `GET /api/status` answers.

use actors::view::{ProblemView, Severity, StatusView};
use maud::{Markup, html};

use super::parts::{count, time};

/// The largest number of problems listed; further ones are counted.
const PROBLEMS_MAX: usize = 30;

/// The state of the node in one word, for colour and icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Warning,
    Bad,
}

impl Health {
    pub(super) fn of(status: &StatusView) -> Self {
        match status.problems.iter().map(|problem| problem.severity).min() {
            None => Self::Good,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::Error) => Self::Bad,
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warn",
            Self::Bad => "bad",
        }
    }

    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Good => "/ui/icon.svg",
            Self::Warning => "/ui/icon-warn.svg",
            Self::Bad => "/ui/icon-bad.svg",
        }
    }
}

/// Returns the state in a few words, for the title of the window.
pub(super) fn short(status: &StatusView) -> String {
    match status.problems.len() {
        0 => "All is well".to_owned(),
        1 => "1 problem".to_owned(),
        number => format!("{number} problems"),
    }
}

/// Returns the top line. `is_open` shows all problems, not only the worst.
pub(super) fn line(status: &StatusView, is_open: bool) -> Markup {
    let health = Health::of(status);
    let further = status.problems.len().saturating_sub(PROBLEMS_MAX);
    html! {
        section #health.health.(health.class()) aria-label="State" data-icon=(health.icon()) {
            p role="status" { b { (short(status)) } ": " (sentence(status)) }
            @if !status.problems.is_empty() {
                details #problems open[is_open] {
                    summary { "Cause and fix" @if status.problems.len() > 1 { " of each" } }
                    ul {
                        @for problem in status.problems.iter().take(PROBLEMS_MAX) { li { (shown(problem)) } }
                        @if further > 0 { li { "And " (further) " more: " code { "patchbay status" } " lists all." } }
                    }
                }
            }
        }
    }
}

/// Returns the worst problem, or how much is connected.
fn sentence(status: &StatusView) -> String {
    if let Some(worst) = status.problems.first() {
        return format!("{}.", worst.reason.trim_end_matches('.'));
    }
    let waiting = match status.messages_waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 message waits".to_owned(),
        number => format!("{} messages wait", count(number)),
    };
    format!(
        "{} of {} channels connected, {} of {} destinations up, {waiting}.",
        status.channels_connected, status.channels_total, status.destinations_up, status.destinations_total
    )
}

fn shown(problem: &ProblemView) -> Markup {
    html! {
        p.strong { (problem.reason) @if let Some(code) = &problem.code { " (" code { (code) } ")" } }
        p { (problem.fix) }
        p.quiet { "Since " (time(problem.since)) ". " a href=(problem.link) { "Look at it" } }
    }
}

/// Returns the problems of one channel or destination, for its card.
pub(super) fn of_one<'a>(problems: impl Iterator<Item = &'a ProblemView>) -> Markup {
    html! {
        @for problem in problems {
            div.problem.(if problem.severity == Severity::Error { "bad" } else { "warn" }) {
                p.strong { (problem.reason) @if let Some(code) = &problem.code { " (" code { (code) } ")" } }
                p { (problem.fix) }
            }
        }
    }
}
