//! Standard Webhooks: the official library verifies each try of a POST, with the new and with the
//! old secret, and with no other.

use serde_json::{Value, json};

use crate::support::{
    Peer, Setup,
    cim::{self, DID, customer},
    peer::{With, python_started},
};

/// Keys of 32 bytes in base64.
const SECRETS: [&str; 3] = [
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "whsec_HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "whsec_HhECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];

#[tokio::test(flavor = "multi_thread")]
async fn with_the_new_and_with_the_old_secret() {
    let mut destination = python_started("webhooks.py", &SECRETS);
    let port = destination.line().await.expect("it tells its port");
    let peer = Peer::start(With::Sim, json!({})).await;
    let url = format!("http://127.0.0.1:{}/cim", port.trim());
    let patchbay = Setup::new()
        .environment("NEW_SECRET", SECRETS[0])
        .destination("support", &url, &format!("signing_secrets = [\"env:NEW_SECRET\", \"{}\"]", SECRETS[1]))
        .channel("sms", DID, peer.port, "", "")
        .start()
        .await;
    patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
    let mut ids = Vec::new();
    // The first try is refused.
    for _ in 0..2 {
        let told = destination.line().await.expect("it tells of each POST");
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["verifies"], json!([true, true, false]), "{told}");
        assert_eq!((&told["forged"], &told["id"]), (&json!(false), &told["event"]), "{told}");
        ids.push(told["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[1], "a repeated delivery has the same id");
}
