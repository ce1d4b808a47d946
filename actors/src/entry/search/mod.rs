//! Lists of messages, and searches among them, from the look-ups that exist and from the log, read
//! backwards. A request is limited in time and memory; its answer says how far it looked, and where
//! the next one goes on.
//!
//! | asked for | where it is looked for |
//! |---|---|
//! | a provider's id | its look-up key, else as below |
//! | a customer | along the customer's streams, one for each of our own addresses |
//! | what waits | the open sessions, in their hosts |
//! | everything else | the whole log, backwards |

mod answer;
mod filter;
mod resolve;
mod waiting;
mod walk;

use std::sync::Arc;

use message::{MessageStatus, Seq, StreamId, address};

use self::{
    answer::{SearchAnswer, refused, wrong_cursor},
    filter::Trigger,
    resolve::{Resolver, unreadable},
    walk::{Budget, Walked},
};
use crate::{
    context::{Context, blocking},
    domain::correlation::PartRef,
    entry::ask,
    error::Refusal,
    view::messages::{
        FoundMessages, ItemStatus, MessageCursor, MessageList, MessageQuery, SEARCHED_SESSIONS_MAX,
    },
};

/// Maximum number of our own addresses among which a customer's sessions are looked for.
const OWN_ADDRESSES_MAX: usize = 5_000;
/// Number of candidates that are looked up together, where fewer are missing.
const CANDIDATES_MIN: usize = 32;

/// Lists messages, or searches among them.
///
/// # Errors
///
/// Returns a refusal if the query contradicts itself, if the log cannot be read, or if a host does
/// not answer in time.
pub(crate) async fn messages(context: &Arc<Context>, query: MessageQuery) -> Result<FoundMessages, Refusal> {
    if let Some(channel) = &query.channel {
        context.directory.channel_by_id(channel).ok_or(Refusal::NotFound("channel"))?;
    }
    let query = Arc::new(query);
    if let Some(found) = by_provider_id(context, &query).await? {
        return Ok(found);
    }
    if query.customer.is_some() {
        return of_customer(context, &query).await;
    }
    let waits = matches!(
        query.status,
        Some(ItemStatus::Of(MessageStatus::Queued | MessageStatus::Enroute | MessageStatus::InDoubt))
    );
    if query.list == MessageList::Waiting || (waits && query.list == MessageList::Newest) {
        return waiting::list(context, &query).await;
    }
    in_log(context, &query).await
}

/// Finds messages by the look-up key of the provider's id. `None` if none is found so, or if more
/// is asked than that.
async fn by_provider_id(
    context: &Arc<Context>,
    query: &Arc<MessageQuery>,
) -> Result<Option<FoundMessages>, Refusal> {
    let Some(id) = query.provider_id.as_deref().filter(|_| query.after.is_none() && query.customer.is_none())
    else {
        return Ok(None);
    };
    let (mut found, mut resolver) = (SearchAnswer::default(), Resolver::default());
    for (_, entry) in context.directory.channels() {
        let channel = &entry.config.id;
        if query.channel.as_ref().is_some_and(|only| only != channel) {
            continue;
        }
        let find = |key| context.reader.find_now(key).map_err(unreadable);
        if let Some(part) = find(address::provider_id_key(channel, id))?.map(PartRef::of) {
            found.items.extend(resolver.part(context, query, part).await?);
        }
        if let Some(known) = find(address::inbound_key(channel, id))? {
            let stored = context.reader.event(Seq(known.b)).map_err(unreadable)?;
            let wanted = stored.filter(|stored| Trigger::Beginning.hits(query, &stored.event));
            if let Some(stored) = wanted {
                found.items.extend(resolver.written(context, query, &stored)?);
            }
        }
    }
    found.items.truncate(query.limit);
    if found.items.is_empty() { Ok(None) } else { found.end(context, query, None).map(Some) }
}

/// Reads the log backwards.
async fn in_log(context: &Arc<Context>, query: &Arc<MessageQuery>) -> Result<FoundMessages, Refusal> {
    let trigger = Trigger::of(query);
    let mut next = match &query.after {
        Some(MessageCursor::Log(seq)) => Some(*seq),
        Some(_) => return Err(wrong_cursor()),
        None => Some(walk::beginning(&context.reader, query).map_err(unreadable)?),
    };
    let (mut found, mut resolver) = (SearchAnswer::default(), Resolver::default());
    let mut budget = Budget::new(context);
    while let Some(from) = next
        && found.items.len() < query.limit
        && !budget.is_over()
    {
        let most = (query.limit - found.items.len()).max(CANDIDATES_MIN);
        let (shared, wanted) = (context.clone(), query.clone());
        let walk = move || {
            let walked = walk::through_log(&shared, (&wanted, trigger), from, most, &mut budget);
            (walked, budget)
        };
        let (walked, left) = blocking::run(walk).await.ok_or_else(ask::no_answer)?;
        budget = left;
        let Walked { candidates, back_to, ends } = walked.map_err(unreadable)?;
        found.looked(back_to);
        next = ends.first().map(|(_, seq)| *seq);
        let items = resolver.items(context, (query, trigger), &candidates).await?;
        budget.look(context);
        for (candidate, item) in candidates.iter().zip(items) {
            if found.items.len() >= query.limit {
                // Found, but for the next page.
                next = Some(candidate.seq);
                break;
            }
            found.items.extend(item);
        }
    }
    found.end(context, query, next.map(MessageCursor::Log))
}

/// Reads the streams of a customer backwards.
async fn of_customer(context: &Arc<Context>, query: &Arc<MessageQuery>) -> Result<FoundMessages, Refusal> {
    let trigger = Trigger::of(query);
    let (mut next, mut is_cut) = (Vec::new(), false);
    match &query.after {
        Some(MessageCursor::Streams(streams)) => next.clone_from(streams),
        Some(_) => return Err(wrong_cursor()),
        None => {
            next = heads_of_customer(context, query).await?;
            is_cut = next.len() > SEARCHED_SESSIONS_MAX;
            next.truncate(SEARCHED_SESSIONS_MAX);
        }
    }
    let (mut found, mut resolver) = (SearchAnswer::default(), Resolver::default());
    let mut budget = Budget::new(context);
    while !next.is_empty() && found.items.len() < query.limit && !budget.is_over() {
        let most = query.limit - found.items.len();
        let (shared, wanted, from) = (context.clone(), query.clone(), next);
        let walk = move || {
            let walked = walk::along_streams(&shared, (&wanted, trigger), &from, most, &mut budget);
            (walked, budget)
        };
        let (walked, left) = blocking::run(walk).await.ok_or_else(ask::no_answer)?;
        budget = left;
        let Walked { candidates, back_to, ends } = walked.map_err(unreadable)?;
        found.looked(back_to);
        next = ends;
        let items = resolver.items(context, (query, trigger), &candidates).await?;
        budget.look(context);
        found.items.extend(items.into_iter().flatten());
    }
    let answer = found.end(context, query, (!next.is_empty()).then_some(MessageCursor::Streams(next)))?;
    // Sessions beyond the limit were not looked at.
    Ok(FoundMessages { complete: answer.complete && !is_cut, ..answer })
}

/// Returns the streams of a customer with their newest events, those that were used last first.
async fn heads_of_customer(
    context: &Arc<Context>,
    query: &MessageQuery,
) -> Result<Vec<(StreamId, Seq)>, Refusal> {
    let customer: String =
        query.customer.as_deref().unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect();
    let entries = context.directory.channels().map(|(_, entry)| entry);
    let entries = entries.filter(|entry| query.channel.as_ref().is_none_or(|only| *only == entry.config.id));
    let (mut streams, mut reason, mut own) = (Vec::new(), None, 0);
    for entry in entries {
        own += entry.dids.len();
        if own > OWN_ADDRESSES_MAX {
            return Err(refused("customer: there are too many own addresses to look at; add channel="));
        }
        for did in &entry.dids {
            match context.identity_of(entry, &did.shown, &customer) {
                Ok(identity) => streams.push(context.stream_of(&identity.address)),
                Err(refusal) => reason = Some(refusal),
            }
        }
    }
    if streams.is_empty()
        && let Some(refusal) = reason
    {
        return Err(refused(&format!("customer: no channel has a customer {customer:?}: {refusal}")));
    }
    streams.sort_unstable();
    streams.dedup();
    let told = resolve::ask_streams(context, streams.into_iter().map(|stream| (stream, Vec::new()))).await?;
    let mut heads: Vec<(StreamId, Seq)> =
        told.into_iter().filter_map(|(stream, told)| Some((stream, told.head?))).collect();
    heads.sort_unstable_by_key(|(_, head)| std::cmp::Reverse(*head));
    Ok(heads)
}
