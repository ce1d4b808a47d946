//! Questions to the session hosts and short reads of the log, for callers on the network runtime.

use std::{sync::Arc, time::Duration};

use message::{MessageId, MessageNo, StreamId, address};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    context::{Context, directory::ChannelEntry},
    domain::session::Identity,
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

/// Makes a short read of the log, off the network runtime.
///
/// # Errors
///
/// Returns the refusal of `work`, or one if the read panicked.
pub(crate) async fn read<T: Send + 'static>(
    context: &Arc<Context>,
    work: impl FnOnce(&Context) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let shared = context.clone();
    context.readers.read(move || work(&shared)).await.unwrap_or_else(|| Err(no_answer()))
}

/// Finds the identity of a customer's session, off the network runtime where that needs a read.
///
/// # Errors
///
/// Returns a refusal if the channel cannot reach such a customer.
pub(crate) async fn identity_of(
    context: &Arc<Context>,
    entry: &ChannelEntry,
    did: &str,
    customer: &str,
) -> Result<Identity, Refusal> {
    if !entry.has_aliases {
        return context.identity_of(entry, did, customer);
    }
    let (id, did, customer) = (entry.config.id.clone(), did.to_owned(), customer.to_owned());
    let found = move |context: &Context| {
        let found = context.directory.channel_by_id(&id);
        let (_, entry) = found.ok_or(Refusal::NotFound("channel"))?;
        context.identity_of(entry, &did, &customer)
    };
    read(context, found).await
}

/// Finds a message's stream and number by the business's id.
///
/// # Errors
///
/// Returns a refusal if no message has this id.
pub(crate) async fn locate(context: &Arc<Context>, id: &MessageId) -> Result<(StreamId, MessageNo), Refusal> {
    let key = address::message_key(id.as_str());
    let found = move |context: &Context| {
        let found = context.reader.find(key).ok_or(Refusal::NotFound("message"))?;
        Ok((StreamId(found.a), MessageNo(u32::try_from(found.b).unwrap_or(u32::MAX))))
    };
    read(context, found).await
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
/// Returns a refusal if a host does not answer in time.
pub(crate) async fn scan(
    context: &Context,
    what: Scan,
    after: Option<StreamId>,
    limit: usize,
) -> Result<Vec<Scanned>, Refusal> {
    let mut all = Vec::new();
    for host in 0..context.hosts.count() {
        let (reply, wait) = oneshot::channel();
        context.hosts.tell(host, HostMessage::Scan { what, after, limit, reply });
        match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(scanned)) => all.push(scanned),
            _ => return Err(no_answer()),
        }
    }
    Ok(all)
}
