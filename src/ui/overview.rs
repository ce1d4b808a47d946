//! The first page: channels with their links, destinations, and everything that needs attention.

use actors::Router;
use actors::view::{ChannelView, DestinationView, UnknownDidView};
use axum::{extract::State, response::Response};
use channels::url::percent_encode;
use maud::{Markup, html};

use super::{
    layout::framed,
    parts::{ago, button, count, nothing, since, state},
};

/// How often the page refreshes, in seconds.
const REFRESH_S: u32 = 2;
/// The largest count of parts in doubt and dead letters; more are shown as "100+".
const COUNT_MAX: usize = 100;

pub(super) async fn show(State(router): State<Router>) -> Response {
    let channels = router.channels().await;
    let destinations = router.destinations().await;
    let doubts = router.in_doubt(None, None, COUNT_MAX).await.map(|d| d.items.len()).unwrap_or_default();
    let dead = router.dead_letters(None, None, COUNT_MAX).await.map(|d| d.items.len()).unwrap_or_default();
    let unmatched: usize = channels.iter().map(|c| c.receipts_unmatched).sum();
    let sent: u64 = channels.iter().map(|c| c.counts.submitted).sum();
    let received: u64 = channels.iter().map(|c| c.counts.received).sum();
    let waiting: usize = channels.iter().map(|c| c.sessions_waiting).sum();
    let started_at = router.started_at();
    let content = html! {
        h1.visually-hidden { "Overview" }
        @if let Err(refusal) = router.accepting() {
            div.alarm { b { "Not accepting messages. " } (refusal) }
        }
        section.figures {
            (figure("Parts sent", &count(sent), None, ""))
            (figure("Messages received", &count(received), None, ""))
            (figure("Sessions waiting to send", &count(waiting as u64), None, ""))
            (figure("In doubt", &capped(doubts), Some("/doubt"), if doubts > 0 { "warn" } else { "" }))
            (figure("Unmatched receipts", &count(unmatched as u64), Some("/receipts"), if unmatched > 0 { "warn" } else { "" }))
            (figure("Dead letters", &capped(dead), Some("/dead"), if dead > 0 { "bad" } else { "" }))
            (figure("Events in the log", &count(router.committed().0), Some("/tail"), ""))
        }
        p.quiet { "Sent, received, rejected and all other totals are counts since the start, " (ago(started_at)) "." }
        h2 { "Channels" }
        @if channels.is_empty() { (nothing("No channel is configured.", "Add a [[channel]] to the configuration.")) }
        div.cards { @for channel in &channels { (channel_card(channel)) } }
        h2 { "Destinations" }
        @if destinations.is_empty() {
            (nothing("No destination is configured.", "Add a [[destination]] to the configuration."))
        }
        div.cards { @for destination in &destinations { (destination_card(destination)) } }
    };
    framed("/", "Overview", Some(REFRESH_S), &content)
}

fn capped(number: usize) -> String {
    if number >= COUNT_MAX { format!("{COUNT_MAX}+") } else { number.to_string() }
}

fn figure(name: &str, value: &str, href: Option<&str>, class: &str) -> Markup {
    let inside = html! { span.name { (name) } span.value { (value) } };
    html! {
        @match href {
            Some(href) => a.figure.(class) href=(href) { (inside) },
            None => div.figure.(class) { (inside) },
        }
    }
}

fn channel_card(channel: &ChannelView) -> Markup {
    let counts = &channel.counts;
    html! {
        article.card id={"channel-" (channel.id)} {
            header {
                div { h3 { (channel.name) } p.quiet { (channel.id) " · " (channel.provider) } }
                div.right { (state(channel.status)) (since(channel.since)) }
            }
            @if !channel.reason.is_empty() { p.reason { (channel.reason) } }
            @if channel.unsigned {
                p.reason.warn { "Webhooks are accepted from anyone: nothing proves that the provider sent them (unsigned = true)" }
            }
            @if let Some(until) = channel.paused_until {
                p.reason.warn { "The provider throttles this channel: paused until " (super::parts::time(until)) }
            }
            @match &channel.set_up {
                Some(set_up) if set_up.status == "failed" => {
                    p.reason.warn { "Setting up the provider failed: " (set_up.detail) }
                }
                Some(set_up) => p.quiet { "Provider set-up: " (set_up.detail) },
                None => {},
            }
            @if !channel.account.is_empty() {
                p.quiet {
                    @for (n, fact) in channel.account.iter().enumerate() {
                        @if n > 0 { " · " }
                        (fact.about) ": " b { (fact.says) }
                    }
                }
            }
            @for other in &channel.unknown_dids { (unknown_did(other)) }
            dl.grid {
                div { dt { "Own addresses" } dd { (channel.dids.join(", ")) } }
                div { dt { "Rate" } dd { @match channel.send_rate { Some(rate) => { (rate) " parts/s" }, None => "unlimited" } } }
                div { dt { "Sessions waiting" } dd { (count(channel.sessions_waiting as u64)) } }
                div { dt { "Parts in flight" } dd { (count(channel.parts_outstanding as u64)) } }
                div { dt { "Sent" } dd { (count(counts.submitted)) } }
                div { dt { "Received" } dd { (count(counts.received)) } }
                div { dt { "Receipts" } dd { (count(counts.receipts)) } }
                @for (name, number) in
                    [("Rejected", counts.rejected), ("Deferred", counts.deferred), ("Throttled", counts.throttled)] {
                    @if number > 0 { div { dt { (name) } dd.warn { (count(number)) } } }
                }
            }
            @if !channel.links.is_empty() {
                table {
                    thead { tr { th { "Link" } th { "State" } th { "Since" } th.num { "Unanswered" } th { "" } } }
                    tbody {
                        @for link in &channel.links {
                            tr {
                                td { (link.link) }
                                td { (state(link.status)) }
                                td { (since(link.since)) }
                                td.num { (link.outstanding) }
                                td.quiet { (link.reason) @if let Some(at) = link.next_try { " (at " (super::parts::time(at)) ")" } @if link.attempts > 1 { " (" (link.attempts) " attempts)" } }
                            }
                        }
                    }
                }
            }
            @if matches!(channel.status, "credentials_refused" | "failed") {
                (button("Restart", &format!("/api/channels/{}/restart", percent_encode(channel.id.as_str())), "{}",
                    "Restart this channel?"))
            }
        }
    }
}

fn unknown_did(other: &UnknownDidView) -> Markup {
    html! { p.reason.warn { (count(other.messages)) " messages to " b { (other.did) } ": " (other.reason) } }
}

fn destination_card(destination: &DestinationView) -> Markup {
    html! {
        article.card id={"destination-" (destination.id)} {
            header {
                div { h3 { (destination.id) } p.quiet.break { (destination.url) } }
                div.right { (state(destination.status)) (since(destination.since)) }
            }
            @if !destination.reason.is_empty() { p.reason { (destination.reason) } }
            dl.grid {
                div { dt { "Sessions waiting" } dd { (count(destination.sessions_waiting as u64)) } }
                div { dt { "POSTs in flight" } dd { (count(destination.posts_outstanding as u64)) } }
                div { dt { "Accepted" } dd { (count(destination.taken)) } }
                div { dt { "Failed POSTs" } dd { (count(destination.failed)) } }
            }
        }
    }
}
