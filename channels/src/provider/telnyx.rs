//! Telnyx Messaging v2: SMS and MMS by JSON over HTTPS, webhooks signed with Ed25519.
//!
//! Unconfirmed, with the default taken: the answer always has `data.id`; without it the part is in
//! doubt. Failures that come as a receipt are not retried, though some codes (40002, 40006, 40011,
//! 40018) would allow it.

use std::sync::Arc;

use message::BodyType;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    address::number,
    contract::{
        AccountError, AccountErrors, Capabilities, HttpChannel, OutPart, OwnAddresses, Protection, Provider,
        Received, Rejection, SendError, Sent, Step,
        capability::{DefaultRate, LongText},
        http::{Body, Malformed, Request, Response, Webhook},
        keys_of,
        protection::Ed25519,
    },
    family::telnyx_events::{self, Dialect},
    toolkit::{
        account::{account, address, filled},
        auth, classify, group, json,
        refusals::{RefusalClass, Refusals},
        text_and_media::TextAndMedia,
    },
};

/// Description of Telnyx.
pub const PROVIDER: Provider = Provider {
    name: "telnyx",
    channel_types: &["SMS"],
    summary: "SMS and MMS by Telnyx",
    documentation: "https://developers.telnyx.com/docs/messaging",
    secrets: &["api_key"],
    webhook: Protection::Ed25519(Ed25519 {
        signature: "telnyx-signature-ed25519",
        timestamp: "telnyx-timestamp",
        separator: "|",
        age_max_ms: 300_000,
        public_key: "public_key",
    }),
    capabilities: Capabilities {
        native: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
        text_characters_max: 1_530,
        send_rate: DefaultRate { per_second: 50, basis: "Telnyx's limit of SMS for an account" },
        long_text: LongText::Cut,
        caption_characters_max: 1_530,
        inbound_types: &[BodyType::Plain, BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File],
        ..Capabilities::TEXT
    },
    statuses: telnyx_events::STATUSES,
    events: telnyx_events::EVENTS,
    account: &keys_of::<TelnyxAccount>,
    needs_https: false,
    channel: &|_, table| Ok(Arc::new(TelnyxAccount::checked(account(table)?)?)),
};

/// How webhooks are read. A group MMS reaches up to eight numbers.
const DIALECT: Dialect =
    Dialect { events: telnyx_events::EVENTS, statuses: telnyx_events::STATUSES, members_max: 8 };

/// Pause of the channel after a carrier's daily limit, in milliseconds. It is retried after each
/// pause.
const DAILY_LIMIT_PAUSE_MS: u64 = 3_600_000;

/// Maximum number of the account's numbers that are compared with ours, which is one page; with
/// more, none is.
const NUMBERS_LISTED_MAX: usize = 250;

/// `[channel.account]` of a `telnyx` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelnyxAccount {
    /// The API key (`KEY...`), which the portal shows under Keys & Credentials.
    #[schemars(with = "String")]
    api_key: SecretString,
    /// The public key that verifies webhooks, in base64: the portal shows it under Keys &
    /// Credentials.
    public_key: Box<str>,
    /// The messaging profile; required for number pools and alphanumeric senders.
    #[serde(default)]
    messaging_profile_id: Option<Box<str>>,
    /// Lets the profile choose the sender among its numbers instead of the DID.
    #[serde(default)]
    number_pool: bool,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
}

fn default_base_url() -> Box<str> {
    "https://api.telnyx.com".into()
}

impl TelnyxAccount {
    fn checked(mut self) -> Result<Self, AccountErrors> {
        let check = |holds: bool, key: &str, problem: &str| {
            if holds { Ok(()) } else { Err(AccountError { key: key.into(), problem: problem.into() }) }
        };
        AccountErrors::all([
            filled("api_key", &self.api_key),
            address("base_url", &mut self.base_url),
            check(
                !self.number_pool || self.messaging_profile_id.is_some(),
                "number_pool",
                "needs messaging_profile_id, whose numbers are the pool",
            ),
            check(
                auth::unbase64(&self.public_key).is_some_and(|key| key.len() == 32),
                "public_key",
                "is not the base64 of 32 octets; the portal shows it under Keys & Credentials",
            ),
        ])?;
        Ok(self)
    }

    fn call(&self, request: Request) -> Request {
        request.secret_header("Authorization", auth::bearer(self.api_key.expose_secret()))
    }
}

impl HttpChannel for TelnyxAccount {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    /// A number, or the numbers of a group separated by commas.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        group::customer(address, DIALECT.members_max)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let members = group::members(part.customer);
        let is_group = members.len() > 1;
        let mut message = json!({
            "to": members,
            "webhook_url": part.webhook_url,
            "use_profile_webhooks": false,
        });
        if !is_group {
            json::set(&mut message, "to", number::e164(part.customer));
        }
        // The numbers of a pool have no groups.
        if is_group || !self.number_pool {
            json::set(&mut message, "from", number::e164(part.did));
        }
        let content = TextAndMedia::of(part.content)?;
        json::set(&mut message, "text", content.text);
        if let Some(file) = content.file {
            json::set(&mut message, "media_urls", json!([file]));
        }
        if let Some(profile) = self.messaging_profile_id.as_ref().filter(|_| !is_group) {
            json::set(&mut message, "messaging_profile_id", &**profile);
        }
        let url = format!("{}/v2/messages{}", self.base_url, if is_group { "/group_mms" } else { "" });
        Ok(self.call(Request::post(url, Body::Json(message.to_string()))))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        let said = json::parse(&response.body).unwrap_or_default();
        if !response.is_success() {
            return Err(REFUSALS.classify(response, &said));
        }
        match json::some_text(&said, "/data/id") {
            Some(id) => Ok(Step::Sent(Sent::id(&*id))),
            None => Err(classify::unreadable(response, "data.id")),
        }
    }

    fn credential(&self, key: &str) -> Option<&str> {
        (key == "public_key").then_some(&*self.public_key)
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        telnyx_events::read(webhook.body, DIALECT)
    }

    fn probe(&self) -> Option<Request> {
        Some(self.call(Request::get(format!("{}/v2/messaging_profiles?page%5Bsize%5D=1", self.base_url))))
    }

    fn ask_addresses(&self) -> Option<Request> {
        let url = format!("{}/v2/phone_numbers/messaging?page%5Bsize%5D={NUMBERS_LISTED_MAX}", self.base_url);
        Some(self.call(Request::get(url)))
    }

    fn parse_addresses(&self, response: &Response) -> Option<OwnAddresses> {
        let said = json::parse(&response.body).filter(|_| response.is_success())?;
        // Those that are missing may be on the next page.
        if json::number(&said, "/meta/total_pages").is_none_or(|pages| pages > 1) {
            return None;
        }
        Some(OwnAddresses {
            addresses: json::texts(&said, "/data", "/phone_number"),
            called: "list of numbers",
            only_numbers: true,
        })
    }
}

/// Codes of refusals. Those of the family 40 are about one message or its sender, whatever the
/// status: a 403 with one of them does not stop the channel.
const REFUSALS: Refusals = Refusals {
    code: &["/errors/0/code"],
    words: &["/errors/0/title", "/errors/0/detail"],
    classes: &[
        (RefusalClass::Unsubscribed, &["40300"]),
        (
            // The probe checks the key. A permission may be one object's.
            RefusalClass::Forbidden,
            &["10009", "10010", "20002", "20006"],
        ),
        (RefusalClass::CredentialsRefused, &["20012", "20013", "20014", "20015", "20016", "20017", "20100"]),
        (RefusalClass::Throttled, &["10011", "40011", "40018", "40318"]),
        (RefusalClass::ThrottledFor(DAILY_LIMIT_PAUSE_MS), &["40016"]),
        (RefusalClass::Unavailable, &["10007", "10008", "40006"]),
        (RefusalClass::RetryOnce, &["40002", "40004"]),
        (RefusalClass::Rejected, &["40???"]),
    ],
};
