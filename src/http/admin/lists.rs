//! Lists and look-ups. Every list is limited by `limit`.

use std::sync::Arc;

use actors::{
    Refusal,
    view::{ExchangeView, MessageView},
};
use axum::{
    body::Body,
    extract::{Path, State},
};
use http::{Response, Uri};
use message::{ChannelId, MessageId, SessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    query::{self, limit_of},
    state::SharedAdmin,
};
use crate::{http::answer, ui::EXCHANGES_OF_MESSAGE_MAX};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The number of items, 1 to 1000; 100 when missing.
    limit: Option<usize>,
    /// The end of the page before, as in its `Link` header.
    after: Option<String>,
    /// Only of the channel with this id.
    channel: Option<String>,
}

impl Page {
    fn after_session(&self) -> Result<Option<SessionId>, Box<Response<Body>>> {
        let after = self.after.as_deref().map(str::parse).transpose();
        after.map_err(|e| Box::new(answer::wrong_parameter("after", e)))
    }
}

/// Answers with a page of a list whose cursor is a session id.
async fn paged<T, F>(
    uri: &Uri,
    list: impl FnOnce(Option<ChannelId>, Option<SessionId>, usize) -> F,
) -> Response<Body>
where
    T: Serialize,
    F: Future<Output = Result<actors::Page<T>, Refusal>>,
{
    let page: Page = match query::of(uri) {
        Ok(page) => page,
        Err(answer) => return *answer,
    };
    let after = match page.after_session() {
        Ok(after) => after,
        Err(answer) => return *answer,
    };
    match list(page.channel.map(ChannelId::new), after, limit_of(page.limit)).await {
        Ok(entries) => answer::page(uri, &entries),
        Err(refusal) => answer::refusal(&refusal),
    }
}

pub(super) async fn channels(State(inner): SharedAdmin) -> Response<Body> {
    answer::json(&inner.admin.router.channels().await)
}

pub(super) async fn destinations(State(inner): SharedAdmin) -> Response<Body> {
    answer::json(&inner.admin.router.destinations().await)
}

pub(super) async fn sessions(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let router = &inner.admin.router;
    paged(&uri, |channel, after, limit| async move { router.sessions(channel.as_ref(), after, limit).await })
        .await
}

pub(super) async fn message(State(inner): SharedAdmin, Path(id): Path<String>) -> Response<Body> {
    let id = MessageId::new(id);
    match inner.admin.router.message(&id).await {
        Ok(view) => {
            let exchanges = inner.admin.router.exchanges(&view.channel, Some(&id), EXCHANGES_OF_MESSAGE_MAX);
            answer::json(&Trace { view, exchanges: exchanges.unwrap_or_default() })
        }
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// A message with the HTTP exchanges about it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Trace {
    #[serde(flatten)]
    view: MessageView,
    exchanges: Vec<Arc<ExchangeView>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchanges {
    /// The number of items, 1 to 1000; 100 when missing.
    limit: Option<usize>,
    /// Only about the message with this id.
    message: Option<String>,
}

pub(super) async fn exchanges(
    State(inner): SharedAdmin,
    Path(channel): Path<String>,
    uri: Uri,
) -> Response<Body> {
    let wanted: Exchanges = match query::of(&uri) {
        Ok(wanted) => wanted,
        Err(answer) => return *answer,
    };
    let message = wanted.message.map(MessageId::new);
    let limit = limit_of(wanted.limit);
    match inner.admin.router.exchanges(&ChannelId::new(channel), message.as_ref(), limit) {
        Ok(exchanges) => answer::json(&exchanges),
        Err(refusal) => answer::refusal(&refusal),
    }
}

pub(super) async fn unmatched(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let page: Page = match query::of(&uri) {
        Ok(page) => page,
        Err(answer) => return *answer,
    };
    let after = match page.after.as_deref().map(str::parse::<u32>).transpose() {
        Ok(after) => after.unwrap_or(0),
        Err(e) => {
            return answer::wrong_parameter("after", format!("{e}; expected a receipt's number"));
        }
    };
    if after > 0 && page.channel.is_none() {
        let text = "needs channel=..., since each channel counts its own receipts";
        return answer::wrong_parameter("after", text);
    }
    let channel = page.channel.map(ChannelId::new);
    answer::json(&inner.admin.router.unmatched(channel.as_ref(), after, limit_of(page.limit)).await)
}

pub(super) async fn in_doubt(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let router = &inner.admin.router;
    paged(&uri, |channel, after, limit| async move { router.in_doubt(channel.as_ref(), after, limit).await })
        .await
}

pub(super) async fn dead_letters(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let router = &inner.admin.router;
    paged(
        &uri,
        |channel, after, limit| async move { router.dead_letters(channel.as_ref(), after, limit).await },
    )
    .await
}
