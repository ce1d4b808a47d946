//! Reads webhooks of Messenger and Instagram: every entry, message, postback, report and comment of
//! a batch. A broken item is reported and does not affect the others; what becomes of each kind is
//! in [`events`](super::events).

use std::borrow::Cow;

use message::{BodyType, Content};
use serde_json::{Value, json};

use super::{
    envelope::{Envelope, event, referral, with},
    events::{self, ATTACHMENT, FIELD, FRAME, ITEM, ITEMS},
    notices,
};
use crate::{
    contract::{
        Attribute, InEvent, InMessage, MediaRef, Received, Report,
        events::{Fate, fate, note_unknown},
        http::Malformed,
    },
    family::{messenger::product::Product, meta::object::unread},
    toolkit::{inbound_body, json},
};

/// Reads a webhook; entries of other pages or accounts than `own` are ignored.
///
/// # Errors
/// The body is not a JSON object.
pub(super) fn read(product: Product, body: &[u8], own: Option<&str>) -> Result<Received, Malformed> {
    let said = json::parse(body).ok_or_else(|| Malformed::new("the body is not JSON"))?;
    if !said.is_object() {
        return Err(Malformed::new("the body is not a JSON object"));
    }
    let expected = match product {
        Product::Page => "page",
        Product::Instagram => "instagram",
    };
    let mut received = Received::default();
    // At the address that several accounts share, one call may contain entries of different kinds
    // under one object name: an entry that names our own account is accepted all the same.
    let is_named = json::text(&said, "/object").is_some_and(|object| object == expected);
    if !is_named && own.is_none() {
        unread(&said, is_named, &mut received);
        return Ok(received);
    }
    for entry in json::items(&said, "/entry") {
        let account = json::text(entry, "/id").unwrap_or_default();
        // Threads that another app owns are ignored.
        received.ignored += json::items(entry, "/standby").len();
        let (items, changes) = (json::items(entry, "/messaging"), json::items(entry, "/changes"));
        if own.is_some_and(|own| own != account) {
            received.ignored += items.len() + changes.len();
            continue;
        }
        for item in items {
            let read = self::item(&account, item, &mut received.unknown);
            add(&mut received, read);
        }
        for change in changes {
            let read = self::change(product, &account, change, &mut received.unknown);
            add(&mut received, read);
        }
    }
    if received == Received::default() {
        unread(&said, is_named, &mut received);
    }
    Ok(received)
}

/// Returns the part of a message's id that all its spellings share: older versions write `mid.`,
/// newer ones `m_`, and reports leave either out.
pub(super) fn token(id: &str) -> Box<str> {
    let bare = id.strip_prefix("m_").or_else(|| id.strip_prefix("mid."));
    bare.unwrap_or(id).into()
}

fn change(product: Product, account: &str, change: &Value, unknown: &mut Vec<Box<str>>) -> ReadEvents {
    let value = json::at(change, "/value").unwrap_or(&Value::Null);
    let field = json::text(change, "/field").unwrap_or_default();
    match (fate(events::fields(product), FIELD, &field), &*field) {
        (Some(Fate::Inside), _) => item(account, value, unknown),
        (Some(Fate::Account), _) => {
            let says = value.to_string().chars().take(FACTS_CHARACTERS_MAX).collect::<String>();
            Ok(vec![InEvent::Account { about: (&*field).into(), says: says.into() }])
        }
        (Some(_), "feed") => feed(account, value),
        (Some(_), "comments" | "live_comments") => comment(account, value),
        (Some(_), _) => Ok(Vec::new()),
        (None, _) => {
            note_unknown(unknown, FIELD, &field);
            Ok(Vec::new())
        }
    }
}

/// Maximum number of characters reported of an account's field; the rest is cut off.
const FACTS_CHARACTERS_MAX: usize = 500;

type ReadEvents = Result<Vec<InEvent>, Box<str>>;

fn add(received: &mut Received, read: ReadEvents) {
    match read {
        Ok(events) if events.is_empty() => received.ignored += 1,
        Ok(events) => received.events.extend(events),
        Err(problem) => received.events.push(InEvent::Broken(problem)),
    }
}

fn item(account: &str, item: &Value, unknown: &mut Vec<Box<str>>) -> ReadEvents {
    let sender = json::some_text(item, "/sender/id");
    // The business's own words, and the dashboard's test.
    let is_own = ["/message/is_echo", "/message/is_self", "/is_echo", "/is_self"]
        .iter()
        .any(|at| json::flag(item, at));
    let is_from_us = !account.is_empty() && sender.as_ref().is_some_and(|sender| sender == account);
    let test = json::text(item, "/message/mid").is_some_and(|mid| mid == "random_mid");
    if is_own || is_from_us || test {
        return Ok(Vec::new());
    }
    let members = item.as_object().ok_or("an item of messaging is not an object")?;
    let mut kinds =
        members.iter().filter(|(name, value)| value.is_object() && !FRAME.contains(&name.as_str()));
    let kind = kinds.clone().find_map(|(name, _)| Some((&**name, fate(ITEMS, ITEM, name)?)));
    let Some((kind, fate)) = kind else {
        note_unknown(unknown, ITEM, kinds.next().map_or("without content", |(name, _)| name));
        return Ok(Vec::new());
    };
    if let Fate::Ignored(_) = fate {
        return Ok(Vec::new());
    }
    if fate == Fate::Account {
        return Ok(vec![notices::account(kind, item)]);
    }
    // A person who ticks a box on a web site has no id yet.
    let sender = sender.or_else(|| json::some_text(item, "/optin/user_ref"));
    let customer = sender.ok_or("messaging[].sender.id is missing")?;
    let did = json::some_text(item, "/recipient/id").ok_or("messaging[].recipient.id is missing")?;
    let time = json::time(item, "/timestamp");
    let frame = Envelope { item, customer: customer.into_owned(), did: did.into_owned(), time };
    match kind {
        "message" => written(&frame, unknown),
        "postback" => Ok(postback(&frame)),
        "delivery" => Ok(delivered(&frame)),
        "read" => Ok(seen(&frame)),
        "reaction" => Ok(reaction(&frame)),
        "message_edit" => edited(&frame),
        _ => Ok(notices::notice(&frame, kind)),
    }
}

fn written(frame: &Envelope<'_>, unknown: &mut Vec<Box<str>>) -> ReadEvents {
    let said = json::at(frame.item, "/message").unwrap_or(&Value::Null);
    let mid = json::some_text(said, "/mid").ok_or("message.mid is missing")?;
    let is = |key: &str| json::flag(said, &format!("/{key}"));
    if is("is_deleted") {
        let body = json!({"type": "DELETEDNOTIFICATION", "messageId": &*mid,
            "timestamp": frame.time.map(|time| time.0)});
        let content = inbound_body::rich(BodyType::DeletedNotification, body);
        let mut message = frame.message(&format!("{mid}#deleted"), content);
        message.reply_to = Some((&*mid).into());
        message.is_written = false;
        return Ok(vec![event(message)]);
    }
    let text = json::text(said, "/text").unwrap_or_default();
    let mut messages: Vec<InMessage> = Vec::new();
    let mut stickers: Vec<i64> = Vec::new();
    for attachment in json::items(said, "/attachments").iter().take(ATTACHMENTS_MAX) {
        let kind = json::text(attachment, "/type").unwrap_or_default();
        if fate(ITEMS, ATTACHMENT, &kind).is_none() {
            note_unknown(unknown, ATTACHMENT, &kind);
        }
        // A sticker arrives twice, as a sticker and as an image.
        if let Some(sticker) = json::number(attachment, "/payload/sticker_id") {
            if stickers.contains(&sticker) {
                continue;
            }
            stickers.push(sticker);
        }
        let caption = if messages.is_empty() { &*text } else { "" };
        // Each further file becomes a message of its own.
        let id = if messages.is_empty() { mid.to_string() } else { format!("{mid}#{}", messages.len()) };
        messages.push(attached(frame, &id, attachment, caption));
    }
    if messages.is_empty() && (is("is_unsupported") || said.get("text").is_none()) {
        let mut message = frame.message(&mid, Content::Text("[unsupported message]".into()));
        with(&mut message, "unsupported", "true");
        messages.push(message);
    }
    if messages.is_empty() {
        let (content, attribute) = match json::some_text(said, "/quick_reply/payload") {
            Some(payload) => inbound_body::pressed(&text, &payload),
            None => (Content::Text((&*text).into()), None),
        };
        let mut message = frame.message(&mid, content);
        message.attributes.extend(attribute);
        messages.push(message);
    }
    for message in &mut messages {
        message.reply_to = json::some_text(said, "/reply_to/mid").map(|mid| (&*mid).into());
        for (key, pointer) in [("storyId", "/reply_to/story/id"), ("storyUrl", "/reply_to/story/url")] {
            with(message, key, &json::text(said, pointer).unwrap_or_default());
        }
        referral(message, json::at(said, "/referral"));
    }
    Ok(messages.into_iter().map(event).collect())
}

/// Maximum number of attachments of a message that are read; further ones are ignored.
const ATTACHMENTS_MAX: usize = 64;

fn attached(frame: &Envelope<'_>, id: &str, attachment: &Value, caption: &str) -> InMessage {
    let at = |pointer: &str| json::some_text(attachment, pointer);
    let kind = at("/type").unwrap_or_default();
    let url = at("/payload/url").or_else(|| at("/url")).or_else(|| other_address(attachment));
    let url = url.unwrap_or_default();
    let title = at("/payload/title").or_else(|| at("/title")).unwrap_or_default();
    let degrees = |key: &str| json::float(attachment, &format!("/payload/coordinates/{key}"));
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    let is_story = at("/payload/story_media_url").is_some();
    let body_type = match &*kind {
        "image" => Some(BodyType::Image),
        "video" => Some(BodyType::Video),
        "audio" => Some(BodyType::Audio),
        "file" | "sticker" | "story_mention" | "ephemeral" => Some(BodyType::File),
        // The story itself, whose address ends with it.
        _ if is_story => Some(BodyType::File),
        _ => None,
    };
    if let (Some(body_type), true) = (body_type, is_page) {
        let media = MediaRef { locator: (&*url).into(), content_type: None, file_name: None };
        let content = match at("/payload/sticker_id") {
            Some(sticker) => inbound_body::sticker(Some(0), &sticker),
            None if kind == "story_mention" && caption.is_empty() => {
                inbound_body::file(body_type, "[mentioned you in a story]", 0, &media)
            }
            None if is_story && caption.is_empty() => {
                inbound_body::file(body_type, "[shared a story]", 0, &media)
            }
            None => inbound_body::file(body_type, caption, 0, &media),
        };
        let mut message = frame.message(id, content);
        message.media.push(media);
        if kind == "story_mention" {
            with(&mut message, "storyMention", "true");
        } else if is_story {
            with(&mut message, "shared", &kind);
        }
        return message;
    }
    if let (Some(latitude), Some(longitude)) = (degrees("lat"), degrees("long")) {
        return frame.message(id, inbound_body::location(latitude, longitude, &title, "", &url));
    }
    if is_page {
        let words: Vec<&str> = [caption, &*title].into_iter().filter(|words| !words.is_empty()).collect();
        let mut message = frame.message(id, inbound_body::url(&words.join("\n"), &url));
        with(&mut message, "shared", &kind);
        return message;
    }
    if kind == "like_heart" {
        return frame.message(id, Content::Text("\u{2764}".into()));
    }
    let words = if caption.is_empty() { &*title } else { caption };
    let text = format!("[unsupported message: {kind}] {words}");
    let mut message = frame.message(id, Content::Text(text.trim_end().into()));
    with(&mut message, "unsupported", &kind);
    message
}

/// Returns an address under another name than `url`: newer kinds have names of their own, such as
/// `story_media_url`.
fn other_address(attachment: &Value) -> Option<Cow<'_, str>> {
    let members = json::at(attachment, "/payload").and_then(Value::as_object).into_iter().flatten();
    let named = members.filter(|(name, _)| name.ends_with("_url"));
    named.filter_map(|(_, value)| value.as_str()).find(|url| url.starts_with("https://")).map(Cow::Borrowed)
}

fn postback(frame: &Envelope<'_>) -> Vec<InEvent> {
    let (content, attribute) =
        inbound_body::pressed(&frame.text("/postback/title"), &frame.text("/postback/payload"));
    let mid = frame.text("/postback/mid");
    let id = if mid.is_empty() { frame.id("", "postback") } else { mid };
    let mut message = frame.message(&id, content);
    message.attributes.extend::<Option<Attribute>>(attribute);
    referral(&mut message, json::at(frame.item, "/postback/referral"));
    vec![event(message)]
}

/// Returns receipts for the named ids, and one for everything before a time.
fn delivered(frame: &Envelope<'_>) -> Vec<InEvent> {
    let mids = json::items(frame.item, "/delivery/mids").iter().filter_map(Value::as_str);
    let mut events: Vec<InEvent> =
        mids.map(|mid| frame.receipt(mid, Report::Delivered, "delivery", None)).collect();
    if let Some(at) = json::number(frame.item, "/delivery/watermark") {
        events.push(frame.receipt("", Report::Delivered, "delivery", Some(at)));
    }
    events
}

/// Messenger names a time, Instagram a message.
fn seen(frame: &Envelope<'_>) -> Vec<InEvent> {
    let mid = frame.text("/read/mid");
    if !mid.is_empty() {
        return vec![frame.receipt(&mid, Report::Read, "read", None)];
    }
    let at = json::number(frame.item, "/read/watermark");
    at.map(|at| frame.receipt("", Report::Read, "read", Some(at))).into_iter().collect()
}

fn reaction(frame: &Envelope<'_>) -> Vec<InEvent> {
    let mid = frame.text("/reaction/mid");
    let emoji = frame.text("/reaction/emoji");
    let name = frame.text("/reaction/reaction");
    let words = if emoji.is_empty() { &name } else { &emoji };
    if frame.text("/reaction/action") == "unreact" || words.is_empty() {
        return vec![event(notices::reaction_removed(frame, &mid))];
    }
    let mut message = frame.message(&frame.id(&mid, "reaction"), Content::Text(words.as_str().into()));
    message.reply_to = Some(mid.as_str().into()).filter(|_| !mid.is_empty());
    with(&mut message, "reaction", words);
    vec![event(message)]
}

fn edited(frame: &Envelope<'_>) -> ReadEvents {
    let mid = frame.text("/message_edit/mid");
    if mid.is_empty() {
        return Err("message_edit.mid is missing".into());
    }
    let id = format!("{mid}#edit{}", frame.text("/message_edit/num_edit"));
    let mut message = frame.message(&id, Content::Text(frame.text("/message_edit/text").into()));
    message.reply_to = Some(mid.as_str().into());
    with(&mut message, "edits", &mid);
    Ok(vec![event(message)])
}

/// Reads comments below a page's posts; a page's own comments are not a customer's.
fn feed(account: &str, value: &Value) -> ReadEvents {
    let is = |key: &str, word: &str| json::text(value, key).is_some_and(|said| said == word);
    if !is("/item", "comment") || !is("/verb", "add") {
        return Ok(Vec::new());
    }
    below(account, value, "/comment_id", "/message", "/post_id")
}

fn comment(account: &str, value: &Value) -> ReadEvents {
    below(account, value, "/id", "/text", "/media/id")
}

/// `postId` is the comment, so that a private reply to it carries the same name; the post is an
/// attribute.
fn below(account: &str, value: &Value, id: &str, text: &str, post: &str) -> ReadEvents {
    let id = json::some_text(value, id).ok_or("a comment has no id")?;
    let from = json::some_text(value, "/from/id").ok_or("a comment has no from.id")?;
    if from == account {
        return Ok(Vec::new());
    }
    let body = json!({"type": "COMMENT", "itemType": "TEXT", "postId": &*id,
        "markdownText": json::text(value, text).unwrap_or_default()});
    let mut message = InMessage::new(account, &from, &id, inbound_body::rich(BodyType::Comment, body));
    message.time = json::time(value, "/created_time");
    for (key, pointer) in [("customerName", "/from/name"), ("username", "/from/username"), ("post", post)] {
        with(&mut message, key, &json::text(value, pointer).unwrap_or_default());
    }
    message.reply_to = json::some_text(value, "/parent_id").map(|parent| (&*parent).into());
    Ok(vec![event(message)])
}
