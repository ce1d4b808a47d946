//! The interface every provider implements: its description, the channel made of an account, and
//! pure functions that turn parts into calls, and answers and webhooks into facts. A provider never
//! sees a socket, a queue, a retry or a clock.

use std::{fmt, sync::Arc};

use message::{Content, event::SmsHandling};
use smallvec::SmallVec;

use crate::{
    address::number,
    contract::{
        AccountError, AccountErrors, AccountKey, Attribute, Capabilities, EventKind, Fetch, InMessage,
        MEDIA_BYTES_MAX, MediaRef, OutPart, OwnAddresses, Polled, Prepared, Protection, Received, Rejection,
        Report, SendError, SetUp, Signature, Step, Unproven, WebhookUrls, account_keys,
        http::{Malformed, Refused, Reply, Request, Response, Webhook},
        verify,
    },
    smpp,
};

/// A provider's description: everything that is known before an account exists.
pub struct Provider {
    /// The name used in config, file names, metrics and webhook paths.
    pub name: &'static str,
    /// Further names (`channelTypeCode`) that a business may use for its channels, in any case.
    pub channel_types: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
    /// The address of the provider's documentation.
    pub documentation: &'static str,
    /// The keys of `[channel.account]` that hold secrets.
    pub secrets: &'static [&'static str],
    /// The protection of its webhooks.
    pub webhook: Protection,
    /// The capabilities before an account narrows them.
    pub capabilities: Capabilities,
    /// The provider's words for the state of a part, with their meanings.
    pub statuses: &'static [(&'static str, Report)],
    /// Every kind of event in the provider's reference, and what becomes of it; empty where no
    /// audit was made.
    pub events: &'static [EventKind],
    /// The keys of `[channel.account]`, without the mark of the secret ones.
    pub account: &'static AccountKeysOf,
    /// Whether it calls webhooks over `https` alone.
    pub needs_https: bool,
    /// Checks an account and opens its channel; see [`Provider::open`].
    pub channel: &'static OpenChannel,
}

/// Returns the keys of an account.
pub type AccountKeysOf = dyn Fn() -> Vec<AccountKey> + Send + Sync;

/// The key of a channel that accepts webhooks which nothing proves.
pub const UNSIGNED: &str = "unsigned";

/// Returns why webhooks of a channel are accepted from anyone, if they are.
fn unproven(channel: &dyn Channel) -> Option<Unproven> {
    match channel.link() {
        LinkKind::Smpp(_) => None,
        LinkKind::Http(http) => http.protection().unproven(&|key| http.credential(key)),
    }
}

/// Checks an account and opens its channel.
pub type OpenChannel =
    dyn Fn(&'static Provider, toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> + Send + Sync;

impl Provider {
    /// Returns the keys of `[channel.account]`.
    pub fn account_keys(&self) -> Vec<AccountKey> {
        let mut keys = (self.account)();
        for key in &mut keys {
            key.is_secret = self.secrets.contains(&&*key.name);
        }
        keys
    }

    /// Returns the problems of an account's keys and their types; the rest is told by
    /// [`open`](Self::open).
    pub fn check_account(&self, account: &toml::Table) -> Vec<AccountError> {
        account_keys::check(&self.account_keys(), account)
    }

    fn checked(&'static self, account: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
        let problems = self.check_account(&account);
        if problems.is_empty() { (self.channel)(self, account) } else { Err(AccountErrors(problems)) }
    }

    /// Checks an account and opens its channel. Its webhooks must be proved by a secret.
    ///
    /// # Errors
    /// Names each key that is wrong and the fix.
    pub fn open(&'static self, account: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
        let channel = self.checked(account)?;
        let Some(unproven) = unproven(&*channel) else { return Ok(channel) };
        let anyone = "anyone could write in a customer's name";
        let (key, problem) = match unproven {
            Unproven::Lacks(key) => (
                key,
                format!("is missing, so {anyone}; set it, or unsigned = true in [[channel]] to accept that"),
            ),
            Unproven::NoScheme => {
                let name = self.name;
                (
                    UNSIGNED,
                    format!(
                        "is missing: {name} does not sign webhooks, so {anyone}; set unsigned = true to accept that"
                    ),
                )
            }
        };
        Err(AccountError { key: key.to_owned(), problem }.into())
    }

    /// Checks an account whose webhooks nothing proves, and opens its channel.
    ///
    /// # Errors
    /// Names each key that is wrong and the fix. Proved webhooks are an error, and so is a provider
    /// that calls none.
    pub fn open_unsigned(&'static self, account: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
        let channel = self.checked(account)?;
        if unproven(&*channel).is_some() {
            return Ok(channel);
        }
        let why = match self.signature() {
            Signature::NoWebhooks => "there are no webhooks".to_owned(),
            Signature::Optional(key) | Signature::Required(key) => format!("{key} proves webhooks"),
            Signature::None => "webhooks are proved".to_owned(),
        };
        let problem = format!("is true, but {why}; remove it");
        Err(AccountError { key: UNSIGNED.to_owned(), problem }.into())
    }

    /// Returns whether its customers are telephone numbers.
    pub fn reaches_numbers(&self) -> bool {
        self.channel_types.iter().any(|name| matches!(*name, "SMS" | "WHATSAPP"))
    }

    /// Returns whether webhooks are signed, and by which key of the account.
    pub fn signature(&self) -> Signature {
        self.webhook.signature()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A configured account at a provider: the pure side of a channel.
pub trait Channel: Send + Sync + fmt::Debug {
    /// Returns the provider's description.
    fn provider(&self) -> &'static Provider;

    /// Returns what the channel can carry.
    fn capabilities(&self) -> Capabilities;

    /// Returns the canonical spelling of a customer's address.
    ///
    /// # Errors
    /// The address is not valid for this channel; the rejection says why.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection>;

    /// Returns the canonical spelling of one of our own addresses.
    fn did(&self, address: &str) -> Arc<str>;

    /// Checks that one of our own addresses can be used as a sender.
    ///
    /// # Errors
    /// The words say what is wrong with the address, and what is expected.
    fn check_did(&self, _address: &str) -> Result<(), String> {
        Ok(())
    }

    /// Checks that the channel can send at all.
    ///
    /// # Errors
    /// It only receives; the rejection names the key to change.
    fn sends(&self) -> Result<(), Rejection> {
        Ok(())
    }

    /// Returns what of a message's validity the provider is not told, in words for the business.
    fn untold_validity(&self, _ms: u64) -> Option<Box<str>> {
        None
    }

    /// Adapts and cuts a content; the parts of a long text share `reference`.
    fn prepare(&self, content: &Content, reference: u16) -> Result<Prepared, Rejection>;

    /// Prepares a content that a telephone is to treat in a certain way. A channel that cannot say
    /// so leaves it out and says that.
    fn prepare_as(
        &self,
        content: &Content,
        reference: u16,
        handling: SmsHandling,
    ) -> Result<Prepared, Rejection> {
        let mut prepared = self.prepare(content, reference)?;
        let asked =
            [("messageClass", handling.class.is_some()), ("destinationPort", handling.ports.is_some())];
        for (name, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
            prepared.adapted.push(format!("{name} means nothing on this channel and was left out").into());
        }
        Ok(prepared)
    }

    /// Returns the link that carries the channel.
    fn link(&self) -> LinkKind<'_>;
}

/// The link that carries a channel.
#[derive(Debug)]
pub enum LinkKind<'a> {
    /// Persistent SMPP binds.
    Smpp(&'a smpp::account::Account),
    /// Calls to an HTTP API, and webhooks from it.
    Http(&'a dyn HttpChannel),
}

/// An account at an HTTP provider.
///
/// An implementation may rely on: `part.content` has a native body type and is within the
/// capabilities' limits, in the form that [`crate::adapt`] gives it (Markdown stays in texts and
/// captions where the format is the provider's own, and [`crate::text::markup`] translates it);
/// answers are cut at the call's limit; a webhook's body is bounded. It must guarantee: a secret
/// appears in requests only through `secret_header` or `hiding`, and never in an error.
pub trait HttpChannel: Send + Sync + fmt::Debug + 'static {
    /// Returns the provider's description.
    fn provider(&self) -> &'static Provider;

    /// Returns what the account can carry.
    fn capabilities(&self) -> Capabilities {
        self.provider().capabilities
    }

    /// Returns the canonical spelling of a customer's address; a telephone number by default.
    ///
    /// # Errors
    /// The address is not valid; the rejection says why.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        Ok(number::customer(address)?)
    }

    /// Returns the canonical spelling of one of our own addresses.
    fn did(&self, address: &str) -> Arc<str> {
        number::canonical(address).into()
    }

    /// Returns the first call for a part.
    ///
    /// # Errors
    /// The part cannot be expressed as a call.
    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError>;

    /// Interprets the answers so far, the newest last: the part was sent, or a further call is
    /// needed.
    ///
    /// # Errors
    /// The part was not taken; the error alone decides what happens next.
    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError>;

    /// Answers a verification request (a GET with a challenge, an event of its own) without reading
    /// anything. Returns `None` for an ordinary webhook.
    ///
    /// # Errors
    /// The caller does not know the expected word.
    fn handshake(&self, _webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        Ok(None)
    }

    /// Returns how webhooks are protected; by default as the provider's description says.
    fn protection(&self) -> Protection {
        self.provider().webhook
    }

    /// Returns the value of a key of the account that [`protection`](Self::protection) names;
    /// nothing when the account lacks it.
    fn credential(&self, _key: &str) -> Option<&str> {
        None
    }

    /// Verifies that a webhook comes from the provider. Nothing of it is read before.
    ///
    /// # Errors
    /// The signature is missing or wrong.
    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused> {
        verify::verify(&self.protection(), &|key| self.credential(key), webhook)
    }

    /// Reads a webhook that [`verify`](Self::verify) accepted: every item of a batch. Kinds
    /// that are ignored on purpose are counted in [`Received::ignored`]; an unknown one is
    /// named in [`Received::unknown`]; a broken item becomes one
    /// [`InEvent::Broken`](crate::contract::InEvent::Broken). Neither affects the others.
    ///
    /// # Errors
    /// Nothing of it can be read.
    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed>;

    /// Returns the part of a message's id that is the same in each of its spellings, where the
    /// provider spells ids in several ways.
    fn message_token(&self, _id: &str) -> Option<Box<str>> {
        None
    }

    /// Returns the ids that mark entries at the shared Meta address as this account's
    /// (`phone_number_id`, page id, Instagram account id); empty for other providers.
    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        SmallVec::new()
    }

    /// Fetches a customer's file: returns calls until [`Fetch::Got`]. Requests the locator as an
    /// address by default.
    ///
    /// # Errors
    /// The file cannot be fetched.
    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        match answers {
            [] => Ok(Fetch::Next(Request {
                answer_bytes_max: MEDIA_BYTES_MAX,
                ..Request::get(&*media.locator)
            })),
            [.., last] if last.is_success() => Ok(Fetch::Got),
            [.., last] => Err(SendError::by_status(last)),
        }
    }

    /// Returns the next call where updates are polled; `None` where webhooks bring them.
    fn poll(&self, _cursor: Option<&str>) -> Option<Request> {
        None
    }

    /// Parses the answer to a poll.
    ///
    /// # Errors
    /// The poll failed; the pause follows from the error.
    fn parse_poll(&self, _cursor: Option<&str>, response: &Response) -> Result<Polled, SendError> {
        Err(SendError::by_status(response))
    }

    /// Returns a harmless call that tells whether the credentials are valid.
    fn probe(&self) -> Option<Request> {
        None
    }

    /// Interprets the answer to a probe, by its status by default. 403 may concern the probe alone
    /// (a key that may send and not list), so it stays [`SendError::Forbidden`].
    ///
    /// # Errors
    /// The credentials are not valid, or their validity is unknown.
    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        match SendError::by_status(response) {
            _ if response.is_success() => Ok(()),
            error if response.status == 401 => Err(error.of_probe()),
            error => Err(error),
        }
    }

    /// Returns facts about our own account from the answer to [`probe`](Self::probe), for people.
    fn parse_account(&self, _response: &Response) -> Vec<Attribute> {
        Vec::new()
    }

    /// Returns a harmless call that asks for our own addresses, where the answer to
    /// [`probe`](Self::probe) does not tell them.
    fn ask_addresses(&self) -> Option<Request> {
        None
    }

    /// Returns our own addresses from the answer to [`ask_addresses`](Self::ask_addresses), else to
    /// [`probe`](Self::probe); `None` where it does not tell them.
    fn parse_addresses(&self, _response: &Response) -> Option<OwnAddresses> {
        None
    }

    /// Registers our webhook with the provider, after asking for the current registration: returns
    /// calls until [`SetUp::Done`]. `None` when registration by calls is impossible or not wanted.
    ///
    /// # Errors
    /// The registration failed. Messages are sent all the same.
    fn set_up(&self, _ours: WebhookUrls<'_>, _answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        Ok(None)
    }

    /// Returns a call that marks a customer's message as read.
    fn mark_read(&self, _did: &str, _customer: &str, _provider_id: &str) -> Option<Request> {
        None
    }

    /// Returns a call that shows the customer a typing indicator; `last_id` is the customer's last
    /// message.
    fn typing(&self, _did: &str, _customer: &str, _last_id: Option<&str>, _on: bool) -> Option<Request> {
        None
    }

    /// Returns a call that asks for a customer's profile, where messages do not carry it.
    fn profile(&self, _customer: &str) -> Option<Request> {
        None
    }

    /// Parses a profile into the attributes that the business sees ([`InMessage::attributes`]);
    /// empty when the customer withholds it.
    fn parse_profile(&self, _response: &Response) -> Vec<Attribute> {
        Vec::new()
    }

    /// Returns a call to make once for a message that [`receive`](Self::receive) read (the tap on a
    /// Telegram button must be answered); its outcome is ignored.
    fn follow_up(&self, _message: &InMessage) -> Option<Request> {
        None
    }
}
