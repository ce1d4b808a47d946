//! The content of Telegram's updates: what customers write, where in a chat it is, and the copies
//! of what the business sends.

use serde_json::{Value, json};

use crate::{
    contract::{About, Context, Inbound, Kind, Message, UnsupportedEvent, or, overlay, put},
    toolkit::media::File,
};

/// The events that follow the copy of what the business sent: an edit of it, and words of the owner
/// or of the group's administration.
pub(super) const ECHOES: [&str; 2] = ["edited", "owner"];
/// The id of the person whose business account is connected.
const OWNER: u64 = 42;

/// Returns the kind of update that a message is.
pub(super) fn message_kind(is_business: bool, is_edit: bool) -> &'static str {
    match (is_business, is_edit) {
        (false, false) => "message",
        (false, true) => "edited_message",
        (true, false) => "business_message",
        (true, true) => "edited_business_message",
    }
}

/// Puts a message into a part of its chat: `topic=7`, `direct=7` or `business=<connection>`.
pub(super) fn within(message: &mut Value, place: &str) {
    match place.split_once('=') {
        Some(("topic", topic)) => {
            put(message, "message_thread_id", topic.parse::<i64>().unwrap_or_default());
            put(message, "is_topic_message", true);
        }
        Some(("direct", topic)) => {
            let topic = topic.parse::<i64>().unwrap_or_default();
            put(message, "direct_messages_topic", json!({"topic_id": topic}));
        }
        Some(("business", id)) => put(message, "business_connection_id", id),
        _ => {}
    }
}

/// Returns the content of a customer's message.
pub(super) fn content(
    about: &About,
    inbound: &Inbound,
    file: Option<&File>,
) -> Result<Value, UnsupportedEvent> {
    let words = inbound.text.as_str();
    if let Some(file) = file {
        let object = json!({"file_id": file.id, "file_unique_id": format!("u{}", file.id), "file_name": file.name,
            "mime_type": file.mime, "file_size": file.content.len()});
        let mut content = match inbound.kind {
            Kind::Video => json!({"video": with_size("video", object)}),
            Kind::Audio => json!({"voice": with_size("voice", object)}),
            Kind::Sticker => {
                let sticker = json!({"file_id": file.id, "file_unique_id": "u", "emoji": "👍"});
                json!({"sticker": with_size("sticker", sticker)})
            }
            Kind::Document => json!({"document": object}),
            _ => json!({"photo": [
                {"file_id": "0", "file_unique_id": "small", "width": 1, "height": 1, "file_size": 1},
                {"file_id": file.id, "file_unique_id": "large", "width": 1, "height": 1, "file_size": file.content.len()}]}),
        };
        if !words.is_empty() && inbound.kind != Kind::Sticker {
            put(&mut content, "caption", words);
        }
        return Ok(content);
    }
    Ok(match inbound.kind {
        Kind::Text | Kind::Edit => json!({"text": words}),
        Kind::Start => {
            let start = format!("/start {}", inbound.payload);
            json!({"text": start.trim_end(), "entities": [{"offset": 0, "length": 6, "type": "bot_command"}]})
        }
        Kind::Location => json!({"location": {"latitude": inbound.latitude, "longitude": inbound.longitude}}),
        Kind::Contact => {
            json!({"contact": {"phone_number": or(&inbound.payload, "+15550003333"), "first_name": or(words, "Bob")}})
        }
        Kind::Unsupported => json!({"dice": {"emoji": "🎲", "value": 3}}),
        other => return Err(UnsupportedEvent::new(about, other)),
    })
}

/// Returns the event that repeats a message of ours: to a connected business account, a channel
/// and, by bots that hear each other, a group. `name` is `echo` or one of [`ECHOES`].
pub(super) fn echo(name: &str, message: &Message, cx: &Context<'_>) -> Option<Value> {
    if name != "echo" && !ECHOES.contains(&name) {
        return None;
    }
    let request = |key: &str| message.request.get(key).cloned().unwrap_or_default();
    let number = message.id.rsplit(':').next().and_then(|id| id.parse::<i64>().ok()).unwrap_or(1);
    let mut echo = json!({"message_id": number, "date": cx.seconds(), "chat": chat(&message.to),
        "from": bot(cx), "text": message.text});
    for key in ["message_thread_id", "business_connection_id"] {
        if !request(key).is_null() {
            put(&mut echo, key, request(key));
        }
    }
    if echo.get("message_thread_id").is_some() {
        put(&mut echo, "is_topic_message", true);
    }
    let is_business = echo.get("business_connection_id").is_some();
    if is_business {
        // The owner of the account is the sender of what a bot says for it.
        put(&mut echo, "from", json!({"id": OWNER, "is_bot": false, "first_name": "Owner"}));
        put(&mut echo, "sender_business_bot", bot(cx));
    }
    match name {
        "edited" => put(&mut echo, "edit_date", cx.seconds()),
        "owner" if is_business => {
            if let Some(echo) = echo.as_object_mut() {
                echo.remove("sender_business_bot");
            }
            put(&mut echo, "message_id", number + 1);
            put(&mut echo, "text", "The owner answers too");
        }
        "owner" => {
            put(&mut echo, "sender_chat", chat(&message.to));
            put(&mut echo, "message_id", number + 1);
        }
        _ => {}
    }
    let kind = message_kind(is_business, name == "edited");
    Some(json!({"update_id": cx.growing(), kind: echo}))
}

pub(super) fn bot(cx: &Context<'_>) -> Value {
    let id: u64 = cx.credential("token").split(':').next().and_then(|id| id.parse().ok()).unwrap_or(700_001);
    json!({"id": id, "is_bot": true, "first_name": "Shop", "username": cx.credential("username")})
}

pub(super) fn chat(id: &str) -> Value {
    let kind = if id.starts_with("-100") {
        "supergroup"
    } else if id.starts_with('-') {
        "group"
    } else {
        "private"
    };
    id.parse::<i64>().map_or_else(
        |_| json!({"id": -1_001, "type": "channel"}),
        |id| json!({"id": id, "type": kind, "first_name": "Ann"}),
    )
}

/// Adds the fields that the Bot API guarantees for a kind of file, since clients rely on them.
pub(super) fn with_size(kind: &str, mut file: Value) -> Value {
    let size = match kind {
        "photo" => json!({"width": 1, "height": 1}),
        "video" | "animation" => json!({"width": 1, "height": 1, "duration": 1}),
        "audio" | "voice" => json!({"duration": 1}),
        "sticker" => {
            json!({"type": "regular", "width": 512, "height": 512, "is_animated": false, "is_video": false})
        }
        _ => json!({}),
    };
    overlay(&mut file, &size);
    file
}
