//! The admin listener over a real socket, in front of a real router.

use std::{net::SocketAddr, time::Duration};

use actors::{
    view::SessionView,
    webhook::{WebhookAnswer, WebhookCall},
};
use channels::{toolkit::auth, url};
use message::{MessageId, MessageStatus, SessionId};
use serde_json::Value;
use simulators::smsc::{Mo, Pattern};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::*;
use crate::{
    config::Inventory,
    http::{
        keys::{AdminToken, Keys},
        reload::Reloader,
        serve::Listener,
    },
    instant,
    testing::{self, CUSTOMER, RawAnswer, TestRouter, eventually, message, message_to},
};

/// A text of three SMS parts.
const LONG: &str = "Three parts. ";
/// The messages that `with_history` leaves in doubt.
const DOUBTS: [&str; 3] = ["doubt-1", "doubt-2", "doubt-3"];

struct Port {
    address: SocketAddr,
    world: TestRouter,
    _stop: watch::Sender<bool>,
}

async fn port(at: u16, token: Option<&str>) -> Port {
    let world = TestRouter::start().await;
    let listener = Listener::bind(([127, 0, 0, 1], at).into(), None).await.unwrap();
    let address = listener.address();
    let (_stop, stop) = watch::channel(false);
    let token = Arc::new(AdminToken::new(token.map(Into::into)));
    let keys = Arc::new(Keys::new(Vec::new()));
    let reloader = Reloader::new(None, Inventory::default(), world.router.clone(), keys, token.clone());
    let reloader = Arc::new(reloader);
    let handler = AdminHandler::new(Admin {
        router: world.router.clone(),
        token,
        reloader,
        metrics: None,
        log: world.log.clone(),
        stop: stop.clone(),
        any_host: false,
    });
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(listener.serve(testing::LIMITS, move |seat, r| handler.clone().handle(seat, r), stop));
    Port { address, world, _stop }
}

impl Port {
    async fn ask(&self, line: &str, headers: &str, body: &str) -> RawAnswer {
        testing::ask(self.address, line, headers, body).await
    }

    /// Fills every list: a delivered message of three parts (`m`), one sent over HTTP (`chat`),
    /// parts in doubt, a receipt that matches nothing, a dead letter, a session on a stopped
    /// channel.
    async fn with_history(self) -> Self {
        let world = &self.world;
        world.until_channel("sms-main", "connected").await;
        world.until_spare_is_stopped().await;
        // Later than the opening, so that the difference between two instants has the receipts.
        world.smsc.change(|script| script.receipt_delay_ms = 20);
        let long = LONG.repeat(30);
        world.accept(&message("m", "5155").replace("Hello", long.trim())).await;
        world.until_status("m", MessageStatus::Delivered).await;
        world.accept(&message("queued", "6000")).await;
        let own = world.twilio.did();
        world.accept(&message("chat", &own)).await;
        eventually("the call to Twilio", async || {
            world.router.exchanges(&"chat".into(), None, 1).ok()?.pop()
        })
        .await;
        self.receive_stray_receipt().await;
        let mo = Mo { from: "4917600000001".into(), to: "5156".into(), text: "Hi".into(), ..Mo::default() };
        world.smsc.send_mo(&mo).unwrap();
        eventually("the dead letter", async || {
            world.router.dead_letters(None, None, 9).await.ok()?.items.pop()
        })
        .await;
        self.fill_doubts().await;
        self
    }

    /// Hands the router a receipt of Twilio for a message that nobody sent.
    async fn receive_stray_receipt(&self) {
        let twilio = &self.world.twilio;
        let own = twilio.did();
        let fields = [
            ("AccountSid", twilio.credential("account_sid")),
            ("From", &own),
            ("MessageSid", "SM00c0ffee"),
            ("MessageStatus", "delivered"),
            ("SmsSid", "SM00c0ffee"),
            ("To", CUSTOMER),
        ];
        let url = format!("{}webhooks/chat", testing::PUBLIC_URL);
        let signed: String = fields.iter().fold(url.clone(), |all, (key, value)| all + key + value);
        let signature = auth::hmac_sha1(twilio.credential("auth_token").as_bytes(), signed.as_bytes());
        let form = "application/x-www-form-urlencoded";
        let call = WebhookCall {
            method: "POST".into(),
            url: url.into(),
            query: "".into(),
            headers: vec![
                ("content-type".into(), form.into()),
                ("x-twilio-signature".into(), auth::base64(&signature).into()),
            ],
            body: url::encode_form(fields).into(),
        };
        let answer = self.world.router.webhook(&"chat".into(), &call).await;
        assert!(matches!(answer, WebhookAnswer::Reply(_)), "{answer:?}");
    }

    /// Cuts the connection before any submit is answered, until three parts are in doubt.
    async fn fill_doubts(&self) {
        self.world.smsc.change(|script| {
            script.drop_connection = Pattern::Always;
            script.drop_accepts = false;
        });
        for (at, id) in DOUBTS.iter().enumerate() {
            self.world.accept(&message_to(&format!("+491760000001{at}"), id, "5155")).await;
        }
        eventually("three parts in doubt", async || {
            (self.doubts().await.len() == DOUBTS.len()).then_some(())
        })
        .await;
        self.world.smsc.change(|script| script.drop_connection = Pattern::Never);
        self.world.until_channel("sms-main", "connected").await;
    }

    /// The messages whose parts are held in doubt.
    async fn doubts(&self) -> Vec<MessageId> {
        let page = self.world.router.in_doubt(None, None, 100).await.unwrap();
        page.items.into_iter().filter(|doubt| doubt.held).map(|doubt| doubt.message_id).collect()
    }

    /// The session of the delivered message.
    async fn session(&self) -> (SessionId, SessionView) {
        let id = self.world.router.message(&"m".into()).await.unwrap().session_id.0;
        (id, self.world.router.session(id, None).await.unwrap())
    }
}

#[tokio::test]
async fn every_look_up_answers_json_within_its_limit() {
    let port = port(0, None).await.with_history().await;
    let (session, view) = port.session().await;
    let first = view.events.first().unwrap().at.0;
    let last = view.events.last().unwrap().at.0;
    let cases: Vec<(String, u16, &str)> = vec![
        ("/healthz".into(), 200, "alive"),
        ("/readyz".into(), 200, "\"ready\":true"),
        ("/readyz".into(), 200, "sms-main"),
        ("/api/channels".into(), 200, "\"status\":\"connected\""),
        ("/api/destinations".into(), 200, "\"sessionsWaiting\":"),
        ("/api/sessions?limit=2".into(), 200, "\"messagesOpen\":"),
        ("/api/sessions?limit=x".into(), 400, "invalid digit"),
        ("/api/sessions?lmit=2".into(), 400, "lmit"),
        ("/api/sessions?after=x".into(), 400, "not a session id"),
        (format!("/api/sessions/{session}"), 200, "\"events\":["),
        (format!("/api/sessions/{session}?at={first}"), 200, "\"event\":\"accepted\""),
        (format!("/api/sessions/{session}?at={}", instant::rfc3339(view.opened_at)), 200, "\"sessionId\""),
        (format!("/api/sessions/{session}?at=yesterday"), 400, "not an instant"),
        (format!("/api/sessions/{session}?diff=1"), 400, "needs at="),
        (format!("/api/sessions/{session}?at={first}&diff={last}"), 200, "\"event\":\"receipt\""),
        ("/api/sessions/s-1".into(), 400, "not a session id"),
        ("/api/sessions?channel=nope".into(), 404, "no such channel"),
        ("/api/messages?list=newest".into(), 200, "\"searchedBackTo\":"),
        ("/api/messages?list=waiting&channel=sms-spare".into(), 200, "\"id\":\"queued\""),
        ("/api/messages?providerId=SM00c0ffee".into(), 200, "\"items\":[]"),
        ("/api/messages?list=none".into(), 400, "none of newest"),
        ("/api/series?hours=1".into(), 200, "\"stepSeconds\":60"),
        ("/api/series?hours=25".into(), 400, "hours: 25"),
        ("/api/series?channel=nope".into(), 404, "no such channel"),
        ("/api/messages/none".into(), 404, "no such message"),
        ("/api/messages/m".into(), 200, "\"resentInDoubt\":0"),
        ("/api/messages/chat".into(), 200, "\"exchanges\":[{\"at\""),
        ("/api/channels/chat/exchanges?message=chat".into(), 200, "\"tookMs\":"),
        ("/api/channels/chat/exchanges?mesage=m".into(), 400, "mesage"),
        ("/api/channels/nope/exchanges".into(), 404, "no such channel"),
        ("/api/receipts/unmatched".into(), 200, "SM00c0ffee"),
        ("/api/in-doubt".into(), 200, "\"held\":true"),
        ("/api/dead-letters".into(), 200, "\"kind\":\"message\""),
        ("/api/log".into(), 200, "\"segments\":1"),
        ("/api/nothing".into(), 404, "/api/dead-letters"),
    ];
    for (path, status, part) in cases {
        let answer = port.ask(&format!("GET {path}"), "", "").await;
        assert_eq!(answer.0, status, "{path} {}", answer.2);
        assert!(answer.2.contains(part), "{path}\n{}\nlacks {part}", answer.2);
        serde_json::from_str::<Value>(&answer.2).expect("an answer is JSON");
    }
    let page = port.ask("GET /api/sessions?limit=1", "", "").await;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&page.2).unwrap().len(), 1);
    assert!(page.1.contains("link: <?after=s-"), "{}", page.1);
}

#[tokio::test]
async fn an_operator_settles_restarts_and_replays() {
    let port = port(0, None).await.with_history().await;
    for (action, id, status) in [
        ("resend", DOUBTS[0], MessageStatus::Delivered),
        ("fail", DOUBTS[1], MessageStatus::Failed),
        ("sent", DOUBTS[2], MessageStatus::Sent),
    ] {
        let body = format!("{{\"messageId\":\"{id}\",\"part\":1,\"action\":\"{action}\"}}");
        let answer = port.ask("POST /api/in-doubt", "", &body).await;
        assert_eq!(answer.0, 200, "{action}: {}", answer.2);
        port.world.until_status(id, status).await;
    }
    assert_eq!(port.ask("POST /api/in-doubt", "", "{\"messageId\":\"m\"}").await.0, 400);
    let page = port.ask(&format!("GET /message?id={}", DOUBTS[0]), "", "").await;
    assert!(page.2.contains("sent again after being in doubt"), "{}", page.2);

    assert_eq!(port.ask("POST /api/channels/sms-spare/restart", "", "{}").await.0, 200);
    assert_eq!(port.ask("POST /api/channels/nope/restart", "", "{}").await.0, 404);
    assert_eq!(port.ask("GET /api/channels/sms-main/restart", "", "").await.0, 405);

    let test = |body| port.ask("POST /api/test-messages", "", body);
    let sent = test(r#"{"channel":"sms-main","from":"5155","to":"+491760099","text":"A test"}"#).await;
    let id = serde_json::from_str::<Value>(&sent.2).unwrap()["messageId"].as_str().unwrap().to_owned();
    port.world.until_status(&id, MessageStatus::Delivered).await;
    assert_eq!(test(r#"{"from":"5155","to":"+491760099"}"#).await.0, 400);
    assert_eq!(test(r#"{"from":"4711","to":"+491760099","text":"A test"}"#).await.0, 404);

    let letter = port.world.router.dead_letters(None, None, 1).await.unwrap().items.remove(0).id;
    let failed = async || port.world.router.destinations().await.iter().map(|d| d.failed).sum::<u64>();
    let before = failed().await;
    assert_eq!(port.ask(&format!("POST /api/dead-letters/{letter}/replay"), "", "").await.0, 200);
    eventually("another try of the dead letter", async || (failed().await > before).then_some(())).await;
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
    let rebound = port.ask("GET /api/channels", "host: evil.example\r\n", "").await;
    assert_eq!(rebound.0, 403, "a host name that was rebound to loopback");
    assert_eq!(port.ask("GET /api/channels", "host: localhost:9090\r\n", "").await.0, 200);
    let foreign =
        port.ask("POST /api/channels/sms-main/restart", "origin: https://evil.example\r\n", "").await;
    assert_eq!(foreign.0, 403);
    let own = format!("origin: http://{}\r\n", port.address);
    assert_eq!(port.ask("POST /api/channels/sms-main/restart", &own, "").await.0, 200);
}

#[tokio::test]
async fn the_tail_shows_the_events_that_pass_the_filter() {
    let port = port(0, None).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let request = format!("GET /api/tail?message=m-2 HTTP/1.1\r\nhost: {}\r\n\r\n", port.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut more = async |seen: &mut String, until: &str| {
        while !seen.contains(until) {
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await;
            let count = read.unwrap_or_else(|_| panic!("no {until} in {seen}")).unwrap();
            assert!(count > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    more(&mut seen, ": connected").await;
    port.world.accept(&message("m-1", "5155")).await;
    port.world.until_status("m-1", MessageStatus::Delivered).await;
    port.world.accept(&message("m-2", "5155")).await;
    more(&mut seen, "\"event\":\"receipt\"").await;
    assert!(seen.contains("\"messageId\":\"m-2\"") && !seen.contains("m-1"), "{seen}");
}

#[tokio::test]
async fn every_page_is_whole() {
    let port = port(0, None).await.with_history().await;
    let (session, view) = port.session().await;
    let cases = [
        ("/".to_owned(), "credentials refused"),
        ("/tail".into(), "Waiting for the next event"),
        ("/channel?id=sms-main".into(), "Time to receipt, seconds"),
        ("/channel?id=sms-spare&hours=1".into(), "1 message waits"),
        ("/channel?id=chat".into(), "/webhooks/chat"),
        ("/channel?id=nope".into(), "No channel has the id nope"),
        ("/messages".into(), "Everything that is kept was looked at"),
        ("/messages?list=waiting".into(), "queued"),
        (format!("/messages?q={CUSTOMER}").replace('+', "%2B"), "Found by the customer"),
        ("/messages?q=Three%20parts".into(), "Found by a piece of the text"),
        ("/messages?q=SM00c0ffee".into(), "No message matches"),
        ("/messages?status=LOST".into(), "none of those in the list"),
        ("/messages?channel=nope".into(), "no such channel"),
        ("/message?id=m".into(), LONG),
        ("/message?id=m".into(), "Parts"),
        ("/message?id=queued".into(), "Why it waits"),
        ("/message?id=none".into(), "no such message"),
        ("/message?id=none".into(), "older than retention"),
        ("/send".into(), "Show the plan"),
        ("/send?from=5155%7Csms-main&to=%2B491755&text=Hi".into(), "Send it"),
        ("/send?from=4711&to=%2B491755&text=Hi".into(), "no channel has the serviceIdentifier"),
        ("/state".into(), "Cause and fix"),
        ("/sessions".into(), CUSTOMER),
        (format!("/session?id={session}"), CUSTOMER),
        (format!("/session?id={session}"), "delivered"),
        (format!("/session?id={session}&view=events"), "Full state"),
        (format!("/session?id={session}&at={}", view.opened_at.0), "As it was at"),
        ("/session?id=x".into(), "not a session id"),
        ("/doubt".into(), "Send again"),
        ("/receipts".into(), "SM00c0ffee"),
        ("/dead".into(), "Replay all"),
        ("/dead?channel=sms-spare".into(), "There are no dead letters"),
        ("/dead?channel=nope".into(), "no such channel"),
        ("/message?id=%3Cscript%3E".into(), "&lt;script&gt;"),
    ];
    for (path, part) in cases {
        let answer = port.ask(&format!("GET {path}"), "", "").await;
        assert_eq!(answer.0, 200, "{path}");
        assert!(answer.2.contains(part), "{path}\n{}\nlacks {part}", answer.2);
        assert!(answer.2.ends_with("</html>") && answer.1.contains("content-security-policy"), "{path}");
        let loads = ["src=\"http", "url(http", "@import"];
        assert!(!loads.iter().any(|from| answer.2.contains(from)), "{path} fetches nothing from elsewhere");
        let told = [" problems</b>: ", "the provider refuses channel sms-spare"];
        assert!(told.iter().all(|words| answer.2.contains(words)), "{path} tells what is wrong");
        assert!(answer.2.contains("href=\"/ui/icon-bad.svg\""), "{path}");
    }
    let found = port.ask("GET /messages?q=m", "", "").await;
    assert!(found.0 == 303 && found.1.contains("location: /message?id=m"), "an id leads to its message");
    for (path, part) in [
        ("/ui/style.css", ":root"),
        ("/ui/app.js", "use strict"),
        ("/ui/icon.svg", "#15803d"),
        ("/ui/icon-bad.svg", "#b91c1c"),
    ] {
        assert!(port.ask(&format!("GET {path}"), "", "").await.2.contains(part), "{path}");
    }
}

/// Serves the pages with some history on port 9099 for a minute:
/// `cargo test serve_the_pages -- --ignored`.
#[tokio::test]
#[ignore = "for a look at the pages in a browser"]
async fn serve_the_pages() {
    let _port = port(9099, None).await.with_history().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
}
