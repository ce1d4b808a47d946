//! The interface every provider implements: its description, the channel made of an account, and the pure functions
//! that turn parts into calls and answers and webhooks into facts. It never sees a socket, a queue, a retry or a clock.

use std::{fmt, sync::Arc};

use message::Content;
use smallvec::SmallVec;

use crate::{
    address::number,
    contract::{
        AccountError, Attribute, Capabilities, Fetch, InMessage, MEDIA_BYTES_MAX, MediaRef, OutPart, Polled,
        Prepared, Protection, Received, Rejection, Report, SendError, SetUp, Signature, Step, WebhookUrls,
        http::{Malformed, Refused, Reply, Request, Response, Webhook},
        verify,
    },
    smpp,
};

/// The description of a provider: everything that can be known before an account exists.
pub struct Provider {
    /// The name used in config, file names, metrics and webhook paths.
    pub name: &'static str,
    /// What a business may call its channels (`channelTypeCode`), in any case, beside the name.
    pub channel_types: &'static [&'static str],
    /// What it is, in one line.
    pub summary: &'static str,
    /// Where its documentation is.
    pub documentation: &'static str,
    /// The keys of `[channel.account]` that hold secrets.
    pub secrets: &'static [&'static str],
    /// How its webhooks are protected.
    pub webhook: Protection,
    /// What it can carry, before an account narrows it.
    pub capabilities: Capabilities,
    /// Its words for the state of a part, and what each means.
    pub statuses: &'static [(&'static str, Report)],
    /// Checks an account and opens its channel; see [`Provider::open`].
    pub channel: &'static OpenChannel,
}

/// Checks an account and opens its channel.
pub type OpenChannel =
    dyn Fn(&'static Provider, toml::Table) -> Result<Arc<dyn Channel>, AccountError> + Send + Sync;

impl Provider {
    /// Checks an account and opens its channel.
    ///
    /// # Errors
    /// Names the key that is wrong and the fix.
    pub fn open(&'static self, account: toml::Table) -> Result<Arc<dyn Channel>, AccountError> {
        (self.channel)(self, account)
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
    /// Its provider.
    fn provider(&self) -> &'static Provider;

    /// What it can carry.
    fn capabilities(&self) -> Capabilities;

    /// The canonical spelling of a customer's address; an error names what is wrong with it.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection>;

    /// The canonical spelling of one of our own addresses.
    fn did(&self, address: &str) -> Arc<str>;

    /// Adapts and cuts a content; `reference` is what a long text's parts will share.
    fn prepare(&self, content: &Content, reference: u16) -> Result<Prepared, Rejection>;

    /// The kind of link that carries it.
    fn link(&self) -> LinkKind<'_>;
}

/// The kinds of link.
#[derive(Debug)]
pub enum LinkKind<'a> {
    /// Persistent SMPP binds.
    Smpp(&'a smpp::account::Account),
    /// Calls to an HTTP API, and webhooks from it.
    Http(&'a dyn HttpChannel),
}

/// An account at an HTTP provider.
///
/// What every implementation may rely on: `part.content` is of a native body type and within the capabilities'
/// limits, in the form that [`crate::adapt`] gives it (Markdown stays in texts and captions where the format is
/// its own: [`crate::text::markup`] translates it); answers are cut at the call's limit; a webhook's body is bounded. What it must keep: every value of a
/// secret key appears in requests only as `secret_header` or `hiding`, and never in an error.
pub trait HttpChannel: Send + Sync + fmt::Debug + 'static {
    /// Its provider.
    fn provider(&self) -> &'static Provider;

    /// What it can carry.
    fn capabilities(&self) -> Capabilities {
        self.provider().capabilities
    }

    /// The canonical spelling of a customer's address; telephone numbers unless the provider says otherwise.
    ///
    /// # Errors
    /// Names what is wrong with it.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        Ok(number::customer(address)?)
    }

    /// The canonical spelling of one of our own addresses.
    fn did(&self, address: &str) -> Arc<str> {
        number::canonical(address).into()
    }

    /// The first call for a part.
    ///
    /// # Errors
    /// When the part cannot be put into a call at all.
    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError>;

    /// What the answers so far mean, the newest last: done, or a further call.
    ///
    /// # Errors
    /// Why the part was not taken: the value alone decides what happens next.
    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError>;

    /// Answers a call that asks whether we are there (a GET with a challenge, an event of its own), without
    /// reading anything. `None`: it is an ordinary webhook.
    ///
    /// # Errors
    /// When the caller does not know what it must.
    fn handshake(&self, _webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        Ok(None)
    }

    /// Returns how webhooks are protected; by default as the provider's description says.
    fn protection(&self) -> Protection {
        self.provider().webhook
    }

    /// Returns the value of a key of the account that [`protection`](Self::protection) names; nothing when the
    /// account lacks it.
    fn credential(&self, _key: &str) -> Option<&str> {
        None
    }

    /// Verifies that a webhook is the provider's. Nothing of it is read before.
    ///
    /// # Errors
    /// When its signature is missing or wrong.
    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused> {
        verify::verify(&self.protection(), &|key| self.credential(key), webhook)
    }

    /// Reads a webhook that [`verify`](Self::verify) took: every item of a batch; unknown kinds are counted in
    /// [`Received::ignored`], one broken item becomes one [`InEvent::Broken`](crate::contract::InEvent::Broken) and loses no other.
    ///
    /// # Errors
    /// When nothing of it can be read.
    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed>;

    /// The ids by which entries at the shared Meta address are known to be this account's (`phone_number_id`,
    /// page id, Instagram account id); empty for all others.
    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        SmallVec::new()
    }

    /// How a file that a customer sent is fetched: calls until [`Fetch::Got`]. By default its address is simply
    /// asked for.
    ///
    /// # Errors
    /// Why it cannot be had.
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

    /// The next call when updates are asked for instead of brought; `None`: they are brought by webhooks.
    fn poll(&self, _cursor: Option<&str>) -> Option<Request> {
        None
    }

    /// Reads the answer to such a call.
    ///
    /// # Errors
    /// Why there was nothing; the pause follows from it.
    fn parse_poll(&self, _cursor: Option<&str>, response: &Response) -> Result<Polled, SendError> {
        Err(SendError::by_status(response))
    }

    /// A harmless call that tells whether the credentials are good.
    fn probe(&self) -> Option<Request> {
        None
    }

    /// What such a call's answer means. By default the status decides.
    ///
    /// # Errors
    /// Why the credentials are not good, or why that is not known.
    fn parse_probe(&self, response: &Response) -> Result<(), SendError> {
        if response.is_success() { Ok(()) } else { Err(SendError::by_status(response)) }
    }

    /// What the answer to [`probe`](Self::probe) says of our own account, for people: key and value.
    fn parse_account(&self, _response: &Response) -> Vec<Attribute> {
        Vec::new()
    }

    /// Tells the provider where it finds us and what it is to bring, asking first how that is now: calls until
    /// [`SetUp::Done`]. `None`: nothing can be told to it by calls, or nothing is to be.
    ///
    /// # Errors
    /// Why it could not be set up. Messages go out all the same.
    fn set_up(&self, _ours: WebhookUrls<'_>, _answers: &[Response]) -> Result<Option<SetUp>, SendError> {
        Ok(None)
    }

    /// A call that marks a customer's message as read.
    fn mark_read(&self, _did: &str, _customer: &str, _provider_id: &str) -> Option<Request> {
        None
    }

    /// A call that shows the customer that someone types; `last_id` is the customer's last message.
    fn typing(&self, _did: &str, _customer: &str, _last_id: Option<&str>, _on: bool) -> Option<Request> {
        None
    }

    /// A call that asks who a customer is, where their messages do not say so.
    fn profile(&self, _customer: &str) -> Option<Request> {
        None
    }

    /// What the answer to it says, under the names the business sees ([`InMessage::attributes`]); nothing where the
    /// customer does not want to be known.
    fn parse_profile(&self, _response: &Response) -> Vec<Attribute> {
        Vec::new()
    }

    /// A call to be made once for an event that [`receive`](Self::receive) read (the tap on a Telegram button must
    /// be answered); its outcome changes nothing.
    fn follow_up(&self, _message: &InMessage) -> Option<Request> {
        None
    }
}
