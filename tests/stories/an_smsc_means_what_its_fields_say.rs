//! The meaning of fields of PDUs: types of numbers, alphabets, classes, validity, ports, and
//! one reference for all long messages. The SMSC here is a list of PDUs, so that none of our own
//! misunderstandings stands on its side.

use std::sync::{Arc, Mutex};

use channels::smpp::{
    frame::Frames,
    pdu::{self, Address, BindReply, CommandId, IdReply, Pdu, PduHeader, ShortMessage, Tlv, Tlvs},
    tlv,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::support::{
    Patchbay, SOON, Setup, Sink,
    cim::{self, DID},
    until,
};

/// A submit_sm as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Came {
    source: (u8, u8, String),
    destination: (u8, u8, String),
    esm_class: u8,
    data_coding: u8,
    validity: String,
    text: Vec<u8>,
    ports: Option<(u32, u32)>,
}

/// An SMSC that takes everything.
struct RawSmsc {
    port: u16,
    binds: Arc<Mutex<Vec<(u8, u8, String)>>>,
    came: Arc<Mutex<Vec<Came>>>,
    to_send: mpsc::UnboundedSender<Vec<u8>>,
    serving: JoinHandle<()>,
}

impl Drop for RawSmsc {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl RawSmsc {
    async fn start() -> Self {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let (to_send, mut waiting) = mpsc::unbounded_channel();
        let (binds, came) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (all_binds, all_came) = (binds.clone(), came.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                serve(stream, &mut waiting, &all_binds, &all_came).await;
            }
        });
        Self { port, binds, came, to_send, serving }
    }

    fn deliver(&self, message: &ShortMessage<'_>) {
        let mut octets = Vec::new();
        pdu::write_submit(CommandId::DELIVER_SM, message, 7, &mut octets).unwrap();
        self.to_send.send(octets).unwrap();
    }

    /// Delivers a text from a number of a type.
    fn says(&self, ton: u8, from: &str, data_coding: u8, text: &[u8]) {
        self.deliver(&ShortMessage {
            source: Address { ton, npi: 1, text: from.as_bytes() },
            destination: Address { ton: 0, npi: 1, text: DID.as_bytes() },
            data_coding,
            short_message: text,
            ..ShortMessage::default()
        });
    }

    async fn submit(&self, n: usize) -> Came {
        until("a submit", SOON, || async move {
            let came = self.came.lock().unwrap();
            came.get(n).cloned().ok_or(came.len())
        })
        .await
    }
}

async fn serve(
    mut stream: TcpStream,
    waiting: &mut mpsc::UnboundedReceiver<Vec<u8>>,
    binds: &Mutex<Vec<(u8, u8, String)>>,
    came: &Mutex<Vec<Came>>,
) {
    let (mut frames, mut buffer, mut is_bound) = (Frames::new(70_000), vec![0; 65_536], false);
    loop {
        let mut out = Vec::new();
        tokio::select! {
            octets = waiting.recv(), if is_bound => out = octets.unwrap_or_default(),
            read = stream.read(&mut buffer) => match read {
                Ok(octets) if octets > 0 => frames.push(&buffer[..octets]),
                _ => return,
            },
        }
        while let Some(frame) = frames.next_frame().unwrap() {
            let PduHeader { command, status, sequence } = frame.header;
            let mut reply = |answer: &Pdu<'_>| pdu::write(answer, 0, sequence, &mut out).unwrap();
            match Pdu::read(command, status, &frame.body).unwrap().0 {
                Pdu::Bind(kind, bind) => {
                    binds.lock().unwrap().push(owned(&bind.address_range));
                    reply(&Pdu::BindResp(kind, BindReply { system_id: b"raw", ..BindReply::default() }));
                    is_bound = true;
                }
                Pdu::SubmitSm(message) => {
                    came.lock().unwrap().push(Came::of(&message));
                    let id = came.lock().unwrap().len().to_string();
                    reply(&Pdu::SubmitSmResp(IdReply { message_id: id.as_bytes(), ..IdReply::default() }));
                }
                Pdu::EnquireLink => reply(&Pdu::EnquireLinkResp),
                Pdu::Unbind => reply(&Pdu::UnbindResp),
                _ => {}
            }
        }
        stream.write_all(&out).await.unwrap();
    }
}

fn owned(address: &Address<'_>) -> (u8, u8, String) {
    (address.ton, address.npi, String::from_utf8(address.text.to_vec()).expect("a C-string is ASCII"))
}

impl Came {
    fn of(message: &ShortMessage<'_>) -> Self {
        let port = |tag| message.tlvs.number(tag);
        Self {
            source: owned(&message.source),
            destination: owned(&message.destination),
            esm_class: message.esm_class,
            data_coding: message.data_coding,
            validity: String::from_utf8(message.validity_period.to_vec()).unwrap(),
            text: message.text().to_vec(),
            ports: port(tlv::DESTINATION_PORT).zip(port(tlv::SOURCE_PORT)),
        }
    }
}

async fn stage(keys: &str, account: &str) -> (RawSmsc, Sink, Patchbay) {
    let smsc = RawSmsc::start().await;
    let sink = Sink::start().await;
    let setup =
        Setup::new().destination("support", &sink.url, "").channel("sms", DID, smsc.port, keys, account);
    let patchbay = setup.start().await;
    patchbay.until_channel("sms", "connected").await;
    (smsc, sink, patchbay)
}

/// Waits for a customer's text; returns the customer's address as the business gets it.
async fn customer_of(sink: &Sink, text: &str) -> (String, Value) {
    let says = |message: &Value| message["body"]["markdownText"] == text;
    let body = sink.wait_for(text, SOON, says).await.body;
    let customer = body["header"]["channelData"]["channelCustomerIdentifier"].as_str().unwrap().to_owned();
    (customer, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_leads_back_by_its_type() {
    for (account, expected) in [
        ("", [(2, "7600003300"), (0, "07600003301"), (0, "7600003302"), (3, "72727"), (1, "447600003303")]),
        (
            "country_code = \"44\"",
            [(1, "447600003300"), (1, "447600003301"), (0, "7600003302"), (3, "72727"), (1, "447600003303")],
        ),
    ] {
        let (smsc, sink, patchbay) = stage("", account).await;
        let from =
            [(2, "7600003300"), (1, "07600003301"), (0, "7600003302"), (3, "72727"), (1, "447600003303")];
        for (n, (ton, number)) in from.into_iter().enumerate() {
            let text = format!("from {number}");
            smsc.says(ton, number, 0, text.as_bytes());
            let (customer, body) = customer_of(&sink, &text).await;
            patchbay.send(&cim::text(&format!("answer-{n}"), &customer, "Yes?")).await;
            let (ton, number) = expected[n];
            let came = smsc.submit(n).await;
            assert_eq!((came.destination.0, &*came.destination.2), (ton, number), "{account} {customer}");
            let answered = patchbay.message(&format!("answer-{n}")).await;
            assert_eq!(answered["sessionId"], body["header"]["channelSessionId"], "{customer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_are_one_session() {
    let (smsc, sink, _patchbay) = stage("", "country_code = \"44\"").await;
    let mut sessions = std::collections::BTreeSet::new();
    for (n, (ton, number)) in [
        (1, "447600003300"),
        (2, "7600003300"),
        (0, "07600003300"),
        (0, "00447600003300"),
        (0, "447600003300"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("spelling {n}");
        smsc.says(ton, number, 0, text.as_bytes());
        let (_, body) = customer_of(&sink, &text).await;
        sessions.insert(body["header"]["channelSessionId"].to_string());
    }
    assert_eq!(sessions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bind_and_the_validity_have_the_forms_of_the_account() {
    let account = "addr_ton = 1\naddr_npi = 1\naddress_range = \"^5155\"\nvalidity_form = \"absolute\"\n\
                   source_ton = 6\nsource_npi = 9\ndest_ton = 0\ndest_npi = 8";
    let (smsc, _sink, patchbay) = stage("", account).await;
    assert_eq!(smsc.binds.lock().unwrap()[0], (1, 1, "^5155".into()));
    patchbay.send(&cim::text("one", "+4917600000001", "Hello")).await;
    let came = smsc.submit(0).await;
    assert_eq!(came.source, (6, 9, DID.into()));
    assert_eq!(came.destination, (0, 8, "4917600000001".into()));
    assert!(came.validity.len() == 16 && came.validity.ends_with("000+"), "{}", came.validity);

    let (smsc, _sink, patchbay) = stage("validity = \"100d\"", "").await;
    let answer = patchbay.send(&cim::text("long", "+4917600000001", "Hello")).await;
    assert_eq!(smsc.submit(0).await.validity, "000063000000000R");
    let told = patchbay.message("long").await["adapted"].to_string();
    assert!(told.contains("63 days instead of 100"), "{told} {answer}");

    let (smsc, _sink, patchbay) = stage("", "validity_form = \"none\"").await;
    patchbay.send(&cim::text("none", "+4917600000001", "Hello")).await;
    assert_eq!(smsc.submit(0).await.validity, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_and_ports_are_asked_for_by_attributes() {
    let (smsc, sink, patchbay) = stage("", "").await;
    let flash = cim::attribute(cim::text("flash", "+4917600000001", "Now!"), "messageClass", json!("0"));
    patchbay.send(&flash).await;
    assert_eq!(smsc.submit(0).await.data_coding, 0xF0);
    let cyrillic = cim::attribute(cim::text("cyr", "+4917600000001", "Сейчас"), "flash", json!(true));
    patchbay.send(&cyrillic).await;
    assert_eq!(smsc.submit(1).await.data_coding, 0x18);
    let ports =
        json!([{ "key": "destinationPort", "value": 2948 }, { "key": "sourcePort", "value": "9200" }]);
    patchbay
        .send(&cim::with(cim::text("port", "+4917600000001", "app"), "additionalAttributes", ports))
        .await;
    let came = smsc.submit(2).await;
    assert_eq!((came.esm_class, &came.text[..]), (0x40, &b"\x06\x05\x04\x0B\x84\x23\xF0app"[..]));

    for (key, value) in [
        ("messageClass", json!(4)),
        ("messageClass", json!("loud")),
        ("destinationPort", json!(65_536)),
        ("destinationPort", json!("http")),
        ("sourcePort", json!(80)),
        ("flash", json!("perhaps")),
    ] {
        let wrong = cim::attribute(cim::text("wrong", "+4917600000001", "x"), key, value.clone());
        for url in ["", "?plan=true"] {
            let answer = patchbay.http.post(&format!("{}{url}", patchbay.messages), wrong.to_string()).await;
            let answer = answer.unwrap();
            assert_eq!(answer.status, 400, "{key} {value}: {}", answer.text);
            let named = format!(
                "additionalAttributes[{}]",
                if key == "sourcePort" { "destinationPort" } else { key }
            );
            assert!(answer.text.contains(&named), "{key} {value}: {}", answer.text);
        }
    }

    let list = [
        Tlv { tag: tlv::DESTINATION_PORT, value: &[0x0B, 0x84] },
        Tlv { tag: tlv::SOURCE_PORT, value: &[0x23, 0xF0] },
    ];
    smsc.deliver(&ShortMessage {
        source: Address { ton: 1, npi: 1, text: b"4917600000001" },
        destination: Address { ton: 0, npi: 1, text: DID.as_bytes() },
        data_coding: 0xF0,
        short_message: b"to the app",
        tlvs: Tlvs::list(&list),
        ..ShortMessage::default()
    });
    let (_, body) = customer_of(&sink, "to the app").await;
    let attributes = body["header"]["channelData"]["additionalAttributes"].to_string();
    for part in ["messageClass", "\"0\"", "destinationPort", "2948", "sourcePort", "9200"] {
        assert!(attributes.contains(part), "{attributes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_direction_has_its_alphabet() {
    let (smsc, sink, patchbay) = stage("", "alphabet_in = \"latin1\"").await;
    for (data_coding, octets, text) in [
        (0, &b"M\xFCller @ 5_1"[..], "Müller @ 5_1"),
        (14, b"\xBE\xC8\xB3\xE7", "안녕"),
        (5, b"\x82\xB1\x82\xF1\x82\xC9\x82\xBF\x82\xCD", "こんにちは"),
        (10, b"\x1B$BF|K\\\x1B(B", "日本"),
        (13, b"\x8F\xB0\xA1", "丂"),
        (6, b"\xBF\xE0\xD8", "При"),
        (3, b"\x80 5", "€ 5"),
    ] {
        smsc.says(1, "4917600000001", data_coding, octets);
        customer_of(&sink, text).await;
    }
    patchbay.send(&cim::text("out", "+4917600000001", "Müller @")).await;
    let came = smsc.submit(0).await;
    assert_eq!((came.data_coding, &came.text[..]), (0, &b"M\x7Eller \x00"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reference_for_all_messages_cuts_none() {
    let (smsc, sink, _patchbay) = stage("", "").await;
    let part = |number: u8, text: &str| {
        let octets = [&[5, 0, 3, 1, 2, number], text.as_bytes()].concat();
        smsc.deliver(&ShortMessage {
            source: Address { ton: 1, npi: 1, text: b"4917600000001" },
            destination: Address { ton: 0, npi: 1, text: DID.as_bytes() },
            esm_class: 0x40,
            short_message: &octets,
            ..ShortMessage::default()
        });
    };
    part(1, "Your bill of May is 10. ");
    part(2, "Regards, the shop");
    customer_of(&sink, "Your bill of May is 10. Regards, the shop").await;
    part(1, "Your bill of June is 20. ");
    part(2, "Regards, the shop");
    customer_of(&sink, "Your bill of June is 20. Regards, the shop").await;
    // The server repeats the whole: nothing more.
    part(1, "Your bill of June is 20. ");
    part(2, "Regards, the shop");
    part(1, "Your bill of July is 30. ");
    part(2, "Regards, the shop");
    customer_of(&sink, "Your bill of July is 30. Regards, the shop").await;
    assert_eq!(sink.texts().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_sent_is_refused_at_once() {
    let (_smsc, _sink, patchbay) = stage("", "bind = \"receiver\"").await;
    let hour_ago = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
        as u64
        - 3_600_000;
    let message = cim::text("never", "+4917600000001", "Hello").to_string();
    for url in ["", "?plan=true"] {
        let url = format!("{}{url}", patchbay.messages);
        let answer = patchbay.http.post(&url, message.clone()).await.unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains("transceiver"), "{}", answer.text);
    }
    let (_smsc, _sink, patchbay) = stage("", "").await;
    let mut late = cim::text("late", "+4917600000001", "Hello");
    late["header"]["schedulingMetaData"] = json!({ "expiresAt": hour_ago });
    let mut file = cim::text("file", "+4917600000001", "");
    file["body"] = json!({ "type": "IMAGE", "caption": "x",
        "attachment": { "mediaUrl": "file:///tmp/x.png", "mimeType": "image/png", "mediaName": "x", "size": 1 } });
    for (message, named) in [
        (late, "expiresAt"),
        (file, "attachment.mediaUrl"),
        (cim::text("name", "MyBank", "Hello"), "names cannot answer"),
        (cim::text("name", "12345678901;ton=5", "Hello"), "names cannot answer"),
        (cim::text("long", "+1234567890123456", "Hello"), "at most 15"),
    ] {
        for url in ["", "?plan=true"] {
            let answer = patchbay
                .http
                .post(&format!("{}{url}", patchbay.messages), message.to_string())
                .await
                .unwrap();
            assert_eq!(answer.status, 400, "{named} {url}: {}", answer.text);
            assert!(answer.text.contains(named), "{named} {url}: {}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_channels_the_one_that_sends_is_chosen() {
    let (smsc, receiver) = (RawSmsc::start().await, RawSmsc::start().await);
    let sink = Sink::start().await;
    let setup = Setup::new()
        .destination("support", &sink.url, "")
        .channel("in", DID, receiver.port, "", "bind = \"receiver\"")
        .channel("out", DID, smsc.port, "", "bind = \"transmitter\"");
    let patchbay = setup.start().await;
    patchbay.until_channel("out", "connected").await;
    patchbay.send(&cim::text("sent", "+4917600000001", "Hello")).await;
    assert_eq!(smsc.submit(0).await.destination.2, "4917600000001");
}
