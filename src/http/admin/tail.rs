//! `GET /api/tail`: committed events as server-sent events. A slow reader misses events and is told
//! how many; it never slows the router.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actors::{TailEvent, view::EventView};
use axum::{body::Body, extract::State};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, Uri, header};
use message::{ChannelId, MessageId, SessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use super::{query, state::SharedAdmin};
use crate::http::answer;

/// The silence after which a comment is sent, so that a broken connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The largest number of events written at once.
const CHUNK_EVENTS_MAX: usize = 256;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TailFilter {
    /// Only of the channel with this id.
    channel: Option<String>,
    /// Only of the session with this id.
    session: Option<String>,
    /// Only of the message with this id.
    message: Option<String>,
}

impl TailFilter {
    fn takes(&self, event: &TailEvent) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|w| found == Some(w));
        is(&self.channel, event.channel.as_ref().map(ChannelId::as_str))
            && is(&self.message, event.message_id.as_ref().map(MessageId::as_str))
            && (self.session.is_none() || is(&self.session, event.session.map(|s| s.to_string()).as_deref()))
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TailLine<'a> {
    #[serde(flatten)]
    event: &'a EventView,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a ChannelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a MessageId>,
}

struct Tail {
    events: broadcast::Receiver<Arc<TailEvent>>,
    filter: TailFilter,
    stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn stream(State(inner): SharedAdmin, uri: Uri) -> Response<Body> {
    let filter: TailFilter = match query::of(&uri) {
        Ok(filter) => filter,
        Err(answer) => return *answer,
    };
    if let Some(session) = &filter.session
        && let Err(e) = session.parse::<SessionId>()
    {
        return answer::wrong_parameter("session", e);
    }
    let Ok(permit) = inner.tails.clone().try_acquire_owned() else {
        return answer::busy("too many live tails are open", 5);
    };
    let tail =
        Tail { events: inner.admin.router.tail(), filter, stop: inner.admin.stop.clone(), _permit: permit };
    // The first comment tells the reader at once that it is connected.
    let hello = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b": connected\n\n")) });
    let events = stream::unfold(tail, |mut tail| async move {
        let chunk = tail.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), tail))
    });
    let mut answer = Response::new(Body::from_stream(stream::StreamExt::chain(hello, events)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

impl Tail {
    /// Returns the next events as text; `None` ends the stream.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let first = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return None,
                event = tokio::time::timeout(KEEP_ALIVE, self.events.recv()) => event,
            };
            match first {
                Err(_) => out.extend_from_slice(b": still here\n\n"),
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
                Ok(Err(broadcast::error::RecvError::Lagged(missed))) => lag(&mut out, missed),
                Ok(Ok(event)) => self.write(&mut out, &event),
            }
            for _ in 1..CHUNK_EVENTS_MAX {
                match self.events.try_recv() {
                    Ok(event) => self.write(&mut out, &event),
                    Err(broadcast::error::TryRecvError::Lagged(missed)) => lag(&mut out, missed),
                    Err(_) => break,
                }
            }
            if !out.is_empty() {
                return Some(out);
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>, event: &TailEvent) {
        if !self.filter.takes(event) {
            return;
        }
        let line = TailLine {
            event: &event.event,
            channel: event.channel.as_ref(),
            session_id: event.session.map(|s| s.to_string()),
            message_id: event.message_id.as_ref(),
        };
        let Ok(json) = serde_json::to_vec(&line) else { return };
        out.extend_from_slice(format!("id: {}\ndata: ", event.event.seq).as_bytes());
        out.extend_from_slice(&json);
        out.extend_from_slice(b"\n\n");
    }
}

fn lag(out: &mut Vec<u8>, missed: u64) {
    out.extend_from_slice(format!("event: lag\ndata: {{\"missed\":{missed}}}\n\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use message::{Seq, Timestamp};
    use tokio::sync::Semaphore;

    use super::*;

    fn event(seq: u64, channel: &str) -> Arc<TailEvent> {
        let event = EventView {
            seq: Seq(seq),
            at: Timestamp(0),
            stream: "feed".into(),
            event: "submitted",
            message: None,
            part: None,
            detail: String::new(),
        };
        Arc::new(TailEvent { event, channel: Some(channel.into()), session: None, message_id: None })
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_events_it_missed() {
        let (events, receiver) = broadcast::channel(16);
        let (_go_on, stop) = watch::channel(false);
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let filter = TailFilter { channel: Some("sms-main".into()), ..TailFilter::default() };
        let mut tail = Tail { events: receiver, filter, stop, _permit: permit };
        for seq in 1..=20 {
            events.send(event(seq, if seq == 19 { "other" } else { "sms-main" })).unwrap();
        }
        let text = String::from_utf8(tail.next().await.unwrap()).unwrap();
        assert!(text.starts_with("event: lag\ndata: {\"missed\":4}\n\nid: 5\n"), "{text}");
        assert!(text.contains("id: 20\n") && !text.contains("id: 19\n"), "{text}");
    }
}
