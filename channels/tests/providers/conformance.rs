//! Rules that hold for every HTTP provider, derived from its description: which cases it must have,
//! the meaning of general answers, unsigned webhooks are not read, no secret shows. Cases generated
//! here need no fixture.

use std::collections::BTreeSet;

use bytes::Bytes;
use channels::{
    Channel, HttpChannel, InEvent, LinkKind, OutPart, Provider, Received, SendError, Signature as Protection,
    Step,
    http::{Response, Webhook},
};
use message::{BodyType, Content};

use crate::{
    case::{Ask, Case, NOW_MS, REFERENCE, WEBHOOK_URL, content},
    fixture::Fixture,
    http_providers,
    sign::{Signature, verified},
};

/// Returns the HTTP side of a channel.
pub(crate) fn http(channel: &dyn Channel) -> &dyn HttpChannel {
    let LinkKind::Http(http) = channel.link() else { panic!("the channel is not reached by HTTP") };
    http
}

/// Calls `ask` with the part of the case `send_text`.
pub(crate) fn with_part<T>(case: &Case, channel: &dyn Channel, ask: impl FnOnce(&OutPart<'_>) -> T) -> T {
    let Ask::Send { did, customer, body, .. } = &case.ask else { panic!("send_text sends") };
    let prepared = channel.prepare(&content(body), 1).unwrap();
    ask(&OutPart {
        customer: &channel.customer(customer).unwrap(),
        customer_shown: customer,
        did,
        content: prepared.content.part(0).unwrap(),
        reference: REFERENCE,
        webhook_url: WEBHOOK_URL,
        reply_to: None,
        valid_s: None,
        now_ms: NOW_MS,
    })
}

/// Reads what a case brings in; nothing when it is refused or asks something else.
fn read(case: &Case) -> Option<Received> {
    let channel = case.channel();
    let http = http(&*channel);
    match &case.ask {
        Ask::Receive { .. } => case.webhook(|webhook| {
            if !matches!(http.handshake(webhook), Ok(None)) || verified(http, webhook).is_err() {
                return None;
            }
            http.receive(webhook).ok()
        }),
        Ask::Poll { cursor, answer } => {
            http.parse_poll(cursor.as_deref(), &answer.response()).ok().map(|polled| polled.received)
        }
        _ => None,
    }
}

/// Returns the error of an answer to the case `send_text`, or whether it was taken and under which
/// id.
fn answered(case: &Case, status: u16, headers: &[(&str, &str)], body: &str) -> Result<Step, SendError> {
    let channel = case.channel();
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let response = Response { status, headers, body: Bytes::from(body.to_owned()) };
    with_part(case, &*channel, |part| http(&*channel).answer(part, &[response]))
}

/// Returns the result of answers, the newest last, to the case `send_text`.
pub(crate) fn answered_with(case: &Case, answers: &[Response]) -> Result<Step, SendError> {
    let channel = case.channel();
    with_part(case, &*channel, |part| http(&*channel).answer(part, answers))
}

#[test]
fn fixtures_cover_the_description() {
    for (provider, fixture) in http_providers() {
        every_native_type_is_sent(provider, &fixture);
        every_inbound_type_and_report_is_received(provider, &fixture);
        let sends = |case: &&Case| matches!(case.ask, Ask::Send { .. });
        let outcomes = fixture.cases.iter().filter(sends).flat_map(|case| {
            let channel = case.channel();
            case.exchange(&*channel, http(&*channel)).outcomes
        });
        let sent =
            outcomes.filter(|outcome| matches!(outcome, Ok(words) if words.starts_with("sent"))).count();
        assert!(sent > 0, "{provider:?}: no case is sent");
    }
}

/// Texts and files are generated; every other type needs a case of its own.
fn every_native_type_is_sent(provider: &Provider, fixture: &Fixture) {
    let sent_type = |case: &Case| match &case.ask {
        Ask::Send { body, .. } => match content(body) {
            Content::Rich { body_type, .. } => Some(body_type),
            _ => Some(BodyType::Plain),
        },
        _ => None,
    };
    let sent: BTreeSet<BodyType> = fixture.cases.iter().filter_map(sent_type).collect();
    let text = fixture.case("send_text");
    for body_type in text.channel().capabilities().native {
        match body_type {
            BodyType::Image | BodyType::Video | BodyType::Audio | BodyType::File => {
                a_file_is_sent(text, *body_type)
            }
            other => assert!(sent.contains(other), "{provider:?}: no case sends {other:?}"),
        }
    }
}

/// Asserts that some call of the conversation carries the file's address, or uploads the file by
/// it.
fn a_file_is_sent(text: &Case, body_type: BodyType) {
    let address = "https://files.example/media/a-file";
    let kind = body_type.as_wire();
    let attachment =
        format!(r#"{{"mediaUrl":"{address}","mimeType":"","mediaName":"a-file","mediaSize":1024}}"#);
    let case = text.sending(&format!(r#"{{"type":"{kind}","caption":"words","attachment":{attachment}}}"#));
    let channel = case.channel();
    let exchange = case.exchange(&*channel, http(&*channel));
    let said = exchange.turns.join("\n");
    assert!(said.contains("a-file"), "{:?}: {kind}: {said} {:?}", case.provider, exchange.refused);
}

fn every_inbound_type_and_report_is_received(provider: &Provider, fixture: &Fixture) {
    let capabilities = fixture.case("send_text").channel().capabilities();
    let received: Vec<Received> = fixture.cases.iter().filter_map(read).collect();
    let events = || received.iter().flat_map(|r| &r.events);
    for body_type in capabilities.inbound_types {
        let came = events().any(|event| match event {
            InEvent::Message(m) => match &m.content {
                Content::Rich { body_type: came, .. } => came == body_type,
                _ => *body_type == BodyType::Plain,
            },
            _ => false,
        });
        assert!(came, "{provider:?}: no case receives {body_type:?}");
    }
    for (word, report) in provider.statuses {
        let told = events().any(|e| matches!(e, InEvent::Receipt(r) if r.report == *report))
            || report.state().is_none();
        assert!(told, "{provider:?}: no case reports {word} ({report:?})");
    }
    let batched = received.iter().any(|r| r.events.len() > 1);
    let alone = fixture.one_item_per_webhook || !capabilities.inbound || !events().any(|_| true);
    assert!(batched || alone, "{provider:?}: no case has several items in one webhook");
}

#[test]
fn general_answers_mean_the_same_everywhere() {
    for (provider, fixture) in http_providers() {
        let case = fixture.case("send_text");
        let throttled = answered(case, 429, &[("retry-after", "7")], "");
        let paused = matches!(
            throttled,
            Err(SendError::Throttled { after_ms: 7_000, .. } | SendError::Busy { after_ms: 7_000, .. })
        );
        assert!(paused, "{provider:?}: {throttled:?}");
        for status in [500, 502, 503, 504] {
            let got = answered(case, status, &[], "<html>no</html>");
            let again = matches!(got, Err(SendError::Unavailable(_) | SendError::Throttled { .. }));
            assert!(again, "{provider:?} {status}: {got:?}");
        }
        let refused = answered(case, 401, &[], "");
        assert!(matches!(refused, Err(SendError::Forbidden(_))), "{provider:?}: {refused:?}");
        for status in [400, 422] {
            let rejected = answered(case, status, &[], "");
            assert!(matches!(rejected, Err(SendError::Rejected(_))), "{provider:?}: {rejected:?}");
        }
        // The provider may have taken the message: it must not be sent again as if it had not.
        for body in ["", "<html>hello</html>", "{}", "[]", "null", "{\"id\":{}}", "\u{0}"] {
            let got = answered(case, 200, &[], body);
            let safe = match &got {
                Err(SendError::Unknown(_)) => true,
                Ok(Step::Sent(sent)) => sent.id.is_empty(),
                _ => false,
            };
            assert!(safe, "{provider:?} 200 {body:?}: {got:?}");
        }
    }
}

#[test]
fn a_probe_tells_refused_credentials_from_a_silent_provider() {
    for (provider, fixture) in http_providers() {
        let channel = fixture.case("send_text").channel();
        let http = http(&*channel);
        let Some(call) = http.probe() else { continue };
        assert!(!call.effect, "{provider:?}: a probe has an effect on customers");
        let probed = |status: u16| {
            http.parse_probe(&Response { status, headers: Vec::new(), body: Bytes::from_static(b"{}") })
        };
        let refused = probed(401);
        assert!(matches!(refused, Err(SendError::CredentialsRefused(_))), "{provider:?}: {refused:?}");
        let unavailable = probed(503);
        assert!(matches!(unavailable, Err(SendError::Unavailable(_))), "{provider:?}: {unavailable:?}");
    }
}

#[test]
fn a_name_is_not_a_customer() {
    for (provider, fixture) in http_providers() {
        let refused = fixture.case("send_text").channel().customer("Ann Bee");
        let error = refused.expect_err(&format!("{provider:?} takes a name")).to_string();
        assert!(error.contains("channelCustomerIdentifier \"Ann Bee\""), "{provider:?}: {error}");
    }
}

/// Returns the cases whose webhook is a POST with a good signature and is read.
pub(crate) fn good_posts(fixture: &Fixture) -> impl Iterator<Item = &Case> {
    let is_post = |case: &&Case| matches!(&case.ask, Ask::Receive { method, .. } if method == "POST");
    fixture.cases.iter().filter(is_post).filter(|case| case.is_signed_well() && read(case).is_some())
}

#[test]
fn a_webhook_that_makes_no_sense_brings_no_message() {
    for (provider, fixture) in http_providers() {
        for case in good_posts(&fixture) {
            let case = case.with_body("hello");
            let channel = case.channel();
            case.webhook(|webhook| {
                let http = http(&*channel);
                // Some provider's signatures cover more than the body.
                if verified(http, webhook).is_err() {
                    return;
                }
                let received = http.receive(webhook).unwrap_or_default();
                let none = received.events.iter().all(|event| !matches!(event, InEvent::Message(_)));
                assert!(none, "{provider:?} {}: {received:?}", case.name);
            });
        }
    }
}

#[test]
fn an_unsigned_webhook_is_not_read() {
    for (provider, fixture) in http_providers() {
        let key = match provider.signature() {
            Protection::NoWebhooks | Protection::None => continue,
            Protection::Optional(key) | Protection::Required(key) => key,
        };
        let mut without = fixture.account.clone();
        assert!(without.remove(key).is_some(), "{provider:?}: {key} is not in the account of the fixtures");
        let error = provider.open(without.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(key), "{provider:?}: {error}");
        if matches!(provider.signature(), Protection::Optional(_)) {
            assert!(provider.open_unsigned(without.clone()).is_ok(), "{provider:?}");
        }
        {
            let mut empty = without;
            empty.insert(key.into(), "".into());
            assert!(provider.open(empty).is_err(), "{provider:?} takes an empty {key}");
        }
        let mut good = 0;
        for case in good_posts(&fixture) {
            good += 1;
            refuses_another_secret(case);
            refuses_altered_headers(case);
        }
        assert!(good > 0, "{provider:?}: no case with a good signature");
    }
}

#[test]
fn no_provider_can_be_left_open_by_omission() {
    let mut unsigned = Vec::new();
    for (provider, fixture) in http_providers() {
        // Without any of its secrets an account is refused, or others prove its webhooks.
        for secret in provider.secrets {
            let mut account = fixture.account.clone();
            account.remove(*secret);
            let Ok(channel) = provider.open(account) else { continue };
            let http = http(&*channel);
            let unproven = http.protection().unproven(&|key| http.credential(key));
            assert_eq!(unproven, None, "{provider:?} without {secret}");
        }
        let account = fixture.account.clone();
        match provider.signature() {
            Protection::NoWebhooks => {}
            Protection::None => {
                let error = provider.open(account.clone()).map(|_| ()).unwrap_err().to_string();
                assert!(error.contains("unsigned = true"), "{provider:?}: {error}");
                let channel = provider.open_unsigned(account).unwrap();
                let webhook = Webhook {
                    method: "POST",
                    url: "https://example.org",
                    query: "",
                    headers: &[],
                    body: b"{}",
                    now_ms: NOW_MS,
                };
                assert!(http(&*channel).verify(&webhook).is_err(), "{provider:?} proves nothing");
                unsigned.push(provider.name);
            }
            Protection::Optional(_) | Protection::Required(_) => {
                let error = provider.open_unsigned(account).map(|_| ()).unwrap_err().to_string();
                assert!(error.contains("remove it"), "{provider:?}: {error}");
            }
        }
    }
    assert_eq!(unsigned, ["flowroute"], "the providers that sign nothing");
}

fn refuses_another_secret(case: &Case) {
    for signature in [Signature::Wrong, Signature::Missing] {
        let channel = case.channel();
        let verified = case.signed(signature).webhook(|webhook| http(&*channel).verify(webhook));
        let refused = verified.expect_err(&format!("{}: {signature:?} and taken", case.name));
        assert!(matches!(refused.status, 401 | 403), "{}: {signature:?}: {refused:?}", case.name);
    }
}

fn refuses_altered_headers(case: &Case) {
    let channel = case.channel();
    let http = http(&*channel);
    case.webhook(|webhook| {
        let name = format!("{:?} {}", case.provider, case.name);
        let verify = |headers: &[(Box<str>, Box<str>)]| http.verify(&Webhook { headers, ..*webhook });
        // Some header is the signature. No other value of it is accepted.
        let mut matters = false;
        for index in 0..webhook.headers.len() {
            let mut headers = webhook.headers.to_vec();
            headers.remove(index);
            if verify(&headers).is_ok() {
                continue;
            }
            matters = true;
            let (key, value) = webhook.headers[index].clone();
            for at in 0..value.len().min(200) {
                let mut octets = value.as_bytes().to_vec();
                octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
                let text = String::from_utf8(octets).unwrap();
                // The case of hexadecimal digits and the unused bits of base64 may differ.
                if text.eq_ignore_ascii_case(&value) || at + 2 >= value.len() {
                    continue;
                }
                headers = webhook.headers.to_vec();
                headers[index] = (key.clone(), text.clone().into());
                assert!(verify(&headers).is_err(), "{name}: {key}: {text} is accepted instead of {value}");
            }
        }
        assert!(matters, "{name}: no header is a signature");
    });
}

#[test]
fn no_secret_shows() {
    for (provider, fixture) in http_providers() {
        let secret = |key: &&str| Some(fixture.account.get(*key)?.as_str()?.to_owned());
        let secrets: Vec<String> = provider.secrets.iter().filter_map(secret).collect();
        assert_eq!(secrets.len(), provider.secrets.len(), "{provider:?}: the account lacks a secret");
        let shown = format!("{:?}", fixture.case("send_text").channel());
        let outputs = fixture.cases.iter().map(Case::run).chain([shown]);
        for output in outputs {
            for secret in &secrets {
                let encoded = channels::url::percent_encode(secret);
                let base64 = channels::toolkit::auth::base64(secret.as_bytes());
                for form in [secret, &encoded, base64.trim_end_matches('=')] {
                    assert!(!output.contains(form), "{provider:?} shows a secret:\n{output}");
                }
            }
        }
    }
}

#[test]
fn errors_of_an_account_name_the_key() {
    for (provider, fixture) in http_providers() {
        let mut unknown = fixture.account.clone();
        unknown.insert("no_such_key".into(), "x".into());
        let error = provider.open(unknown).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("no_such_key"), "{provider:?}: {error}");
        let empty = provider.open(toml::Table::new()).map(|_| ()).unwrap_err().to_string();
        assert!(!empty.is_empty(), "{provider:?}");
    }
}
