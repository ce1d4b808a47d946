//! Outcomes as text, for the files beside the fixtures.

use std::fmt::Write as _;

use channels::{
    HttpChannel, InEvent, Polled, Received, SendError,
    http::{Request, Webhook},
};
use message::Content;

use crate::{case::Exchange, sign::verified};

pub(crate) fn exchange(exchange: &Exchange) -> String {
    let mut out = String::new();
    if let Some(refused) = &exchange.refused {
        return format!("=> refused before it is sent: {refused}\n");
    }
    for note in &exchange.notes {
        _ = writeln!(out, "note: {note}");
    }
    for turn in &exchange.turns {
        _ = writeln!(out, "{turn}");
    }
    for result in &exchange.outcomes {
        _ = writeln!(out, "=> {}", outcome(result.clone()));
    }
    out
}

pub(crate) fn outcome(outcome: Result<String, SendError>) -> String {
    match outcome {
        Ok(good) => good,
        Err(error) => self::error(&error),
    }
}

/// `<class>: <words>`.
pub(crate) fn error(error: &SendError) -> String {
    format!("{}: {error}", class(error))
}

/// The name of an error's class.
pub(crate) fn class(error: &SendError) -> &'static str {
    match error {
        SendError::Unavailable(_) => "unavailable",
        SendError::RetryOnce(_) => "retry_once",
        SendError::Throttled { .. } => "throttled",
        SendError::CustomerThrottled { .. } => "customer_throttled",
        SendError::Busy { .. } => "busy",
        SendError::Forbidden(_) => "forbidden",
        SendError::Rejected(_) => "rejected",
        SendError::Unsubscribed(_) => "unsubscribed",
        SendError::CredentialsRefused(_) => "credentials_refused",
        SendError::Unknown(_) => "unknown",
    }
}

pub(crate) fn webhook(http: &dyn HttpChannel, webhook: &Webhook<'_>) -> String {
    match http.handshake(webhook) {
        Ok(Some(reply)) => return format!("handshake: {reply:?}\n"),
        Ok(None) => {}
        Err(refused) => return format!("refused: {} {refused}\n", refused.status),
    }
    if let Err(refused) = verified(http, webhook) {
        return format!("refused: {} {refused}\n", refused.status);
    }
    match http.receive(webhook) {
        Ok(received) => self::received(http, &received),
        Err(malformed) => format!("malformed: {malformed}\n"),
    }
}

fn received(http: &dyn HttpChannel, received: &Received) -> String {
    let mut out = String::new();
    for event in &received.events {
        match event {
            InEvent::Message(message) => {
                let follow_up = http.follow_up(message);
                _ = writeln!(
                    out,
                    "message {:?} from {:?} (also {:?}) to {:?} at {:?}, replies to {:?}",
                    message.id,
                    message.customer,
                    message.aliases,
                    message.did,
                    message.time,
                    message.reply_to
                );
                match &message.content {
                    Content::Text(text) => _ = writeln!(out, "  text {text:?}"),
                    Content::Rich { body_type, json } => {
                        _ = writeln!(out, "  {} {json}", body_type.as_wire())
                    }
                    other => _ = writeln!(out, "  {other:?}"),
                }
                for media in &message.media {
                    _ = writeln!(out, "  {media:?}");
                }
                for (key, value) in &message.attributes {
                    _ = writeln!(out, "  {key} = {value:?}");
                }
                if !message.is_written {
                    _ = writeln!(out, "  not written by the customer");
                }
                if let Some(call) = follow_up {
                    _ = writeln!(out, "  then {call:?}");
                }
            }
            InEvent::Receipt(receipt) => _ = writeln!(out, "{receipt:?}"),
            other => _ = writeln!(out, "{other:?}"),
        }
    }
    for kind in &received.unknown {
        _ = writeln!(out, "unknown: {kind}");
    }
    if received.ignored > 0 {
        _ = writeln!(out, "ignored: {}", received.ignored);
    }
    if let Some(reply) = &received.reply {
        _ = writeln!(out, "{reply:?}");
    }
    if out.is_empty() { "nothing\n".to_owned() } else { out }
}

pub(crate) fn polled(call: &Request, polled: &Result<Polled, SendError>) -> String {
    match polled {
        Ok(polled) => format!(
            "{call:?}\n{} events, {} ignored, then {:?}\n{:#?}\n",
            polled.received.events.len(),
            polled.received.ignored,
            polled.cursor,
            polled.received.events
        ),
        Err(error) => format!("{call:?}\n=> {}\n", self::error(error)),
    }
}
