//! Deliveries of an SMSC, against a whole router: receipts change only messages to their own
//! customer, and whatever else comes is the customer's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends on the first surprise, and lives in real time"
)]

mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use stage::{Delivery, Stage, receipt, writes};

const ANN: &str = "4917600000001";
const BEN: &str = "4917600000002";
/// Somebody to whom nothing was sent.
const EVE: &str = "4917600000666";
/// Makes a receipt for a customer with a word.
type Shape = Box<dyn Fn(&str, &str) -> Delivery>;

/// How long a decision may take that needs no timeout.
const AT_ONCE: Duration = Duration::from_secs(8);

/// S1, SMPP 3.4, 5.2.12: a plain message is the customer's words, even in the form of a receipt.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_words_are_never_swallowed() {
    let stage = Stage::start("").await;
    stage.answers(&[Some("4711"), Some("4712")]);
    stage.send("a", ANN, "to Ann").await;
    stage.send("b", BEN, "to Ben").await;
    stage.until_status("b", "SENT", AT_ONCE).await;
    let texts = [
        (ANN, "Order id: 4711, status: still nothing here. Please call me!"),
        (ANN, "id:4711 stat:open when do you deliver?"),
        (ANN, "id:4711 stat:delivered when?"),
        (ANN, "id:4712 stat:DELIVRD"),
        (EVE, "id:4711 stat:DELIVRD"),
        (
            EVE,
            "id:4712 sub:001 dlvrd:001 submit date:2611301200 done date:2611301201 stat:FAILED err:001 text:x",
        ),
        (EVE, "id:999 stat:UNDELIV"),
        (BEN, "id:0 stat:EXPIRED"),
    ];
    for (customer, text) in texts {
        stage.deliver(writes(customer, text)).await;
        stage.until_words(customer, text, AT_ONCE).await;
    }
    assert_eq!(stage.words().len(), texts.len());
    assert_eq!((stage.status("a").await, stage.status("b").await), ("SENT", "SENT"));
    assert!(stage.router.unmatched(None, 0, 10).await.is_empty());
}

/// S1: a sloppy SMSC sends receipts with the type of a message; they count for their own customer.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_with_the_type_of_a_message_counts_for_its_own_customer() {
    let stage = Stage::start("").await;
    let spellings = [ANN.to_owned(), format!("+{ANN}"), format!("00{ANN}"), "017600000001".to_owned()];
    for (n, spelling) in spellings.iter().enumerate() {
        let (id, provider) = (format!("m{n}"), format!("77{n}"));
        stage.answers(&[Some(&provider)]);
        stage.send(&id, ANN, "to Ann").await;
        stage.until_status(&id, "SENT", AT_ONCE).await;
        stage.deliver(Delivery { esm_class: 0, ..receipt(spelling, &provider, "DELIVRD") }).await;
        stage.until_status(&id, "DELIVERED", AT_ONCE).await;
    }
    assert!(stage.words().is_empty());
}

/// S1: it may come before the answer to its part. If that never makes it one, it is the customer's
/// after a while, once, also when the router dies meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn words_that_wait_for_an_answer_end_up_in_one_place() {
    let stage = Stage::start("reply_timeout = \"60s\"").await;
    stage.answers(&[None, None]);
    stage.send("a", ANN, "to Ann").await;
    stage.send("b", BEN, "to Ben").await;
    let (of_ann, of_ben) = ("id:51 stat:DELIVRD", "id:52 stat:DELIVRD");
    stage.deliver(writes(ANN, of_ann)).await;
    stage.deliver(writes(BEN, of_ben)).await;
    stage.pause(300).await;
    assert!(stage.words().is_empty(), "they may be receipts: {:?}", stage.words());
    stage.answer_late(0, "51");
    stage.until_status("a", "DELIVERED", AT_ONCE).await;
    stage.until_words(BEN, of_ben, Duration::from_secs(20)).await;
    stage.answer_late(1, "52");
    stage.until_status("b", "SENT", AT_ONCE).await;
    stage.pause(1_500).await;
    assert_eq!(stage.words(), [(BEN.to_owned(), of_ben.to_owned())], "never both");
    assert_eq!(stage.status("b").await, "SENT");
    assert!(stage.router.unmatched(None, 0, 10).await.is_empty());

    stage.answers(&[None]);
    stage.send("c", ANN, "again").await;
    stage.deliver(writes(ANN, "id:53 stat:EXPIRED")).await;
    let stage = stage.kill().await;
    stage.until_words(ANN, "id:53 stat:EXPIRED", Duration::from_secs(20)).await;
    let stage = stage.kill().await;
    stage.pause(1_500).await;
    let again = stage.words().iter().filter(|(_, text)| text == "id:53 stat:EXPIRED").count();
    assert_eq!(again, 1, "{:?}", stage.words());
}

/// S2: binds whose nodes count ids separately.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_decide_between_parts_that_share_an_id() {
    let national = |number: &str| number.replacen("49", "0", 1);
    let swapped = |delivery: Delivery| Delivery {
        source: delivery.destination,
        destination: delivery.source,
        ..delivery
    };
    let shapes: [(&str, Shape); 6] = [
        ("as sent", Box::new(|to, word| receipt(to, "1", word))),
        ("plus", Box::new(|to, word| receipt(&format!("+{to}"), "1", word))),
        ("00", Box::new(|to, word| receipt(&format!("00{to}"), "1", word))),
        ("national", Box::new(move |to, word| receipt(&national(to), "1", word))),
        ("swapped", Box::new(move |to, word| swapped(receipt(to, "1", word)))),
        (
            "another DID",
            Box::new(|to, word| Delivery {
                destination: "INFO".into(),
                ..receipt(&format!("+{to}"), "1", word)
            }),
        ),
    ];
    for (name, shape) in shapes {
        let stage = Stage::start("").await;
        stage.answers(&[Some("1"), Some("1")]);
        stage.send("a", ANN, "to Ann").await;
        stage.send("b", BEN, "to Ben").await;
        stage.until_status("b", "SENT", AT_ONCE).await;
        stage.deliver(shape(ANN, "UNDELIV")).await;
        stage.deliver(shape(BEN, "DELIVRD")).await;
        stage.until_status("a", "FAILED", AT_ONCE).await;
        stage.until_status("b", "DELIVERED", AT_ONCE).await;
        stage.pause(50).await;
        assert_eq!(stage.told("a"), ["FAILED"], "{name}");
        assert_eq!(stage.told("b"), ["DELIVERED"], "{name}");
    }
}

/// S2: a receipt that comes before the answer waits, although somebody else has its id.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_receipt_is_not_given_to_another_customer_with_its_id() {
    for spelling in [ANN.to_owned(), format!("+{ANN}"), "017600000001".to_owned()] {
        let stage = Stage::start("").await;
        stage.answers(&[Some("1"), None]);
        stage.send("b", BEN, "to Ben").await;
        stage.send("a", ANN, "to Ann").await;
        stage.deliver(receipt(&spelling, "1", "UNDELIV")).await;
        stage.pause(300).await;
        assert_eq!((stage.status("a").await, stage.status("b").await), ("ENROUTE", "SENT"), "{spelling}");
        stage.answer_late(1, "1");
        stage.until_status("a", "FAILED", AT_ONCE).await;
        assert_eq!(stage.status("b").await, "SENT", "{spelling}");
    }
}

/// S2: receipts whose addresses say nothing are matched by their id, unless two customers have it.
#[tokio::test(flavor = "multi_thread")]
async fn without_addresses_the_id_decides_if_it_is_unique() {
    for (source, destination) in [("", ""), ("SMSC", "INFO"), ("99", "98"), ("4930555000", "4930555001")] {
        let stage = Stage::start("").await;
        stage.answers(&[Some("7"), Some("8"), Some("8")]);
        stage.send("a", ANN, "to Ann").await;
        stage.send("b", BEN, "to Ben").await;
        stage.send("c", ANN, "to Ann again").await;
        stage.until_status("c", "SENT", AT_ONCE).await;
        let odd = |id: &str| Delivery {
            source: source.into(),
            destination: destination.into(),
            ..receipt(ANN, id, "DELIVRD")
        };
        stage.deliver(odd("8")).await;
        stage.deliver(odd("7")).await;
        stage.until_status("a", "DELIVERED", AT_ONCE).await;
        stage.pause(700).await;
        assert_eq!((stage.status("b").await, stage.status("c").await), ("SENT", "SENT"), "{source}");
        let kept = stage.router.unmatched(None, 0, 10).await;
        assert_eq!(kept.len(), 1, "the operator sees the one that two may have: {kept:?}");
    }
    // A customer's receipt is never another's, whatever its id.
    let stage = Stage::start("").await;
    stage.answers(&[Some("7"), Some("8")]);
    stage.send("a", ANN, "to Ann").await;
    stage.send("b", BEN, "to Ben").await;
    stage.until_status("b", "SENT", AT_ONCE).await;
    for named in [BEN.to_owned(), format!("+{BEN}"), "017600000002".to_owned()] {
        stage.deliver(receipt(&named, "7", "UNDELIV")).await;
    }
    stage.pause(1_200).await;
    assert_eq!((stage.status("a").await, stage.status("b").await), ("SENT", "SENT"));
}

/// S3: FAILED is a failure; vendors' own words are mapped, and unknown ones are shown and counted.
#[tokio::test(flavor = "multi_thread")]
async fn words_and_numbers_of_states_have_their_meaning() {
    let words = "receipt_words = { not_delivered = \"failed\", 9 = \"failed\", 12 = \"delivered\", LOST = \"expired\" }";
    let stage = Stage::start(words).await;
    for (n, (word, status)) in [
        ("FAILED", "FAILED"),
        ("failed", "FAILED"),
        ("DELIVERED", "DELIVERED"),
        ("delivrd", "DELIVERED"),
        ("UNDELIVERABLE", "FAILED"),
        ("NOT_DELIVERED", "FAILED"),
        ("9", "FAILED"),
        ("12", "DELIVERED"),
        ("lost", "FAILED"),
        ("REJECTED", "FAILED"),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, provider) = (format!("m{n}"), format!("80{n}"));
        stage.answers(&[Some(&provider)]);
        stage.send(&id, ANN, "to Ann").await;
        stage.until_status(&id, "SENT", AT_ONCE).await;
        stage.deliver(receipt(ANN, &provider, word)).await;
        stage.until_status(&id, status, AT_ONCE).await;
    }
    assert_eq!(stage.channel().await.counts.receipts_unread, 0);
    stage.answers(&[Some("900")]);
    stage.send("u", ANN, "to Ann").await;
    for word in ["MYSTERY", "mystery", "42"] {
        stage.deliver(receipt(ANN, "900", word)).await;
    }
    stage.pause(100).await;
    assert_eq!(stage.status("u").await, "SENT");
    let shown = stage.channel().await;
    assert_eq!(shown.counts.receipts_unread, 3);
    let facts: Vec<&str> = shown.account.iter().map(|fact| &*fact.about).collect();
    assert_eq!(facts, ["receipt word 42", "receipt word MYSTERY"]);
    assert!(shown.account[0].says.contains("receipt_words"), "{:?}", shown.account);
}

/// S4, SMPP 3.4, 2.11 and 5.2.12: an intermediate report is not final.
#[tokio::test(flavor = "multi_thread")]
async fn an_intermediate_report_fails_nothing() {
    let stage = Stage::start("registered_delivery = 17").await;
    for (n, (word, state)) in [
        ("UNDELIV", Some(5)),
        ("ENROUTE", Some(1)),
        ("EXPIRED", None),
        ("DELIVRD", Some(2)),
        ("FAILED", None),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, provider) = (format!("m{n}"), format!("61{n}"));
        stage.answers(&[Some(&provider)]);
        stage.send(&id, ANN, "to Ann").await;
        stage.until_status(&id, "SENT", AT_ONCE).await;
        stage.deliver(Delivery { esm_class: 0x20, state, ..receipt(ANN, &provider, word) }).await;
        stage.pause(50).await;
        assert_eq!(stage.status(&id).await, "SENT", "{word}");
        stage.deliver(receipt(ANN, &provider, "DELIVRD")).await;
        stage.until_status(&id, "DELIVERED", AT_ONCE).await;
        stage.pause(50).await;
        assert_eq!(stage.told(&id), ["DELIVERED"], "{word}");
    }
}

/// S17: the answer is swallowed, and the receipt comes long before the answer is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_settles_a_missing_answer_at_once() {
    let stage = Stage::start("reply_timeout = \"60s\"").await;
    for (n, spelling) in [ANN.to_owned(), format!("+{ANN}"), "017600000001".to_owned()].iter().enumerate() {
        let (id, provider) = (format!("m{n}"), format!("31{n}"));
        stage.answers(&[None]);
        stage.send(&id, ANN, "to Ann").await;
        stage.pause(1_100).await;
        stage.deliver(receipt(spelling, &provider, "DELIVRD")).await;
        stage.until_status(&id, "DELIVERED", AT_ONCE).await;
    }
    // An answer after all, with another id, changes nothing, and the next part is not held up.
    stage.answer_late(0, "999");
    stage.send("next", ANN, "to Ann").await;
    stage.until_status("next", "SENT", AT_ONCE).await;
    assert_eq!(stage.told("m0"), ["DELIVERED"]);
    // A receipt right behind its submit waits for the answer, and is tried soon after.
    stage.answers(&[None]);
    stage.send("quick", BEN, "to Ben").await;
    stage.deliver(receipt(BEN, "320", "UNDELIV")).await;
    stage.until_status("quick", "FAILED", AT_ONCE).await;
}

/// S17: with two parts unanswered, a receipt waits until one is answered; each settles one part.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_settles_none_of_two_missing_answers() {
    let stage = Stage::start("reply_timeout = \"60s\"").await;
    stage.answers(&[None, None]);
    stage.send("long", ANN, &"x".repeat(200)).await;
    stage.pause(1_100).await;
    stage.deliver(receipt(ANN, "41", "DELIVRD")).await;
    stage.deliver(receipt(ANN, "41", "DELIVRD")).await;
    stage.pause(1_200).await;
    assert_eq!(stage.status("long").await, "ENROUTE");
    stage.answer_late(1, "42");
    stage.pause(1_500).await;
    assert_eq!(stage.status("long").await, "SENT", "one receipt is about one part, however often it comes");
    stage.deliver(receipt(ANN, "42", "DELIVRD")).await;
    stage.until_status("long", "DELIVERED", AT_ONCE).await;
    assert!(stage.router.unmatched(None, 0, 10).await.is_empty());
}

/// jasmin #663, ksmppd #59: one receipt for all parts, under the first id or the last.
#[tokio::test(flavor = "multi_thread")]
async fn one_receipt_may_be_about_a_whole_message() {
    for (reported, word, status) in
        [("71", "DELIVRD", "DELIVERED"), ("73", "DELIVRD", "DELIVERED"), ("72", "UNDELIV", "FAILED")]
    {
        let stage = Stage::start("receipts = \"message\"").await;
        stage.answers(&[Some("71"), Some("72"), Some("73")]);
        stage.send("long", ANN, &"x".repeat(400)).await;
        stage.until_status("long", "SENT", AT_ONCE).await;
        stage.deliver(receipt(ANN, reported, word)).await;
        stage.until_status("long", status, AT_ONCE).await;
        assert_eq!(stage.told("long"), [status]);
    }
    let stage = Stage::start("").await;
    stage.answers(&[Some("71"), Some("72")]);
    stage.send("long", ANN, &"x".repeat(200)).await;
    stage.until_status("long", "SENT", AT_ONCE).await;
    stage.deliver(receipt(ANN, "71", "DELIVRD")).await;
    stage.pause(100).await;
    assert_eq!(stage.status("long").await, "SENT", "each part has its own");
}

/// A report on the whole message fails a part that is not answered. The receipt that stands in for
/// its answer settles the message, and counts all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_settles_a_missing_answer_of_a_message_that_failed() {
    let stage = Stage::start("reply_timeout = \"60s\"\nreceipts = \"message\"").await;
    stage.answers(&[Some("511"), None]);
    stage.send("m", ANN, &"x".repeat(200)).await;
    stage.deliver(receipt(ANN, "511", "UNDELIV")).await;
    stage.until_part("m", 1, "FAILED", AT_ONCE).await;
    stage.pause(1_100).await;
    stage.deliver(receipt(ANN, "521", "DELIVRD")).await;
    stage.until_part("m", 1, "DELIVERED", AT_ONCE).await;
    assert_eq!(stage.view("m").await.parts[1].provider_id.as_ref(), "521");
    assert_eq!(stage.told("m"), ["FAILED"], "the other part stays undelivered");
    assert!(stage.router.unmatched(None, 0, 10).await.is_empty());
}

/// A connection whose link is gone says goodbye to the SMSC and hears its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_its_link_unbinds_at_once() {
    let stage = Stage::start("reply_timeout = \"60s\"").await;
    // With an answer outstanding, the links are not told to stop before their channel ends.
    stage.answers(&[None]);
    stage.send("a", ANN, "to Ann").await;
    stage.router.drain(0).await;
    stage.until_unbound(Duration::from_secs(3)).await;
}

/// EASE 1.3: an SMSC gets a national number as it is, and the message says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_national_number_without_a_country_is_noted() {
    for (account, noted) in [("", true), ("country_code = \"49\"", false)] {
        let stage = Stage::start(account).await;
        stage.send("m", "0176123456", "Hello").await;
        stage.send("n", ANN, "Hello").await;
        let adapted = stage.view("m").await.adapted;
        let says = |text: &str| text.contains("0176123456 is a national number");
        assert_eq!(adapted.iter().any(|note| says(note)), noted, "{adapted:?}");
        assert!(!noted || adapted.iter().any(|note| note.contains("set default_country in [[channel]] sms")));
        assert!(stage.view("n").await.adapted.is_empty());
    }
}
