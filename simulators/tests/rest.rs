//! The simulated SMS providers, called as their clients call them. A server that shares no code
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

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha1::Sha1;
use web::{Http, World, basic, call, hmac256};

#[tokio::test]
async fn general_accepts_a_message_and_reports_on_it() {
    let mut world = World::start("general").await;
    let good = json!({"from": "+15550100001", "to": "+15550100002", "text": "hello"});
    let wrong = world.post("/send", &[("authorization", "Bearer nope")], &good).await;
    assert_eq!(wrong.status, 401);
    let key = [("authorization", "Bearer sim-api-key")];
    for bad in [
        json!({"from": "+15550100001", "text": "hello"}),
        json!({"from": "+15550100001", "to": "15550100002", "text": "hello"}),
        json!({"from": "+15550100001", "to": "+15550100002", "text": ""}),
        json!({"from": "+15550100001", "to": "+15550100002", "text": "x".repeat(1_601)}),
        json!({"from": "+15550100001", "to": ["+15550100002"], "text": "hello"}),
    ] {
        assert_eq!(world.post("/send", &key, &bad).await.status, 422, "{bad}");
    }
    assert!(world.accepted().await.is_empty());
    assert_eq!(world.get("/verify", &key).await.status, 200);

    let answer = world.post("/send", &key, &good).await;
    assert_eq!(answer.status, 200);
    let id = answer.json()["data"]["id"].clone();
    let kept = world.accepted().await;
    assert_eq!((&kept[0]["id"], &kept[0]["to"], &kept[0]["text"]), (&id, &good["to"], &good["text"]));
    for status in ["sent", "delivered"] {
        let report = world.hook.next().await;
        let signature = format!("sha256={}", hmac256("sim-api-secret", &report.body));
        assert_eq!(report.header("x-signature-256"), signature);
        let payload = &report.json()["data"]["payload"];
        assert_eq!((&payload["id"], &payload["to"][0]["status"]), (&id, &json!(status)));
    }

    let inbound = world.writes(json!({"kind": "image", "text": "look", "from": "+15550100009"})).await;
    assert_eq!(
        inbound.header("x-signature-256"),
        format!("sha256={}", hmac256("sim-api-secret", &inbound.body))
    );
    let data = &inbound.json()["data"];
    assert_eq!(data["event_type"], "message.received");
    assert_eq!(data["payload"]["from"]["phone_number"], "+15550100009");
    let file = call("GET", data["payload"]["media"][0]["url"].as_str().unwrap(), &[], b"").await;
    assert_eq!((file.status, &file.body[..4]), (200, &b"\x89PNG"[..]));
}

#[tokio::test]
async fn every_preset_of_general_has_its_own_name() {
    for name in ["alhambra", "athena", "ixica", "netplanet", "vetta"] {
        let world = World::start(name).await;
        let good = json!({"from": "+15550100001", "to": "+15550100002", "text": "hello"});
        let answer = world.post("/send", &[("authorization", "Bearer sim-api-key")], &good).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(world.sim.channel("support").contains(&format!("provider = \"{name}\"")));
    }
}

/// Computes Twilio's signature again: the address, then names and values sorted by name.
fn twilio_signature(url: &str, request: &Http) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(b"0123456789abcdef0123456789abcdef").unwrap();
    mac.update(url.as_bytes());
    for (name, value) in request.form() {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

const TWILIO_SEND: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json";

async fn twilio_post(world: &World, authorization: &str, body: &str) -> Http {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let url = format!("{}{TWILIO_SEND}", world.base);
    call("POST", &url, &[form, ("authorization", authorization)], body.as_bytes()).await
}

#[tokio::test]
async fn twilio_accepts_a_message_and_calls_back() {
    let mut world = World::start("twilio").await;
    let key = basic("AC00000000000000000000000000000001", "0123456789abcdef0123456789abcdef");
    let callback = format!("{}?part=7", world.hook.url);
    let body =
        format!("To=%2B15550001111&From=%2B15557770000&Body=Gr%C3%BC%C3%9Fe+you&StatusCallback={callback}")
            .replace("?part=7", "%3Fpart%3D7");
    assert_eq!(twilio_post(&world, &basic("AC1", "x"), &body).await.json()["code"], 20003);
    for (bad, code) in [
        ("From=%2B15557770000&Body=x", 21604),
        ("To=%2B15550001111&Body=x", 21603),
        ("To=15550001111&From=%2B15557770000&Body=x", 21211),
        ("To=%2B15550001111&From=%2B15557770000", 21619),
        ("To=whatsapp%3A%2B15550001111&From=whatsapp%3A%2B15557770000&Body=x", 21211),
    ] {
        let answer = twilio_post(&world, &key, bad).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(code)), "{bad}");
    }
    let long = format!("To=%2B15550001111&From=%2B15557770000&Body={}", "x".repeat(1_601));
    assert_eq!(twilio_post(&world, &key, &long).await.json()["code"], 21617);

    let answer = twilio_post(&world, &key, &body).await;
    assert_eq!((answer.status, &answer.json()["status"]), (201, &json!("queued")));
    let sid = answer.json()["sid"].as_str().unwrap().to_owned();
    assert!(sid.starts_with("SM") && sid.len() == 34);
    assert_eq!(world.accepted().await[0]["text"], "Grüße you");
    for status in ["sent", "delivered"] {
        let report = world.hook.next().await;
        assert_eq!(report.path, "/hook?part=7");
        assert_eq!(report.header("x-twilio-signature"), twilio_signature(&callback, &report));
        let form = report.form();
        assert_eq!((form["MessageSid"].as_str(), form["MessageStatus"].as_str()), (&*sid, status));
    }

    let inbound = world.writes(json!({"kind": "image", "text": "Grüße", "to": "+15557770001"})).await;
    assert_eq!(inbound.header("x-twilio-signature"), twilio_signature(&world.hook.url, &inbound));
    let form = inbound.form();
    assert_eq!((form["Body"].as_str(), form["To"].as_str()), ("Grüße", "+15557770001"));
    let media = form["MediaUrl0"].clone();
    assert_eq!(call("GET", &media, &[], b"").await.status, 401);
    let redirect = call("GET", &media, &[("authorization", &key)], b"").await;
    assert_eq!(redirect.status, 307);
    assert_eq!(call("GET", redirect.header("location"), &[], b"").await.status, 200);
}

#[tokio::test]
async fn twilio_whatsapp_has_prefixes_content_templates_and_taps() {
    let mut world = World::scripted("twilio_whatsapp", |script| script.receipt_read_ms = 40).await;
    let key = basic("AC00000000000000000000000000000001", "0123456789abcdef0123456789abcdef");
    let content = json!({"friendly_name": "pick", "language": "en", "variables": {"1": "x"},
        "types": {"twilio/quick-reply": {"body": "Hi {{1}}", "actions": [{"title": "Yes", "id": "y"}]}}});
    let made = world.post("/v1/Content", &[("authorization", &key)], &content).await;
    assert_eq!(made.status, 201);
    let sid = made.json()["sid"].as_str().unwrap().to_owned();
    let to = "To=whatsapp%3A%2B15550001111";
    let sent = twilio_post(
        &world,
        &key,
        &format!(
            "{to}&From=whatsapp%3A%2B15557770000&ContentSid={sid}&ContentVariables=%7B%221%22%3A%22Ann%22%7D&StatusCallback={}",
            world.hook.url
        ),
    )
    .await;
    assert_eq!(sent.status, 201, "{}", sent.text());
    let kept = world.accepted().await;
    assert_eq!((&kept[0]["text"], &kept[0]["buttons"]), (&json!("Hi Ann"), &json!(["Yes"])));
    for status in ["sent", "delivered", "read"] {
        assert_eq!(world.hook.next().await.form()["MessageStatus"], status);
    }
    let bare = twilio_post(&world, &key, &format!("{to}&From=%2B15557770000&Body=x")).await;
    assert_eq!(bare.json()["code"], 63007);
    let tap = world.writes(json!({"kind": "button", "text": "Yes", "payload": "y"})).await.form();
    assert_eq!((tap["ButtonPayload"].as_str(), tap["From"].as_str()), ("y", "whatsapp:+15550001111"));
}

#[tokio::test]
async fn telnyx_accepts_a_message_and_signs_with_a_timestamp() {
    let mut world = World::start("telnyx").await;
    let good = json!({"from": "+15550100001", "to": "+15550100002", "text": "hello"});
    let refused = world.post("/v2/messages", &[("authorization", "Bearer x")], &good).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["code"]), (401, &json!("10009")));
    let key = [("authorization", "Bearer KEY0SIMULATED")];
    let bad =
        world.post("/v2/messages", &key, &json!({"from": "+15550100001", "to": "5", "text": "x"})).await;
    assert_eq!((bad.status, &bad.json()["errors"][0]["code"]), (400, &json!("40310")));
    let answer = world.post("/v2/messages", &key, &good).await;
    assert_eq!((answer.status, &answer.json()["data"]["to"][0]["status"]), (200, &json!("queued")));
    let id = answer.json()["data"]["id"].clone();

    let channel = world.sim.channel("support");
    let line = channel.lines().find_map(|line| line.strip_prefix("public_key = ")).unwrap();
    let public: [u8; 32] = STANDARD.decode(line.trim_matches('"')).unwrap().try_into().unwrap();
    let public = VerifyingKey::from_bytes(&public).unwrap();
    let signed = |request: &Http| {
        let octets = STANDARD.decode(request.header("telnyx-signature-ed25519")).unwrap();
        let time = request.header("telnyx-timestamp");
        let age = time.parse::<u64>().unwrap() - web::STARTED_AT_MS / 1_000;
        let message = [time.as_bytes(), b"|", &request.body].concat();
        age < 60 && public.verify_strict(&message, &Signature::from_slice(&octets).unwrap()).is_ok()
    };
    for status in ["sent", "delivered"] {
        let report = world.hook.next().await;
        assert!(signed(&report));
        let data = &report.json()["data"];
        assert_eq!((&data["payload"]["id"], &data["payload"]["to"][0]["status"]), (&id, &json!(status)));
    }
    let inbound = world.writes(json!({"kind": "opt_out"})).await;
    assert!(signed(&inbound));
    let payload = &inbound.json()["data"]["payload"];
    assert_eq!((&payload["text"], &payload["autoresponse_type"]), (&json!("STOP"), &json!("STOP")));
    let wrong = world.writes(json!({"text": "x", "signature": "wrong"})).await;
    assert!(!signed(&wrong));
    let none = world.writes(json!({"text": "x", "signature": "none"})).await;
    assert_eq!((none.header("telnyx-signature-ed25519"), none.header("telnyx-timestamp")), ("", ""));
}

#[tokio::test]
async fn bandwidth_accepts_a_message_and_calls_back_with_arrays() {
    let mut world = World::start("bandwidth").await;
    let path = "/api/v2/users/9900000/messages";
    let good = json!({"applicationId": "6f2d0a1e-0000-4000-8000-0000000000aa", "to": ["+15550100002"],
        "from": "+15550100001", "text": "hello", "tag": "ours"});
    assert_eq!(world.post(path, &[("authorization", &basic("a", "b"))], &good).await.status, 401);
    let key = basic("sim-user", "sim-password");
    let key = [("authorization", key.as_str())];
    let other = world.post("/api/v2/users/1/messages", &key, &good).await;
    assert_eq!(other.status, 403);
    let bad = world.post(path, &key, &json!({"applicationId": "x", "to": ["+15550100002"]})).await;
    assert_eq!((bad.status, &bad.json()["fieldErrors"][0]["fieldName"]), (400, &json!("applicationId")));
    let answer = world.post(path, &key, &good).await;
    assert_eq!((answer.status, answer.json()["id"].as_str().unwrap().len()), (202, 29));
    let report = world.hook.next().await;
    assert_eq!(report.header("authorization"), basic("sim-callback", "sim-callback-password"));
    let event = report.json()[0].clone();
    assert_eq!((&event["type"], &event["message"]["tag"]), (&json!("message-delivered"), &json!("ours")));
    world.order("receipt", json!({"id": answer.json()["id"], "status": "failed", "code": "4775"})).await;
    assert_eq!(world.hook.next().await.json()[0]["errorCode"], 4775);

    let inbound = world.writes(json!({"kind": "image"})).await.json();
    let media = inbound[0]["message"]["media"][0].as_str().unwrap().to_owned();
    assert_eq!(call("GET", &media, &[], b"").await.status, 401);
    assert_eq!(call("GET", &media, &key, b"").await.status, 200);
}
