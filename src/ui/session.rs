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
    conversation,
    layout::Frame,
    parts::{ago, count, nothing, pages, state, table, tabs, time, timeline},
    state::PageState,
};
use crate::instant;

/// The largest number of sessions on one page.
const PAGE_ITEMS: usize = 50;
/// How often a page of the present is fetched anew, in seconds.
const REFRESH_S: u32 = 3;

#[derive(Deserialize)]
pub(super) struct After {
    pub(super) after: Option<String>,
}

pub(super) async fn list(State(router): State<Router>, Query(page): Query<After>) -> Response {
    let after = page.after.as_deref().and_then(|id| id.parse().ok());
    let frame = Frame { at: "/sessions", title: "Sessions", refresh_s: after.is_none().then_some(REFRESH_S) };
    let sessions = match router.sessions(None, after, PAGE_ITEMS).await {
        Ok(page) => page,
        Err(refusal) => return frame.refused(&router, &refusal).await,
    };
    let (next, sessions) = (sessions.next, sessions.items);
    let content = html! {
        h1 { "Open sessions" }
        form.search method="get" action="/session" role="search" {
            div.searched {
                input type="search" name="id" placeholder="Session id (s-...)" aria-label="Session id" required;
                button type="submit" { "Find" }
            }
        }
        p.quiet { "By the customer's number: " a href="/messages" { "search the messages" } "." }
        @if sessions.is_empty() {
            (nothing("No session is open.", "A session opens when a customer writes, or when you write to a customer."))
        } @else { (rows(&sessions)) }
        (pages("/sessions", after, next))
    };
    frame.show(&router, &content).await
}

fn rows(sessions: &[SessionView]) -> Markup {
    let columns = [
        ("Customer", ""),
        ("Own address", ""),
        ("Channel", ""),
        ("Handler", ""),
        ("Last activity", ""),
        ("Messages open", "num"),
        ("Deliveries waiting", "num"),
        ("Dead letters", "num"),
    ];
    let row = |session: &SessionView| {
        let href = format!("/session?id={}", percent_encode(&session.session_id.0.to_string()));
        [
            html! { a.number href=(href) { (session.customer) } },
            html! { span.number { (session.did) } },
            html! { (session.channel) },
            html! { @if session.handler.is_empty() { "nobody yet" } @else { (session.handler) } },
            ago(session.last_activity),
            html! { (count(session.messages_open as u64)) },
            html! { (count(session.deliveries_waiting as u64)) },
            html! { span.bad[session.dead_letters > 0] { (session.dead_letters) } },
        ]
    };
    table("Open sessions", columns, sessions.iter().map(row))
}

#[derive(Deserialize)]
pub(super) struct SessionQuery {
    #[serde(default)]
    id: String,
    at: Option<String>,
    before: Option<u64>,
    /// `events`, or the conversation.
    #[serde(default)]
    view: String,
    /// Where the older messages of the conversation begin.
    older: Option<String>,
}

pub(super) async fn show(State(page): State<PageState>, Query(wanted): Query<SessionQuery>) -> Response {
    let router = &page.router;
    let frame = Frame { at: "/sessions", title: "Session", refresh_s: None };
    let id: SessionId = match wanted.id.trim().parse() {
        Ok(id) => id,
        Err(e) => return frame.problem(router, &format!("{e}")).await,
    };
    let at = match wanted.at.as_deref().filter(|at| !at.trim().is_empty()).map(instant::parse).transpose() {
        Ok(at) => at,
        Err(e) => return frame.problem(router, &e).await,
    };
    let now = match wanted.before {
        Some(before) => router.session_before(id, Seq(before)).await,
        None => router.session(id, None).await,
    };
    let then = match at {
        Some(at) => router.session(id, Some(at)).await.map(Some),
        None => Ok(None),
    };
    let (now, then) = match (now, then) {
        (Ok(now), Ok(then)) => (now, then),
        (Err(refusal), _) | (_, Err(refusal)) => return frame.refused(router, &refusal).await,
    };
    let view = then.as_ref().unwrap_or(&now);
    let is_events = wanted.view == "events" || wanted.before.is_some();
    let inner = if is_events {
        events(&wanted, view)
    } else {
        conversation::show(&page, view, at, wanted.older.as_deref(), &link(&wanted, "")).await
    };
    let content = html! {
        (head(&wanted, &now, view, at))
        (tabs("Views", [
            (link(&wanted, ""), "Conversation", !is_events),
            (link(&wanted, "&view=events"), "Events", is_events),
        ].into_iter()))
        (inner)
    };
    let is_live = at.is_none() && wanted.before.is_none() && wanted.older.is_none();
    Frame { refresh_s: is_live.then_some(REFRESH_S), ..frame }.show(router, &content).await
}

/// Returns the address of this session at the same instant, with a further piece of the query.
fn link(wanted: &SessionQuery, further: &str) -> String {
    let at = wanted.at.as_deref().filter(|at| !at.is_empty());
    let at = at.map(|at| format!("&at={}", percent_encode(at))).unwrap_or_default();
    format!("/session?id={}{at}{further}", percent_encode(&wanted.id))
}

/// Returns the head of the page. `now` gives the slider, `view` the state that is shown.
fn head(wanted: &SessionQuery, now: &SessionView, view: &SessionView, at: Option<Timestamp>) -> Markup {
    html! {
        header.title { h1.number { (view.customer) } (state(view.state)) }
        @if let Some(at) = at {
            p.past { "As it was at " (time(at)) ". " a href=(format!("/session?id={}&view={}", percent_encode(&wanted.id), percent_encode(&wanted.view))) { "Back to now" } }
        }
        (slider(wanted, &now.events, at))
        dl.grid.panel {
            div { dt { "Channel" } dd { (view.channel) } }
            div { dt { "Own address" } dd.number { (view.did) } }
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
    }
}

fn events(wanted: &SessionQuery, view: &SessionView) -> Markup {
    let to_now = format!("/session?id={}&view=events", percent_encode(&wanted.id));
    html! {
        h2.visually-hidden { "Events" }
        @if let Some(earlier) = view.earlier {
            p { a href=(format!("{to_now}&before={}", earlier.0)) { "Older events" } }
        }
        (timeline(&view.events, |event| Some(format!("{to_now}&at={}", event.at.0))))
        @if let Some(snapshot) = &view.snapshot {
            details #full-state { summary { "Full state" } pre { (serde_json::to_string_pretty(snapshot).unwrap_or_default()) } }
        }
    }
}

/// Returns a slider with one stop for each instant at which something happened.
fn slider(wanted: &SessionQuery, events: &[EventView], at: Option<Timestamp>) -> Markup {
    let mut stops: Vec<u64> = events.iter().map(|e| e.at.0).collect();
    stops.dedup();
    let last = stops.len().saturating_sub(1);
    let place = at.map_or(last, |at| stops.partition_point(|stop| *stop <= at.0).saturating_sub(1));
    let list = stops.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    html! {
        @if stops.len() > 1 {
            div.slider {
                label for="instant" { "Time" }
                input #instant type="range" min="0" max=(last) value=(place)
                    data-session=(wanted.id) data-view=(wanted.view) data-stops=(list);
                output for="instant" {}
            }
        }
    }
}
