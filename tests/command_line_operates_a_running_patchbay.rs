//! The commands of an operator, against a stand-in that answers as the admin port and the send API
//! do: what they ask for, what they print, and their exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends on the first surprise")]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/stand_in.rs"]
mod stand_in;

use std::path::Path;

use command_line::check;
use serde_json::json;
use stand_in::{Canned, StandIn};

fn ok(body: serde_json::Value) -> Canned {
    (200, "", body.to_string())
}

/// Runs a command at a port, and returns what it told.
#[track_caller]
fn told(port: &StandIn, command: &[&str], code: i32) -> String {
    let command = [command, &["--url", &port.url]].concat();
    check(Path::new("."), &command, code, "")
}

fn problem(severity: &str) -> serde_json::Value {
    json!({
        "severity": severity, "kind": "channelStopped", "channel": "sms", "since": "2026-01-31T12:00:00.000Z",
        "reason": "the login was refused", "code": "ESME_RINVPASWD", "fix": "set password in [channel.account]",
        "link": "/channels/sms",
    })
}

fn status(problems: serde_json::Value) -> StandIn {
    StandIn::start(move |asked, _| match asked {
        "GET /api/status" => ok(json!({
            "well": problems.as_array().unwrap().is_empty(), "version": "0.1.0", "startedAt": "2026-01-31T12:00:00Z",
            "uptimeSeconds": 12_019, "problems": problems, "channels": {"total": 1, "connected": 0},
            "destinations": {"total": 1, "up": 1}, "messagesWaiting": 2670, "oldestWaitingSeconds": 27,
        })),
        "GET /api/channels" => ok(json!([{
            "id": "sms", "provider": "smpp", "status": "credentials_refused", "dids": ["5155", "5156"],
            "counts": {"submitted": 17, "rejected": 2, "received": 5}, "sessionsWaiting": 9,
        }])),
        "GET /api/destinations" => ok(json!([{
            "id": "support", "url": "http://127.0.0.1:9/cim", "status": "up", "taken": 41, "failed": 0, "sessionsWaiting": 0,
        }])),
        _ => (404, "", json!({"detail": "no route"}).to_string()),
    })
}

#[test]
fn status_begins_with_the_verdict_and_names_cause_and_fix() {
    let port = status(json!([]));
    let well = told(&port, &["status"], 0);
    assert!(well.starts_with("all is well\n"), "{well}");
    assert!(well.contains("up for 3h 20m; 2670 messages wait, the oldest for 27s"), "{well}");
    let row = well.lines().find(|line| line.starts_with("sms ")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["sms", "smpp", "credentials_refused", "17", "2", "5", "9", "5155,", "5156"]);
    assert!(well.contains("support      up      41"), "{well}");

    let port = status(json!([problem("error"), problem("warning")]));
    let ill = told(&port, &["status"], 1);
    assert!(ill.starts_with("not well: 1 error, 1 warning\n"), "{ill}");
    for piece in [
        "ERROR    channel sms: the login was refused (ESME_RINVPASWD), since 2026-01-31T12:00:00Z\n",
        "fix: set password in [channel.account]\n",
        &format!("see: {}/channels/sms\n", port.url),
    ] {
        assert!(ill.contains(piece), "{piece}\n{ill}");
    }
    let json: serde_json::Value = serde_json::from_str(&told(&port, &["status", "--json"], 1)).unwrap();
    assert_eq!(json["status"]["problems"][0]["kind"], "channelStopped");
    assert_eq!(json["channels"][0]["id"], "sms");
    // Warnings alone do not fail it.
    told(&status(json!([problem("warning")])), &["status"], 0);
}

#[test]
fn messages_are_searched_and_shown() {
    let port = StandIn::start(|asked, _| {
        match asked {
        asked if asked.starts_with("GET /api/messages?") => (
            200,
            "link: <?list=failed&after=m%2F9>; rel=\"next\"\r\n",
            json!({
                "items": [{"id": "m1", "channel": "sms", "direction": "out", "customer": "+491", "status": "FAILED",
                    "reasonCode": "34", "at": "2026-01-31T12:00:00.000Z", "text": "Hello\nthere", "parts": 1}],
                "searchedBackTo": "2026-01-30T00:00:00Z", "complete": false,
            })
            .to_string(),
        ),
        "GET /api/messages/m%2F1" => ok(json!({
            "messageId": "m/1", "status": "QUEUED", "channel": "sms", "customer": "+491",
            "waitingFor": {"text": "the channel is not connected", "since": "2026-01-31T12:00:00Z", "ahead": 4},
            "parts": [{"part": 1, "status": "QUEUED", "providerId": ""}],
            "events": [{"at": 1_760_000_000_123_u64, "event": "accepted", "detail": "m/1 Hello"}],
        })),
        _ => (404, "", json!({"detail": "no message m2"}).to_string()),
    }
    });
    let list = [
        "messages",
        "--list",
        "failed",
        "--customer",
        "+491",
        "--from",
        "2026-01-31T10:00:00Z",
        "--limit",
        "5",
    ];
    let found = told(&port, &list, 0);
    assert_eq!(
        port.asked(),
        ["GET /api/messages?list=failed&customer=%2B491&from=2026-01-31T10%3A00%3A00.000Z&limit=5"]
    );
    for piece in [
        "2026-01-31T12:00:00Z  sms      ->  +491      FAILED 34  m1  Hello…",
        "1 message; searched back to 2026-01-30T00:00:00Z, older ones were not looked at; more with --after m/9",
    ] {
        assert!(found.contains(piece), "{piece}\n{found}");
    }
    let one = told(&port, &["messages", "m/1"], 0);
    for piece in [
        "m/1 QUEUED\n",
        "waits     the channel is not connected (since 2026-01-31T12:00:00Z, 4 ahead of it)\n",
        "part      1 QUEUED",
        "2025-10-09T08:53:20Z  accepted      m/1 Hello\n",
    ] {
        assert!(one.contains(piece), "{piece}\n{one}");
    }
    let missing = told(&port, &["messages", "m2"], 2);
    assert!(missing.contains(&format!("{}: HTTP 404: no message m2", port.url)), "{missing}");
}

/// Starts a stand-in that takes the orders of an operator.
fn operated() -> StandIn {
    StandIn::start(|asked, _| match asked {
        "POST /api/dead-letters/replay" => ok(json!({"replayed": 3})),
        "POST /api/channels/sms/cancel-queued" => ok(json!({"done": true, "cancelled": 12})),
        "POST /api/reload" => ok(
            json!({"applied": false, "text": ["channel sms: starts again (account)", "channel wa: stops"], "remarks": [],
            "warnings": ["no api_keys"]}),
        ),
        "GET /api/messages/m1" => ok(json!({"status": "IN_DOUBT", "parts": [
            {"part": 1, "status": "SENT"}, {"part": 2, "status": "IN_DOUBT"}, {"part": 3, "status": "IN_DOUBT"}]})),
        "GET /api/messages/m2" => ok(json!({"status": "SENT", "parts": [{"part": 1, "status": "SENT"}]})),
        "GET /api/in-doubt?limit=100" => ok(json!([
            {"messageId": "m1", "part": 2, "channel": "sms", "customer": "+491", "resent": 0, "held": true}])),
        "GET /api/dead-letters?limit=100" => (
            200,
            "link: <?after=s9>; rel=\"next\"\r\n",
            json!([{"id": "ab-1", "destination": "support", "kind": "message", "reason": "HTTP 500"}])
                .to_string(),
        ),
        _ => ok(json!({"done": true})),
    })
}

#[test]
fn orders_reach_the_right_route() {
    let port = operated();
    for (command, expected, piece) in [
        (&["channel", "pause", "a b"][..], &["POST /api/channels/a%20b/pause {}"][..], "a b: pause done"),
        (&["channel", "try-now", "sms"], &["POST /api/channels/sms/try-now {}"], "sms: try-now done"),
        (
            &["channel", "cancel-queued", "sms"],
            &["POST /api/channels/sms/cancel-queued {}"],
            "done, 12 messages",
        ),
        (&["destination", "try-now", "crm"], &["POST /api/destinations/crm/try-now {}"], "crm: try-now done"),
        (
            &["reload", "--plan"],
            &["POST /api/reload {\"plan\":true}"],
            "channel wa: stops\nWARNING: no api_keys",
        ),
        (
            &["dead-letters", "replay", "--all", "--destination", "crm"],
            &["POST /api/dead-letters/replay {\"destination\":\"crm\"}"],
            "3 dead letters delivered again",
        ),
        (
            &["dead-letters", "replay", "ab-1", "ab-2"],
            &["POST /api/dead-letters/ab-1/replay {}", "POST /api/dead-letters/ab-2/replay {}"],
            "ab-2 is delivered again",
        ),
        (
            &["dead-letters"],
            &["GET /api/dead-letters?limit=100"],
            "ab-1      support      message  HTTP 500\nmore with --after s9",
        ),
        (&["in-doubt"], &["GET /api/in-doubt?limit=100"], "held: decide with resend, fail or sent"),
        (
            &["in-doubt", "fail", "m1"],
            &[
                "GET /api/messages/m1",
                "POST /api/in-doubt {\"action\":\"fail\",\"messageId\":\"m1\",\"part\":2}",
                "POST /api/in-doubt {\"action\":\"fail\",\"messageId\":\"m1\",\"part\":3}",
            ],
            "part 3 of m1: fail",
        ),
        (
            &["in-doubt", "sent", "m1", "--part", "1"],
            &["POST /api/in-doubt {\"action\":\"sent\",\"messageId\":\"m1\",\"part\":1}"],
            "part 1 of m1: sent",
        ),
    ] {
        let printed = told(&port, command, 0);
        assert!(printed.contains(piece), "{command:?} does not tell {piece:?}:\n{printed}");
        assert_eq!(port.asked(), expected, "{command:?}");
    }
    let none = told(&port, &["in-doubt", "resend", "m2"], 2);
    assert!(none.contains("no part of m2 is in doubt: it is SENT"), "{none}");
}

/// Plays the send API: a message has these states one after the other, the last for ever.
fn send_api(states: Vec<serde_json::Value>) -> StandIn {
    let at = std::sync::atomic::AtomicUsize::new(0);
    StandIn::start(move |asked, _| match asked {
        "POST /v1/messages?plan=true" => ok(json!({"channel": "sms", "provider": "smpp"})),
        "POST /v1/messages" => (202, "", json!({"messageId": "m1", "status": "ACCEPTED"}).to_string()),
        _ => {
            let at = at.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            ok(states.get(at).or(states.last()).unwrap().clone())
        }
    })
}

#[test]
fn send_tells_the_outcome_by_its_exit_code() {
    let send = ["send", "--to", "+491", "--from", "5155", "--text", "x", "--id", "m1"];
    let waiting = [&send[..], &["--wait", "300ms"]].concat();
    let queued = json!({"status": "QUEUED", "parts": [{}], "waitingFor": {"text": "the channel is paused", "ahead": 1}});
    let failed = json!({"status": "FAILED", "parts": [{}], "reasonCode": "34", "reason": "undeliverable",
        "failedBy": "provider", "fix": "check the number", "link": "https://codes.example/34"});

    let port = send_api(vec![queued.clone(), json!({"status": "DELIVERED", "parts": [{}]})]);
    let delivered = told(&port, &[&send[..], &["--wait"]].concat(), 0);
    assert_eq!(delivered, "m1 ACCEPTED over sms\nm1 QUEUED (1 part)\nm1 DELIVERED (1 part)\n");
    assert_eq!(told(&port, &send, 0), "m1 ACCEPTED\n");

    let told_failed = told(&send_api(vec![failed.clone()]), &waiting, 3);
    for piece in [
        "patchbay: the message failed\n",
        "reason   undeliverable (34), by provider\n",
        "fix      check the number\n",
        "more     https://codes.example/34\n",
    ] {
        assert!(told_failed.contains(piece), "{piece}\n{told_failed}");
    }
    let late = told(&send_api(vec![queued]), &waiting, 4);
    assert!(late.contains("the message is QUEUED after 300ms, which is not final"), "{late}");
    assert!(late.contains("waits    the channel is paused (1 ahead of it)"), "{late}");
    // As JSON, each line is one document; the state says why.
    let lines = told(&send_api(vec![failed]), &[&waiting[..], &["--json"]].concat(), 3);
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["reasonCode"], "34");

    let refusing =
        StandIn::start(|_, _| (404, "", json!({"markdownText": "no channel has \"5155\""}).to_string()));
    let refused = told(&refusing, &waiting, 2);
    assert!(
        refused.contains("not sent: ") && refused.contains("HTTP 404: no channel has \"5155\""),
        "{refused}"
    );
    let plan = [&send[..], &["--plan", "--json"]].concat();
    let as_json: serde_json::Value = serde_json::from_str(told(&refusing, &plan, 2).trim()).unwrap();
    assert_eq!(as_json["exitCode"], 2, "{as_json}");
    let busy = StandIn::start(|_, _| (503, "", json!({"detail": "busy"}).to_string()));
    told(&busy, &send, 1);
}

#[test]
fn a_body_a_template_and_a_channel_are_sent() {
    let port = send_api(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body.json");
    std::fs::write(&file, r#"{"type": "IMAGE", "attachment": {"mediaUrl": "https://x/a.png"}}"#).unwrap();
    let base = ["send", "--to", "+491", "--from", "5155", "--channel", "wa"];
    for (further, expected) in [
        (
            vec!["--body", file.to_str().unwrap()],
            json!({"type": "IMAGE", "attachment": {"mediaUrl": "https://x/a.png"}}),
        ),
        (
            vec!["--template", "order_update", "--language", "de", "--value", "Ann"],
            json!({"type": "TEMPLATE", "name": "order_update", "language": {"code": "de"}, "components": [
                {"type": "body", "parameters": [{"parameterType": "text", "additionalParameterDetails": {"text": "Ann"}}]}]}),
        ),
    ] {
        told(&port, &[&base[..], &further].concat(), 0);
        let asked = port.asked();
        let body = asked[0].strip_prefix("POST /v1/messages ").unwrap();
        let sent: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(sent["body"], expected);
        assert_eq!(sent["header"]["channelData"]["channelTypeCode"], "wa");
    }
}
