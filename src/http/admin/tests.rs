//! The admin surface over a real socket.

use std::{net::SocketAddr, time::Duration};

use actors::TailEvent;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{
    config::EdgeLimits,
    core::fake::{self, Fake},
    http::serve::Listener,
};

const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 16,
    body_bytes_max: 1024,
    connections_max: 16,
    header_timeout: Duration::from_secs(5),
};

struct Port {
    address: SocketAddr,
    core: Arc<Fake>,
    _stop: watch::Sender<bool>,
}

async fn port(at: u16, token: Option<&str>) -> Port {
    let core = Arc::new(Fake::default());
    let listener = Listener::bind(([127, 0, 0, 1], at).into(), None).await.unwrap();
    let address = listener.address();
    let (_stop, stop) = watch::channel(false);
    let handler = Handler::new(Admin {
        core: core.clone(),
        token: token.map(Into::into),
        metrics: None,
        log: Arc::new(|| Ok("{\"segments\":1}".into())),
        stop: stop.clone(),
        any_host: false,
    });
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(listener.serve(LIMITS, move |r| handler.clone().handle(r), stop));
    Port { address, core, _stop }
}

impl Port {
    async fn ask(&self, line: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let host =
            if headers.contains("host:") { String::new() } else { format!("host: {}\r\n", self.address) };
        let request = format!(
            "{line} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }
}

#[tokio::test]
async fn every_look_up_answers_json_within_its_bound() {
    let port = port(0, None).await;
    let session = fake::session_id();
    let before = fake::START.0;
    let cases: Vec<(String, u16, &str)> = vec![
        ("/healthz".into(), 200, "alive"),
        ("/readyz".into(), 200, "\"ready\":true"),
        ("/api/channels".into(), 200, "\"status\":\"connected\""),
        ("/api/destinations".into(), 200, "\"sessionsWaiting\":3"),
        ("/api/sessions?limit=2".into(), 200, "\"messagesOpen\":1"),
        ("/api/sessions?limit=x".into(), 400, "invalid digit"),
        ("/api/sessions?lmit=2".into(), 400, "lmit"),
        ("/api/sessions?after=x".into(), 400, "not a session id"),
        (format!("/api/sessions/{session}"), 200, "\"events\":["),
        (format!("/api/sessions/{session}?at={before}"), 200, "events 1"),
        (format!("/api/sessions/{session}?at=2026-09-21T13:33:20.025Z"), 200, "\"sessionId\""),
        (format!("/api/sessions/{session}?at=yesterday"), 400, "not an instant"),
        (format!("/api/sessions/{session}?diff=1"), 400, "needs at="),
        (
            format!("/api/sessions/{session}?at={before}&diff={}", before + 21),
            200,
            "\"removed\":[\"events 1\"],\"added\":[\"events 3\"]",
        ),
        ("/api/sessions/s-1".into(), 400, "not a session id"),
        ("/api/messages/none".into(), 404, "no such message"),
        ("/api/messages/m".into(), 200, "\"resentInDoubt\":1"),
        ("/api/messages/m".into(), 200, "\"exchanges\":[{\"at\""),
        ("/api/channels/us/exchanges?message=m".into(), 200, "\"tookMs\":17"),
        ("/api/channels/us/exchanges?mesage=m".into(), 400, "mesage"),
        ("/api/channels/nope/exchanges".into(), 404, "no such channel"),
        ("/api/receipts/unmatched?limit=1".into(), 200, "00c0ffee"),
        ("/api/in-doubt".into(), 200, "\"held\":true"),
        ("/api/dead-letters".into(), 200, "\"kind\":\"notification\""),
        ("/api/log".into(), 200, "segments"),
        ("/api/nothing".into(), 404, "/api/dead-letters"),
    ];
    for (path, status, part) in cases {
        let answer = port.ask(&format!("GET {path}"), "", "").await;
        assert_eq!(answer.0, status, "{path} {}", answer.2);
        assert!(answer.2.contains(part), "{path}\n{}\nlacks {part}", answer.2);
        serde_json::from_str::<serde_json::Value>(&answer.2).expect("an answer is JSON");
    }
    port.ask("GET /api/sessions?limit=999999", "", "").await;
    assert_eq!(port.core.asked.lock().unwrap().last().unwrap(), "sessions after None limit 1000");
}

#[tokio::test]
async fn an_operator_settles_restarts_and_replays() {
    let port = port(0, None).await;
    for (action, word) in [("resend", "Resend"), ("fail", "Fail"), ("sent", "Sent")] {
        let body = format!("{{\"messageId\":\"m\",\"part\":2,\"action\":\"{action}\"}}");
        assert_eq!(port.ask("POST /api/in-doubt", "", &body).await.0, 200);
        assert_eq!(*port.core.asked.lock().unwrap().last().unwrap(), format!("settle m 2 {word}"));
    }
    assert_eq!(port.ask("POST /api/in-doubt", "", "{\"messageId\":\"m\"}").await.0, 400);
    assert_eq!(port.ask("POST /api/channels/sms-main/restart", "", "{}").await.0, 200);
    assert_eq!(port.ask("POST /api/channels/nope/restart", "", "{}").await.0, 404);
    assert_eq!(port.ask("GET /api/channels/sms-main/restart", "", "").await.0, 405);
    assert_eq!(port.ask("POST /api/dead-letters/feed-7/replay", "", "").await.0, 200);
    assert_eq!(port.core.asked.lock().unwrap().last().unwrap(), "replay feed-7");
}

#[tokio::test]
async fn a_token_guards_everything_but_health() {
    let port = port(0, Some("t-1")).await;
    assert_eq!(port.ask("GET /healthz", "", "").await.0, 200);
    let ready = port.ask("GET /readyz", "", "").await;
    assert!(ready.0 == 200 && !ready.2.contains("sms-main"), "{}", ready.2);
    for path in ["/api/channels", "/metrics", "/api/nothing", "/", "/tail"] {
        assert_eq!(port.ask(&format!("GET {path}"), "", "").await.0, 401, "{path}");
    }
    assert_eq!(port.ask("GET /api/channels", "authorization: Bearer t-2\r\n", "").await.0, 401);
    assert_eq!(port.ask("GET /api/channels", "authorization: Bearer t-1\r\n", "").await.0, 200);
    assert_eq!(port.ask("POST /login", "", "token=t-2").await.0, 401);
    let login = port.ask("POST /login", "", "token=t%2D1").await;
    assert_eq!(login.0, 303);
    assert!(!login.1.contains("t-1"), "the cookie does not hold the token");
    let cookie = login.1.lines().find_map(|l| l.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(port.ask("GET /", &format!("cookie: a=b; {cookie}\r\n"), "").await.0, 200);
}

#[tokio::test]
async fn pages_of_other_sites_get_nothing() {
    let port = port(0, None).await;
    assert_eq!(port.ask("GET /api/channels", "host: evil.example\r\n", "").await.0, 403, "a rebound name");
    assert_eq!(port.ask("GET /api/channels", "host: localhost:9090\r\n", "").await.0, 200);
    let foreign =
        port.ask("POST /api/channels/sms-main/restart", "origin: https://evil.example\r\n", "").await;
    assert_eq!(foreign.0, 403);
    let own = format!("origin: http://{}\r\n", port.address);
    assert_eq!(port.ask("POST /api/channels/sms-main/restart", &own, "").await.0, 200);
}

#[tokio::test]
async fn the_tail_shows_what_the_filter_takes_and_tells_what_was_missed() {
    let port = port(0, None).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let request = format!("GET /api/tail?channel=sms-main HTTP/1.1\r\nhost: {}\r\n\r\n", port.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut more = async |seen: &mut String, until: &str| {
        while !seen.contains(until) {
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
            let count = read.unwrap_or_else(|_| panic!("no {until} in {seen}")).unwrap();
            assert!(count > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    more(&mut seen, ": connected").await;
    let send = |seq: u64, channel: &str| {
        let event = TailEvent {
            event: fake::event(seq, 0, "submitted", Some(1), "x"),
            channel: Some(channel.into()),
            session: None,
            message_id: Some("m-1".into()),
        };
        port.core.tail.send(Arc::new(event)).unwrap();
    };
    send(1, "other");
    send(2, "sms-main");
    more(&mut seen, "\"seq\":2").await;
    assert!(!seen.contains("\"seq\":1,"), "{seen}");
    // More than the channel holds, before the reader runs again.
    for seq in 3..60 {
        send(seq, "sms-main");
    }
    more(&mut seen, "event: lag").await;
    more(&mut seen, "\"seq\":59").await;
}

#[tokio::test]
async fn every_page_is_whole() {
    let port = port(0, None).await;
    let session = fake::session_id();
    let cases = [
        ("/".to_owned(), "credentials refused"),
        ("/tail".into(), "Waiting for the next event"),
        ("/message".into(), "Find a message"),
        ("/message?id=m".into(), "sent again after being in doubt"),
        ("/message?id=none".into(), "no such message"),
        ("/sessions".into(), "+4917600000001"),
        (format!("/session?id={session}"), "agent-7"),
        (format!("/session?id={session}&at={}", fake::START.0), "As it was at"),
        ("/session?id=x".into(), "not a session id"),
        ("/doubt".into(), "Send again"),
        ("/receipts".into(), "00c0ffee"),
        ("/dead".into(), "Replay"),
        ("/message?id=%3Cscript%3E".into(), "&lt;script&gt;"),
    ];
    for (path, part) in cases {
        let answer = port.ask(&format!("GET {path}"), "", "").await;
        assert_eq!(answer.0, 200, "{path}");
        assert!(answer.2.contains(part), "{path}\n{}\nlacks {part}", answer.2);
        assert!(answer.2.ends_with("</html>") && answer.1.contains("content-security-policy"), "{path}");
        assert!(!answer.2.contains("http://") || path == "/", "{path} fetches nothing from elsewhere");
    }
    for (path, part) in [("/ui/style.css", ":root"), ("/ui/app.js", "use strict"), ("/ui/icon.svg", "<svg")] {
        assert!(port.ask(&format!("GET {path}"), "", "").await.2.contains(part), "{path}");
    }
}

/// Serves the pages with made-up data on port 9099 for a minute: `cargo test look -- --ignored`.
#[tokio::test]
#[ignore = "for looking at the pages by eye"]
async fn look() {
    let _port = port(9099, None).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
}
