//! One table of mistakes in requests, each sent to the running binary.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Patchbay, Setup, cim};

const KEY: &str = "key-1";

/// SMS by SMPP and Twilio, WhatsApp on Twilio's number, and Telegram. No provider is there, which
/// acceptance does not need.
const CHANNELS: &str = r#"
[[channel]]
id = "sms"
provider = "smpp"
dids = ["5155"]
[channel.account]
host = "127.0.0.1"
port = 9
system_id = "s"
password = "p"
[[channel]]
id = "us"
provider = "twilio"
dids = ["+15557770000"]
preferred = false
[channel.account]
account_sid = "AC1"
auth_token = "t"
base_url = "http://127.0.0.1:9"
[[channel]]
id = "wa"
provider = "whatsapp_cloud"
dids = ["+15557770000"]
preferred = false
[channel.account]
access_token = "t"
app_secret = "s"
phone_number_id = "1"
base_url = "http://127.0.0.1:9"
[[channel]]
id = "de"
provider = "twilio"
dids = ["+4930123456"]
default_country = "DE"
[channel.account]
account_sid = "AC1"
auth_token = "t"
base_url = "http://127.0.0.1:9"
"#;

async fn stage() -> Patchbay {
    Setup::new()
        .http(&format!("public_url = \"https://p.example\"\nbody_max = \"64KB\"\napi_keys = [\"{KEY}\"]"))
        .destination("support", "http://127.0.0.1:9/cim", "")
        .tables(CHANNELS)
        .start()
        .await
}

/// A mistake: what it is, the request, and the answer: its status, and what it must tell.
struct Mistake {
    what: &'static str,
    method: Method,
    /// Begins with `admin:` for the admin port.
    path: &'static str,
    body: String,
    status: u16,
    told: &'static [&'static str],
}

fn sent(what: &'static str, body: impl ToString, status: u16, told: &'static [&'static str]) -> Mistake {
    Mistake { what, method: Method::POST, path: "/v1/messages", body: body.to_string(), status, told }
}

fn asked(
    what: &'static str,
    method: Method,
    path: &'static str,
    status: u16,
    told: &'static [&'static str],
) -> Mistake {
    Mistake { what, method, path, body: String::new(), status, told }
}

fn to(did: &str, customer: &str) -> Value {
    cim::text_from(did, "m-bad", customer, "x")
}

fn with(path: &[&str], value: Value) -> Value {
    let mut message = to("5155", "+4917600000001");
    *path.iter().fold(&mut message, |at, key| &mut at[*key]) = value;
    message
}

fn messages() -> Vec<Mistake> {
    let data = |key, value| cim::with(to("5155", "+4917600000001"), key, value);
    let words = |text: &str| with(&["body", "markdownText"], json!(text));
    let whatsapp = cim::with(to("+15557770000", "+4917600000001"), "channelTypeCode", json!("WHATSAPP"));
    let national = cim::with(to("+15557770000", "0176 123456"), "channelTypeCode", json!("us"));
    let more = |key: &str, value| cim::attribute(to("5155", "+4917600000001"), key, json!(value));
    vec![
        sent(
            "an unknown own address",
            to("9999", "+4917600000001"),
            404,
            &["serviceIdentifier \"9999\"", "configured: 5155"],
        ),
        sent(
            "an address that two channels have",
            to("+15557770000", "+4917600000001"),
            400,
            &[
                "2 channels have the serviceIdentifier",
                "say channelTypeCode (\"us\" or \"wa\")",
                "preferred = true",
            ],
        ),
        sent(
            "a type that no channel has",
            data("channelTypeCode", json!("FAX")),
            400,
            &["channelTypeCode \"FAX\"", "expected the id or a type of \"sms\" (SMS)"],
        ),
        sent(
            "a customer who has not written",
            whatsapp,
            400,
            &["the customer has not written yet", "send a template"],
        ),
        sent(
            "letters in a number",
            to("5155", "Ann"),
            400,
            &["channelCustomerIdentifier \"Ann\"", "expected digits"],
        ),
        sent(
            "a number too long",
            to("+4930123456", "+49176000000011111"),
            400,
            &["channelCustomerIdentifier", "up to 15 digits"],
        ),
        sent(
            "a national number",
            national,
            400,
            &[
                "channelCustomerIdentifier \"0176 123456\" is a national number",
                "with its country",
                "default_country = \"DE\"",
                "[[channel]] \"us\"",
            ],
        ),
        sent("no text", words(""), 400, &["markdownText"]),
        sent("a text too long", words(&"x".repeat(5_000)), 400, &["characters", "1600"]),
        sent(
            "a type that does not exist",
            with(&["body", "type"], json!("PLAN")),
            400,
            &["\"PLAN\"", "body.type is not known", "PLAIN, IMAGE"],
        ),
        sent(
            "a text that is a number",
            with(&["body", "markdownText"], json!(7)),
            400,
            &["body.markdownText", "text"],
        ),
        sent("a body that is a text", with(&["body"], json!("x")), 400, &["body", "object"]),
        sent(
            "no customer",
            data("channelCustomerIdentifier", Value::Null),
            400,
            &["channelCustomerIdentifier"],
        ),
        sent("a priority of 11", data("requestPriority", json!(11)), 400, &["requestPriority", "10"]),
        sent(
            "a validity of ever",
            more("validityPeriod", "ever"),
            400,
            &["additionalAttributes[validityPeriod]", "give whole seconds or a text such as 2h"],
        ),
        sent(
            "an id too long",
            with(&["id"], json!("x".repeat(5_000))),
            400,
            &["id has 5000 bytes", "the limit is 128"],
        ),
        sent("an internal note", with(&["body", "type"], json!("WRAPUP")), 400, &["WRAPUP", "internal"]),
        sent("no JSON", "hello", 400, &["JSON", "line 1"]),
        sent("a message cut off", "{\"id\":\"m\",", 400, &["JSON"]),
        sent("an empty list", "[]", 400, &["no message"]),
        sent("a body too large", " ".repeat(70_000), 413, &["body_max"]),
    ]
}

fn requests() -> Vec<Mistake> {
    let get = |what, path, status, told| asked(what, Method::GET, path, status, told);
    vec![
        get(
            "an unknown path",
            "/v1/mesages",
            404,
            &["no route matches GET /v1/mesages", "POST /v1/messages"],
        ),
        asked(
            "a wrong method",
            Method::PUT,
            "/v1/messages",
            405,
            &["PUT is not allowed on /v1/messages", "POST /v1/messages"],
        ),
        get(
            "tail at the send API",
            "/api/tail",
            404,
            &["this is the send API ([http] listen)", "/api/tail is at the admin port ([admin] listen"],
        ),
        asked(
            "send at the admin port",
            Method::POST,
            "admin:/v1/messages",
            404,
            &["this is the admin port ([admin] listen)", "is at the send API ([http] listen"],
        ),
        get("an unknown message", "/v1/messages/none", 404, &["no such message"]),
        get(
            "an unknown session",
            "/v1/sessions/s-00000000000000000000000000000000-1",
            404,
            &["no such session"],
        ),
        get(
            "a session id that is none",
            "/v1/sessions/x",
            400,
            &["not a session id", "expected s-<32 hex digits>-<number>"],
        ),
        asked("a channel misspelt", Method::POST, "admin:/api/channels/smss/restart", 404, &["channel"]),
        get("a filter misspelt", "admin:/api/sessions?chanel=sms", 400, &["chanel", "channel"]),
    ]
}

/// Returns what is wrong with the answer to a mistake.
async fn try_one(patchbay: &Patchbay, mistake: &Mistake, key: &str) -> Option<String> {
    let url = match mistake.path.strip_prefix("admin:") {
        Some(path) => format!("{}{path}", patchbay.admin),
        None => format!("{}{}", patchbay.public, mistake.path),
    };
    let authorization = format!("Bearer {key}");
    let headers = [("content-type", "application/json"), ("authorization", &*authorization)];
    let answer = patchbay.http.with(mistake.method.clone(), &url, &headers, mistake.body.clone()).await;
    let (status, _, body) = answer.unwrap();
    // Without the escapes of JSON, so that quoted words can be compared.
    let text = String::from_utf8_lossy(&body).replace("\\\"", "\"");
    let missing: Vec<_> = mistake.told.iter().filter(|part| !text.contains(**part)).collect();
    let is_right = status == mistake.status && missing.is_empty();
    (!is_right).then(|| format!("{}: {status}, {missing:?} is not told: {text}", mistake.what))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_answered_with_the_thing_the_place_and_the_fix() {
    let patchbay = stage().await;
    let all: Vec<Mistake> = messages().into_iter().chain(requests()).collect();
    assert!(all.len() >= 22, "{} mistakes", all.len());
    let mut wrong = Vec::new();
    for mistake in &all {
        wrong.extend(try_one(&patchbay, mistake, KEY).await);
    }
    let told = &["API key is missing or wrong", "[http] api_keys", "Authorization: Bearer"];
    let key = sent("a wrong key", to("5155", "+4917600000001"), 401, told);
    wrong.extend(try_one(&patchbay, &key, "key-2").await);
    // Without a key the wrong port is told all the same: no key would help.
    let tail = asked("tail", Method::GET, "/api/tail", 404, &["this is the send API"]);
    wrong.extend(try_one(&patchbay, &tail, "").await);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_its_channel_or_its_country_is_accepted() {
    let patchbay = stage().await;
    let plan = |message: Value| {
        let (http, url) = (patchbay.http.clone(), format!("{}?plan=true", patchbay.messages));
        async move {
            let headers = [("content-type", "application/json"), ("authorization", "Bearer key-1")];
            let (status, _, body) =
                http.with(Method::POST, &url, &headers, message.to_string()).await.unwrap();
            let text = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(status, 200, "{text}");
            serde_json::from_slice::<Value>(&body).unwrap()
        }
    };
    for word in ["SMS", "us", "twilio"] {
        let message = cim::with(to("+15557770000", "+4917600000001"), "channelTypeCode", json!(word));
        assert_eq!(plan(message).await["channel"], "us", "{word}");
    }
    let planned = plan(to("+4930123456", "(0176) 123 456 78")).await;
    assert!(planned.to_string().contains("4917612345678"), "{planned}");
}
