//! Checks that a rich body has its required fields: one table of fields, walked over the body's
//! JSON. Never changes the body, which is kept as it came.

use serde_json::{Value, value::RawValue};

use super::{
    error::{Error, malformed},
    message::{BODY_JSON_BYTES_MAX, TEXT_BYTES_MAX},
};
use crate::content::{BodyType, Content};

/// The expected type of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    /// A text; numbers and booleans pass as their spelling.
    Text,
    /// The address of a file, or a provider's id of it; never one of the sender's own machine.
    File,
    /// A number, or a text that spells one.
    Number,
    Object,
    Array,
    /// A list with at least one item.
    Items,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
}

impl Is {
    /// Returns the advice for a missing field.
    fn fix(self) -> &'static str {
        match self {
            Self::Text | Self::File => "give a text",
            Self::Number => "give a number",
            Self::Object => "give an object",
            Self::Array => "give an array",
            Self::Items => "give an array with at least one item",
            Self::Word(_) => "give one of the words of the CIM documentation",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::File => "a text",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Items => "an array with at least one item",
            Self::Word(_) => "one of the words of the CIM documentation",
        }
    }
}

/// A field of a body: its path and expected type. In a path `[]` stands for each item, and `a|b`
/// for two spellings.
struct Field(&'static str, Is, Need);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Need {
    Required,
    Optional,
}

use Need::{Optional, Required};

const MEDIA: &[Field] = &[
    Field("caption", Is::Text, Optional),
    Field("attachment", Is::Object, Required),
    Field("attachment.mediaUrl|mediaURL", Is::File, Required),
    Field("attachment.thumbnail", Is::Text, Optional),
    Field("attachment.mimeType", Is::Text, Optional),
    Field("attachment.size", Is::Number, Optional),
    Field("attachment.mediaLabel", Is::Text, Optional),
    Field("attachment.mediaName", Is::Text, Optional),
];
const LOCATION: &[Field] = &[
    Field("location", Is::Object, Required),
    Field("location.latitude", Is::Number, Required),
    Field("location.longitude", Is::Number, Required),
];
const CONTACT: &[Field] = &[
    Field("contacts", Is::Items, Required),
    Field("contacts[].name", Is::Object, Required),
    Field("contacts[].name.formattedName", Is::Text, Required),
    Field("contacts[].phones", Is::Array, Optional),
    Field("contacts[].phones[].phone", Is::Text, Optional),
];
const BUTTON: &[Field] = &[
    Field("buttonMessageType", Is::Text, Optional),
    Field("buttons", Is::Items, Required),
    Field("buttons[].type", Is::Text, Required),
    Field("buttons[].title", Is::Text, Required),
    Field("buttons[].payload", Is::Text, Required),
];
const CAROUSEL: &[Field] = &[
    Field("elements", Is::Items, Required),
    Field("elements[].text", Is::Text, Optional),
    Field("elements[].url", Is::Text, Optional),
    Field("elements[].buttons", Is::Array, Optional),
    Field("elements[].buttons[].title", Is::Text, Required),
];
const TEMPLATE: &[Field] = &[
    Field("namespace", Is::Text, Required),
    Field("name", Is::Text, Required),
    Field("language", Is::Object, Optional),
    Field("components", Is::Array, Optional),
    Field("components[].parameters", Is::Array, Optional),
];
const EMAIL: &[Field] = &[
    Field("from", Is::Text, Required),
    Field("replyTo", Is::Array, Required),
    Field("receivingDate", Is::Number, Required),
    Field("subject", Is::Text, Optional),
    Field("htmlBody", Is::Text, Optional),
    Field("recipientsTo", Is::Array, Optional),
    Field("recipientsCc", Is::Array, Optional),
    Field("recipientsBcc", Is::Array, Optional),
    Field("attachments", Is::Array, Optional),
    Field("attachments[].mediaUrl|mediaURL", Is::File, Required),
];
const COMMENT: &[Field] =
    &[Field("postId", Is::Text, Required), Field("itemType", Is::Word(ITEM_TYPES), Required)];
const ITEM_TYPES: &[&str] = &["VIDEO", "TEXT", "IMAGE", "LIKE", "UNLIKE", "DELETE", "HIDE", "PRIVATE_REPLY"];
const WRAPUP: &[Field] = &[
    Field("wrapups", Is::Array, Optional),
    Field("wrapups[].categoryName", Is::Text, Required),
    Field("wrapups[].value", Is::Text, Required),
];
const DELIVERY: &[Field] = &[
    Field("messageId", Is::Text, Required),
    Field("status", Is::Word(&["DELIVERED", "READ", "CONNECTED", "FAILED"]), Required),
    Field("reasonCode", Is::Text, Optional),
];

fn fields(body_type: BodyType) -> &'static [Field] {
    match body_type {
        BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File | BodyType::Multimedia => MEDIA,
        BodyType::Sticker => &[Field("mediaUrl|mediaURL", Is::File, Optional)],
        BodyType::Location => LOCATION,
        BodyType::Contact => CONTACT,
        BodyType::Url => &[Field("mediaUrl|mediaURL", Is::File, Required)],
        BodyType::Button => BUTTON,
        BodyType::Carousel => CAROUSEL,
        BodyType::Template => TEMPLATE,
        BodyType::Receipt => &[Field("elements", Is::Array, Optional)],
        BodyType::Email => EMAIL,
        BodyType::Comment => COMMENT,
        BodyType::WrapUp => WRAPUP,
        BodyType::DeliveryNotification => DELIVERY,
        BodyType::DeletedNotification => &[Field("messageId", Is::Text, Optional)],
        BodyType::Notification => &[Field("notificationType", Is::Text, Required)],
        BodyType::Plain
        | BodyType::Action
        | BodyType::Activity
        | BodyType::Custom
        | BodyType::Voice
        | BodyType::Unknown => &[],
    }
}

/// Checks a body that is an object, and returns it as content.
pub(super) fn rich(whole: &str, raw: &RawValue, body_type: BodyType) -> Result<Content, Error> {
    let json = raw.get();
    if json.len() > BODY_JSON_BYTES_MAX {
        return Err(Error::too_long("body", json.len(), BODY_JSON_BYTES_MAX));
    }
    let value: Value = serde_json::from_str(json).map_err(|error| malformed(whole, json, &error))?;
    if body_type != BodyType::Unknown {
        let text = value.get("markdownText").unwrap_or(&Value::Null);
        one("body.markdownText", text, Is::Text, Optional)?;
        if let Value::String(text) = text
            && text.len() > TEXT_BYTES_MAX
        {
            return Err(Error::too_long("body.markdownText", text.len(), TEXT_BYTES_MAX));
        }
    }
    for Field(path, is, need) in fields(body_type) {
        walk("body", &value, path, *is, *need)?;
    }
    Ok(Content::Rich { body_type, json: json.into() })
}

/// Follows the path `rest` from `at` and checks its end. An object or array on the way may be
/// missing: whether it is required is said by its own field.
fn walk(at: &str, value: &Value, rest: &str, is: Is, need: Need) -> Result<(), Error> {
    let (step, after) = match rest.split_once('.') {
        Some((step, after)) => (step, Some(after)),
        None => (rest, None),
    };
    if let Some(key) = step.strip_suffix("[]") {
        let Some(after) = after else { return Ok(()) };
        let Some(Value::Array(items)) = value.get(key) else { return Ok(()) };
        for (number, item) in items.iter().enumerate() {
            let place = || format!("{at}.{key}[{number}]");
            if !item.is_object() {
                return Err(Error::wrong_type(place(), kind(item), "an object"));
            }
            walk(&place(), item, after, is, need)?;
        }
        return Ok(());
    }
    let mut keys = step.split('|');
    let key = keys.next().unwrap_or_default();
    let found = value.get(key).or_else(|| keys.find_map(|other| value.get(other))).unwrap_or(&Value::Null);
    let place = format!("{at}.{key}");
    match after {
        Some(after) if found.is_object() => walk(&place, found, after, is, need),
        Some(_) => Ok(()),
        None => one(&place, found, is, need),
    }
}

fn one(place: &str, value: &Value, is: Is, need: Need) -> Result<(), Error> {
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty() && is == Is::Items,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    if empty {
        return match need {
            Required => Err(Error::missing(place, is.fix())),
            Optional => Ok(()),
        };
    }
    let fits = match (is, value) {
        (Is::Text, Value::String(_) | Value::Number(_) | Value::Bool(_))
        | (Is::Number, Value::Number(_))
        | (Is::Object, Value::Object(_))
        | (Is::Array | Is::Items, Value::Array(_)) => true,
        (Is::File, Value::String(text)) => {
            return match is_local(text) {
                true => Err(Error::invalid(place, "is an address that only its sender can reach", FILE_FIX)),
                false => Ok(()),
            };
        }
        (Is::Number, Value::String(text)) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
        (Is::Word(words), Value::String(text)) => {
            let known = words.iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
            return if known {
                Ok(())
            } else {
                let fix = "use one of the words of the CIM documentation";
                Err(Error::invalid(place, "is not a known word", fix))
            };
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(Error::wrong_type(place, kind(value), is.expected())) }
}

/// Returns whether an address means something on the sender's machine only, so that no provider and
/// no customer can ever fetch the file.
fn is_local(address: &str) -> bool {
    const SCHEMES: [&str; 7] = ["file:", "blob:", "data:", "cid:", "content:", "about:", "javascript:"];
    let address = address.trim();
    let starts =
        |scheme: &&str| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    address.starts_with(['/', '.', '#', '\\']) || SCHEMES.iter().any(starts)
}

const FILE_FIX: &str = "give an https:// address from which the provider can fetch the file";

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
