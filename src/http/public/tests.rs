//! The public listener over a real socket, in front of a real router.

use std::{net::SocketAddr, time::Duration};

use message::MessageStatus;
use serde_json::Value;
use simulators::rest::{Inbound, Kind, Signature};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::*;
use crate::{
    config::ApiKey,
    http::serve::Listener,
    testing::{self, CUSTOMER, PUBLIC_URL, QUEUE_MAX, RawAnswer, TestRouter, message, message_to},
};

const LIMITS: EdgeLimits =
    EdgeLimits { max_in_flight: 4, header_timeout: Duration::from_millis(300), ..testing::LIMITS };

const JSON: &str = "content-type: application/json\r\n";

struct Edge {
    address: SocketAddr,
    world: TestRouter,
    stop: watch::Sender<bool>,
}

async fn edge(keys: Vec<ApiKey>) -> Edge {
    let world = TestRouter::start().await;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let address = listener.address();
    let (stop, stopping) = watch::channel(false);
    let handler = PublicHandler::new(world.router.clone(), Keys::new(keys), LIMITS, Some(PUBLIC_URL.into()));
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(listener.serve(LIMITS, move |seat, r| handler.clone().handle(seat, r), stopping));
    for provider in [&world.twilio, &world.facebook] {
        provider.deliver_to(&format!("http://{address}"));
    }
    Edge { address, world, stop }
}

impl Edge {
    async fn ask(&self, line: &str, headers: &str, body: &str) -> RawAnswer {
        testing::ask(self.address, line, headers, body).await
    }

    async fn post(&self, body: &str) -> RawAnswer {
        self.ask("POST /v1/messages", JSON, body).await
    }

    /// Opens a request that is in flight until its body arrives.
    async fn begun(&self, length: usize) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\n{JSON}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut invitation = [0; 25];
        stream.read_exact(&mut invitation).await.unwrap();
        assert_eq!(&invitation, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }
}

#[tokio::test]
async fn a_message_is_accepted_on_every_path_and_a_repeat_is_flagged() {
    let edge = edge(vec![]).await;
    for (at, path) in ["/v1/messages", "/ccm-msg/receive", "/message/receive"].iter().enumerate() {
        let answer = edge.ask(&format!("POST {path}"), JSON, &message(&format!("m-{at}"), "5155")).await;
        let expected = format!(r#"{{"messageId":"m-{at}","status":"ACCEPTED"}}"#);
        assert_eq!((answer.0, answer.2), (202, expected), "{path}");
    }
    let answer = edge.post(&message("m-0", "5155")).await;
    assert_eq!((answer.0, &*answer.2), (202, r#"{"messageId":"m-0","status":"ACCEPTED","duplicate":true}"#));
    let spread = message("m-9", "5155").replace(",\"body\"", "\n,\n\"body\"");
    assert_eq!(edge.post(&spread).await.2, r#"{"messageId":"m-9","status":"ACCEPTED"}"#);
}

#[tokio::test]
async fn every_refusal_has_its_status_and_says_what_to_do() {
    let edge = edge(vec![]).await;
    let no_to = message("m-9", "5155").replace("\"serviceIdentifier\":\"5155\"", "\"x\":1");
    edge.world.accept(&message("used", "5155")).await;
    let cases: &[(String, u16, &[&str])] = &[
        (
            message("m", "unknown"),
            404,
            &["\"status\":\"FAILED\"", "\"reasonCode\":\"404\"", "configured: 5155", "\"messageId\":\"m\""],
        ),
        (message("m", "5155").replace("Hello", ""), 400, &["\"reasonCode\":\"400\"", "\"messageId\":\"m\""]),
        (message_to("+4917600000002", "used", "5155"), 409, &["used before for another address"]),
        (no_to, 400, &["DELIVERYNOTIFICATION", "\"messageId\":\"m-9\"", "serviceIdentifier is missing"]),
        ("{".into(), 400, &["\"status\":\"FAILED\"", "malformed JSON at line 1"]),
        (String::new(), 400, &["malformed JSON"]),
        ("[]".into(), 400, &["no message"]),
        ("[1".into(), 400, &["malformed JSON"]),
        ("\"x\"".into(), 400, &["expected an object"]),
        ("{\"id\":\"".to_owned() + &"x".repeat(9_000), 413, &["larger than 8192 bytes"]),
    ];
    for (body, status, parts) in cases {
        let answer = edge.post(body).await;
        assert_eq!(answer.0, *status, "{body}\n{}", answer.2);
        for part in *parts {
            assert!(answer.2.contains(part), "{body}\n{}\nlacks {part}", answer.2);
        }
        serde_json::from_str::<Value>(&answer.2).expect("an answer is JSON");
    }
}

/// A request (line, headers, body), and the status, code and field of its answer.
type Asked<'a> = (&'a Edge, &'a str, &'a str, &'a str, u16, &'a str, Option<&'a str>);

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let open = edge(vec![]).await;
    let keyed = edge(vec![ApiKey { key: "k".into(), destination: None }]).await;
    let opening = r#"{"serviceIdentifier":"5155","customer":7}"#;
    let large = "{\"id\":\"".to_owned() + &"x".repeat(9_000);
    let cases: &[Asked<'_>] = &[
        (&open, "GET /v1/nothing", "", "", 404, "unknown-route", None),
        (&open, "GET /api/status", "", "", 404, "wrong-port", None),
        (&open, "PUT /v1/messages", "", "", 405, "wrong-method", None),
        (&open, "PUT /webhooks/x", "", "", 405, "wrong-method", None),
        (&open, "POST /media/x/y", "", "", 405, "wrong-method", None),
        (&keyed, "POST /v1/messages", JSON, "{}", 401, "wrong-key", None),
        (&open, "POST /v1/messages", "origin: http://evil.example\r\n", "{}", 403, "foreign-page", None),
        (&open, "POST /v1/messages", "content-type: text/xml\r\n", "{}", 415, "unsupported-type", None),
        (&open, "POST /v1/messages", JSON, &large, 413, "too-large", None),
        (&open, "POST /v1/messages", JSON, "[]", 400, "malformed-body", None),
        (&open, "POST /v1/sessions", JSON, "{", 400, "malformed-body", None),
        (&open, "POST /v1/sessions", JSON, opening, 400, "malformed-body", Some("customer")),
        (&open, "GET /v1/sessions/7", "", "", 400, "wrong-parameter", Some("id")),
        (&open, "GET /v1/messages/none", "", "", 404, "not-found", None),
        (&open, "POST /webhooks/none", "", "", 404, "unknown-webhook", None),
        (&open, "GET /media/sms/none", "", "", 404, "not-found", None),
    ];
    for (edge, line, headers, body, status, code, field) in cases {
        let (got, head, body) = edge.ask(line, headers, body).await;
        assert_eq!(got, *status, "{line}: {body}");
        assert!(head.contains("content-type: application/problem+json"), "{line}: {head}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["type"], format!("/docs/errors#{code}"), "{line}: {body}");
        assert_eq!((&problem["status"], &problem["code"]), (&(*status).into(), &(*code).into()), "{line}");
        assert_eq!(problem["field"].as_str(), *field, "{line}: {body}");
        assert!(["title", "detail", "fix"].iter().all(|key| problem[key].is_string()), "{line}: {body}");
        assert_eq!(got == 405, head.contains("\r\nallow: "), "{line}: {head}");
    }
}

#[tokio::test]
async fn a_full_disk_is_a_503_that_names_the_disk_and_a_time() {
    let edge = edge(vec![]).await;
    edge.world.disk.set_free_bytes(1);
    testing::eventually("a low disk", async || edge.world.log.room().err()).await;
    let answer = edge.post(&message("m", "5155")).await;
    assert_eq!(answer.0, 503, "{}", answer.2);
    assert!(answer.1.contains("retry-after: 10"), "{}", answer.1);
    assert!(answer.2.contains("disk"), "{}", answer.2);
    let several = edge.post(&format!("[{},{}]", message("m", "5155"), message("n", "5155"))).await;
    assert_eq!(several.0, 503, "the client's retry logic must see that nothing was accepted");
}

#[tokio::test]
async fn wrong_paths_methods_and_types_name_the_right_ones() {
    let edge = edge(vec![]).await;
    edge.world.accept(&message("sent", "5155")).await;
    edge.world.until_status("sent", MessageStatus::Delivered).await;
    edge.world.until_spare_is_stopped().await;
    edge.world.accept(&message("queued", "6000")).await;
    let json = message("m", "5155");
    let cases: &[(&str, &str, u16, &str)] = &[
        ("POST /v1/message", JSON, 404, "POST /v1/messages"),
        ("PUT /v1/messages", "", 405, "POST /v1/messages"),
        ("GET /v1/messages", "", 405, "POST /v1/messages"),
        ("POST /v1/messages/x", JSON, 405, "GET and DELETE /v1/messages/{id}"),
        ("POST /v1/messages", "content-type: text/xml\r\n", 415, "application/json"),
        (
            "POST /v1/messages",
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            415,
            "without Content-Encoding",
        ),
        ("GET /v1/messages/none", "", 404, "no such message"),
        ("DELETE /v1/messages/sent", "", 409, "\"status\":409"),
        ("DELETE /v1/messages/queued", "", 200, "CANCELLED"),
        ("GET /v1/messages/sent", "", 200, "\"status\":\"DELIVERED\""),
        ("GET /v1/sessions/x", "", 400, "not a session id"),
        ("DELETE /v1/sessions/s-00000000000000000000000000000001-1", "", 404, "no such open session"),
        ("POST /v1/sessions", JSON, 400, "send {"),
    ];
    for (line, headers, status, part) in cases {
        let answer = edge.ask(line, headers, &json).await;
        assert_eq!(answer.0, *status, "{line} {}", answer.2);
        assert!(answer.2.contains(part), "{line}\n{}\nlacks {part}", answer.2);
    }
}

#[tokio::test]
async fn webhooks_need_a_signature_instead_of_a_key() {
    let edge = edge(vec![ApiKey { key: "secret".into(), destination: None }]).await;
    // The signature covers the public URL with its query, not the address of this listener.
    for provider in [&edge.world.twilio, &edge.world.facebook] {
        let name = provider.about().name;
        let says = |text: &str, signature| Inbound { text: text.into(), signature, ..Inbound::default() };
        let refused = provider.inbound(&says("forged", Signature::Wrong)).await.unwrap();
        assert!(matches!(refused[0].status, Some(401 | 403)), "{name}: {refused:?}");
        let accepted = provider.inbound(&says(name, Signature::Right)).await.unwrap();
        assert_eq!(accepted[0].status, Some(200), "{name}: {accepted:?}");
        edge.world.delivery(name, |_, body| body["body"]["markdownText"] == name).await;
    }
    assert!(!edge.world.was_delivered(|_, body| body["body"]["markdownText"] == "forged"));
    let cases: &[(&str, &str, u16, &str)] = &[
        ("POST /webhooks/chat", "Body=Hi", 403, "signature"),
        ("POST /webhooks/other", "Body=Hi", 404, "no such channel"),
        ("POST /webhooks/sms-main", "Body=Hi", 404, "takes no webhooks"),
        ("PUT /webhooks/chat", "Body=Hi", 405, "GET and POST"),
        ("POST /v1/messages", "{}", 401, "API key"),
    ];
    for (line, body, status, part) in cases {
        let answer = edge.ask(line, "", body).await;
        assert_eq!(answer.0, *status, "{line} {body}: {}", answer.2);
        assert!(answer.2.contains(part), "{line} {body}\n{}\nlacks {part}", answer.2);
    }
    let max = edge.world.router.webhook_bytes_max(&"chat".into()).unwrap();
    assert_eq!(edge.ask("POST /webhooks/chat", "", &"x".repeat(max + 1)).await.0, 413);
}

#[tokio::test]
async fn a_file_of_a_customer_is_served_to_those_who_have_its_address() {
    let edge = edge(vec![ApiKey { key: "secret".into(), destination: None }]).await;
    let octets = channels::toolkit::auth::base64(b"octets");
    let inbound =
        Inbound { kind: Kind::Image, content: octets, mime: "image/png".into(), ..Inbound::default() };
    edge.world.twilio.inbound(&inbound).await.unwrap();
    let delivery = edge.world.delivery("the picture", |_, body| body["body"]["type"] == "IMAGE").await;
    let url = delivery["body"]["attachment"]["mediaUrl"].as_str().unwrap();
    let path = url.strip_prefix(PUBLIC_URL).unwrap();
    let answer = edge.ask(&format!("GET /{path}"), "", "").await;
    assert_eq!((answer.0, &*answer.2), (200, "octets"), "{}", answer.1);
    assert!(answer.1.contains("content-type: image/png"), "{}", answer.1);
    for (line, status, part) in [
        ("GET /media/chat/other", 404, "no such file"),
        ("GET /media/chat", 404, "no such file"),
        ("POST /media/chat/other", 405, "GET"),
    ] {
        let answer = edge.ask(line, "", "").await;
        assert_eq!(answer.0, status, "{line}: {}", answer.2);
        assert!(answer.2.contains(part), "{line}\n{}\nlacks {part}", answer.2);
    }
}

#[tokio::test]
async fn several_messages_get_one_result_each_in_their_order() {
    let edge = edge(vec![]).await;
    edge.world.until_spare_is_stopped().await;
    for at in 0..QUEUE_MAX {
        edge.world.accept(&message(&format!("queued-{at}"), "6000")).await;
    }
    edge.world.accept(&message("dup", "5155")).await;
    let all = [
        message("a", "5155"),
        message("b", "unknown"),
        "{}".into(),
        message("dup", "5155"),
        message("full", "6000"),
    ];
    let array = edge.post(&format!("[{}]", all.join(","))).await;
    let results: Vec<Value> = serde_json::from_str(&array.2).unwrap();
    let of = |at: usize, key: &str| results[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(array.0, 202);
    assert_eq!((of(0, "messageId"), of(0, "status")), ("a".into(), "ACCEPTED".into()));
    assert_eq!((of(1, "messageId"), of(1, "reasonCode")), ("b".into(), "404".into()));
    assert_eq!((of(2, "status"), of(2, "reasonCode")), ("FAILED".into(), "400".into()));
    assert_eq!(results[3]["duplicate"], true);
    assert_eq!(of(4, "status"), "REFUSED");
    assert!(results[4]["retryAfter"].as_u64().is_some_and(|s| s > 0), "{}", results[4]);
    let busy = edge.post(&format!("[{0},{0}]", message("full", "6000"))).await;
    assert_eq!(busy.0, 503, "the client's retry logic must see that nothing was accepted");

    // Lines give the same answers; the first message is now a repeat.
    let ndjson = "content-type: application/x-ndjson\r\n";
    let lines = edge.ask("POST /v1/messages", ndjson, &all.join("\n")).await;
    let again: Vec<Value> = serde_json::from_str(&lines.2).unwrap();
    assert_eq!((lines.0, &again[1..]), (202, &results[1..]));
    assert_eq!(again[0]["duplicate"], true);
    let many = edge.ask("POST /v1/messages", ndjson, &"{}\n".repeat(1_001)).await;
    assert_eq!(many.0, 413, "{}", many.2);
}

#[tokio::test]
async fn a_batch_shares_its_flushes() {
    let edge = edge(vec![]).await;
    edge.world.until_spare_is_stopped().await;
    let batch: Vec<String> =
        (0..20).map(|at| message_to(&format!("+49176000001{at:02}"), &format!("b-{at}"), "6000")).collect();
    let before = edge.world.disk.flushes();
    let answer = edge.post(&format!("[{}]", batch.join(","))).await;
    assert_eq!((answer.0, answer.2.matches("ACCEPTED").count()), (202, batch.len()), "{}", answer.2);
    let flushes = edge.world.disk.flushes() - before;
    assert!(flushes < batch.len() as u64, "{flushes} flushes: the messages went to the router one by one");
}

#[tokio::test]
async fn a_plan_sends_nothing() {
    let edge = edge(vec![]).await;
    // Both channels have recorded what they record at a start.
    edge.world.until_spare_is_stopped().await;
    edge.world.until_channel("sms-main", "connected").await;
    let before = edge.world.router.committed();
    let answer = edge.ask("POST /v1/messages?plan=true", JSON, &message("m", "5155")).await;
    assert_eq!(answer.0, 200);
    assert!(
        answer.2.contains("\"because\":\"") && answer.2.contains("\"channel\":\"sms-main\""),
        "{}",
        answer.2
    );
    assert_eq!(edge.world.router.committed(), before);
    assert_eq!(edge.world.smsc.counts().submits, 0);
}

#[tokio::test]
async fn intents_open_and_end_sessions() {
    let edge = edge(vec![]).await;
    let by = |handler: &str, intent: &str, id: &str| {
        let intent = format!("\"intent\":\"{intent}\",\"sender\"");
        message(id, "5155")
            .replace("\"sender\"", &intent)
            .replace("\"id\":\"a\"", &format!("\"id\":\"{handler}\""))
    };
    let silent = |text: String| text.replace("\"markdownText\":\"Hello\"", "\"markdownText\":\"\"");
    let opened = edge.post(&by("anna", "START_CHAT", "m-1")).await;
    assert_eq!(opened.0, 202, "{}", opened.2);
    let id =
        serde_json::from_str::<Value>(&opened.2).unwrap()["sessionId"].as_str().unwrap().parse().unwrap();
    let session = edge.world.router.session(id, None).await.unwrap();
    assert_eq!((session.state, &*session.handler), ("open", "anna"));
    assert!(session.events.iter().any(|e| e.event == "accepted"), "the words of START_CHAT are sent");

    assert_eq!(edge.post(&by("otto", "START_CHAT", "m-2")).await.0, 409, "anna has the session");
    let takeover = silent(by("otto", "START_CHAT", "m-3"));
    let taken = edge.ask("POST /v1/messages?takeover=true", JSON, &takeover).await;
    assert_eq!(taken.0, 202, "{}", taken.2);

    let ended = edge.post(&silent(by("otto", "end_chat", "m-4"))).await;
    assert_eq!(ended.0, 202, "{}", ended.2);
    assert_eq!(edge.world.router.session(id, None).await.unwrap().state, "closed");
    let gone = edge.post(&by("otto", "END_CHAT", "m-5")).await;
    assert_eq!(gone.0, 404, "{}", gone.2);
}

#[tokio::test]
async fn only_a_key_lets_in_and_it_sets_the_destination() {
    let key = |key: &str, to: Option<&str>| ApiKey { key: key.into(), destination: to.map(Into::into) };
    let edge = edge(vec![key("k-1", None), key("k-2", Some("crm"))]).await;
    let json = message("m-1", "5155");
    assert_eq!(edge.post(&json).await.0, 401);
    assert_eq!(edge.ask("GET /nowhere", "", "").await.0, 401, "strangers learn no routes");
    assert_eq!(edge.ask("POST /v1/messages", "x-api-key: k-3\r\n", &json).await.0, 401);
    assert_eq!(edge.ask("POST /v1/messages", "authorization: Bearer k-1\r\n", &json).await.0, 202);
    let second = message_to("+4917600000002", "m-2", "5155");
    assert_eq!(edge.ask("POST /v1/messages", "x-api-key: k-2\r\n", &second).await.0, 202);
    for (id, path) in [("m-1", "/support"), ("m-2", "/crm")] {
        let notified = |to: &str, body: &Value| to == path && body["body"]["messageId"] == id;
        edge.world.delivery(&format!("the notification of {id} at {path}"), notified).await;
    }
}

#[tokio::test]
async fn a_page_of_another_site_neither_sends_nor_reads() {
    let edge = edge(vec![]).await;
    let json = message("m", "5155");
    let own = format!("{JSON}origin: http://{}\r\n", edge.address);
    let cases: &[(&str, &str, u16)] = &[
        // What a page may send without asking first.
        ("POST /v1/messages", "content-type: text/plain\r\n", 415),
        ("POST /v1/messages", "content-type: application/x-www-form-urlencoded\r\n", 415),
        ("POST /v1/messages", "content-type: multipart/form-data; boundary=x\r\n", 415),
        ("POST /v1/messages", "", 415),
        ("POST /ccm-msg/receive", "content-type: text/plain\r\n", 415),
        ("POST /v1/sessions", "content-type: text/plain\r\n", 415),
        ("POST /v1/messages", "content-type: text/plain\r\norigin: https://evil.example\r\n", 403),
        ("POST /v1/messages", "content-type: application/json\r\norigin: https://evil.example\r\n", 403),
        ("POST /v1/messages", "content-type: application/json\r\norigin: null\r\n", 403),
        ("DELETE /v1/messages/m", "origin: https://evil.example\r\n", 403),
        ("DELETE /v1/messages/m", "sec-fetch-site: cross-site\r\n", 403),
        // A host name of another site that leads here.
        ("POST /v1/messages", "host: evil.example\r\ncontent-type: application/json\r\n", 403),
        ("GET /v1/messages/m", "host: evil.example:8080\r\n", 403),
        ("GET /v1/sessions/s-00000000000000000000000000000001-1", "host: evil.example\r\n", 403),
        ("POST /v1/messages", &own, 202),
    ];
    for (line, headers, status) in cases {
        let answer = edge.ask(line, headers, &json).await;
        assert_eq!(answer.0, *status, "{line} {headers}: {}", answer.2);
    }
    // Providers call webhooks by the public name, and with any type.
    let hook = edge.ask("POST /webhooks/chat", "host: example.org\r\n", "Body=Hi").await;
    assert_eq!(hook.0, 403, "its signature is missing");
    assert!(hook.2.contains("signature"), "{}", hook.2);
}

#[tokio::test]
async fn a_destinations_key_reaches_only_its_own() {
    let key = |key: &str, to: Option<&str>| ApiKey { key: key.into(), destination: to.map(Into::into) };
    let keys = vec![key("full", None), key("support", Some("support")), key("crm", Some("crm"))];
    let edge = edge(keys).await;
    let ask = async |key: &str, line: &str, body: &str| {
        edge.ask(line, &format!("{JSON}x-api-key: {key}\r\n"), body).await
    };
    edge.world.until_spare_is_stopped().await;
    // 6000 is a number of support; crm may send from it.
    for (key, id, customer) in
        [("full", "m-full", 1), ("support", "m-support", 2), ("crm", "m-crm", 3), ("crm", "m-crm-2", 4)]
    {
        let json = message_to(&format!("+491760000000{customer}"), id, "6000");
        assert_eq!(ask(key, "POST /v1/messages", &json).await.0, 202);
    }
    let missing = ask("crm", "GET /v1/messages/none", "").await;
    for (key, id, status) in [
        ("crm", "m-crm", 200),
        ("crm", "m-support", 404),
        ("crm", "m-full", 404),
        ("support", "m-crm", 404),
        ("support", "m-support", 200),
        ("support", "m-full", 200),
        ("full", "m-crm", 200),
    ] {
        let answer = ask(key, &format!("GET /v1/messages/{id}"), "").await;
        assert_eq!(answer.0, status, "{key} {id}: {}", answer.2);
        assert!(status == 200 || answer.2 == missing.2, "{}", answer.2);
    }
    for (key, id, status) in [
        ("crm", "m-support", 404),
        ("support", "m-crm", 404),
        ("crm", "m-crm", 200),
        ("full", "m-crm-2", 200),
    ] {
        let answer = ask(key, &format!("DELETE /v1/messages/{id}"), "").await;
        assert_eq!(answer.0, status, "{key} {id}: {}", answer.2);
    }
    // Sessions belong to the destination of the number.
    let opening = |handler: &str| {
        format!(
            r#"{{"serviceIdentifier":"6000","customer":"+4917600000009","handler":"{handler}","takeover":true}}"#
        )
    };
    let opened = ask("support", "POST /v1/sessions", &opening("anna")).await;
    assert_eq!(opened.0, 200, "{}", opened.2);
    let session = serde_json::from_str::<Value>(&opened.2).unwrap()["sessionId"].as_str().unwrap().to_owned();
    let taken = ask("crm", "POST /v1/sessions", &opening("otto")).await;
    assert_eq!(taken.0, 404, "{}", taken.2);
    assert!(!taken.2.contains("5155"), "numbers of others are not named: {}", taken.2);
    let start = message_to("+4917600000009", "m-start", "6000")
        .replace("\"sender\"", "\"intent\":\"START_CHAT\",\"sender\"");
    assert_eq!(ask("crm", "POST /v1/messages?takeover=true", &start).await.0, 404);
    let end = message_to("+4917600000009", "m-end", "6000")
        .replace("\"sender\"", "\"intent\":\"END_CHAT\",\"sender\"");
    assert_eq!(ask("crm", "POST /v1/messages", &end).await.0, 404);
    assert_eq!(ask("full", "GET /v1/messages/m-end", "").await.0, 404, "its text was not sent");
    for (key, method, status) in [
        ("crm", "GET", 404),
        ("crm", "DELETE", 404),
        ("support", "GET", 200),
        ("full", "GET", 200),
        ("support", "DELETE", 200),
    ] {
        let answer = ask(key, &format!("{method} /v1/sessions/{session}"), "").await;
        assert_eq!(answer.0, status, "{key} {method}: {}", answer.2);
    }
}

#[tokio::test]
async fn one_id_with_another_content_is_refused() {
    let edge = edge(vec![]).await;
    edge.world.until_spare_is_stopped().await;
    let first = message("m-1", "6000");
    let other = first.replace("Hello", "Goodbye");
    assert_eq!(edge.post(&first).await.0, 202);
    let differs = edge.post(&other).await;
    assert_eq!(differs.0, 409, "{}", differs.2);
    assert!(differs.2.contains("another content"), "{}", differs.2);
    assert!(edge.post(&first).await.2.contains("\"duplicate\":true"));
    // Both in one request, and after the message is finished.
    let both = edge
        .post(&format!("[{},{}]", message("m-2", "5155"), message("m-2", "5155").replace("Hello", "Bye")))
        .await;
    let results: Vec<Value> = serde_json::from_str(&both.2).unwrap();
    assert_eq!(
        (results[0]["status"].as_str(), results[1]["status"].as_str()),
        (Some("ACCEPTED"), Some("FAILED"))
    );
    edge.world.until_status("m-2", MessageStatus::Delivered).await;
    assert_eq!(edge.post(&message("m-2", "5155").replace("Hello", "Bye")).await.0, 409);
    assert!(edge.post(&message("m-2", "5155")).await.2.contains("\"duplicate\":true"));
}

#[tokio::test]
async fn slow_heads_are_cut_off_and_requests_beyond_the_limit_are_put_off() {
    let edge = edge(vec![]).await;
    let slow = testing::exchange(edge.address, "POST /v1/messages HTTP/1.1\r\nhost:").await;
    assert!(matches!(slow.0, 0 | 408), "{slow:?}");
    let mut open = Vec::new();
    for _ in 0..LIMITS.max_in_flight {
        open.push(edge.begun(10).await);
    }
    let refused = edge.post(&message("m", "5155")).await;
    assert_eq!(refused.0, 503);
    assert!(refused.1.contains("retry-after: 1"), "{}", refused.1);
    drop(open);
}

#[tokio::test]
async fn stopping_answers_requests_in_flight() {
    let edge = edge(vec![]).await;
    let json = message("m", "5155");
    let mut stream = edge.begun(json.len()).await;
    edge.stop.send_replace(true);
    stream.write_all(json.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("202 Accepted") && answer.contains("ACCEPTED"), "{answer}");
    assert!(edge.world.router.message(&"m".into()).await.is_ok());
    assert_eq!(CUSTOMER, &*edge.world.router.message(&"m".into()).await.unwrap().customer);
}
