//! Questions to the session hosts.

use std::time::Duration;

use message::{ChannelId, MessageId, MessageNo, StreamId, address};
use storage::Found;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    context::Context,
    domain::message_key,
    error::Refusal,
    protocol::{
        answers::Reply,
        host::{HostMessage, Scan, Scanned},
        task::{Op, QueuePosition, Request},
    },
};

/// How long a caller waits for the actors; after that it is told to come again.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Returns the refusal for a caller that got no answer in time.
pub(crate) fn no_answer() -> Refusal {
    Refusal::Busy { reason: "the router did not answer in time".into(), retry_after_s: 5 }
}

fn busy(reason: String) -> Refusal {
    Refusal::Busy { reason: reason.into(), retry_after_s: 10 }
}

/// Finds the entry of a message by the business's id.
///
/// # Errors
///
/// Returns a refusal if the log cannot tell whether a message has this id.
pub(crate) fn find_message(context: &Context, id: &MessageId) -> Result<Option<Found>, Refusal> {
    let found = context.reader.find_now(address::message_key(id.as_str()));
    found.map_err(|poisoned| Refusal::Busy { reason: poisoned.to_string().into(), retry_after_s: 10 })
}

/// Finds a message's stream and number by the business's id.
///
/// # Errors
///
/// Returns a refusal if no message has this id, or the log cannot tell.
pub(crate) fn locate(context: &Context, id: &MessageId) -> Result<(StreamId, MessageNo), Refusal> {
    let found = find_message(context, id)?.ok_or(Refusal::NotFound("message"))?;
    Ok((StreamId(found.a), message_key::number(found)))
}

/// Sends a request to a session's host and waits for the answer.
///
/// # Errors
///
/// Returns the host's refusal, or one if it does not answer in time.
pub(crate) async fn ask<T>(
    context: &Context,
    stream: StreamId,
    request: impl FnOnce(Reply<T>) -> Request,
) -> Result<T, Refusal> {
    let (reply, wait) = oneshot::channel();
    context.hosts.perform(stream, Op::Request(request(reply)));
    match timeout(ANSWER_WAIT, wait).await {
        Ok(Ok(answer)) => answer,
        _ => Err(no_answer()),
    }
}

/// Asks for the place that a new message would have in a session's queue.
///
/// # Errors
///
/// As for [`ask`].
pub(crate) async fn queue_position(context: &Context, stream: StreamId) -> Result<QueuePosition, Refusal> {
    ask(context, stream, |reply| Request::QueuePosition { reply }).await
}

/// Searches the sessions of all hosts.
///
/// # Errors
///
/// Returns a refusal if a host does not answer in time, or cannot read its sessions.
pub(crate) async fn scan(
    context: &Context,
    what: Scan,
    channel: Option<&ChannelId>,
    after: Option<StreamId>,
    limit: usize,
) -> Result<Vec<Scanned>, Refusal> {
    let mut all = Vec::new();
    for host in 0..context.hosts.count() {
        let (reply, wait) = oneshot::channel();
        context.hosts.tell(
            host,
            HostMessage::Scan { what: what.clone(), after, channel: channel.cloned(), limit, reply },
        );
        match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(scanned)) => all.push(scanned.map_err(busy)?),
            _ => return Err(no_answer()),
        }
    }
    Ok(all)
}
