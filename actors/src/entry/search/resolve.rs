//! Turns events that a search found into items of its list: reads the message of each, from the log
//! or from the session's host, and its session.

use std::{collections::BTreeMap, sync::Arc};

use message::{Event, MessageNo, Seq, StreamId, address};
use storage::{ReadError, Stored};
use tokio::{sync::oneshot, time::timeout};

use super::{
    filter::{self, Trigger},
    walk::{Candidate, CandidateSubject},
};
use crate::{
    context::Context,
    domain::correlation::PartRef,
    entry::ask::{self, ANSWER_WAIT},
    error::Refusal,
    history::{message::MessageRecord, opening::Opening},
    protocol::task::{FoundRecords, Op, Request},
    view::messages::{ItemSession, MessageItem, MessageQuery},
};

/// Maximum number of openings that one request remembers.
const OPENINGS_MAX: usize = 10_000;

/// Returns the refusal for a part of the log that cannot be read.
pub(super) fn unreadable(error: impl std::fmt::Display) -> Refusal {
    Refusal::Busy { reason: format!("the log cannot be read: {error}").into(), retry_after_s: 10 }
}

/// A candidate whose message was looked up.
enum LookedUp {
    Settled(Box<MessageRecord>),
    /// Its session's host knows it, if anybody does.
    Open(StreamId, MessageNo),
    Written,
}

/// The sessions that one request has read.
#[derive(Default)]
pub(super) struct Resolver {
    sessions: BTreeMap<Seq, ItemSession>,
}

impl Resolver {
    /// Returns the items of candidates that are wanted, with the places of these in the list.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the log cannot be read or a host does not answer.
    pub(super) async fn items(
        &mut self,
        context: &Arc<Context>,
        (query, trigger): (&MessageQuery, Trigger),
        candidates: &[Candidate],
    ) -> Result<Vec<Option<MessageItem>>, Refusal> {
        let looked_up: Result<Vec<LookedUp>, Refusal> =
            candidates.iter().map(|candidate| look_up(context, candidate)).collect();
        let looked_up = looked_up?;
        let open = looked_up.iter().filter_map(|found| match found {
            LookedUp::Open(stream, number) => Some((*stream, *number)),
            LookedUp::Settled(_) | LookedUp::Written => None,
        });
        let told = ask_hosts(context, open).await?;
        let mut items = Vec::new();
        for (candidate, found) in candidates.iter().zip(looked_up) {
            let item = match (found, &candidate.subject) {
                (LookedUp::Settled(record), _) => {
                    self.sent(context, (query, trigger), candidate, &record, None)?
                }
                (LookedUp::Open(stream, number), _) => match told.get(&stream) {
                    Some(told) => match told.records.iter().find(|record| record.message.number == number) {
                        Some(record) => {
                            self.sent(context, (query, trigger), candidate, record, told.session.as_ref())?
                        }
                        None => None,
                    },
                    None => None,
                },
                (LookedUp::Written, CandidateSubject::Written(received, opening)) => {
                    let session = self.session_of(context, candidate.stream, *opening)?;
                    is_on(query, &session).then(|| MessageItem::written(&session, received, candidate.at))
                }
                (LookedUp::Written, CandidateSubject::Sent(_)) => None,
            };
            items.push(item);
        }
        Ok(items)
    }

    fn sent(
        &mut self,
        context: &Context,
        (query, trigger): (&MessageQuery, Trigger),
        candidate: &Candidate,
        record: &MessageRecord,
        live: Option<&ItemSession>,
    ) -> Result<Option<MessageItem>, Refusal> {
        if !trigger.accepts(query, record, candidate.seq) {
            return Ok(None);
        }
        self.item(context, query, candidate.stream, record, live)
    }

    /// Returns the item of a customer's message, if it is on the wanted channel.
    pub(super) fn written(
        &mut self,
        context: &Context,
        query: &MessageQuery,
        stored: &Stored,
    ) -> Result<Option<MessageItem>, Refusal> {
        let Event::Received(received) = &stored.event else { return Ok(None) };
        let session = self.session_of(context, stored.stream, stored.about)?;
        Ok(is_on(query, &session).then(|| MessageItem::written(&session, received, stored.at)))
    }

    /// Returns the item of the message of a part, if it is wanted.
    pub(super) async fn part(
        &mut self,
        context: &Context,
        query: &MessageQuery,
        part: PartRef,
    ) -> Result<Option<MessageItem>, Refusal> {
        let PartRef { stream, number, .. } = part;
        if let Some(record) = settled_record(context, stream, number)? {
            let is_wanted = filter::is_wanted(query, &record);
            return if is_wanted { self.item(context, query, stream, &record, None) } else { Ok(None) };
        }
        let told = ask_hosts(context, std::iter::once((stream, number))).await?;
        let Some(told) = told.get(&stream) else { return Ok(None) };
        match told.records.first().filter(|record| filter::is_wanted(query, record)) {
            Some(record) => self.item(context, query, stream, record, told.session.as_ref()),
            None => Ok(None),
        }
    }

    /// Returns the item of a message of the business, if it is on the wanted channel.
    fn item(
        &mut self,
        context: &Context,
        query: &MessageQuery,
        stream: StreamId,
        record: &MessageRecord,
        live: Option<&ItemSession>,
    ) -> Result<Option<MessageItem>, Refusal> {
        let session = self.session(context, stream, record.opening).map_err(unreadable)?;
        // Retention may have removed the opening; the live session still knows.
        let session = session.or_else(|| live.cloned()).unwrap_or_else(|| ItemSession::unknown(stream));
        Ok(is_on(query, &session).then(|| MessageItem::sent(&session, &record.message)))
    }

    /// Returns the session of an inbound message, by the opening that its event names.
    fn session_of(
        &mut self,
        context: &Context,
        stream: StreamId,
        opening: Seq,
    ) -> Result<ItemSession, Refusal> {
        let found = self.session(context, stream, opening).map_err(unreadable)?;
        Ok(found.unwrap_or_else(|| ItemSession::unknown(stream)))
    }

    /// Returns the session that an opening begins.
    fn session(
        &mut self,
        context: &Context,
        stream: StreamId,
        opening: Seq,
    ) -> Result<Option<ItemSession>, ReadError> {
        if let Some(known) = self.sessions.get(&opening) {
            return Ok(Some(known.clone()));
        }
        let found = Opening::find(&context.reader, opening)?;
        let session = found.map(|found| ItemSession::of(&found.session, stream));
        if let Some(session) = &session {
            if self.sessions.len() >= OPENINGS_MAX {
                self.sessions.clear();
            }
            self.sessions.insert(opening, session.clone());
        }
        Ok(session)
    }
}

fn is_on(query: &MessageQuery, session: &ItemSession) -> bool {
    query.channel.as_ref().is_none_or(|channel| *channel == session.channel)
}

fn look_up(context: &Context, candidate: &Candidate) -> Result<LookedUp, Refusal> {
    let CandidateSubject::Sent(number) = candidate.subject else { return Ok(LookedUp::Written) };
    let settled = settled_record(context, candidate.stream, number)?;
    Ok(settled.map_or(LookedUp::Open(candidate.stream, number), |record| LookedUp::Settled(Box::new(record))))
}

/// Reads a message that is settled.
fn settled_record(
    context: &Context,
    stream: StreamId,
    number: MessageNo,
) -> Result<Option<MessageRecord>, Refusal> {
    let found = context.reader.find_now(address::settled_key(stream, number)).map_err(unreadable)?;
    let Some(found) = found else { return Ok(None) };
    MessageRecord::read(&context.reader, Some(Seq(found.b)), std::iter::empty()).map_err(unreadable)
}

/// Asks the hosts of sessions for messages that are not settled, all at once.
///
/// # Errors
///
/// Returns a refusal if one does not answer in time.
async fn ask_hosts(
    context: &Context,
    messages: impl Iterator<Item = (StreamId, MessageNo)>,
) -> Result<BTreeMap<StreamId, FoundRecords>, Refusal> {
    let mut numbers: BTreeMap<StreamId, Vec<MessageNo>> = BTreeMap::new();
    for (stream, number) in messages {
        let known = numbers.entry(stream).or_default();
        if !known.contains(&number) {
            known.push(number);
        }
    }
    ask_streams(context, numbers.into_iter()).await
}

/// Asks the hosts of sessions for their newest events and some of their messages, all at once.
///
/// # Errors
///
/// Returns a refusal if one does not answer in time.
pub(super) async fn ask_streams(
    context: &Context,
    wanted: impl Iterator<Item = (StreamId, Vec<MessageNo>)>,
) -> Result<BTreeMap<StreamId, FoundRecords>, Refusal> {
    let asked = wanted.map(|(stream, numbers)| {
        let (reply, wait) = oneshot::channel();
        context.hosts.perform(stream, Op::Request(Request::Records { numbers, reply }));
        (stream, wait)
    });
    let mut told = BTreeMap::new();
    for (stream, wait) in asked.collect::<Vec<_>>() {
        match timeout(ANSWER_WAIT, wait).await {
            Ok(Ok(answer)) => told.insert(stream, answer?),
            _ => return Err(ask::no_answer()),
        };
    }
    Ok(told)
}
