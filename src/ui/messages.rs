//! The lists of messages and the search among them: one field for a number, an id of ours or of the
//! provider, or a piece of the text, and filters.

use actors::{
    Refusal, Router,
    view::messages::{FoundMessages, ItemStatus, MessageItem, MessageList, MessageQuery},
};
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use channels::url::{encode_form, percent_encode};
use maud::{Markup, html};
use message::{ChannelId, MessageId, MessageStatus, Timestamp};
use serde::Deserialize;

use super::{
    layout::Frame,
    parts::{message_link, nothing, select, state, table, tabs, time},
    state::PageState,
};
use crate::instant;

/// The number of messages on one page.
const PAGE_ITEMS: usize = 50;
/// The largest number of characters of a text in the list.
const TEXT_SHOWN_MAX: usize = 160;
/// How often the list is fetched anew while nothing is searched for, in seconds.
const REFRESH_S: u32 = 5;
/// The lists: their names in addresses and for people.
const LISTS: [(MessageList, &str, &str); 3] = [
    (MessageList::Newest, "newest", "Newest"),
    (MessageList::Failed, "failed", "Failed"),
    (MessageList::Waiting, "waiting", "Waiting"),
];
/// The statuses: their names in addresses and for people.
const STATUSES: [(&str, &str); 9] = [
    ("", "any"),
    ("QUEUED", "queued"),
    ("ENROUTE", "enroute"),
    ("IN_DOUBT", "in doubt"),
    ("SENT", "sent"),
    ("FAILED", "failed"),
    ("DELIVERED", "delivered"),
    ("READ", "read"),
    (RECEIVED, "received"),
];
/// The status of customers' messages.
const RECEIVED: &str = "RECEIVED";

/// The query of the page. Empty fields of its form count as missing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    list: String,
    q: String,
    /// The meaning in which `q` was found on the page before.
    r#as: String,
    channel: String,
    status: String,
    code: String,
    from: String,
    to: String,
    after: String,
}

/// The meanings of a text in the search field, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Customer,
    ProviderId,
    Text,
}

impl Meaning {
    const ALL: [Self; 3] = [Self::Customer, Self::ProviderId, Self::Text];

    fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::ProviderId => "provider",
            Self::Text => "text",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Customer => "the customer's number or name",
            Self::ProviderId => "the provider's id",
            Self::Text => "a piece of the text",
        }
    }

    /// Returns the meanings that a text can have. Only a text without a space can be an id.
    fn of(text: &str) -> &'static [Self] {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '/');
        match text {
            text if text.chars().any(char::is_whitespace) && !text.chars().all(is_number) => &[Self::Text],
            _ => &Self::ALL,
        }
    }
}

/// The answer to a search, and the meaning in which something was found.
struct Found {
    messages: FoundMessages,
    meaning: Option<Meaning>,
}

pub(super) async fn show(State(page): State<PageState>, Query(asked): Query<Asked>) -> Response {
    let router = &page.router;
    let q = asked.q.trim();
    let frame = Frame { at: "/messages", title: "Messages", refresh_s: None };
    if !q.is_empty() && asked.r#as.is_empty() && router.message(&MessageId::from(q)).await.is_ok() {
        return Redirect::to(&message_link(q)).into_response();
    }
    let channels: Vec<_> = router.channels().await.into_iter().map(|channel| channel.id).collect();
    let Ok(_permit) = page.searches.try_acquire() else {
        let content = html! {
            (head(&asked, &channels))
            (nothing("Too many searches run at once.", "Try again in a moment."))
        };
        return frame.show(router, &content).await;
    };
    let result = match asked.query() {
        Ok(query) => search(router, &asked, &query).await.map_err(|refusal| refusal.to_string()),
        Err(text) => Err(text),
    };
    let content = html! {
        (head(&asked, &channels))
        @match &result {
            Ok(found) => (listed(&asked, found)),
            Err(text) => (nothing("This cannot be searched for.", text)),
        }
    };
    let is_live = q.is_empty() && asked.after.is_empty();
    Frame { refresh_s: is_live.then_some(REFRESH_S), ..frame }.show(router, &content).await
}

/// Searches for the text of the field in each meaning that it can have, until something is found.
async fn search(router: &Router, asked: &Asked, query: &MessageQuery) -> Result<Found, Refusal> {
    let text: Box<str> = asked.q.trim().into();
    if text.is_empty() {
        return Ok(Found { messages: router.messages(query.clone()).await?, meaning: None });
    }
    let chosen = Meaning::ALL.iter().position(|meaning| meaning.word() == asked.r#as);
    let meanings = match chosen {
        Some(at) => Meaning::ALL.get(at..=at).unwrap_or_default(),
        None => Meaning::of(&text),
    };
    let mut last = None;
    for meaning in meanings {
        let mut query = query.clone();
        match meaning {
            Meaning::Customer => query.customer = Some(text.clone()),
            Meaning::ProviderId => query.provider_id = Some(text.clone()),
            Meaning::Text => query.text = Some(text.clone()),
        }
        match router.messages(query).await {
            Ok(messages) => {
                let is_found = !messages.items.is_empty();
                last = Some(Ok(Found { messages, meaning: Some(*meaning) }));
                if is_found {
                    break;
                }
            }
            // A text that no channel takes as a number may be an id.
            Err(_) if *meaning == Meaning::Customer && chosen.is_none() => {}
            Err(refusal) => last = Some(Err(refusal)),
        }
    }
    last.unwrap_or(Err(Refusal::NotFound("message")))
}

impl Asked {
    fn list(&self) -> MessageList {
        LISTS
            .into_iter()
            .find(|(_, name, _)| *name == self.list)
            .map_or(MessageList::Newest, |(list, ..)| list)
    }

    /// Returns the query without the text of the search field, or the text of the refusal.
    fn query(&self) -> Result<MessageQuery, String> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let after = given(&self.after).map(|text| text.parse()).transpose();
        Ok(MessageQuery {
            list: self.list(),
            channel: given(&self.channel).map(ChannelId::new),
            status: given(&self.status).map(|text| status_of(&text)).transpose()?,
            customer: None,
            provider_id: None,
            text: None,
            code: given(&self.code).map(Into::into),
            from: instant_of("from", &self.from)?,
            to: instant_of("to", &self.to)?,
            after: after.map_err(|error| format!("after: {error}"))?,
            limit: PAGE_ITEMS,
        })
    }

    /// Returns the address of the page with one change.
    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut asked = self.clone();
        change(&mut asked);
        let Self { list, q, r#as, channel, status, code, from, to, after } = &asked;
        let fields = [
            ("list", list),
            ("q", q),
            ("as", r#as),
            ("channel", channel),
            ("status", status),
            ("code", code),
            ("from", from),
            ("to", to),
            ("after", after),
        ];
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        format!("/messages?{}", encode_form(given.map(|(name, value)| (*name, value.as_str()))))
    }
}

fn status_of(text: &str) -> Result<ItemStatus, String> {
    let known = [
        MessageStatus::Queued,
        MessageStatus::Enroute,
        MessageStatus::InDoubt,
        MessageStatus::Sent,
        MessageStatus::Failed,
        MessageStatus::Delivered,
        MessageStatus::Read,
    ];
    match text {
        RECEIVED => Ok(ItemStatus::Received),
        _ => known
            .into_iter()
            .find(|status| status.as_str() == text)
            .map(ItemStatus::Of)
            .ok_or_else(|| format!("status: {text:?} is none of those in the list")),
    }
}

/// Reads an instant. The field of a form gives it in UTC, without saying so and without seconds.
fn instant_of(key: &str, text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let spelled = match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    instant::parse(&spelled).map(Some).map_err(|error| format!("{key}: {error}"))
}

/// Returns the lists to choose from, the search field and the filters.
fn head(asked: &Asked, channels: &[ChannelId]) -> Markup {
    let here = asked.list();
    let links = LISTS.into_iter().map(|(list, name, title)| {
        let href = asked.with(|asked| {
            *asked = Asked { list: name.to_owned(), channel: asked.channel.clone(), ..Asked::default() };
        });
        (href, title, list == here)
    });
    let any = std::iter::once(("", "any"));
    html! {
        h1 { "Messages" }
        (tabs("Lists", links))
        (field(asked, &html! {
            @if !asked.list.is_empty() { input type="hidden" name="list" value=(asked.list); }
            div.filters {
                (select("channel", "Channel", &asked.channel, any.chain(channels.iter().map(|id| (id.as_str(), id.as_str())))))
                (select("status", "Status", &asked.status, STATUSES.into_iter()))
                label.field { span { "Code" } input name="code" value=(asked.code) size="10"; }
                label.field { span { "From (UTC)" } input type="datetime-local" name="from" value=(asked.from); }
                label.field { span { "To (UTC)" } input type="datetime-local" name="to" value=(asked.to); }
            }
        }))
    }
}

/// Returns the search field, with further fields of its form.
fn field(asked: &Asked, further: &Markup) -> Markup {
    html! {
        form.search method="get" action="/messages" role="search" {
            div.searched {
                input type="search" name="q" value=(asked.q) placeholder="Number, id or text"
                    aria-label="Number of the customer, message id, provider's id, or a piece of the text";
                button type="submit" { "Find" }
            }
            (further)
        }
    }
}

/// Returns the search field alone, for the page of a message.
pub(super) fn search_field(q: &str) -> Markup {
    field(&Asked { q: q.to_owned(), ..Asked::default() }, &html! {})
}

fn listed(asked: &Asked, found: &Found) -> Markup {
    let Found { messages, meaning } = found;
    let next = messages.next.as_ref().map(|next| {
        asked.with(|asked| {
            asked.after = next.to_string();
            asked.r#as = meaning.map_or("", Meaning::word).to_owned();
        })
    });
    html! {
        @if let (Some(meaning), false) = (meaning, messages.items.is_empty()) {
            p.quiet { "Found by " (meaning.words()) "." }
        }
        @if messages.items.is_empty() { (none(asked, messages.complete)) }
        @else { (rows(&messages.items)) }
        p.quiet {
            @if messages.complete { "Everything that is kept was looked at." }
            @else { "Looked back to " (time(messages.searched_back_to)) "; what is older was not looked at yet." }
        }
        p.pages {
            @if !asked.after.is_empty() {
                a href=(asked.with(|asked| { asked.after = String::new(); asked.r#as = String::new(); })) { "First page" }
            }
            @if let Some(next) = next {
                a href=(next) { @if messages.items.len() < PAGE_ITEMS { "Look further back" } @else { "Next page" } }
            }
        }
    }
}

fn none(asked: &Asked, is_complete: bool) -> Markup {
    let is_plain = asked.with(|asked| asked.list = String::new()) == "/messages?";
    match (asked.list(), is_plain) {
        _ if !is_complete => nothing("Nothing was found yet.", "Older messages were not looked at."),
        (MessageList::Waiting, true) => {
            nothing("Nothing waits.", "Every message was answered by its provider.")
        }
        (MessageList::Failed, true) => {
            nothing("No message failed.", "Failed messages are kept as long as retention says.")
        }
        (MessageList::Newest, true) => {
            nothing("There are no messages yet.", "Send one: Send a test is in the menu.")
        }
        _ => nothing(
            "No message matches.",
            "Looked for as message id, customer's number, provider's id and text. A message that was refused when it \
             was sent is not kept, and retention removes old ones.",
        ),
    }
}

fn rows(items: &[MessageItem]) -> Markup {
    let columns =
        [("Time", ""), ("Customer", ""), ("Text", "text"), ("Status", ""), ("Channel", ""), ("Message", "")];
    let row = |item: &MessageItem| {
        let is_inbound = item.direction == "inbound";
        let session = format!("/session?id={}", percent_encode(&item.session_id.0.to_string()));
        let way = if is_inbound { ("← ", "from ") } else { ("→ ", "to ") };
        [
            time(item.at),
            html! {
                span.number {
                    span aria-hidden="true" { (way.0) }
                    span.visually-hidden { (way.1) }
                    a href=(session) { (item.customer) }
                }
            },
            html! { (shortened(&item.text)) },
            html! {
                (state(item.status))
                @if let Some(code) = &item.reason_code { " " code { (code) } }
                @if let Some(reason) = &item.reason { p.quiet { (shortened(reason)) } }
            },
            html! { (item.channel) },
            html! {
                @if is_inbound { span.quiet.break { (item.id) } }
                @else { a.break href=(message_link(item.id.as_str())) { (item.id) } }
            },
        ]
    };
    table("Messages, the newest first", columns, items.iter().map(row))
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT_SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_looked_for_in_the_meanings_that_it_can_have() {
        for (text, meanings) in [
            ("+49 176 12", &Meaning::ALL[..]),
            ("SM00c0ffee", &Meaning::ALL),
            ("hello", &Meaning::ALL),
            ("hello there", &[Meaning::Text]),
        ] {
            assert_eq!(Meaning::of(text), meanings, "{text}");
        }
    }

    #[test]
    fn the_next_page_keeps_what_was_asked() {
        let asked = Asked { q: "+49 1".into(), channel: "sms".into(), ..Asked::default() };
        let next = asked.with(|asked| asked.after = "e7".into());
        assert_eq!(next, "/messages?q=%2B49+1&channel=sms&after=e7".replace("+", "%20"));
    }

    #[test]
    fn the_time_of_a_form_is_read() {
        let at = Timestamp(1_760_000_000_000);
        assert_eq!(instant_of("from", "2025-10-09T08:53:20"), Ok(Some(at)));
        assert_eq!(instant_of("from", "2025-10-09T08:53"), Ok(Some(Timestamp(at.0 - 20_000))));
        assert_eq!(instant_of("from", " "), Ok(None));
        assert!(instant_of("from", "yesterday").unwrap_err().starts_with("from: not an instant"));
    }
}
