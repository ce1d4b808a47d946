//! The lists and look-ups, each bounded by `limit`.

use axum::{
    body::Body,
    extract::{Path, State},
};
use http::{Response, StatusCode, Uri};
use message::{ChannelId, MessageId, SessionId};
use serde::Deserialize;

use super::{Shared, limit_of, query};
use crate::http::answer;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    after: Option<String>,
    channel: Option<String>,
}

pub(super) async fn channels(State(inner): Shared) -> Response<Body> {
    answer::json(&inner.admin.core.channels().await)
}

pub(super) async fn destinations(State(inner): Shared) -> Response<Body> {
    answer::json(&inner.admin.core.destinations().await)
}

pub(super) async fn sessions(State(inner): Shared, uri: Uri) -> Response<Body> {
    let page: Page = match query::of(&uri) {
        Ok(page) => page,
        Err(answer) => return *answer,
    };
    let after: Option<SessionId> = match page.after.as_deref().map(str::parse).transpose() {
        Ok(after) => after,
        Err(e) => return answer::error(StatusCode::BAD_REQUEST, &format!("after: {e}")),
    };
    match inner.admin.core.sessions(after, limit_of(page.limit)).await {
        Ok(sessions) => answer::json(&sessions),
        Err(refusal) => answer::refusal(&refusal),
    }
}

pub(super) async fn message(State(inner): Shared, Path(id): Path<String>) -> Response<Body> {
    match inner.admin.core.message(&MessageId::new(id)).await {
        Ok(view) => answer::json(&view),
        Err(refusal) => answer::refusal(&refusal),
    }
}

pub(super) async fn unmatched(State(inner): Shared, uri: Uri) -> Response<Body> {
    let page: Page = match query::of(&uri) {
        Ok(page) => page,
        Err(answer) => return *answer,
    };
    let channel = page.channel.map(ChannelId::new);
    answer::json(&inner.admin.core.unmatched(channel.as_ref(), limit_of(page.limit)).await)
}

pub(super) async fn in_doubt(State(inner): Shared, uri: Uri) -> Response<Body> {
    let page: Page = match query::of(&uri) {
        Ok(page) => page,
        Err(answer) => return *answer,
    };
    match inner.admin.core.in_doubt(limit_of(page.limit)).await {
        Ok(parts) => answer::json(&parts),
        Err(refusal) => answer::refusal(&refusal),
    }
}

pub(super) async fn dead_letters(State(inner): Shared, uri: Uri) -> Response<Body> {
    let page: Page = match query::of(&uri) {
        Ok(page) => page,
        Err(answer) => return *answer,
    };
    match inner.admin.core.dead_letters(limit_of(page.limit)).await {
        Ok(letters) => answer::json(&letters),
        Err(refusal) => answer::refusal(&refusal),
    }
}
