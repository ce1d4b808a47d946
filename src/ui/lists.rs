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
        div #tail-empty.empty { p { "Waiting for the next event." } p.quiet { "Each event appears here once it is durable." } }
    };
    framed("/tail", "Live", None, &content)
}

pub(super) async fn doubt(State(router): State<Router>, Query(page): Query<After>) -> Response {
    let after = page.after.as_deref().and_then(|id| id.parse().ok());
    let (doubts, next) = match router.in_doubt(None, after, PAGE_ITEMS).await {
        Ok(page) => (page.items, page.next),
        Err(refusal) => return refused("/doubt", "In doubt", &refusal),
    };
    let settle = |id: &str, part: u16, action: &str| {
        serde_json::json!({ "messageId": id, "part": part, "action": action }).to_string()
    };
    let content = html! {
        h1 { "In doubt" }
        p.quiet { "Parts that may or may not have reached the provider: the connection was lost before it answered." }
        @if doubts.is_empty() {
            (nothing("Nothing is in doubt.", "Every part sent was answered by its provider or settled by a receipt."))
        } @else {
            div.scroll { table {
                thead { tr { th { "Message" } th.num { "Part" } th { "Customer" } th { "Channel" } th { "State" } th { "" } } }
                tbody { @for doubt in &doubts {
                    @let id = doubt.message_id.as_str();
                    tr {
                        td.break { a href={"/message?id=" (percent_encode(id))} { (id) } }
                        td.num { (doubt.part) }
                        td { (doubt.customer) }
                        td { (doubt.channel) }
                        td {
                            @if doubt.held { "held until a receipt arrives or you decide" }
                            @else { (again(doubt.resent)) }
                        }
                        td.actions { @if doubt.held {
                            (button("Send again", "/api/in-doubt", &settle(id, doubt.part, "resend"), "Send this part again? The customer may receive it twice."))
                            (button("Mark as sent", "/api/in-doubt", &settle(id, doubt.part, "sent"), "Mark this part as sent?"))
                            (button("Give up", "/api/in-doubt", &settle(id, doubt.part, "fail"), "Give up on this part? The message will fail."))
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
        p.quiet { "Receipts that match no part yet. They are kept and matched again whenever a provider assigns an id to a part." }
        @if receipts.is_empty() {
            (nothing("Every receipt matched a part.", "A receipt that arrives before the provider's answer waits here for a moment."))
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
    let (letters, next) = match router.dead_letters(None, after, PAGE_ITEMS).await {
        Ok(page) => (page.items, page.next),
        Err(refusal) => return refused("/dead", "Dead letters", &refusal),
    };
    let content = html! {
        h1 { "Dead letters" }
        p.quiet { "Deliveries that a destination did not accept in time. Nothing is lost: Replay delivers them again." }
        @if letters.is_empty() {
            (nothing("There are no dead letters.", "Deliveries are retried until they are accepted, or until give_up_after of their destination."))
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
