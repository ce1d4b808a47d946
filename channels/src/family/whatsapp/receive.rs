//! Reads webhooks of WhatsApp: every entry, change, message and status of a batch. A broken item is
//! reported and does not affect the others; what becomes of each kind is in
//! [`EVENTS`](super::EVENTS).

use message::{BodyType, Content};
use serde_json::{Value, json};

use super::{
    events::{EVENTS, FIELD, INTERACTIVE, MESSAGE, STATUS, VALUE},
    notices::{self, Numbered},
};
use crate::{
    contract::{
        Attribute, InEvent, InMessage, InReceipt, MediaRef, Received, Report,
        events::{Fate, fate, note_unknown},
        http::Malformed,
    },
    family::{
        meta::{graph_api::GraphError, object::unread},
        whatsapp::STATUSES,
    },
    text::markup,
    toolkit::{inbound_body, json},
};

/// Reads a webhook; changes of other numbers than `phone_number_id` are ignored.
///
/// # Errors
/// The body is not JSON of the expected form.
pub fn read(body: &[u8], phone_number_id: Option<&str>) -> Result<Received, Malformed> {
    let said = json::parse(body).ok_or_else(|| Malformed::new("the body is not JSON"))?;
    if !said.is_object() {
        return Err(Malformed::new("the body is not a JSON object"));
    }
    let mut received = Received::default();
    // At the address that several accounts share, one call may contain entries of different kinds
    // under one object name: a change that names our own number is accepted all the same.
    let is_named = json::text(&said, "/object").is_some_and(|object| object == "whatsapp_business_account");
    // The client on premises, which some resellers still run, sends the value alone.
    let is_bare = said.get("object").is_none() && said.get("entry").is_none();
    if is_bare && ["messages", "statuses"].iter().any(|member| said.get(member).is_some()) {
        read_value(&said, &mut received);
        return Ok(received);
    }
    if !is_named && phone_number_id.is_none() {
        unread(&said, is_named, &mut received);
        return Ok(received);
    }
    for entry in json::items(&said, "/entry") {
        for change in json::items(entry, "/changes") {
            let value = json::at(change, "/value").unwrap_or(&Value::Null);
            let number = json::some_text(value, "/metadata/phone_number_id");
            let ours = phone_number_id.is_none_or(|own| number.map_or(is_named, |number| number == own));
            if ours {
                read_change(&json::text(change, "/field").unwrap_or_default(), value, &mut received);
            } else {
                received.ignored += 1;
            }
        }
    }
    if received == Received::default() {
        unread(&said, is_named, &mut received);
    }
    Ok(received)
}

fn read_change(field: &str, value: &Value, received: &mut Received) {
    match (fate(EVENTS, FIELD, field), field) {
        (Some(Fate::Account), _) => {
            // Each of several templates has its own.
            let template = json::text(value, "/message_template_name").unwrap_or_default();
            let about = format!("{field} {template}").trim_end().into();
            received.events.push(InEvent::Account { about, says: facts(value) });
        }
        (Some(_), "messages") => read_value(value, received),
        (Some(_), "user_preferences") => {
            notices::all(value, "/user_preferences", received, notices::preference);
        }
        (Some(_), "user_id_update") => {
            notices::all(value, "/user_id_update", received, notices::user_id_update);
        }
        (Some(_), "calls") => notices::all(value, "/calls", received, notices::call),
        (Some(_), _) => received.ignored += 1,
        (None, _) => note_unknown(&mut received.unknown, FIELD, field),
    }
}

/// Maximum number of characters reported of an account's field; the rest is cut off.
const FACTS_CHARACTERS_MAX: usize = 500;

/// Returns the content of such a field as `key: value`.
fn facts(value: &Value) -> Box<str> {
    let mut all = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => all.push(format!("{key}: {text}")),
            Value::Number(_) | Value::Bool(_) => all.push(format!("{key}: {value}")),
            // The reason of a ban or of a refused template stands one level below.
            Value::Object(inner) => {
                let inner = inner.iter().filter(|(_, value)| !value.is_object() && !value.is_array());
                all.extend(inner.map(|(key, value)| {
                    format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                }));
            }
            Value::Array(_) | Value::Null => {}
        }
    }
    all.join(", ").chars().take(FACTS_CHARACTERS_MAX).collect::<String>().into()
}

/// Members of a value that frame its items.
const FRAME: [&str; 6] = ["messages", "statuses", "errors", "contacts", "metadata", "messaging_product"];

fn read_value(value: &Value, received: &mut Received) {
    let before = received.events.len() + received.ignored;
    for item in json::items(value, "/messages") {
        let kind = json::text(item, "/type").unwrap_or_default();
        if fate(EVENTS, MESSAGE, &kind).is_none() {
            note_unknown(&mut received.unknown, MESSAGE, &kind);
        } else if kind == "interactive" {
            let kind = json::text(item, "/interactive/type").unwrap_or_default();
            if fate(EVENTS, INTERACTIVE, &kind).is_none() {
                note_unknown(&mut received.unknown, INTERACTIVE, &kind);
            }
        }
        let read = match &*kind {
            "system" => notices::system(value, item, &mut received.unknown),
            _ => message(value, item).map(|said| said.map(|said| InEvent::Message(Box::new(said)))),
        };
        match read {
            Ok(Some(event)) => received.events.push(event),
            Ok(None) => received.ignored += 1,
            Err(problem) => received.events.push(InEvent::Broken(problem)),
        }
    }
    for item in json::items(value, "/statuses") {
        let status = json::text(item, "/status").unwrap_or_default();
        if !status.is_empty() && fate(EVENTS, STATUS, &status).is_none() {
            note_unknown(&mut received.unknown, STATUS, &status);
        }
        match receipt(value, item) {
            Some(receipt) => received.events.push(InEvent::Receipt(Box::new(receipt))),
            None => received.events.push(InEvent::Broken("statuses[].id or status is missing".into())),
        }
    }
    for error in json::items(value, "/errors") {
        let words = GraphError::read(error).map_or_else(|| error.to_string(), |error| error.shown());
        received.events.push(InEvent::Account { about: "error".into(), says: words.into() });
    }
    if received.events.len() + received.ignored == before {
        let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let unread = names.find(|name| !FRAME.contains(name)).unwrap_or("without messages or statuses");
        note_unknown(&mut received.unknown, VALUE, unread);
    }
}

/// The content of a message of any kind.
struct MessageBody {
    content: Content,
    media: Vec<MediaRef>,
    attributes: Vec<Attribute>,
    is_written: bool,
}

impl MessageBody {
    fn of(content: Content) -> Self {
        Self { content, media: Vec::new(), attributes: Vec::new(), is_written: true }
    }

    /// A NOTIFICATION of what the customer did.
    fn notice(words: &str, data: Value) -> Self {
        let content = InMessage::notice("", "", "", words, data).content;
        Self { is_written: false, ..Self::of(content) }
    }

    fn text(text: &str) -> Self {
        Self::of(Content::Text(text.into()))
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.attributes.push((key.into(), value.into()));
        }
        self
    }
}

fn message(value: &Value, item: &Value) -> Result<Option<InMessage>, Box<str>> {
    let Numbered { id, did, contact, mut names } = notices::numbered(value, item)?;
    // The business's own words are not a customer's, wherever they come from.
    if names.first().is_some_and(|from| notices::is_same_number(from, &did)) {
        return Ok(None);
    }
    let customer = names.remove(0);
    let Some(mut said) = said(item, EDITS_DEPTH_MAX)? else { return Ok(None) };
    for (key, pointer) in [("customerName", "/profile/name"), ("username", "/profile/username")] {
        said = said.with(key, &json::text(contact, pointer).unwrap_or_default());
    }
    said = said.with("groupId", &json::text(item, "/group_id").unwrap_or_default());
    for flag in ["forwarded", "frequently_forwarded"] {
        if json::flag(item, &format!("/context/{flag}")) {
            said = said.with(flag, "true");
        }
    }
    for (key, pointer) in [("referral", "/referral"), ("referredProduct", "/context/referred_product")] {
        if let Some(object) = json::at(item, pointer).filter(|object| object.is_object()) {
            said = said.with(key, &object.to_string());
        }
    }
    let mut message = InMessage::new(&did, &customer, &id, said.content);
    message.aliases.extend(names);
    message.is_written = said.is_written;
    message.media = said.media;
    message.time = json::time(item, "/timestamp");
    message.reply_to = answered(item).map(|id| (&*id).into());
    message.attributes = said.attributes;
    Ok(Some(message))
}

/// Returns the message that is replied to, reacted to, edited or deleted.
fn answered(item: &Value) -> Option<std::borrow::Cow<'_, str>> {
    ["/context/id", "/reaction/message_id", "/revoke/original_message_id", "/edit/original_message_id"]
        .iter()
        .find_map(|pointer| json::some_text(item, pointer))
}

/// Maximum depth of edits: an edit contains a message, and not a further edit.
const EDITS_DEPTH_MAX: usize = 1;

fn said(item: &Value, edits: usize) -> Result<Option<MessageBody>, Box<str>> {
    let kind = json::text(item, "/type").unwrap_or_default();
    let text = |pointer: &str| json::text(item, pointer).unwrap_or_default();
    let needed = |pointer: &str| {
        json::text(item, pointer).ok_or_else(|| format!("a message of type {kind} has no {pointer}"))
    };
    Ok(Some(match &*kind {
        "text" => MessageBody::text(&markup::from_chat(&needed("/text/body")?)),
        "image" => file(item, "image", BodyType::Image),
        "video" => file(item, "video", BodyType::Video),
        "audio" | "voice" => file(item, &kind, BodyType::Audio),
        "document" => file(item, "document", BodyType::File),
        "sticker" => sticker(item),
        "location" => location(item)?,
        "contacts" => contacts(item),
        "reaction" => {
            let emoji = text("/reaction/emoji");
            if emoji.is_empty() {
                let data = json!({"reactionRemoved": text("/reaction/message_id")});
                return Ok(Some(MessageBody::notice("[reaction removed]", data)));
            }
            MessageBody::text(&emoji).with("reaction", &emoji)
        }
        "button" => pressed(&text("/button/text"), &text("/button/payload")),
        "interactive" => interactive(item),
        "order" => order(item),
        "request_welcome" => {
            MessageBody::notice("[opened the conversation]", json!({"requestWelcome": true}))
        }
        "revoke" => {
            let id = needed("/revoke/original_message_id")?;
            let body =
                json!({"type": "DELETEDNOTIFICATION", "messageId": &*id, "timestamp": text("/timestamp")});
            let deleted = MessageBody::of(inbound_body::rich(BodyType::DeletedNotification, body));
            MessageBody { is_written: false, ..deleted }
        }
        "edit" if edits > 0 => {
            let id = needed("/edit/original_message_id")?;
            let new = json::at(item, "/edit/message").ok_or("an edit has no message")?;
            let Some(new) = said(new, edits - 1)? else { return Ok(None) };
            new.with("edits", &id)
        }
        _ => unsupported(item, &kind),
    }))
}

fn file(item: &Value, kind: &str, body_type: BodyType) -> MessageBody {
    let at = |key: &str| json::some_text(item, &format!("/{kind}/{key}"));
    let caption = at("caption").unwrap_or_default();
    // Some resellers announce files that they could not fetch.
    let Some(locator) = at("id").or_else(|| at("url")) else {
        return MessageBody::text(&format!("[{kind} without a file] {caption}")).with("unsupported", kind);
    };
    let media = MediaRef {
        locator: (&*locator).into(),
        content_type: at("mime_type").map(|text| Box::from(&*text)),
        file_name: at("filename").map(|text| Box::from(&*text)),
    };
    let voice = kind == "voice" || json::flag(item, "/audio/voice");
    let said = MessageBody {
        content: inbound_body::file(body_type, &markup::from_chat(&caption), 0, &media),
        media: vec![media],
        attributes: Vec::new(),
        is_written: true,
    };
    if voice { said.with("voice", "true") } else { said }
}

fn sticker(item: &Value) -> MessageBody {
    let mut said = file(item, "sticker", BodyType::File);
    let index = (!said.media.is_empty()).then_some(0);
    if index.is_some() {
        said.content = inbound_body::sticker(index, &json::text(item, "/sticker/id").unwrap_or_default());
    }
    said
}

fn location(item: &Value) -> Result<MessageBody, Box<str>> {
    let degrees = |key: &str| {
        let value = json::float(item, &format!("/location/{key}"));
        value.ok_or_else(|| format!("a location has no {key}"))
    };
    let text = |key: &str| json::text(item, &format!("/location/{key}")).unwrap_or_default();
    let (latitude, longitude) = (degrees("latitude")?, degrees("longitude")?);
    Ok(MessageBody::of(inbound_body::location(
        latitude,
        longitude,
        &text("name"),
        &text("address"),
        &text("url"),
    )))
}

fn contacts(item: &Value) -> MessageBody {
    let contact = |contact: &Value| {
        let name = json::text(contact, "/name/formatted_name").unwrap_or_default();
        let phone = |p: &Value| {
            json::some_text(p, "/phone").or_else(|| json::some_text(p, "/wa_id")).map(|p| p.into_owned())
        };
        let phones: Vec<String> = json::items(contact, "/phones").iter().filter_map(phone).collect();
        inbound_body::contact(&name, &phones.iter().map(String::as_str).collect::<Vec<_>>())
    };
    MessageBody::of(inbound_body::contacts(json::items(item, "/contacts").iter().map(contact).collect()))
}

fn pressed(title: &str, payload: &str) -> MessageBody {
    let (content, attribute) = inbound_body::pressed(title, payload);
    MessageBody { attributes: attribute.into_iter().collect(), ..MessageBody::of(content) }
}

fn interactive(item: &Value) -> MessageBody {
    let kind = json::text(item, "/interactive/type").unwrap_or_default();
    let text = |key: &str| json::text(item, &format!("/interactive/{kind}/{key}")).unwrap_or_default();
    match &*kind {
        "button_reply" | "list_reply" => pressed(&text("title"), &text("id")),
        "nfm_reply" => MessageBody::text(&text("body"))
            .with("flow", &text("name"))
            .with("flowResponse", &text("response_json")),
        "call_permission_reply" => {
            let response = text("response");
            let words = format!("[answered the request to call: {response}]");
            MessageBody::notice(
                &words,
                json!({"callPermission": &*response, "isPermanent": text("is_permanent")}),
            )
        }
        other => unsupported(item, other),
    }
}

/// Returns an order from a catalogue.
fn order(item: &Value) -> MessageBody {
    let mut currency = String::new();
    let lines: Vec<Value> = json::items(item, "/order/product_items")
        .iter()
        .map(|line| {
            let text = |key: &str| json::text(line, &format!("/{key}")).unwrap_or_default();
            if currency.is_empty() {
                currency = text("currency").into_owned();
            }
            json!({"title": text("product_retailer_id"), "quantity": text("quantity"),
                "price": text("item_price"), "currency": text("currency")})
        })
        .collect();
    let body = json!({"type": "RECEIPT", "templateType": "receipt", "currency": currency, "elements": lines,
        "markdownText": json::text(item, "/order/text")});
    MessageBody::of(inbound_body::rich(BodyType::Receipt, body))
        .with("catalogId", &json::text(item, "/order/catalog_id").unwrap_or_default())
}

/// WhatsApp reports that a message existed, not its content.
fn unsupported(item: &Value, kind: &str) -> MessageBody {
    let what = json::some_text(item, "/unsupported/type").unwrap_or_else(|| kind.into());
    let error = json::at(item, "/errors/0").and_then(GraphError::read);
    let words = error.map(|error| error.shown()).unwrap_or_default();
    MessageBody::text(&format!("[unsupported message: {what}]"))
        .with("unsupported", &what)
        .with("error", &words)
}

fn receipt(value: &Value, item: &Value) -> Option<InReceipt> {
    let id = json::some_text(item, "/id")?;
    let status = json::some_text(item, "/status")?;
    let report = Report::of(STATUSES, &status).unwrap_or(Report::Nothing);
    let error = json::at(item, "/errors/0").and_then(GraphError::read).map(|error| error.shown());
    let customer = json::some_text(item, "/recipient_id")
        .or_else(|| json::some_text(item, "/recipient_user_id"))
        .or_else(|| json::some_text(value, "/contacts/0/wa_id"))
        .or_else(|| json::some_text(value, "/contacts/0/user_id"));
    Some(InReceipt {
        reference: json::some_text(item, "/biz_opaque_callback_data").map(|own| (&*own).into()),
        id: (&*id).into(),
        report,
        code: error.unwrap_or_else(|| status.into_owned()).into(),
        did: json::text(value, "/metadata/display_phone_number").unwrap_or_default().as_ref().into(),
        customer: customer.unwrap_or_default().as_ref().into(),
        watermark_ms: None,
    })
}
