//! The simulated chat providers, called as their clients call them. A server that shares no code
//! with the simulators checks their webhooks.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

#[path = "support/web.rs"]
mod web;

use std::time::Duration;

use serde_json::{Value, json};
use simulators::rest::Script;
use tokio::time::timeout;
use web::{Http, World, call, hmac256};

fn signed_by_meta(request: &Http) -> bool {
    let signature = format!("sha256={}", hmac256("sim-app-secret", &request.body));
    request.body.is_ascii() && request.header("x-hub-signature-256") == signature
}

const CLOUD: &str = "/v25.0/100000000000001/messages";
const TOKEN: [(&str, &str); 1] = [("authorization", "Bearer EAAsimulated")];

fn whatsapp(kind: &str, object: Value) -> Value {
    let mut body = json!({"messaging_product": "whatsapp", "to": "+15550001111", "type": kind});
    body[kind] = object;
    body
}

#[tokio::test]
async fn whatsapp_cloud_accepts_messages_and_reports_on_them() {
    let mut world = World::scripted("whatsapp_cloud", |script| script.receipt_read_ms = 40).await;
    let good = whatsapp("text", json!({"body": "Grüße 👋"}));
    let refused = world.post(CLOUD, &[("authorization", "Bearer x")], &good).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!(190)));
    assert_eq!(world.post("/v25.0/1/messages", &TOKEN, &good).await.json()["error"]["code"], 100);
    let button = |id: &str| json!({"type": "reply", "reply": {"id": id, "title": id}});
    let buttons =
        |all: Vec<Value>| json!({"type": "button", "body": {"text": "x"}, "action": {"buttons": all}});
    for (bad, code) in [
        (json!({"to": "15550001111", "type": "text", "text": {"body": "x"}}), 100),
        (json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": "x"}}), 100),
        (json!({"messaging_product": "whatsapp", "to": "nobody", "text": {"body": "x"}}), 131_009),
        (whatsapp("fax", json!({})), 100),
        (whatsapp("text", json!({})), 131_008),
        (whatsapp("text", json!({"body": "x".repeat(4_097)})), 100),
        (whatsapp("image", json!({"id": "123"})), 131_009),
        (whatsapp("image", json!({"link": "https://x.example/a.png", "caption": "x".repeat(1_025)})), 100),
        (whatsapp("audio", json!({"link": "https://x.example/a.ogg", "caption": "x"})), 100),
        (whatsapp("location", json!({"latitude": 1.0})), 131_008),
        (whatsapp("interactive", buttons(vec![])), 131_009),
        (whatsapp("interactive", buttons((0..4).map(|n| button(&n.to_string())).collect())), 131_009),
        (whatsapp("interactive", buttons(vec![button(&"x".repeat(21))])), 100),
        (whatsapp("template", json!({"name": "t"})), 131_008),
    ] {
        let answer = world.post(CLOUD, &TOKEN, &bad).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(code)), "{bad}");
    }
    assert!(world.accepted().await.is_empty());

    let answer = world.post(CLOUD, &TOKEN, &good).await;
    assert_eq!((answer.status, &answer.json()["contacts"][0]["wa_id"]), (200, &json!("15550001111")));
    let id = answer.json()["messages"][0]["id"].clone();
    assert_eq!(world.accepted().await[0]["text"], "Grüße 👋");
    for status in ["sent", "delivered", "read"] {
        let report = world.hook.next().await;
        assert!(signed_by_meta(&report));
        let one = report.json()["entry"][0]["changes"][0]["value"]["statuses"][0].clone();
        assert_eq!((&one["id"], &one["status"]), (&id, &json!(status)));
    }
    let tapped = world.post(CLOUD, &TOKEN, &whatsapp("interactive", buttons(vec![button("Yes")]))).await;
    assert_eq!(tapped.status, 200);
    assert_eq!(world.accepted().await[1]["buttons"], json!(["Yes"]));
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A"});
    assert_eq!(world.post(CLOUD, &TOKEN, &read).await.json(), json!({"success": true}));
}

#[tokio::test]
async fn whatsapp_media_are_uploaded_and_downloaded_only_with_the_token() {
    let mut world = World::start("whatsapp_cloud").await;
    let parts = "--b\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b\r\n\
        Content-Disposition: form-data; name=\"type\"\r\n\r\nimage/png\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nPIXELS\r\n--b--\r\n";
    let kind = ("content-type", "multipart/form-data; boundary=b");
    let url = format!("{}/v25.0/100000000000001/media", world.base);
    let answer = call("POST", &url, &[kind, TOKEN[0]], parts.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let sent = world.post(CLOUD, &TOKEN, &whatsapp("image", json!({"id": id}))).await;
    assert_eq!(sent.status, 200);
    let found = world.get(&format!("/v25.0/{id}"), &TOKEN).await.json();
    let url = found["url"].as_str().unwrap();
    assert_eq!(call("GET", url, &[], b"").await.status, 401);
    assert_eq!(call("GET", url, &TOKEN, b"").await.text(), "PIXELS");
    assert_eq!(world.hook.next().await.method, "POST");
    assert_eq!(world.hook.next().await.method, "POST");

    let inbound =
        world.writes(json!({"kind": "document", "text": "look", "content": "aGVsbG8="})).await.json();
    let document = &inbound["entry"][0]["changes"][0]["value"]["messages"][0]["document"];
    assert_eq!((&document["filename"], &document["caption"]), (&json!("paper.pdf"), &json!("look")));
    let found = world.get(&format!("/v25.0/{}", document["id"].as_str().unwrap()), &TOKEN).await.json();
    assert_eq!(found["sha256"], document["sha256"]);
    assert_eq!(call("GET", found["url"].as_str().unwrap(), &TOKEN, b"").await.text(), "hello");
}

#[tokio::test]
async fn meta_batches_over_entries_changes_and_messages_without_repeating_an_event() {
    let mut world = World::scripted("whatsapp_cloud", |script| script.batch_max = 100).await;
    world.order("inbound", json!({"text": "n", "count": 7})).await;
    let body = world.hook.next().await;
    assert!(signed_by_meta(&body));
    let body = body.json();
    let entries = body["entry"].as_array().unwrap();
    let changes: Vec<&Value> =
        entries.iter().flat_map(|entry| entry["changes"].as_array().unwrap()).collect();
    let each: Vec<usize> = changes.iter().map(|c| c["value"]["messages"].as_array().unwrap().len()).collect();
    assert_eq!((entries.len(), each), (2, vec![2, 2, 2, 1]));
    let texts: Vec<&str> = changes
        .iter()
        .flat_map(|change| change["value"]["messages"].as_array().unwrap())
        .map(|message| message["text"]["body"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["n 1", "n 2", "n 3", "n 4", "n 5", "n 6", "n 7"]);

    // Receipts that fall into one slot share a POST, too.
    world
        .order("faults", json!({"batch_wait_ms": 500, "receipt_sent_ms": 1, "receipt_delivered_ms": 0}))
        .await;
    let before = world.sim.counts().webhooks;
    for n in 0..5 {
        world.post(CLOUD, &TOKEN, &whatsapp("text", json!({"body": n.to_string()}))).await;
    }
    let mut got = 0;
    while got < 5 {
        let report = world.hook.next().await.json();
        let changes =
            report["entry"].as_array().unwrap().iter().flat_map(|e| e["changes"].as_array().unwrap());
        got += changes.map(|change| change["value"]["statuses"].as_array().unwrap().len()).sum::<usize>();
    }
    assert!(world.sim.counts().webhooks - before < 5, "several reports in one request");

    let mut pages = World::scripted("facebook", |script| script.batch_max = 10).await;
    pages.order("inbound", json!({"text": "n", "count": 3})).await;
    let body = pages.hook.next().await.json();
    let sizes: Vec<usize> = body["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["messaging"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [2, 1]);
}

#[tokio::test]
async fn meta_uses_a_webhook_only_after_its_handshake() {
    for provider in ["whatsapp_cloud", "facebook", "instagram"] {
        let mut world = World::start(provider).await;
        let told = world.order("verify", json!({})).await;
        assert_eq!((&told["asked"], &told["attempt"]["taken"]), (&json!(true), &json!(true)), "{told}");
        let asked = world.hook.next().await;
        assert!(
            asked.method == "GET" && asked.path.contains("hub.verify_token=sim-verify-token"),
            "{asked:?}"
        );
        world.hook.answer(&[403]);
        assert_eq!(world.order("verify", json!({})).await["attempt"]["taken"], json!(false));
    }
    let mut world = World::start("whatsapp_cloud").await;
    let other = web::Hook::start().await;
    let body = json!({"override_callback_uri": other.url, "verify_token": "theirs"});
    assert_eq!(world.post("/v25.0/200000000000001/subscribed_apps", &TOKEN, &body).await.status, 200);
    world.order("inbound", json!({"text": "hi"})).await;
    assert_eq!((world.hook.left(), world.sim.counts().webhooks_taken), (0, 2));
}

#[tokio::test]
async fn dialog360_has_its_key_its_header_and_its_media_address() {
    let mut world = World::start("whatsapp_360dialog").await;
    let good = whatsapp("text", json!({"body": "hi"}));
    let refused = world.post("/messages", &[("d360-api-key", "x")], &good).await;
    assert_eq!((refused.status, &refused.json()["meta"]["http_code"]), (401, &json!(401)));
    let key = [("d360-api-key", "sim-360-key")];
    assert_eq!(world.post("/messages", &key, &good).await.status, 200);
    let report = world.hook.next().await;
    assert_eq!(report.header("x-webhook-secret"), "sim-webhook-secret");
    assert_eq!(report.header("x-hub-signature-256"), "");
    let bad = world.post("/messages", &key, &whatsapp("text", json!({}))).await;
    assert_eq!(bad.json()["error"]["code"], 131_008);
    assert_eq!(world.hook.next().await.method, "POST");

    let config = json!({"url": world.hook.url, "headers": {"X-Auth": "s3cret"}});
    assert_eq!(world.post("/v1/configs/webhook", &key, &config).await.json(), config);
    assert_eq!(world.get("/v1/configs/webhook", &key).await.json(), config);
    let inbound = world.writes(json!({"kind": "image"})).await;
    assert_eq!(inbound.header("x-auth"), "s3cret");
    let none = world.writes(json!({"text": "x", "signature": "none"})).await;
    let wrong = world.writes(json!({"text": "x", "signature": "wrong"})).await;
    assert_eq!((none.header("x-auth"), wrong.header("x-auth") == "s3cret"), ("", false));
    let id = inbound.json()["entry"][0]["changes"][0]["value"]["messages"][0]["image"]["id"].clone();
    let found = world.get(&format!("/{}", id.as_str().unwrap()), &key).await;
    assert!(found.text().contains(r"https:\/\/lookaside.fbsbx.com\/whatsapp_business"), "{}", found.text());
    let url = found.json()["url"].as_str().unwrap().replace("https://lookaside.fbsbx.com", &world.base);
    assert_eq!(call("GET", &url, &[], b"").await.status, 401);
    assert_eq!(&call("GET", &url, &key, b"").await.body[..4], b"\x89PNG");
}

#[tokio::test]
async fn messenger_and_instagram_accept_messages_and_report_differently() {
    let read = |script: &mut Script| script.receipt_read_ms = 30;
    for (provider, path, object) in [
        ("facebook", "/v25.0/300000000000001/messages", "page"),
        ("instagram", "/v25.0/500000000000001/messages", "instagram"),
    ] {
        let mut world = World::scripted(provider, read).await;
        let instagram = provider == "instagram";
        let good = json!({"recipient": {"id": "77"}, "messaging_type": "RESPONSE", "message": {"text": "grüß",
            "quick_replies": [{"content_type": "text", "title": "Red", "payload": "RED"}]}});
        let refused = world.post(path, &[("authorization", "Bearer x")], &good).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!(190)));
        let long = if instagram { "ä".repeat(501) } else { "x".repeat(2_001) };
        let button =
            json!({"type": "template", "payload": {"template_type": "button", "text": "x", "buttons": []}});
        for bad in [
            json!({"message": {"text": "x"}}),
            json!({"recipient": {"id": "77"}, "message": {"text": long}}),
            json!({"recipient": {"id": "77"}, "message": {"text": "x", "attachment": button}}),
            json!({"recipient": {"id": "77"}, "message": {"attachment": button}}),
            json!({"recipient": {"id": "77"}, "messaging_type": "MESSAGE_TAG", "tag": "ACCOUNT_UPDATE", "message": {"text": "x"}}),
        ] {
            let answer = world.post(path, &TOKEN, &bad).await;
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(100)), "{bad}");
        }
        let query = format!("{path}?access_token=EAAsimulated");
        let answer = world.post(&query, &[], &good).await;
        assert_eq!((answer.status, &answer.json()["recipient_id"]), (200, &json!("77")));
        let id = answer.json()["message_id"].clone();
        assert_eq!(world.accepted().await[0]["buttons"], json!(["Red"]));
        if !instagram {
            let delivered = world.hook.next().await;
            assert!(signed_by_meta(&delivered));
            let event = delivered.json()["entry"][0]["messaging"][0].clone();
            assert_eq!((&event["delivery"]["mids"][0], &event["sender"]["id"]), (&id, &json!("77")));
        }
        let seen = world.hook.next().await;
        assert!(signed_by_meta(&seen));
        assert_eq!(seen.json()["object"], object);
        let event = seen.json()["entry"][0]["messaging"][0]["read"].clone();
        assert!(if instagram { event["mid"] == id } else { event["watermark"].is_u64() }, "{event}");

        let inbound = world.writes(json!({"kind": "image", "from": "88"})).await;
        assert!(signed_by_meta(&inbound));
        let event = inbound.json()["entry"][0]["messaging"][0].clone();
        assert_eq!(event["sender"]["id"], "88");
        let url = event["message"]["attachments"][0]["payload"]["url"].as_str().unwrap().to_owned();
        assert_eq!(call("GET", &url, &[], b"").await.status, 200);
        let profile = world.get("/v25.0/88?fields=name", &TOKEN).await.json();
        assert_eq!(profile, json!({"id": "88", "name": "Ann B"}));
        world.order("receipt", json!({"id": id, "status": "echo"})).await;
        assert_eq!(world.hook.next().await.json()["entry"][0]["messaging"][0]["message"]["is_echo"], true);
    }
}

#[tokio::test]
async fn viber_answers_in_the_body_and_signs_with_the_token() {
    let mut world = World::scripted("viber", |script| script.receipt_read_ms = 40).await;
    let token = "0123456789abcdef-0123456789abcdef-0123456789abcdef";
    let key = [("x-viber-auth-token", token)];
    let good = json!({"receiver": "q7Zx/1==", "sender": {"name": "Shop"}, "type": "text", "text": "hi",
        "keyboard": {"Type": "keyboard", "Buttons": [{"ActionType": "reply", "ActionBody": "Y", "Text": "Yes", "Columns": 3}]}});
    assert_eq!(
        world.post("/pa/send_message", &[("x-viber-auth-token", "x")], &good).await.json()["status"],
        2
    );
    for (bad, status) in [
        (json!({"receiver": "q", "sender": {"name": "Shop"}, "type": "text"}), 4),
        (json!({"receiver": "q", "type": "text", "text": "x"}), 4),
        (json!({"sender": {"name": "Shop"}, "type": "text", "text": "x"}), 4),
        (json!({"receiver": "q", "sender": {"name": "x".repeat(29)}, "type": "text", "text": "x"}), 3),
        (json!({"receiver": "q", "sender": {"name": "Shop"}, "type": "text", "text": "x".repeat(7_001)}), 3),
        (
            json!({"receiver": "q", "sender": {"name": "Shop"}, "type": "video", "media": "https://x.example/a.mp4"}),
            4,
        ),
    ] {
        let answer = world.post("/pa/send_message", &key, &bad).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(status)), "{bad}");
    }
    let answer = world.post("/pa/send_message", &key, &good).await.json();
    let id = answer["message_token"].as_u64().unwrap();
    assert!(answer["status"] == 0 && id > 1 << 53);
    assert_eq!(world.accepted().await[0]["buttons"], json!(["Yes"]));
    for event in ["delivered", "seen"] {
        let report = world.hook.next().await;
        assert_eq!(report.header("x-viber-content-signature"), hmac256(token, &report.body));
        assert_eq!(
            (&report.json()["event"], report.json()["message_token"].as_u64()),
            (&json!(event), Some(id))
        );
    }
    let inbound = world.writes(json!({"kind": "sticker"})).await;
    assert_eq!(inbound.header("x-viber-content-signature"), hmac256(token, &inbound.body));
    assert_eq!(inbound.json()["message"]["sticker_id"], 40_133);
    let left = world.writes(json!({"kind": "opt_out", "from": "q7Zx/1=="})).await.json();
    assert_eq!((&left["event"], &left["user_id"]), (&json!("unsubscribed"), &json!("q7Zx/1==")));

    // A webhook must answer the handshake; without a webhook nothing can be sent.
    assert_eq!(world.post("/pa/set_webhook", &key, &json!({"url": ""})).await.json()["status"], 0);
    assert_eq!(world.post("/pa/send_message", &key, &good).await.json()["status"], 10);
    world.hook.answer(&[500]);
    let set = json!({"url": world.hook.url, "event_types": ["failed"]});
    assert_eq!(world.post("/pa/set_webhook", &key, &set).await.json()["status"], 1);
    assert_eq!(world.post("/pa/set_webhook", &key, &set).await.json()["status"], 0);
    for _ in 0..2 {
        let asked = world.hook.next().await;
        assert_eq!(asked.header("x-viber-content-signature"), hmac256(token, &asked.body));
        assert_eq!(asked.json()["event"], "webhook");
    }
    world.order("faults", json!({"throttle": "always"})).await;
    let throttled = world.post("/pa/send_message", &key, &good).await;
    assert_eq!((throttled.status, &throttled.json()["status"]), (200, &json!(12)));
}

const BOT: &str = "/bot700001:AAsimulatedsimulatedsimulatedsimul1";

#[tokio::test]
async fn telegram_accepts_messages_and_sends_its_secret() {
    let mut world = World::start("telegram").await;
    let send = format!("{BOT}/sendMessage");
    let good = json!({"chat_id": 5_550_001, "text": "Hi",
        "reply_markup": {"inline_keyboard": [[{"text": "Yes", "callback_data": "y:1"}]]}});
    assert_eq!(world.post("/bot1:x/sendMessage", &[], &good).await.json()["error_code"], 401);
    for (bad, why) in [
        (json!({"text": "x"}), "chat_id is empty"),
        (json!({"chat_id": "nobody", "text": "x"}), "chat not found"),
        (json!({"chat_id": 1, "text": ""}), "message text is empty"),
        (json!({"chat_id": 1, "text": "x".repeat(4_097)}), "message is too long"),
        (json!({"chat_id": 1, "text": "<b>x", "parse_mode": "HTML"}), "can't parse entities"),
        (json!({"chat_id": 1, "text": "x.", "parse_mode": "MarkdownV2"}), "can't parse entities"),
        (
            json!({"chat_id": 1, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "x".repeat(65)}]]}}),
            "BUTTON_DATA_INVALID",
        ),
        (
            json!({"chat_id": 1, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a", "url": "http://local"}]]}}),
            "BUTTON_URL_INVALID",
        ),
    ] {
        let answer = world.post(&send, &[], &bad).await;
        let told = answer.json()["description"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && told.starts_with(&format!("Bad Request: {why}")), "{bad}: {told}");
    }
    let answer = world.post(&send, &[], &good).await.json();
    assert_eq!((&answer["ok"], &answer["result"]["chat"]["id"]), (&json!(true), &json!(5_550_001)));
    let kept = world.accepted().await;
    assert_eq!(kept[0]["id"], format!("5550001:{}", answer["result"]["message_id"]));
    let photo = world.post(&format!("{BOT}/SENDPHOTO"), &[], &json!({"chat_id": 1, "photo": "nofile"})).await;
    assert!(photo.text().contains("wrong file identifier"), "{}", photo.text());

    let inbound = world.writes(json!({"kind": "image", "from": "5550007"})).await;
    assert_eq!(inbound.header("x-telegram-bot-api-secret-token"), "sim-secret-token");
    let message = inbound.json()["message"].clone();
    assert_eq!(message["chat"]["id"], 5_550_007);
    let file = message["photo"][1]["file_id"].clone();
    let path = world.post(&format!("{BOT}/getFile"), &[], &json!({"file_id": file})).await.json();
    let path = path["result"]["file_path"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/file/bot1:x/{path}"), &[]).await.status, 404);
    assert_eq!(&world.get(&format!("/file{BOT}/{path}"), &[]).await.body[..4], b"\x89PNG");
    world.order("faults", json!({"throttle": "always", "retry_after_s": 5})).await;
    let throttled = world.post(&send, &[], &good).await;
    assert_eq!((throttled.status, &throttled.json()["parameters"]["retry_after"]), (429, &json!(5)));
}

#[tokio::test]
async fn telegram_has_topics_and_business_chats_and_repeats_what_is_sent_there() {
    let mut world = World::scripted("telegram", |script| script.echo_ms = 5).await;
    let send = format!("{BOT}/sendMessage");
    for (place, why) in [
        (json!({"message_thread_id": 1}), "message thread not found"),
        (json!({"business_connection_id": ""}), "BUSINESS_CONNECTION_INVALID"),
        (json!({"business_connection_id": "bc", "message_thread_id": 7}), "BUSINESS_PEER_INVALID"),
    ] {
        let mut bad = place.as_object().unwrap().clone();
        bad.extend(json!({"chat_id": 5_550_001, "text": "x"}).as_object().unwrap().clone());
        let answer = world.post(&send, &[], &Value::Object(bad)).await;
        assert!(answer.status == 400 && answer.text().contains(why), "{place}: {}", answer.text());
    }
    for (within, kind, pointer, value) in [
        ("topic=7", "message", "/message_thread_id", json!(7)),
        ("business=bc", "business_message", "/business_connection_id", json!("bc")),
        ("direct=77", "message", "/direct_messages_topic/topic_id", json!(77)),
    ] {
        let update = world.writes(json!({"text": "hi", "within": within})).await.json();
        assert_eq!(update[kind].pointer(pointer), Some(&value), "{update}");
    }
    let gone = world.writes(json!({"kind": "delete", "within": "business=bc", "about": "x:55"})).await.json();
    assert_eq!(gone["deleted_business_messages"]["message_ids"], json!([55]));

    let good = json!({"chat_id": 5_550_001, "text": "ours", "business_connection_id": "bc"});
    let sent = world.post(&send, &[], &good).await.json()["result"].clone();
    assert_eq!(sent["business_connection_id"], "bc");
    let echo = world.hook.next().await.json()["business_message"].clone();
    assert_eq!((&echo["message_id"], &echo["text"]), (&sent["message_id"], &json!("ours")));
    assert!(
        echo["sender_business_bot"]["is_bot"] == true && echo["from"]["id"] != echo["chat"]["id"],
        "{echo}"
    );
    let edit = world.hook.next().await.json()["edited_business_message"].clone();
    assert!(edit["edit_date"].is_number() && edit["sender_business_bot"].is_object(), "{edit}");
    let owner = world.hook.next().await.json()["business_message"].clone();
    assert!(owner["sender_business_bot"].is_null() && owner["from"]["id"] == 42, "{owner}");
}

#[tokio::test]
async fn telegram_is_polled_while_no_webhook_is_set() {
    let world = World::start("telegram").await;
    let updates = |query: &str| format!("{BOT}/getUpdates?{query}");
    assert_eq!(world.get(&updates(""), &[]).await.status, 409, "a webhook is set");
    assert_eq!(world.post(&format!("{BOT}/deleteWebhook"), &[], &json!({})).await.status, 200);
    let url = updates("timeout=30");
    let (first, second, _) = tokio::join!(
        async { world.get(&url, &[]).await },
        async {
            timeout(Duration::from_secs(10), world.sim.wait_for(|counts| counts.requests >= 3))
                .await
                .unwrap();
            world.get(&url, &[]).await
        },
        async {
            timeout(Duration::from_secs(10), world.sim.wait_for(|counts| counts.requests >= 4))
                .await
                .unwrap();
            world.order("inbound", json!({"text": "n", "count": 3})).await
        }
    );
    assert_eq!(first.status, 409, "ended by the second poller");
    assert_eq!(second.status, 200);
    let all = world.get(&updates("offset=0"), &[]).await.json()["result"].clone();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let last = all[2]["update_id"].as_i64().unwrap();
    let rest = world.get(&updates(&format!("offset={last}")), &[]).await.json()["result"].clone();
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["message"]["text"]), (1, &json!("n 3")));
    let none = world.get(&updates(&format!("offset={}", last + 1)), &[]).await.json();
    assert_eq!(none["result"], json!([]));
    let set = json!({"url": world.hook.url, "secret_token": "bad token"});
    assert_eq!(world.post(&format!("{BOT}/setWebhook"), &[], &set).await.status, 400);
}

#[tokio::test]
async fn voipms_offers_the_general_interface_and_its_own() {
    let mut world = World::start("voipms").await;
    let good = json!({"from": "+15550100001", "to": "+15550100002", "text": "hello"});
    let answer = world.post("/send", &[("authorization", "Bearer sim-api-key")], &good).await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.hook.next().await.json()["data"]["payload"]["id"], answer.json()["data"]["id"]);

    let own = async |query: &str| {
        let key = "api_username=sim-api-key&api_password=sim-api-secret";
        let answer = world.get(&format!("/api/v1/rest.php?{key}&{query}"), &[]).await;
        assert_eq!(answer.status, 200);
        answer.json()
    };
    let to = "did=5550100001&dst=5550100002";
    assert_eq!(own("method=getBalance").await["status"], "success");
    assert_eq!(
        own(&format!("method=sendSMS&{to}&message={}", "x".repeat(161))).await["status"],
        "sms_toolong"
    );
    assert_eq!(
        own(&format!("method=sendSMS&{to}&message={}", "%C3%A4".repeat(81))).await["status"],
        "sms_toolong"
    );
    assert_eq!(own(&format!("method=sendSMS&{to}&message={}", "x".repeat(160))).await["status"], "success");
    assert_eq!(own("method=sendSMS&did=5550100001&dst=15550100002&message=x").await["status"], "invalid_dst");
    let mms = own(&format!("method=sendMMS&{to}&message={}", "x".repeat(161))).await;
    assert!(mms["mms"].is_u64(), "{mms}");
    let wrong = world.get("/api/v1/rest.php?api_username=a&api_password=b&method=getIP", &[]).await;
    assert_eq!(wrong.json()["status"], "invalid_credentials");
    world.order("faults", json!({"throttle": "always"})).await;
    assert_eq!(world.post("/send", &[("authorization", "Bearer sim-api-key")], &good).await.status, 429);
}

#[tokio::test]
async fn voipms_calls_an_old_webhook_until_it_says_ok() {
    let mut world = World::with("voipms", Script { webhook_retry_ms: 1, ..Script::default() }, |options| {
        let hook = options.webhook.take().unwrap();
        options.webhook = Some(format!(
            "{hook}?to={{TO}}&from={{FROM}}&message={{MESSAGE}}&id={{ID}}&date={{TIMESTAMP}}&media={{MEDIA}}"
        ));
    })
    .await;
    world.order("inbound", json!({"text": "a&b=ü", "id": "77"})).await;
    for _ in 0..2 {
        let got = world.hook.next().await;
        let query = web::pairs(got.path.split_once('?').unwrap().1);
        assert_eq!(
            (got.method.as_str(), query["message"].as_str(), query["from"].as_str()),
            ("GET", "a&b=ü", "5550100002")
        );
        assert_eq!(query["date"], "2026-09-21 10:00:00");
    }
    world.hook.answer_usually("ok");
    timeout(Duration::from_secs(10), world.sim.wait_for(|counts| counts.webhooks_taken == 1)).await.unwrap();
}
