//! The page of one message: its parts, its events, and its HTTP exchanges with the provider.

use std::sync::Arc;

use actors::Router;
use actors::view::{ExchangeView, FailureView, MessageView, WaitingView};
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::url::percent_encode;
use maud::{Markup, html};
use message::MessageId;
use serde::Deserialize;

use super::{
    layout::{framed, refused},
    parts::{count, state, time, timeline},
};

/// The largest number of HTTP exchanges shown for one message.
pub(crate) const EXCHANGES_OF_MESSAGE_MAX: usize = 100;

#[derive(Deserialize)]
pub(super) struct MessageQuery {
    id: Option<String>,
}

pub(super) async fn show(State(router): State<Router>, Query(wanted): Query<MessageQuery>) -> Response {
    let id = wanted.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let Some(id) = id else {
        let content = html! {
            h1 { "Find a message" }
            (search(""))
            p.quiet { "Search by message id: the one you sent, or the one in the answer to your request." }
        };
        return framed("/message", "Messages", None, &content);
    };
    match router.message(&MessageId::from(id)).await {
        Ok(view) => {
            let said = router.exchanges(&view.channel, Some(&view.message_id), EXCHANGES_OF_MESSAGE_MAX);
            framed("/message", "Message", Some(3), &shown(&view, &said.unwrap_or_default()))
        }
        Err(refusal) => refused("/message", &format!("Message {id}"), &refusal),
    }
}

fn search(id: &str) -> Markup {
    html! {
        form.search method="get" action="/message" {
            input type="search" name="id" value=(id) placeholder="Message id" aria-label="Message id" required;
            button type="submit" { "Find" }
        }
    }
}

fn shown(view: &MessageView, said: &[Arc<ExchangeView>]) -> Markup {
    let session = view.session_id.0.to_string();
    html! {
        (search(view.message_id.as_str()))
        header.title { h1.break { "Message " (view.message_id) } (state(view.status.as_str())) }
        dl.grid.panel {
            div { dt { "To" } dd { (view.customer) } }
            div { dt { "From" } dd { (view.did) } }
            div { dt { "Channel" } dd { (view.channel) } }
            div { dt { "Accepted" } dd { (time(view.accepted_at)) } }
            div.wide { dt { "Session" } dd { a.break href={"/session?id=" (percent_encode(&session))} { (session) } } }
        }
        @if let Some(waiting) = &view.waiting_for { (waits(waiting)) }
        @if let Some(failure) = &view.failure { (failed(failure)) }
        @if !view.adapted.is_empty() {
            h2 { "Adapted to the channel" }
            ul { @for change in &view.adapted { li { (change) } } }
        }
        h2 { "Parts" }
        div.scroll { table {
            thead { tr { th { "Part" } th { "Status" } th { "Provider's id" } th.num { "Tries" } th { "" } } }
            tbody {
                @for part in &view.parts {
                    tr {
                        td { (part.part) }
                        td { (state(part.status.as_str())) }
                        td.break { code { (part.provider_id) } }
                        td.num { (part.tries) }
                        td {
                            @if part.resent_in_doubt > 0 {
                                span.warn { (again(part.resent_in_doubt)) " after being in doubt" }
                            }
                            @if let Some(failure) = &part.failure {
                                span.bad { (failure.reason) " (" (failure.reason_code) ")" }
                            }
                        }
                    }
                }
            }
        } }
        h2 { "Events" }
        (timeline(&view.events, |_| None))
        @if !said.is_empty() {
            h2 { "HTTP exchanges with the provider" }
            @for exchange in said { (exchanged(exchange)) }
        }
    }
}

/// Returns why a message waits, and what helps.
fn waits(waiting: &WaitingView) -> Markup {
    html! {
        section.panel.why role="status" {
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
        section.panel.why role="status" {
            h2 { "Why it failed" }
            p.bad { (failure.reason) " (" code { (failure.reason_code) } ")" }
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
