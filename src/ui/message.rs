//! The page of one message: its parts, its events, and its HTTP exchanges with the provider.

use std::sync::Arc;

use actors::{
    Refusal, Router,
    view::{ExchangeView, FailureView, MessageView, PartView, WaitingView},
};
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use channels::url::percent_encode;
use maud::{Markup, html};
use message::MessageId;
use serde::Deserialize;

use super::{
    layout::Frame,
    messages::search_field,
    parts::{count, state, table, time, timeline},
};

/// The largest number of HTTP exchanges shown for one message.
pub(crate) const EXCHANGES_OF_MESSAGE_MAX: usize = 100;
/// How often the page fetches its content anew, in seconds.
const REFRESH_S: u32 = 3;

#[derive(Deserialize)]
pub(super) struct WantedMessage {
    id: Option<String>,
}

pub(super) async fn show(State(router): State<Router>, Query(wanted): Query<WantedMessage>) -> Response {
    let id = wanted.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let Some(id) = id else { return Redirect::to("/messages").into_response() };
    match router.message(&MessageId::from(id)).await {
        Ok(view) => {
            let said = router.exchanges(&view.channel, Some(&view.message_id), EXCHANGES_OF_MESSAGE_MAX);
            let frame = Frame { at: "/message", title: "Message", refresh_s: Some(REFRESH_S) };
            frame.show(&router, &shown(&view, &said.unwrap_or_default())).await
        }
        Err(refusal) => {
            let frame = Frame { at: "/message", title: "Message not found", refresh_s: None };
            frame.show(&router, &unknown(id, &refusal)).await
        }
    }
}

/// Returns the possible reasons why a message is unknown, with the search field.
fn unknown(id: &str, refusal: &Refusal) -> Markup {
    let elsewhere = format!("/messages?q={}&as=text", percent_encode(id));
    html! {
        h1 { "Message not found" }
        (search_field(id))
        div.panel {
            p.break { b { (id) } ": " (refusal) "." }
            p { "It may be that:" }
            ul {
                li { "the id is another: capital letters matter, and it is the id you sent or the one in the answer, not the provider's;" }
                li { "the message was refused when it was sent: such a message is not kept, and the answer said why;" }
                li { "it is older than retention, which removes what is done;" }
                li { "another Patchbay has it." }
            }
            p { a href=(elsewhere) { "Search the texts for it" } }
        }
    }
}

fn shown(view: &MessageView, said: &[Arc<ExchangeView>]) -> Markup {
    let session = view.session_id.0.to_string();
    html! {
        (search_field(""))
        header.title { h1.break { "Message " (view.message_id) } (state(view.status.as_str())) }
        @if let Some(failure) = &view.failure { (failed(failure)) }
        @if let Some(waiting) = &view.waiting_for { (waits(waiting)) }
        @if !view.text.is_empty() { div.bubble.out.alone { p { (view.text) } } }
        dl.grid.panel {
            div { dt { "To the customer" } dd.number { (view.customer) } }
            div { dt { "From" } dd.number { (view.did) } }
            div { dt { "Channel" } dd { a href={"/channel?id=" (percent_encode(view.channel.as_str()))} { (view.channel) } } }
            div { dt { "Accepted" } dd { (time(view.accepted_at)) } }
            div { dt { "Parts" } dd { (view.parts.len()) } }
            div { dt { "Notifies" } dd { (view.destination) } }
            div.wide { dt { "Session" } dd { a.break href={"/session?id=" (percent_encode(&session))} { (session) } } }
        }
        @if !view.adapted.is_empty() {
            h2 { "Adapted to the channel" }
            ul { @for change in &view.adapted { li { (change) } } }
        }
        h2 { "Parts" }
        (parts(&view.parts))
        h2 { "Events" }
        (timeline(&view.events, |_| None))
        @if !said.is_empty() {
            h2 { "HTTP exchanges with the provider" }
            @for exchange in said { (exchanged(exchange)) }
        }
    }
}

fn parts(parts: &[PartView]) -> Markup {
    let columns = [("Part", ""), ("Status", ""), ("Provider's id", ""), ("Tries", "num"), ("Notes", "")];
    let row = |part: &PartView| {
        let notes = html! {
            @if part.resent_in_doubt > 0 {
                span.warn { (again(part.resent_in_doubt)) " after being in doubt" }
            }
            @if let Some(failure) = &part.failure {
                span.bad { (failure.reason) " (" (failure.reason_code) ")" }
            }
        };
        [
            html! { (part.part) },
            state(part.status.as_str()),
            html! { @if part.provider_id.is_empty() { "none yet" } @else { code.break { (part.provider_id) } } },
            html! { (part.tries) },
            notes,
        ]
    };
    table("Parts of the message", columns, parts.iter().map(row))
}

/// Returns why a message waits, and what helps.
fn waits(waiting: &WaitingView) -> Markup {
    html! {
        section.panel.why {
            h2 { "Why it waits" }
            p { (waiting.text) }
            p.quiet {
                "Since " (time(waiting.since))
                @if let Some(ahead) = waiting.ahead { ", " (count(ahead as u64)) " messages go first" }
                @if let Some(eta) = waiting.eta { ", expected at " (time(eta)) }
            }
        }
    }
}

/// Returns why a message failed, and what helps.
fn failed(failure: &FailureView) -> Markup {
    html! {
        section.panel.why {
            h2 { "Why it failed" }
            p.bad.strong { (failure.reason) " (" code { (failure.reason_code) } ")" }
            @if let Some(known) = &failure.explained {
                p { (known.meaning) " " (known.usual_cause) }
                p { b { "What helps: " } (known.fix) }
                @if let Some(link) = &known.link { p { a href=(link) rel="noreferrer" { (link) } } }
            }
            p.quiet { "By " (by(failure.failed_by)) ", " (time(failure.failed_at)) }
        }
    }
}

/// Returns the side that failed a message, in words.
fn by(side: &str) -> &str {
    match side {
        "smsc" => "the SMSC",
        "provider" => "the provider",
        "patchbay" => "Patchbay",
        "expiry" => "the end of its validity",
        "business" => "the business",
        "operator" => "an operator",
        other => other,
    }
}

/// Returns a call and its answer, collapsed.
fn exchanged(exchange: &ExchangeView) -> Markup {
    let outcome = match exchange.status {
        Some(status) => status.to_string(),
        None => "no answer".into(),
    };
    html! {
        details.panel {
            summary {
                (time(exchange.at)) " " code { (exchange.method) " " (exchange.url) } " " (outcome) ", "
                (exchange.took_ms) " ms" @if let Some(part) = exchange.part { ", part " (part) }
            }
            @if !exchange.body.is_empty() { pre.break { (exchange.body) } }
            @match &exchange.error {
                Some(why) => p.warn { (why) },
                None => pre.break { (exchange.answer) },
            }
        }
    }
}

/// Returns `sent again` or `sent again 3 times`.
pub(super) fn again(times: u16) -> String {
    match times {
        1 => "sent again".into(),
        _ => format!("sent again {times} times"),
    }
}
