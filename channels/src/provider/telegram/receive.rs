//! Reads Telegram's updates: messages, edits, pressed buttons, reactions, votes, membership of the
//! bot. The chat is the customer, so that replies go where the words came from; in groups the
//! person is an attribute.

use message::{BodyType, Content};
use serde_json::Value;

use crate::{
    contract::{InEvent, InMessage, MediaRef, Received},
    toolkit::{inbound_body, json},
};

/// The attribute with the id by which a pressed button is acknowledged.
pub(super) const CALLBACK: &str = "callbackQueryId";

/// Reads one update.
pub(super) fn update(update: &Value, received: &mut Received) {
    match read(update) {
        Ok(Some(event)) => received.events.push(event),
        Ok(None) => received.ignored += 1,
        Err(problem) => received.events.push(InEvent::Broken(problem)),
    }
}

type ReadUpdate = Result<Option<InEvent>, Box<str>>;
type Kind = (&'static str, fn(&Value) -> ReadUpdate);

fn read(update: &Value) -> ReadUpdate {
    let kinds: [Kind; 7] = [
        ("message", written),
        ("business_message", written),
        ("edited_message", edited),
        ("edited_business_message", edited),
        ("callback_query", pressed),
        ("message_reaction", reaction),
        ("poll_answer", vote),
    ];
    if let Some(item) = update.get("my_chat_member") {
        return membership(item, json::text(update, "/update_id").unwrap_or_default().as_ref());
    }
    let found = kinds.iter().find_map(|(kind, read)| Some((update.get(*kind)?, read)));
    found.map_or(Ok(None), |(item, read)| read(item))
}

fn needed(item: &Value, pointer: &str) -> Result<String, Box<str>> {
    let text = json::some_text(item, pointer);
    text.map(|text| text.into_owned()).ok_or_else(|| format!("{pointer} is missing").into())
}

fn event(message: InMessage) -> Option<InEvent> {
    Some(InEvent::Message(Box::new(message)))
}

fn with(message: &mut InMessage, key: &str, value: &str) {
    if !value.is_empty() {
        message.attributes.push((key.into(), value.into()));
    }
}

fn written(item: &Value) -> ReadUpdate {
    let chat = needed(item, "/chat/id")?;
    let id = format!("{chat}:{}", needed(item, "/message_id")?);
    let Some(said) = said(item) else { return Ok(None) };
    let mut message = InMessage::new("", &chat, &id, said.content);
    message.media = said.media;
    message.time = json::time(item, "/date");
    message.reply_to =
        json::some_text(item, "/reply_to_message/message_id").map(|id| format!("{chat}:{id}").into());
    for (key, value) in said.attributes {
        with(&mut message, key, &value);
    }
    let text = json::text(item, "/text").unwrap_or_default();
    if let Some(payload) = text.strip_prefix("/start ") {
        with(&mut message, "payload", payload.trim());
    }
    person(&mut message, item, "/from");
    for (key, pointer) in [
        ("quote", "/quote/text"),
        ("mediaGroupId", "/media_group_id"),
        ("threadId", "/message_thread_id"),
        ("businessConnectionId", "/business_connection_id"),
    ] {
        with(&mut message, key, &json::text(item, pointer).unwrap_or_default());
    }
    if item.get("forward_origin").is_some() {
        with(&mut message, "forwarded", "true");
    }
    Ok(event(message))
}

/// Adds the sender, and the group, to a message.
fn person(message: &mut InMessage, item: &Value, who: &str) {
    let text = |key: &str| json::text(item, &format!("{who}/{key}")).unwrap_or_default();
    let name = format!("{} {}", text("first_name"), text("last_name"));
    with(message, "customerName", name.trim());
    with(message, "username", &text("username"));
    with(message, "language", &text("language_code"));
    let kind = json::text(item, "/chat/type").unwrap_or_default();
    if !kind.is_empty() && kind != "private" {
        with(message, "senderId", &text("id"));
        with(message, "chatType", &kind);
        with(message, "chatTitle", &json::text(item, "/chat/title").unwrap_or_default());
    }
}

fn edited(item: &Value) -> ReadUpdate {
    let changed = json::text(item, "/edit_date").unwrap_or_default().into_owned();
    Ok(written(item)?.map(|mut event| {
        if let InEvent::Message(message) = &mut event {
            let of = message.id.clone();
            message.id = format!("{of}#edit{changed}").into();
            with(message, "edits", &of);
            message.reply_to = Some(of);
        }
        event
    }))
}

/// The content of a message.
struct UpdateBody {
    content: Content,
    media: Vec<MediaRef>,
    attributes: Vec<(&'static str, String)>,
}

fn words(text: impl Into<Box<str>>) -> UpdateBody {
    UpdateBody { content: Content::Text(text.into()), media: Vec::new(), attributes: Vec::new() }
}

/// File kinds with their body type, and the media type where Telegram does not state it. The order
/// matters: an animation is accompanied by a document, a venue by a location.
const FILES: [(&str, BodyType, &str); 6] = [
    ("animation", BodyType::Video, "video/mp4"),
    ("video", BodyType::Video, "video/mp4"),
    ("video_note", BodyType::Video, "video/mp4"),
    ("audio", BodyType::Audio, ""),
    ("voice", BodyType::Audio, "audio/ogg"),
    ("document", BodyType::File, ""),
];

/// Contents that have no counterpart here; other members without content concern the chat.
const UNSUPPORTED: [&str; 8] =
    ["story", "game", "invoice", "successful_payment", "paid_media", "checklist", "giveaway", "gift"];

fn said(item: &Value) -> Option<UpdateBody> {
    let text = |pointer: &str| json::text(item, pointer).unwrap_or_default();
    if item.get("text").is_some() {
        return Some(words(&*text("/text")));
    }
    if let Some(sticker) = item.get("sticker") {
        return Some(self::sticker(sticker));
    }
    // The last size is the largest.
    if let Some(largest) = json::items(item, "/photo").last() {
        return Some(file(largest, BodyType::Image, "image/jpeg", &text("/caption")));
    }
    if let Some((kind, body_type, mime_type)) = FILES.iter().find(|(kind, ..)| item.get(*kind).is_some()) {
        let mut said = file(item.get(*kind)?, *body_type, mime_type, &text("/caption"));
        if *kind == "voice" {
            said.attributes.push(("voice", "true".into()));
        }
        return Some(said);
    }
    let place = if item.get("venue").is_some() { "/venue/location" } else { "/location" };
    let degrees = |key: &str| json::at(item, &format!("{place}/{key}")).and_then(Value::as_f64);
    if let (Some(latitude), Some(longitude)) = (degrees("latitude"), degrees("longitude")) {
        let content =
            inbound_body::location(latitude, longitude, &text("/venue/title"), &text("/venue/address"), "");
        return Some(UpdateBody { content, ..words("") });
    }
    if item.get("contact").is_some() {
        let name = format!("{} {}", text("/contact/first_name"), text("/contact/last_name"));
        let contact = inbound_body::contact(name.trim(), &[&text("/contact/phone_number")]);
        return Some(UpdateBody { content: inbound_body::contacts(vec![contact]), ..words("") });
    }
    if item.get("poll").is_some() {
        let options = json::items(item, "/poll/options").iter().filter_map(|o| json::text(o, "/text"));
        let lines: Vec<String> =
            std::iter::once(text("/poll/question")).chain(options).map(|line| line.into_owned()).collect();
        let attributes = vec![("pollId", text("/poll/id").into_owned())];
        return Some(UpdateBody { attributes, ..words(lines.join("\n")) });
    }
    if item.get("dice").is_some() {
        return Some(words(format!("{} {}", text("/dice/emoji"), text("/dice/value"))));
    }
    let kind = UNSUPPORTED.iter().find(|kind| item.get(**kind).is_some())?;
    let attributes = vec![("unsupported", (*kind).to_owned())];
    Some(UpdateBody { attributes, ..words(format!("[unsupported message: {kind}]")) })
}

fn file(file: &Value, body_type: BodyType, mime_type: &str, caption: &str) -> UpdateBody {
    let at = |pointer: &str| json::some_text(file, pointer);
    let Some(locator) = at("/file_id") else { return words(format!("[file without an id] {caption}")) };
    let content_type = at("/mime_type").unwrap_or_else(|| mime_type.into());
    let media = MediaRef {
        locator: (&*locator).into(),
        content_type: Some(content_type).filter(|text| !text.is_empty()).map(|text| Box::from(&*text)),
        file_name: at("/file_name").map(|name| Box::from(&*name)),
    };
    let content = inbound_body::file(body_type, caption, 0, &media);
    UpdateBody { content, media: vec![media], attributes: Vec::new() }
}

fn sticker(sticker: &Value) -> UpdateBody {
    let is = |key: &str| sticker.get(key).and_then(Value::as_bool) == Some(true);
    let mime_type = if is("is_animated") {
        "application/x-tgsticker"
    } else if is("is_video") {
        "video/webm"
    } else {
        "image/webp"
    };
    let mut said = file(sticker, BodyType::File, mime_type, "");
    if !said.media.is_empty() {
        let id = json::text(sticker, "/file_id").unwrap_or_default();
        said.content = inbound_body::sticker(Some(0), &id);
    }
    said.attributes.push(("emoji", json::text(sticker, "/emoji").unwrap_or_default().into_owned()));
    said
}

/// Reads a pressed button: Telegram sends its data; its label is on the message's own keyboard.
fn pressed(item: &Value) -> ReadUpdate {
    let id = needed(item, "/id")?;
    let person_id = needed(item, "/from/id")?;
    let chat = json::some_text(item, "/message/chat/id").map_or_else(|| person_id, |chat| chat.into_owned());
    let data = json::text(item, "/data").unwrap_or_default();
    let rows = json::items(item, "/message/reply_markup/inline_keyboard").iter();
    let mut buttons = rows.flat_map(|row| json::items(row, ""));
    let title = buttons
        .find(|button| json::text(button, "/callback_data").is_some_and(|known| known == data))
        .and_then(|button| json::text(button, "/text"))
        .unwrap_or_default();
    let (content, attribute) = inbound_body::pressed(&title, &data);
    let mut message = InMessage::new("", &chat, &format!("callback:{id}"), content);
    message.attributes.extend(attribute);
    with(&mut message, CALLBACK, &id);
    let shown = item.get("message").unwrap_or(&Value::Null);
    message.reply_to = json::some_text(shown, "/message_id").map(|id| format!("{chat}:{id}").into());
    person(&mut message, item, "/from");
    Ok(event(message))
}

/// Reads that the bot was removed, or admitted again.
fn membership(item: &Value, update_id: &str) -> ReadUpdate {
    let customer = needed(item, "/chat/id")?.into();
    let out = match needed(item, "/new_chat_member/status")?.as_str() {
        "kicked" | "left" => true,
        "member" | "administrator" | "creator" => false,
        _ => return Ok(None),
    };
    let id = if update_id.is_empty() { "".into() } else { format!("update:{update_id}").into() };
    Ok(Some(InEvent::OptOut { did: "".into(), customer, out, id }))
}

fn reaction(item: &Value) -> ReadUpdate {
    let chat = needed(item, "/chat/id")?;
    let of = format!("{chat}:{}", needed(item, "/message_id")?);
    let emoji: Vec<_> =
        json::items(item, "/new_reaction").iter().filter_map(|r| json::some_text(r, "/emoji")).collect();
    if emoji.is_empty() {
        return Ok(None);
    }
    let words = emoji.concat();
    let (person_id, at) = (json::text(item, "/user/id").unwrap_or_default(), json::text(item, "/date"));
    let id = format!("{of}#reaction:{person_id}:{}", at.unwrap_or_default());
    let mut message = InMessage::new("", &chat, &id, Content::Text(words.as_str().into()));
    message.time = json::time(item, "/date");
    message.reply_to = Some(of.into());
    with(&mut message, "reaction", &words);
    person(&mut message, item, "/user");
    Ok(event(message))
}

/// Reads a vote in a poll that is not anonymous; options are counted from 0 as Telegram does.
fn vote(item: &Value) -> ReadUpdate {
    let poll = needed(item, "/poll_id")?;
    let Some(person_id) = json::some_text(item, "/user/id") else { return Ok(None) };
    let options: Vec<String> = json::items(item, "/option_ids").iter().map(Value::to_string).collect();
    if options.is_empty() {
        return Ok(None);
    }
    let options = options.join(",");
    let id = format!("poll:{poll}:{person_id}:{options}");
    let mut message = InMessage::new("", &person_id, &id, Content::Text(format!("[vote: {options}]").into()));
    with(&mut message, "pollId", &poll);
    with(&mut message, "pollOptions", &options);
    person(&mut message, item, "/user");
    Ok(event(message))
}
