//! Notices of the Messenger Platform beside customers' words. Each is told in the conversation.

use serde_json::{Value, json};

use super::envelope::{Envelope, event, referral, with};
use crate::{
    contract::{InEvent, InMessage},
    toolkit::json,
};

/// Returns a notice about the page or account itself.
pub(super) fn account(kind: &str, item: &Value) -> InEvent {
    let value = item.get(kind).unwrap_or(&Value::Null);
    let at = |key: &str| json::some_text(value, &format!("/{key}"));
    let says = match (at("action"), at("reason")) {
        (Some(action), reason) => format!("{action}: {}", reason.unwrap_or_default()),
        _ => value.to_string(),
    };
    let says = says.chars().take(SAYS_CHARACTERS_MAX).collect::<String>();
    InEvent::Account { about: kind.replace('-', "_").into(), says: says.into() }
}

/// Maximum number of characters of a notice about the account; the rest is cut off.
const SAYS_CHARACTERS_MAX: usize = 500;

/// Returns the notice of an event in a conversation.
pub(super) fn notice(frame: &Envelope<'_>, kind: &str) -> Vec<InEvent> {
    let value = frame.item.get(kind).unwrap_or(&Value::Null);
    let at = |key: &str| frame.text(&format!("/{kind}/{key}"));
    let (words, data) = match kind {
        "referral" => (format!("[came by {}]", or(at("source"), "a link")), json!({"referral": value})),
        "optin" => opted(&at, value),
        "account_linking" => {
            let status = at("status");
            let data = json!({"accountLinking": status, "authorizationCode": at("authorization_code")});
            (format!("[account {status}]"), data)
        }
        "pass_thread_control" | "take_thread_control" | "request_thread_control" => {
            let act = kind.trim_end_matches("_thread_control");
            let data = json!({"threadControl": act, "details": value});
            (format!("[{act} of the conversation between apps]"), data)
        }
        "response_feedback" => (format!("[{}]", or(at("feedback"), kind)), json!({"feedback": value})),
        _ => (format!("[{}]", kind.replace('_', " ")), json!({kind: value})),
    };
    let mut message = described(frame, &frame.id(&at("mid"), kind), &words, data);
    message.reply_to = Some(at("mid")).filter(|mid| !mid.is_empty()).map(|mid| mid.as_str().into());
    if kind == "referral" {
        referral(&mut message, Some(value));
        with(&mut message, "ref", &at("ref"));
    }
    if let Some(out) = opts_out(kind, &at) {
        with(&mut message, "optOut", if out { "true" } else { "false" });
        with(&mut message, "category", "notification_messages");
    }
    // Meta opens the window for a link to the conversation, and for the plugins that begin one.
    message.is_written = kind == "referral" || (kind == "optin" && at("type").is_empty()) || kind == "order";
    vec![event(message)]
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

/// Returns whether the customer stopped messages that need consent, or resumed them.
fn opts_out(kind: &str, at: &impl Fn(&str) -> String) -> Option<bool> {
    if kind != "optin" {
        return None;
    }
    let status = at("notification_messages_status").replace(' ', "_").to_ascii_uppercase();
    match &*status {
        "STOP_NOTIFICATIONS" => Some(true),
        "RESUME_NOTIFICATIONS" => Some(false),
        _ if at("type") == "notification_messages" => Some(false),
        _ => None,
    }
}

fn opted(at: &impl Fn(&str) -> String, value: &Value) -> (String, Value) {
    let about = [at("title"), at("ref"), at("payload")].into_iter().find(|text| !text.is_empty());
    let about = about.map(|about| format!(": {about}")).unwrap_or_default();
    match opts_out("optin", at) {
        Some(true) => {
            let data = json!({"optOut": true, "category": "notification_messages", "optin": value});
            (format!("[opted out{about}]"), data)
        }
        _ => {
            let data = json!({"optOut": false, "category": "notification_messages", "optin": value});
            (format!("[opted in{about}]"), data)
        }
    }
}

/// Returns the notice that a reaction was taken back.
pub(super) fn reaction_removed(frame: &Envelope<'_>, mid: &str) -> InMessage {
    let data = json!({ "reactionRemoved": mid });
    let mut message = described(frame, &frame.id(mid, "unreact"), "[reaction removed]", data);
    message.reply_to = Some(mid).filter(|mid| !mid.is_empty()).map(Into::into);
    message
}

fn described(frame: &Envelope<'_>, id: &str, words: &str, data: Value) -> InMessage {
    let mut message = InMessage::notice(&frame.did, &frame.customer, id, words, data);
    message.time = frame.time;
    message
}
