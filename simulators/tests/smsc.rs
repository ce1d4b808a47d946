//! The simulated SMSC over in-memory pipes under paused time: every fault happens as the script
//! says, and the records are right.
#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use channels::smpp::pdu::{Address, BindKind, CommandId, Pdu, ShortMessage};
use simulators::smsc::{
    BindCount, IdStyle, Mo, MoConcat, MoOrder, Pattern, ReceiptForm, ReceiptVia, Remember, Seen, Smsc,
    SmscScript,
};
use support::{ANSWER, Client, Frame, RECEIPT, commands, message_id, text};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

#[tokio::test(start_paused = true)]
async fn a_submit_is_answered_and_receipted() {
    let smsc = Smsc::new(SmscScript { receipt_delay_ms: 500, ..SmscScript::default() });
    let mut seen = smsc.observe(100);
    let mut client = Client::bound(&smsc).await;
    let sequence = client.submit("4917", "Hello").await;
    let begun = Instant::now();
    let all = client.drain().await;
    assert_eq!(commands(&all), [ANSWER, RECEIPT]);
    assert_eq!((all[0].0.sequence, all[0].0.status), (sequence, 0));
    let id = message_id(&all[0].1);
    let receipt = text(&all[1].1);
    assert!(
        receipt.starts_with(&format!("id:{id} sub:001")) && receipt.contains("stat:DELIVRD"),
        "{receipt}"
    );
    assert_eq!(begun.elapsed().as_millis(), 1_500, "the receipt came after half a second");
    client.request(&Pdu::EnquireLink).await;
    assert_eq!(client.next().await.unwrap().0.command, CommandId::ENQUIRE_LINK.reply());
    client.request(&Pdu::Unbind).await;
    assert_eq!(commands(&client.drain().await), [CommandId::UNBIND.reply()]);
    let counts = smsc.counts();
    assert_eq!((counts.submits, counts.accepted, counts.receipts_acked, counts.unbinds), (1, 1, 1, 1));
    assert_eq!((smsc.times("4917", "Hello"), smsc.times("4917", "hello")), (1, 0));
    assert_eq!(seen.recv().await, Some(Seen::Bound { system_id: "esme".into() }));
    assert!(matches!(seen.recv().await, Some(Seen::Submit(submit)) if *submit.message_id == *id));
    assert!(matches!(seen.recv().await, Some(Seen::Message(message)) if &*message.text == "Hello"));
    assert!(matches!(seen.recv().await, Some(Seen::Closed { .. })));
}

/// Sends four submits under a script; returns the status of each answer, and -1 for each receipt.
async fn outcome(script: SmscScript) -> (Vec<i64>, Smsc) {
    let smsc = Smsc::new(script);
    let mut client = Client::bound(&smsc).await;
    for number in 0..4 {
        client.submit("4917", &format!("n{number}")).await;
    }
    let all = client.drain().await;
    let word = |(header, _): &Frame| if header.command == RECEIPT { -1 } else { i64::from(header.status) };
    (all.iter().map(word).collect(), smsc)
}

#[tokio::test(start_paused = true)]
async fn faulty_answers_follow_the_script() {
    let base = SmscScript { receipt_delay_ms: 300, ..SmscScript::default() };
    let with = |change: fn(&mut SmscScript)| {
        let mut script = base.clone();
        change(&mut script);
        outcome(script)
    };
    assert_eq!(with(|_| {}).await.0, [0, 0, 0, 0, -1, -1, -1, -1]);
    assert_eq!(with(|s| s.throttle_per_second = 2).await.0, [0, 0, 0x58, 0x58, -1, -1]);
    let refused = with(|s| {
        s.refuse = Pattern::Every(2);
        s.refuse_status = 0x14;
    });
    assert_eq!(refused.await.0, [0, 0x14, 0, 0x14, -1, -1]);
    let (swallowed, smsc) = with(|s| s.swallow = Pattern::Every(4)).await;
    assert_eq!(swallowed, [0, 0, 0, -1, -1, -1, -1], "its receipt still comes");
    assert_eq!(smsc.counts().swallowed, 1);
    let late = with(|s| {
        s.late = Pattern::Every(4);
        s.late_ms = 900;
    });
    assert_eq!(late.await.0, [0, 0, 0, -1, -1, -1, -1, 0]);
    let slow = with(|s| s.latency_ms = 400);
    assert_eq!(slow.await.0, [0, 0, 0, 0, -1, -1, -1, -1], "a receipt waits for its answer");
    assert_eq!(with(|s| s.receipt_first = Pattern::Every(4)).await.0, [0, 0, 0, -1, 0, -1, -1, -1]);
    assert_eq!(with(|s| s.receipt_duplicate = Pattern::Every(4)).await.0, [0, 0, 0, 0, -1, -1, -1, -1, -1]);
    assert_eq!(with(|s| s.receipt_stale = Pattern::Every(4)).await.0, [0, 0, 0, 0, -1, -1, -1, -1, -1]);
    assert_eq!(with(|s| s.receipt_lost = Pattern::Every(2)).await.0, [0, 0, 0, 0, -1, -1]);
    assert_eq!(with(|s| s.write_bytes_max = 1).await.0, [0, 0, 0, 0, -1, -1, -1, -1]);
}

async fn with_silence(script: SmscScript) -> usize {
    let smsc = Smsc::new(script);
    let mut client = Client::bound(&smsc).await;
    client.request(&Pdu::EnquireLink).await;
    client.drain().await.len()
}

#[tokio::test(start_paused = true)]
async fn a_link_can_be_silent_and_is_probed() {
    assert_eq!(with_silence(SmscScript { enquire_silent: true, ..SmscScript::default() }).await, 0);
    assert_eq!(with_silence(SmscScript::default()).await, 1);
    let smsc = Smsc::new(SmscScript::default());
    let mut client = Client::bound(&smsc).await;
    smsc.change(|script| script.silent = true);
    client.submit("4917", "Hello").await;
    assert_eq!((client.drain().await.len(), smsc.counts().submits), (0, 0), "half-open");
    let smsc = Smsc::new(SmscScript { enquire_after_ms: 5_000, ..SmscScript::default() });
    let mut client = Client::bound(&smsc).await;
    let begun = Instant::now();
    assert_eq!(client.read().await.unwrap().0.command, CommandId::ENQUIRE_LINK);
    assert!((5_000..=6_000).contains(&begun.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn jitter_reorders_and_loses_nothing() {
    let script = SmscScript { latency_jitter_ms: 200, receipt_jitter_ms: 200, ..SmscScript::default() };
    let smsc = Smsc::new(script);
    let mut client = Client::bound(&smsc).await;
    for number in 0..100 {
        client.submit("4917", &format!("n{number}")).await;
    }
    let all = client.drain().await;
    let of = |command| {
        let own = all.iter().filter(|(header, _)| header.command == command);
        own.map(|(header, body)| (header.sequence, body.clone())).collect::<Vec<_>>()
    };
    let (answers, receipts) = (of(ANSWER), of(RECEIPT));
    assert_eq!((answers.len(), receipts.len()), (100, 100));
    assert!(!answers.is_sorted(), "answers overtake each other");
    let ids: Vec<String> = receipts.iter().map(|(_, body)| text(body)).collect();
    assert!(!ids.is_sorted(), "receipts overtake each other");
}

#[tokio::test(start_paused = true)]
async fn the_receipt_of_a_cut_submit_arrives_over_the_next_connection() {
    for (accepts, receipts) in [(true, 2), (false, 1)] {
        let script =
            SmscScript { drop_connection: Pattern::Every(2), drop_accepts: accepts, ..SmscScript::default() };
        let smsc = Smsc::new(SmscScript { receipt_delay_ms: 100, already_bound_ms: 5_000, ..script });
        let mut client = Client::bound(&smsc).await;
        client.submit("4917", "one").await;
        assert_eq!(client.read().await.unwrap().0.command, ANSWER);
        client.submit("4917", "two").await;
        assert!(client.read().await.is_none(), "the second submit is never answered");
        assert_eq!(smsc.times("4917", "two"), u32::from(accepts));
        let mut again = Client::connect(&smsc);
        assert_eq!(
            again.bind(BindKind::Transceiver, "esme", "pw").await,
            0x05,
            "the old one is not forgotten"
        );
        sleep(Duration::from_secs(5)).await;
        assert_eq!(again.bind(BindKind::Transceiver, "esme", "pw").await, 0);
        assert_eq!(again.drain().await.len(), receipts);
        assert_eq!(smsc.counts().receipts_acked, receipts as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_cut_after_octets_or_on_request() {
    let smsc = Smsc::new(SmscScript { drop_after_bytes: 200, ..SmscScript::default() });
    let mut client = Client::bound(&smsc).await;
    for _ in 0..5 {
        client.submit("4917", "Hello").await;
    }
    client.drain().await;
    let counts = smsc.counts();
    assert!((1..5).contains(&counts.submits) && counts.dropped == 1, "{counts:?}");

    let smsc = Smsc::new(SmscScript::default());
    let mut client = Client::bound(&smsc).await;
    smsc.unbind_all();
    let (header, _) = client.next().await.unwrap();
    assert_eq!(header.command, CommandId::UNBIND);
    client.write(&Pdu::UnbindResp, 0, header.sequence).await;
    assert!(client.read().await.is_none());
    let mut client = Client::bound(&smsc).await;
    smsc.drop_connections();
    assert!(client.read().await.is_none());
    assert_eq!(smsc.binds(), [BindCount { system_id: "esme".into(), binds: 0 }]);
}

#[tokio::test(start_paused = true)]
async fn malformed_pdus_do_not_end_the_session() {
    let script = SmscScript {
        malformed: Pattern::Always,
        unknown_command: Pattern::Every(2),
        ..SmscScript::default()
    };
    let smsc = Smsc::new(SmscScript { receipts: simulators::smsc::Receipts::Never, ..script });
    let mut client = Client::bound(&smsc).await;
    for _ in 0..20 {
        client.submit("4917", "Hello").await;
    }
    let all = client.drain().await;
    let broken = |(header, body): &&Frame| Pdu::read(header.command, header.status, body).is_err();
    assert!(all.iter().filter(broken).count() > 3);
    assert_eq!(commands(&all).iter().filter(|command| command.name().is_none()).count(), 10);
    assert!(commands(&all).iter().filter(|command| **command == ANSWER).count() >= 20);
    smsc.change(|script| script.bad_length = Pattern::Always);
    client.submit("4917", "Hello").await;
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(1), client.stream.read_to_end(&mut rest)).await;
    assert!(rest.ends_with(&[0, 0, 0, 8, 0, 0, 0, 0]));
    // The SMSC survives malformed PDUs of the client, too.
    let mut client = Client::bound(&smsc).await;
    client.stream.write_all(&[0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4]).await.unwrap();
    assert_eq!(client.next().await.unwrap().0.status, 0x02);
    client.stream.write_all(&[0xff; 40]).await.unwrap();
    assert!(client.read().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn binds_are_refused_for_every_reason() {
    let accounts = BTreeMap::from([("esme".to_owned(), "pw".to_owned())]);
    let smsc = Smsc::new(SmscScript { accounts, binds_max: 1, bind_delay_ms: 50, ..SmscScript::default() });
    let mut client = Client::connect(&smsc);
    let kind = BindKind::Transmitter;
    assert_eq!(client.bind(kind, "nobody", "pw").await, 0x0F);
    assert_eq!(client.bind(kind, "esme", "wrong").await, 0x0E);
    assert_eq!(client.bind(kind, "esme", "pw").await, 0);
    assert_eq!(Client::connect(&smsc).bind(kind, "esme", "pw").await, 0x05);
    smsc.change(|script| script.bind_status = 0x0D);
    assert_eq!(Client::connect(&smsc).bind(kind, "esme", "pw").await, 0x0D);
    let mut receiver = Client::connect(&smsc);
    smsc.change(|script| (script.bind_status, script.binds_max) = (0, 0));
    assert_eq!(receiver.bind(BindKind::Receiver, "esme", "pw").await, 0);
    receiver.submit("4917", "Hello").await;
    assert_eq!(receiver.next().await.unwrap().0.status, 0x04);
    client.submit("4917", "Hello").await;
    assert_eq!(commands(&client.drain().await), [ANSWER]);
    assert_eq!(commands(&receiver.drain().await), [RECEIPT], "a transmitter gets no receipts");
    assert_eq!(smsc.counts().binds_refused, 4);
}

#[tokio::test(start_paused = true)]
async fn receipts_leave_over_the_requested_bind() {
    for (via, first, second) in
        [(ReceiptVia::Same, 4, 0), (ReceiptVia::Other, 0, 4), (ReceiptVia::Turns, 2, 2)]
    {
        let smsc = Smsc::new(SmscScript { receipt_via: via, receipt_delay_ms: 10, ..SmscScript::default() });
        let mut client = Client::bound(&smsc).await;
        let mut other = Client::bound(&smsc).await;
        for _ in 0..4 {
            client.submit("4917", "Hello").await;
        }
        assert_eq!(client.drain().await.len(), 4 + first, "{via:?}");
        assert_eq!(other.drain().await.len(), second, "{via:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ids_and_receipts_have_every_style() {
    let forms = vec![ReceiptForm::Short, ReceiptForm::Payload];
    let smsc = Smsc::new(SmscScript { receipt_forms: forms, receipt_delay_ms: 1, ..SmscScript::default() });
    let mut client = Client::bound(&smsc).await;
    for style in IdStyle::ALL {
        smsc.change(|script| script.id_style = style);
        client.submit("4917", "Hello").await;
        let all = client.drain().await;
        let (id, receipt) = (message_id(&all[0].1), text(&all[1].1));
        let named = receipt.split(' ').next().unwrap().trim_start_matches("id:").to_owned();
        let number = |text: &str, radix| u64::from_str_radix(text, radix).unwrap_or_default();
        let fits = match style {
            IdStyle::Decimal | IdStyle::Hex | IdStyle::Padded | IdStyle::Uuid => id == named,
            IdStyle::HexThenDecimal => number(&id, 16) == number(&named, 10) && id != named,
            IdStyle::DecimalThenHex => number(&id, 10) == number(&named, 16) && id != named,
            IdStyle::PlainThenPadded => number(&id, 10) == number(&named, 10) && id != named,
            IdStyle::LowerThenUpper => id.to_uppercase() == named,
            IdStyle::Empty => id.is_empty() && !named.is_empty(),
        };
        assert!(fits, "{style:?}: {id} {named}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_messages_are_joined_and_repeats_and_rates_recorded() {
    let smsc = Smsc::new(SmscScript::default());
    let mut client = Client::bound(&smsc).await;
    let part = |number: u8| [&[5, 0, 3, 9, 2, number], format!("part {number} ").as_bytes()].concat();
    for number in [2, 1, 2] {
        let octets = part(number);
        let message = ShortMessage {
            destination: Address { ton: 1, npi: 1, text: b"4917" },
            esm_class: 0x40,
            short_message: &octets,
            ..ShortMessage::default()
        };
        client.request(&Pdu::SubmitSm(message)).await;
        sleep(Duration::from_millis(100)).await;
    }
    client.drain().await;
    assert_eq!(smsc.texts_to("4917"), ["part 1 part 2 ".into()]);
    assert_eq!(smsc.times("4917", "part 1 part 2 "), 1);
    let repeated = smsc.repeated();
    assert_eq!((repeated.len(), repeated[0].times, &*repeated[0].text), (1, 2, "part 2 "));
    assert_eq!((smsc.most_in(100), smsc.most_in(150), smsc.most_in(1_000)), (1, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn customers_messages_arrive_in_all_forms_and_orders() {
    let smsc = Smsc::new(SmscScript::default());
    let long = "Lorem ipsum dolor sit amet, ".repeat(12);
    let waiting =
        smsc.send_mo(&Mo { from: "+491".into(), to: "5155".into(), text: "early".into(), ..Mo::default() });
    let mut client = Client::bound(&smsc).await;
    assert_eq!(text(&client.drain().await[0].1), "early");
    assert_eq!(smsc.mo(waiting.unwrap()).unwrap().acked, 1);
    for concat in [MoConcat::Udh8, MoConcat::Udh16, MoConcat::Sar, MoConcat::Payload] {
        let straight =
            Mo { text: long.clone(), from: "491".into(), to: "5155".into(), concat, ..Mo::default() };
        let reversed = Mo { order: MoOrder::Reversed, ..straight.clone() };
        let mut texts = Vec::new();
        for mo in [straight, reversed] {
            let id = smsc.send_mo(&mo).unwrap();
            let parts: Vec<Vec<u8>> = client.drain().await.into_iter().map(|(_, body)| body).collect();
            let state = smsc.mo(id).unwrap();
            assert_eq!((state.parts as usize, state.acked), (parts.len(), state.parts), "{concat:?}");
            texts.push(parts);
        }
        assert_eq!(texts[0].len(), if concat == MoConcat::Payload { 1 } else { 3 });
        texts[1].reverse();
        let words = |parts: &[Vec<u8>]| {
            let texts = parts.iter().map(|body| {
                let (message, _) = ShortMessage::read(body).unwrap();
                let header = if message.esm_class == 0x40 { usize::from(message.text()[0]) + 1 } else { 0 };
                String::from_utf8(message.text()[header..].to_vec()).unwrap()
            });
            texts.collect::<String>()
        };
        assert_eq!((words(&texts[0]), words(&texts[1])), (long.clone(), long.clone()), "{concat:?}");
    }
    assert!(smsc.send_mo(&Mo { text: "x".repeat(40_000), ..Mo::default() }).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_delivery_is_repeated() {
    let smsc = Smsc::new(SmscScript { deliver_again_ms: 200, deliver_tries_max: 4, ..SmscScript::default() });
    let mut client = Client::bound(&smsc).await;
    let mo = Mo { from: "491".into(), to: "5155".into(), text: "Hi".into(), ..Mo::default() };
    let id = smsc.send_mo(&mo).unwrap();
    let (header, _) = client.next().await.unwrap();
    client.ack(header, 0x64).await;
    let begun = Instant::now();
    let (_, body) = client.next().await.unwrap();
    assert_eq!((text(&body), begun.elapsed().as_millis()), ("Hi".to_owned(), 200));
    drop(client);
    let mut client = Client::bound(&smsc).await;
    let (_, body) = client.next().await.unwrap();
    assert_eq!(text(&body), "Hi", "after a reconnect");
    let begun = Instant::now();
    let (header, _) = client.read().await.unwrap();
    assert!((30_000..=31_000).contains(&begun.elapsed().as_millis()), "after the timeout");
    assert_eq!(smsc.deliveries_open(), 1);
    client.ack(header, 0x64).await;
    let counts = smsc.wait_for(|counts| counts.given_up == 1).await;
    assert_eq!((counts.redeliveries, counts.mo_acked, smsc.mo(id).unwrap().refused), (3, 0, 1));
    assert_eq!(smsc.deliveries_open(), 0);
}

#[tokio::test(start_paused = true)]
async fn background_messages_keep_their_rate() {
    let smsc = Smsc::new(SmscScript { remember: Remember::Counts, ..SmscScript::default() });
    let mut client = Client::bound(&smsc).await;
    smsc.change(|script| script.mo_per_second = 250);
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        let (header, body) = client.read().await.unwrap();
        count += 1;
        assert_eq!(text(&body), format!("Hello {count}"));
        client.ack(header, 0).await;
    }
    assert!((990..=1_010).contains(&count), "{count}");
    smsc.change(|script| script.mo_per_second = 0);
    client.drain().await;
    assert!(client.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_give_equal_courses() {
    let course = |seed| async move {
        let by_chance = Pattern::Rate(0.2);
        let smsc = Smsc::new(SmscScript {
            seed,
            latency_jitter_ms: 50,
            receipt_jitter_ms: 50,
            refuse: by_chance,
            swallow: by_chance,
            receipt_lost: by_chance,
            malformed: by_chance,
            ..SmscScript::default()
        });
        let mut client = Client::bound(&smsc).await;
        for number in 0..200 {
            client.submit("4917", &format!("n{number}")).await;
        }
        client.drain().await
    };
    assert_eq!(course(7).await, course(7).await);
    assert_ne!(course(7).await, course(8).await);
}
