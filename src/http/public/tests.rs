//! The public surface over a real socket, with a router that answers as the test asks.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::*;
use crate::{config::ApiKey, core::fake::Fake, http::serve::Listener};

const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 4,
    body_bytes_max: 8 * 1024,
    connections_max: 16,
    header_timeout: Duration::from_millis(300),
};

struct Edge {
    address: SocketAddr,
    core: Arc<Fake>,
    stop: watch::Sender<bool>,
}

async fn edge(keys: Vec<ApiKey>) -> Edge {
    let core = Arc::new(Fake::default());
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let address = listener.address();
    let (stop, stopping) = watch::channel(false);
    let handler = Handler::new(core.clone(), Keys::new(keys), LIMITS, Some("https://example.org/".into()));
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(listener.serve(LIMITS, move |r| handler.clone().handle(r), stopping));
    Edge { address, core, stop }
}

impl Edge {
    /// Sends a request as it stands; status, head and body of the answer.
    async fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "no end to the answer of {request}");
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_owned())
    }

    async fn ask(&self, line: &str, headers: &str, body: &str) -> (u16, String, String) {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.raw(&request).await
    }

    async fn post(&self, body: &str) -> (u16, String, String) {
        self.ask("POST /v1/messages", "content-type: application/json\r\n", body).await
    }
}

fn message(id: &str, to: &str) -> String {
    format!(
        r#"{{"id":"{id}","header":{{"channelData":{{"channelCustomerIdentifier":"+4917600000001","serviceIdentifier":"{to}"}},"sender":{{"id":"a","type":"AGENT","senderName":"a"}}}},"body":{{"type":"PLAIN","markdownText":"Hello"}}}}"#
    )
}

#[tokio::test]
async fn a_message_is_accepted_on_every_path_and_a_repetition_is_told() {
    let edge = edge(vec![]).await;
    for path in ["/v1/messages", "/ccm-msg/receive", "/message/receive"] {
        let answer = edge.ask(&format!("POST {path}"), "", &message("m-1", "5155")).await;
        assert_eq!((answer.0, &*answer.2), (202, r#"{"messageId":"m-1","status":"ACCEPTED"}"#), "{path}");
    }
    let answer = edge.post(&message("dup-1", "5155")).await;
    assert_eq!(
        (answer.0, &*answer.2),
        (202, r#"{"messageId":"dup-1","status":"ACCEPTED","duplicate":true}"#)
    );
    let spread = message("m-2", "5155").replace(",\"body\"", "\n,\n\"body\"");
    assert_eq!(edge.post(&spread).await.2, r#"{"messageId":"m-2","status":"ACCEPTED"}"#);
}

#[tokio::test]
async fn every_refusal_has_its_status_and_says_what_to_do() {
    let edge = edge(vec![]).await;
    let no_to = message("m-9", "5155").replace("\"serviceIdentifier\":\"5155\"", "\"x\":1");
    let cases: &[(String, u16, &[&str])] = &[
        (
            message("m", "unknown"),
            404,
            &["\"status\":\"FAILED\"", "\"reasonCode\":\"404\"", "configured: 5155", "\"messageId\":\"m\""],
        ),
        (message("m", "unsendable"), 400, &["\"reasonCode\":\"400\"", "there is no text in it"]),
        (message("m", "busy"), 503, &["the disk is nearly full"]),
        (message("m", "taken"), 409, &["used before for another address"]),
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
        serde_json::from_str::<serde_json::Value>(&answer.2).expect("an answer is JSON");
    }
    assert!(edge.post(&message("m", "busy")).await.1.contains("retry-after: 7"));
}

#[tokio::test]
async fn wrong_paths_methods_and_types_are_told_what_there_is() {
    let edge = edge(vec![]).await;
    let json = message("m", "5155");
    let cases: &[(&str, &str, u16, &str)] = &[
        ("POST /v1/message", "", 404, "POST /v1/messages"),
        ("PUT /v1/messages", "", 405, "POST /v1/messages"),
        ("GET /v1/messages", "", 405, "POST /v1/messages"),
        ("POST /v1/messages/x", "", 405, "GET and DELETE /v1/messages/{id}"),
        ("POST /v1/messages", "content-type: text/xml\r\n", 415, "application/json"),
        ("POST /v1/messages", "content-encoding: gzip\r\n", 415, "without Content-Encoding"),
        ("GET /v1/messages/none", "", 404, "no such message"),
        ("DELETE /v1/messages/late", "", 409, "sent already"),
        ("DELETE /v1/messages/m", "", 200, "CANCELLED"),
        ("GET /v1/messages/m", "", 200, "\"status\":\"DELIVERED\""),
        ("GET /v1/sessions/x", "", 400, "not a session id"),
        ("DELETE /v1/sessions/s-00000000000000000000000000000001-1", "", 404, "no such session"),
        ("POST /v1/sessions", "", 400, "expected {"),
    ];
    for (line, headers, status, part) in cases {
        let answer = edge.ask(line, headers, &json).await;
        assert_eq!(answer.0, *status, "{line} {}", answer.2);
        assert!(answer.2.contains(part), "{line}\n{}\nlacks {part}", answer.2);
    }
}

#[tokio::test]
async fn webhooks_need_no_key_and_are_answered_as_the_router_says() {
    let edge = edge(vec![ApiKey { key: "secret".into(), destination: None }]).await;
    let cases: &[(&str, &str, u16, &str)] = &[
        ("POST /webhooks/http?a=b", "fine", 200, "{}"),
        ("GET /webhooks/http", "", 200, "{}"),
        ("POST /webhooks/http", "wrong", 403, "signature"),
        ("POST /webhooks/http", "odd", 400, "no JSON"),
        ("POST /webhooks/http", "later", 503, "not stored"),
        ("POST /webhooks/other", "fine", 404, "no such channel"),
        ("PUT /webhooks/http", "fine", 405, "GET and POST"),
        ("POST /ccm/webhook", "{}", 200, "EVENT_RECEIVED"),
        ("GET /media/http/picture", "", 200, "octets"),
        ("GET /media/http/gone", "", 502, "expired"),
        ("GET /media/http/busy", "", 503, "too many"),
        ("GET /media/http/other", "", 404, "no such file"),
        ("GET /media/http", "", 404, "no such file"),
        ("POST /media/http/picture", "", 405, "GET"),
    ];
    for (line, body, status, part) in cases {
        let answer = edge.ask(line, "", body).await;
        assert_eq!(answer.0, *status, "{line} {body}: {}", answer.2);
        assert!(answer.2.contains(part), "{line} {body}\n{}\nlacks {part}", answer.2);
    }
    let large = "x".repeat(1_025);
    assert_eq!(edge.ask("POST /webhooks/http", "", &large).await.0, 413);
    let asked = edge.core.asked.lock().unwrap().clone();
    assert_eq!(asked.first().unwrap(), "POST http https://example.org/webhooks/http?a=b fine");
    assert_eq!(asked.len(), 6, "what is refused here never comes to the router: {asked:?}");
}

#[tokio::test]
async fn several_messages_get_a_result_each_in_their_order() {
    let edge = edge(vec![]).await;
    let all = [
        message("a", "5155"),
        message("b", "unknown"),
        "{}".into(),
        message("dup", "5155"),
        message("e", "busy"),
    ];
    let array = edge.post(&format!("[{}]", all.join(","))).await;
    let lines =
        edge.ask("POST /v1/messages", "content-type: application/x-ndjson\r\n", &all.join("\n")).await;
    assert_eq!((array.0, &array.2), (202, &lines.2));
    let results: Vec<serde_json::Value> = serde_json::from_str(&array.2).unwrap();
    let of = |at: usize, key: &str| results[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((of(0, "messageId"), of(0, "status")), ("a".into(), "ACCEPTED".into()));
    assert_eq!((of(1, "messageId"), of(1, "reasonCode")), ("b".into(), "404".into()));
    assert_eq!((of(2, "status"), of(2, "reasonCode")), ("FAILED".into(), "400".into()));
    assert_eq!(results[3]["duplicate"], true);
    assert_eq!((of(4, "status"), &results[4]["retryAfter"]), ("REFUSED".into(), &7.into()));
    assert_eq!(edge.core.asked.lock().unwrap()[0], "accept 4 for None", "one call for all of them");
    let busy = edge.post(&format!("[{0},{0}]", message("e", "busy"))).await;
    assert_eq!(busy.0, 503, "nothing was taken, so the client's retry must see it");
    let many =
        edge.ask("POST /v1/messages", "content-type: application/x-ndjson\r\n", &"{}\n".repeat(1_001)).await;
    assert_eq!(many.0, 413, "{}", many.2);
}

#[tokio::test]
async fn a_plan_sends_nothing() {
    let edge = edge(vec![]).await;
    let answer = edge.ask("POST /v1/messages?plan=true", "", &message("m", "5155")).await;
    assert_eq!(answer.0, 200);
    assert!(answer.2.contains("\"because\":\"the only channel with 5155\""), "{}", answer.2);
    assert_eq!(*edge.core.asked.lock().unwrap(), ["plan"]);
}

#[tokio::test]
async fn intents_open_and_end_sessions() {
    let edge = edge(vec![]).await;
    let with = |intent: &str, to: &str| {
        message("m", to).replace("\"sender\"", &format!("\"intent\":\"{intent}\",\"sender\""))
    };
    let silent = |text: String| text.replace("\"markdownText\":\"Hello\"", "\"markdownText\":\"\"");
    let answer = edge.post(&with("START_CHAT", "5155")).await;
    assert_eq!(answer.0, 202, "{}", answer.2);
    assert!(answer.2.contains("\"sessionId\":\"s-0000000000000000000000000000feed-1\""), "{}", answer.2);
    let answer = edge.post(&silent(with("end_chat", "5155"))).await;
    assert_eq!(answer.0, 202, "{}", answer.2);
    assert_eq!(
        *edge.core.asked.lock().unwrap(),
        [
            "open for \"a\" takeover false",
            "accept 1 for None",
            "plan",
            "end s-0000000000000000000000000000feed-1"
        ]
    );
    assert_eq!(edge.post(&with("START_CHAT", "held")).await.0, 409);
    let taken = edge.ask("POST /v1/messages?takeover=true", "", &silent(with("START_CHAT", "held"))).await;
    assert_eq!(taken.0, 202, "{}", taken.2);
    let gone = edge.post(&with("END_CHAT", "5155").replace("+4917600000001", "+1")).await;
    assert_eq!(gone.0, 404, "{}", gone.2);
}

#[tokio::test]
async fn only_a_key_lets_in_and_it_tells_the_destination() {
    let key = |key: &str, to: Option<&str>| ApiKey { key: key.into(), destination: to.map(Into::into) };
    let edge = edge(vec![key("k-1", None), key("k-2", Some("crm"))]).await;
    let json = message("m", "5155");
    assert_eq!(edge.post(&json).await.0, 401);
    assert_eq!(edge.ask("GET /nowhere", "", "").await.0, 401, "nothing is told to strangers");
    assert_eq!(edge.ask("POST /v1/messages", "x-api-key: k-3\r\n", &json).await.0, 401);
    assert_eq!(edge.ask("POST /v1/messages", "authorization: Bearer k-1\r\n", &json).await.0, 202);
    assert_eq!(edge.ask("POST /v1/messages", "x-api-key: k-2\r\n", &json).await.0, 202);
    assert_eq!(edge.core.asked.lock().unwrap().last().unwrap(), "accept 1 for Some(\"crm\")");
}

#[tokio::test]
async fn slow_heads_are_cut_off_and_requests_beyond_the_bound_are_put_off() {
    let edge = edge(vec![]).await;
    let slow = edge.raw("POST /v1/messages HTTP/1.1\r\nhost:").await;
    assert!(matches!(slow.0, 0 | 408), "{slow:?}");
    let mut open = Vec::new();
    for _ in 0..LIMITS.max_in_flight {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        let head =
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // The invitation to go on shows that the request is under way.
        let mut invitation = [0; 12];
        stream.read_exact(&mut invitation).await.unwrap();
        assert_eq!(&invitation, b"HTTP/1.1 100");
        open.push(stream);
    }
    let refused = edge.post(&message("m", "5155")).await;
    assert_eq!(refused.0, 503);
    assert!(refused.1.contains("retry-after: 1"), "{}", refused.1);
    drop(open);
}

#[tokio::test]
async fn stopping_answers_what_is_under_way_and_takes_nothing_new() {
    let edge = edge(vec![]).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let json = message("m", "5155");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        json.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut invitation = [0; 25];
    stream.read_exact(&mut invitation).await.unwrap();
    edge.stop.send_replace(true);
    stream.write_all(json.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("202 Accepted") && answer.contains("ACCEPTED"), "{answer}");
}
