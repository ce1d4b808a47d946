//! Meta posts the events of all accounts to one address: each entry goes to its own channel, and an
//! unreadable entry, or one of an unknown account, does not affect the others.

use channels::toolkit::auth;
use http::Method;
use serde_json::{Value, json};

use super::{Keys, NEVER, Simulated, no_receipts, setup, start};
use crate::support::{Patchbay, SOON, Sink};

const NOW: u64 = 1_790_000_000_000;

async fn post(patchbay: &Patchbay, secret: &str, body: &Value) -> u16 {
    let body = body.to_string();
    let signature = format!("sha256={}", auth::hex(&auth::hmac_sha256(secret.as_bytes(), body.as_bytes())));
    let headers = [("x-hub-signature-256", signature.as_str()), ("content-type", "application/json")];
    let url = format!("{}/ccm/webhook", patchbay.public);
    patchbay.http.with(Method::POST, &url, &headers, body).await.unwrap().0
}

fn whatsapp(phone: &str, words: &str) -> Value {
    json!({ "id": "200000000000001", "changes": [{ "field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15557770000", "phone_number_id": phone },
        "contacts": [{ "wa_id": "15550001111", "profile": { "name": "Ann" } }],
        "messages": [{ "from": "15550001111", "id": format!("wamid.{words}"), "timestamp": "1790000000",
            "type": "text", "text": { "body": words } }],
    } }] })
}

fn messaging(account: &str, words: &str) -> Value {
    json!({ "id": account, "time": NOW, "messaging": [{
        "sender": { "id": "7000000000000001" }, "recipient": { "id": account }, "timestamp": NOW,
        "message": { "mid": format!("m_{words}"), "text": words },
    }] })
}

fn all(one: &[(&str, Value)]) -> Value {
    let entries: Vec<&Value> = one.iter().map(|(_, entry)| entry).collect();
    json!({ "object": "page", "entry": entries })
}

#[tokio::test(flavor = "multi_thread")]
async fn and_each_entry_reaches_its_own_channel() {
    let mut parts = Vec::new();
    for name in ["whatsapp_cloud", "facebook", "instagram"] {
        parts.push(Simulated::start(name, no_receipts()).await);
    }
    let sink = Sink::start().await;
    let keys = Keys { channel: "", http: "" };
    let whole = parts.iter().fold(setup(&sink), |setup, one| one.channel(setup, keys));
    let patchbay = start(whole, &parts.iter().collect::<Vec<_>>()).await;
    let [cloud, page, photos] = &parts[..] else { unreachable!() };
    let secret = cloud.simulator.credential("app_secret");
    let of = |one: &Simulated, key: &str| one.simulator.credential(key).to_owned();
    let (phone, page, photos) = (of(cloud, "phone_number_id"), of(page, "page_id"), of(photos, "account_id"));

    // The handshake succeeds with the token of any channel.
    let asked =
        format!("{}/ccm/webhook?hub.mode=subscribe&hub.challenge=4711&hub.verify_token=", patchbay.public);
    let answer = patchbay.http.get(&format!("{asked}{}", of(cloud, "verify_token"))).await.unwrap();
    assert_eq!((answer.status, &*answer.text), (200, "4711"));
    let answer = patchbay.http.get(&format!("{asked}wrong")).await.unwrap();
    assert!([401, 403].contains(&answer.status), "{}: {}", answer.status, answer.text);

    // Three accounts, an unknown one and an unreadable entry in one call.
    let broken = json!({ "id": page, "time": NOW, "messaging": [{ "sender": 7, "message": "none" }] });
    let body = all(&[
        ("nobody's", messaging("999999", "for nobody")),
        ("broken", broken),
        ("WhatsApp", whatsapp(&phone, "by WhatsApp")),
        ("Messenger", messaging(&page, "by Messenger")),
        ("Instagram", messaging(&photos, "by Instagram")),
    ]);
    assert_eq!(post(&patchbay, secret, &body).await, 200);
    let expected =
        [("by WhatsApp", "whatsapp_cloud"), ("by Messenger", "facebook"), ("by Instagram", "instagram")];
    for (words, channel) in expected {
        let got = sink.wait_for(words, SOON, |message| message["body"]["markdownText"] == words).await.body;
        assert_eq!(got["header"]["sender"]["id"], channel, "{got}");
    }

    // A repeated call adds nothing; one with another signature changes nothing.
    assert_eq!(post(&patchbay, secret, &body).await, 200);
    let forged = all(&[("Messenger", messaging(&page, "forged"))]);
    assert!([401, 403].contains(&post(&patchbay, "another secret", &forged).await));
    tokio::time::sleep(NEVER).await;
    assert_eq!(sink.len(), expected.len(), "{:?}", sink.texts());
}
