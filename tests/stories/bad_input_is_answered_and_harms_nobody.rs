//! Bad input from outside, over HTTP or SMPP, is answered; good input beside it is handled, nothing
//! hangs and nothing panics (the process's log is checked when it ends).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{
    Patchbay, Peer, SOON, Setup, Sink,
    cim::{self, DID},
    peer::With,
    raw,
};

async fn stage() -> (Peer, Sink, Patchbay) {
    let peer = Peer::start(With::Sim, json!({})).await;
    let sink = Sink::start().await;
    let patchbay = Setup::simple(peer.port, &sink.url)
        .http("body_max = \"1MB\"\nheader_timeout = \"500ms\"")
        .start()
        .await;
    patchbay.until_channel("sms", "connected").await;
    (peer, sink, patchbay)
}

fn broken(path: &[&str], value: Value) -> Vec<u8> {
    let mut message = cim::text("m-bad", "+4917600000001", "x");
    let last = path.iter().fold(&mut message, |at, key| &mut at[*key]);
    *last = value;
    message.to_string().into_bytes()
}

/// The cases: each input, the status of its answer, and a piece of the answer.
fn table() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let channel_data = ["header", "channelData"];
    let in_data = |key| [channel_data[0], channel_data[1], key];
    let good = cim::text("m-ok", "+4917600000001", "x").to_string();
    let mut bad_utf8 = good.clone().into_bytes();
    let at = bad_utf8.len() - 5;
    bad_utf8[at] = 0xff;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("[{}]", vec![good.as_str(); 1_001].join(","));
    let half_pair = good.replace("\"x\"", r#""\ud83d""#);
    vec![
        ("nothing", b"".to_vec(), 400, ""),
        ("no JSON", b"hello".to_vec(), 400, "FAILED"),
        ("half a message", good.as_bytes()[..good.len() / 2].to_vec(), 400, "FAILED"),
        ("JSON and more", format!("{good} x").into_bytes(), 400, "FAILED"),
        ("a number", b"42".to_vec(), 400, "FAILED"),
        ("null", b"null".to_vec(), 400, "FAILED"),
        ("an empty array", b"[]".to_vec(), 400, "no message"),
        ("an empty object", b"{}".to_vec(), 400, "FAILED"),
        ("an array of endless depth", deep.into_bytes(), 202, "\"reasonCode\":\"400\""),
        ("bad UTF-8", bad_utf8, 400, "FAILED"),
        ("half a surrogate pair", half_pair.into_bytes(), 400, "FAILED"),
        ("a body that is a text", broken(&["body"], json!("x")), 400, "body"),
        ("a text that is a number", broken(&["body", "markdownText"], json!(7)), 400, "markdownText"),
        ("a type that is an object", broken(&["body", "type"], json!({})), 400, "type"),
        ("a header that is an array", broken(&["header"], json!([])), 400, "header"),
        (
            "a number that is a list",
            broken(&in_data("channelCustomerIdentifier"), json!([1])),
            400,
            "channelCustomer",
        ),
        ("no customer", broken(&in_data("channelCustomerIdentifier"), Value::Null), 400, "channelCustomer"),
        ("a priority of 11", broken(&in_data("requestPriority"), json!(11)), 400, "requestPriority"),
        ("a validity of ever", attribute("validityPeriod", "ever"), 400, "validityPeriod"),
        ("an endless id", broken(&["id"], json!("x".repeat(5_000))), 400, "id"),
        (
            "a customer who is no number",
            broken(&in_data("channelCustomerIdentifier"), json!("'; drop")),
            400,
            "FAILED",
        ),
        ("an unknown channel", broken(&in_data("serviceIdentifier"), json!("9999")), 404, "404"),
        ("an internal note", broken(&["body", "type"], json!("WRAPUP")), 400, "FAILED"),
        ("a text without end", broken(&["body", "markdownText"], json!("x".repeat(100_000))), 400, "FAILED"),
        ("2 MB", vec![b' '; 2_000_000], 413, "body_max"),
        ("1,001 messages", many.into_bytes(), 413, ""),
    ]
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    cim::attribute(cim::text("m-bad", "+4917600000001", "x"), key, json!(value)).to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http() {
    let (peer, sink, patchbay) = stage().await;
    println!("{:<28} status  answer", "request");
    for (what, body, status, told) in table() {
        let answer = patchbay.post(body).await;
        println!("{what:<28} {:<7} {}", answer.status, answer.text.chars().take(140).collect::<String>());
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        assert!(answer.text.contains(told), "{what} should tell {told:?}: {}", answer.text);
        answer.json();
    }
    let large = patchbay.post(vec![b' '; 2_000_000]).await;
    assert_eq!(large.headers["connection"], "close", "the rest is not read, and the client is told");
    // Good and bad items in one request: each gets its own answer.
    let good = |id: &str| cim::text(id, "+4917600000001", id);
    let mut unknown = good("other");
    unknown["header"]["channelData"]["serviceIdentifier"] = json!("9999");
    let answer = patchbay.post(json!([good("one"), { "id": "bad" }, unknown, good("two")]).to_string()).await;
    assert_eq!(answer.status, 202);
    let results = answer.json();
    let statuses: Vec<_> =
        results.as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["ACCEPTED", "FAILED", "FAILED", "ACCEPTED"], "{results}");
    for id in ["one", "two"] {
        sink.wait_for(id, SOON, |m| m["body"]["messageId"] == id).await;
    }
    assert_eq!(
        peer.smsc().texts_to("4917600000001"),
        ["one".into(), "two".into()],
        "only the good ones went out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_by_the_octet() {
    let (_peer, sink, patchbay) = stage().await;
    let host = "host: 127.0.0.1\r\ncontent-type: application/json\r\n";
    let table: &[(&str, String, &[u16])] = &[
        ("rubbish", "\0\x01\x02rubbish\r\n\r\n".into(), &[0, 400]),
        ("half a head, then nothing", format!("POST /v1/messages HTTP/1.1\r\n{host}"), &[0, 408]),
        (
            "an endless head",
            format!("GET / HTTP/1.1\r\n{host}x: {}\r\n\r\n", "y".repeat(1 << 20)),
            &[0, 400, 431],
        ),
        (
            "two lengths",
            format!("POST /v1/messages HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
            &[0, 400],
        ),
        (
            "a length of -1",
            format!("POST /v1/messages HTTP/1.1\r\n{host}content-length: -1\r\n\r\n"),
            &[0, 400],
        ),
        (
            "2 MB in chunks",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{host}connection: close\r\ntransfer-encoding: chunked\r\n\r\n1e8480\r\n{}\r\n0\r\n\r\n",
                " ".repeat(2_000_000)
            ),
            &[413],
        ),
        (
            "a bad chunk",
            format!("POST /v1/messages HTTP/1.1\r\n{host}transfer-encoding: chunked\r\n\r\nzz\r\n"),
            &[0, 400],
        ),
        ("another method", format!("PUT /v1/messages HTTP/1.1\r\n{host}connection: close\r\n\r\n"), &[405]),
        ("another path", format!("GET /v2 HTTP/1.1\r\n{host}connection: close\r\n\r\n"), &[404]),
        (
            "a session that is none",
            format!("GET /v1/sessions/x HTTP/1.1\r\n{host}connection: close\r\n\r\n"),
            &[400],
        ),
        (
            "a message that is none",
            format!("GET /v1/messages/%ff%00 HTTP/1.1\r\n{host}connection: close\r\n\r\n"),
            &[400, 404],
        ),
    ];
    for (what, octets, allowed) in table {
        let (status, text) = raw::http(&patchbay.public, octets.as_bytes(), Duration::from_secs(20)).await;
        println!(
            "{what:<28} {status:<4} {}",
            text.lines().last().unwrap_or_default().chars().take(100).collect::<String>()
        );
        assert!(allowed.contains(&status), "{what}: {text}");
    }
    // Slow clients: each opens a connection and sends one octet of its head. They are cut off, and
    // others do not wait.
    let address = patchbay.public.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"P").await.unwrap();
        slow.push(stream);
    }
    patchbay.send(&cim::text("beside", "+4917600000001", "beside them")).await;
    sink.wait_for("the one beside them", SOON, |m| m["body"]["messageId"] == "beside").await;
    for mut stream in slow {
        let mut rest = Vec::new();
        let ended = timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a slow head is cut off");
    }
}

fn pdu(length: u32, command: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let words = [length, command, status, sequence];
    let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    octets.extend_from_slice(body);
    octets
}

/// A hand-made SMSC: accepts a connection, answers the bind, and gives the stream to the test.
async fn accept_bound(tcp: &TcpListener) -> TcpStream {
    let (mut stream, _) = timeout(SOON, tcp.accept()).await.expect("it connects again").unwrap();
    let bind = read_pdu(&mut stream).await;
    assert_eq!(bind[4..8], [0, 0, 0, 9], "a bind_transceiver");
    stream.write_all(&answered(&bind, b"x\0")).await.unwrap();
    stream
}

/// Returns a good answer to a request.
fn answered(request: &[u8], body: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_be_bytes(request[at..at + 4].try_into().unwrap());
    let length = u32::try_from(16 + body.len()).unwrap();
    pdu(length, word(4) | 0x8000_0000, 0, word(12), body)
}

async fn read_pdu(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 4];
    timeout(SOON, stream.read_exact(&mut head)).await.expect("a PDU comes").unwrap();
    let length = u32::from_be_bytes(head) as usize;
    let mut all = vec![0; length];
    all[..4].copy_from_slice(&head);
    timeout(SOON, stream.read_exact(&mut all[4..])).await.expect("all of it").unwrap();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn over_smpp() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Sink::start().await;
    let setup = Setup::new().destination("support", &sink.url, "");
    let port = tcp.local_addr().unwrap().port();
    let patchbay = setup.channel("sms", DID, port, "", "reply_timeout = \"2s\"").start().await;
    let deliver_body = b"\0\x01\x01491\0\0\x005155\0\0\0\0\0\0\0\0\0\0\x05hello";
    // The input, and whether the session must survive it (then with this answer) or must end.
    enum Then {
        Answered(u32, Option<u32>),
        GivenUp,
        Ignored,
    }
    use Then::{Answered, GivenUp, Ignored};
    let table: Vec<(&str, Vec<u8>, Then)> = vec![
        ("length 0", pdu(0, 5, 0, 1, b""), GivenUp),
        ("length 15", pdu(15, 5, 0, 1, b""), GivenUp),
        ("length 2^31", pdu(1 << 31, 5, 0, 1, b""), GivenUp),
        ("length 2^32 - 1", pdu(u32::MAX, 5, 0, 1, b""), GivenUp),
        ("an unknown command", pdu(16, 0x0666, 0, 77, b""), Answered(0x8000_0000, Some(3))),
        ("a deliver_sm without a body", pdu(16, 5, 0, 78, b""), Answered(0x8000_0005, None)),
        ("a truncated deliver_sm", pdu(26, 5, 0, 79, &deliver_body[..10]), Answered(0x8000_0005, None)),
        (
            "an sm_length beyond the end",
            {
                let mut body = deliver_body.to_vec();
                let at = body.len() - 6;
                body[at] = 200;
                pdu(16 + body.len() as u32, 5, 0, 80, &body)
            },
            Answered(0x8000_0005, None),
        ),
        ("an answer nobody waits for", pdu(17, 0x8000_0004, 0, 4_711, b"\0"), Ignored),
        ("an answer with sequence 0", pdu(17, 0x8000_0004, 0, 0, b"\0"), Ignored),
        ("a nack nobody waits for", pdu(16, 0x8000_0000, 3, 0xffff_ffff, b""), Ignored),
        ("a request only an ESME sends", pdu(16, 4, 0, 81, b""), Answered(0x8000_0004, None)),
        (
            "an enquire_link with a body",
            pdu(20, 0x15, 0, 0xffff_fff0, b"junk"),
            Answered(0x8000_0015, Some(0)),
        ),
    ];
    let mut stream = accept_bound(&tcp).await;
    for (what, octets, then) in table {
        stream.write_all(&octets).await.unwrap();
        match then {
            GivenUp => {
                let mut rest = Vec::new();
                let ended = timeout(SOON, stream.read_to_end(&mut rest)).await;
                assert!(ended.is_ok(), "{what}: the link must be given up");
                println!("{what:<32} given up, bound again");
                stream = accept_bound(&tcp).await;
            }
            Answered(command, status) => {
                let answer = read_pdu(&mut stream).await;
                let word = |at: usize| u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
                println!("{what:<32} {:#010x} status {:#x}", word(4), word(8));
                assert!(word(4) == command || word(4) == 0x8000_0000, "{what}: {:#x}", word(4));
                assert_eq!(answer[12..16], octets[12..16], "{what}: the same sequence");
                if let Some(status) = status {
                    assert_eq!(word(8), status, "{what}");
                }
            }
            Ignored => println!("{what:<32} passed over"),
        }
        // The link works: good messages pass in both directions.
        let body = [&deliver_body[..], b""].concat();
        stream.write_all(&pdu(16 + body.len() as u32, 5, 0, 1_000, &body)).await.unwrap();
        let answer = read_pdu(&mut stream).await;
        assert_eq!(
            (&answer[4..8], &answer[8..16]),
            (&[0x80, 0, 0, 5][..], &[0, 0, 0, 0, 0, 0, 3, 0xe8][..]),
            "{what}"
        );
    }
    assert!(!sink.texts().is_empty());
    drop(stream);
    let counts = patchbay.channel("sms").await;
    println!("counted as malformed: {}", counts["counts"]["malformed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_wrong_sequence_settles_nothing() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Sink::start().await;
    let port = tcp.local_addr().unwrap().port();
    let patchbay = Setup::simple(port, &sink.url).start().await;
    let mut stream = accept_bound(&tcp).await;
    patchbay.send(&cim::text("m-1", "+4917600000001", "x")).await;
    let submit = read_pdu(&mut stream).await;
    assert_eq!(submit[4..8], [0, 0, 0, 4]);
    let mut wrong = answered(&submit, b"stranger\0");
    wrong[15] ^= 0x55;
    stream.write_all(&wrong).await.unwrap();
    stream.write_all(&answered(&submit, b"mine\0")).await.unwrap();
    let view = patchbay.until_status("m-1", "SENT").await;
    assert_eq!(view["parts"][0]["providerId"], "mine", "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_bind_is_told_and_not_hammered() {
    let peer = Peer::start(With::Sim, json!({ "bind_status": 0x0E })).await;
    let sink = Sink::start().await;
    let patchbay = Setup::simple(peer.port, &sink.url).start().await;
    let channel = patchbay.until_channel("sms", "credentials_refused").await;
    println!("told: {}", channel["reason"]);
    patchbay.send(&cim::text("m-1", "+4917600000001", "kept")).await;
    let refused = peer.count("binds_refused").await;
    assert!(refused <= 3, "{refused} attempts");
    // The queue is kept; once the password is right again, an operator restarts the channel.
    peer.set(json!({ "bind_status": 0 })).await;
    let url = format!("{}/api/channels/sms/restart", patchbay.admin);
    let answer = patchbay.http.post(&url, "").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    sink.wait_for("the kept one", SOON, |m| m["body"]["messageId"] == "m-1").await;
    assert_eq!(peer.count("binds").await, 1);
}
