//! Reads notices of WhatsApp beside customers' words: changes of their addresses, their
//! preferences, their calls. Each is told in the conversation and opens no window.

use std::sync::Arc;

use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{
    events::{CALL, EVENTS, PREFERENCE, SYSTEM, VALUE},
    is_user_id,
};
use crate::{
    address::number,
    contract::{
        InEvent, InMessage, InMove, Received,
        events::{Fate, fate, note_unknown},
    },
    toolkit::json,
};

type ReadEvent = Result<Option<InEvent>, Box<str>>;

/// An item with the customer and the business's number that it concerns.
pub(super) struct Numbered<'a> {
    pub(super) id: Box<str>,
    /// The business's number.
    pub(super) did: Box<str>,
    pub(super) contact: &'a Value,
    /// The customer's names, each once; at least one.
    pub(super) names: Vec<Arc<str>>,
}

/// Reads every item of a list.
pub(super) fn all(
    value: &Value,
    place: &str,
    received: &mut Received,
    read: impl Fn(&Value, &Value, &mut Vec<Box<str>>) -> ReadEvent,
) {
    let items = json::items(value, place);
    if items.is_empty() {
        note_unknown(&mut received.unknown, VALUE, &format!("without {}", place.trim_start_matches('/')));
    }
    for item in items {
        match read(value, item, &mut received.unknown) {
            Ok(Some(event)) => received.events.push(event),
            Ok(None) => received.ignored += 1,
            Err(problem) => received.events.push(InEvent::Broken(problem)),
        }
    }
}

/// Returns the names and the id of a message.
///
/// # Errors
/// It has no id, or names nobody.
pub(super) fn numbered<'a>(value: &'a Value, item: &Value) -> Result<Numbered<'a>, Box<str>> {
    let id = json::some_text(item, "/id").ok_or("messages[].id is missing")?;
    let contact = contact_of(value, item);
    // A customer who hides the number has a business-scoped id, here or in `from` itself.
    let all = [
        json::some_text(item, "/from"),
        json::some_text(contact, "/wa_id"),
        json::some_text(item, "/from_user_id"),
        json::some_text(contact, "/user_id"),
        json::some_text(item, "/parent_user_id"),
        json::some_text(item, "/from_parent_user_id"),
        json::some_text(contact, "/parent_user_id"),
    ];
    let names = distinct(all.into_iter().flatten());
    if names.is_empty() {
        return Err(format!("message {id} has neither from nor a user_id").into());
    }
    let did = json::text(value, "/metadata/display_phone_number").unwrap_or_default();
    Ok(Numbered { id: (&*id).into(), did: (&*did).into(), contact, names })
}

fn distinct<T: AsRef<str>>(all: impl IntoIterator<Item = T>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for name in all {
        if !names.iter().any(|known| **known == *name.as_ref()) {
            names.push(name.as_ref().into());
        }
    }
    names
}

/// Returns whether two spellings are one number.
pub(super) fn is_same_number(one: &str, other: &str) -> bool {
    !other.is_empty() && number::canonical(one) == number::canonical(other)
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

/// Reads a system message: a customer changed an address, or their keys.
pub(super) fn system(value: &Value, item: &Value, unknown: &mut Vec<Box<str>>) -> ReadEvent {
    let kind = json::text(item, "/system/type").unwrap_or_default();
    let change = match fate(EVENTS, SYSTEM, &kind) {
        Some(Fate::Move) => change_of(item, &kind),
        Some(_) => None,
        None => {
            note_unknown(unknown, SYSTEM, &kind);
            None
        }
    };
    let at = |key: &str| json::some_text(item, &format!("/system/{key}"));
    let did = json::text(value, "/metadata/display_phone_number").unwrap_or_default();
    let id = json::some_text(item, "/id").ok_or("messages[].id is missing")?;
    let words = at("body").unwrap_or_default();
    let notice = |customer: &str, data: Value| {
        let mut notice = InMessage::notice(&did, customer, &id, &words, data);
        notice.time = json::time(item, "/timestamp");
        notice.attributes.push(("system".into(), (&*kind).into()));
        notice
    };
    if let Some(Change { previous, names, released }) = change
        && let (Some(from), Some(to)) = (previous.first(), names.first())
    {
        let data = json!({"customerMoved": {"from": &**from, "to": &**to}});
        let mut notice = notice(to, data);
        notice.attributes.push(("previousCustomerIdentifier".into(), (&**from).into()));
        return Ok(Some(InEvent::Moved(Box::new(InMove { previous, names, released, notice }))));
    }
    let all = [json::some_text(item, "/from"), at("customer"), at("user_id"), at("wa_id")];
    let mut names = distinct(all.into_iter().flatten());
    if names.is_empty() {
        return Err(format!("system message {id} names no customer").into());
    }
    let customer = names.remove(0);
    let notice = notice(&customer, json!({ "system": &*kind }));
    Ok(Some(InEvent::Message(Box::new(notice))))
}

struct Change {
    previous: SmallVec<[Arc<str>; 2]>,
    names: SmallVec<[Arc<str>; 2]>,
    released: SmallVec<[Arc<str>; 1]>,
}

/// Returns the change of which a system message tells, if it says enough. With the number, the
/// business-scoped id changes; without a new number, the old one may be gone.
fn change_of(item: &Value, kind: &str) -> Option<Change> {
    let at = |key: &str| json::some_text(item, &format!("/system/{key}"));
    let from = json::some_text(item, "/from").or_else(|| at("customer"));
    let from_number = from.clone().filter(|from| !is_user_id(from));
    // `new_wa_id` is the name of versions before 12.
    let to = at("wa_id").or_else(|| at("new_wa_id")).filter(|_| kind != USER_ID);
    let is_changed = to.as_ref().zip(from_number.as_ref()).is_none_or(|(to, from)| !is_same_number(to, from));
    let number = to.or_else(|| from_number.clone().filter(|_| kind == USER_ID));
    let ids = [at("user_id"), json::some_text(item, "/from_user_id"), at("parent_user_id")];
    let is_previous = |name: &str| at("previous_user_id").is_some_and(|previous| previous == name);
    let ids = ids.into_iter().flatten().filter(|id| !is_previous(id));
    let names = distinct(number.into_iter().chain(ids));
    let previous = [at("previous_user_id"), from, at("previous_parent_user_id")];
    let previous = distinct(previous.into_iter().flatten());
    let released = from_number.filter(|_| kind != USER_ID && is_changed);
    let leads_on = names.iter().any(|name| !previous.contains(name));
    (leads_on && !previous.is_empty()).then(|| Change {
        previous: previous.into(),
        names: names.into(),
        released: released.iter().map(|from| Arc::from(&**from)).collect(),
    })
}

/// A change of the business-scoped id alone.
const USER_ID: &str = "user_changed_user_id";

/// Reads a change of a business-scoped id as resellers pass it on.
pub(super) fn user_id_update(value: &Value, item: &Value, _unknown: &mut Vec<Box<str>>) -> ReadEvent {
    let at = |pointer: &str| json::some_text(item, pointer);
    let previous = [at("/user_id/previous"), at("/wa_id"), at("/parent_user_id/previous")];
    let names = [at("/wa_id"), at("/user_id/current"), at("/parent_user_id/current")];
    let (previous, names) = (distinct(previous.into_iter().flatten()), distinct(names.into_iter().flatten()));
    let (Some(from), Some(to)) = (previous.first(), names.first()) else {
        return Err("user_id_update[] names no customer".into());
    };
    let current = json::text(item, "/user_id/current").unwrap_or_default();
    let data = json!({"customerMoved": {"from": &**from, "to": &*current}});
    let words = json::text(item, "/detail").unwrap_or_default();
    let notice = counted(value, item, to, &format!("user_id:{current}"), &words, data);
    let (previous, names) = (previous.into(), names.into());
    Ok(Some(InEvent::Moved(Box::new(InMove { previous, names, released: SmallVec::new(), notice }))))
}

/// Returns a notice about an item without an id; every repetition of it gets the same one.
fn counted(value: &Value, item: &Value, customer: &str, what: &str, words: &str, data: Value) -> InMessage {
    let did = json::text(value, "/metadata/display_phone_number").unwrap_or_default();
    let at = json::text(item, "/timestamp").unwrap_or_default();
    let mut notice = InMessage::notice(&did, customer, &format!("{customer}#{what}:{at}"), words, data);
    notice.time = json::time(item, "/timestamp");
    notice
}

/// Reads a customer's choice about a category of messages.
pub(super) fn preference(value: &Value, item: &Value, unknown: &mut Vec<Box<str>>) -> ReadEvent {
    let at = |key: &str| json::some_text(item, &format!("/{key}"));
    let contact = contact_of(value, item);
    let all = [at("wa_id"), at("user_id"), json::some_text(contact, "/user_id"), at("parent_user_id")];
    let mut names = distinct(all.into_iter().flatten());
    if names.is_empty() {
        return Err("user_preferences[] has neither wa_id nor user_id".into());
    }
    let customer = names.remove(0);
    let category = at("category").unwrap_or_default();
    if fate(EVENTS, PREFERENCE, &category).is_none() {
        note_unknown(unknown, PREFERENCE, &category);
    }
    let choice = at("value").unwrap_or_default();
    let out = match &*choice.to_ascii_lowercase() {
        "stop" => true,
        "resume" => false,
        other => return Err(format!("user_preferences[].value {other:?} is neither stop nor resume").into()),
    };
    let data = json!({"optOut": out, "category": &*category});
    let words = at("detail").unwrap_or_default();
    let mut notice = counted(value, item, &customer, &format!("{category}:{choice}"), &words, data);
    notice.aliases.extend(names);
    let out = if out { "true" } else { "false" };
    notice.attributes.extend([("optOut".into(), out.into()), ("category".into(), (&*category).into())]);
    Ok(Some(InEvent::Message(Box::new(notice))))
}

/// Reads a call: the business learns of it, since nobody answers here.
pub(super) fn call(value: &Value, item: &Value, unknown: &mut Vec<Box<str>>) -> ReadEvent {
    let at = |key: &str| json::some_text(item, &format!("/{key}"));
    let event = at("event").unwrap_or_default();
    if fate(EVENTS, CALL, &event).is_none() {
        note_unknown(unknown, CALL, &event);
        return Ok(None);
    }
    let is_ours = at("direction").is_some_and(|direction| direction == "BUSINESS_INITIATED");
    let customer = if is_ours { at("to") } else { at("from").or_else(|| at("from_user_id")) };
    let (Some(customer), Some(id)) = (customer, at("id")) else {
        return Err("calls[].id or from is missing".into());
    };
    let status = at("status").unwrap_or_default();
    let words = match (&*event, &*status) {
        ("connect", _) => "[calls]".to_owned(),
        (_, "") => "[the call ended]".to_owned(),
        (_, status) => format!("[the call ended: {status}]"),
    };
    let data = json!({"call": &*event, "callId": &*id, "status": &*status, "duration": at("duration")});
    let notice = counted(value, item, &customer, &format!("call:{id}:{event}"), &words, data);
    // A call of the customer opens the window, as Meta's pricing says.
    Ok(Some(InEvent::Message(Box::new(InMessage { is_written: !is_ours && event == "connect", ..notice }))))
}
