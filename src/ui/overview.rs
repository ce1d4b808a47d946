//! The first page: figures, channels with small charts, destinations, and everything that needs
//! attention.

use actors::{
    Refusal, Router,
    view::{ChannelView, DestinationView, StatusView, WaitingTotalView},
};
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::url::percent_encode;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    channel::ChannelCard,
    health,
    layout::Frame,
    parts::{Button, ago, count, nothing, since, span, state},
};

/// How often the page fetches its content anew, in seconds.
const REFRESH_S: u32 = 2;
/// The largest count of parts in doubt and dead letters; more are shown as "100+".
const COUNT_MAX: usize = 100;
/// The largest number of channels on one page.
const CHANNELS_MAX: usize = 50;

#[derive(Deserialize)]
pub(super) struct OverviewQuery {
    #[serde(default)]
    from: usize,
}

pub(super) async fn show(State(router): State<Router>, Query(page): Query<OverviewQuery>) -> Response {
    let channels = router.channels().await;
    let destinations = router.destinations().await;
    let status = router.status().await;
    let rest = channels.len().saturating_sub(page.from.saturating_add(CHANNELS_MAX));
    let content = html! {
        h1.visually-hidden { "Overview" }
        @if let Err(refusal) = router.accepting() { (alarm(&refusal)) }
        (figures(&router, &channels, &status).await)
        h2 { "Channels" }
        @if channels.is_empty() { (nothing("No channel is configured.", "Add a [[channel]] to the configuration.")) }
        div.cards {
            @for channel in channels.iter().skip(page.from).take(CHANNELS_MAX) { (card(&router, channel, &status)) }
        }
        @if rest > 0 || page.from > 0 {
            p.pages {
                @if page.from > 0 { a href="/" { "First channels" } }
                @if rest > 0 { a href=(format!("/?from={}", page.from + CHANNELS_MAX)) { "Further channels (" (rest) ")" } }
            }
        }
        h2 { "Destinations" }
        @if destinations.is_empty() {
            (nothing("No destination is configured.", "Add a [[destination]] to the configuration."))
        }
        div.cards { @for destination in &destinations { (destination_card(destination, &status)) } }
    };
    Frame { at: "/", title: "Overview", refresh_s: Some(REFRESH_S) }.with(&status, &content)
}

fn card(router: &Router, channel: &ChannelView, status: &StatusView) -> Markup {
    let none = WaitingTotalView { messages: 0, oldest_seconds: 0 };
    let shown = ChannelCard {
        channel,
        problems: &status.problems,
        waiting: router.waiting(Some(&channel.id)).unwrap_or(none),
        series: router.series(Some(&channel.id), 24).ok(),
    };
    shown.card()
}

fn alarm(refusal: &Refusal) -> Markup {
    html! { div.alarm { b { "Not accepting messages. " } (refusal) } }
}

async fn figures(router: &Router, channels: &[ChannelView], status: &StatusView) -> Markup {
    let doubts = router.in_doubt(None, None, COUNT_MAX).await.map(|d| d.items.len()).unwrap_or_default();
    let dead = router.dead_letters(None, None, COUNT_MAX).await.map(|d| d.items.len()).unwrap_or_default();
    let unmatched: usize = channels.iter().map(|c| c.receipts_unmatched).sum();
    let sum = |of: fn(&actors::view::ChannelCounts) -> u64| channels.iter().map(|c| of(&c.counts)).sum();
    let (sent, received): (u64, u64) = (sum(|counts| counts.submitted), sum(|counts| counts.received));
    let oldest = match status.oldest_waiting_ms / 1_000 {
        0 => String::new(),
        seconds => format!("oldest {}", span(seconds)),
    };
    let warns = |number: usize| if number > 0 { "warn" } else { "" };
    html! {
        section.figures aria-label="Figures" {
            (figure("Parts sent", &count(sent), "", None, ""))
            (figure("Messages received", &count(received), "", None, ""))
            (figure("Messages waiting", &count(status.messages_waiting), &oldest, Some("/messages?list=waiting"), ""))
            (figure("In doubt", &capped(doubts), "", Some("/doubt"), warns(doubts)))
            (figure("Unmatched receipts", &count(unmatched as u64), "", Some("/receipts"), warns(unmatched)))
            (figure("Dead letters", &capped(dead), "", Some("/dead"), if dead > 0 { "bad" } else { "" }))
            (figure("Events in the log", &count(router.committed().0), "", Some("/tail"), ""))
        }
        p.quiet {
            "Parts sent and messages received are counts since the start, " (ago(router.started_at()))
            "; the small charts show the last 24 hours, also before a restart."
        }
    }
}

fn capped(number: usize) -> String {
    if number >= COUNT_MAX { format!("{COUNT_MAX}+") } else { number.to_string() }
}

fn figure(name: &str, value: &str, note: &str, href: Option<&str>, class: &str) -> Markup {
    let inside = html! {
        span.name { (name) }
        span.value { (value) }
        @if !note.is_empty() { span.name { (note) } }
    };
    html! {
        @match href {
            Some(href) => a.figure.(class) href=(href) { (inside) },
            None => div.figure.(class) { (inside) },
        }
    }
}

fn destination_card(destination: &DestinationView, status: &StatusView) -> Markup {
    let id = &destination.id;
    let own: Vec<_> =
        status.problems.iter().filter(|problem| problem.destination.as_ref() == Some(id)).collect();
    let to = format!("/api/destinations/{}/try-now", percent_encode(id.as_str()));
    let of = format!("destination {id}");
    html! {
        article.card id={"destination-" (id)} {
            header {
                div { h3 { (id) } p.quiet.break { (destination.url) } }
                div.right { (state(destination.status)) (since(destination.since)) }
            }
            @if own.is_empty() && !destination.reason.is_empty() { p.reason { (destination.reason) } }
            (health::of_one(own.into_iter()))
            dl.grid {
                div { dt { "Sessions waiting" } dd { (count(destination.sessions_waiting as u64)) } }
                div { dt { "POSTs in flight" } dd { (count(destination.posts_outstanding as u64)) } }
                div { dt { "Accepted" } dd { (count(destination.taken)) } }
                div { dt { "Failed POSTs" } dd { (count(destination.failed)) } }
            }
            div.buttons {
                (Button { name: "Try now", of: &of, to: &to, body: "{}", sure: "" }.show())
                a.more href=(format!("/dead?destination={}", percent_encode(id.as_str()))) {
                    "Dead letters" span.visually-hidden { " of " (of) }
                }
            }
        }
    }
}
