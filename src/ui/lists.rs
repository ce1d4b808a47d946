//! The live tail, and the operator's lists: parts in doubt, unmatched receipts, dead letters.

use actors::Router;
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::url::percent_encode;
use maud::html;
use message::ChannelId;
use serde::Deserialize;

use super::message::again;
use super::session::After;
use super::{
    layout::{framed, refused},
    parts::{button, nothing, pages, time},
};

/// The largest number of items on one page.
const PAGE_ITEMS: usize = 200;

#[derive(Default, Deserialize)]
pub(super) struct ListFilter {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    session: String,
    #[serde(default)]
    message: String,
}

pub(super) async fn tail(Query(filter): Query<ListFilter>) -> Response {
    let content = html! {
        header.title { h1 { "Live" } span #tail-state.state.calm { "connecting" } button #tail-pause type="button" { "Pause" } }
        form.search method="get" action="/tail" {
            input name="channel" value=(filter.channel) placeholder="Channel" aria-label="Channel";
            input name="session" value=(filter.session) placeholder="Session id" aria-label="Session id";
            input name="message" value=(filter.message) placeholder="Message id" aria-label="Message id";
            button type="submit" { "ListFilter" }
        }
        div.scroll { table #tail.tail {
            thead { tr { th { "Time" } th { "Event" } th { "Channel" } th { "Message" } th { "Detail" } } }
            tbody {}
        } }
        div #tail-empty.empty { p { "Waiting for the next event." } p.quiet { "Each fact appears here once it is durable." } }
    };
    framed("/tail", "Live", None, &content)
}

pub(super) async fn doubt(State(router): State<Router>, Query(page): Query<After>) -> Response {
    let after = page.after.as_deref().and_then(|id| id.parse().ok());
    let (doubts, next) = match router.in_doubt(after, PAGE_ITEMS).await {
        Ok(page) => (page.items, page.next),
        Err(refusal) => return refused("/doubt", "In doubt", &refusal),
    };
    let settle = |id: &str, part: u16, action: &str| {
        serde_json::json!({ "messageId": id, "part": part, "action": action }).to_string()
    };
    let content = html! {
        h1 { "In doubt" }
        p.quiet { "Parts whose submit may or may not have reached the provider: the link was lost before the answer." }
        @if doubts.is_empty() {
            (nothing("Nothing is in doubt.", "Every submit was answered, or settled by a receipt."))
        } @else {
            div.scroll { table {
                thead { tr { th { "Message" } th.num { "Part" } th { "Customer" } th { "Channel" } th { "What was done" } th { "" } } }
                tbody { @for doubt in &doubts {
                    @let id = doubt.message_id.as_str();
                    tr {
                        td.break { a href={"/message?id=" (percent_encode(id))} { (id) } }
                        td.num { (doubt.part) }
                        td { (doubt.customer) }
                        td { (doubt.channel) }
                        td {
                            @if doubt.held { "held for a receipt or for you" }
                            @else { (again(doubt.resent)) }
                        }
                        td.actions { @if doubt.held {
                            (button("Send again", "/api/in-doubt", &settle(id, doubt.part, "resend"), "Send it again? The customer may get it twice."))
                            (button("It was sent", "/api/in-doubt", &settle(id, doubt.part, "sent"), "Take it as sent?"))
                            (button("Give up", "/api/in-doubt", &settle(id, doubt.part, "fail"), "Give this part up? The message fails."))
                        } }
                    }
                } }
            } }
        }
        (pages("/doubt", after, next))
    };
    framed("/doubt", "In doubt", Some(3), &content)
}

pub(super) async fn receipts(State(router): State<Router>, Query(filter): Query<ListFilter>) -> Response {
    let channel = Some(filter.channel.as_str()).filter(|c| !c.is_empty()).map(ChannelId::from);
    let receipts = router.unmatched(channel.as_ref(), 0, PAGE_ITEMS).await;
    let content = html! {
        h1 { "Unmatched receipts" }
        p.quiet { "Receipts whose part is not known yet. They are kept and tried again whenever a part gets its provider id." }
        @if receipts.is_empty() {
            (nothing("Every receipt found its part.", "One that comes before its submit is answered waits here for a moment."))
        } @else {
            div.scroll { table {
                thead { tr { th { "Received" } th { "Channel" } th { "Provider's id" } th { "Customer" } th { "Own address" } th { "Says" } } }
                tbody { @for receipt in &receipts {
                    tr {
                        td { (time(receipt.received_at)) }
                        td { (receipt.channel) }
                        td.break { code { (receipt.provider_id) } }
                        td { (receipt.customer) }
                        td { (receipt.did) }
                        td { (receipt.code) }
                    }
                } }
            } }
        }
    };
    framed("/receipts", "Receipts", Some(3), &content)
}

pub(super) async fn dead(State(router): State<Router>, Query(page): Query<After>) -> Response {
    let after = page.after.as_deref().and_then(|id| id.parse().ok());
    let (letters, next) = match router.dead_letters(after, PAGE_ITEMS).await {
        Ok(page) => (page.items, page.next),
        Err(refusal) => return refused("/dead", "Dead letters", &refusal),
    };
    let content = html! {
        h1 { "Dead letters" }
        p.quiet { "Deliveries that a destination did not take in the time it was given. Nothing is lost: replay puts them back." }
        @if letters.is_empty() {
            (nothing("There is no dead letter.", "Deliveries are tried until they are taken, or until give_up_after."))
        } @else {
            div.scroll { table {
                thead { tr { th { "Delivery" } th { "Kind" } th { "Destination" } th { "Session" } th { "Last answer" } th { "" } } }
                tbody { @for letter in &letters {
                    @let session = letter.session_id.0.to_string();
                    tr {
                        td.break { code { (letter.id) } }
                        td { (letter.kind) }
                        td { (letter.destination) }
                        td.break { a href={"/session?id=" (percent_encode(&session))} { "open" } }
                        td { (letter.reason) }
                        td.actions { (button("Replay", &format!("/api/dead-letters/{}/replay", percent_encode(&letter.id)), "{}", "")) }
                    }
                } }
            } }
        }
        (pages("/dead", after, next))
    };
    framed("/dead", "Dead letters", Some(3), &content)
}
