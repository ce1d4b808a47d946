//! Hostile requests and orders: no simulated provider panics, and every message it accepts has an
//! id and a recipient. Also proves that each provider of the product is simulated.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

#[path = "support/web.rs"]
mod web;

use std::{collections::BTreeSet, sync::LazyLock};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use simulators::rest::{DeliverError, Inbound, Kind, Options, Script, Signature, Simulator, providers};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};
use web::{Http, call};

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

/// `Authorization` headers that some provider accepts.
const KNOWN: [&str; 5] = [
    "Bearer sim-api-key",
    "Bearer KEY0SIMULATED",
    "Bearer EAAsimulated",
    "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "Basic c2ltLXVzZXI6c2ltLXBhc3N3b3Jk",
];

/// Every provider, served on a port of its own, with a webhook that refuses connections.
struct Stage {
    runtime: Runtime,
    simulators: Vec<Simulator>,
    _tasks: JoinSet<()>,
}

impl Stage {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut tasks = JoinSet::new();
        let simulators = runtime.block_on(async {
            let mut all = Vec::new();
            for about in providers() {
                let refused = "http://127.0.0.1:1".to_owned();
                let simulator = Simulator::new(Options {
                    provider: about.name.to_owned(),
                    webhook: Some(format!("{refused}/hook")),
                    deliver_to: Some(refused),
                    script: Script {
                        receipt_sent_ms: 0,
                        receipt_delivered_ms: 0,
                        webhook_tries_max: 1,
                        ..Script::default()
                    },
                    ..Options::default()
                })
                .unwrap();
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let base = format!("http://{}", listener.local_addr().unwrap());
                let served = simulator.clone();
                tasks.spawn(async move { served.run(listener, std::future::pending()).await });
                while simulator.base_url() != base {
                    tokio::task::yield_now().await;
                }
                all.push(simulator);
            }
            all
        });
        Self { runtime, simulators, _tasks: tasks }
    }

    /// Sends a request to every provider, and reports in every way on the messages that they
    /// accept.
    fn check(&self, request: &HostileRequest) {
        for simulator in &self.simulators {
            self.runtime.block_on(async {
                let before = simulator.counts().accepted;
                let answer = request.send_to(simulator).await;
                assert!((200..600).contains(&answer.status), "{}", answer.status);
                let messages = simulator.messages_after(before).messages;
                for message in messages {
                    assert!((200..300).contains(&answer.status), "{}", answer.status);
                    assert!(!message.id.is_empty() && !message.to.is_empty(), "{message:?}");
                    for status in ["sent", "delivered", "read", "failed", "odd"] {
                        simulator.receipt(&message.id, status, Some("x")).await.unwrap();
                    }
                }
            });
        }
    }
}

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

/// A request with the credentials of all providers.
struct HostileRequest {
    path: String,
    content_type: &'static str,
    authorization: &'static str,
    body: Vec<u8>,
}

impl HostileRequest {
    fn json(path: &str, authorization: &'static str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { path: path.to_owned(), content_type: "application/json", authorization, body }
    }

    async fn send_to(&self, simulator: &Simulator) -> Http {
        let headers = [
            ("content-type", self.content_type),
            ("authorization", self.authorization),
            ("d360-api-key", "sim-360-key"),
            ("x-viber-auth-token", "0123456789abcdef-0123456789abcdef-0123456789abcdef"),
        ];
        call("POST", &format!("{}{}", simulator.base_url(), self.path), &headers, &self.body).await
    }
}

#[test]
fn every_provider_of_the_product_is_simulated_by_its_name() {
    let simulated: Vec<&str> = providers().map(|about| about.name).collect();
    // The SMSC simulates SMPP.
    let product = channels::PROVIDERS.iter().map(|provider| provider.name).filter(|name| *name != "smpp");
    let product: BTreeSet<&str> = product.collect();
    assert_eq!(simulated, product.into_iter().collect::<Vec<_>>());
}

#[test]
fn every_provider_has_distinct_credentials_and_a_channel_that_is_valid_toml() {
    let mut numbers = BTreeSet::new();
    for simulator in &STAGE.simulators {
        let table: toml::Table = simulator.channel("support").parse().unwrap();
        assert_eq!(table["channel"][0]["provider"].as_str(), Some(simulator.about().name));
        let number = simulator.did().trim_start_matches('+').to_owned();
        assert!(numbers.insert(number), "{}: another one has {}", simulator.about().name, simulator.did());
        assert!(table["channel"][0]["account"].as_table().unwrap().len() >= 2);
        let keys: BTreeSet<&str> = simulator.about().credentials.iter().map(|one| one.key).collect();
        assert_eq!(keys.len(), simulator.about().credentials.len());
    }
}

#[test]
fn a_message_for_one_provider_is_refused_by_all_others() {
    let good = json!({"from": "+15550100001", "to": "+15550100002", "text": "x"});
    let request = HostileRequest::json("/v2/messages", KNOWN[1], &good);
    let takers: Vec<&str> = STAGE
        .simulators
        .iter()
        .filter(|simulator| {
            let before = simulator.counts().accepted;
            STAGE.runtime.block_on(request.send_to(simulator));
            simulator.counts().accepted > before
        })
        .map(|simulator| simulator.about().name)
        .collect();
    assert_eq!(takers, ["telnyx"]);
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
        let request = match &body {
            Value::Object(map) if form => {
                let pairs: Vec<String> = map.iter().map(|(key, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    format!("{key}={}", channels::url::percent_encode(&text))
                }).collect();
                HostileRequest {
                    path: path.to_owned(),
                    content_type: "application/x-www-form-urlencoded",
                    authorization,
                    body: pairs.join("&").into_bytes(),
                }
            }
            body => HostileRequest::json(path, authorization, body),
        };
        STAGE.check(&request);
    }

    #[test]
    fn no_octets_make_a_provider_panic(
        path in "(/[a-zA-Z0-9_.:%+-]{0,12}){1,5}",
        query in "[!-~&&[^#<>\"`{}|^\\\\]]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        content_type in proptest::sample::select(&["multipart/form-data; boundary=x", "application/json", ""][..]),
    ) {
        STAGE.check(&HostileRequest { path: format!("{path}?{query}"), content_type, authorization: "Bearer x", body });
    }

    #[test]
    fn no_order_makes_a_provider_panic(
        words in "\\PC{0,40}",
        from in "[+@0-9a-z:-]{0,16}",
        about in "[a-z0-9:.]{0,12}",
        degrees in any::<f64>(),
        extra in values(),
    ) {
        const KINDS: [Kind; 18] = [
            Kind::Text, Kind::Image, Kind::Video, Kind::Audio, Kind::Document, Kind::Sticker, Kind::Location,
            Kind::Contact, Kind::Button, Kind::List, Kind::Reaction, Kind::Edit, Kind::Delete, Kind::OptIn,
            Kind::OptOut, Kind::Start, Kind::Unsupported, Kind::Raw,
        ];
        let signatures = [Signature::Right, Signature::Wrong, Signature::None];
        for simulator in &STAGE.simulators {
            for (kind, signature) in KINDS.into_iter().zip(signatures.into_iter().cycle()) {
                let inbound = Inbound {
                    kind, signature, from: from.clone(), to: from.clone(), text: words.clone(), payload: words.clone(),
                    id: about.clone(), about: about.clone(), file_name: words.clone(), latitude: degrees,
                    longitude: degrees, extra: extra.clone(), ..Inbound::default()
                };
                match STAGE.runtime.block_on(simulator.inbound(&inbound)) {
                    Ok(attempts) => prop_assert!(!attempts.is_empty()),
                    Err(error) => prop_assert!(matches!(error, DeliverError::Unsupported(_)), "{error}"),
                }
            }
        }
    }
}
