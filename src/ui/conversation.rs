//! A session as the conversation that it is: who wrote what and when, and how far each message
//! came, with the newest at the bottom.

use actors::{
    Refusal,
    view::{
        SessionView,
        messages::{FoundMessages, MessageItem, MessageQuery},
    },
};
use channels::url::percent_encode;
use maud::{Markup, html};
use message::Timestamp;

use super::{
    parts::{message_link, nothing, time},
    state::PageState,
};

/// The number of messages on one page.
const PAGE_ITEMS: usize = 100;

/// Returns the messages of a session up to an instant. `older` is where a page of older ones
/// begins, `href` the address of the session.
pub(super) async fn show(
    page: &PageState,
    view: &SessionView,
    at: Option<Timestamp>,
    older: Option<&str>,
    href: &str,
) -> Markup {
    let found = match find(page, view, at, older).await {
        Ok(found) => found,
        Err(text) => return nothing("The messages cannot be shown now.", &text),
    };
    let items: Vec<_> = found.items.iter().filter(|item| item.session_id == view.session_id).collect();
    html! {
        h2.visually-hidden { "Conversation" }
        @if at.is_some() && !items.is_empty() { p.quiet { "The marks of each message tell its state now." } }
        @if let Some(next) = &found.next {
            p { a href={(href) "&older=" (percent_encode(&next.to_string()))} { "Older messages" } }
        }
        @if items.is_empty() {
            (nothing("No message is shown here.", "The events tell what happened; retention removes old texts."))
        } @else {
            ol.chat { @for item in items.iter().rev() { (bubble(item)) } }
        }
        @if older.is_some() { p { a href=(href) { "Newest messages" } } }
    }
}

async fn find(
    page: &PageState,
    view: &SessionView,
    at: Option<Timestamp>,
    older: Option<&str>,
) -> Result<FoundMessages, String> {
    let after = older.map(str::parse).transpose().map_err(|error| format!("older: {error}"))?;
    let query = MessageQuery {
        channel: Some(view.channel.clone()),
        customer: Some(view.customer.as_ref().into()),
        from: Some(view.opened_at),
        to: at,
        after,
        limit: PAGE_ITEMS,
        ..MessageQuery::default()
    };
    let Ok(_permit) = page.searches.try_acquire() else {
        return Err("Too many searches run at once; try again in a moment.".to_owned());
    };
    page.router.messages(query).await.map_err(|refusal: Refusal| refusal.to_string())
}

fn bubble(item: &MessageItem) -> Markup {
    let is_inbound = item.direction == "inbound";
    html! {
        li.bubble.(if is_inbound { "in" } else { "out" }) id={"m-" (item.id)} {
            p.who { @if is_inbound { "Customer " (item.customer) } @else { "Business, from " (item.own) } }
            p.said { @if item.text.is_empty() { i { "no text is kept" } } @else { (item.text) } }
            p.foot {
                (time(item.at))
                @if !is_inbound { " " (ticks(item)) " " a href=(message_link(item.id.as_str())) { "details" span.visually-hidden { " of message " (item.id) } } }
            }
        }
    }
}

/// Returns the marks of a message of the business: how far it came.
fn ticks(item: &MessageItem) -> Markup {
    let (mark, word, class) = match item.status {
        "READ" => ("✓✓", "read", "good"),
        "DELIVERED" => ("✓✓", "delivered", "good"),
        "SENT" => ("✓", "sent", ""),
        "FAILED" => ("✗", "failed", "bad"),
        "IN_DOUBT" => ("?", "in doubt", "warn"),
        _ => ("…", "waiting", ""),
    };
    html! {
        span.ticks.(class) {
            span aria-hidden="true" { (mark) " " }
            (word)
            @if let Some(code) = &item.reason_code { " (" (code) ")" }
        }
    }
}
