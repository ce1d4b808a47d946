//! `docs/error-codes.md` says what becomes of every documented error code; the code does that. The
//! document's tables are the test's cases.

use std::{collections::BTreeMap, fs, path::Path};

use channels::{
    SendError,
    http::Response,
    smpp::status::{self, Class},
};
use serde_json::{Value, json};

use crate::{conformance::answered_with, fixture::Fixture, show};

/// Fewer codes of a provider mean that its table is incomplete.
const CODES_MIN: usize = 10;

/// A row of a table: the code and its class.
struct Row<'a> {
    code: &'a str,
    class: &'a str,
}

/// Returns the tables by the names of their providers.
fn tables(text: &str) -> BTreeMap<&str, Vec<Row<'_>>> {
    let mut tables = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let Some(names) = section.split("Providers: ").nth(1).and_then(|rest| rest.split(". ").next()) else {
            panic!("{section}: no providers")
        };
        let rows = section.lines().filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
            let class = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            Some((cells[0], class))
        });
        let rows: Vec<(&str, &str)> = rows.collect();
        for name in names.split('`').skip(1).step_by(2) {
            let own = rows.iter().map(|(code, class)| Row { code, class }).collect();
            assert!(tables.insert(name, own).is_none(), "{name} has two tables");
        }
    }
    tables
}

/// Returns a provider's answer with this code.
fn answer(provider: &str, code: &str) -> (u16, Value) {
    let number = |text: &str| text.parse::<i64>().unwrap_or_else(|_| panic!("{provider} {code}"));
    match provider {
        "whatsapp_cloud" | "whatsapp_360dialog" | "facebook" | "instagram" => {
            let (code, subcode) = code.split_once('/').unwrap_or((code, "0"));
            let error = json!({"code": number(code), "error_subcode": number(subcode), "message": "no"});
            (400, json!({ "error": error }))
        }
        "telegram" => {
            let (status, words) = code.split_once(' ').unwrap_or((code, ""));
            let said = json!({"ok": false, "error_code": number(status), "description": words});
            (number(status) as u16, said)
        }
        "viber" => (200, json!({"status": number(code), "status_message": "no"})),
        "twilio" | "twilio_whatsapp" => (400, json!({"code": number(code), "message": "no"})),
        "telnyx" => (400, json!({"errors": [{"code": code, "title": "no"}]})),
        "bandwidth" => {
            let (status, kind) = code.split_once(' ').unwrap_or((code, ""));
            (number(status) as u16, json!({"type": kind, "description": "no"}))
        }
        "voipms" => (200, json!({ "status": code })),
        other => panic!("no form of {other}'s errors"),
    }
}

/// Returns a documented code as it stands in the cause of a failure.
fn reason_code<'a>(provider: &str, code: &'a str) -> &'a str {
    match provider {
        "telegram" => code.split_once(' ').map_or(code, |(status, _)| status),
        "bandwidth" => code.split_once(' ').map_or(code, |(_, kind)| kind),
        _ => code,
    }
}

#[test]
fn every_documented_code_is_explained() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/error-codes.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut unknown = Vec::new();
    for (name, rows) in tables(&text) {
        // The codes of vendors mean what the account says.
        let codes = rows.iter().map(|row| reason_code(name, row.code));
        let codes = codes.filter(|code| !matches!((name, *code), ("smpp", "0x400" | "0x4FF")));
        unknown.extend(
            codes
                .filter(|code| {
                    let known = channels::provider::explain(name, code);
                    known.is_none_or(|known| known.is_own)
                })
                .map(|code| format!("{name} {code}")),
        );
    }
    assert!(unknown.is_empty(), "not explained in channels/codes: {unknown:?}");
}

#[test]
fn every_documented_code_has_the_documented_class() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/error-codes.md");
    let text = fs::read_to_string(&path).unwrap();
    let tables = tables(&text);
    let mut wrong = Vec::new();
    for (name, rows) in tables.iter().filter(|(name, _)| **name != "smpp") {
        assert!(rows.len() >= CODES_MIN, "{name} has {} codes", rows.len());
        let fixture = Fixture::read(channels::provider(name).unwrap());
        for Row { code, class } in rows {
            let (status, body) = answer(name, code);
            let response = Response { status, headers: Vec::new(), body: body.to_string().into() };
            // What is too long for an SMS is sent in another way first.
            let tries = if *code == "sms_toolong" { 2 } else { 1 };
            let got = match answered_with(fixture.case("send_text"), &vec![response; tries]) {
                Err(error) => show::class(&error),
                Ok(_) => "accepted",
            };
            if got != *class {
                wrong.push(format!("{name} {code}: the document says {class}, the code does {got}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let with_codes: Vec<&str> = channels::PROVIDERS.iter().map(|provider| provider.name).collect();
    let built_in = ["whatsapp_cloud", "telegram", "viber", "twilio", "telnyx", "bandwidth", "voipms", "smpp"];
    assert!(built_in.iter().all(|name| with_codes.contains(name) && tables.contains_key(name)));
}

#[test]
fn every_command_status_has_the_documented_class() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/error-codes.md");
    let text = fs::read_to_string(&path).unwrap();
    let tables = tables(&text);
    let rows: BTreeMap<u32, &str> = tables["smpp"]
        .iter()
        .map(|row| (u32::from_str_radix(row.code.trim_start_matches("0x"), 16).unwrap(), row.class))
        .collect();
    for known in status::STATUSES.iter().filter(|known| known.code != status::OK) {
        assert!(rows.contains_key(&known.code), "{} is missing", known.name);
    }
    for (code, class) in rows {
        let got = match status::class(code, &BTreeMap::new()) {
            Class::Accepted => "accepted",
            Class::Retry { .. } => "unavailable",
            // The part waits for the new bind.
            Class::Throttled { .. } | Class::Rebind | Class::BindRetry => "throttled",
            Class::QueueFull => "busy",
            Class::RetryOnce => "retry_once",
            Class::Permanent | Class::Config => "rejected",
            Class::CredentialsRefused => "forbidden",
        };
        assert_eq!(got, class, "0x{code:X}");
    }
}

/// Refusals whose words or place decide.
#[test]
fn words_and_places_decide_where_the_code_does_not() {
    let error = |provider: &str, customer: Option<&str>, status: u16, body: &str| -> SendError {
        let fixture = Fixture::read(channels::provider(provider).unwrap());
        let case = fixture.case("send_text");
        let case = customer.map_or_else(|| case.clone(), |customer| case.to(customer));
        let response = Response { status, headers: Vec::new(), body: body.to_owned().into() };
        answered_with(&case, &[response]).unwrap_err()
    };
    let many =
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":7}}"#;
    for (chat, class) in [("42", "busy"), ("-42", "customer_throttled"), ("-10042", "customer_throttled")] {
        let error = error("telegram", Some(chat), 429, many);
        assert_eq!(show::class(&error), class, "{chat}");
        assert!(error.to_string().contains("7000 ms"), "{error}");
    }
    for (words, class) in [("tooManyRequests", "busy"), ("max messages without reply", "rejected")] {
        let body = json!({"status": 12, "status_message": words}).to_string();
        assert_eq!(show::class(&error("viber", None, 200, &body)), class, "{words}");
    }
    for (status, body, class) in [
        (400, r#"{"meta":{"developer_message":"Number is disabled"}}"#, "credentials_refused"),
        (400, r#"{"error":"endpoint rate limit"}"#, "throttled"),
        (401, r#"{"meta":{"developer_message":"Invalid api key"}}"#, "forbidden"),
        (403, r#"{"error":"path"}"#, "rejected"),
        (503, r#"{"error":{"code":133004,"message":"no"}}"#, "unavailable"),
    ] {
        assert_eq!(show::class(&error("whatsapp_360dialog", None, status, body)), class, "{body}");
    }
    for (status, class) in [(404, "forbidden"), (403, "forbidden"), (429, "throttled")] {
        assert_eq!(show::class(&error("bandwidth", None, status, "<html>")), class, "{status}");
    }
}
