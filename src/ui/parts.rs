//! Building blocks of the pages: times, states, timelines, empty lists, buttons.

use actors::view::EventView;
use channels::url::percent_encode;
use maud::{Markup, html};
use message::{SessionId, Timestamp};

use crate::instant::rfc3339;

/// Returns an instant; the script shows it in the reader's time zone.
pub(super) fn time(at: Timestamp) -> Markup {
    let text = rfc3339(at);
    html! { time datetime=(text) data-ms=(at.0) { (text) } }
}

/// Returns how long a state has lasted; the script updates it.
pub(super) fn since(at: Timestamp) -> Markup {
    let text = rfc3339(at);
    html! { time.since.for datetime=(text) data-ms=(at.0) data-since { (text) } }
}

/// Returns how long ago something was; the script updates it.
pub(super) fn ago(at: Timestamp) -> Markup {
    let text = rfc3339(at);
    html! { time.since datetime=(text) data-ms=(at.0) data-since { (text) } }
}

/// Returns a state as a coloured word.
pub(super) fn state(word: &str) -> Markup {
    let class = match word {
        "connected" | "bound" | "ready" | "up" | "open" | "DELIVERED" | "READ" => "good",
        "failed"
        | "credentials_refused"
        | "misconfigured"
        | "disconnected"
        | "down"
        | "stopped"
        | "FAILED" => "bad",
        "IN_DOUBT" | "connecting" | "waiting" | "paused" => "warn",
        _ => "calm",
    };
    html! { span.state.(class) { (word.replace('_', " ")) } }
}

/// Returns a number with thin spaces between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Returns events, oldest first, each with the time since the first. `link` makes the address of an
/// event.
pub(super) fn timeline(events: &[EventView], link: impl Fn(&EventView) -> Option<String>) -> Markup {
    let first = events.first().map(|e| e.at).unwrap_or_default();
    html! {
        ol.timeline {
            @for event in events {
                li.{"e-" (event.event)} {
                    div.when {
                        (time(event.at))
                        span.quiet { "+" (offset(event.at.since_ms(first))) }
                    }
                    div.what {
                        b { (named(event.event)) }
                        @if let Some(message) = event.message { span.tag { "message " (message) } }
                        @if let Some(part) = event.part { span.tag { "part " (part) } }
                        @if !event.detail.is_empty() { p { (detail(event)) } }
                    }
                    div.seq.quiet {
                        @if let Some(href) = link(event) { a href=(href) title="the session just after this event" { "#" (event.seq) } }
                        @else { "#" (event.seq) }
                    }
                }
            }
        }
    }
}

/// Returns an event's name for people.
fn named(event: &str) -> String {
    match event {
        // To a reader of the timeline, a receipt after the final status is a receipt like any
        // other.
        "late_receipt" => "receipt".into(),
        _ => event.replace('_', " "),
    }
}

/// Returns the details of an event. An acceptance starts with the message's id, which becomes a
/// link.
fn detail(event: &EventView) -> Markup {
    match event.detail.split_once(' ') {
        Some((id, rest)) if event.event == "accepted" => {
            html! { a href={"/message?id=" (percent_encode(id))} { (id) } " " (rest) }
        }
        _ => html! { (event.detail) },
    }
}

fn offset(ms: u64) -> String {
    match ms {
        0..=9_999 => format!("{ms} ms"),
        10_000..=599_999 => format!("{:.1} s", ms as f64 / 1000.0),
        600_000..=7_199_999 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Returns the text shown instead of an empty list.
pub(super) fn nothing(text: &str, why: &str) -> Markup {
    html! { div.empty { p { (text) } p.quiet { (why) } } }
}

/// Returns a button that posts JSON and reloads the page. The text in `sure` is confirmed first.
pub(super) fn button(name: &str, to: &str, body: &str, sure: &str) -> Markup {
    html! { button type="button" data-post=(to) data-body=(body) data-sure=(sure) { (name) } }
}

/// Returns links to the first and the next page of a list ordered by session.
pub(super) fn pages(path: &str, after: Option<SessionId>, next: Option<SessionId>) -> Markup {
    html! {
        p.pages {
            @if after.is_some() { a href=(path) { "First page" } }
            @if let Some(next) = next { a href={(path) "?after=" (percent_encode(&next.to_string()))} { "Next page" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1234567), "1\u{202f}234\u{202f}567");
    }
}
