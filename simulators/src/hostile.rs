//! Whatever a client or a test says, no simulated provider panics, and what it accepts has an id and a recipient.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    contract::{Call, Fault, Inbound, Kind, Message, Signature},
    engine::{Options, Simulator},
    provider::{all as registered, providers},
    toolkit::{
        http::{Request, encode},
        media::File,
    },
};

const PATHS: [&str; 24] = [
    "/send",
    "/verify",
    "/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json",
    "/v1/Content",
    "/v2/messages",
    "/api/v2/users/9900000/messages",
    "/v25.0/100000000000001/messages",
    "/v25.0/100000000000001/media",
    "/v25.0/200000000000001/subscribed_apps",
    "/v25.0/300000000000001/messages",
    "/v25.0/500000000000001/messages",
    "/me/message_attachments",
    "/v25.0/12345?fields=name",
    "/messages",
    "/media",
    "/v1/configs/webhook",
    "/pa/send_message",
    "/pa/broadcast_message",
    "/pa/set_webhook",
    "/bot700001:AAsimulatedsimulatedsimulatedsimul1/sendMessage",
    "/bot700001:AAsimulatedsimulatedsimulatedsimul1/sendMediaGroup",
    "/bot700001:AAsimulatedsimulatedsimulatedsimul1/setWebhook",
    "/bot700001:AAsimulatedsimulatedsimulatedsimul1/getUpdates",
    "/api/v1/rest.php",
];

const KEYS: [&str; 52] = [
    "to",
    "from",
    "text",
    "body",
    "type",
    "messaging_product",
    "image",
    "interactive",
    "action",
    "buttons",
    "sections",
    "rows",
    "title",
    "id",
    "reply",
    "recipient",
    "message",
    "attachment",
    "attachments",
    "payload",
    "template_type",
    "elements",
    "quick_replies",
    "content_type",
    "receiver",
    "sender",
    "name",
    "keyboard",
    "Buttons",
    "ActionType",
    "media",
    "media_urls",
    "chat_id",
    "reply_markup",
    "inline_keyboard",
    "callback_data",
    "url",
    "caption",
    "parse_mode",
    "applicationId",
    "types",
    "To",
    "From",
    "Body",
    "method",
    "did",
    "dst",
    "api_username",
    "api_password",
    "size",
    "broadcast_list",
    "link",
];

const WORDS: [&str; 24] = [
    "+15550100002",
    "15550001111",
    "whatsapp",
    "text",
    "image",
    "interactive",
    "list",
    "button",
    "template",
    "generic",
    "https://x.example/a.png",
    "http://[",
    "-1001",
    "Shop",
    "HTML",
    "<b>x</b>",
    "picture",
    "video",
    "sendSMS",
    "5550100001",
    "sim-api-key",
    "6f2d0a1e-0000-4000-8000-0000000000aa",
    "reply",
    "",
];

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(Value::from),
        1 => "\\PC{0,30}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let object = proptest::collection::vec((proptest::sample::select(&KEYS[..]), inner.clone()), 0..6)
            .prop_map(|pairs| {
                pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>().into()
            });
        prop_oneof![2 => object, 1 => proptest::collection::vec(inner, 0..6).prop_map(Value::Array)]
    })
}

fn request(path: &str, content_type: &str, body: Vec<u8>, authorization: &str) -> Request {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", content_type.parse().unwrap());
    headers.insert("authorization", authorization.parse().unwrap());
    headers.insert("d360-api-key", "sim-360-key".parse().unwrap());
    headers
        .insert("x-viber-auth-token", "0123456789abcdef-0123456789abcdef-0123456789abcdef".parse().unwrap());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    Request { method: http::Method::POST, path, query, headers, body: body.into() }
}

/// The authorizations of all providers.
const KNOWN: [&str; 5] = [
    "Bearer sim-api-key",
    "Bearer KEY0SIMULATED",
    "Bearer EAAsimulated",
    "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "Basic c2ltLXVzZXI6c2ltLXBhc3N3b3Jk",
];

fn all() -> Vec<Simulator> {
    let one = |name: &'static str| Options {
        provider: name.to_owned(),
        webhook: Some("http://127.0.0.1:1/hook".to_owned()),
        ..Options::default()
    };
    providers().map(|about| Simulator::new(one(about.name)).unwrap()).collect()
}

fn check(simulator: &Simulator, request: &Request) {
    let state = simulator.state();
    if let Call::Accept(messages, answer) =
        simulator.shared.provider.call(request, &simulator.context(&state, 1))
    {
        assert!((200..300).contains(&answer.status));
        assert!(
            !messages.is_empty() && messages.iter().all(|m| !m.id.is_empty() && !m.to.is_empty()),
            "{messages:?}"
        );
        for message in &messages {
            for status in ["sent", "delivered", "read", "failed", "odd"] {
                let cx = simulator.context(&state, 2);
                if let Some(event) = simulator.shared.provider.receipt(message, status, Some("x"), &cx) {
                    let _ = simulator.shared.provider.post("http://127.0.0.1:1/hook", &[event], &cx);
                }
            }
        }
    }
}

#[test]
fn every_provider_has_a_name_of_its_own_and_a_channel_that_is_toml() {
    let names: Vec<&str> = providers().map(|about| about.name).collect();
    let wanted = [
        "alhambra",
        "athena",
        "bandwidth",
        "facebook",
        "general",
        "instagram",
        "ixica",
        "netplanet",
        "telegram",
        "telnyx",
        "twilio",
        "twilio_whatsapp",
        "vetta",
        "viber",
        "voipms",
        "whatsapp_360dialog",
        "whatsapp_cloud",
    ];
    assert_eq!(names, wanted);
    for simulator in all() {
        let table: toml::Table = simulator.channel("support").parse().unwrap();
        assert_eq!(table["channel"][0]["provider"].as_str(), Some(simulator.about().name));
        assert!(table["channel"][0]["account"].as_table().unwrap().len() >= 2);
        let keys: BTreeSet<&str> = simulator.about().credentials.iter().map(|one| one.key).collect();
        assert_eq!(keys.len(), simulator.about().credentials.len());
    }
}

#[test]
fn every_fault_has_an_answer_and_every_status_word_is_safe() {
    for simulator in all() {
        let state = simulator.state();
        let cx = simulator.context(&state, 1);
        let provider = simulator.shared.provider;
        for code in ["", "0", "nonsense", "400:chat not found", "10/2018278", "99999999999999999999"] {
            let answer = provider.fault(Fault::Rejected { code }, &cx);
            assert!((200..600).contains(&answer.status), "{code}: {}", answer.status);
        }
        assert_eq!(provider.fault(Fault::Unavailable { status: 502 }, &cx).status, 502);
        for fault in [
            Fault::Throttled { after_s: 0 },
            Fault::Throttled { after_s: 9 },
            Fault::Credentials,
            Fault::WithoutId,
        ] {
            assert!(provider.fault(fault, &cx).status >= 200);
        }
        for status in ["sent", "delivered", "read", "failed", "", "ß"] {
            let _ = provider.receipt(&Message::default(), status, None, &cx);
        }
        let _ = provider.post("", &[], &cx);
        let _ = provider.handshake("", &cx);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_request_makes_a_provider_panic(
        path in proptest::sample::select(&PATHS[..]),
        authorization in proptest::sample::select(&KNOWN[..]),
        body in values(),
        form in any::<bool>(),
    ) {
        thread_local! { static ALL: Vec<Simulator> = all(); }
        let request = match &body {
            Value::Object(map) if form => {
                let pairs: Vec<String> = map.iter().map(|(key, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    format!("{key}={}", encode(&text))
                }).collect();
                request(path, "application/x-www-form-urlencoded", pairs.join("&").into_bytes(), authorization)
            }
            body => request(path, "application/json", body.to_string().into_bytes(), authorization),
        };
        ALL.with(|all| all.iter().for_each(|simulator| check(simulator, &request)));
    }

    #[test]
    fn no_octets_make_a_provider_panic(
        path in "(/[a-zA-Z0-9_.:%+-]{0,12}){0,5}",
        query in "[ -~]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        kind in proptest::sample::select(&["multipart/form-data; boundary=x", "application/json", ""][..]),
    ) {
        thread_local! { static ALL: Vec<Simulator> = all(); }
        let mut request = request(&path, kind, body, "Bearer x");
        request.query = query;
        ALL.with(|all| all.iter().for_each(|simulator| check(simulator, &request)));
    }

    #[test]
    fn no_order_makes_a_provider_panic(
        words in "\\PC{0,40}",
        from in "[+@0-9a-z:-]{0,16}",
        about in "[a-z0-9:.]{0,12}",
        degrees in any::<f64>(),
        extra in values(),
    ) {
        thread_local! { static ALL: Vec<Simulator> = all(); }
        const KINDS: [Kind; 17] = [
            Kind::Text, Kind::Image, Kind::Video, Kind::Audio, Kind::Document, Kind::Sticker, Kind::Location, Kind::Contact,
            Kind::Button, Kind::List, Kind::Reaction, Kind::Edit, Kind::Delete, Kind::OptIn, Kind::OptOut, Kind::Start,
            Kind::Unsupported,
        ];
        let inbound = |kind| Inbound {
            kind, from: from.clone(), to: from.clone(), text: words.clone(), payload: words.clone(), id: about.clone(),
            about: about.clone(), latitude: degrees, longitude: degrees, extra: extra.clone(), ..Inbound::default()
        };
        let file = File { id: "1".into(), mime: "image/png".into(), name: words.clone(), content: Default::default() };
        ALL.with(|all| for simulator in all {
            let state = simulator.state();
            let mut cx = simulator.context(&state, 3);
            let mut events = vec![extra.clone()];
            for kind in KINDS {
                let file = kind.is_file().then_some(&file);
                events.extend(simulator.shared.provider.inbound(&inbound(kind), file, &cx));
            }
            for signature in [Signature::Right, Signature::Wrong, Signature::None] {
                cx.signature = signature;
                let _ = simulator.shared.provider.post("http://127.0.0.1:1/a?b=c", &events, &cx);
                for event in events.chunks(1) {
                    let _ = simulator.shared.provider.post("http://127.0.0.1:1/{FROM}", event, &cx);
                }
            }
        });
    }
}

#[test]
fn all_providers_are_simulated_apart() {
    // One that knows another's credentials would not notice a mix-up.
    let simulators = all();
    assert_eq!(simulators.len(), registered().len());
    let good = json!({"from": "+15550100001", "to": "+15550100002", "text": "x"});
    let takers: Vec<&str> = simulators
        .iter()
        .filter(|simulator| {
            let request =
                request("/v2/messages", "application/json", good.to_string().into_bytes(), KNOWN[1]);
            let state = simulator.state();
            matches!(
                simulator.shared.provider.call(&request, &simulator.context(&state, 1)),
                Call::Accept(..)
            )
        })
        .map(|simulator| simulator.about().name)
        .collect();
    assert_eq!(takers, ["telnyx"]);
}
