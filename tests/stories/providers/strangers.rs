//! Third-party implementations of the providers' APIs: Twilio's own Python library, which sends,
//! signs and validates, and the PyPI library `python-telegram-bot`, which talks to the simulated
//! Telegram as to the real one.

use serde_json::Value;
use simulators::rest::{Inbound, Kind, Signature};

use super::{Keys, PUBLIC_URL, Simulated, no_receipts, setup, start};
use crate::support::{
    SOON, Sink,
    peer::{python, python_started},
};

#[tokio::test(flavor = "multi_thread")]
async fn twilio_sends_signs_and_validates() {
    let one = Simulated::start("twilio", no_receipts()).await;
    let sink = Sink::start().await;
    let patchbay = start(one.channel(setup(&sink), Keys { channel: "", http: "" }), &[&one]).await;
    let simulator = &one.simulator;
    let mut stranger = python_started(
        "twilio_peer.py",
        &[
            &simulator.base_url(),
            simulator.credential("account_sid"),
            simulator.credential("auth_token"),
            patchbay.public.trim_start_matches("http://"),
            PUBLIC_URL,
        ],
    );
    let mut told = Vec::new();
    let port = loop {
        let line = stranger.line().await.unwrap_or_else(|| panic!("it ended after {told:?}"));
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["what"] == "listens" {
            break line["port"].clone();
        }
        told.push(line);
    };
    let of = |what: &str| {
        told.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("no {what}: {told:?}"))
    };
    // The library sends through the simulated Twilio, which refuses a wrong token in the form that
    // the library expects.
    let words = "From Twilio's own library: ä 👋 & more";
    assert_eq!((of("sent")["status"].as_str(), of("sent")["body"].as_str()), (Some("queued"), Some(words)));
    assert_eq!((of("refused")["status"].as_u64(), of("refused")["code"].as_u64()), (Some(401), Some(20003)));
    assert_eq!(one.message(words).map(|message| message.id), of("sent")["sid"].as_str().map(str::to_owned));
    // Patchbay accepts its signatures, and refuses others.
    assert_eq!(of("signed")["status"], 200, "{told:?}");
    assert!([401, 403].map(Value::from).contains(&of("forged")["status"]), "{told:?}");
    let words = "Signed by Twilio's own library: ä 👋 + & =";
    sink.wait_for("the signed message", SOON, |message| message["body"]["markdownText"] == words).await;
    assert_eq!(sink.len(), 1, "what was not signed reached the business");
    // The library validates the signatures of the simulated Twilio.
    simulator.deliver_to(&format!("http://127.0.0.1:{port}"));
    for kind in [Kind::Text, Kind::Image, Kind::OptOut] {
        let text = "ä 👋 + & = %41".to_owned();
        one.write(Inbound { kind, text, ..Inbound::default() }).await;
    }
    for signature in [Signature::Wrong, Signature::None] {
        let attempts = one.inbound(Inbound { text: "Forged".into(), signature, ..Inbound::default() }).await;
        assert_eq!(attempts[0].status, Some(403), "Twilio's library takes a {signature:?} signature");
    }
    let message = simulator.messages().pop().unwrap();
    for status in ["sent", "delivered"] {
        let attempts = simulator.receipt(&message.id, status, None).await.unwrap();
        assert_eq!(attempts[0].status, Some(200), "{status}: {attempts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telegram_bot_takes_the_simulated_telegram_for_the_real_one() {
    let one = Simulated::start_without_webhook("telegram", no_receipts()).await;
    let photo = b"\x89PNG\r\n\x1a\n\x00\xff from the customer";
    let content = channels::toolkit::auth::base64(photo);
    one.write(Inbound { text: "Hello bot 👋".into(), ..Inbound::default() }).await;
    one.write(Inbound { kind: Kind::Image, content, ..Inbound::default() }).await;
    one.write(Inbound { kind: Kind::Button, payload: "pick-No".into(), ..Inbound::default() }).await;
    let (base, token) = (one.simulator.base_url(), one.simulator.credential("token"));
    let told = python("telegram_peer.py", &[&base, token]).await;
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |what: &str| {
        lines.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("no {what}: {told}"))
    };
    assert_eq!(of("text")["text"], "Hello bot 👋");
    assert_eq!(of("photo")["octets"], channels::toolkit::auth::hex(photo));
    assert_eq!(of("tapped")["data"], "pick-No");
    assert_eq!(of("done")["left"], 0, "updates that were taken come again");
    for what in ["refused", "me", "bad"] {
        of(what);
    }
    let sent = one.message("Shall").unwrap();
    assert_eq!(
        (sent.buttons, sent.id.ends_with(&of("sent")["id"].to_string())),
        (vec!["Yes".into(), "No".into()], true)
    );
    let messages = one.simulator.messages();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(
        messages.iter().any(|message| message.media.contains(&"https://files.example/cat.png".to_owned()))
    );
}
