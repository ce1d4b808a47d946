//! Third-party implementations of SMPP: the npm library `smpp` as the SMSC that Patchbay binds to,
//! and the PyPI library `smpplib` as an ESME that binds to the simulated SMSC, so that the
//! simulator is checked, too.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use simulators::smsc::SmscScript;

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID, customer},
    peer::{With, python},
    until,
};

async fn stage(keys: &str, account: &str) -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Npm, json!({})).await;
    let sink = Sink::start().await;
    let setup =
        Setup::new().destination("support", &sink.url, "").channel("sms", DID, peer.port, keys, account);
    let patchbay = setup.start().await;
    patchbay.until_channel("sms", "connected").await;
    (peer, sink, patchbay)
}

async fn all_delivered(sink: &Sink, count: usize) {
    until("all delivered", Duration::from_secs(60), || async {
        let delivered = sink.notified("DELIVERED");
        if delivered >= count { Ok(()) } else { Err(format!("{delivered} of {count}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_binds_of_every_kind() {
    for (account, kinds) in [
        ("bind = \"transceiver\"", vec!["bind_transceiver"]),
        ("bind = \"transceiver\"\nbinds = 3", vec!["bind_transceiver"; 3]),
        ("bind = \"pair\"", vec!["bind_receiver", "bind_transmitter"]),
    ] {
        let (peer, sink, patchbay) = stage("", account).await;
        peer.until_count("binds", kinds.len() as u64, SOON).await;
        patchbay.send_all(&texts(50)).await;
        all_delivered(&sink, 50).await;
        peer.mo("4917600000001", DID, "Hello").await;
        sink.wait_for("the customer's", SOON, |m| m["body"]["markdownText"] == "Hello").await;
        let counts = peer.counts().await;
        let mut seen: Vec<_> =
            counts["bind_kinds"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, kinds, "{counts}");
        let (status, ..) = patchbay.terminate().await;
        assert!(status.success());
        peer.until_count("unbinds", kinds.len() as u64, SOON).await;
        println!(
            "{account:?}: {seen:?}, 50 delivered, unbound at the end; errors at the peer: {}",
            counts["errors"]
        );
        assert_eq!((&counts["errors"], &counts["pdus_unknown"]), (&json!(0), &json!(0)));
    }
}

fn texts(count: usize) -> Vec<Value> {
    (0..count).map(|n| cim::text(&format!("m-{n}"), &customer(n), &format!("text {n}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_reads_every_alphabet_and_length() {
    let texts: Vec<String> = vec![
        "Plain.".into(),
        "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ÄÖÑÜ§äöñüà".into(),
        "{[~]}\\|^€ and so on".into(),
        "x".repeat(160),
        "x".repeat(161),
        "€".repeat(80),
        "€".repeat(81),
        "y".repeat(1_500),
        "Größe: 漢字, русский, عربى".into(),
        "u".repeat(69) + "Ж",
        "u".repeat(70) + "Ж",
        // A surrogate pair at every possible place of a split.
        format!("{}{}", "Ж".repeat(66), "🎉".repeat(100)),
        format!("{}{}", "Ж".repeat(65), "🎉".repeat(100)),
        "👩‍👩‍👧‍👦 family, 🇩🇪 flag, 👍🏽 tone. ".repeat(12),
    ];
    for concatenation in ["udh8", "udh16", "sar"] {
        let (peer, sink, patchbay) =
            stage("", &format!("concatenation = \"{concatenation}\"\nparts_max = 20")).await;
        for (n, text) in texts.iter().enumerate() {
            patchbay.send(&cim::text(&format!("t-{n}"), &customer(n), text)).await;
        }
        all_delivered(&sink, texts.len()).await;
        let came = peer.messages().await;
        assert_eq!(came.len(), texts.len());
        let mut parts_of = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            let to = customer(n).trim_start_matches('+').to_owned();
            let (_, seen, parts) = came.iter().find(|(t, ..)| *t == to).unwrap();
            assert_eq!(seen, text, "as the peer reads it");
            parts_of.push(*parts);
            let view = patchbay.message(&format!("t-{n}")).await;
            assert_eq!(view["parts"].as_array().unwrap().len() as u64, *parts, "{view}");
        }
        println!("{concatenation}: {} texts came intact, in parts: {parts_of:?}", texts.len());
        let counts = peer.counts().await;
        assert_eq!(counts["errors"], 0, "{counts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_sends_customers_texts_in_any_order() {
    let (peer, sink, _patchbay) = stage("", "").await;
    let text = "Ein langer Text mit Emoji 🎉😊 und Umlauten äöü, in vielen Teilen geschrieben. ".repeat(4);
    let text = text.trim_end();
    let count = text.encode_utf16().count().div_ceil(60) + 1;
    let mut order: Vec<u8> = (0..u8::try_from(count).unwrap())
        .filter(|n| usize::from(*n) * 59 < text.encode_utf16().count())
        .collect();
    for n in 0..order.len() {
        order.rotate_left(1);
        let from = format!("49176000000{n:02}");
        peer.mo_in_order(&from, DID, text, &order).await;
    }
    let wanted = order.len();
    until("all of them", SOON, || async {
        let texts = sink.texts();
        let whole: BTreeSet<_> = texts.iter().filter(|(_, t)| t == text).collect();
        if whole.len() == wanted { Ok(()) } else { Err(format!("{} of {wanted}: {texts:?}", whole.len())) }
    })
    .await;
    assert_eq!(sink.texts().len(), wanted, "each once");
    peer.until_count("mo_acked", (wanted * wanted) as u64, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_throttles_and_cuts_the_link() {
    let (peer, sink, patchbay) = stage("doubt_grace = \"1s\"", "").await;
    peer.set(json!({ "throttle_per_second": 100 })).await;
    patchbay.send_all(&texts(300)).await;
    all_delivered(&sink, 300).await;
    let counts = peer.counts().await;
    println!("throttled: {} times, then all of 300 delivered", counts["throttled"]);
    assert!(counts["throttled"].as_u64().unwrap() > 0, "{counts}");
    assert!(peer.times().await.values().all(|times| *times == 1), "each once");

    peer.set(json!({ "throttle_per_second": 0, "latency_ms": 30 })).await;
    let more: Vec<Value> =
        (0..600).map(|n| cim::text(&format!("c-{n}"), &customer(n), &format!("cut {n}"))).collect();
    patchbay.send_all(&more).await;
    for at in [350, 500] {
        peer.until_count("accepted", at, SOON).await;
        peer.drop_connections().await;
    }
    all_delivered(&sink, 900).await;
    let times = peer.times().await;
    let twice = times.values().filter(|times| **times > 1).count();
    let channel = patchbay.channel("sms").await;
    println!(
        "link cut twice: all of 600 delivered, {twice} twice at the peer, {} in doubt",
        channel["counts"]["inDoubt"]
    );
    assert_eq!(times.len(), 900);
    assert!(sink.notifications().values().all(|all| *all == ["DELIVERED"]), "one notification each");
}

#[tokio::test(flavor = "multi_thread")]
async fn smpplib_is_content_with_our_smsc() {
    let script = SmscScript {
        accounts: [("esme".to_owned(), "secret".to_owned())].into(),
        receipt_delay_ms: 50,
        ..SmscScript::default()
    };
    let peer = Peer::sim(script).await;
    let mo = "A customer's long text with emoji 🎉 in more than one part, so that it needs a header.";
    peer.mo("4917600000009", DID, "short").await;
    peer.mo("4917600000009", DID, mo).await;
    // 1 + 4 submits; 1 + 2 parts.
    let told = python("esme.py", &["127.0.0.1", &peer.port.to_string(), "5", "3"]).await;
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |what: &str| lines.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    assert_eq!(of("refused")[0]["status"], 0x0E, "a wrong password");
    assert_eq!((of("bound").len(), of("sent").len(), of("receipt").len(), of("mo").len()), (1, 5, 5, 3));
    let ids: BTreeSet<_> = of("sent").iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    let receipted: BTreeSet<_> =
        of("receipt").iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, receipted, "every receipt names a submit");
    for receipt in of("receipt") {
        assert_eq!(receipt["state"], 2);
        let text = receipt["text"].as_str().unwrap();
        assert!(
            text.contains("stat:DELIVRD")
                && text.starts_with(&format!("id:{}", receipt["id"].as_str().unwrap())),
            "{text}"
        );
    }
    let texts: Vec<_> = of("mo").iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!((texts[0], texts[1..].concat().as_str()), ("short", mo));
    let came: Vec<_> = peer.messages().await.into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(came, ["Hello from a stranger".to_owned(), "Long, with emoji 🎉 and 漢字. ".repeat(8)]);
}
