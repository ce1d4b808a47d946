//! Messages that wait, from the open sessions of all hosts, in the order of the sessions.

use std::sync::Arc;

use tokio::{sync::oneshot, time::timeout};

use super::{
    answer::{SearchAnswer, wrong_cursor},
    resolve::unreadable,
    walk::Budget,
};
use crate::{
    context::Context,
    entry::ask::{self, ANSWER_WAIT},
    error::Refusal,
    protocol::host::{HostMessage, WaitingPage, WaitingPlace},
    view::messages::{FoundMessages, MessageCursor, MessageQuery},
};

/// Lists messages that wait.
///
/// # Errors
///
/// Returns a refusal if a host does not answer in time or its sessions cannot be read.
pub(super) async fn list(
    context: &Arc<Context>,
    query: &Arc<MessageQuery>,
) -> Result<FoundMessages, Refusal> {
    let mut after: Option<WaitingPlace> = match &query.after {
        Some(MessageCursor::Waiting(stream, number)) => Some((*stream, *number)),
        Some(_) => return Err(wrong_cursor()),
        None => None,
    };
    let mut answer = SearchAnswer::default();
    let mut budget = Budget::new(context);
    loop {
        let page = page(context, query, after, query.limit - answer.items.len()).await?;
        answer.items.extend(page.items.into_iter().map(|(_, item)| item));
        after = page.complete_to;
        budget.look(context);
        if after.is_none() || answer.items.len() >= query.limit || budget.is_over() {
            break;
        }
    }
    answer.end(context, query, after.map(|(stream, number)| MessageCursor::Waiting(stream, number)))
}

/// Merges what the hosts find.
async fn page(
    context: &Context,
    query: &Arc<MessageQuery>,
    after: Option<WaitingPlace>,
    limit: usize,
) -> Result<WaitingPage, Refusal> {
    let mut all = WaitingPage::default();
    for host in 0..context.hosts.count() {
        let (reply, wait) = oneshot::channel();
        context.hosts.tell(host, HostMessage::ScanWaiting { query: query.clone(), after, limit, reply });
        let page = match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(page)) => page.map_err(unreadable)?,
            _ => return Err(ask::no_answer()),
        };
        all.items.extend(page.items);
        all.complete_to = all.complete_to.into_iter().chain(page.complete_to).min();
    }
    all.cut(limit);
    Ok(all)
}
