//! Twilio's Messages resource: SMS and MMS by forms over HTTPS, webhooks signed with HMAC-SHA-1.
//! Twilio fetches files, so their addresses must be public. WhatsApp is a separate provider on the
//! same account.
//!
//! Unconfirmed, with the default taken: a 429 may have `Retry-After`; customers' files redirect to
//! a storage that must not get the credentials. Failures that come as a receipt are not retried,
//! though some codes (30001, 30017, 30022, ...) would allow it.

use std::sync::Arc;

use message::{BodyType, Content};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{
    address::number,
    contract::{
        AccountError, AccountErrors, Capabilities, Fetch, HttpChannel, MEDIA_BYTES_MAX, MediaRef, OutPart,
        OwnAddresses, Provider, Received, SendError, Sent, Step,
        capability::{DefaultRate, LongText},
        http::{Body, Malformed, Request, Response, Webhook},
        keys_of,
    },
    family::twilio::{self, Templates},
    toolkit::{
        account::{account, address, filled},
        auth, classify, json,
        text_and_media::TextAndMedia,
    },
};

/// Description of Twilio's SMS.
pub const PROVIDER: Provider = Provider {
    name: "twilio",
    channel_types: &["SMS"],
    summary: "SMS and MMS by Twilio",
    documentation: "https://www.twilio.com/docs/messaging/api/message-resource",
    secrets: &["auth_token", "api_key_secret"],
    webhook: twilio::PROTECTION,
    capabilities: Capabilities {
        native: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Template,
        ],
        long_text: LongText::Cut,
        send_rate: DefaultRate {
            per_second: 100,
            basis: "Twilio's highest rate of a sender; it queues what exceeds a slower one's",
        },
        caption_characters_max: 1_600,
        inbound_types: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
        ..Capabilities::TEXT
    },
    statuses: twilio::STATUSES,
    events: twilio::EVENTS,
    account: &keys_of::<TwilioAccount>,
    needs_https: false,
    channel: &|_, table| Ok(Arc::new(account::<TwilioAccount>(table)?.checked()?)),
};

/// Maximum validity that Twilio accepts, in seconds. A longer one is shortened to it.
const VALID_S_MAX: u64 = 36_000;

/// Maximum number of the account's numbers that are compared with ours; with more, none is.
const NUMBERS_LISTED_MAX: usize = 1_000;

/// Maximum size of that list, in octets.
const NUMBERS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Maximum number of redirects of a customer's file. Further ones are refused.
const REDIRECTS_MAX: usize = 3;

/// `[channel.account]` of a `twilio` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TwilioAccount {
    /// The account (`AC...`), which the console shows; the user of calls without `api_key_sid`.
    pub(super) account_sid: Box<str>,
    /// The primary token, on the first page of the console: it verifies webhooks, and is the
    /// password of calls without `api_key_sid`.
    #[schemars(with = "String")]
    pub(super) auth_token: SecretString,
    /// An API key (`SK...`): the user of calls in place of the account.
    #[serde(default)]
    pub(super) api_key_sid: Option<Box<str>>,
    /// The password of `api_key_sid`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) api_key_secret: Option<SecretString>,
    /// A messaging service (`MG...`), whose sender pool contains the own address.
    #[serde(default)]
    pub(super) messaging_service_sid: Option<Box<str>>,
    /// The sids of contents (`HX...`) by the names of templates.
    #[serde(default)]
    pub(super) templates: Templates,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    pub(super) base_url: Box<str>,
}

pub(super) fn default_base_url() -> Box<str> {
    "https://api.twilio.com".into()
}

impl TwilioAccount {
    /// Checks the keys against each other.
    ///
    /// # Errors
    /// Names the key that is wrong and the fix.
    pub(super) fn checked(mut self) -> Result<Self, AccountErrors> {
        let check = |holds: bool, key: &str, problem: &str| {
            if holds { Ok(()) } else { Err(AccountError { key: key.into(), problem: problem.into() }) }
        };
        let sid = &self.account_sid;
        let is_sid = sid.starts_with("AC") && sid.bytes().all(|b| b.is_ascii_alphanumeric());
        let (has_key, has_secret) = (self.api_key_sid.is_some(), self.api_key_secret.is_some());
        let missing = if has_key { "api_key_secret" } else { "api_key_sid" };
        AccountErrors::all([
            check(
                is_sid,
                "account_sid",
                "is not an account: expected AC and 32 digits; the console shows it",
            ),
            check(
                filled("auth_token", &self.auth_token).is_ok(),
                "auth_token",
                "is empty: the console shows the primary token, on the account's first page",
            ),
            self.api_key_secret.as_ref().map_or(Ok(()), |secret| filled("api_key_secret", secret)),
            check(
                has_key == has_secret,
                missing,
                "is missing: api_key_sid and api_key_secret must be given together",
            ),
            address("base_url", &mut self.base_url),
        ])?;
        Ok(self)
    }

    /// Adds the account's credentials to a call.
    pub(super) fn call(&self, request: Request) -> Request {
        let (user, password) = match (&self.api_key_sid, &self.api_key_secret) {
            (Some(user), Some(password)) => (user, password),
            _ => (&self.account_sid, &self.auth_token),
        };
        request.secret_header("Authorization", auth::basic(user, password.expose_secret()))
    }

    /// Returns the call that sends a message with these content fields.
    pub(super) fn message(
        &self,
        part: &OutPart<'_>,
        addresses: [String; 2],
        content: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Request {
        let [to, from] = addresses;
        let mut fields = vec![("To", to), ("From", from)];
        if let Some(service) = &self.messaging_service_sid {
            fields.push(("MessagingServiceSid", service.to_string()));
        }
        fields.extend(content);
        fields.push(("StatusCallback", twilio::callback(part.webhook_url, part.reference)));
        if let Some(valid_s) = part.valid_s {
            fields.push(("ValidityPeriod", valid_s.clamp(1, VALID_S_MAX).to_string()));
        }
        let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", self.base_url, self.account_sid);
        self.call(Request::post(url, Body::Form(fields)))
    }

    /// Returns the fields of a text, a file or a template.
    ///
    /// # Errors
    /// Rejects any other content.
    pub(super) fn content(&self, content: &Content) -> Result<Vec<(&'static str, String)>, SendError> {
        if let Content::Rich { body_type: BodyType::Template, json } = content {
            return Ok(twilio::template(json, &self.templates)?.into());
        }
        let content = TextAndMedia::of(content)?;
        let words = (content.file.is_none() || !content.text.is_empty()).then(|| content.text.into_owned());
        let words = words.map(|words| ("Body", words));
        Ok(words.into_iter().chain(content.file.map(|file| ("MediaUrl", file))).collect())
    }

    /// Fetches a customer's file. Only Twilio gets the credentials, never the storage that it
    /// redirects to.
    ///
    /// # Errors
    /// Fails with the class of the answer that is not the file.
    pub(super) fn file(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        let get = |url: &str| Request { answer_bytes_max: MEDIA_BYTES_MAX, ..Request::get(url) };
        let Some(last) = answers.last() else {
            let call = get(&media.locator);
            let own = [&*self.base_url, "https://api.twilio.com"];
            let is_own = own
                .iter()
                .any(|base| media.locator.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')));
            return Ok(Fetch::Next(if is_own { self.call(call) } else { call }));
        };
        match last.header("location") {
            Some(url) if (300..400).contains(&last.status) && answers.len() <= REDIRECTS_MAX => {
                Ok(Fetch::Next(get(url)))
            }
            _ if last.is_success() => Ok(Fetch::Got),
            _ => Err(SendError::by_status(last)),
        }
    }

    /// Returns a call that lists the account's numbers.
    fn list_numbers(&self) -> Request {
        let (base, sid) = (&self.base_url, &self.account_sid);
        let url = format!(
            "{base}/2010-04-01/Accounts/{sid}/IncomingPhoneNumbers.json?PageSize={NUMBERS_LISTED_MAX}"
        );
        Request { answer_bytes_max: NUMBERS_BYTES_MAX, ..self.call(Request::get(url)) }
    }

    /// Returns a call that reads the account.
    pub(super) fn look(&self) -> Request {
        self.call(Request::get(format!("{}/2010-04-01/Accounts/{}.json", self.base_url, self.account_sid)))
    }
}

impl HttpChannel for TwilioAccount {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let addresses = [number::e164(part.customer), number::e164(part.did)];
        Ok(self.message(part, addresses, self.content(part.content)?))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        Ok(Step::Sent(Sent::id(twilio::sid(response)?)))
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "auth_token").then(|| self.auth_token.expose_secret())
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        twilio::receive(webhook)
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        self.file(media, answers)
    }

    fn probe(&self) -> Option<Request> {
        Some(self.look())
    }

    fn ask_addresses(&self) -> Option<Request> {
        Some(self.list_numbers())
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = json::parse(&response.body).filter(|_| response.is_success())?;
        // More numbers than one page has: those that are missing may be on the next.
        if json::some_text(&said, "/next_page_uri").is_some() {
            return None;
        }
        Some(OwnAddresses {
            addresses: json::texts(&said, "/incoming_phone_numbers", "/phone_number"),
            called: "list of numbers",
            only_numbers: true,
        })
    }
}
