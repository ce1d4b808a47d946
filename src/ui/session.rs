//! The pages of sessions: the open ones, and one session as it is or as it was at an instant.

use actors::Router;
use actors::view::{EventView, SessionView};
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::url::percent_encode;
use maud::{Markup, html};
use message::{Seq, SessionId, Timestamp};
use serde::Deserialize;

use super::{
    layout::{framed, refused},
    parts::{ago, count, nothing, pages, state, time, timeline},
};
use crate::instant;

/// The largest number of sessions on one page.
const PAGE_ITEMS: usize = 50;

#[derive(Deserialize)]
pub(super) struct After {
    pub(super) after: Option<String>,
}

pub(super) async fn list(State(router): State<Router>, Query(page): Query<After>) -> Response {
    let after = page.after.as_deref().and_then(|id| id.parse().ok());
    let sessions = match router.sessions(None, after, PAGE_ITEMS).await {
        Ok(page) => page,
        Err(refusal) => return refused("/sessions", "Sessions", &refusal),
    };
    let (next, sessions) = (sessions.next, sessions.items);
    let content = html! {
        h1 { "Open sessions" }
        form.search method="get" action="/session" {
            input type="search" name="id" placeholder="Session id (s-...)" aria-label="Session id" required;
            button type="submit" { "Find" }
        }
        @if sessions.is_empty() {
            (nothing("No session is open.", "A session opens when a customer writes, or when you write to a customer."))
        } @else {
            div.scroll { table {
                thead { tr {
                    th { "Customer" } th { "Own address" } th { "Channel" } th { "Handler" } th { "Last activity" }
                    th.num { "Messages open" } th.num { "Deliveries waiting" } th { "" }
                } }
                tbody { @for session in &sessions { (row(session)) } }
            } }
        }
        (pages("/sessions", after, next))
    };
    framed("/sessions", "Sessions", after.is_none().then_some(3), &content)
}

fn row(session: &SessionView) -> Markup {
    let id = session.session_id.0.to_string();
    html! {
        tr {
            td { a href={"/session?id=" (percent_encode(&id))} { (session.customer) } }
            td { (session.did) }
            td { (session.channel) }
            td { (session.handler) }
            td { (ago(session.last_activity)) }
            td.num { (count(session.messages_open as u64)) }
            td.num { (count(session.deliveries_waiting as u64)) }
            td { @if session.dead_letters > 0 { span.bad { (session.dead_letters) " dead" } } }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct SessionQuery {
    id: String,
    at: Option<String>,
    before: Option<u64>,
}

pub(super) async fn show(State(router): State<Router>, Query(wanted): Query<SessionQuery>) -> Response {
    let title = "Session";
    let problem = |text: String| {
        let content = html! { h1 { (title) } div.empty { p { (text) } } };
        framed("/sessions", title, None, &content)
    };
    let id: SessionId = match wanted.id.trim().parse() {
        Ok(id) => id,
        Err(e) => return problem(format!("{e}")),
    };
    let at = match wanted.at.as_deref().filter(|at| !at.trim().is_empty()).map(instant::parse).transpose() {
        Ok(at) => at,
        Err(e) => return problem(e),
    };
    let now = match wanted.before {
        Some(before) => router.session_before(id, Seq(before)).await,
        None => router.session(id, None).await,
    };
    let now = match now {
        Ok(now) => now,
        Err(refusal) => return refused("/sessions", title, &refusal),
    };
    let then = match at {
        Some(at) => match router.session(id, Some(at)).await {
            Ok(then) => Some(then),
            Err(refusal) => return refused("/sessions", title, &refusal),
        },
        None => None,
    };
    let content = content_of(&wanted.id, &now, then.as_ref().zip(at));
    framed("/sessions", title, at.is_none().then_some(3), &content)
}

/// Renders a session. `now` gives the history and the slider, `then` the state that is shown.
fn content_of(id: &str, now: &SessionView, then: Option<(&SessionView, Timestamp)>) -> Markup {
    let view = then.map_or(now, |(view, _)| view);
    let to_now = format!("/session?id={}", percent_encode(id));
    html! {
        header.title { h1 { (view.customer) } (state(view.state)) }
        @if let Some((_, at)) = then {
            p.past { "As it was at " (time(at)) ". " a href=(to_now) { "Back to now" } }
        }
        (slider(id, &now.events, then.map(|(_, at)| at)))
        dl.grid.panel {
            div { dt { "Channel" } dd { (view.channel) } }
            div { dt { "Own address" } dd { (view.did) } }
            div { dt { "Handler" } dd { @if view.handler.is_empty() { "nobody yet" } @else { (view.handler) } } }
            div { dt { "Opened" } dd { (time(view.opened_at)) } }
            div { dt { "Last activity" } dd { (time(view.last_activity)) } }
            div { dt { "Closes when inactive" } dd {
                @match view.closes_at { Some(at) => (time(at)), None => "never" }
            } }
            div { dt { "Open messages" } dd { (count(view.messages_open as u64)) } }
            div { dt { "Deliveries waiting" } dd { (count(view.deliveries_waiting as u64)) } }
            div { dt { "Dead letters" } dd { (count(view.dead_letters as u64)) } }
        }
        p.quiet.break { (view.session_id.0) }
        h2 { "History" }
        @if let Some(earlier) = view.earlier {
            p { a href=(format!("{to_now}&before={}", earlier.0)) { "Older events" } }
        }
        (timeline(&view.events, |event| Some(format!("{to_now}&at={}", event.at.0))))
        @if let Some(snapshot) = &view.snapshot {
            details { summary { "Full state" } pre { (serde_json::to_string_pretty(snapshot).unwrap_or_default()) } }
        }
    }
}

/// Returns a slider with one stop for each instant at which something happened.
fn slider(id: &str, events: &[EventView], at: Option<Timestamp>) -> Markup {
    let mut stops: Vec<u64> = events.iter().map(|e| e.at.0).collect();
    stops.dedup();
    let last = stops.len().saturating_sub(1);
    let place = at.map_or(last, |at| stops.partition_point(|stop| *stop <= at.0).saturating_sub(1));
    let list = stops.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    html! {
        @if stops.len() > 1 {
            div.slider {
                label for="instant" { "Time" }
                input #instant type="range" min="0" max=(last) value=(place) data-session=(id) data-stops=(list);
                output {}
            }
        }
    }
}
