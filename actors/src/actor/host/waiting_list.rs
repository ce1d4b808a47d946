//! Searches the sessions of a host for messages that wait, in the order of streams and numbers.

use message::{MessageNo, StreamId};
use storage::OpenStream;

use crate::{
    actor::host::{
        load,
        sessions::Sessions,
        view::{SCAN_MAX, SCAN_PAGE, unreadable_index},
    },
    context::Context,
    domain::session::Session,
    protocol::host::{WaitingPage, WaitingPlace},
    view::messages::{ItemSession, MessageItem, MessageQuery},
};

/// Finds messages behind `after` that wait and are wanted, at most `limit`.
///
/// # Errors
///
/// Returns the reason if the index cannot be read.
pub(crate) fn scan(
    context: &Context,
    sessions: &Sessions,
    host: usize,
    query: &MessageQuery,
    after: Option<WaitingPlace>,
    limit: usize,
) -> Result<WaitingPage, String> {
    let mut page = WaitingPage::default();
    let is_next = |stream: StreamId| after.is_none_or(|(after, _)| stream >= after);
    for stream in sessions.live.streams(|slot| is_next(slot.stream) && !is_idle(&slot.session)) {
        // One more than wanted shows that there are more.
        if page.items.len() > limit {
            break;
        }
        if let Some(slot) = sessions.live.get(stream) {
            add(&mut page, stream, &slot.session, query, after, limit);
        }
    }
    // The index is read behind a stream; the session in which the page before ended comes again.
    let mut from = after.and_then(|(after, _)| Some(StreamId(after.0.checked_sub(1)?)));
    let (mut looked, mut stored) = (0, WaitingPage::default());
    loop {
        if looked >= SCAN_MAX || stored.items.len() > limit {
            stored.complete_to = from.map(|stream| (stream, MessageNo(u32::MAX)));
            break;
        }
        let entries = context.reader.scan(from, SCAN_PAGE).map_err(unreadable_index)?;
        let Some(last) = entries.last() else { break };
        from = Some(last.stream);
        looked += entries.len();
        for OpenStream { stream, entry } in entries {
            if context.hosts.of(stream) != host || sessions.live.contains(stream) {
                continue;
            }
            let from_log = || Some(load::from_log(context, stream, entry.applied).ok()??.session);
            if let Some(session) = load::decode(&entry).ok().or_else(from_log) {
                add(&mut stored, stream, &session, query, after, limit);
            }
        }
    }
    page.items.extend(stored.items);
    page.complete_to = stored.complete_to;
    page.cut(limit);
    Ok(page)
}

fn is_idle(session: &Session) -> bool {
    session.queue.is_empty() && session.sent.is_empty()
}

/// Adds the wanted messages of a session, at most one more than `limit`.
fn add(
    page: &mut WaitingPage,
    stream: StreamId,
    session: &Session,
    query: &MessageQuery,
    after: Option<WaitingPlace>,
    limit: usize,
) {
    if is_idle(session) || query.channel.as_ref().is_some_and(|only| *only != session.address.channel) {
        return;
    }
    let is_next = |number: MessageNo| after.is_none_or(|after| (stream, number) > after);
    let wanted = session.messages().filter(|message| is_next(message.number) && query.wants_waiting(message));
    let mut first: Vec<_> = wanted.collect();
    first.sort_unstable_by_key(|message| message.number);
    if first.is_empty() {
        return;
    }
    let shown = ItemSession::of(session, stream);
    let items = first.into_iter().take(limit.saturating_add(1));
    page.items.extend(items.map(|message| ((stream, message.number), MessageItem::sent(&shown, message))));
}
