//! Building blocks of the pages: times, states, tables, timelines, empty lists, buttons.

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

/// Returns the address of a message's page.
pub(super) fn message_link(id: &str) -> String {
    format!("/message?id={}", percent_encode(id))
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

/// Returns a time in words.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns a table that a phone shows as cards. `columns` are names with their classes.
pub(super) fn table<const N: usize>(
    caption: &str,
    columns: [(&str, &str); N],
    rows: impl Iterator<Item = [Markup; N]>,
) -> Markup {
    html! {
        div.panel.rows { table.cardable {
            caption.visually-hidden { (caption) }
            thead { tr { @for (name, class) in &columns { th.(class) scope="col" { (name) } } } }
            tbody {
                @for row in rows {
                    tr { @for (cell, (name, class)) in row.iter().zip(&columns) { td.(class) data-label=(name) { (cell) } } }
                }
            }
        } }
    }
}

/// Returns links between which one is chosen: address, name, and whether it is the present one.
pub(super) fn tabs<'a>(label: &str, links: impl Iterator<Item = (String, &'a str, bool)>) -> Markup {
    html! {
        nav.tabs aria-label=(label) {
            @for (href, name, is_here) in links {
                a href=(href) aria-current=[is_here.then_some("page")] { (name) }
            }
        }
    }
}

/// Returns a choice of a form: its name, its label, and the values with their texts.
pub(super) fn select<'a>(
    name: &str,
    label: &str,
    chosen: &str,
    options: impl Iterator<Item = (&'a str, &'a str)>,
) -> Markup {
    html! {
        label.field {
            span { (label) }
            select name=(name) {
                @for (value, text) in options { option value=(value) selected[value == chosen] { (text) } }
            }
        }
    }
}

/// Returns a text with a button that copies it.
pub(super) fn copied(id: &str, text: &str) -> Markup {
    html! {
        span.copied {
            code.break id=(id) { (text) }
            button type="button" data-copy=(id) { "Copy" span.visually-hidden { " " (text) } }
        }
    }
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
            html! { a href=(message_link(id)) { (id) } " " (rest) }
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

/// A button that posts JSON, says what came of it, and fetches the content anew.
pub(super) struct Button<'a> {
    pub(super) name: &'a str,
    /// The subject, for readers of the screen: several buttons on a page have the same name.
    pub(super) of: &'a str,
    pub(super) to: &'a str,
    pub(super) body: &'a str,
    /// The question that is asked first; empty: none.
    pub(super) sure: &'a str,
}

impl Button<'_> {
    pub(super) fn show(&self) -> Markup {
        let id = format!("do {} {} {}", self.to, self.body, self.of);
        // Pause and resume are one button that keeps the focus.
        let id = id.replace("/resume", "/pause");
        let id: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        html! {
            button type="button" id=(id) data-post=(self.to) data-body=(self.body) data-sure=(self.sure) {
                (self.name)
                @if !self.of.is_empty() { span.visually-hidden { " " (self.of) } }
            }
        }
    }
}

/// Returns links to the first and the next page of a list ordered by session.
pub(super) fn pages(path: &str, after: Option<SessionId>, next: Option<SessionId>) -> Markup {
    let sep = if path.contains('?') { '&' } else { '?' };
    html! {
        p.pages {
            @if after.is_some() { a href=(path) { "First page" } }
            @if let Some(next) = next { a href={(path) (sep) "after=" (percent_encode(&next.to_string()))} { "Next page" } }
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
        assert_eq!([90, 120, 7_200, 200_000].map(span), ["90 s", "2 min", "2 h", "2 days"]);
    }
}
