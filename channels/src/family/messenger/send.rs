//! Messages to Messenger and Instagram: each native body as JSON. Nothing is cut or adapted here:
//! the content already fits.

use message::{
    BodyType, Content,
    cim::body::{self, Button, Buttons, Card, Carousel, Comment, Press},
    event::Cause,
};
use serde_json::{Value, json};

use crate::{
    contract::{
        OutPart, SendError,
        http::{Body, Request},
    },
    family::messenger::product::Product,
    toolkit::json,
};

/// The permission under which a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyWindow {
    /// A reply within the window.
    Open,
    /// A person's reply after the window (tag `HUMAN_AGENT`).
    HumanAgent,
}

/// Maximum number of buttons in a template; more replies become quick replies.
const TEMPLATE_BUTTONS_MAX: usize = 3;

/// Returns the call for a part, without authorisation.
///
/// # Errors
/// The part cannot be expressed as a call.
pub(super) fn message(
    product: Product,
    url: &str,
    part: &OutPart<'_>,
    window: ReplyWindow,
) -> Result<Request, SendError> {
    let mut recipient = json!({"id": part.customer});
    let mut said = match part.content {
        Content::Text(text) => json!({"text": &**text}),
        Content::Rich { body_type: BodyType::Comment, json } => {
            let body: Comment<'_> = body::read(json).unwrap_or_default();
            if body.item_type.eq_ignore_ascii_case("PRIVATE_REPLY") && !body.post_id.is_empty() {
                recipient = json!({"comment_id": &*body.post_id});
            }
            comment(&body)?
        }
        Content::Rich { body_type, json } => rich(product, *body_type, json)?,
        _ => return Err(rejected("octets cannot be sent here")),
    };
    // Our ids have a suffix behind Meta's own; a comment is answered by its own id alone.
    let answered = part.reply_to.and_then(|id| id.split('#').next()).filter(|mid| !mid.is_empty());
    if let Some(mid) = answered.filter(|_| recipient.get("id").is_some()) {
        json::set(&mut said, "reply_to", json!({"mid": mid}));
    }
    let mut call = json!({"recipient": recipient, "message": said});
    if product == Product::Page {
        json::set(&mut call, "messaging_type", "RESPONSE");
        if let Some(said) = call.pointer_mut("/message") {
            // Meta repeats it in the echo.
            json::set(said, "metadata", part.reference);
        }
    }
    if window == ReplyWindow::HumanAgent {
        json::set(&mut call, "messaging_type", "MESSAGE_TAG");
        json::set(&mut call, "tag", "HUMAN_AGENT");
    }
    Ok(Request::post(url, Body::Json(call.to_string())))
}

fn rejected(reason: &str) -> SendError {
    SendError::Rejected(Cause::new("400", reason))
}

fn rich(product: Product, body_type: BodyType, json: &str) -> Result<Value, SendError> {
    Ok(match body_type {
        BodyType::Image => media(json, "image"),
        BodyType::Video => media(json, "video"),
        BodyType::Audio => media(json, "audio"),
        BodyType::File => media(json, "file"),
        BodyType::Button => buttons(product, &body::read(json).unwrap_or_default()),
        BodyType::Carousel => {
            let body: Carousel<'_> = body::read(json).unwrap_or_default();
            let elements: Vec<Value> = body.elements.iter().map(|card| element(card)).collect();
            template(json!({"template_type": "generic", "elements": elements}))
        }
        BodyType::Custom => return custom(json),
        _ => return Err(rejected("this body type cannot be sent here")),
    })
}

fn media(json: &str, kind: &str) -> Value {
    let body: body::Media<'_> = body::read(json).unwrap_or_default();
    json!({"attachment": {"type": kind, "payload": {"url": &*body.attachment.media_url}}})
}

fn template(payload: Value) -> Value {
    json!({"attachment": {"type": "template", "payload": payload}})
}

/// Buttons that only reply may be quick replies, which disappear once one is pressed; all others
/// need a template.
fn buttons(product: Product, body: &Buttons<'_>) -> Value {
    let only_replies = body.buttons.iter().all(|button| button.press() == Press::Reply);
    let wanted = body.button_message_type.eq_ignore_ascii_case("QUICK_REPLIES");
    let listed = body.additional_details.interactive.kind.eq_ignore_ascii_case("list");
    let quick =
        wanted || listed || body.buttons.len() > TEMPLATE_BUTTONS_MAX || product == Product::Instagram;
    if only_replies && quick {
        let replies: Vec<Value> = body.buttons.iter().map(|button| quick_reply(button)).collect();
        return json!({"text": words(body), "quick_replies": replies});
    }
    let buttons: Vec<Value> = body.buttons.iter().map(|b| button(b)).collect();
    template(json!({"template_type": "button", "text": &*body.markdown_text, "buttons": buttons}))
}

/// Text that a list would show below its rows stands above quick replies.
fn words(body: &Buttons<'_>) -> String {
    let mut words = body.markdown_text.to_string();
    let mut section = "";
    for button in body.buttons.iter() {
        let details = &button.additional_button_details;
        if *details.section_title != *section {
            section = &details.section_title;
            words.push('\n');
            words.push_str(section);
        }
        if !details.description.is_empty() {
            words.push_str(&format!("\n{} - {}", &*button.title, &*details.description));
        }
    }
    words
}

fn quick_reply(button: &Button<'_>) -> Value {
    json!({"content_type": "text", "title": &*button.title, "payload": &*button.payload})
}

fn button(button: &Button<'_>) -> Value {
    let (title, payload) = (&*button.title, &*button.payload);
    match button.press() {
        Press::Reply => json!({"type": "postback", "title": title, "payload": payload}),
        Press::Open => json!({"type": "web_url", "title": title, "url": payload}),
        Press::Call => json!({"type": "phone_number", "title": title, "payload": payload}),
    }
}

fn element(card: &Card<'_>) -> Value {
    let mut out = json!({"title": &*card.text});
    let subtitle = &*card.additional_carousel_element_details.subtitle;
    for (key, value) in [("subtitle", subtitle), ("image_url", &card.url)] {
        if !value.is_empty() {
            json::set(&mut out, key, value);
        }
    }
    if !card.default_action.url.is_empty() {
        json::set(&mut out, "default_action", json!({"type": "web_url", "url": &*card.default_action.url}));
    }
    if !card.buttons.is_empty() {
        let buttons: Vec<Value> = card.buttons.iter().map(|b| button(b)).collect();
        json::set(&mut out, "buttons", buttons);
    }
    out
}

/// A COMMENT is sent as a message: a private reply to the comment that `postId` names, or to the
/// customer.
fn comment(body: &Comment<'_>) -> Result<Value, SendError> {
    let says = ["TEXT", "PRIVATE_REPLY", "IMAGE", "VIDEO"];
    let kind = says.iter().find(|kind| kind.eq_ignore_ascii_case(&body.item_type));
    let file = &*body.attachment.media_url;
    match kind {
        Some(&"IMAGE") if !file.is_empty() => {
            Ok(json!({"attachment": {"type": "image", "payload": {"url": file}}}))
        }
        Some(&"VIDEO") if !file.is_empty() => {
            Ok(json!({"attachment": {"type": "video", "payload": {"url": file}}}))
        }
        Some(_) if !body.markdown_text.is_empty() => Ok(json!({"text": &*body.markdown_text})),
        Some(_) => Err(rejected("the COMMENT has neither words nor a file")),
        None => {
            Err(rejected("only the itemTypes TEXT, IMAGE, VIDEO and PRIVATE_REPLY of a COMMENT are sent"))
        }
    }
}

/// CUSTOM: `jsonNode` is the `message` of the call; the recipient stays ours. Without it the words
/// are sent.
fn custom(json: &str) -> Result<Value, SendError> {
    let body: Value = serde_json::from_str(json).unwrap_or_default();
    if let Some(node) =
        json::at(&body, "/jsonNode").filter(|node| node.as_object().is_some_and(|o| !o.is_empty()))
    {
        return Ok(node.clone());
    }
    let words = json::some_text(&body, "/markdownText");
    words
        .map(|words| json!({"text": words}))
        .ok_or_else(|| rejected("the CUSTOM body has no jsonNode and no words"))
}

/// Returns a call that shows `typing_on`, `typing_off` or `mark_seen` to the customer.
pub(super) fn sender_action(url: &str, customer: &str, action: &str) -> Request {
    let body: Value = json!({"recipient": {"id": customer}, "sender_action": action});
    Request::post(url, Body::Json(body.to_string())).harmless()
}
