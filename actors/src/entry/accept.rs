//! What the business posts becomes a task for its session. Signs that are no messages (someone types, something was
//! read) become calls beside them: best effort, never in the log.

use std::sync::{Arc, atomic::Ordering};

use channels::{HttpChannel, LinkKind, http::Request};
use message::{
    BodyType, Content, SessionId,
    cim::{self, Intent, Text},
};
use serde::Deserialize;

use crate::{
    context::directory::Found,
    domain::{admission, session::Identity},
    entry::router::{Origin, Router},
    error::Refusal,
    protocol::{
        answers::{Acceptance, Answers},
        channel::ChannelMessage,
        host::{AcceptTask, Op, Task},
    },
};

/// What comes of a message of the business.
pub(crate) enum Posted {
    /// It is to be accepted.
    Task(Task),
    /// It was a sign, and needs nothing more.
    Done(Acceptance),
}

/// A sign that is no message.
enum Sign {
    Typing(bool),
    /// A customer's message, by our id for it, was read.
    Read(Box<str>),
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SignBody<'a> {
    #[serde(borrow)]
    notification_type: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    message_id: Text<'a>,
}

impl Router {
    /// Whether so many messages of the business are accepted now. Waits while checkpoints are behind: what is accepted must
    /// be replayed by the next start, which is to be quick, and has its place in memory until it is written.
    pub(crate) async fn may_accept(&self, count: usize) -> Result<(), Refusal> {
        self.accepting()?;
        let shared = &self.shared;
        if shared.backlog() <= admission::FREE {
            return Ok(());
        }
        metrics::counter!("patchbay_acceptance_slowed_total").increment(1);
        if shared.pace.wait(count, || shared.backlog()).await {
            return Ok(());
        }
        Err(Refusal::Busy { reason: "the last checkpoint is too far behind".into(), retry_after_s: 1 })
    }

    pub(crate) fn posted(
        &self,
        message: cim::Message,
        origin: &Origin,
        reply: Arc<Answers>,
        place: usize,
    ) -> Result<Posted, Refusal> {
        let Found { ix: channel, entry, .. } = self.shared.route(&message)?;
        if entry.waiting.load(Ordering::Relaxed) >= self.shared.config.limits.waiting_sessions_max {
            let reason = format!("too many sessions wait on channel {}", entry.config.id).into();
            return Err(Refusal::Busy { reason, retry_after_s: 10 });
        }
        let identity = self.shared.identity_of(entry, &message.service_identifier, &message.customer)?;
        let now = self.shared.now();
        let id = message.id.clone().unwrap_or_else(|| self.shared.seams.ids.message_id());
        let stream = identity.address.stream();
        if let Some(sign) = sign_of(&message.content) {
            if let LinkKind::Http(http) = entry.channel().link()
                && let Some(request) = self.call_for(http, &identity, &sign)
            {
                entry.cast(ChannelMessage::Beside(Box::new(request)));
            }
            let session = SessionId { stream, ordinal: 0 };
            return Ok(Posted::Done(Acceptance { message_id: id, duplicate: false, session }));
        }
        let expires_at = message.scheduling.expiry(now);
        let reply_to = message.original_message_id.filter(|_| message.intent == Intent::ReplyTo);
        let task = AcceptTask {
            identity,
            channel,
            id,
            content: message.content,
            priority: message.priority,
            send_at: message.scheduling.send_at.filter(|at| *at > now),
            expires_at,
            destination: origin.destination.clone(),
            conversation_id: message.conversation_id,
            channel_data: message.channel_data_json,
            adapted: Vec::new(),
            reply_to,
            reply,
            place,
        };
        Ok(Posted::Task(Task { stream, op: Op::Accept(Box::new(task)) }))
    }

    fn call_for(&self, http: &dyn HttpChannel, identity: &Identity, sign: &Sign) -> Option<Request> {
        let stream = identity.address.stream();
        let (did, customer) = (&*identity.did_shown, &*identity.address.customer);
        match sign {
            Sign::Typing(on) => {
                let last = self.shared.last_received(stream).map(|received| received.provider_id);
                http.typing(did, customer, last.as_deref().filter(|id| !id.is_empty()), *on)
            }
            Sign::Read(id) => {
                let received = self.shared.received_as(stream, id)?;
                http.mark_read(did, customer, &received.provider_id)
            }
        }
    }
}

/// The sign that a body is, if it is one.
fn sign_of(content: &Content) -> Option<Sign> {
    let Content::Rich { body_type, json } = content else { return None };
    let read = || cim::body::read::<SignBody<'_>>(json).ok();
    match body_type {
        BodyType::Notification => {
            let body = read()?;
            let kind = body.notification_type.trim();
            let is = |word: &str| kind.eq_ignore_ascii_case(word);
            (is("TYPING_STARTED") || is("TYPING_STOPPED")).then(|| Sign::Typing(is("TYPING_STARTED")))
        }
        BodyType::DeliveryNotification => {
            let body = read()?;
            let is_read = body.status.trim().eq_ignore_ascii_case("READ");
            is_read.then(|| Sign::Read((*body.message_id).into()))
        }
        _ => None,
    }
}
