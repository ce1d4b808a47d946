//! The live tail, and the operator's lists: parts in doubt, unmatched receipts, dead letters.

use actors::{
    Router,
    view::{DeadLetterView, DoubtView, UnmatchedView},
};
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::url::{encode_form, percent_encode};
use maud::{Markup, html};
use message::ChannelId;
use serde::Deserialize;
use serde_json::json;

use super::{
    layout::Frame,
    message::again,
    parts::{Button, message_link, nothing, pages, select, table, time},
    session::After,
};

/// The largest number of items on one page.
const PAGE_ITEMS: usize = 200;
/// How often a list is fetched anew, in seconds.
const REFRESH_S: u32 = 3;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ListFilter {
    channel: String,
    session: String,
    message: String,
}

pub(super) async fn tail(State(router): State<Router>, Query(filter): Query<ListFilter>) -> Response {
    let content = html! {
        header.title {
            h1 { "Live" }
            span #tail-state.state.calm role="status" { "connecting" }
            button #tail-pause type="button" { "Pause" }
        }
        form.search method="get" action="/tail" {
            div.filters {
                label.field { span { "Channel" } input name="channel" value=(filter.channel); }
                label.field { span { "Session id" } input name="session" value=(filter.session); }
                label.field { span { "Message id" } input name="message" value=(filter.message); }
                button type="submit" { "Filter" }
            }
        }
        div.panel.rows #tail-rows hidden { table #tail.cardable {
            caption.visually-hidden { "Events, the newest first" }
            thead { tr { @for name in ["Time", "Event", "Channel", "Message", "Detail"] { th scope="col" { (name) } } } }
            tbody {}
        } }
        div #tail-empty.empty { p { "Waiting for the next event." } p.quiet { "Each event appears here once it is durable." } }
    };
    Frame { at: "/tail", title: "Live", refresh_s: None }.show(&router, &content).await
}

pub(super) async fn doubt(State(router): State<Router>, Query(page): Query<After>) -> Response {
    let after = page.after.as_deref().and_then(|id| id.parse().ok());
    let frame = Frame { at: "/doubt", title: "In doubt", refresh_s: Some(REFRESH_S) };
    let (doubts, next) = match router.in_doubt(None, after, PAGE_ITEMS).await {
        Ok(page) => (page.items, page.next),
        Err(refusal) => return frame.refused(&router, &refusal).await,
    };
    let content = html! {
        h1 { "In doubt" }
        p.quiet { "Parts that may or may not have reached the provider: the connection was lost before it answered." }
        @if doubts.is_empty() {
            (nothing("Nothing is in doubt.", "Every part sent was answered by its provider or settled by a receipt."))
        } @else { (doubt_rows(&doubts)) }
        (pages("/doubt", after, next))
    };
    frame.show(&router, &content).await
}

fn doubt_rows(doubts: &[DoubtView]) -> Markup {
    let columns = [
        ("Message", ""),
        ("Part", "num"),
        ("Customer", ""),
        ("Channel", ""),
        ("State", ""),
        ("Actions", "actions"),
    ];
    let row = |doubt: &DoubtView| {
        let (id, of) = (doubt.message_id.as_str(), format!("part {} of {}", doubt.part, doubt.message_id));
        let settle = |name, action: &str, sure| {
            let body = json!({ "messageId": id, "part": doubt.part, "action": action }).to_string();
            Button { name, of: &of, to: "/api/in-doubt", body: &body, sure }.show()
        };
        [
            html! { a.break href=(message_link(id)) { (id) } },
            html! { (doubt.part) },
            html! { span.number { (doubt.customer) } },
            html! { (doubt.channel) },
            html! {
                @if doubt.held { "held until a receipt arrives or you decide" }
                @else { (again(doubt.resent)) }
            },
            html! { @if doubt.held {
                (settle("Send again", "resend", "Send this part again? The customer may receive it twice."))
                (settle("Mark as sent", "sent", "Mark this part as sent?"))
                (settle("Give up", "fail", "Give up on this part? The message will fail."))
            } @else { "none needed" } },
        ]
    };
    table("Parts in doubt", columns, doubts.iter().map(row))
}

pub(super) async fn receipts(State(router): State<Router>, Query(filter): Query<ListFilter>) -> Response {
    let channel = Some(filter.channel.as_str()).filter(|c| !c.is_empty()).map(ChannelId::from);
    let receipts = router.unmatched(channel.as_ref(), 0, PAGE_ITEMS).await;
    let columns = [
        ("Received", ""),
        ("Channel", ""),
        ("Provider's id", ""),
        ("Customer", ""),
        ("Own address", ""),
        ("Says", ""),
    ];
    let row = |receipt: &UnmatchedView| {
        [
            time(receipt.received_at),
            html! { (receipt.channel) },
            html! { code.break { (receipt.provider_id) } },
            html! { span.number { (receipt.customer) } },
            html! { span.number { (receipt.did) } },
            html! { (receipt.code) },
        ]
    };
    let content = html! {
        h1 { "Unmatched receipts" }
        p.quiet { "Receipts that match no part yet. They are kept and matched again whenever a provider assigns an id to a part." }
        @if receipts.is_empty() {
            (nothing("Every receipt matched a part.", "A receipt that arrives before the provider's answer waits here for a moment."))
        } @else { (table("Unmatched receipts", columns, receipts.iter().map(row))) }
    };
    Frame { at: "/receipts", title: "Receipts", refresh_s: Some(REFRESH_S) }.show(&router, &content).await
}

/// The query of the dead letters. Empty fields of its form count as missing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct DeadFilter {
    channel: String,
    destination: String,
    after: String,
}

pub(super) async fn dead(State(router): State<Router>, Query(filter): Query<DeadFilter>) -> Response {
    let frame = Frame { at: "/dead", title: "Dead letters", refresh_s: Some(REFRESH_S) };
    let after = filter.after.parse().ok();
    let channel = Some(filter.channel.as_str()).filter(|id| !id.is_empty()).map(ChannelId::from);
    let (mut letters, next) = match router.dead_letters(channel.as_ref(), after, PAGE_ITEMS).await {
        Ok(page) => (page.items, page.next),
        Err(refusal) => return frame.refused(&router, &refusal).await,
    };
    letters.retain(|letter| {
        filter.destination.is_empty() || *filter.destination == *letter.destination.as_str()
    });
    let here = filter.here();
    let content = html! {
        h1 { "Dead letters" }
        p.quiet { "Deliveries that a destination did not accept in time. Nothing is lost: Replay delivers them again." }
        (filter.form(&router).await)
        @if letters.is_empty() {
            (nothing("There are no dead letters.", "Deliveries are retried until they are accepted, or until give_up_after of their destination."))
        } @else {
            (filter.replay_all())
            (letter_rows(&letters))
        }
        (pages(&here, after, next))
    };
    frame.show(&router, &content).await
}

impl DeadFilter {
    fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        [("channel", &*self.channel), ("destination", &*self.destination)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
    }

    /// Returns the address of the first page.
    fn here(&self) -> String {
        match self.given().next() {
            Some(_) => format!("/dead?{}", encode_form(self.given())),
            None => "/dead".to_owned(),
        }
    }

    async fn form(&self, router: &Router) -> Markup {
        let channels: Vec<_> = router.channels().await.into_iter().map(|channel| channel.id).collect();
        let destinations: Vec<_> = router.destinations().await.into_iter().map(|of| of.id).collect();
        let channels = channels.iter().map(|id| (id.as_str(), id.as_str()));
        let destinations = destinations.iter().map(|id| (id.as_str(), id.as_str()));
        let any = || std::iter::once(("", "any"));
        html! {
            form.search method="get" action="/dead" {
                div.filters {
                    (select("channel", "Channel", &self.channel, any().chain(channels)))
                    (select("destination", "Destination", &self.destination, any().chain(destinations)))
                    button type="submit" { "Filter" }
                }
            }
        }
    }

    fn replay_all(&self) -> Markup {
        let of: Vec<String> = self.given().map(|(name, value)| format!("of {name} {value}")).collect();
        let of = of.join(" ");
        let body: serde_json::Map<_, _> =
            self.given().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let body = serde_json::Value::from(body).to_string();
        let name = if of.is_empty() { "Replay all".to_owned() } else { format!("Replay all {of}") };
        let sure = format!("Replay all dead letters {of}? Each is delivered again to its destination.");
        html! {
            div.buttons {
                (Button { name: &name, of: "", to: "/api/dead-letters/replay", body: &body, sure: &sure }.show())
            }
        }
    }
}

fn letter_rows(letters: &[DeadLetterView]) -> Markup {
    let columns = [
        ("When", ""),
        ("What", "text"),
        ("Customer", ""),
        ("Destination", ""),
        ("Last answer", ""),
        ("Actions", "actions"),
    ];
    let row = |letter: &DeadLetterView| {
        let session = format!("/session?id={}", percent_encode(&letter.session_id.0.to_string()));
        let to = format!("/api/dead-letters/{}/replay", percent_encode(&letter.id));
        [
            time(letter.at),
            html! { b { (letter.kind) } " " (letter.text) },
            html! { a.number href=(session) { (letter.customer) } },
            html! { (letter.destination) },
            html! { (letter.reason) },
            Button { name: "Replay", of: &letter.id, to: &to, body: "{}", sure: "" }.show(),
        ]
    };
    table("Dead letters", columns, letters.iter().map(row))
}
