//! WhatsApp by Twilio: the Messages resource of [`super::twilio`] with `whatsapp:` addresses,
//! locations, typing, and buttons and lists, which Twilio accepts only as a content created before:
//! one call creates it, the next sends it. Twilio keeps each such content, without a limit.
//!
//! Unconfirmed, with the default taken: contacts, reactions and replies to a message cannot be
//! sent; the description of a list's row is optional; a reply to a list arrives as `ListId` and
//! `ListTitle`.

use std::sync::Arc;

use message::{
    BodyType, Content,
    cim::body::{self, Button},
    event::Cause,
};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::twilio as sms;
use crate::{
    address::number,
    contract::{
        AccountErrors, Capabilities, Fetch, HttpChannel, MediaRef, OutPart, OwnAddresses, Provider, Received,
        Rejection, SendError, Sent, Step,
        capability::{Buttons, DefaultRate, Format, LongText, Opens},
        http::{Body, Malformed, Request, Response, Webhook},
        keys_of,
    },
    family::{
        twilio::{self, Templates},
        whatsapp,
    },
    text::markup,
    toolkit::{
        account::{account, address},
        classify, json,
    },
};

/// The description of `twilio_whatsapp`.
pub const PROVIDER: Provider = Provider {
    name: "twilio_whatsapp",
    channel_types: &["WHATSAPP"],
    summary: "WhatsApp by Twilio",
    documentation: "https://www.twilio.com/docs/whatsapp/api",
    secrets: &["auth_token", "api_key_secret"],
    webhook: twilio::PROTECTION,
    capabilities: Capabilities {
        native: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Location,
            BodyType::Button,
            BodyType::Template,
        ],
        long_text: LongText::Cut,
        format: Format::Own,
        caption_characters_max: 1_024,
        captionless: &[BodyType::Audio],
        buttons: Buttons {
            max: QUICK_REPLIES_MAX,
            rows_max: 10,
            title_characters_max: 20,
            row_title_characters_max: 24,
            payload_bytes_max: 200,
            text_characters_max: 1_024,
            opens: Opens::No,
        },
        inbound_types: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Location,
        ],
        window_hours: Some(24),
        send_rate: DefaultRate { per_second: 80, basis: "Twilio's default throughput of a WhatsApp sender" },
        typing: true,
        read_receipts: true,
        ..Capabilities::TEXT
    },
    statuses: twilio::STATUSES,
    events: twilio::EVENTS,
    account: &keys_of::<TwilioWhatsAppSettings>,
    needs_https: false,
    channel: &|_, table| Ok(Arc::new(TwilioWhatsApp::new(account(table)?)?)),
};

/// Maximum number of senders that are compared with ours; with more, none is.
const SENDERS_LISTED_MAX: usize = 100;

/// The number of Twilio's sandbox, which everybody may use and no list of senders has.
const SANDBOX: &str = "+14155238886";

/// Maximum number of buttons of an unapproved message; more become a list.
const QUICK_REPLIES_MAX: usize = 3;

/// `[channel.account]` of a `twilio_whatsapp` channel: that of `twilio`, and the settings for
/// buttons.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TwilioWhatsAppSettings {
    /// The account (`AC...`), which the console shows; the user of calls without `api_key_sid`.
    account_sid: Box<str>,
    /// The primary token, on the first page of the console: it verifies webhooks, and is the
    /// password of calls without `api_key_sid`.
    #[schemars(with = "String")]
    auth_token: SecretString,
    /// An API key (`SK...`): the user of calls in place of the account.
    #[serde(default)]
    api_key_sid: Option<Box<str>>,
    /// The password of `api_key_sid`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    api_key_secret: Option<SecretString>,
    /// A messaging service (`MG...`), whose sender pool contains the own address.
    #[serde(default)]
    messaging_service_sid: Option<Box<str>>,
    /// The sids of contents (`HX...`) by the names of templates.
    #[serde(default)]
    templates: Templates,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "sms::default_base_url")]
    base_url: Box<str>,
    /// The address of the Content API.
    #[serde(default = "default_content_url")]
    content_url: Box<str>,
    /// The address of the Messaging API, which lists the senders and shows typing.
    #[serde(default = "default_messaging_url")]
    messaging_url: Box<str>,
    /// Whether contents are created for buttons and lists; otherwise they are sent as words.
    #[serde(default = "yes")]
    create_content: bool,
    /// The declared language of such contents.
    #[serde(default = "default_language")]
    language: Box<str>,
    /// The label of the button that opens a list, unless the list has its own.
    #[serde(default = "default_list_button")]
    list_button: Box<str>,
}

fn default_content_url() -> Box<str> {
    "https://content.twilio.com".into()
}

fn default_messaging_url() -> Box<str> {
    "https://messaging.twilio.com".into()
}

fn yes() -> bool {
    true
}

fn default_language() -> Box<str> {
    "en".into()
}

fn default_list_button() -> Box<str> {
    "Select".into()
}

/// A configured account.
#[derive(Debug)]
struct TwilioWhatsApp {
    messages: sms::TwilioAccount,
    content_url: Box<str>,
    messaging_url: Box<str>,
    create_content: bool,
    language: Box<str>,
    list_button: Box<str>,
}

impl TwilioWhatsApp {
    fn new(mut account: TwilioWhatsAppSettings) -> Result<Self, AccountErrors> {
        AccountErrors::all([
            address("content_url", &mut account.content_url),
            address("messaging_url", &mut account.messaging_url),
        ])?;
        let messages = sms::TwilioAccount {
            account_sid: account.account_sid,
            auth_token: account.auth_token,
            api_key_sid: account.api_key_sid,
            api_key_secret: account.api_key_secret,
            messaging_service_sid: account.messaging_service_sid,
            templates: account.templates,
            base_url: account.base_url,
        };
        Ok(Self {
            messages: messages.checked()?,
            content_url: account.content_url,
            messaging_url: account.messaging_url,
            create_content: account.create_content,
            language: account.language,
            list_button: account.list_button,
        })
    }

    fn message(
        &self,
        part: &OutPart<'_>,
        content: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Request {
        self.messages.message(part, [part.customer, part.did].map(prefixed), content)
    }

    /// Returns the call that creates a content of buttons: quick replies, or a list where there are
    /// more or the body asks for one.
    fn content(&self, part: &OutPart<'_>, json: &str) -> Request {
        let buttons: body::Buttons<'_> = body::read(json).unwrap_or_default();
        let frame = &buttons.additional_details.interactive;
        let words = if buttons.markdown_text.is_empty() { &frame.body.text } else { &buttons.markdown_text };
        let words = literal(&markup::whatsapp(words));
        let is_list = buttons.buttons.len() > QUICK_REPLIES_MAX || frame.kind.eq_ignore_ascii_case("list");
        let (kind, content) = if is_list {
            let opener = if frame.button.is_empty() { &*self.list_button } else { &*frame.button };
            let items: Vec<Value> = buttons.buttons.iter().map(|button| row(button)).collect();
            ("twilio/list-picker", json!({"body": words, "button": literal(opener), "items": items}))
        } else {
            let actions: Vec<Value> = buttons.buttons.iter().map(|button| reply(button)).collect();
            ("twilio/quick-reply", json!({"body": words, "actions": actions}))
        };
        let content =
            json!({"friendly_name": part.reference, "language": &*self.language, "types": {kind: content}});
        let url = format!("{}/v1/Content", self.content_url);
        self.messages.call(Request::post(url, Body::Json(content.to_string())).harmless())
    }
}

fn reply(button: &Button<'_>) -> Value {
    json!({"title": literal(&button.title), "id": payload(button)})
}

fn row(button: &Button<'_>) -> Value {
    let mut row = json!({"item": literal(&button.title), "id": payload(button)});
    let description = &*button.additional_button_details.description;
    if !description.is_empty() {
        json::set(&mut row, "description", literal(description));
    }
    row
}

fn payload(button: &Button<'_>) -> String {
    literal(if button.payload.is_empty() { &button.title } else { &button.payload })
}

/// Escapes text so that it contains no variable such as `{{1}}`.
fn literal(words: &str) -> String {
    words.replace("{{", "{ {")
}

/// Returns `whatsapp:+<number>`, or `whatsapp:` and a business-scoped user id.
fn prefixed(address: &str) -> String {
    format!("whatsapp:{}", number::e164(twilio::bare(address)))
}

impl HttpChannel for TwilioWhatsApp {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        let all = PROVIDER.capabilities;
        if self.create_content {
            return all;
        }
        let native = &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Location,
            BodyType::Template,
        ];
        Capabilities { native, buttons: Buttons::NONE, ..all }
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        whatsapp::customer(twilio::bare(address))
    }

    fn did(&self, address: &str) -> Arc<str> {
        number::canonical(twilio::bare(address)).into()
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        match part.content {
            Content::Rich { body_type: BodyType::Button, json } => Ok(self.content(part, json)),
            Content::Rich { body_type: BodyType::Location, json } => {
                Ok(self.message(part, place(json).ok_or_else(nowhere)?))
            }
            content => {
                let fields = self.messages.content(content)?.into_iter();
                Ok(self.message(part, fields.map(|(name, value)| (name, formatted(name, value)))))
            }
        }
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        let makes_content = matches!(part.content, Content::Rich { body_type: BodyType::Button, .. });
        if !makes_content || answers.len() > 1 {
            return Ok(Step::Sent(Sent::id(twilio::sid(response)?)));
        }
        match twilio::sid(response) {
            Ok(content) => Ok(Step::Next(self.message(part, [("ContentSid", content)]))),
            // Creating a content reaches no customer: it can be repeated.
            Err(SendError::Unknown(cause)) => Err(SendError::Unavailable(cause)),
            Err(error) => Err(error),
        }
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "auth_token").then(|| self.messages.auth_token.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        twilio::receive(webhook)
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        self.messages.file(media, answers)
    }

    fn probe(&self) -> Option<Request> {
        Some(self.messages.look())
    }

    fn ask_addresses(&self) -> Option<Request> {
        let url = format!(
            "{}/v2/Channels/Senders?Channel=whatsapp&PageSize={SENDERS_LISTED_MAX}",
            self.messaging_url
        );
        Some(self.messages.call(Request::get(url)))
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = json::parse(&response.body).filter(|_| response.is_success())?;
        if json::some_text(&said, "/meta/next_page_url").is_some() {
            return None;
        }
        let mut addresses = json::texts(&said, "/senders", "/sender_id");
        if !addresses.is_empty() {
            addresses.push(SANDBOX.into());
        }
        Some(OwnAddresses { addresses, called: "list of WhatsApp senders", only_numbers: false })
    }

    /// Also marks the message as read. The indicator ends after 25 seconds or with the reply.
    fn typing(&self, _did: &str, _customer: &str, last_id: Option<&str>, on: bool) -> Option<Request> {
        let last_id = last_id.filter(|_| on)?;
        let url = format!("{}/v3/Indicators/Typing.json", self.messaging_url);
        let said = json!({"channel": "WHATSAPP", "messageId": last_id});
        Some(self.messages.call(Request::post(url, Body::Json(said.to_string())).harmless()))
    }
}

/// Translates formatting to WhatsApp's marks in text variables.
fn formatted(name: &str, value: String) -> String {
    if name == "Body" { markup::whatsapp(&value).into_owned() } else { value }
}

/// Returns a location's words, and the point with its name.
fn place(json: &str) -> Option<[(&'static str, String); 2]> {
    let place: body::Location<'_> = body::read(json).unwrap_or_default();
    let (latitude, longitude) = (place.location.latitude.0?, place.location.longitude.0?);
    let details = &place.additional_details;
    let candidates = [&*place.markdown_text, &*details.name, &*details.address];
    let point = format!("{latitude},{longitude}");
    let words = candidates.into_iter().find(|words| !words.is_empty()).unwrap_or(&point);
    let label = [&*details.name, words].into_iter().find(|words| !words.is_empty()).unwrap_or_default();
    // The label ends at the first bar.
    let action = format!("geo:{point}|{}", label.replace('|', " "));
    Some([("Body", words.to_owned()), ("PersistentAction", action)])
}

fn nowhere() -> SendError {
    SendError::Rejected(Cause::new(
        "400",
        "location.latitude and location.longitude are missing or no numbers",
    ))
}
