//! Telegram's rules for messages: methods, fields and limits, as the Bot API documents them.

use serde_json::{Map, Value};

use crate::{contract::Message, toolkit::media::Media};

/// The arguments of a call.
pub(crate) type Arguments = Map<String, Value>;

/// The description of a refusal, without `Bad Request: `.
pub(crate) type BadRequest = String;

pub(crate) fn word<'a>(arguments: &'a Arguments, key: &str) -> &'a str {
    arguments.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Returns an argument that is a number or a text of digits.
pub(crate) fn number(arguments: &Arguments, key: &str) -> Option<i64> {
    let value = arguments.get(key)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn degrees(arguments: &Arguments, key: &str) -> bool {
    let value = arguments.get(key);
    value.and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok())).is_some()
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Returns the field of a method's file.
fn file_field(method: &str) -> Option<&'static str> {
    Some(match method {
        "sendphoto" => "photo",
        "sendvideo" => "video",
        "senddocument" => "document",
        "sendaudio" => "audio",
        "sendvoice" => "voice",
        "sendanimation" => "animation",
        "sendsticker" => "sticker",
        _ => return None,
    })
}

fn is_file(value: &str, media: &Media) -> bool {
    value.starts_with("http://")
        || value.starts_with("https://")
        || value.starts_with("attach://")
        || media.get(value).is_some()
}

/// Checks the markup of a text, roughly as Telegram does.
fn entities(text: &str, mode: &str) -> Result<(), BadRequest> {
    match mode.to_ascii_lowercase().as_str() {
        "" => Ok(()),
        "html" => html(text),
        "markdownv2" => {
            let mut chars = text.chars();
            while let Some(char) = chars.next() {
                match char {
                    '\\' => _ = chars.next(),
                    '#' | '+' | '-' | '=' | '{' | '}' | '.' | '!' => {
                        return Err(format!(
                            "can't parse entities: Character '{char}' is reserved and must be escaped with the preceding '\\'"
                        ));
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        "markdown" => Ok(()),
        _ => Err("unsupported parse_mode".to_owned()),
    }
}

fn html(text: &str) -> Result<(), BadRequest> {
    const TAGS: [&str; 16] = [
        "b",
        "strong",
        "i",
        "em",
        "u",
        "ins",
        "s",
        "strike",
        "del",
        "code",
        "pre",
        "a",
        "span",
        "tg-spoiler",
        "tg-emoji",
        "blockquote",
    ];
    let mut open: Vec<String> = Vec::new();
    for piece in text.split('<').skip(1) {
        let Some((tag, _)) = piece.split_once('>') else {
            return Err("can't parse entities: Unclosed start tag".to_owned());
        };
        let name =
            tag.trim_start_matches('/').split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if !TAGS.contains(&name.as_str()) {
            return Err(format!("can't parse entities: Unsupported start tag \"{name}\""));
        }
        if !tag.starts_with('/') {
            open.push(name);
        } else if open.pop().as_deref() != Some(&name) {
            return Err("can't parse entities: Unmatched end tag".to_owned());
        }
    }
    if open.is_empty() { Ok(()) } else { Err("can't parse entities: Can't find end tag".to_owned()) }
}

fn markup(arguments: &Arguments, message: &mut Message) -> Result<(), BadRequest> {
    let Some(markup) = arguments.get("reply_markup") else { return Ok(()) };
    let known = ["inline_keyboard", "keyboard", "remove_keyboard", "force_reply"];
    let Some(kind) = known.iter().find(|key| markup.get(**key).is_some()) else {
        return Err("object expected as reply markup".to_owned());
    };
    let rows = markup.get(*kind).and_then(Value::as_array).cloned().unwrap_or_default();
    for button in rows.iter().flat_map(|row| row.as_array().map(Vec::as_slice).unwrap_or_default()) {
        let text = button.as_str().or_else(|| button.get("text")?.as_str()).unwrap_or_default();
        if text.is_empty() {
            return Err("can't parse keyboard button: Text buttons are expected to have text".to_owned());
        }
        if *kind == "inline_keyboard" {
            let own = |key: &str| button.get(key).and_then(Value::as_str);
            match (own("callback_data"), own("url")) {
                (Some(data), None) if !(1..=64).contains(&data.len()) => {
                    return Err("BUTTON_DATA_INVALID".to_owned());
                }
                (None, Some(url)) => {
                    let host = url
                        .split("://")
                        .nth(1)
                        .map(|rest| rest.split(['/', ':', '?']).next().unwrap_or_default());
                    let schemed =
                        ["http://", "https://", "tg://"].iter().any(|scheme| url.starts_with(scheme));
                    let real = url.starts_with("tg://") || host.is_some_and(|host| host.contains('.'));
                    if !schemed || !real {
                        return Err("BUTTON_URL_INVALID".to_owned());
                    }
                }
                (Some(_), None) => {}
                _ => {
                    return Err(
                        "can't parse inline keyboard button: exactly one action is expected".to_owned()
                    );
                }
            }
        }
        message.buttons.push(text.to_owned());
    }
    Ok(())
}

/// Returns the chat that a message is for.
fn chat(arguments: &Arguments) -> Result<String, BadRequest> {
    let named = word(arguments, "chat_id");
    match number(arguments, "chat_id") {
        Some(id) => Ok(id.to_string()),
        None if named.starts_with('@') && named.len() > 1 => Ok(named.to_owned()),
        None if arguments.get("chat_id").is_none() => Err("chat_id is empty".to_owned()),
        None => Err("chat not found".to_owned()),
    }
}

/// Checks the part of the chat that a message is for: one at most.
fn place(arguments: &Arguments) -> Result<(), BadRequest> {
    let keys = ["business_connection_id", "message_thread_id", "direct_messages_topic_id"];
    let given: Vec<&str> = keys.into_iter().filter(|key| arguments.contains_key(*key)).collect();
    match given.as_slice() {
        [] => Ok(()),
        ["business_connection_id"] if word(arguments, "business_connection_id").is_empty() => {
            Err("BUSINESS_CONNECTION_INVALID".to_owned())
        }
        ["business_connection_id"] => Ok(()),
        // General is reached without its number (tdlib/telegram-bot-api, issue 798).
        [key] if number(arguments, key).is_none_or(|topic| topic <= 1) => {
            Err("message thread not found".to_owned())
        }
        [_] => Ok(()),
        _ => Err("BUSINESS_PEER_INVALID".to_owned()),
    }
}

/// Returns the message of a send method (in lower case) without its id, or why it is refused.
pub(crate) fn check(method: &str, arguments: &Arguments, media: &Media) -> Result<Message, BadRequest> {
    let to = chat(arguments)?;
    let mut message = Message {
        to,
        kind: method.trim_start_matches("send").to_owned(),
        request: Value::Object(arguments.clone()),
        ..Message::default()
    };
    place(arguments)?;
    let mode = word(arguments, "parse_mode");
    let caption = word(arguments, "caption");
    match method {
        "sendmessage" => {
            let text = word(arguments, "text");
            if text.trim().is_empty() {
                return Err("message text is empty".to_owned());
            }
            if units(text) > 4_096 {
                return Err("message is too long".to_owned());
            }
            entities(text, mode)?;
            text.clone_into(&mut message.text);
        }
        "sendlocation" | "sendvenue" => {
            if !degrees(arguments, "latitude") || !degrees(arguments, "longitude") {
                return Err("wrong latitude or longitude specified".to_owned());
            }
            word(arguments, "title").clone_into(&mut message.text);
            if method == "sendvenue" && (message.text.is_empty() || word(arguments, "address").is_empty()) {
                return Err("VENUE_TITLE_EMPTY".to_owned());
            }
        }
        "sendcontact" => {
            word(arguments, "first_name").clone_into(&mut message.text);
            if word(arguments, "phone_number").is_empty() || message.text.is_empty() {
                return Err("phone number and first name must be specified".to_owned());
            }
        }
        "sendpoll" => {
            let options = arguments.get("options").and_then(Value::as_array).map_or(0, Vec::len);
            word(arguments, "question").clone_into(&mut message.text);
            if !(1..=300).contains(&units(&message.text)) || !(1..=12).contains(&options) {
                return Err("wrong poll question or options".to_owned());
            }
        }
        _ => {
            let Some(field) = file_field(method) else { return Err("method not found".to_owned()) };
            let file = word(arguments, field);
            if file.is_empty() {
                return Err(format!("there is no {field} in the request"));
            }
            if !is_file(file, media) {
                return Err("wrong file identifier/HTTP URL specified".to_owned());
            }
            if units(caption) > 1_024 {
                return Err("message caption is too long".to_owned());
            }
            entities(caption, mode)?;
            caption.clone_into(&mut message.text);
            message.media.push(file.to_owned());
        }
    }
    markup(arguments, &mut message)?;
    Ok(message)
}

/// Returns the messages of an album.
pub(crate) fn album(arguments: &Arguments, media: &Media) -> Result<Vec<Message>, BadRequest> {
    let items = arguments.get("media").and_then(Value::as_array).cloned().unwrap_or_default();
    if !(2..=10).contains(&items.len()) {
        return Err("wrong number of messages in the album".to_owned());
    }
    let kinds: Vec<&str> =
        items.iter().map(|item| item.get("type").and_then(Value::as_str).unwrap_or_default()).collect();
    let own = |kind: &str| kinds.contains(&kind) && kinds.iter().any(|other| *other != kind);
    if own("document") || own("audio") {
        return Err("documents and audio must not be mixed with other types".to_owned());
    }
    let mut all = Vec::new();
    for (item, kind) in items.iter().zip(&kinds) {
        let mut one = Arguments::new();
        for key in ["chat_id", "business_connection_id", "message_thread_id"] {
            one.extend(arguments.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        one.insert((*kind).to_owned(), item.get("media").cloned().unwrap_or_default());
        for key in ["caption", "parse_mode"] {
            one.insert(key.to_owned(), item.get(key).cloned().unwrap_or_default());
        }
        if !["photo", "video", "document", "audio"].contains(kind) {
            return Err("wrong type of an album's media".to_owned());
        }
        all.push(check(&format!("send{kind}"), &one, media)?);
    }
    Ok(all)
}
