//! The events audit: each row of a provider's table is read as it says, a kind that no row names is
//! told and costs no neighbour.
//!
//! Sources of the rows: Bot API 10.3 (Update, Message, ChatMember, ReactionType); Viber's REST Bot
//! API ("Callbacks", "Message types"); Twilio's "Message status values", "Request parameters" and
//! MessageType; Telnyx's "Receiving webhooks" and the schemas of its SDK; Bandwidth's
//! InboundCallbackTypeEnum and StatusCallbackTypeEnum; the VoIP.ms wiki.

use std::collections::BTreeSet;

use channels::{InEvent, Received, events::Fate, http::Webhook};
use message::{BodyType, Content};
use serde_json::{Value, json};

use crate::{
    case::{NOW_MS, WEBHOOK_URL},
    conformance::http,
    fixture::Fixture,
    http_providers,
};

/// Providers whose references were read for this audit.
const AUDITED: [&str; 7] =
    ["telegram", "viber", "twilio", "twilio_whatsapp", "telnyx", "bandwidth", "voipms"];

/// Reads a webhook with this body, whose signature was checked.
fn receive(fixture: &Fixture, body: &str) -> Received {
    let channel = fixture.case("send_text").channel();
    // A body that begins like a query is one.
    let (method, query, body) = match body.strip_prefix('?') {
        Some(query) => ("GET", query, ""),
        None => ("POST", "", body),
    };
    let webhook =
        Webhook { method, url: WEBHOOK_URL, query, headers: &[], body: body.as_bytes(), now_ms: NOW_MS };
    http(&*channel).receive(&webhook).unwrap_or_else(|malformed| panic!("{body}: {malformed}"))
}

/// Returns whether an event is what a row says.
fn is(fate: Fate, event: &InEvent) -> bool {
    let is_notice = |content: &Content| {
        let notices = [BodyType::Notification, BodyType::DeletedNotification];
        matches!(content, Content::Rich { body_type, .. } if notices.contains(body_type))
    };
    match (fate, event) {
        (Fate::Message, InEvent::Message(m)) => !is_notice(&m.content),
        (Fate::Notice, InEvent::Message(m)) => is_notice(&m.content),
        // An opt-out is told as a notification.
        (Fate::Notice, InEvent::OptOut { .. }) => true,
        (Fate::Move, InEvent::Moved(_)) => true,
        (Fate::Receipt, InEvent::Receipt(_)) => true,
        (Fate::Account, InEvent::Account { .. }) => true,
        _ => false,
    }
}

fn audited() -> impl Iterator<Item = (&'static channels::Provider, Fixture)> {
    http_providers().filter(|(provider, _)| AUDITED.contains(&provider.name))
}

#[test]
fn every_kind_of_event_becomes_what_its_row_says() {
    let mut wrong = Vec::new();
    for (provider, fixture) in audited() {
        assert!(!provider.events.is_empty(), "{provider:?} has no table of events");
        let names: BTreeSet<(&str, &str)> =
            provider.events.iter().map(|kind| (kind.place, kind.name)).collect();
        assert_eq!(names.len(), provider.events.len(), "{provider:?} has two rows of one name");
        for kind in provider.events {
            let body = sample(provider.name, kind.place, kind.name);
            let received = receive(&fixture, &body);
            let good = match kind.fate {
                Fate::Ignored(reason) => {
                    assert!(!reason.is_empty());
                    received.events.is_empty() && received.ignored > 0
                }
                fate => received.events.iter().any(|event| is(fate, event)),
            };
            if !good || !received.unknown.is_empty() {
                wrong.push(format!("{provider:?} {kind:?}: {body}\n{received:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_kind_that_no_row_names_is_told() {
    for (provider, fixture) in audited() {
        let places: BTreeSet<&str> = provider.events.iter().map(|kind| kind.place).collect();
        for place in places
            .into_iter()
            .filter(|place| !["from", "direction", "vote", "keyword", "callback"].contains(place))
        {
            let body = sample(provider.name, place, "hologram");
            let received = receive(&fixture, &body);
            let expected: Box<str> = format!("{place} hologram").into();
            assert_eq!(received.unknown, [expected], "{provider:?}: {body} {received:?}");
            // Whatever a customer sent is said to have come.
            let is_message = received.events.iter().any(|event| is(Fate::Message, event));
            assert_eq!(
                is_message,
                ["message", "opt_out"].contains(&place),
                "{provider:?} {place}: {received:?}"
            );
        }
    }
}

#[test]
fn an_unknown_item_costs_no_neighbour() {
    let fixture = |name: &str| Fixture::read(channels::provider(name).unwrap());
    let items: Vec<Value> = ["message-received", "hologram", "message-delivered"]
        .iter()
        .map(|name| serde_json::from_str::<Value>(&bandwidth("event", name)).unwrap()[0].clone())
        .collect();
    let received = receive(&fixture("bandwidth"), &Value::from(items).to_string());
    assert_eq!((received.events.len(), received.unknown.len()), (2, 1), "{received:?}");

    // Telegram promises one kind in each update; two are both read.
    let mut update: Value = serde_json::from_str(&sample("telegram", "update", "message")).unwrap();
    update["hologram"] = json!({});
    let received = receive(&fixture("telegram"), &update.to_string());
    assert_eq!((received.events.len(), received.unknown.len()), (1, 1), "{received:?}");

    // A vendor's endless or hostile names are shown short, and not without end.
    let mut update = json!({"update_id": 1});
    for n in 0..1_000 {
        update[format!("{n}\u{7}{}", "x".repeat(200))] = json!({});
    }
    let received = receive(&fixture("telegram"), &update.to_string());
    assert!(received.unknown.len() <= 8, "{}", received.unknown.len());
    let fits = |name: &str| name.chars().count() <= 64 && !name.chars().any(char::is_control);
    assert!(received.unknown.iter().all(|name| fits(name)), "{:?}", received.unknown);
}

/// Whatever holds, no words are taken and dropped without a trace.
#[test]
fn a_webhook_of_an_unknown_form_is_refused_or_told() {
    for (provider, fixture) in http_providers() {
        let channel = fixture.case("send_text").channel();
        for (method, query, body) in [
            ("POST", "", "{}"),
            ("POST", "", r#"{"words":"hello"}"#),
            ("POST", "", r#"{"data":{"words":"hello"}}"#),
            ("POST", "", r#"[{"words":"hello"}]"#),
            (
                "POST",
                "",
                r#"{"event":"hologram","type":"hologram","data":{"type":"hologram","event_type":"hologram"}}"#,
            ),
            ("POST", "", r#"{"object":"hologram","words":"hello"}"#),
            ("POST", "", "words=hello"),
            ("GET", "words=hello", ""),
        ] {
            let webhook = Webhook {
                method,
                url: WEBHOOK_URL,
                query,
                headers: &[],
                body: body.as_bytes(),
                now_ms: NOW_MS,
            };
            let Ok(received) = http(&*channel).receive(&webhook) else { continue };
            let is_told = !received.events.is_empty() || !received.unknown.is_empty();
            assert!(is_told, "{provider:?}: {method} {query}{body}: {received:?}");
        }
    }
}

#[test]
fn voipms_spells_one_customer_alike_in_both_forms() {
    let fixture = Fixture::read(channels::provider("voipms").unwrap());
    for (from, to) in [("2125550102", "2125550101"), ("12125550102", "12125550101")] {
        let mut seen = BTreeSet::new();
        let json =
            telnyx("event", "message.received").replace("+15550001111", from).replace("+15557770000", to);
        for body in [format!("?from={from}&to={to}&message=hi&id=7"), json] {
            for event in receive(&fixture, &body).events {
                let InEvent::Message(message) = event else { panic!("{event:?}") };
                seen.insert((message.customer.to_string(), message.did.to_string()));
            }
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
}

/// Returns the body of a webhook with an event of this row.
fn sample(provider: &str, place: &str, name: &str) -> String {
    match provider {
        "telegram" => telegram(place, name).to_string(),
        "viber" => viber(place, name),
        "twilio" | "twilio_whatsapp" => twilio(place, name),
        "telnyx" | "voipms" => telnyx(place, name),
        "bandwidth" => bandwidth(place, name),
        other => panic!("no samples of {other}"),
    }
}

const NOW: u64 = 1_790_000_000;

fn ann() -> Value {
    json!({"id": 5_550_001, "is_bot": false, "first_name": "Ann"})
}

/// Returns a message of a customer with further fields.
fn written(own: Value) -> Value {
    let mut message = json!({"message_id": 55, "from": ann(), "date": NOW,
        "chat": {"id": 5_550_001, "type": "private", "first_name": "Ann"}});
    message.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    message
}

fn telegram(group: &str, name: &str) -> Value {
    let mut update = json!({"update_id": 90_001});
    let (kind, item) = match group {
        "update" => (name, telegram_update(name)),
        "from" => telegram_own(name),
        "message" => ("message", written(json!({name: telegram_content(name)}))),
        "member" => {
            let old = if ["left", "kicked", "restricted"].contains(&name) { "member" } else { "left" };
            let member = |status: &str| json!({"status": status, "user": {"id": 700_001, "is_bot": true}});
            let mut item = written(json!({}));
            (item["old_chat_member"], item["new_chat_member"]) = (member(old), member(name));
            ("my_chat_member", item)
        }
        "reaction" => {
            let mut item = written(json!({"user": ann(), "old_reaction": [], "new_reaction": [
                {"type": name, "emoji": "👍", "custom_emoji_id": "7"}]}));
            match name {
                "removed" => item["new_reaction"] = json!([]),
                "anonymous" => _ = item.as_object_mut().unwrap().remove("user"),
                _ => {}
            }
            ("message_reaction", item)
        }
        "vote" if name == "retracted" => {
            ("poll_answer", json!({"poll_id": "p1", "user": ann(), "option_ids": []}))
        }
        "vote" => {
            let chat = json!({"id": -1_001, "type": "channel"});
            ("poll_answer", json!({"poll_id": "p1", "voter_chat": chat, "option_ids": [0]}))
        }
        other => panic!("no samples of {other}"),
    };
    update[kind] = item;
    update
}

fn telegram_update(name: &str) -> Value {
    let business = |own: Value| {
        let mut message = written(own);
        message["business_connection_id"] = "bc1".into();
        message
    };
    match name {
        "message" => written(json!({"text": "hi"})),
        "edited_message" => written(json!({"text": "hi", "edit_date": NOW})),
        "business_message" => business(json!({"text": "hi"})),
        "edited_business_message" => business(json!({"text": "hi", "edit_date": NOW})),
        "deleted_business_messages" => business(json!({"message_ids": [55, 56]})),
        "business_connection" => json!({"id": "bc1", "user": ann(), "user_chat_id": 5_550_001, "date": NOW,
            "rights": {"can_reply": true}, "is_enabled": true}),
        "callback_query" => json!({"id": "777", "from": ann(), "data": "y", "message": written(json!({}))}),
        "message_reaction" => {
            written(json!({"user": ann(), "new_reaction": [{"type": "emoji", "emoji": "👍"}]}))
        }
        "purchased_paid_media" => json!({"from": ann(), "paid_media_payload": "p"}),
        "poll_answer" => json!({"poll_id": "p1", "user": ann(), "option_ids": [0]}),
        "my_chat_member" => {
            let mut item = written(json!({"old_chat_member": {"status": "member"}}));
            item["new_chat_member"] = json!({"status": "kicked"});
            item
        }
        _ => json!({}),
    }
}

fn telegram_own(name: &str) -> (&'static str, Value) {
    let with = |own: Value| {
        let mut message = written(json!({"text": "hi"}));
        message.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        message
    };
    let group = json!({"id": -1_001, "type": "supergroup", "title": "Fans"});
    let bot = json!({"id": 700_001, "is_bot": true, "first_name": "Shop", "username": "shop_bot"});
    match name {
        "owner" => (
            "business_message",
            with(json!({"business_connection_id": "bc1", "from": {"id": 77, "is_bot": false}})),
        ),
        "business_bot" => {
            ("business_message", with(json!({"business_connection_id": "bc1", "sender_business_bot": bot})))
        }
        "bot" => ("message", with(json!({"from": {"id": 8, "is_bot": true}, "chat": group}))),
        "own_inline_result" => ("message", with(json!({"via_bot": bot}))),
        "anonymous_admin" => (
            "message",
            with(json!({"from": {"id": 1_087_968_824, "is_bot": true}, "sender_chat": group, "chat": group})),
        ),
        "channel_admin" => (
            "message",
            with(json!({"chat": {"id": -1_003, "type": "supergroup", "is_direct_messages": true},
                "direct_messages_topic": {"topic_id": 77, "user": ann()}, "sender_chat": {"id": -1_002, "type": "channel"},
                "from": {"id": 136_817_688, "is_bot": true}})),
        ),
        "linked_channel" => (
            "message",
            with(
                json!({"from": {"id": 777_000, "is_bot": false}, "chat": group, "is_automatic_forward": true,
                "sender_chat": {"id": -1_002, "type": "channel"}}),
            ),
        ),
        other => panic!("no samples of {other}"),
    }
}

fn telegram_content(name: &str) -> Value {
    match name {
        "text" => "hi".into(),
        "photo" => json!([{"file_id": "f"}]),
        "animation" | "audio" | "document" | "sticker" | "video" | "video_note" | "voice" => {
            json!({"file_id": "f"})
        }
        "location" => json!({"latitude": 1.5, "longitude": 2.5}),
        "venue" => {
            json!({"location": {"latitude": 1.5, "longitude": 2.5}, "title": "Shop", "address": "Main St"})
        }
        "rich_message" => json!({"blocks": [{"type": "paragraph", "text": "hi"}]}),
        "migrate_to_chat_id" | "migrate_from_chat_id" => (-1_001).into(),
        _ => json!({}),
    }
}

fn viber(group: &str, name: &str) -> String {
    let event = if group == "event" { name } else { "message" };
    let kind = if group == "message" { name } else { "text" };
    json!({"event": event, "timestamp": 1_790_000_000_123_u64, "message_token": 6_103_388_827_719_340_022_u64,
        "user_id": "q7Zx0AbCdEfGhIjK/1==", "user": {"id": "q7Zx0AbCdEfGhIjK/1==", "name": "Ann"},
        "sender": {"id": "q7Zx0AbCdEfGhIjK/1==", "name": "Ann"}, "context": "promo1", "desc": "why",
        "message": {"type": kind, "text": "hi", "media": "https://dl.example/a", "file_name": "a.bin",
            "sticker_id": 40_133, "contact": {"name": "Bob", "phone_number": "15550001111"},
            "location": {"lat": 1.5, "lon": 2.5}}})
    .to_string()
}

fn twilio(group: &str, name: &str) -> String {
    let of = "MessageSid=SM1&AccountSid=AC1&From=%2B15550001111&To=%2B15557770000";
    match group {
        "status" => format!("{of}&SmsStatus={name}&MessageStatus={name}"),
        "message" => format!("{of}&SmsStatus=received&NumMedia=0&Body=&MessageType={name}"),
        "opt_out" => format!("{of}&SmsStatus=received&NumMedia=0&Body=word&OptOutType={name}"),
        other => panic!("no samples of {other}"),
    }
}

fn telnyx(group: &str, name: &str) -> String {
    if group == "callback" {
        return "?from=5550100002&to=5550100001&message=hi&id=7".into();
    }
    let event = match group {
        "event" => name,
        "status" => "message.finalized",
        _ => "message.received",
    };
    let direction = match (group, event) {
        ("direction", _) => name,
        (_, "message.received") => "inbound",
        _ => "outbound",
    };
    let status = if group == "status" { name } else { "delivered" };
    let text = if group == "keyword" { name.to_uppercase() } else { "hi".into() };
    json!({"data": {"event_type": event, "id": "e1", "payload": {"id": "m1", "direction": direction, "text": text,
        "from": {"phone_number": "+15550001111"}, "to": [{"phone_number": "+15557770000", "status": status}]}}})
    .to_string()
}

fn bandwidth(group: &str, name: &str) -> String {
    let event = if group == "event" { name } else { "message-received" };
    let direction = match (group, event) {
        ("direction", _) => name,
        (_, "message-received") => "in",
        _ => "out",
    };
    json!([{"type": event, "to": "+15557770000", "description": "ok", "message": {"id": "m1",
        "owner": "+15557770000", "direction": direction, "to": ["+15557770000"], "from": "+15550001111",
        "text": "hi"}}])
    .to_string()
}
