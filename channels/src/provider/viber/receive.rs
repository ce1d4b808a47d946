//! Reads Viber's callbacks: messages, reports, subscriptions, and the opening of a chat by a link.

use message::{BodyType, Content};
use serde_json::{Value, json};

use crate::{
    contract::{
        EventKind, InEvent, InMessage, InReceipt, MediaRef, Received, Report,
        events::{Fate, fate, note_unknown, row},
    },
    text::markup,
    toolkit::{inbound_body, json},
};

/// Every callback of the REST Bot API, and every type of a customer's message.
pub(super) const EVENTS: &[EventKind] = &[
    row("event", "message", Fate::Message),
    row("event", "delivered", Fate::Receipt),
    row("event", "seen", Fate::Receipt),
    row("event", "failed", Fate::Receipt),
    row("event", "subscribed", Fate::Notice),
    row("event", "unsubscribed", Fate::Notice),
    row("event", "conversation_started", Fate::Notice),
    row("event", "webhook", Fate::Ignored("Viber's test of the address, which 200 answers")),
    row("event", "client_status", Fate::Ignored("about the customer's app, for payments")),
    row("message", "text", Fate::Message),
    row("message", "picture", Fate::Message),
    row("message", "video", Fate::Message),
    row("message", "file", Fate::Message),
    row("message", "sticker", Fate::Message),
    row("message", "contact", Fate::Message),
    row("message", "url", Fate::Message),
    row("message", "location", Fate::Message),
    row("message", "rich_media", Fate::Message),
];

/// The words of a report.
pub(super) const STATUSES: &[(&str, Report)] =
    &[("delivered", Report::Delivered), ("seen", Report::Read), ("failed", Report::Failed)];

/// Reads a callback, a JSON object.
pub(super) fn callback(said: &Value) -> Received {
    let mut received = Received::default();
    let event = json::text(said, "/event").unwrap_or_default();
    let read = match (fate(EVENTS, "event", &event), &*event) {
        (Some(Fate::Message), _) => written(said, &mut received).map(Some),
        (Some(Fate::Receipt), word) => reported(said, word).map(Some),
        (Some(Fate::Notice), "subscribed") => Ok(opt(said, "/user/id", false)),
        (Some(Fate::Notice), "unsubscribed") => Ok(opt(said, "/user_id", true)),
        (Some(Fate::Notice), _) => started(said).map(Some),
        (Some(_), _) => Ok(None),
        (None, word) => {
            note_unknown(&mut received.unknown, "event", word);
            return received;
        }
    };
    match read {
        Ok(Some(event)) => received.events.push(event),
        Ok(None) => received.ignored = 1,
        Err(problem) => received.events.push(InEvent::Broken(problem)),
    }
    received
}

fn opt(said: &Value, pointer: &str, out: bool) -> Option<InEvent> {
    let customer = (&*json::some_text(said, pointer)?).into();
    let id = json::text(said, "/message_token").unwrap_or_default().as_ref().into();
    Some(InEvent::OptOut { did: "".into(), customer, out, id })
}

/// Reads a report on one of our messages; reports on customers' messages arrive as well and match
/// nothing.
fn reported(said: &Value, event: &str) -> Result<InEvent, Box<str>> {
    let token = json::some_text(said, "/message_token").ok_or("message_token is missing")?;
    let report = Report::of(STATUSES, event).unwrap_or(Report::Nothing);
    let words = json::some_text(said, "/desc").map(|words| format!("failed: {words}"));
    Ok(InEvent::Receipt(Box::new(InReceipt {
        reference: None,
        id: (&*token).into(),
        report,
        code: words.unwrap_or_else(|| event.to_owned()).into(),
        did: "".into(),
        customer: json::text(said, "/user_id").unwrap_or_default().as_ref().into(),
        watermark_ms: None,
    })))
}

/// Reads that somebody opened the chat, and by which link. They cannot be written to before they
/// write, except by the greeting that answers this callback.
fn started(said: &Value) -> Result<InEvent, Box<str>> {
    let customer = json::some_text(said, "/user/id").ok_or("user.id is missing")?;
    let token = json::some_text(said, "/message_token").ok_or("message_token is missing")?;
    let context = json::text(said, "/context").unwrap_or_default();
    let is_subscribed = json::at(said, "/subscribed").and_then(Value::as_bool) == Some(true);
    let words = match &*context {
        "" => "opened the chat".to_owned(),
        context => format!("opened the chat by the link {context}"),
    };
    let data = json!({"conversationStarted": true, "context": context, "subscribed": is_subscribed});
    let mut message = InMessage::notice("", &customer, &token, &words, data);
    message.time = json::time(said, "/timestamp");
    person(&mut message, said, "/user");
    add(&mut message, "payload", &context);
    Ok(InEvent::Message(Box::new(message)))
}

fn add(message: &mut InMessage, key: &str, value: &str) {
    if !value.is_empty() {
        message.attributes.push((key.into(), value.into()));
    }
}

fn person(message: &mut InMessage, said: &Value, who: &str) {
    for (key, name) in [("customerName", "name"), ("language", "language"), ("country", "country")] {
        add(message, key, &json::text(said, &format!("{who}/{name}")).unwrap_or_default());
    }
}

fn written(said: &Value, received: &mut Received) -> Result<InEvent, Box<str>> {
    let id = json::some_text(said, "/message_token").ok_or("message_token is missing")?;
    let customer = json::some_text(said, "/sender/id").ok_or("sender.id is missing")?;
    let item = json::at(said, "/message").ok_or("message is missing")?;
    let kind = json::text(item, "/type").unwrap_or_default();
    if fate(EVENTS, "message", &kind).is_none() {
        note_unknown(&mut received.unknown, "message", &kind);
    }
    let (content, media) = content(item)?;
    let mut message = InMessage::new("", &customer, &id, content);
    message.media = media;
    message.time = json::time(said, "/timestamp");
    person(&mut message, said, "/sender");
    for (key, pointer) in [("groupId", "/chat_id"), ("trackingData", "/message/tracking_data")] {
        add(&mut message, key, &json::text(said, pointer).unwrap_or_default());
    }
    if json::at(said, "/silent").and_then(Value::as_bool) == Some(true) {
        add(&mut message, "silent", "true");
    }
    Ok(InEvent::Message(Box::new(message)))
}

fn content(item: &Value) -> Result<(Content, Vec<MediaRef>), Box<str>> {
    let at = |pointer: &str| json::some_text(item, pointer);
    let text = json::text(item, "/text").unwrap_or_default();
    let text = markup::from_chat(&text);
    let kind = at("/type").unwrap_or_default();
    let media = || {
        let locator = at("/media").ok_or_else(|| format!("a message of type {kind} has no media"))?;
        let file_name = at("/file_name").map(|name| Box::from(&*name));
        Ok::<_, Box<str>>(MediaRef { locator: (&*locator).into(), content_type: None, file_name })
    };
    let file = |body_type: BodyType| {
        let media = media()?;
        Ok((inbound_body::file(body_type, &text, 0, &media), vec![media]))
    };
    match &*kind {
        "text" => Ok((Content::Text((&*text).into()), Vec::new())),
        "picture" => file(BodyType::Image),
        "video" => file(BodyType::Video),
        "file" => file(BodyType::File),
        "contact" => {
            let name = at("/contact/name").unwrap_or_default();
            let phone = at("/contact/phone_number").unwrap_or_default();
            Ok((inbound_body::contacts(vec![inbound_body::contact(&name, &[&phone])]), Vec::new()))
        }
        "location" => {
            let degrees = |key: &str| {
                let value = at(&format!("/location/{key}"))?.parse::<f64>().ok()?;
                value.is_finite().then_some(value)
            };
            let place = degrees("lat").zip(degrees("lon")).ok_or("a location has no lat and lon")?;
            let address = at("/location/address").unwrap_or_default();
            Ok((inbound_body::location(place.0, place.1, "", &address, ""), Vec::new()))
        }
        "url" => {
            let page = at("/media").ok_or("a url has no media")?;
            Ok((inbound_body::url(&text, &page), Vec::new()))
        }
        "sticker" => {
            let id = at("/sticker_id").unwrap_or_default();
            let media: Vec<MediaRef> = media().into_iter().collect();
            Ok((inbound_body::sticker(media.first().map(|_| 0), &id), media))
        }
        other => Ok((
            Content::Text(format!("[unsupported message: {other}] {text}").trim_end().into()),
            Vec::new(),
        )),
    }
}
