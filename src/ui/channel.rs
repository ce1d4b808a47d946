//! A channel: its card on the overview, and its own page with large charts.

use actors::Router;
use actors::view::{ChannelView, ProblemView, WaitingTotalView, series::SeriesView};
use axum::{
    extract::{Query, State},
    response::Response,
};
use channels::{provider, url::percent_encode};
use maud::{Markup, html};
use message::ChannelId;
use serde::Deserialize;

use super::{
    charts::Curves,
    health,
    layout::Frame,
    parts::{Button, copied, count, since, span, state, table, tabs, time},
};

/// The codes of failures that a card shows; the rest is summed up.
const CODES_SHOWN: usize = 5;
/// The ranges of the large charts: hours, name, steps.
const RANGES: [(u64, &str, usize); 3] = [(1, "1 hour", 60), (6, "6 hours", 72), (24, "24 hours", 96)];
/// How often the page fetches its content anew, in seconds.
const REFRESH_S: u32 = 5;

/// Everything that a card of a channel shows.
pub(super) struct ChannelCard<'a> {
    pub(super) channel: &'a ChannelView,
    pub(super) problems: &'a [ProblemView],
    pub(super) waiting: WaitingTotalView,
    pub(super) series: Option<SeriesView>,
}

#[derive(Deserialize)]
pub(super) struct ChannelQuery {
    #[serde(default)]
    id: String,
    hours: Option<u64>,
}

pub(super) async fn show(State(router): State<Router>, Query(wanted): Query<ChannelQuery>) -> Response {
    let frame = Frame { at: "/channel", title: "Channel", refresh_s: Some(REFRESH_S) };
    let id = ChannelId::from(wanted.id.as_str());
    let hours = wanted.hours.unwrap_or(24);
    let range = RANGES.into_iter().find(|(of, ..)| *of == hours).unwrap_or((24, "24 hours", 96));
    let found = router.channels().await.into_iter().find(|channel| channel.id == id);
    let (series, waiting) = (router.series(Some(&id), range.0), router.waiting(Some(&id)));
    let (Some(channel), Ok(series), Ok(waiting)) = (found, series, waiting) else {
        let text = format!("No channel has the id {id}: the overview lists all.");
        return Frame { refresh_s: None, ..frame }.problem(&router, &text).await;
    };
    let status = router.status().await;
    let here = |hours: u64| format!("/channel?id={}&hours={hours}", percent_encode(id.as_str()));
    let curves = Curves::of(&series, range.2, waiting.messages);
    let shown = ChannelCard { channel: &channel, problems: &status.problems, waiting, series: None };
    let content = html! {
        header.title { h1 { (channel.name) } (state(channel.status)) (since(channel.since)) }
        p.quiet { (channel.id) " · " (channel.provider) }
        (shown.why())
        (shown.actions())
        h2 { "Over time" }
        (tabs("Time range", RANGES.into_iter().map(|(of, name, _)| (here(of), name, of == range.0))))
        (curves.large())
        h2 { "Outcome" }
        (shown.outcome(usize::MAX))
        h2 { "At the provider" }
        (shown.at_provider())
        (shown.counts())
        @if !channel.links.is_empty() { h2 { "Links" } (links(&channel)) }
    };
    let title = format!("Channel {}", channel.name);
    Frame { title: &title, ..frame }.with(&status, &content)
}

impl ChannelCard<'_> {
    pub(super) fn card(&self) -> Markup {
        let channel = self.channel;
        let href = format!("/channel?id={}", percent_encode(channel.id.as_str()));
        html! {
            article.card id={"channel-" (channel.id)} {
                header {
                    div { h3 { a href=(href) { (channel.name) } } p.quiet { (channel.id) " · " (channel.provider) } }
                    div.right { (state(channel.status)) (since(channel.since)) }
                }
                (self.why())
                @if let Some(series) = &self.series {
                    (Curves::sparks(series, self.waiting.messages, &href, &channel.name))
                }
                (self.outcome(CODES_SHOWN))
                (self.at_provider())
                @if channel.links.iter().any(|link| !matches!(link.status, "bound" | "ready")) { (links(channel)) }
                (self.actions())
            }
        }
    }

    /// Returns what is wrong, what waits, and why.
    fn why(&self) -> Markup {
        let channel = self.channel;
        let own: Vec<_> =
            self.problems.iter().filter(|problem| problem.channel.as_ref() == Some(&channel.id)).collect();
        html! {
            @if own.is_empty() && !channel.reason.is_empty() { p.reason { (channel.reason) } }
            (health::of_one(own.into_iter()))
            @if channel.unsigned {
                p.reason.warn { "Webhooks are accepted from anyone: nothing proves that the provider sent them (unsigned = true)" }
            }
            @if let Some(until) = channel.paused_until {
                p.reason.warn { "The provider throttles this channel: paused until " (time(until)) }
            }
            (self.waits())
        }
    }

    /// Returns how many messages wait, since when, for what, and how long that will take.
    fn waits(&self) -> Markup {
        let WaitingTotalView { messages, oldest_seconds } = self.waiting;
        let channel = self.channel;
        if messages == 0 {
            return html! {};
        }
        let takes = channel.send_rate.filter(|rate| *rate > 0.0 && channel.status == "connected");
        let takes = takes.map(|rate| (rate, (messages as f64 / rate).ceil() as u64));
        let href = format!("/messages?list=waiting&channel={}", percent_encode(channel.id.as_str()));
        html! {
            p.waits {
                a href=(href) { (count(messages)) @if messages == 1 { " message waits" } @else { " messages wait" } }
                @if oldest_seconds > 0 { ", the oldest for " (span(oldest_seconds)) }
                @match (&channel.limited_by, takes) {
                    (Some(by), Some((rate, seconds))) => {
                        ": limited by " code { (by) } ", about " (span(seconds)) " at " (rate) " parts/s"
                    }
                    (None, Some((rate, seconds))) => { ": at least " (span(seconds)) " at " (rate) " parts/s" }
                    (_, None) if channel.status != "connected" => {
                        ": the channel is " (channel.status.replace('_', " "))
                    }
                    _ => {}
                }
                "."
            }
        }
    }

    /// Returns the codes with which messages failed, most first.
    fn outcome(&self, most: usize) -> Markup {
        let channel = self.channel;
        let total: u64 = channel.failures.iter().map(|failed| failed.messages).sum();
        let further: u64 = channel.failures.iter().skip(most).map(|failed| failed.messages).sum();
        html! {
            @if total == 0 { p.quiet { "No message failed since the start." } }
            @else {
                p { (count(total)) @if total == 1 { " message" } @else { " messages" } " failed since the start:" }
                ul.codes {
                    @for failed in channel.failures.iter().take(most) {
                        li {
                            a href=(format!("/messages?list=failed&channel={}&code={}",
                                percent_encode(channel.id.as_str()), percent_encode(&failed.code))) {
                                @if failed.code.is_empty() { "without a code" } @else { code { (failed.code) } }
                            }
                            " × " (count(failed.messages))
                            @if let Some(known) = provider::explain(channel.provider, &failed.code) {
                                span.quiet { " " (known.meaning) }
                            }
                        }
                    }
                    @if further > 0 { li.quiet { (count(further)) " with other codes" } }
                }
            }
        }
    }

    /// Returns own addresses, the address of the webhook, and what the provider says of itself.
    fn at_provider(&self) -> Markup {
        let channel = self.channel;
        html! {
            dl.facts {
                div {
                    dt { "Own addresses" }
                    dd { @for (n, did) in channel.dids.iter().enumerate() { @if n > 0 { ", " } span.number { (did) } } }
                }
                @if let Some(url) = &channel.webhook_url {
                    div { dt { "Webhook to enter at the provider" } dd { (copied(&format!("webhook-{}", channel.id), url)) } }
                }
                @match &channel.set_up {
                    Some(set_up) if set_up.status == "failed" => {}
                    Some(set_up) => div { dt { "Provider set-up" } dd { (set_up.detail) } },
                    None => {},
                }
                @for fact in &channel.account {
                    div { dt { "Provider says: " (fact.about) } dd.break { (fact.says) } }
                }
                div {
                    dt { "Rate" }
                    dd { @match channel.send_rate { Some(rate) => { (rate) " parts/s" }, None => "unlimited" } }
                }
            }
        }
    }

    fn counts(&self) -> Markup {
        let (channel, counts) = (self.channel, &self.channel.counts);
        html! {
            p.quiet { "Counts since the start:" }
            dl.grid.panel {
                div { dt { "Sessions waiting" } dd { (count(channel.sessions_waiting as u64)) } }
                div { dt { "Parts in flight" } dd { (count(channel.parts_outstanding as u64)) } }
                @for (name, number) in [
                    ("Parts sent", counts.submitted), ("Parts received", counts.received), ("Receipts", counts.receipts),
                    ("Parts rejected", counts.rejected), ("Parts deferred", counts.deferred), ("Throttled", counts.throttled),
                    ("Parts in doubt", counts.in_doubt), ("Receipts unmatched", counts.receipts_unmatched),
                    ("Malformed", counts.malformed),
                ] {
                    div { dt { (name) } dd { (count(number)) } }
                }
            }
        }
    }

    fn actions(&self) -> Markup {
        let id = self.channel.id.as_str();
        let to = |action: &str| format!("/api/channels/{}/{action}", percent_encode(id));
        let button = |name, action: &str, sure: &str| {
            Button { name, of: &format!("channel {id}"), to: &to(action), body: "{}", sure }.show()
        };
        let restart = format!("Restart channel {id}? Its connections are closed and made anew.");
        let cancel = format!(
            "Cancel all queued messages of channel {id}? Every message of which no part was sent is withdrawn, and \
             the business is told so. This cannot be undone."
        );
        html! {
            div.buttons {
                @if self.channel.paused_since.is_some() { (button("Resume", "resume", "")) }
                @else { (button("Pause", "pause", "")) }
                (button("Try now", "try-now", ""))
                (button("Restart", "restart", &restart))
                (button("Cancel all queued", "cancel-queued", &cancel))
                a.more href=(format!("/send?channel={}", percent_encode(id))) { "Send a test" span.visually-hidden { " on channel " (id) } }
            }
        }
    }
}

fn links(channel: &ChannelView) -> Markup {
    let columns = [("Link", ""), ("State", ""), ("Since", ""), ("Unanswered", "num"), ("Reason", "")];
    let rows = channel.links.iter().map(|link| {
        let reason = html! {
            @if link.reason.is_empty() { "-" } @else { (link.reason) }
            @if let Some(at) = link.next_try { " (next try at " (time(at)) ")" }
            @if link.attempts > 1 { " (" (link.attempts) " attempts)" }
        };
        [html! { (link.link) }, state(link.status), since(link.since), html! { (link.outstanding) }, reason]
    });
    table(&format!("Links of channel {}", channel.id), columns, rows)
}
