//! VoIP.ms: the General interface, and its own older API with call-backs by GET. A webhook whose
//! address contains `{FROM}` gets those; any other gets General's JSON.

use std::sync::LazyLock;

use channels::url::percent_encode;
use serde_json::{Value, json};

use crate::{
    contract::{
        About, AccountLine, Context, Effect, Fault, Inbound, Message, Provider, StatusReport,
        UnsupportedEvent, WebhookConfig, or, put,
    },
    family::described::{Described, SOURCES, Source},
    toolkit::{
        http::{Fields, Outgoing, Request, Response, text},
        media::File,
        time,
    },
};

const API: &str = "/api/v1/rest.php";
/// Maximum length of an SMS, in bytes of UTF-8.
const SMS_MAX: usize = 160;
/// Maximum length of the text of an MMS, in characters.
const MMS_MAX: usize = 1_600;

/// VoIP.ms, with the General interface as the fixture file of `general` describes it.
pub(crate) struct VoipMs(Described);

static VOIPMS: LazyLock<Option<VoipMs>> = LazyLock::new(|| {
    let general = SOURCES.iter().find(|source| source.name == "general")?;
    let described = Described::read(&Source { name: "voipms", ..*general }, SOURCES).ok()??;
    Some(VoipMs(described.named("VoIP.ms", "+15550100006")))
});

/// Returns the provider, if the General interface is described.
pub(crate) fn provider() -> Option<&'static VoipMs> {
    VOIPMS.as_ref()
}

fn status(name: &str) -> Response {
    Response::json(200, &json!({"status": name}))
}

/// Returns whether this is a number of its own API: ten digits.
fn is_ten(number: &str) -> bool {
    number.len() == 10 && number.bytes().all(|octet| octet.is_ascii_digit())
}

fn fields(request: &Request) -> Fields {
    let mut all = request.query_fields();
    all.extend(request.form().unwrap_or_default());
    for part in request.multipart().unwrap_or_default() {
        all.push(part.name, String::from_utf8_lossy(&part.content).into_owned());
    }
    all
}

fn send(method: &str, fields: &Fields, cx: &Context<'_>) -> Effect {
    let field = |name: &str| fields.text(name);
    let refuse = |name| Effect::Answer(status(name));
    let words = field("message");
    let media: Vec<String> = ["media1", "media2", "media3"]
        .map(field)
        .into_iter()
        .filter(|m| !m.is_empty())
        .map(str::to_owned)
        .collect();
    if field("did").is_empty() {
        return refuse("missing_did");
    }
    if !is_ten(field("did")) {
        return refuse("invalid_did");
    }
    if field("dst").is_empty() {
        return refuse("missing_dst");
    }
    if !is_ten(field("dst")) {
        return refuse("invalid_dst");
    }
    let mms = method == "sendMMS";
    if words.is_empty() && (!mms || media.is_empty()) {
        return refuse("missing_sms");
    }
    // The API counts quotes twice.
    let counted = words.len() + words.matches(['\'', '"']).count();
    if (!mms && counted > SMS_MAX) || words.chars().count() > MMS_MAX {
        return refuse("sms_toolong");
    }
    let number = cx.growing();
    let key = if mms { "mms" } else { "sms" };
    let message = Message {
        id: format!("{key}:{number}"),
        from: field("did").to_owned(),
        to: field("dst").to_owned(),
        kind: key.to_owned(),
        text: words.to_owned(),
        media,
        request: json!({"method": method}),
        ..Message::default()
    };
    let mut answer = json!({"status": "success"});
    put(&mut answer, key, number);
    Effect::Accept(vec![message], Response::json(200, &answer))
}

fn call(request: &Request, cx: &Context<'_>) -> Effect {
    let fields = fields(request);
    let field = |name: &str| fields.text(name);
    let (user, password) = (field("api_username"), field("api_password"));
    if user.is_empty() || password.is_empty() {
        return Effect::Answer(status("missing_credentials"));
    }
    if user != cx.credential("api_key") || password != cx.credential("api_secret") {
        return Effect::Answer(status("invalid_credentials"));
    }
    match field("method") {
        method @ ("sendSMS" | "sendMMS") => send(method, &fields, cx),
        "getIP" => Effect::Answer(Response::json(200, &json!({"status": "success", "ip": "127.0.0.1"}))),
        "getBalance" => Effect::Answer(Response::json(
            200,
            &json!({"status": "success",
            "balance": {"current_balance": "10.00"}}),
        )),
        "getDIDsInfo" => {
            let number = cx.credential("number").trim_start_matches("+1");
            let did = json!({"did": number, "sms_available": "1", "sms_enabled": "1"});
            Effect::Answer(Response::json(200, &json!({"status": "success", "dids": [did]})))
        }
        "getSMS" => Effect::Answer(status("no_sms")),
        "getMMS" => Effect::Answer(status("no_mms")),
        "setSMS" => {
            let url = field("url_callback").to_owned();
            let webhook = Some(WebhookConfig { url, ..WebhookConfig::default() })
                .filter(|hook| hook.url.starts_with("http"));
            let answer = status("success");
            Effect::SetWebhook { webhook, handshake: None, failed: answer.clone(), answer }
        }
        "" => Effect::Answer(status("missing_method")),
        _ => Effect::Answer(status("invalid_method")),
    }
}

/// Returns whether a webhook's address is a template.
fn is_template(url: &str) -> bool {
    url.contains("{FROM}")
}

/// Returns the ten digits of a North American number; other numbers without `+`.
fn ten(number: &str) -> &str {
    let digits = number.trim_start_matches('+');
    if digits.len() == 11 { digits.strip_prefix('1').unwrap_or(digits) } else { digits }
}

impl Provider for VoipMs {
    fn about(&self) -> &About {
        self.0.about()
    }

    fn handle(&self, request: &Request, cx: &Context<'_>) -> Effect {
        if request.path == API { call(request, cx) } else { self.0.handle(request, cx) }
    }

    fn fault(&self, fault: Fault<'_>, cx: &Context<'_>) -> Response {
        if cx.path != API {
            return self.0.fault(fault, cx);
        }
        match fault {
            Fault::Throttled { .. } => status("limit_reached"),
            Fault::Unavailable { status } => Response::new(status, "text/html", "<html>unavailable</html>"),
            Fault::Rejected { code } => status(or(code, "sms_failed")),
            Fault::Credentials => status("invalid_credentials"),
            Fault::WithoutId => status("success"),
        }
    }

    fn inbound(
        &self,
        inbound: &Inbound,
        file: Option<&File>,
        cx: &Context<'_>,
    ) -> Result<Value, UnsupportedEvent> {
        self.0.inbound(inbound, file, cx)
    }

    fn receipt(&self, report: &StatusReport<'_>, cx: &Context<'_>) -> Option<Value> {
        // Its own API has no receipts.
        if report.message.id.contains(':') { None } else { self.0.receipt(report, cx) }
    }

    fn post(&self, url: &str, events: &[Value], cx: &Context<'_>) -> Outgoing {
        if !is_template(url) {
            return self.0.post(url, events, cx);
        }
        let payload =
            events.first().and_then(|event| event.pointer("/data/payload")).cloned().unwrap_or_default();
        let own = |pointer| text(&payload, pointer).unwrap_or_default();
        let media = own("/media/0/url");
        let url = [
            ("{FROM}", percent_encode(ten(own("/from/phone_number")))),
            ("{TO}", percent_encode(ten(own("/to/0/phone_number")))),
            ("{MESSAGE}", percent_encode(own("/text"))),
            ("{ID}", percent_encode(own("/id"))),
            ("{TIMESTAMP}", percent_encode(&time::plain(cx.now_ms))),
            ("{MEDIA}", percent_encode(media)),
        ]
        .iter()
        .fold(url.to_owned(), |url, (name, value)| url.replace(name, value));
        Outgoing::get(url)
    }

    fn signature_headers(&self) -> &'static [&'static str] {
        self.0.signature_headers()
    }

    fn is_acknowledged(&self, url: &str, status: u16, body: &str) -> bool {
        (200..300).contains(&status) && (!is_template(url) || body.trim() == "ok")
    }

    fn account(&self, cx: &Context<'_>) -> Vec<AccountLine> {
        self.0.account(cx)
    }
}
