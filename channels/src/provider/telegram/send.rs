//! Messages to Telegram: the method and fields of each native body, and the retries that Telegram
//! suggests: a group that moved, marks that it cannot parse, a file that it cannot fetch. Each is
//! tried once.

use bytes::Bytes;
use message::{
    BodyType, Content,
    cim::{
        self, Marks,
        body::{self, Button, Buttons, Contacts, Link, Location, Press},
        markdown,
    },
    event::Cause,
};
use serde_json::{Map, Value, json};

use super::place::{self, ChatPlace};
use crate::{
    contract::{
        OutPart, SendError, Sent,
        http::{Body, Field, Response},
    },
    text::markup,
    toolkit::{
        classify, json,
        upload::{self, File},
    },
};

/// The state of the conversation about one part.
#[derive(Clone, Debug)]
pub(super) struct State {
    place: ChatPlace,
    moved: bool,
    marks: bool,
    file: FileBy,
}

#[derive(Clone, Debug)]
enum FileBy {
    /// Telegram fetches the file.
    Link,
    /// The file is being downloaded.
    Fetching,
    /// The file is in memory.
    Here(Bytes),
}

impl State {
    /// # Errors
    /// The customer is not a place.
    pub(super) fn first(part: &OutPart<'_>) -> Result<Self, SendError> {
        let place = ChatPlace::parse(part.customer).ok_or_else(|| rejected("the customer is not a chat"))?;
        Ok(Self { place, moved: false, marks: true, file: FileBy::Link })
    }

    /// Returns the file that must be downloaded before the next call.
    pub(super) fn file_to_fetch(&self, part: &OutPart<'_>) -> Option<File> {
        if matches!(self.file, FileBy::Fetching) { file(part.content) } else { None }
    }

    /// Handles an answer: returns the sent part, an error, or `None` for another try.
    pub(super) fn hear(&mut self, part: &OutPart<'_>, answer: &Response) -> Result<Option<Sent>, SendError> {
        if matches!(self.file, FileBy::Fetching) {
            if !answer.is_success() {
                return Err(upload::not_fetched(answer));
            }
            self.file = FileBy::Here(answer.body.clone());
            return Ok(None);
        }
        let said = match result(answer) {
            Ok(said) => said,
            Err(error) if self.learns(part, answer) => {
                drop(error);
                return Ok(None);
            }
            Err(error) => return Err(self.limit_of(error)),
        };
        // The answer to an album holds several messages.
        let message = json::at(&said, "/0").unwrap_or(&said);
        let chat = json::some_text(message, "/chat/id");
        match (json::some_text(message, "/message_id"), chat) {
            (Some(id), Some(chat)) => {
                let place = ChatPlace { chat: chat.into_owned(), ..self.place.clone() };
                let spelled = place.to_string();
                let customer = (spelled != part.customer).then(|| spelled.into());
                Ok(Some(Sent { id: place.message(&id).into(), customer }))
            }
            _ => Err(classify::unreadable(answer, "result.message_id and result.chat.id")),
        }
    }

    /// Tells whose limit a 429 is: 20 messages a minute to a group, or one a second to a chat and
    /// 30 over all chats, which the answer does not tell apart.
    fn limit_of(&self, error: SendError) -> SendError {
        match error {
            SendError::Throttled { after_ms, cause } if self.place.chat.starts_with('-') => {
                SendError::CustomerThrottled { after_ms, cause }
            }
            SendError::Throttled { after_ms, cause } => SendError::Busy { after_ms, cause },
            other => other,
        }
    }

    /// Updates the state if a refusal suggests another try; returns whether it does.
    fn learns(&mut self, part: &OutPart<'_>, answer: &Response) -> bool {
        let said = json::parse(&answer.body).unwrap_or_default();
        let words = json::text(&said, "/description").unwrap_or_default().to_lowercase();
        if let Some(chat) = json::some_text(&said, "/parameters/migrate_to_chat_id").filter(|_| !self.moved) {
            self.place.chat = chat.into_owned();
            self.moved = true;
            return true;
        }
        if self.marks && words.contains("can't parse entities") {
            self.marks = false;
            return true;
        }
        let unfetched = [
            "wrong file identifier/http url specified",
            "failed to get http url content",
            "wrong type of the web page content",
        ];
        let unfetched = unfetched.iter().any(|phrase| words.contains(phrase));
        if matches!(self.file, FileBy::Link) && unfetched && file(part.content).is_some() {
            self.file = FileBy::Fetching;
            return true;
        }
        false
    }

    /// Returns the method and its body.
    pub(super) fn call(&self, part: &OutPart<'_>) -> Result<(String, Body), SendError> {
        let (method, mut fields) = self.method(part)?;
        self.place.direct(&mut fields);
        if let Some(message_id) = part.reply_to.and_then(place::number_of).filter(|number| *number > 0) {
            let reply = json!({"message_id": message_id, "allow_sending_without_reply": true});
            fields.insert("reply_parameters".into(), reply);
        }
        match (&self.file, upload_field(&method), file(part.content)) {
            (FileBy::Here(octets), Some(name), Some(file)) => {
                Ok((method, multipart(fields, name, file, octets.clone())))
            }
            _ => Ok((method, Body::Json(Value::Object(fields).to_string()))),
        }
    }

    fn method(&self, part: &OutPart<'_>) -> Result<(String, Map<String, Value>), SendError> {
        let mut fields = Map::new();
        let method = match part.content {
            Content::Text(text) => {
                self.words(&mut fields, "text", text);
                "sendMessage"
            }
            Content::Rich { body_type: BodyType::Custom, json } => return self.custom(json),
            Content::Rich { body_type, json } => self.rich(*body_type, json, part.content, &mut fields)?,
            _ => return Err(rejected("octets cannot be sent here")),
        };
        Ok((method.to_owned(), fields))
    }

    /// Adds a text with its marks, or without them where Telegram could not parse them.
    fn words(&self, fields: &mut Map<String, Value>, key: &str, words: &str) {
        if self.marks {
            fields.insert(key.into(), markup::telegram_html(words).into());
            fields.insert("parse_mode".into(), "HTML".into());
        } else {
            fields.insert(key.into(), markdown::plain(words).into());
        }
    }

    fn rich(
        &self,
        body_type: BodyType,
        json: &str,
        content: &Content,
        fields: &mut Map<String, Value>,
    ) -> Result<&'static str, SendError> {
        match body_type {
            BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File => {
                let media: body::Media<'_> = body::read(json).unwrap_or_default();
                let (method, key) = file_method(body_type, &media.attachment.mime_type);
                fields.insert(key.into(), (&*media.attachment.media_url).into());
                if !media.words().is_empty() {
                    self.words(fields, "caption", media.words());
                }
                Ok(method)
            }
            BodyType::Sticker => {
                let body: Link<'_> = body::read(json).unwrap_or_default();
                let sticker = if body.media_url.is_empty() { &body.sticker_id } else { &body.media_url };
                fields.insert("sticker".into(), (&**sticker).into());
                Ok("sendSticker")
            }
            BodyType::Location => Ok(location(&body::read(json).unwrap_or_default(), fields)),
            BodyType::Contact => {
                if let Some(contact) = contact(json) {
                    fields.extend(contact);
                    return Ok("sendContact");
                }
                // Several contacts, or one without a number, have no method.
                let words = cim::words_of(content, Marks::Kept).map_err(|e| rejected(&e.to_string()))?;
                self.words(fields, "text", &words.text);
                Ok("sendMessage")
            }
            BodyType::Button => {
                let body: Buttons<'_> = body::read(json).unwrap_or_default();
                self.words(fields, "text", &body.markdown_text);
                let rows: Vec<Value> = body.buttons.iter().map(|b| json!([button(b)])).collect();
                fields.insert("reply_markup".into(), json!({"inline_keyboard": rows}));
                Ok("sendMessage")
            }
            _ => Err(rejected("this body type cannot be sent here")),
        }
    }

    /// CUSTOM: `jsonNode` is a method that sends, with its fields (`{"method":"sendPoll",...}`);
    /// the recipient and the place stay ours. Without it the words are sent.
    fn custom(&self, json: &str) -> Result<(String, Map<String, Value>), SendError> {
        let body: Value = serde_json::from_str(json).unwrap_or_default();
        let mut node = json::at(&body, "/jsonNode").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(Value::String(method)) = node.remove("method") {
            let sends = method
                .strip_prefix("send")
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()));
            if sends {
                for place in ["message_thread_id", "direct_messages_topic_id", "business_connection_id"] {
                    node.remove(place);
                }
                return Ok((method, node));
            }
            return Err(rejected("jsonNode.method of the CUSTOM body must be one that sends, as sendPoll"));
        }
        let words = json::some_text(&body, "/markdownText");
        let words =
            words.ok_or_else(|| rejected("the CUSTOM body has no jsonNode with a method, and no words"))?;
        let mut fields = Map::new();
        self.words(&mut fields, "text", &words);
        Ok(("sendMessage".into(), fields))
    }
}

fn rejected(reason: &str) -> SendError {
    SendError::Rejected(Cause::new("400", reason))
}

fn file(content: &Content) -> Option<File> {
    let Content::Rich { body_type, json } = content else { return None };
    let is_file = matches!(body_type, BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File);
    is_file.then(|| File::of(&body::read(json).unwrap_or_default()))
}

fn file_method(body_type: BodyType, mime_type: &str) -> (&'static str, &'static str) {
    let mime_type = mime_type.to_ascii_lowercase();
    match body_type {
        BodyType::Image if mime_type == "image/gif" => ("sendAnimation", "animation"),
        BodyType::Image => ("sendPhoto", "photo"),
        BodyType::Video => ("sendVideo", "video"),
        BodyType::Audio if mime_type.starts_with("audio/ogg") => ("sendVoice", "voice"),
        BodyType::Audio => ("sendAudio", "audio"),
        _ => ("sendDocument", "document"),
    }
}

/// Returns the field in which a file is uploaded.
fn upload_field(method: &str) -> Option<&'static str> {
    let fields = [
        ("sendAnimation", "animation"),
        ("sendPhoto", "photo"),
        ("sendVideo", "video"),
        ("sendVoice", "voice"),
        ("sendAudio", "audio"),
        ("sendDocument", "document"),
    ];
    fields.iter().find(|(known, _)| *known == method).map(|(_, field)| *field)
}

/// Fields of a file, and those beside them.
const MULTIPART_FIELDS: [&str; 7] = [
    "business_connection_id",
    "chat_id",
    "message_thread_id",
    "direct_messages_topic_id",
    "caption",
    "parse_mode",
    "reply_parameters",
];

fn multipart(fields: Map<String, Value>, name: &'static str, file: File, octets: Bytes) -> Body {
    let text = |name: &'static str| {
        let value = fields.get(name)?;
        Some(Field::text(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    let mut all: Vec<Field> = MULTIPART_FIELDS.into_iter().filter_map(text).collect();
    all.push(Field {
        name,
        file_name: Some(file.name),
        content_type: Some(file.content_type),
        value: octets,
    });
    Body::Multipart(all)
}

/// A location with a name or address is a venue, which needs both.
fn location(body: &Location<'_>, fields: &mut Map<String, Value>) -> &'static str {
    for (key, degrees) in [("latitude", body.location.latitude), ("longitude", body.location.longitude)] {
        fields.insert(key.into(), degrees.0.unwrap_or_default().into());
    }
    let place = &body.additional_details;
    let title = [&*place.name, &*place.address, &*place.url].into_iter().find(|words| !words.is_empty());
    let Some(title) = title else { return "sendLocation" };
    let address = [&*place.address, &*place.url].into_iter().filter(|words| !words.is_empty());
    let address = address.collect::<Vec<_>>().join(", ");
    fields.insert("title".into(), title.into());
    fields.insert("address".into(), if address.is_empty() { title.into() } else { address.into() });
    "sendVenue"
}

fn contact(json: &str) -> Option<Map<String, Value>> {
    let body: Contacts<'_> = body::read(json).unwrap_or_default();
    let [contact] = &*body.contacts else { return None };
    let [phone] = &*contact.phones else { return None };
    let details = &contact.additional_contact_details;
    if phone.phone.is_empty() || !details.emails.is_empty() || !details.urls.is_empty() {
        return None;
    }
    let mut fields = Map::new();
    fields.insert("phone_number".into(), (&*phone.phone).into());
    fields.insert("first_name".into(), (&*contact.name.formatted_name).into());
    Some(fields)
}

fn button(button: &Button<'_>) -> Value {
    match button.press() {
        Press::Open => json!({"text": &*button.title, "url": &*button.payload}),
        Press::Reply | Press::Call => json!({"text": &*button.title, "callback_data": &*button.payload}),
    }
}

/// Parses the `result` of an answer.
///
/// # Errors
/// Telegram's refusal.
pub(super) fn result(response: &Response) -> Result<Value, SendError> {
    let said = json::parse(&response.body).unwrap_or_default();
    if json::at(&said, "/ok").and_then(Value::as_bool) == Some(true) && response.is_success() {
        return Ok(json::at(&said, "/result").cloned().unwrap_or_default());
    }
    let Some(code) = json::number(&said, "/error_code") else { return Err(SendError::by_status(response)) };
    let words = json::text(&said, "/description").unwrap_or_default();
    let cause = Cause::new(code.to_string(), &*words);
    Err(match code {
        429 => {
            let seconds = json::number(&said, "/parameters/retry_after").unwrap_or(0).clamp(0, 86_400);
            let after_ms = seconds.unsigned_abs().saturating_mul(1_000).max(response.retry_after_ms());
            SendError::Throttled { after_ms, cause }
        }
        401 => SendError::Forbidden(cause),
        // A malformed token is answered with the bare words, an unknown method with its own.
        404 if matches!(words.trim().to_lowercase().as_str(), "" | "not found") => {
            SendError::Forbidden(cause)
        }
        403 => gone(&words, cause),
        409 | 500..=599 => SendError::Unavailable(cause),
        400..=499 => SendError::Rejected(cause),
        _ => SendError::of_status(response, cause),
    })
}

/// The customer is gone, or removed the bot; every other 403 concerns one chat as well.
fn gone(words: &str, cause: Cause) -> SendError {
    let words = words.to_lowercase();
    let phrases = [
        "was blocked",
        "is deactivated",
        "was kicked",
        "is not a member",
        "can't initiate",
        "can't send messages to bots",
        "was deleted",
    ];
    if phrases.iter().any(|phrase| words.contains(phrase)) {
        SendError::Unsubscribed(cause)
    } else {
        SendError::Rejected(cause)
    }
}
