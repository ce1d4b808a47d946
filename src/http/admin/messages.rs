//! `GET /api/messages` and `GET /api/series`: lists of messages and searches among them, and the
//! counts of the channels over time.

use actors::view::messages::{
    FoundMessages, ItemStatus, MessageCursor, MessageItem, MessageList, MessageQuery,
};
use axum::{body::Body, extract::State};
use http::{Response, Uri, header};
use message::{ChannelId, MessageStatus, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    query::{self, limit_of},
    state::SharedAdmin,
};
use crate::{http::answer, instant};

/// The statuses of the business's messages.
const STATUSES: [MessageStatus; 7] = [
    MessageStatus::Queued,
    MessageStatus::Enroute,
    MessageStatus::InDoubt,
    MessageStatus::Sent,
    MessageStatus::Failed,
    MessageStatus::Delivered,
    MessageStatus::Read,
];
/// The word for customers' messages among the statuses.
const RECEIVED: &str = "RECEIVED";
/// The number of hours of `/api/series` when `hours` is missing, and the largest.
const HOURS: u64 = 24;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AskedMessages {
    /// `newest` (the default), `failed` or `waiting`.
    list: Option<String>,
    /// Only of the channel with this id.
    channel: Option<String>,
    /// Only with this status, or `RECEIVED`.
    status: Option<String>,
    /// Only of the customer with this address.
    customer: Option<String>,
    /// Only with this id of the provider.
    provider_id: Option<String>,
    /// Only with these words.
    text: Option<String>,
    /// Only failed with this code.
    code: Option<String>,
    /// Not before this instant (RFC 3339, or epoch ms).
    from: Option<String>,
    /// Not after this instant.
    to: Option<String>,
    /// The end of the page before, as in its `Link` header.
    after: Option<String>,
    /// The number of items, 1 to 1000; 100 when missing.
    limit: Option<usize>,
}

impl AskedMessages {
    /// Returns the query, or the text of the answer 400.
    fn query(self) -> Result<MessageQuery, String> {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let boxed = |text| given(text).map(|text| Box::from(text.trim()));
        let time = |key: &str, text| {
            let at = given(text).as_deref().map(instant::parse).transpose();
            at.map_err(|error| format!("{key}: {error}"))
        };
        let list = match given(self.list).as_deref() {
            None | Some("newest") => MessageList::Newest,
            Some("failed") => MessageList::Failed,
            Some("waiting") => MessageList::Waiting,
            Some(other) => return Err(format!("list: {other:?} is none of newest, failed, waiting")),
        };
        let after: Option<Result<MessageCursor, _>> = given(self.after).map(|text| text.parse());
        Ok(MessageQuery {
            list,
            channel: given(self.channel).map(ChannelId::new),
            status: given(self.status).map(|text| status_of(&text)).transpose()?,
            customer: boxed(self.customer),
            provider_id: boxed(self.provider_id),
            text: boxed(self.text),
            code: boxed(self.code),
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            after: after.transpose().map_err(|error| format!("after: {error}"))?,
            limit: limit_of(self.limit),
        })
    }
}

fn status_of(text: &str) -> Result<ItemStatus, String> {
    if text.eq_ignore_ascii_case(RECEIVED) {
        return Ok(ItemStatus::Received);
    }
    let known = STATUSES.into_iter().find(|status| text.eq_ignore_ascii_case(status.as_str()));
    known.map(ItemStatus::Of).ok_or_else(|| {
        let all = STATUSES.map(MessageStatus::as_str).join(", ");
        format!("status: {text:?} is none of {all}, {RECEIVED}")
    })
}

/// The answer to a list of messages.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedMessages<'a> {
    items: &'a [MessageItem],
    searched_back_to: String,
    complete: bool,
}

pub(super) async fn list(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let asked: AskedMessages = match query::of(&uri) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    let query = match asked.query() {
        Ok(query) => query,
        Err(text) => return query::wrong(&text),
    };
    let Ok(_permit) = inner.searches.try_acquire() else {
        return answer::busy("too many searches at once", 1);
    };
    match inner.admin.router.messages(query).await {
        Ok(found) => listed(&uri, &found),
        Err(refusal) => answer::refusal(&refusal),
    }
}

fn listed(uri: &Uri, found: &FoundMessages) -> Response<Body> {
    let mut answer = answer::json(&ListedMessages {
        items: &found.items,
        searched_back_to: instant::rfc3339(found.searched_back_to),
        complete: found.complete,
    });
    if let Some(link) = found.next.as_ref().and_then(|next| answer::next_page(uri, &next.to_string())) {
        answer.headers_mut().insert(header::LINK, link);
    }
    answer
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedSeries {
    /// Only of the channel with this id.
    channel: Option<String>,
    /// How far back, 1 to 24; 24 when missing.
    hours: Option<u64>,
}

/// The counts of channels, with the instant as text.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Series<'a> {
    from: String,
    step_seconds: u32,
    sent: &'a [u64],
    delivered: &'a [u64],
    failed: &'a [u64],
    received: &'a [u64],
    waiting: &'a [u64],
    receipt_seconds: &'a [Option<f64>],
}

pub(super) async fn series(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let asked: AskedSeries = match query::of(&uri) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    let hours = asked.hours.unwrap_or(HOURS);
    if hours == 0 || hours > HOURS {
        let text = format!("{hours} is not from 1 to {HOURS}; one day is kept");
        return answer::wrong_parameter("hours", text);
    }
    match inner.admin.router.series(asked.channel.map(ChannelId::new).as_ref(), hours) {
        Ok(series) => answer::json(&Series {
            from: instant::rfc3339(Timestamp(series.from.0)),
            step_seconds: series.step_seconds,
            sent: &series.sent,
            delivered: &series.delivered,
            failed: &series.failed,
            received: &series.received,
            waiting: &series.waiting,
            receipt_seconds: &series.receipt_seconds,
        }),
        Err(refusal) => answer::refusal(&refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_query_is_told_with_its_key() {
        let asked = |query: &str| -> Result<MessageQuery, String> {
            let uri: Uri = format!("/api/messages?{query}").parse().unwrap();
            query::of::<AskedMessages>(&uri).map_err(|_| "unread".to_owned())?.query()
        };
        for (query, told) in [
            ("list=oldest", "list: \"oldest\" is none of newest, failed, waiting"),
            ("status=LOST", "status: \"LOST\" is none of QUEUED"),
            ("from=yesterday", "from: not an instant"),
            ("to=x", "to: not an instant"),
            ("after=7", "after: not the end of a page"),
            ("cutsomer=x", "unread"),
        ] {
            let error = asked(query).unwrap_err();
            assert!(error.starts_with(told), "{query}: {error}");
        }
        let query = asked("status=delivered&customer=%2B49%201&text=&limit=7").unwrap();
        assert_eq!(query.status, Some(ItemStatus::Of(MessageStatus::Delivered)));
        assert_eq!((query.customer.as_deref(), query.text, query.limit), (Some("+49 1"), None, 7));
    }
}
