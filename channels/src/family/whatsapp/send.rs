//! Messages to WhatsApp: each native body as JSON, and the calls that upload a file when Meta
//! cannot fetch it. Nothing is cut or adapted here: the content already fits.

use message::{
    BodyType, Content,
    cim::body::{self, Button, Buttons, Link, Location, Press},
    event::Cause,
};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        OutPart, SendError,
        http::{Body, Field, Request, Response},
    },
    text::markup,
    toolkit::{
        json,
        upload::{self, File},
    },
};

/// The way files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// By their address, which Meta fetches.
    Link,
    /// Downloaded and uploaded first, for addresses that Meta cannot reach.
    Upload,
}

/// The calls that send one part.
#[derive(Debug)]
pub struct Conversation<'a> {
    /// The address for messages.
    pub messages_url: &'a str,
    /// The address for uploads.
    pub media_url: &'a str,
    /// The way files are sent.
    pub media: Media,
}

impl Conversation<'_> {
    /// Returns the first call, without authorisation, and whether it goes to the provider.
    ///
    /// # Errors
    /// The part cannot be expressed as a call.
    pub fn first(&self, part: &OutPart<'_>) -> Result<(Request, bool), SendError> {
        match self.to_upload(part) {
            Some(file) => Ok((file.fetched(), false)),
            None => Ok((self.message(part, None)?, true)),
        }
    }

    /// Returns the next call while the answers belong to an upload; `None` when the last answer
    /// belongs to a send.
    ///
    /// # Errors
    /// The file did not reach Meta; `refused` parses refusals.
    pub fn next(
        &self,
        part: &OutPart<'_>,
        answers: &[Response],
        refused: impl FnOnce(&Response) -> SendError,
    ) -> Result<Option<Request>, SendError> {
        let Some(file) = self.to_upload(part) else { return Ok(None) };
        match answers {
            [fetched] => {
                if !fetched.is_success() {
                    return Err(upload::not_fetched(fetched));
                }
                let fields = vec![
                    Field::text("messaging_product", "whatsapp"),
                    Field::text("type", &*file.content_type),
                    Field {
                        name: "file",
                        file_name: Some(file.name),
                        content_type: Some(file.content_type),
                        value: fetched.body.clone(),
                    },
                ];
                Ok(Some(Request::post(self.media_url, Body::Multipart(fields)).harmless()))
            }
            [_, uploaded] => {
                if !uploaded.is_success() {
                    return Err(refused(uploaded));
                }
                let said = json::parse(&uploaded.body).unwrap_or_default();
                match json::some_text(&said, "/id") {
                    Some(id) => self.message(part, Some(&id)).map(Some),
                    None => {
                        Err(SendError::Unavailable(Cause::new("upload", "the upload's answer has no id")))
                    }
                }
            }
            _ => Ok(None),
        }
    }

    fn to_upload(&self, part: &OutPart<'_>) -> Option<File> {
        let Content::Rich { body_type, json } = part.content else { return None };
        let is_file =
            matches!(body_type, BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File);
        let file = is_file && self.media == Media::Upload;
        file.then(|| File::of(&body::read(json).unwrap_or_default()))
    }

    fn message(&self, part: &OutPart<'_>, uploaded: Option<&str>) -> Result<Request, SendError> {
        let mut message = envelope(part);
        let (kind, object) = match part.content {
            Content::Text(text) => ("text", text_object(text)),
            Content::Rich { body_type, json } => rich(*body_type, json, uploaded, &mut message)?,
            _ => return Err(rejected("octets cannot be sent here")),
        };
        if !kind.is_empty() {
            json::set(&mut message, "type", kind);
            json::set(&mut message, kind, object);
        }
        Ok(Request::post(self.messages_url, Body::Json(message.to_string())))
    }
}

fn rejected(reason: &str) -> SendError {
    SendError::Rejected(Cause::new("400", reason))
}

fn envelope(part: &OutPart<'_>) -> Value {
    let mut message = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "biz_opaque_callback_data": part.reference,
    });
    let to = if super::is_user_id(part.customer) { "recipient" } else { "to" };
    json::set(&mut message, to, part.customer);
    if let Some(id) = part.reply_to {
        json::set(&mut message, "context", json!({"message_id": id}));
    }
    message
}

fn text_object(text: &str) -> Value {
    let text = markup::whatsapp(text);
    let preview = text.contains("https://") || text.contains("http://");
    json!({"body": text, "preview_url": preview})
}

/// Returns the name and the object of a rich body.
fn rich(
    body_type: BodyType,
    json: &str,
    uploaded: Option<&str>,
    message: &mut Value,
) -> Result<(&'static str, Value), SendError> {
    let file = |kind| (kind, media(json, kind, uploaded));
    Ok(match body_type {
        BodyType::Image => file("image"),
        BodyType::Video => file("video"),
        BodyType::Audio => file("audio"),
        BodyType::File => file("document"),
        BodyType::Sticker => {
            let body: Link<'_> = body::read(json).unwrap_or_default();
            let by_id = body.media_url.is_empty();
            (
                "sticker",
                if by_id { json!({"id": &*body.sticker_id}) } else { json!({"link": &*body.media_url}) },
            )
        }
        BodyType::Location => ("location", location(&body::read(json).unwrap_or_default())),
        BodyType::Contact => ("contacts", contacts(json)),
        BodyType::Button => ("interactive", interactive(&body::read(json).unwrap_or_default())),
        BodyType::Template => ("template", template(json)),
        BodyType::Custom => return custom(json, message),
        _ => return Err(rejected("this body type cannot be sent here")),
    })
}

fn media(json: &str, kind: &str, uploaded: Option<&str>) -> Value {
    let body: body::Media<'_> = body::read(json).unwrap_or_default();
    let mut object = match uploaded {
        Some(id) => json!({"id": id}),
        None => json!({"link": &*body.attachment.media_url}),
    };
    if kind != "audio" && !body.words().is_empty() {
        json::set(&mut object, "caption", markup::whatsapp(body.words()));
    }
    if kind == "document" {
        json::set(&mut object, "filename", File::of(&body).name);
    }
    object
}

/// A location has no page at WhatsApp: it is appended to the address.
fn location(body: &Location<'_>) -> Value {
    let place = &body.additional_details;
    let mut object = json!({
        "latitude": body.location.latitude.0.unwrap_or_default(),
        "longitude": body.location.longitude.0.unwrap_or_default(),
    });
    let address = [&*place.address, &*place.url].into_iter().filter(|words| !words.is_empty());
    let address = address.collect::<Vec<_>>().join(", ");
    for (key, value) in [("name", &*place.name), ("address", &*address)] {
        if !value.is_empty() {
            json::set(&mut object, key, value);
        }
    }
    object
}

/// Returns the body's own contacts in WhatsApp's form.
fn contacts(json: &str) -> Value {
    let body: Value = serde_json::from_str(json).unwrap_or_default();
    json::items(&body, "/contacts").iter().map(contact).collect()
}

fn contact(contact: &Value) -> Value {
    let whole = json::text(contact, "/name/formattedName").unwrap_or_default();
    let mut name = json!({"formatted_name": &*whole});
    for (key, theirs) in [
        ("first_name", "first_name"),
        ("last_name", "last_name"),
        ("middle_name", "middle_name"),
        ("name_prefix", "prefix"),
        ("name_suffix", "suffix"),
    ] {
        if let Some(value) = json::some_text(contact, &format!("/name/additionalNameDetails/{key}")) {
            json::set(&mut name, theirs, &*value);
        }
    }
    // A name needs a second member beside the formatted one.
    if name.as_object().is_none_or(|members| members.len() < 2) {
        json::set(&mut name, "first_name", &*whole);
    }
    let phones: Vec<Value> = json::items(contact, "/phones").iter().map(phone).collect();
    let mut out = json!({"name": name, "phones": phones});
    for key in ["emails", "urls", "addresses", "org", "birthday"] {
        let value = json::at(contact, &format!("/additionalContactDetails/{key}"));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            json::set(&mut out, key, value.clone());
        }
    }
    out
}

fn phone(phone: &Value) -> Value {
    let mut out = json!({"phone": json::text(phone, "/phone").unwrap_or_default()});
    for key in ["type", "wa_id"] {
        if let Some(value) = json::some_text(phone, &format!("/additionalPhoneDetails/{key}")) {
            json::set(&mut out, key, &*value);
        }
    }
    out
}

/// The label of a list's button where the body has none.
const LIST_BUTTON: &str = "Menu";

fn interactive(body: &Buttons<'_>) -> Value {
    let frame = &body.additional_details.interactive;
    let mut out = json!({"body": {"text": markup::whatsapp(&body.markdown_text)}});
    if !frame.header.text.is_empty() {
        json::set(&mut out, "header", json!({"type": "text", "text": &*frame.header.text}));
    }
    if !frame.footer.text.is_empty() {
        json::set(&mut out, "footer", json!({"text": &*frame.footer.text}));
    }
    let listed = frame.kind.eq_ignore_ascii_case("list");
    let (kind, action) = match body.buttons.first() {
        Some(button) if button.press() == Press::Open => (
            "cta_url",
            json!({"name": "cta_url", "parameters": {"display_text": &*button.title, "url": &*button.payload}}),
        ),
        _ if listed => {
            let word = if frame.button.is_empty() { LIST_BUTTON } else { &*frame.button };
            ("list", json!({"button": word, "sections": sections(body)}))
        }
        _ => {
            let reply = |button: &Button<'_>| json!({"type": "reply", "reply": {"id": payload(button), "title": &*button.title}});
            let buttons: Vec<Value> = body.buttons.iter().map(|button| reply(button)).collect();
            ("button", json!({"buttons": buttons}))
        }
    };
    json::set(&mut out, "type", kind);
    json::set(&mut out, "action", action);
    out
}

/// Returns the id that comes back; ids must not be empty.
fn payload<'a>(button: &'a Button<'_>) -> &'a str {
    if button.payload.is_empty() { &button.title } else { &button.payload }
}

/// Adjacent rows under one title form one section.
fn sections(body: &Buttons<'_>) -> Vec<Value> {
    let mut sections: Vec<(&str, Vec<Value>)> = Vec::new();
    for button in body.buttons.iter() {
        let details = &button.additional_button_details;
        let mut row = json!({"id": payload(button), "title": &*button.title});
        if !details.description.is_empty() {
            json::set(&mut row, "description", &*details.description);
        }
        match sections.last_mut() {
            Some((title, rows)) if *title == &*details.section_title => rows.push(row),
            _ => sections.push((&details.section_title, vec![row])),
        }
    }
    // With several sections, all need a title.
    let untitled = if sections.len() > 1 { "-" } else { "" };
    let title = |title: &str| if title.is_empty() { untitled.to_owned() } else { title.to_owned() };
    sections.into_iter().map(|(words, rows)| json!({"title": title(words), "rows": rows})).collect()
}

fn template(json: &str) -> Value {
    let body: Value = serde_json::from_str(json).unwrap_or_default();
    let code = json::text(&body, "/language/code").unwrap_or_default();
    let components: Vec<Value> = json::items(&body, "/components").iter().map(component).collect();
    let mut out = json!({
        "name": json::text(&body, "/name").unwrap_or_default(),
        "language": {"code": code},
    });
    if !components.is_empty() {
        json::set(&mut out, "components", components);
    }
    out
}

fn component(component: &Value) -> Value {
    let mut out = members(json::at(component, "/additionalComponentDetails"));
    let kind = json::text(component, "/type").unwrap_or_default().to_ascii_lowercase();
    out.insert("type".into(), kind.into());
    let parameters: Vec<Value> = json::items(component, "/parameters").iter().map(parameter).collect();
    if !parameters.is_empty() {
        out.insert("parameters".into(), parameters.into());
    }
    out.into()
}

/// `{parameterType: "image", additionalParameterDetails: {"link": ...}}`; the details may also be
/// the value itself, or hold it under the type's name.
fn parameter(parameter: &Value) -> Value {
    let kind = json::text(parameter, "/parameterType").unwrap_or_default().to_ascii_lowercase();
    let details = json::at(parameter, "/additionalParameterDetails").cloned().unwrap_or_default();
    let mut out = json!({"type": kind});
    match details {
        Value::Object(members) if members.contains_key(&kind) => {
            for (key, value) in members {
                json::set(&mut out, &key, value);
            }
            json::set(&mut out, "type", &*kind);
        }
        value => json::set(&mut out, &kind, value),
    }
    out
}

fn members(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// CUSTOM: `jsonNode` is the message's own part of the call
/// (`{"type":"reaction","reaction":{...}}`); the recipient stays ours. Without it the words are
/// sent.
fn custom(json: &str, message: &mut Value) -> Result<(&'static str, Value), SendError> {
    let body: Value = serde_json::from_str(json).unwrap_or_default();
    let node = members(json::at(&body, "/jsonNode"));
    if !node.contains_key("type") {
        let words = json::some_text(&body, "/markdownText");
        let words =
            words.ok_or_else(|| rejected("the CUSTOM body has no jsonNode with a type, and no words"))?;
        return Ok(("text", text_object(&words)));
    }
    for (key, value) in node {
        if !["to", "recipient", "messaging_product", "biz_opaque_callback_data"].contains(&key.as_str()) {
            json::set(message, &key, value);
        }
    }
    Ok(("", Value::Null))
}
