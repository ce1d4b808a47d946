//! What holds for every HTTP provider, by its capabilities: which fixtures it must have, what general answers mean, that
//! nothing unsigned is read, that no secret shows, that nothing from outside makes it panic.

use std::collections::BTreeSet;

use bytes::Bytes;
use channels::{
    Channel, HttpChannel, InEvent, LinkKind, OutPart, Provider, Received, SendError, Signature, Step,
    Whereabouts,
    http::{Refused, Response, Webhook},
};
use message::{BodyType, Content};
use rand_pcg::{Pcg64Mcg, rand_core::RngCore};

use crate::{
    account,
    case::{Answer, Ask, Case, NOW_MS, REFERENCE, WEBHOOK_URL, content},
    cases, folder, http_providers, show,
};

/// Mutations of each webhook and answer.
const MUTATIONS: usize = 500;

fn named<'a>(cases: &'a [Case], name: &str) -> &'a Case {
    cases
        .iter()
        .find(|case| case.path.file_stem().is_some_and(|stem| stem == name))
        .unwrap_or_else(|| panic!("{name}.toml is missing beside {:?}", cases.first().map(|c| &c.path)))
}

fn channel(provider: &'static Provider) -> std::sync::Arc<dyn Channel> {
    (provider.channel)(account(provider)).unwrap()
}

fn http(channel: &dyn Channel) -> &dyn HttpChannel {
    let LinkKind::Http(http) = channel.link() else { panic!("no HTTP provider") };
    http
}

/// Asks with a part that is like the fixture `send_text`.
fn with_part<T>(case: &Case, channel: &dyn Channel, ask: impl FnOnce(&OutPart<'_>) -> T) -> T {
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

fn read(case: &Case) -> Option<Received> {
    let channel = case.channel();
    let http = http(&*channel);
    match &case.ask {
        Ask::Receive { .. } => case.webhook(|webhook| {
            if !matches!(http.handshake(webhook), Ok(None)) || http.verify(webhook).is_err() {
                return None;
            }
            http.receive(webhook).ok()
        }),
        Ask::Poll { cursor, answer, .. } => {
            http.polled(cursor.as_deref(), &answer.response()).ok().map(|polled| polled.received)
        }
        _ => None,
    }
}

#[test]
fn fixtures_cover_what_a_provider_says_of_itself() {
    for provider in http_providers() {
        let cases = cases(provider);
        let capabilities = channel(provider).capabilities();
        let mut classes = BTreeSet::new();
        let mut sent_types = BTreeSet::new();
        for case in cases.iter().filter(|case| matches!(case.ask, Ask::Send { .. })) {
            let channel = case.channel();
            let exchange = case.exchange(&*channel, http(&*channel));
            for outcome in exchange.outcomes {
                match outcome {
                    // Whatever a 2xx says, it was taken: such a provider has no answer that leaves doubt.
                    Ok(words) if words.starts_with("sent \"\"") => classes.extend(["sent", "unknown"]),
                    Ok(words) if words.starts_with("sent") => _ = classes.insert("sent"),
                    Ok(_) => {}
                    Err(error) => _ = classes.insert(show::class(&error)),
                }
            }
            let Ask::Send { body, .. } = &case.ask else { continue };
            sent_types.insert(match content(body) {
                Content::Rich { body_type, .. } => body_type,
                _ => BodyType::Plain,
            });
        }
        for class in ["sent", "throttled", "rejected", "unavailable", "credentials_refused", "unknown"] {
            assert!(classes.contains(class), "{provider:?}: no fixture sends and is {class}");
        }
        for body_type in capabilities.native {
            assert!(sent_types.contains(body_type), "{provider:?}: no fixture sends {body_type:?}");
        }
        let received: Vec<Received> = cases.iter().filter_map(read).collect();
        let events = || received.iter().flat_map(|r| &r.events);
        for body_type in capabilities.inbound_types {
            let came = events().any(|event| match event {
                InEvent::Message(m) => match &m.content {
                    Content::Rich { body_type: came, .. } => came == body_type,
                    _ => *body_type == BodyType::Plain,
                },
                _ => false,
            });
            assert!(came, "{provider:?}: no fixture receives {body_type:?}");
        }
        for (word, report) in provider.statuses {
            let told = events().any(|e| matches!(e, InEvent::Receipt(r) if r.report == *report))
                || report.state().is_none();
            assert!(told, "{provider:?}: no fixture reports {word} ({report:?})");
        }
        let batched = received.iter().any(|r| r.events.len() > 1);
        assert!(
            !capabilities.inbound || batched || !events().any(|_| true) || is_single(&cases),
            "{provider:?}"
        );
    }
}

/// A provider that never sends more than one item says so by a file of this name.
fn is_single(cases: &[Case]) -> bool {
    cases.iter().any(|case| case.path.with_file_name("one_item_per_webhook").exists())
}

#[test]
fn general_answers_mean_what_they_mean_everywhere() {
    for provider in http_providers() {
        let cases = cases(provider);
        let case = named(&cases, "send_text");
        let channel = case.channel();
        let http = http(&*channel);
        let answer = |status: u16, headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
            let response = Response { status, headers, body: Bytes::from(body.to_owned()) };
            with_part(case, &*channel, |part| http.answer(part, &[response]))
        };
        let throttled = answer(429, &[("retry-after", "7")], "");
        assert!(
            matches!(throttled, Err(SendError::Throttled { after_ms: 7_000, .. })),
            "{provider:?}: {throttled:?}"
        );
        for status in [500, 502, 503, 504] {
            let got = answer(status, &[], "<html>no</html>");
            let again = matches!(got, Err(SendError::Unavailable(_) | SendError::Throttled { .. }));
            assert!(again, "{provider:?} {status}: {got:?}");
        }
        let refused = answer(401, &[], "");
        assert!(matches!(refused, Err(SendError::CredentialsRefused(_))), "{provider:?}: {refused:?}");
        let rejected = answer(400, &[], "");
        assert!(matches!(rejected, Err(SendError::Rejected(_))), "{provider:?}: {rejected:?}");
        // Taken as far as anyone can tell: never sent again as if nothing had happened.
        for body in ["", "<html>hello</html>", "{}", "[]", "null", "{\"id\":{}}", "\u{0}"] {
            let got = answer(200, &[], body);
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
fn what_is_not_signed_is_not_read() {
    for provider in http_providers() {
        let key = match provider.signature {
            Signature::None => continue,
            Signature::Optional(key) | Signature::Required(key) => key,
        };
        let mut without = account(provider);
        assert!(without.remove(key).is_some(), "{provider:?}: {key} is not in account.toml");
        if matches!(provider.signature, Signature::Required(_)) {
            let error = (provider.channel)(without.clone()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(key), "{provider:?}: {error}");
            let mut empty = without;
            empty.insert(key.into(), "".into());
            assert!((provider.channel)(empty).is_err(), "{provider:?} takes an empty {key}");
        }
        let mut good = 0;
        for case in &cases(provider) {
            if matches!(&case.ask, Ask::Receive { method, .. } if method == "POST") && read(case).is_some() {
                good += 1;
                refuses_all_but_the_signed(case);
            }
        }
        assert!(good > 0, "{provider:?}: no fixture with a good signature");
    }
}

fn refuses_all_but_the_signed(case: &Case) {
    let channel = case.channel();
    let http = http(&*channel);
    case.webhook(|webhook| {
        let name = case.path.display();
        let verify = |headers: &[(Box<str>, Box<str>)]| http.verify(&Webhook { headers, ..*webhook });
        let unsigned: Result<(), Refused> = verify(&[]);
        let refused = unsigned.expect_err(&format!("{name}: unsigned and taken"));
        assert!(matches!(refused.status, 401 | 403), "{name}: {refused:?}");
        // Some header is the signature: no other value of it is taken.
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
                // The case of hexadecimal, and bits of base64 that mean nothing, may differ.
                if text.eq_ignore_ascii_case(&value) || at + 2 >= value.len() {
                    continue;
                }
                headers = webhook.headers.to_vec();
                headers[index] = (key.clone(), text.clone().into());
                assert!(verify(&headers).is_err(), "{name}: {key}: {text} is taken for {value}");
            }
        }
        assert!(matters, "{name}: no header matters");
    });
}

#[test]
fn no_secret_shows() {
    for provider in http_providers() {
        let table = account(provider);
        let secrets: Vec<String> =
            provider.secrets.iter().filter_map(|key| Some(table.get(*key)?.as_str()?.to_owned())).collect();
        assert!(secrets.len() == provider.secrets.len(), "{provider:?}: account.toml lacks a secret");
        let shown = format!("{:?}", channel(provider));
        let outputs = cases(provider).into_iter().map(|case| case.run()).chain([shown]);
        for output in outputs {
            for secret in &secrets {
                let encoded = channels::toolkit::auth::percent_encode(secret);
                let base64 = channels::toolkit::auth::base64(secret.as_bytes());
                for form in [secret, &encoded, base64.trim_end_matches('=')] {
                    assert!(!output.contains(form), "{provider:?} shows a secret:\n{output}");
                }
            }
        }
    }
}

#[test]
fn accounts_name_what_is_wrong_with_them() {
    for provider in http_providers() {
        let mut unknown = account(provider);
        unknown.insert("no_such_key".into(), "x".into());
        let error = (provider.channel)(unknown).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("no_such_key"), "{provider:?}: {error}");
        let empty = (provider.channel)(toml::Table::new()).map(|_| ()).unwrap_err().to_string();
        assert!(!empty.is_empty(), "{provider:?}");
        assert!(folder(provider).join("account.toml").exists());
    }
}

#[test]
fn nothing_from_outside_makes_a_provider_panic() {
    let mut rng = Pcg64Mcg::new(0x5eed);
    for provider in http_providers() {
        for case in &cases(provider) {
            let channel = case.channel();
            let http = http(&*channel);
            match &case.ask {
                Ask::Receive { body, .. } => case.webhook(|webhook| {
                    for _ in 0..MUTATIONS {
                        let body = mutated(body.as_bytes(), &mut rng);
                        let webhook = Webhook { body: &body, ..*webhook };
                        let _any = (http.handshake(&webhook), http.verify(&webhook), http.receive(&webhook));
                    }
                }),
                Ask::Send { answers, .. } => {
                    let text = cases_text(provider);
                    for answer in answers {
                        for _ in 0..MUTATIONS {
                            let body = mutated(answer.body.as_bytes(), &mut rng);
                            let response = Response { body: body.into(), ..answer.response() };
                            let _any = with_part(&text, &*channel, |part| http.answer(part, &[response]));
                        }
                    }
                }
                Ask::SetUp { answers, .. } => {
                    let ours = Whereabouts { webhook_url: WEBHOOK_URL, shared_url: WEBHOOK_URL };
                    for _ in 0..MUTATIONS {
                        let mutated = |answer: &Answer| Response {
                            body: self::mutated(answer.body.as_bytes(), &mut rng).into(),
                            ..answer.response()
                        };
                        let said: Vec<Response> = answers.iter().map(mutated).collect();
                        let _any: Vec<_> = (0..=said.len()).map(|n| http.set_up(ours, &said[..n])).collect();
                    }
                }
                Ask::Probe { answer } => {
                    for _ in 0..MUTATIONS {
                        let body = mutated(answer.body.as_bytes(), &mut rng);
                        let response = Response { body: body.into(), ..answer.response() };
                        let _any = (http.probed(&response), http.learnt(&response));
                    }
                }
                _ => {}
            }
        }
    }
}

fn cases_text(provider: &'static Provider) -> Case {
    let path = folder(provider).join("send_text.toml");
    Case::read(provider, path)
}

/// A few octets flipped, cut out, doubled or replaced by what parsers dislike.
fn mutated(octets: &[u8], rng: &mut Pcg64Mcg) -> Vec<u8> {
    const ODD: [&[u8]; 10] = [
        b"null",
        b"-1",
        b"1e999",
        b"{}",
        b"[]",
        b"\"\"",
        b"\xff\xfe",
        b"\\u0000",
        b"99999999999999999999",
        b"\\ud800",
    ];
    let mut out = octets.to_vec();
    for _ in 0..1 + rng.next_u32() % 3 {
        let at = rng.next_u32() as usize % (out.len() + 1);
        let end = (at + rng.next_u32() as usize % 12).min(out.len());
        match rng.next_u32() % 4 {
            0 if at < out.len() => out[at] ^= 1 << (rng.next_u32() % 8),
            1 => _ = out.drain(at..end),
            2 => {
                let again = out[at..end].to_vec();
                _ = out.splice(at..at, again);
            }
            _ => {
                let odd = ODD[rng.next_u32() as usize % ODD.len()];
                _ = out.splice(at..end, odd.iter().copied());
            }
        }
    }
    out
}
