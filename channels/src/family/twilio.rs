//! The wire format that Twilio's SMS and WhatsApp share: webhook signatures, error codes, forms.
//! How messages are sent belongs to each provider.

use std::collections::BTreeMap;

use message::{Content, cim::body, event::Cause};
use serde_json::{Map, Value};

use crate::{
    contract::{
        EventKind, InEvent, InMessage, InReceipt, MediaRef, Protection, Received, Report, SendError,
        events::{Fate, fate, note_unknown, row},
        http::{Malformed, Reply, Response, Webhook},
        protection::{Algorithm, Encoding, Hmac, Over, Prefix, SecretKey},
        url,
    },
    text::markup,
    toolkit::{
        auth, classify,
        group::GroupNumbers,
        inbound_body, json,
        refusals::{RefusalClass, Refusals},
    },
};

/// Twilio's words for the state of a part.
pub const STATUSES: &[(&str, Report)] = &[
    ("accepted", Report::Enroute),
    ("scheduled", Report::Enroute),
    ("queued", Report::Enroute),
    ("sending", Report::Enroute),
    ("sent", Report::Sent),
    ("partially_delivered", Report::Sent),
    ("delivered", Report::Delivered),
    ("read", Report::Read),
    ("undelivered", Report::Failed),
    ("failed", Report::Failed),
    ("canceled", Report::Failed),
    ("receiving", Report::Nothing),
    ("received", Report::Nothing),
];

const INBOUND: &str = "the state of a customer's message on its way to us";

/// Every state of a message, every type of a customer's message, and every kind of opt-out keyword,
/// in Twilio's words.
pub const EVENTS: &[EventKind] = &[
    row("status", "accepted", Fate::Receipt),
    row("status", "scheduled", Fate::Receipt),
    row("status", "queued", Fate::Receipt),
    row("status", "sending", Fate::Receipt),
    row("status", "sent", Fate::Receipt),
    row("status", "partially_delivered", Fate::Receipt),
    row("status", "delivered", Fate::Receipt),
    row("status", "read", Fate::Receipt),
    row("status", "undelivered", Fate::Receipt),
    row("status", "failed", Fate::Receipt),
    row("status", "canceled", Fate::Receipt),
    row("status", "receiving", Fate::Ignored(INBOUND)),
    row("status", "received", Fate::Ignored(INBOUND)),
    row("message", "text", Fate::Message),
    row("message", "image", Fate::Message),
    row("message", "audio", Fate::Message),
    row("message", "video", Fate::Message),
    row("message", "document", Fate::Message),
    row("message", "sticker", Fate::Message),
    row("message", "contacts", Fate::Message),
    row("message", "location", Fate::Message),
    row("message", "button", Fate::Message),
    row("message", "interactive", Fate::Message),
    row("message", "order", Fate::Message),
    row("message", "reaction", Fate::Message),
    row("message", "system", Fate::Message),
    row("message", "unsupported", Fate::Message),
    row("message", "unknown", Fate::Message),
    row("opt_out", "STOP", Fate::Notice),
    row("opt_out", "START", Fate::Notice),
    row("opt_out", "HELP", Fate::Message),
];

/// Parameter of a status callback's address that holds our reference. The signature covers it.
const REFERENCE: &str = "part";

/// Pause of the channel after the daily limit of messages, in milliseconds. It is retried after
/// each pause.
const DAILY_LIMIT_PAUSE_MS: u64 = 3_600_000;

/// Returns the address to which Twilio reports the states of a part.
pub fn callback(webhook_url: &str, reference: &str) -> String {
    let sign = if webhook_url.contains('?') { '&' } else { '?' };
    format!("{webhook_url}{sign}{REFERENCE}={reference}")
}

/// Protection of Twilio's webhooks: HMAC-SHA-1 over the address and, for a form, its sorted fields.
pub const PROTECTION: Protection = Protection::Hmac(Hmac {
    algorithm: Algorithm::Sha1,
    header: "x-twilio-signature",
    prefix: Prefix::None,
    encoding: Encoding::Base64,
    over: Over::UrlAndForm,
    secret: SecretKey::Required("auth_token"),
    refusal: 403,
});

/// Returns the id in an answer that accepted a message or created a content.
///
/// # Errors
/// Classifies every other answer.
pub fn sid(response: &Response) -> Result<String, SendError> {
    let said = json::parse(&response.body).unwrap_or_default();
    if !response.is_success() {
        return Err(REFUSALS.classify(response, &said));
    }
    let sid = json::some_text(&said, "/sid").map(|sid| sid.into_owned());
    sid.ok_or_else(|| classify::unreadable(response, "sid"))
}

/// Codes of refusals. Those of the families 21, 30 and 63 are about one message, whatever the
/// status: a 403 with one of them does not stop the channel. The probe checks the credentials
/// (20003); a sender or resource that is unknown (20404, 21606, 63007) may be one message's.
const REFUSALS: Refusals = Refusals {
    code: &["/code"],
    words: &["/message"],
    classes: &[
        (RefusalClass::Unsubscribed, &["21610"]),
        (
            RefusalClass::Forbidden,
            &["20003", "20004", "20006", "20008", "20404", "21606", "21659", "63007", "63020", "63041"],
        ),
        (RefusalClass::CredentialsRefused, &["20005"]),
        // More than 30 messages in 30 seconds between one pair of numbers.
        (RefusalClass::CustomerThrottled, &["14107"]),
        // Queue or rate of a sender, which one recipient may also exhaust (63018).
        (RefusalClass::Busy, &["21611", "30022", "63010", "63017", "63018"]),
        (RefusalClass::Throttled, &["20429"]),
        (RefusalClass::ThrottledFor(DAILY_LIMIT_PAUSE_MS), &["63038"]),
        (
            RefusalClass::Unavailable,
            &["20500", "20503", "30001", "30017", "30410", "63009", "63012", "63019"],
        ),
        (RefusalClass::RetryOnce, &["30003", "30008"]),
        (RefusalClass::Rejected, &["21???", "30???", "63???"]),
    ],
};

/// Content sids by the names of templates.
pub type Templates = BTreeMap<Box<str>, Box<str>>;

/// Returns the content sid and the variables of a template; `known` holds sids by name.
///
/// # Errors
/// Rejects a name that is neither a sid nor known.
pub fn template(json: &str, known: &Templates) -> Result<[(&'static str, String); 2], SendError> {
    let template: body::Template<'_> = body::read(json).unwrap_or_default();
    let name = &*template.name;
    let sid = known.get(name).map(|sid| &**sid);
    let Some(sid) = sid.or_else(|| Some(name).filter(|name| is_sid(name, "HX"))) else {
        let reason =
            format!("the template {name:?} is not a content sid (HX...) and templates does not list it");
        return Err(SendError::Rejected(Cause::new("400", reason)));
    };
    let mut variables = Map::new();
    for parameter in template.components.iter().flat_map(|component| component.parameters.iter()) {
        let details = parameter.additional_parameter_details.map_or("null", |raw| raw.get());
        let number = (variables.len() + 1).to_string();
        variables.insert(number, value_of(&serde_json::from_str(details).unwrap_or_default()).into());
    }
    Ok([("ContentSid", sid.to_owned()), ("ContentVariables", Value::Object(variables).to_string())])
}

/// Returns the words of a template's parameter: the value itself, or the member that holds them,
/// directly or below the name of its type.
fn value_of(details: &Value) -> String {
    const MEMBERS: [&str; 6] = ["/fallback_value", "/text", "/payload", "/link", "/url", "/value"];
    let words = |value: &Value| {
        let own = json::text(value, "");
        let found = own.or_else(|| MEMBERS.iter().find_map(|member| json::text(value, member)));
        found.map(|text| text.into_owned())
    };
    let below = || details.as_object().and_then(|members| members.values().find_map(words));
    words(details).or_else(below).unwrap_or_default()
}

/// Returns whether a text is an id of this kind: two letters and 32 hexadecimal digits.
pub fn is_sid(text: &str, kind: &str) -> bool {
    let digits = text.strip_prefix(kind).unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads a webhook: a status callback or a customer's message, one each.
///
/// # Errors
/// Fails when a message lacks a field that every message has.
pub fn receive(webhook: &Webhook<'_>) -> Result<Received, Malformed> {
    let form = Form(if webhook.method == "GET" {
        url::form_fields(webhook.query.as_bytes()).collect()
    } else {
        webhook.form()
    });
    let mut received = Received { reply: Some(nothing_to_say()), ..Received::default() };
    let is_message = form.get("MessageStatus").is_empty()
        && matches!(form.get("SmsStatus"), "" | "received" | "receiving")
        && form.has_words();
    if is_message {
        written(&form, &mut received)?;
        return Ok(received);
    }
    let status = [form.get("MessageStatus"), form.get("SmsStatus")];
    let status = status.into_iter().find(|status| !status.is_empty()).unwrap_or_default();
    match fate(EVENTS, "status", status) {
        Some(Fate::Ignored(_)) => received.ignored = 1,
        Some(_) => received.events = reported(&form, status, webhook)?,
        None if status.is_empty() => note_unknown(&mut received.unknown, "call", "without words or status"),
        None => note_unknown(&mut received.unknown, "status", status),
    }
    Ok(received)
}

/// Returns an answer that makes Twilio send nothing.
fn nothing_to_say() -> Reply {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";
    Reply { status: 200, content_type: "text/xml", body: body.into() }
}

struct Form(Vec<(String, String)>);

impl Form {
    /// Returns a field, or an empty text without it.
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn needed(&self, name: &str) -> Result<&str, Malformed> {
        let value = self.get(name);
        if value.is_empty() { Err(Malformed::new(format!("{name} is missing"))) } else { Ok(value) }
    }

    fn has_words(&self) -> bool {
        ["Body", "NumMedia", "Latitude", "ButtonPayload", "ListId", "MessageType"]
            .iter()
            .any(|name| !self.get(name).is_empty())
    }

    /// Returns the other recipients of a group message: `OtherRecipients0` and so on, some of which
    /// may be missing, or `OtherRecipients` repeated.
    fn others(&self) -> Vec<&str> {
        let is_other = |name: &str| {
            let number = name.strip_prefix("OtherRecipients");
            number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        };
        let found = self.0.iter().filter(|(name, value)| is_other(name) && !value.trim().is_empty());
        found.map(|(_, value)| value.as_str()).take(RECIPIENTS_MAX).collect()
    }

    /// Returns the files `MediaUrl0`, `MediaUrl1` and so on.
    fn media(&self) -> Vec<MediaRef> {
        let numbered = |n: usize| {
            let url = self.get(&format!("MediaUrl{n}"));
            let content_type = self.get(&format!("MediaContentType{n}"));
            (!url.is_empty()).then(|| MediaRef {
                locator: url.into(),
                content_type: (!content_type.is_empty()).then(|| content_type.into()),
                file_name: None,
            })
        };
        (0..MEDIA_MAX).map_while(numbered).collect()
    }
}

/// Maximum number of other recipients of a message that are read; further ones are left out.
const RECIPIENTS_MAX: usize = 100;

/// Maximum number of files in one message. Further ones are not read.
const MEDIA_MAX: usize = 10;

/// Returns an address without its prefix `whatsapp:`.
pub fn bare(address: &str) -> &str {
    address.trim().strip_prefix("whatsapp:").unwrap_or(address.trim())
}

fn reported(form: &Form, status: &str, webhook: &Webhook<'_>) -> Result<Vec<InEvent>, Malformed> {
    let (did, customer) = (bare(form.get("From")), bare(form.get("To")));
    let report = Report::of(STATUSES, status).unwrap_or(Report::Nothing);
    let error = form.get("ErrorCode");
    let code = match (error, form.get("ErrorMessage")) {
        ("" | "0", _) => status.to_owned(),
        (code, "") => code.to_owned(),
        (code, words) => format!("{code}: {words}"),
    };
    let id = form.needed("MessageSid").or_else(|_| form.needed("SmsSid"))?;
    let receipt = InEvent::Receipt(Box::new(InReceipt {
        reference: webhook.parameter(REFERENCE).filter(|r| !r.is_empty()).map(Into::into),
        id: id.into(),
        report,
        code: code.into(),
        did: did.into(),
        customer: customer.into(),
        watermark_ms: None,
    }));
    let opt_out = (error == "21610").then(|| InEvent::OptOut {
        did: did.into(),
        customer: customer.into(),
        out: true,
        id: id.into(),
    });
    Ok([Some(receipt), opt_out].into_iter().flatten().collect())
}

fn written(form: &Form, received: &mut Received) -> Result<(), Malformed> {
    let (customer, did) = (bare(form.needed("From")?), bare(form.needed("To")?));
    let id = form.needed("MessageSid").or_else(|_| form.needed("SmsMessageSid"))?;
    let mut message = InMessage::new(did, customer, id, Content::Text("".into()));
    for name in ["WaId", "ExternalUserId"] {
        let alias = bare(form.get(name));
        if !alias.is_empty() && alias.trim_start_matches('+') != customer.trim_start_matches('+') {
            message.aliases.push(alias.into());
        }
    }
    let reply_to = form.get("OriginalRepliedMessageSid");
    message.reply_to = (!reply_to.is_empty()).then(|| reply_to.into());
    message.attributes = attributes(form);
    // The Messages resource reaches one number: an answer goes to the writer alone.
    GroupNumbers::of(did, std::iter::once(customer).chain(form.others())).address_message(&mut message, 0);
    let kind = form.get("MessageType");
    if !kind.is_empty() && fate(EVENTS, "message", kind).is_none() {
        note_unknown(&mut received.unknown, "message", kind);
    }
    received.events = contents(form, message);
    let word = form.get("OptOutType").to_ascii_uppercase();
    let out = match (fate(EVENTS, "opt_out", &word), word.as_str()) {
        (Some(Fate::Notice), word) => word == "STOP",
        (None, word) if !word.is_empty() => {
            note_unknown(&mut received.unknown, "opt_out", form.get("OptOutType"));
            return Ok(());
        }
        _ => return Ok(()),
    };
    received.events.push(InEvent::OptOut { did: did.into(), customer: customer.into(), out, id: id.into() });
    Ok(())
}

/// Returns the further facts of a message, under the names that the business sees.
fn attributes(form: &Form) -> Vec<(Box<str>, Box<str>)> {
    const NAMES: [(&str, &str); 12] = [
        ("ProfileName", "customerName"),
        ("Forwarded", "forwarded"),
        ("FrequentlyForwarded", "frequentlyForwarded"),
        ("ReferralBody", "referralBody"),
        ("ReferralHeadline", "referralHeadline"),
        ("ReferralSourceId", "referralSourceId"),
        ("ReferralSourceType", "referralSourceType"),
        ("ReferralSourceUrl", "referralSourceUrl"),
        ("ReferralMediaUrl", "referralMediaUrl"),
        ("ReferralMediaContentType", "referralMediaContentType"),
        ("ReferralCtwaClid", "referralCtwaClid"),
        ("ListDescription", "description"),
    ];
    let present = NAMES.iter().filter(|(name, _)| !form.get(name).is_empty());
    present.map(|(name, ours)| ((*ours).into(), form.get(name).into())).collect()
}

fn contents(form: &Form, mut message: InMessage) -> Vec<InEvent> {
    let coordinate = |name: &str| form.get(name).parse::<f64>().ok().filter(|degrees| degrees.is_finite());
    let pressed = [("ButtonText", "ButtonPayload"), ("ListTitle", "ListId")]
        .map(|(title, payload)| (form.get(title), form.get(payload)));
    if let (Some(latitude), Some(longitude)) = (coordinate("Latitude"), coordinate("Longitude")) {
        message.content =
            inbound_body::location(latitude, longitude, form.get("Label"), form.get("Address"), "");
        return vec![InEvent::Message(Box::new(message))];
    }
    if let Some((title, payload)) = pressed.iter().find(|(_, payload)| !payload.is_empty()) {
        let title = if title.is_empty() { form.get("Body") } else { title };
        let (content, attribute) = inbound_body::pressed(title, payload);
        message.content = content;
        message.attributes.extend(attribute);
        return vec![InEvent::Message(Box::new(message))];
    }
    let (mut body, files, kind) = (words(form.get("Body")), form.media(), form.get("MessageType"));
    if form.get("From").trim().starts_with("whatsapp:") {
        body = markup::from_chat(&body).into_owned();
    }
    // A type that Twilio does not describe by other fields, as an order.
    if body.is_empty() && files.is_empty() && !matches!(kind, "" | "text") {
        message.attributes.push(("unsupported".into(), kind.into()));
        message.content = Content::Text(format!("[unsupported message: {kind}]").into());
        return vec![InEvent::Message(Box::new(message))];
    }
    inbound_body::messages(message, &body, files)
}

/// Minimum length of a body that may be base64, in octets. Shorter ones are text.
const BASE64_BYTES_MIN: usize = 160;

/// Returns the words of a body. Long concatenated SMS may come as base64: one long word that
/// decodes to a text with spaces.
fn words(body: &str) -> String {
    let decoded = || {
        let text = String::from_utf8(auth::unbase64(body)?).ok()?;
        let plausible = text.contains(' ') && !text.chars().any(|c| c.is_control() && !c.is_whitespace());
        plausible.then_some(text)
    };
    let candidate = body.len() >= BASE64_BYTES_MIN && !body.contains(char::is_whitespace);
    candidate.then(decoded).flatten().unwrap_or_else(|| body.to_owned())
}
