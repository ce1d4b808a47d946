//! The content of a Telegram message: words, files, places, contacts, and what a customer did in
//! reply to something that the business sent.

use message::{BodyType, Content};
use serde_json::Value;

use super::{
    events::{ENVELOPE, EVENTS},
    rich,
};
use crate::{
    contract::{
        Attribute, MediaRef,
        events::{self, Fate},
    },
    toolkit::{inbound_body, json},
};

/// The content of a message.
pub(super) struct UpdateBody {
    pub(super) content: Content,
    pub(super) media: Vec<MediaRef>,
    pub(super) attributes: Vec<Attribute>,
}

/// The content of a message, as read.
pub(super) enum Said {
    /// Something of the customer's.
    Body(UpdateBody),
    /// The customer lets the bot write to them.
    Admitted,
    /// The chat has another number now.
    Moved,
    /// Nothing that concerns the business.
    Nothing,
    /// Something that this version does not know, by the name of its field.
    Unknown(Box<str>),
}

fn words(text: impl Into<Box<str>>) -> UpdateBody {
    UpdateBody { content: Content::Text(text.into()), media: Vec::new(), attributes: Vec::new() }
}

fn attribute(key: &str, value: impl AsRef<str>) -> Attribute {
    (key.into(), value.as_ref().into())
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

/// Reads what a message says.
pub(super) fn said(item: &Value) -> Said {
    if let Some(body) = spoken(item).or_else(|| done(item)) {
        return Said::Body(body);
    }
    let Some(members) = item.as_object() else { return Said::Nothing };
    if members.contains_key("write_access_allowed") {
        return Said::Admitted;
    }
    if members.contains_key("migrate_to_chat_id") || members.contains_key("migrate_from_chat_id") {
        return Said::Moved;
    }
    let is_envelope = |name: &str| ENVELOPE.contains(&name);
    let kinds = || members.keys().filter(|name| !is_envelope(name)).map(String::as_str);
    let fate = |name: &str| events::fate(EVENTS, "message", name);
    // A kind that has no counterpart here is said to have come.
    if let Some(kind) = kinds().find(|name| fate(name) == Some(Fate::Message)) {
        return Said::Body(unsupported(kind));
    }
    match kinds().find(|name| fate(name).is_none()) {
        Some(kind) => Said::Unknown(kind.into()),
        None => Said::Nothing,
    }
}

/// Returns the body that tells of a content without a counterpart here.
pub(super) fn unsupported(kind: &str) -> UpdateBody {
    let attributes = vec![attribute("unsupported", kind)];
    UpdateBody { attributes, ..words(format!("[unsupported message: {kind}]")) }
}

fn spoken(item: &Value) -> Option<UpdateBody> {
    let text = |pointer: &str| json::text(item, pointer).unwrap_or_default();
    if item.get("text").is_some() {
        return Some(words(rich::text(item, "/text", "/entities")));
    }
    if let Some(rich) = item.get("rich_message") {
        return Some(words(rich::message(rich)));
    }
    if let Some(sticker) = item.get("sticker") {
        return Some(self::sticker(sticker));
    }
    let caption = || rich::text(item, "/caption", "/caption_entities");
    // The last size is the largest.
    if let Some(largest) = json::items(item, "/photo").last() {
        return Some(file(largest, BodyType::Image, "image/jpeg", &caption()));
    }
    if let Some((kind, body_type, mime_type)) = FILES.iter().find(|(kind, ..)| item.get(*kind).is_some()) {
        let mut said = file(item.get(*kind)?, *body_type, mime_type, &caption());
        if *kind == "voice" {
            said.attributes.push(attribute("voice", "true"));
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
        let attributes = vec![attribute("pollId", text("/poll/id"))];
        return Some(UpdateBody { attributes, ..words(lines.join("\n")) });
    }
    if item.get("dice").is_some() {
        return Some(words(format!("{} {}", text("/dice/emoji"), text("/dice/value"))));
    }
    item.get("checklist").map(checklist)
}

fn checklist(list: &Value) -> UpdateBody {
    let mut lines = vec![rich::text(list, "/title", "/title_entities")];
    for task in json::items(list, "/tasks") {
        let is_done = json::number(task, "/completion_date").is_some_and(|date| date > 0);
        let sign = if is_done { "☑" } else { "☐" };
        lines.push(format!("{sign} {}", rich::text(task, "/text", "/text_entities")));
    }
    words(lines.join("\n"))
}

/// Reads what a customer did with something that the business sent: a form of a web app, a choice
/// of users or chats, a payment, tasks of a checklist.
fn done(item: &Value) -> Option<UpdateBody> {
    let ids = |pointer: &str| {
        let ids = json::items(item, pointer).iter();
        ids.filter_map(|id| json::some_text(id, "").or_else(|| json::some_text(id, "/user_id")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let text = |pointer: &str| json::text(item, pointer).unwrap_or_default();
    if item.get("web_app_data").is_some() {
        let (content, payload) =
            inbound_body::pressed(&text("/web_app_data/button_text"), &text("/web_app_data/data"));
        return Some(UpdateBody { content, attributes: payload.into_iter().collect(), ..words("") });
    }
    if item.get("users_shared").is_some() {
        let shared = ids("/users_shared/users");
        let attributes =
            vec![attribute("sharedUsers", &shared), attribute("requestId", text("/users_shared/request_id"))];
        return Some(UpdateBody { attributes, ..words(format!("[users: {shared}]")) });
    }
    if item.get("chat_shared").is_some() {
        let shared = text("/chat_shared/chat_id");
        let attributes =
            vec![attribute("sharedChat", &shared), attribute("requestId", text("/chat_shared/request_id"))];
        return Some(UpdateBody { attributes, ..words(format!("[chat: {shared}]")) });
    }
    if item.get("checklist_tasks_done").is_some() {
        let done = ids("/checklist_tasks_done/marked_as_done_task_ids");
        let undone = ids("/checklist_tasks_done/marked_as_not_done_task_ids");
        let attributes = vec![attribute("tasksDone", &done), attribute("tasksNotDone", &undone)];
        return Some(UpdateBody { attributes, ..words(format!("[tasks done: {done}; not done: {undone}]")) });
    }
    let payments = [("successful_payment", "payment"), ("refunded_payment", "refund")];
    let (kind, word) = payments.into_iter().find(|(kind, _)| item.get(*kind).is_some())?;
    let of = |key: &str| text(&format!("/{kind}/{key}"));
    let amount = format!("{} {}", of("total_amount"), of("currency"));
    let attributes = vec![
        attribute("invoicePayload", of("invoice_payload")),
        attribute("paymentId", of("telegram_payment_charge_id")),
        attribute("amount", &amount),
    ];
    Some(UpdateBody { attributes, ..words(format!("[{word}: {amount}]")) })
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
    said.attributes.push(attribute("emoji", json::text(sticker, "/emoji").unwrap_or_default()));
    said
}
