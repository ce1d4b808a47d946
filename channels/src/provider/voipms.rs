//! VoIP.ms: SMS and MMS in the United States and Canada. With `api_send_url` in the account the
//! channel uses the General interface, otherwise the REST API of VoIP.ms: one address, a method per
//! call, 200 for every answer. Credentials go into the body, never into an address.
//!
//! Unconfirmed, with the default taken: the id of an MMS is in `mms`, else in `sms`; several files
//! of one MMS come joined by commas; a JSON webhook is in Telnyx's envelope; the status words
//! `missing_dst`, `message_empty`, `mms_failed`. The time of a classic callback is in the account's
//! zone and is not read: the arrival counts. Receipts do not exist: a message stays SENT. The
//! callback address is entered in the portal: `setSMS` would also set all other settings of a
//! number. Our own numbers are compared with the account's (`getDIDsInfo`) where the REST API is
//! used; the General interface has no such call.

use std::sync::Arc;

use message::{BodyType, Content, event::Cause};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::manifest;
use crate::{
    address::number,
    contract::{
        AccountError, AccountErrors, Capabilities, Channel, EventKind, HttpChannel, InEvent, InMessage,
        MediaRef, OutPart, OwnAddresses, Protection, Provider, Received, Rejection, SendError, Sent, Step,
        capability::LongText,
        http::{Body, Field, Malformed, Reply, Request, Response, Webhook},
        keys_of,
        protection::{Hmac, Place, Prefix, SecretKey},
    },
    family::telnyx_events::{self, Dialect},
    toolkit::{
        account::{account, address, filled},
        auth, classify, inbound_body, json,
        text_and_media::TextAndMedia,
    },
};

/// Description of VoIP.ms.
pub const PROVIDER: Provider = Provider {
    name: "voipms",
    channel_types: &["SMS"],
    summary: "SMS and MMS by VoIP.ms, by its own API or the General interface",
    documentation: "https://voip.ms/m/apidocs.php",
    secrets: &["api_key", "api_secret", "webhook_secret"],
    webhook: Protection::ByMethod {
        get: &Protection::Token {
            place: Place::Parameter("token"),
            secret: SecretKey::Optional("webhook_secret"),
        },
        other: &Protection::Hmac(Hmac::sha256_hex(
            "x-signature-256",
            Prefix::Required("sha256="),
            SecretKey::Optional("webhook_secret"),
        )),
    },
    capabilities: CAPABILITIES,
    statuses: telnyx_events::GENERAL_STATUSES,
    events: EVENTS,
    account: &keys_of::<Keys>,
    needs_https: false,
    channel: &|_, table| open(table),
};

const CAPABILITIES: Capabilities = Capabilities {
    native: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
    long_text: LongText::Cut,
    caption_characters_max: 1_600,
    inbound_types: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
    read_receipts: true,
    ..Capabilities::TEXT
};

/// Every callback of VoIP.ms: the classic one, and events in Telnyx's form.
const EVENTS: &[EventKind] = telnyx_events::GENERAL_EVENTS;

/// How a webhook in Telnyx's form is read. An answer reaches one number.
const DIALECT: Dialect =
    Dialect { events: EVENTS, statuses: telnyx_events::GENERAL_STATUSES, members_max: 0 };

/// Maximum length of an SMS, in octets of UTF-8. A longer text goes as MMS.
const SMS_BYTES_MAX: usize = 160;

/// Pause of the channel after the daily limit of calls, in milliseconds. It is retried after each
/// pause.
const DAILY_LIMIT_PAUSE_MS: u64 = 3_600_000;

/// Maximum size of the list of the account's numbers, in octets.
const NUMBERS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `[channel.account]` of a `voipms` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// The e-mail address of the account; with `api_send_url` the bearer token.
    #[schemars(with = "String")]
    api_key: SecretString,
    /// The API password, not the login password; with `api_send_url` it signs webhooks.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    api_secret: Option<SecretString>,
    /// Protects webhooks: it signs those with JSON and is the parameter `token` of classic ones.
    /// Without it the channel must have `unsigned = true`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    webhook_secret: Option<SecretString>,
    /// The verify address of the General interface.
    #[serde(default)]
    api_verify_url: Option<Box<str>>,
    /// The send address of the General interface, which selects it.
    #[serde(default, rename = "api_send_url")]
    _api_send_url: Option<Box<str>>,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
}

fn default_base_url() -> Box<str> {
    "https://voip.ms".into()
}

/// An account at the REST API of VoIP.ms.
#[derive(Debug)]
pub struct VoipmsAccount {
    api_key: SecretString,
    api_secret: SecretString,
    webhook_secret: Option<SecretString>,
    base_url: Box<str>,
}

fn open(table: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
    if table.contains_key("api_send_url") {
        return general(table);
    }
    let keys: Keys = account(table)?;
    let error = |key: &str, problem: &str| AccountError { key: key.into(), problem: problem.into() };
    if keys.api_verify_url.is_some() {
        return Err(error("api_verify_url", "belongs to api_send_url, which is missing").into());
    }
    let api_secret = keys.api_secret.ok_or_else(|| error("api_secret", "is missing: the API password"))?;
    let mut account = VoipmsAccount {
        api_key: keys.api_key,
        api_secret,
        webhook_secret: keys.webhook_secret,
        base_url: keys.base_url,
    };
    AccountErrors::all([
        filled("api_key", &account.api_key),
        filled("api_secret", &account.api_secret),
        account.webhook_secret.as_ref().map_or(Ok(()), |secret| filled("webhook_secret", secret)),
        address("base_url", &mut account.base_url),
    ])?;
    Ok(Arc::new(account))
}

/// Opens an account at the General interface, under this description.
fn general(mut account: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
    account.remove("base_url");
    let secret = account.remove("webhook_secret");
    account.extend(secret.map(|secret| ("api_secret".to_owned(), secret)));
    let general = manifest::built_in("general").ok_or_else(|| AccountError {
        key: "api_send_url".to_owned(),
        problem: "the General interface is not among the manifests".to_owned(),
    })?;
    (general.channel)(&PROVIDER, account)
}

impl VoipmsAccount {
    fn call(&self, method: &str, more: Vec<Field>) -> Request {
        let (user, password) = (self.api_key.expose_secret(), self.api_secret.expose_secret());
        let mut fields = vec![
            Field::text("api_username", user),
            Field::text("api_password", password),
            Field::text("method", method),
        ];
        fields.extend(more);
        let url = format!("{}/api/v1/rest.php", self.base_url);
        Request::post(url, Body::Multipart(fields)).hiding(user).hiding(password)
    }
}

impl VoipmsAccount {
    /// Returns the call that sends a part, as SMS or MMS.
    fn message(&self, part: &OutPart<'_>, method: &str) -> Result<Request, SendError> {
        let mut fields =
            vec![Field::text("did", ten_digits(part.did)), Field::text("dst", ten_digits(part.customer))];
        let content = TextAndMedia::of(part.content)?;
        fields.push(Field::text("message", content.text));
        fields.extend(content.file.map(|file| Field::text("media1", file)));
        Ok(self.call(method, fields))
    }
}

impl HttpChannel for VoipmsAccount {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { receipts: false, read_receipts: false, ..CAPABILITIES }
    }

    /// Ten digits and eleven digits with a leading 1 are the same number.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        Ok(number::customer(&with_country(&number::canonical(address)))?)
    }

    fn did(&self, address: &str) -> Arc<str> {
        number::canonical(&with_country(&number::canonical(address))).into()
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let content = TextAndMedia::of(part.content)?;
        let is_sms = content.file.is_none() && content.text.len() <= SMS_BYTES_MAX;
        self.message(part, if is_sms { "sendSMS" } else { "sendMMS" })
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        if !response.is_success() {
            return Err(SendError::by_status(response));
        }
        let said = json::parse(&response.body).unwrap_or_default();
        match json::some_text(&said, "/status") {
            Some(word) if word == "success" => {}
            // VoIP.ms counts some characters twice (' and "): what is too long for an SMS goes as
            // MMS, as a longer text does from the start.
            Some(word) if word == "sms_toolong" && answers.len() == 1 => {
                return Ok(Step::Next(self.message(part, "sendMMS")?));
            }
            Some(word) => return Err(refusal(&word)),
            None => return Err(classify::unreadable(response, "status")),
        }
        // SMS and MMS are numbered separately: an id may occur in both.
        let mms = json::some_text(&said, "/mms").map(|id| format!("mms:{id}"));
        let id = mms.or_else(|| json::some_text(&said, "/sms").map(|id| format!("sms:{id}")));
        Ok(Step::Sent(Sent::id(id.unwrap_or_default())))
    }

    fn credential(&self, key: &str) -> Option<&str> {
        self.webhook_secret.as_ref().filter(|_| key == "webhook_secret").map(|secret| secret.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let received = match webhook.method {
            "GET" => classic(&webhook.parameters()),
            _ => with_countries(telnyx_events::read(webhook.body, DIALECT)?),
        };
        // VoIP.ms repeats the message every half hour unless the answer is this.
        Ok(Received { reply: Some(Reply::text("ok")), ..received })
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call("getBalance", Vec::new()).harmless())
    }

    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        if !response.is_success() {
            return Err(SendError::by_status(response).of_probe());
        }
        let said = json::parse(&response.body).unwrap_or_default();
        match json::some_text(&said, "/status") {
            Some(word) if word == "success" => Ok(()),
            Some(word) => Err(refusal(&word).of_probe()),
            None => Err(classify::unreadable(response, "status")),
        }
    }

    fn ask_addresses(&self) -> Option<Request> {
        let ask = self.call("getDIDsInfo", Vec::new()).harmless();
        Some(Request { answer_bytes_max: NUMBERS_BYTES_MAX, ..ask })
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = json::parse(&response.body).filter(|_| response.is_success())?;
        json::text(&said, "/status").filter(|word| word == "success")?;
        Some(OwnAddresses {
            addresses: json::texts(&said, "/dids", "/did"),
            called: "list of DIDs",
            only_numbers: true,
        })
    }
}

/// Classifies a `status` other than success.
fn refusal(word: &str) -> SendError {
    let cause = |reason: &str| Cause::new(word, reason);
    match word {
        // The probe checks all three.
        "invalid_credentials" | "missing_credentials" => {
            SendError::Forbidden(cause("api_key is the account's e-mail, api_secret its API password"))
        }
        "api_not_enabled" => SendError::Forbidden(cause("switch the API on in the portal")),
        "ip_not_enabled" => {
            SendError::Forbidden(cause("put this machine's address on the list in the portal"))
        }
        "limit_reached" => SendError::Throttled {
            after_ms: DAILY_LIMIT_PAUSE_MS,
            cause: cause("the day's calls are used up; more are given on request"),
        },
        "method_maintenance" => SendError::Unavailable(cause("under maintenance")),
        "sms_failed" | "mms_failed" => SendError::RetryOnce(cause("it could not be sent")),
        _ => SendError::Rejected(cause("refused")),
    }
}

/// Returns a number in the form of the API: without `+`, and without the leading 1 of eleven
/// digits.
fn ten_digits(address: &str) -> String {
    let digits = number::canonical(address);
    match digits.strip_prefix('1') {
        Some(rest) if rest.len() == 10 => rest.to_owned(),
        _ => digits.into_owned(),
    }
}

/// Adds `+1` to ten digits of the North American plan; returns anything else unchanged.
fn with_country(number: &str) -> String {
    let is_digit = |at: usize, from: u8| number.as_bytes().get(at).is_some_and(|b| (from..=b'9').contains(b));
    let is_north_american =
        number.len() == 10 && (0..10).all(|at| is_digit(at, if at % 3 == 0 && at < 6 { b'2' } else { b'0' }));
    if is_north_american { format!("+1{number}") } else { number.to_owned() }
}

/// Spells the numbers of a webhook in Telnyx's form as those of the classic callback, so that both
/// are one conversation.
fn with_countries(mut received: Received) -> Received {
    for event in &mut received.events {
        let (did, customer) = match event {
            InEvent::Message(message) => (&mut message.did, &mut message.customer),
            InEvent::Receipt(receipt) => (&mut receipt.did, &mut receipt.customer),
            InEvent::OptOut { did, customer, .. } => (did, customer),
            InEvent::Moved(_) | InEvent::Account { .. } | InEvent::Broken(_) => continue,
        };
        for number in [did, customer] {
            *number = with_country(number).into();
        }
    }
    received
}

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    let found = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim()).unwrap_or_default()
}

fn classic(parameters: &[(String, String)]) -> Received {
    let of = |name: &str| parameter(parameters, name);
    let (from, to, text) = (of("from"), of("to"), of("message"));
    if from.is_empty() || to.is_empty() {
        let broken = InEvent::Broken("from or to is missing: check the callback's template".into());
        return Received { events: vec![broken], ..Received::default() };
    }
    // Old templates have no id: equal words at one time are one message.
    let id = match of("id") {
        "" => {
            let whole = [from, to, text, of("date"), of("media")].join("\u{1f}");
            auth::hex(auth::sha256(whole.as_bytes()).get(..16).unwrap_or_default())
        }
        id => id.to_owned(),
    };
    let files = of("media").split(',').map(str::trim).filter(|url| !url.is_empty());
    let files: Vec<MediaRef> =
        files.map(|url| MediaRef { locator: url.into(), content_type: None, file_name: None }).collect();
    let message = InMessage::new(&with_country(to), &with_country(from), &id, Content::Text("".into()));
    Received { events: inbound_body::messages(message, text, files), ..Received::default() }
}
