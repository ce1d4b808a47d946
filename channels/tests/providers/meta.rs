//! Webhooks of Meta in unknown forms: each is named, and an attachment with an address is delivered
//! whatever its kind.

use channels::{InEvent, InMessage, Received, http::Webhook};
use message::{BodyType, Content};
use serde_json::{Value, json};

use crate::{
    case::{NOW_MS, WEBHOOK_URL},
    conformance::http,
    fixture::Fixture,
};

fn read(provider: &str, body: &Value) -> Received {
    let fixture = Fixture::read(channels::provider(provider).unwrap());
    let channel = fixture.case("send_text").channel();
    let body = body.to_string();
    let (method, url, body) = ("POST", WEBHOOK_URL, body.as_bytes());
    http(&*channel).receive(&Webhook { method, url, query: "", headers: &[], body, now_ms: NOW_MS }).unwrap()
}

#[test]
fn a_webhook_of_which_nothing_is_read_is_named() {
    let entry = json!([{}]);
    for (provider, object, entry, unknown) in [
        ("whatsapp_360dialog", "page", &entry, None),
        ("whatsapp_360dialog", "hologram", &entry, Some("object hologram")),
        ("whatsapp_cloud", "whatsapp_business_account", &entry, Some("account with empty entries")),
        ("facebook", "instagram", &entry, None),
        ("facebook", "page", &entry, Some("object page with empty entries")),
        ("instagram", "hologram", &entry, Some("object hologram")),
        ("instagram", "instagram", &json!(null), Some("instagram without entry")),
    ] {
        let received = read(provider, &json!({ "object": object, "entry": entry }));
        assert!(received.events.is_empty(), "{provider} {object}: {received:?}");
        let named = received.unknown.iter().any(|kind| unknown.is_some_and(|name| kind.contains(name)));
        let row = channels::provider(provider).unwrap().events.iter().any(|kind| kind.place == "object");
        let is_told = if unknown.is_some() { named } else { row && received.ignored == 1 };
        assert!(is_told, "{provider} {object}: {received:?}");
    }
}

/// Returns the message with an attachment on Instagram.
fn attached(attachment: &Value) -> InMessage {
    let message = json!({"mid": "m_a", "attachments": [attachment]});
    let item = json!({"sender": {"id": "77"}, "recipient": {"id": "17840001"}, "message": message});
    let body = json!({"object": "instagram", "entry": [{"id": "17840001", "messaging": [item]}]});
    match read("instagram", &body).events.remove(0) {
        InEvent::Message(message) => *message,
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn a_shared_story_comes_as_a_file_and_any_address_as_a_link() {
    let address = "https://cdn.example/s";
    for kind in ["ig_story", "story", "share"] {
        let payload = json!({"story_media_id": "9", "story_media_url": address});
        let story = attached(&json!({"type": kind, "payload": payload}));
        assert_eq!(&*story.media[0].locator, address, "{kind}");
        assert!(story.attributes.contains(&("shared".into(), kind.into())), "{story:?}");
    }
    let payload = json!({"hologram_url": address, "hologram_id": "9"});
    let newest = attached(&json!({"type": "ig_hologram", "payload": payload}));
    let Content::Rich { body_type, json } = &newest.content else { panic!("{newest:?}") };
    assert!(*body_type == BodyType::Url && json.contains(address), "{newest:?}");
}
