//! The tables of Meta's events against what the code does: a sample of each row becomes what the
//! row says, and what no row lists is reported as unknown and costs no neighbour.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by a panic")]

use std::sync::Arc;

use channels::{
    Channel, HttpChannel, InEvent, LinkKind, Received,
    events::{EventKind, Fate},
    family::{messenger, whatsapp},
    http::Webhook,
    provider,
};
use message::{BodyType, Content};
use serde_json::{Value, json};

fn open(name: &str) -> Arc<dyn Channel> {
    let account: toml::Table = match name {
        "whatsapp_cloud" => {
            toml::toml! { access_token = "t" app_secret = "s" verify_token = "v" phone_number_id = "PN1" }
        }
        "facebook" => toml::toml! { access_token = "t" app_secret = "s" page_id = "1" },
        _ => toml::toml! { access_token = "t" app_secret = "s" account_id = "1" },
    };
    provider(name).unwrap().open(account).unwrap()
}

fn http(channel: &dyn Channel) -> &dyn HttpChannel {
    let LinkKind::Http(http) = channel.link() else { panic!("no HTTP") };
    http
}

fn read(channel: &str, body: &[u8]) -> Received {
    let channel = open(channel);
    let webhook = Webhook {
        method: "POST",
        url: "https://example.org/webhooks/ch1",
        query: "",
        headers: &[],
        body,
        now_ms: 1_790_000_000_000,
    };
    http(&*channel).receive(&webhook).unwrap()
}

/// A change of WhatsApp, between two texts.
fn whatsapp_call(field: &str, value: Value) -> Value {
    let said = |id: &str| {
        json!({"field": "messages", "value": {"metadata": metadata(), "messages": [
            {"from": "15550100002", "id": id, "timestamp": "1790000000", "type": "text", "text": {"body": id}}]}})
    };
    json!({"object": "whatsapp_business_account", "entry": [{"id": "W", "changes": [
        said("first"), {"field": field, "value": value}, said("last")]}]})
}

fn metadata() -> Value {
    json!({"display_phone_number": "15557770000", "phone_number_id": "PN1"})
}

fn of_another_number() -> Value {
    json!({"metadata": {"display_phone_number": "15557770009", "phone_number_id": "PN9"},
        "messages": [{"from": "15550100002", "id": "x", "type": "text", "text": {"body": "hi"}}]})
}

/// The sample of a row of WhatsApp's table.
fn whatsapp_sample(place: &str, name: &str) -> Value {
    let value = |key: &str, item: Value| {
        let mut value = json!({"messaging_product": "whatsapp", "metadata": metadata()});
        value[key] = json!([item]);
        value
    };
    let message = |kind: &str, object: Value| {
        let mut item =
            json!({"from": "15550100002", "id": "wamid.M", "timestamp": "1790000000", "type": kind});
        item[kind] = object;
        whatsapp_call("messages", value("messages", item))
    };
    match (place, name) {
        ("field", "messages" | "user_preferences" | "calls") => json!(null),
        ("field", "user_id_update") => whatsapp_call(
            name,
            value(
                name,
                json!({"wa_id": "15550100002", "user_id": {"previous": "US.1", "current": "US.2"}, "timestamp": "1"}),
            ),
        ),
        ("field", _) => whatsapp_call(
            name,
            json!({"metadata": metadata(), "event": "E", "messages": [{"id": "x"}], name: [{"id": "x"}],
                "message_echoes": [{"from": "15557770000", "id": "x", "type": "text", "text": {"body": "ours"}}]}),
        ),
        ("number", _) => whatsapp_call("messages", of_another_number()),
        ("message", "text") => message(name, json!({"body": "hello"})),
        ("message", "location") => message(name, json!({"latitude": "1.5", "longitude": 2})),
        ("message", "contacts") => message(name, json!([{"name": {"formatted_name": "Bob"}}])),
        ("message", "reaction") => message(name, json!({"message_id": "wamid.X", "emoji": "👍"})),
        ("message", "revoke") => message(name, json!({"original_message_id": "wamid.X"})),
        ("message", "edit") => message(
            name,
            json!({"original_message_id": "wamid.X", "message": {"type": "text", "text": {"body": "new"}}}),
        ),
        ("message", "button") => message(name, json!({"text": "Yes", "payload": "Y"})),
        ("message", "interactive" | "system") => json!(null),
        ("message", _) => message(name, json!({"id": "F1", "mime_type": "a/b", "body": "x"})),
        ("interactive", _) => message(
            "interactive",
            json!({"type": name, name: {"id": "r", "title": "One", "body": "b", "response": "accept"}}),
        ),
        ("system", _) => message(
            "system",
            json!({"type": name, "body": "User changed", "wa_id": "15550100003", "user_id": "US.2",
                "previous_user_id": "US.1"}),
        ),
        ("preference", _) => whatsapp_call(
            "user_preferences",
            value(
                "user_preferences",
                json!({"wa_id": "15550100002", "category": name, "value": "stop",
                "detail": "User requested to stop", "timestamp": 1790000000}),
            ),
        ),
        ("call", _) => whatsapp_call(
            "calls",
            value(
                "calls",
                json!({"id": "c1", "event": name, "from": "15550100002", "to": "15557770000",
                "direction": "USER_INITIATED", "timestamp": "1790000000"}),
            ),
        ),
        ("status", _) => whatsapp_call(
            "messages",
            value("statuses", json!({"id": "wamid.S", "status": name, "recipient_id": "15550100002"})),
        ),
        other => panic!("no sample of {other:?}"),
    }
}

/// An item of Messenger or Instagram, between two texts.
fn messenger_call(product: &str, entry: Value) -> Value {
    let said = |id: &str| {
        json!({"id": "1", "messaging": [{"sender": {"id": "77"}, "recipient": {"id": "1"},
            "timestamp": 1_790_000_000_000_u64, "message": {"mid": id, "text": id}}]})
    };
    let mut entry = entry;
    if entry.get("id").is_none() {
        entry["id"] = json!("1");
    }
    json!({"object": product, "entry": [said("first"), entry, said("last")]})
}

fn messenger_sample(product: &str, place: &str, name: &str) -> Value {
    let item = |name: &str, object: Value| {
        let mut item =
            json!({"sender": {"id": "77"}, "recipient": {"id": "1"}, "timestamp": 1_790_000_000_001_u64});
        item[name] = object;
        item
    };
    let messaging = |item: Value| messenger_call(product, json!({ "messaging": [item] }));
    match (place, name) {
        ("entry", "standby") => messenger_call(
            product,
            json!({"standby": [item("message", json!({"mid": "m_s", "text": "to another app"}))]}),
        ),
        ("entry", "another id") => messenger_call(
            product,
            json!({"id": "2", "messaging": [item("message", json!({"mid": "m_o", "text": "to another"}))]}),
        ),
        ("entry", _) | ("item", "message") => json!(null),
        ("mid", _) => messaging(item("message", json!({"mid": name, "text": "random_text"}))),
        ("sender", _) => {
            let mut own = item("message", json!({"mid": "m_s", "text": "ours"}));
            own["sender"]["id"] = json!("1");
            messaging(own)
        }
        ("feed", _) => messenger_call(
            product,
            json!({"changes": [{"field": place, "value": {"item": "like", "verb": "add"}}]}),
        ),
        ("item", "delivery") => messaging(item(name, json!({"mids": ["m_1"]}))),
        ("item", "read") => messaging(item(name, json!({"mid": "m_1"}))),
        ("item", "reaction") => messaging(item(name, json!({"mid": "m_1", "action": "react", "emoji": "❤"}))),
        ("item", "message_edit") => {
            messaging(item(name, json!({"mid": "m_1", "text": "new", "num_edit": 1})))
        }
        ("item", "postback") => messaging(item(name, json!({"mid": "m_1", "title": "T", "payload": "P"}))),
        ("item", _) => messaging(item(name, json!({"ref": "r", "status": "linked", "action": "block"}))),
        ("flag", _) => messaging(item("message", json!({"mid": "m_f", "text": "flagged", name: true}))),
        ("attachment", "location") => messaging(item(
            "message",
            json!({"mid": "m_a", "attachments": [{"type": name, "payload": {"coordinates": {"lat": 1, "long": "2.5"}}}]}),
        )),
        ("attachment", _) => messaging(item(
            "message",
            json!({"mid": "m_a", "attachments": [{"type": name, "payload": {"url": "https://x.example/f"}}]}),
        )),
        ("field", "feed") => messenger_call(
            product,
            json!({"changes": [{"field": name, "value": {"item": "comment", "verb": "add", "comment_id": "c",
                "post_id": "p", "from": {"id": "77", "name": "Ann"}, "message": "hi"}}]}),
        ),
        ("field", "comments" | "live_comments") => messenger_call(
            product,
            json!({"changes": [{"field": name, "value": {"id": "c", "from": {"id": "77"}, "text": "hi"}}]}),
        ),
        ("field", _) => messenger_call(
            product,
            json!({"changes": [{"field": name, "value": item("message", json!({"mid": "m_c", "text": "change"}))}]}),
        ),
        other => panic!("no sample of {other:?}"),
    }
}

/// Asserts that a sample became what its row says, and that its neighbours came.
fn check(what: &str, fate: Fate, received: &Received) {
    assert_eq!(received.unknown, Vec::<Box<str>>::new(), "{what} is listed, and unknown");
    let events = &received.events;
    let id = |event: &InEvent| match event {
        InEvent::Message(message) => message.id.to_string(),
        _ => String::new(),
    };
    assert_eq!((id(&events[0]), id(&events[events.len() - 1])), ("first".into(), "last".into()), "{what}");
    let middle = &events[1..events.len() - 1];
    let is_notice = |event: &InEvent| {
        let InEvent::Message(message) = event else { return false };
        let told = [BodyType::Notification, BodyType::DeletedNotification];
        matches!(&message.content, Content::Rich { body_type, .. } if told.contains(body_type))
    };
    let is_unsupported = |event: &InEvent| matches!(event, InEvent::Message(m) if matches!(&m.content, Content::Text(t) if t.starts_with("[unsupported")));
    // Kinds of which the provider itself says that it cannot show them.
    let nothing_else =
        ["unsupported", "unknown", "errors", "ephemeral", "is_unsupported"].map(|name| what.contains(name));
    match fate {
        Fate::Message => {
            assert!(
                !middle.is_empty() && middle.iter().all(|e| matches!(e, InEvent::Message(_))),
                "{what}: {middle:?}"
            );
            assert!(!middle.iter().any(is_notice), "{what}: {middle:?}");
            let unread = middle.iter().any(is_unsupported) && !nothing_else.contains(&true);
            assert!(!unread, "{what} is listed as a message, and not read: {middle:?}");
        }
        Fate::Notice => assert!(!middle.is_empty() && middle.iter().all(is_notice), "{what}: {middle:?}"),
        Fate::Move => assert!(matches!(middle, [InEvent::Moved(_)]), "{what}: {middle:?}"),
        Fate::Receipt => {
            assert!(
                !middle.is_empty() && middle.iter().all(|e| matches!(e, InEvent::Receipt(_))),
                "{what}: {middle:?}"
            );
        }
        Fate::Account => assert!(matches!(middle, [InEvent::Account { .. }]), "{what}: {middle:?}"),
        Fate::Ignored(reason) => {
            let is_nothing = |e: &InEvent| matches!(e, InEvent::Receipt(r) if r.report.state().is_none());
            assert!(!reason.is_empty() && middle.iter().all(is_nothing), "{what}: {middle:?}");
            assert!(received.ignored > 0 || !middle.is_empty(), "{what} is not even counted");
        }
        Fate::Inside => panic!("{what} has a sample"),
    }
}

fn check_table(channel: &str, table: &[EventKind], sample: impl Fn(&str, &str) -> Value) {
    for (n, EventKind { place, name, fate }) in table.iter().enumerate() {
        let what = format!("{channel}: {place} {name}");
        let twice = table[n + 1..].iter().any(|other| (other.place, other.name) == (*place, *name));
        assert!(!twice, "{what} is listed twice");
        // One webhook is about one product; a test of its own.
        if *place == "object" {
            continue;
        }
        let sample = sample(place, name);
        if sample.is_null() {
            assert_eq!(*fate, Fate::Inside, "{what} needs a sample");
        } else {
            // What is read by other rows is a message here.
            let fate = if *fate == Fate::Inside { Fate::Message } else { *fate };
            check(&what, fate, &read(channel, sample.to_string().as_bytes()));
        }
    }
}

#[test]
fn every_event_of_whatsapp_becomes_what_its_table_says() {
    check_table("whatsapp_cloud", whatsapp::EVENTS, whatsapp_sample);
}

#[test]
fn every_event_of_messenger_and_instagram_becomes_what_its_table_says() {
    for (channel, product, fields) in [
        ("facebook", "page", messenger::events::PAGE_FIELDS),
        ("instagram", "instagram", messenger::events::INSTAGRAM_FIELDS),
    ] {
        let sample = |place: &str, name: &str| messenger_sample(product, place, name);
        check_table(channel, messenger::events::ITEMS, sample);
        check_table(channel, fields, sample);
    }
}

#[test]
fn what_no_table_lists_is_counted_and_costs_no_neighbour() {
    for place in ["field", "message", "interactive", "system", "call", "status"] {
        let received = read("whatsapp_cloud", whatsapp_sample(place, "brand_new").to_string().as_bytes());
        assert_eq!(*received.unknown, [format!("{place} brand_new").into()]);
        assert!(received.events.len() >= 2, "{place}: {received:?}");
        // A customer's words are told even so.
        let told = received.events.len() > 2;
        assert_eq!(told, !["field", "call"].contains(&place), "{place}: {received:?}");
    }
    for (channel, product) in [("facebook", "page"), ("instagram", "instagram")] {
        for place in ["item", "attachment", "field"] {
            let body = messenger_sample(product, place, "brand_new").to_string();
            let received = read(channel, body.as_bytes());
            assert_eq!(*received.unknown, [format!("{place} brand_new").into()]);
            assert!(received.events.len() >= 2, "{place}: {received:?}");
        }
    }
}

#[test]
fn one_unreadable_item_costs_no_other() {
    let good = |id: &str| json!({"from": "15550100002", "id": id, "type": "text", "text": {"body": id}});
    let strange = [
        json!(null),
        json!(7),
        json!("text"),
        json!([]),
        json!({}),
        json!({"id": {}, "from": []}),
        json!({"id": "x", "type": "text", "from": "1", "text": null}),
        json!({"id": "x", "type": "location", "from": "1", "location": {"latitude": "north"}}),
        json!({"id": "x", "type": "system", "system": null}),
    ];
    for item in strange {
        let value =
            json!({"metadata": metadata(), "contacts": null, "messages": [good("a"), item, good("b")]});
        let body = json!({"object": "whatsapp_business_account", "entry": [null, {"changes": [null, {"field": "messages", "value": value}]}]});
        let received = read("whatsapp_cloud", body.to_string().as_bytes());
        let came =
            |id: &str| received.events.iter().any(|e| matches!(e, InEvent::Message(m) if *m.id == *id));
        assert!(came("a") && came("b"), "{item}: {received:?}");
        assert!(received.events.iter().any(|e| matches!(e, InEvent::Broken(_))), "{item}: {received:?}");
    }
    let good = |mid: &str| json!({"sender": {"id": 77}, "recipient": {"id": 1}, "message": {"mid": mid, "text": mid}});
    for item in
        [json!(null), json!("x"), json!({"message": {}}), json!({"sender": null, "message": {"mid": "m"}})]
    {
        let body =
            json!({"object": "page", "entry": [null, {"id": 1, "messaging": [good("a"), item, good("b")]}]});
        let received = read("facebook", body.to_string().as_bytes());
        let came =
            |id: &str| received.events.iter().any(|e| matches!(e, InEvent::Message(m) if *m.id == *id));
        assert!(came("a") && came("b"), "{item}: {received:?}");
        assert!(received.events.iter().any(|e| matches!(e, InEvent::Broken(_))), "{item}: {received:?}");
    }
}

#[test]
fn half_a_surrogate_pair_costs_one_character() {
    // chatwoot and Meta's own apps cut names within an emoji (RFC 8259, 8.2).
    let body = br#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{
        "metadata":{"phone_number_id":"PN1"},"contacts":[{"wa_id":"15550100002","profile":{"name":"Ann \ud83d"}}],
        "messages":[{"from":"15550100002","id":"a","type":"text","text":{"body":"one \udead"}},
        {"from":"15550100002","id":"b","type":"text","text":{"body":"two \ud83d\ude00"}}]}}]}]}"#;
    let received = read("whatsapp_cloud", body);
    let texts = received.events.iter().map(|event| match event {
        InEvent::Message(message) => (message.content.clone(), message.attributes.clone()),
        other => panic!("{other:?}"),
    });
    let texts: Vec<_> = texts.collect();
    let named = vec![("customerName".into(), "Ann \u{fffd}".into())];
    let text = |text: &str| Content::Text(text.into());
    assert_eq!(texts, [(text("one \u{fffd}"), named.clone()), (text("two \u{1f600}"), named)]);
}

#[test]
fn who_changed_an_address_is_told_with_all_names() {
    // Meta's reference, system messages, August 2026; the older name of the field is `new_wa_id`.
    let cases = [
        (
            json!({"from": "15550100002", "system": {"type": "user_changed_number", "wa_id": "15550100003"}}),
            vec!["15550100002"],
            vec!["15550100003"],
            vec!["15550100002"],
        ),
        (
            json!({"from": "15550100002", "system": {"type": "user_changed_number", "wa_id": "15550100003",
            "user_id": "US.2", "previous_user_id": "US.1"}}),
            vec!["US.1", "15550100002"],
            vec!["15550100003", "US.2"],
            vec!["15550100002"],
        ),
        (
            json!({"from": "15550100002", "system": {"type": "customer_changed_number", "new_wa_id": 15550100003_u64}}),
            vec!["15550100002"],
            vec!["15550100003"],
            vec!["15550100002"],
        ),
        (
            json!({"from": "15550100002", "system": {"type": "user_changed_user_id", "user_id": "US.2", "previous_user_id": "US.1"}}),
            vec!["US.1", "15550100002"],
            vec!["15550100002", "US.2"],
            vec![],
        ),
        (
            json!({"system": {"type": "user_changed_user_id", "user_id": "US.2", "previous_user_id": "US.1",
            "parent_user_id": "US.ENT.2", "previous_parent_user_id": "US.ENT.1"}}),
            vec!["US.1", "US.ENT.1"],
            vec!["US.2", "US.ENT.2"],
            vec![],
        ),
        (
            json!({"from": "US.1", "system": {"type": "user_changed_user_id", "user_id": "US.2", "previous_user_id": "US.1"}}),
            vec!["US.1"],
            vec!["US.2"],
            vec![],
        ),
        (
            json!({"from_user_id": "US.1", "system": {"type": "user_changed_number", "wa_id": "15550100003", "previous_user_id": "US.1"}}),
            vec!["US.1"],
            vec!["15550100003"],
            vec![],
        ),
    ];
    for (mut item, previous, names, released) in cases {
        item["id"] = json!("wamid.N");
        item["type"] = json!("system");
        item["timestamp"] = json!("1790000000");
        let call = whatsapp_call("messages", json!({"metadata": metadata(), "messages": [item.clone()]}));
        let received = read("whatsapp_cloud", call.to_string().as_bytes());
        let InEvent::Moved(change) = &received.events[1] else { panic!("{item}: {received:?}") };
        let shown = |names: &[Arc<str>]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(shown(&change.previous), previous, "{item}");
        assert_eq!(shown(&change.names), names, "{item}");
        assert_eq!(shown(&change.released), released, "{item}");
        assert!(!change.notice.is_written && *change.notice.id == *"wamid.N", "{item}");
    }
}

#[test]
fn a_choice_about_marketing_is_an_opt_out_with_its_category() {
    for (value, out) in [("stop", true), ("resume", false)] {
        let mut call = whatsapp_sample("preference", "marketing_messages");
        call["entry"][0]["changes"][1]["value"]["user_preferences"][0]["value"] = json!(value);
        let received = read("whatsapp_cloud", call.to_string().as_bytes());
        let InEvent::Message(told) = &received.events[1] else { panic!("{received:?}") };
        assert!(told.attributes.contains(&("optOut".into(), out.to_string().into())));
        assert!(told.attributes.contains(&("category".into(), "marketing_messages".into())));
        assert!(!told.is_written && *told.customer == *"15550100002");
    }
}

#[test]
fn the_business_s_own_words_are_no_customer_s() {
    let own = json!({"metadata": metadata(), "messages": [
        {"from": "+1 555 777 0000", "id": "e", "type": "text", "text": {"body": "from the app"}}]});
    let received = read("whatsapp_cloud", whatsapp_call("messages", own).to_string().as_bytes());
    assert_eq!((received.events.len(), received.ignored), (2, 1), "{received:?}");
    for message in [json!({"mid": "m", "text": "x", "is_echo": "true"}), json!({"mid": "m", "text": "x"})] {
        let item = json!({"sender": {"id": "1"}, "recipient": {"id": "77"}, "message": message});
        let body = messenger_call("page", json!({ "messaging": [item] }));
        let received = read("facebook", body.to_string().as_bytes());
        assert_eq!((received.events.len(), received.ignored), (2, 1), "{received:?}");
    }
}
