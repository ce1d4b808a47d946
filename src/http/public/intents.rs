//! START_CHAT and END_CHAT: messages that open and end sessions. Text in them is sent as well.

use actors::{OpenSession, Origin, Refusal};
use message::{
    Content, SessionId,
    cim::{Intent, Message},
};

use super::{
    outcome::{Outcome, text_of},
    state::Public,
};

/// Whether a message opens or ends a session.
pub(super) fn is_session(intent: &Intent) -> bool {
    matches!(intent, Intent::StartChat | Intent::EndChat)
}

/// Opens or ends the session of a message. Its text is sent after opening or before ending.
pub(super) async fn handle(public: &Public, origin: &Origin, message: Message, takeover: bool) -> Outcome {
    let message_id = text_of(message.id.as_ref());
    let done = match message.intent {
        Intent::StartChat => start(public, origin, message, takeover).await,
        _ => end(public, origin, message).await,
    };
    match done {
        Ok(session) => Outcome::Session { message_id, session: session.to_string() },
        Err(refusal) => Outcome::Refused { message_id, refusal },
    }
}

async fn start(
    public: &Public,
    origin: &Origin,
    message: Message,
    takeover: bool,
) -> Result<SessionId, Refusal> {
    let sender = message.sender.clone().unwrap_or_default();
    let handler = if sender.id.is_empty() { sender.name } else { sender.id };
    let request = OpenSession {
        service_identifier: message.service_identifier.clone(),
        channel: message.channel_type.clone(),
        customer: message.customer.clone(),
        handler,
        takeover,
    };
    let session = public.router.of(origin).open_session(request).await?.session_id.0;
    say(public, origin, message).await?;
    Ok(session)
}

async fn end(public: &Public, origin: &Origin, message: Message) -> Result<SessionId, Refusal> {
    let named = message.channel_session_id.as_ref().and_then(|id| id.parse::<SessionId>().ok());
    let session = match named {
        Some(session) => session,
        None => {
            // A plan for any text to the same addresses finds their session and changes nothing.
            let probe = Message { content: Content::Text("-".into()), ..without_intent(message.clone()) };
            let plan = public.router.plan(probe, origin).await?;
            if !plan.session_open {
                return Err(Refusal::NotFound("open session of this customer"));
            }
            plan.session_id.0
        }
    };
    public.router.of(origin).may_end(session).await?;
    say(public, origin, message).await?;
    public.router.end_session(session).await?;
    Ok(session)
}

async fn say(public: &Public, origin: &Origin, message: Message) -> Result<(), Refusal> {
    if is_silent(&message) {
        return Ok(());
    }
    let mut results = public.router.accept(vec![without_intent(message)], origin).await;
    results.pop().map_or(Ok(()), |result| result.map(|_| ()))
}

/// Whether a message has no text of its own.
fn is_silent(message: &Message) -> bool {
    matches!(&message.content, Content::Text(text) if text.trim().is_empty())
}

/// Returns the message without its intent.
fn without_intent(message: Message) -> Message {
    Message { intent: Intent::None, ..message }
}
