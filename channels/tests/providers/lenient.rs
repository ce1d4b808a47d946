//! JSON as providers write it, at every provider that receives JSON: what a strict parser refuses
//! costs at most the characters concerned, and never a neighbour (RFC 8259, sections 8.1, 8.2, 9).

use channels::{Received, http::Webhook};
use serde_json::Value;

use crate::{
    case::{Ask, Case},
    conformance::{good_posts, http},
    http_providers,
};

/// Reads a body as if it came with the case's webhook, whatever its signature.
fn read(case: &Case, body: &[u8]) -> Result<Received, String> {
    let channel = case.channel();
    case.webhook(|webhook| {
        let received = http(&*channel).receive(&Webhook { body, ..*webhook });
        received.map_err(|malformed| malformed.to_string())
    })
}

fn body(case: &Case) -> &str {
    let Ask::Receive { body, .. } = &case.ask else { panic!("no webhook") };
    body
}

/// Inserts octets as the first member of the first object.
fn with_member(body: &str, member: &[u8]) -> Option<Vec<u8>> {
    let at = body.find('{')? + 1;
    let is_empty = body[at..].trim_start().starts_with('}');
    let comma: &[u8] = if is_empty { b"" } else { b"," };
    Some([&body.as_bytes()[..at], member, comma, &body.as_bytes()[at..]].concat())
}

#[test]
fn oddities_cost_no_item() {
    let deep = format!("\"x-deep\":{}1{}", "[".repeat(400), "]".repeat(400));
    let members: &[&[u8]] = &[
        b"\"x-odd\":\"\\ud83d\"",
        b"\"x-odd\":\"\\udead and \\uD83D\\uD83D\"",
        b"\"x-odd\":\"\xff\xfe\"",
        b"\"x-odd\":\"\0 and \x01\"",
        b"\"x-odd\":\"it\\'s\"",
        b"\"x-odd\":123456789012345678901234567890",
        b"\"x-odd\":-1e999",
        b"\"x-odd\":NaN",
        b"\"x-odd\":1,\"x-odd\":2",
        deep.as_bytes(),
    ];
    let mut providers = 0;
    for (provider, fixture) in http_providers() {
        let mut cases = 0;
        for case in good_posts(&fixture) {
            let body = body(case);
            if serde_json::from_str::<Value>(body).is_err() {
                continue;
            }
            let plain = read(case, body.as_bytes());
            for member in members {
                let Some(odd) = with_member(body, member) else { continue };
                let got = read(case, &odd);
                // What is shown of an object as a whole shows the member, too, and where a member's
                // name is a kind of event, it is one more that is not known.
                let count = |read: &Result<Received, String>| {
                    read.as_ref().map(|r| (r.events.len(), r.ignored)).map_err(Clone::clone)
                };
                let odd = String::from_utf8_lossy(&odd);
                assert_eq!(count(&got), count(&plain), "{provider:?} {}: {odd}", case.name);
            }
            for framed in [
                [b"\xef\xbb\xbf", body.as_bytes()].concat(),
                [body.as_bytes(), b"\0\0\r\n"].concat(),
                [b"\n ", body.as_bytes()].concat(),
            ] {
                assert_eq!(read(case, &framed), plain, "{provider:?} {}: {framed:?}", case.name);
            }
            cases += 1;
        }
        providers += usize::from(cases > 0);
    }
    assert!(providers >= 10, "only {providers} providers receive JSON");
}

#[test]
fn half_a_surrogate_pair_in_any_text_is_one_character() {
    const MARK: char = '\u{f8f0}';
    for (provider, fixture) in http_providers() {
        for case in good_posts(&fixture) {
            let Ok(said) = serde_json::from_str::<Value>(body(case)) else { continue };
            let mut texts = Vec::new();
            leaves(&said, String::new(), &mut texts);
            for path in texts {
                let mut marked = said.clone();
                let Some(Value::String(text)) = marked.pointer_mut(&path) else { continue };
                text.push(MARK);
                let marked = marked.to_string();
                let lone = marked.replace(MARK, "\\ud83d");
                let whole = marked.replace(MARK, "\u{fffd}");
                let (lone, whole) = (read(case, lone.as_bytes()), read(case, whole.as_bytes()));
                assert_eq!(lone, whole, "{provider:?} {}: {path}", case.name);
            }
        }
    }
}

/// Lists the paths of all texts.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(path),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| leaves(item, format!("{path}/{n}"), found));
        }
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}
