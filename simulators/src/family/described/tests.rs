//! A description with everything that General's and Flowroute's leave out: fields in a form,
//! credentials among the fields, call-backs by query and form, a token in the query.

use http::HeaderMap;
use serde_json::{Value, json};

use super::{BadDescription, Described, Source};
use crate::{
    contract::{
        Context, Credentials, Effect, Inbound, Kind, Message, Provider, ReportStatus, Signature, StatusReport,
    },
    toolkit::{
        http::{Outgoing, Request},
        media::Media,
    },
};

const SAMPLE: &str = r#"
[simulator]
title = "Sample"
number = "15550100001"
customer = "15550100002"
account = { base_url = "{base}/{user}" }
secrets = ["token"]
credentials = { user = "u", password = "p", token = "t t" }
auth = { fields = { login = "user", "?pw" = "password" }, refused = { status = 200, body = "ERR 1" } }
refusal = { rejected = 200, body = "ERR {code} {reason}" }

[simulator.send]
path = "/{user}/send"
format = "form"
to = "to"
text = "text"
media = "file"
callback = "dlr"
numbers = "digits"
text_characters_max = 5
id = "{serial}"
answer = { status = 200, body = { ok = "{id:number}", text = "{text}" } }

[simulator.inbound]
format = "query"
event = { id = "{id}", from = "{from_digits}", text = "{text}" }

[simulator.receipt]
format = "form"
event = { id = "{id}", state = "{word}" }
words = { delivered = "1", failed = "2" }
with = { failed = { error = "{code}" } }
code = "99"

[simulator.webhook]
token = { query = "key", credential = "token" }
"#;

fn read(text: &'static str) -> Result<Described, BadDescription> {
    Described::read(&Source { name: "sample", text }, &[]).map(|described| described.unwrap())
}

/// Calls `check` with the sample, and a context with its default credentials.
fn with_sample(check: impl Fn(&Described, Context<'_>)) {
    let sample = read(SAMPLE).unwrap_or_else(|error| panic!("{error}"));
    let credentials = sample.about().credentials.iter().map(|one| (one.key, one.default.to_owned()));
    let (credentials, media): (Credentials, Media) = (credentials.collect(), Media::default());
    check(&sample, Context { base: "http://sim", ..Context::sample(&credentials, &media) });
}

fn post(query: &str, body: &'static str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    Request {
        method: http::Method::POST,
        path: "/u/send".to_owned(),
        query: query.to_owned(),
        headers,
        body: body.as_bytes().into(),
    }
}

/// Returns the body of an answer, and the accepted message.
fn outcome(effect: Effect) -> (String, Option<Message>) {
    let (response, message) = match effect {
        Effect::Answer(response) => (response, None),
        Effect::Accept(mut messages, response) => (response, messages.pop()),
        _ => panic!("only answers and messages"),
    };
    (String::from_utf8(response.body.to_vec()).unwrap(), message)
}

#[test]
fn a_form_is_accepted_by_its_own_rules() {
    with_sample(|sample, cx| {
        let send = |query, body| outcome(sample.handle(&post(query, body), &cx));
        assert_eq!(send("pw=x", "login=u&to=15550100002&text=hi").0, "ERR 1");
        assert_eq!(send("", "login=u&to=15550100002&text=hi").0, "ERR 1");
        for (body, reason) in [
            ("login=u&to=%2B15550100002&text=hi", "number"),
            ("login=u&to=15550100002", "missing"),
            ("login=u&to=15550100002&text=longer", "long"),
            ("login=u&to=15550100002&file=ftp://a", "address"),
        ] {
            let (answer, message) = send("pw=p", body);
            assert!(answer.starts_with("ERR 200 ") && answer.contains(reason), "{body}: {answer}");
            assert_eq!(message, None);
        }
        let body = "login=u&to=15550100002&text=%7Bid%7D&file=http://a/1&file=http://a/2&dlr=http://b/";
        let (answer, message) = send("pw=p", body);
        let message = message.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({"ok": 1, "text": "{id}"}));
        assert_eq!((&*message.id, &*message.from, &*message.text), ("1", "15550100001", "{id}"));
        assert_eq!((message.media.len(), message.callback.as_deref()), (2, Some("http://b/")));
        let lines: Vec<String> =
            sample.account(&cx).iter().map(|line| format!("{}={}", line.key, line.value)).collect();
        assert_eq!(lines, ["password=p", "user=u", "base_url=http://sim/u"]);
    });
}

#[test]
fn call_backs_go_by_query_and_form_with_the_token() {
    with_sample(|sample, cx| {
        let inbound =
            Inbound { from: "+15550100002".into(), text: "a b".into(), id: "7".into(), ..Inbound::default() };
        let event = sample.inbound(&inbound, None, &cx).unwrap();
        let Outgoing { method, url, .. } = sample.post("http://c/h?x=1", std::slice::from_ref(&event), &cx);
        let wanted = "http://c/h?x=1&from=15550100002&id=7&text=a+b&key=t%20t";
        assert_eq!((method.as_str(), url.as_str()), ("GET", wanted));
        let unsigned = Context { signature: Signature::None, ..cx };
        assert!(!sample.post("http://c/h", &[event], &unsigned).url.contains("key="));
        let image = Inbound { kind: Kind::Image, ..inbound };
        assert!(sample.inbound(&image, None, &cx).is_err(), "the sample carries no files");

        let message = Message { id: "7".into(), ..Message::default() };
        let report = |status| {
            let report = StatusReport { message: &message, status, code: None };
            let event = sample.receipt(&report, &cx)?;
            Some(String::from_utf8(sample.post("http://c/", &[event], &cx).body).unwrap())
        };
        assert_eq!(report(ReportStatus::Sent), None);
        assert_eq!(report(ReportStatus::Delivered).as_deref(), Some("id=7&state=1"));
        assert_eq!(report(ReportStatus::Failed).as_deref(), Some("error=99&id=7&state=2"));
        assert_eq!(report(ReportStatus::Own("5")).as_deref(), Some("id=7&state=5"));
    });
}

#[test]
fn a_mistake_in_a_description_names_the_file_and_the_cause() {
    let told = |old: &str, new: &str| {
        let text: &'static str = SAMPLE.replace(old, new).leak();
        read(text).err().map(|error| error.to_string()).unwrap_or_default()
    };
    for (old, new, cause) in [
        ("title =", "titel =", "titel"),
        ("state = \"{word}\"", "state = \"{wrod}\"", "wrod"),
        ("credential = \"token\"", "credential = \"tokne\"", "tokne"),
        ("query = \"key\"", "query = \"key\", header = \"x\"", "exactly one"),
        ("numbers = \"digits\"", "numbers = \"local\"", "local"),
    ] {
        let error = told(old, new);
        assert!(error.contains(cause), "{new}: {error}");
        assert!(error.starts_with("channels/fixtures/sample.toml: "), "{error}");
    }
}
