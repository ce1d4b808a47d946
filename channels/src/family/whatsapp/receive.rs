//! Reads webhooks of WhatsApp: every entry, change, message and status of a batch. A broken item is
//! reported and does not affect the others; irrelevant kinds are counted.

use message::{BodyType, Content};
use serde_json::{Value, json};

use crate::{
    contract::{Attribute, InEvent, InMessage, InReceipt, MediaRef, Received, Report, http::Malformed},
    family::{meta::graph_api::GraphError, whatsapp::STATUSES},
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
    if !is_named && phone_number_id.is_none() {
        received.ignored = 1;
        return Ok(received);
    }
    for entry in json::items(&said, "/entry") {
        for change in json::items(entry, "/changes") {
            let field = json::text(change, "/field").unwrap_or_default();
            let value = json::at(change, "/value").unwrap_or(&Value::Null);
            let number = json::some_text(value, "/metadata/phone_number_id");
            let ours = phone_number_id.is_none_or(|own| number.map_or(is_named, |number| number == own));
            if field == "messages" && ours {
                read_value(value, &mut received);
            } else if ours && ACCOUNT_FIELDS.contains(&&*field) {
                // Each of several templates has its own.
                let template = json::text(value, "/message_template_name").unwrap_or_default();
                let about = format!("{field} {template}").trim_end().into();
                received.events.push(InEvent::Account { about, says: facts(value) });
            } else {
                received.ignored += 1;
            }
        }
    }
    if !is_named && received == Received::default() {
        received.ignored = 1;
    }
    Ok(received)
}

/// Fields that report on the account, its numbers and its templates.
const ACCOUNT_FIELDS: [&str; 7] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "business_capability_update",
    "message_template_status_update",
    "phone_number_name_update",
    "phone_number_quality_update",
];
/// Maximum number of characters reported of such a field; the rest is cut off.
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

fn read_value(value: &Value, received: &mut Received) {
    let before = received.events.len() + received.ignored;
    for item in json::items(value, "/messages") {
        match message(value, item) {
            Ok(Some(message)) => received.events.push(InEvent::Message(Box::new(message))),
            Ok(None) => received.ignored += 1,
            Err(problem) => received.events.push(InEvent::Broken(problem)),
        }
    }
    for item in json::items(value, "/statuses") {
        match receipt(value, item) {
            Some(receipt) => received.events.push(InEvent::Receipt(Box::new(receipt))),
            None => received.events.push(InEvent::Broken("statuses[].id or status is missing".into())),
        }
    }
    for error in json::items(value, "/errors") {
        let words = GraphError::read(error).map_or_else(|| error.to_string(), |error| error.shown());
        received.events.push(InEvent::Broken(words.into()));
    }
    if received.events.len() + received.ignored == before {
        received.ignored += 1;
    }
}

/// The content of a message of any kind.
struct MessageBody {
    content: Content,
    media: Vec<MediaRef>,
    attributes: Vec<Attribute>,
}

impl MessageBody {
    fn of(content: Content) -> Self {
        Self { content, media: Vec::new(), attributes: Vec::new() }
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
    let id = json::some_text(item, "/id").ok_or("messages[].id is missing")?;
    let contact = contact_of(value, item);
    // A customer who hides the number has a business-scoped id, here or in `from` itself.
    let names = [
        json::some_text(item, "/from"),
        json::some_text(contact, "/wa_id"),
        json::some_text(item, "/from_user_id"),
        json::some_text(contact, "/user_id"),
        json::some_text(item, "/parent_user_id"),
        json::some_text(contact, "/parent_user_id"),
        json::some_text(item, "/system/wa_id"),
    ];
    let mut names = names.into_iter().flatten();
    let customer = names.next().ok_or_else(|| format!("message {id} has neither from nor a user_id"))?;
    let Some(mut said) = said(item, EDITS_DEPTH_MAX)? else { return Ok(None) };
    for (key, pointer) in [("customerName", "/profile/name"), ("username", "/profile/username")] {
        said = said.with(key, &json::text(contact, pointer).unwrap_or_default());
    }
    said = said.with("groupId", &json::text(item, "/group_id").unwrap_or_default());
    for flag in ["forwarded", "frequently_forwarded"] {
        if json::at(item, &format!("/context/{flag}")).and_then(Value::as_bool) == Some(true) {
            said = said.with(flag, "true");
        }
    }
    for (key, pointer) in [("referral", "/referral"), ("referredProduct", "/context/referred_product")] {
        if let Some(object) = json::at(item, pointer).filter(|object| object.is_object()) {
            said = said.with(key, &object.to_string());
        }
    }
    let did = json::text(value, "/metadata/display_phone_number").unwrap_or_default();
    let mut message = InMessage::new(&did, &customer, &id, said.content);
    for name in names {
        if name != customer && !message.aliases.iter().any(|alias| **alias == *name) {
            message.aliases.push((&*name).into());
        }
    }
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

/// Returns the sender's contact: by number or id, else the only one present.
fn contact_of<'a>(value: &'a Value, item: &Value) -> &'a Value {
    let contacts = json::items(value, "/contacts");
    let from = json::text(item, "/from").unwrap_or_default();
    let user = json::text(item, "/from_user_id").unwrap_or_default();
    let is = |contact: &&Value, pointer: &str, name: &str| {
        json::some_text(contact, pointer).is_some_and(|known| known == name)
    };
    contacts
        .iter()
        .find(|c| is(c, "/wa_id", &from) || is(c, "/user_id", &user) || is(c, "/user_id", &from))
        .or_else(|| if contacts.len() == 1 { contacts.first() } else { None })
        .unwrap_or(&Value::Null)
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
        "text" => MessageBody::text(&needed("/text/body")?),
        "image" => file(item, "image", BodyType::Image),
        "video" => file(item, "video", BodyType::Video),
        "audio" => file(item, "audio", BodyType::Audio),
        "document" => file(item, "document", BodyType::File),
        "sticker" => sticker(item),
        "location" => location(item)?,
        "contacts" => contacts(item),
        "reaction" => {
            let emoji = text("/reaction/emoji");
            if emoji.is_empty() {
                return Ok(None);
            }
            MessageBody::text(&emoji).with("reaction", &emoji)
        }
        "button" => pressed(&text("/button/text"), &text("/button/payload")),
        "interactive" => interactive(item),
        "order" => order(item),
        "system" => MessageBody::text(&text("/system/body")).with("system", &text("/system/type")),
        "revoke" => {
            let id = needed("/revoke/original_message_id")?;
            let body =
                json!({"type": "DELETEDNOTIFICATION", "messageId": &*id, "timestamp": text("/timestamp")});
            MessageBody::of(inbound_body::rich(BodyType::DeletedNotification, body))
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
    let voice = json::at(item, "/audio/voice").and_then(Value::as_bool) == Some(true);
    let said = MessageBody {
        content: inbound_body::file(body_type, &caption, 0, &media),
        media: vec![media],
        attributes: Vec::new(),
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
        let value = json::at(item, &format!("/location/{key}")).and_then(Value::as_f64);
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
