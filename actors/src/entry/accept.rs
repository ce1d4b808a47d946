//! Messages of the business become tasks for their sessions. Typing indicators and read marks are
//! forwarded best-effort and never logged.

use std::sync::{Arc, atomic::Ordering};

use channels::{HttpChannel, http::Request};
use message::{
    BodyType, Content, DestinationId, SessionId,
    cim::{self, Intent, Text},
};
use serde::Deserialize;

use crate::{
    context::{Context, directory::Found},
    domain::{admission, session::Identity},
    error::Refusal,
    history::lookup,
    protocol::{
        answers::{Acceptance, Answers},
        channel::ChannelMessage,
        task::{AcceptTask, Op, Task},
        tasks::Tasks,
    },
};

/// The sender of a message, where the router needs to know it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The destination of its notifications, if not the DID's.
    pub destination: Option<DestinationId>,
}

/// The result of reading one message of the business.
enum Posted {
    /// The message is to be accepted.
    Task(Task),
    /// It was a signal and is answered.
    Signal(Acceptance),
}

/// A body that is not a message.
enum Signal {
    Typing(bool),
    /// A customer's message, by our id for it, was read.
    Read(Box<str>),
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SignalBody<'a> {
    #[serde(borrow)]
    notification_type: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    message_id: Text<'a>,
}

/// Waits until `count` messages may be accepted. Acceptance slows down while checkpoints are
/// behind, because the next start must replay every accepted message, and sessions stay in memory
/// until they are written.
///
/// # Errors
///
/// Returns a refusal if messages are not accepted now, or were not in time.
pub(crate) async fn wait_for_room(context: &Context, count: usize) -> Result<(), Refusal> {
    context.accepting()?;
    if context.backlog() <= admission::FREE {
        return Ok(());
    }
    metrics::counter!("patchbay_acceptance_slowed_total").increment(1);
    if context.admission.wait(count, || context.backlog()).await {
        return Ok(());
    }
    Err(Refusal::Busy { reason: "the last checkpoint is too far behind".into(), retry_after_s: 1 })
}

/// Turns messages into tasks and sends them to their hosts. Each message's answer is put into
/// `answers`: at once if it is refused, else after its flush.
pub(crate) fn submit(
    context: &Context,
    messages: Vec<cim::Message>,
    origin: &Origin,
    answers: &Arc<Answers>,
) {
    context.hosts.work(tasks_for(context, messages, origin, answers));
}

fn tasks_for(
    context: &Context,
    messages: Vec<cim::Message>,
    origin: &Origin,
    answers: &Arc<Answers>,
) -> Tasks {
    let mut tasks = context.hosts.tasks();
    for (place, message) in messages.into_iter().enumerate() {
        let id = message.id.clone();
        match post(context, message, origin, answers.clone(), place) {
            Ok(Posted::Signal(acceptance)) => answers.put(place, Ok(acceptance)),
            Ok(Posted::Task(task)) => {
                // The log knows an id only once it is appended.
                if let Some(id) = id {
                    let Some(claim) = context.pending_ids.claim(id.clone(), task.stream) else {
                        answers.put(place, Err(Refusal::IdTaken(id)));
                        continue;
                    };
                    answers.hold(claim);
                }
                tasks.push_task(task);
            }
            Err(refusal) => answers.put(place, Err(refusal)),
        }
    }
    tasks
}

fn post(
    context: &Context,
    message: cim::Message,
    origin: &Origin,
    reply: Arc<Answers>,
    place: usize,
) -> Result<Posted, Refusal> {
    let Found { ix: channel, entry, .. } = context.directory.route(&message)?;
    if entry.waiting.load(Ordering::Relaxed) >= context.tunable().limits.waiting_sessions_max {
        let reason = format!("too many sessions wait on channel {}", entry.config.id).into();
        return Err(Refusal::Busy { reason, retry_after_s: 10 });
    }
    let now = context.now();
    let identity = context.identity_of(entry, &message.service_identifier, &message.customer);
    let identity = identity.inspect_err(|refusal| {
        if let Refusal::Unsendable(cause) = refusal {
            entry.tally.count_refused(cause, now);
        }
    })?;
    let id = message.id.clone().unwrap_or_else(|| context.seams.ids.message_id());
    let stream = context.stream_of(&identity.address);
    if let Some(signal) = signal_of(&message.content) {
        if let Some(http) = entry.http()
            && let Some(request) = signal_call(context, http, &identity, &signal)
        {
            entry.tell(ChannelMessage::FireAndForget(Box::new(request)));
        }
        let session = SessionId { stream, ordinal: 0 };
        return Ok(Posted::Signal(Acceptance { message_id: id, duplicate: false, session }));
    }
    let expires_at = message.scheduling.expiry(now);
    let reply_to = message.original_message_id.filter(|_| message.intent == Intent::ReplyTo);
    let task = AcceptTask {
        identity,
        channel,
        id,
        content: message.content,
        handling: message.handling,
        priority: message.priority,
        send_at: message.scheduling.send_at.filter(|at| *at > now),
        expires_at,
        destination: origin.destination.clone(),
        conversation_id: message.conversation_id,
        channel_data: message.channel_data_json,
        reply_to,
        reply,
        place,
    };
    Ok(Posted::Task(Task { stream, op: Op::Accept(Box::new(task)) }))
}

fn signal_call(
    context: &Context,
    http: &dyn HttpChannel,
    identity: &Identity,
    signal: &Signal,
) -> Option<Request> {
    let stream = context.stream_of(&identity.address);
    let (did, customer) = (&*identity.did_shown, context.customer_of(&identity.address));
    let customer = &*customer;
    let received = |found| context.lifecycle.found("a customer's message", found);
    match signal {
        Signal::Typing(on) => {
            let last = received(lookup::last_received(&context.reader, stream));
            let last = last.map(|received| received.provider_id);
            http.typing(did, customer, last.as_deref().filter(|id| !id.is_empty()), *on)
        }
        Signal::Read(id) => {
            let received = received(lookup::received_as(&context.reader, stream, id))?;
            http.mark_read(did, customer, &received.provider_id)
        }
    }
}

/// Returns the signal in a body, if it is one.
fn signal_of(content: &Content) -> Option<Signal> {
    let Content::Rich { body_type, json } = content else { return None };
    let read = || cim::body::read::<SignalBody<'_>>(json).ok();
    match body_type {
        BodyType::Notification => {
            let body = read()?;
            let kind = body.notification_type.trim();
            let is = |word: &str| kind.eq_ignore_ascii_case(word);
            (is("TYPING_STARTED") || is("TYPING_STOPPED")).then(|| Signal::Typing(is("TYPING_STARTED")))
        }
        BodyType::DeliveryNotification => {
            let body = read()?;
            let is_read = body.status.trim().eq_ignore_ascii_case("READ");
            is_read.then(|| Signal::Read((*body.message_id).into()))
        }
        _ => None,
    }
}
