//! The conversation with an HTTP provider, pure: what a part becomes as calls, what an answer means, what a webhook
//! brought. A provider is these functions and a description; it never sees a socket, a queue, a retry or a clock.

use std::{fmt, sync::Arc};

use message::{Content, PartState, PartStatus, Timestamp};
use smallvec::SmallVec;

use super::{Provider, Rejection};
use crate::{
    capability::Capabilities,
    error::SendError,
    http::{Malformed, Refused, Reply, Request, Response, Webhook},
    number,
};

/// An account at an HTTP provider.
///
/// What every implementation may rely on: `part.content` is of a native body type and within the capabilities'
/// limits, in the form that [`crate::adapt`] gives it (Markdown stays in texts and captions where the format is
/// its own: [`crate::markup`] translates it); answers are cut at the call's limit; a webhook's body is bounded. What it must keep: every value of a
/// secret key appears in requests only as `secret_header` or `hiding`, and never in an error.
pub trait HttpChannel: Send + Sync + fmt::Debug + 'static {
    /// Its provider.
    fn provider(&self) -> &'static Provider;

    /// What it can carry.
    fn capabilities(&self) -> Capabilities {
        (self.provider().capabilities)()
    }

    /// The canonical spelling of a customer's address; telephone numbers unless the provider says otherwise.
    ///
    /// # Errors
    /// Names what is wrong with it.
    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        number::customer(address)
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

    /// Whether a webhook is the provider's. Nothing of it is read before.
    ///
    /// # Errors
    /// When its signature is missing or wrong.
    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused>;

    /// Reads a webhook that [`verify`](Self::verify) took: every item of a batch; unknown kinds are counted in
    /// [`Received::ignored`], one broken item becomes one [`InEvent::Broken`] and loses no other.
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
            [.., last] => Err(crate::classify::by_status(last)),
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
    fn polled(&self, _cursor: Option<&str>, response: &Response) -> Result<Polled, SendError> {
        Err(crate::classify::by_status(response))
    }

    /// A harmless call that tells whether the credentials are good.
    fn probe(&self) -> Option<Request> {
        None
    }

    /// What such a call's answer means. By default the status decides.
    ///
    /// # Errors
    /// Why the credentials are not good, or why that is not known.
    fn probed(&self, response: &Response) -> Result<(), SendError> {
        if response.is_success() { Ok(()) } else { Err(crate::classify::by_status(response)) }
    }

    /// What the answer to [`probe`](Self::probe) says of our own account, for people: key and value.
    fn learnt(&self, _response: &Response) -> Vec<Attribute> {
        Vec::new()
    }

    /// Tells the provider where it finds us and what it is to bring, asking first how that is now: calls until
    /// [`SetUp::Done`]. `None`: nothing can be told to it by calls, or nothing is to be.
    ///
    /// # Errors
    /// Why it could not be set up. Messages go out all the same.
    fn set_up(&self, _ours: Whereabouts<'_>, _answers: &[Response]) -> Result<Option<SetUp>, SendError> {
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
    fn profiled(&self, _response: &Response) -> Vec<Attribute> {
        Vec::new()
    }

    /// A call to be made once for an event that [`receive`](Self::receive) read (the tap on a Telegram button must
    /// be answered); its outcome changes nothing.
    fn follow_up(&self, _message: &InMessage) -> Option<Request> {
        None
    }
}

/// The most octets of a customer's file.
pub const MEDIA_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One part on its way out.
#[derive(Clone, Copy, Debug)]
pub struct OutPart<'a> {
    /// The customer, canonical.
    pub customer: &'a str,
    /// The customer as the provider or the business spelled them.
    pub customer_shown: &'a str,
    /// Our own address as configured.
    pub did: &'a str,
    /// What to send.
    pub content: &'a Content,
    /// Our own name for the part, for providers that echo one: up to 64 characters of `[0-9a-zA-Z-]`.
    pub reference: &'a str,
    /// The public address of this channel's webhook.
    pub webhook_url: &'a str,
    /// The provider's id of the message that is answered, if it is a reply to one.
    pub reply_to: Option<&'a str>,
    /// What is left of its validity, in seconds.
    pub valid_s: Option<u64>,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What the answers so far mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The provider took the part.
    Sent(Sent),
    /// One more call.
    Next(Request),
}

/// A part that the provider took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The provider's id, as receipts will name it; empty: accepted, its id is not known.
    pub id: Arc<str>,
    /// The provider's own spelling of the customer, when it says one and it differs.
    pub customer: Option<Arc<str>>,
}

impl Sent {
    /// With an id.
    pub fn id(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), customer: None }
    }
}

/// Where a provider finds us.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'a> {
    /// The public address of the channel's own webhook; empty: nobody said how we are reached.
    pub webhook_url: &'a str,
    /// The public address that all accounts of a Meta app share; empty likewise.
    pub shared_url: &'a str,
}

/// What the answers to a set-up so far mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUp {
    /// One more call.
    Next(Request),
    /// All is as it should be.
    Done {
        /// Whether anything had to be changed.
        changed: bool,
        /// What was found and done, for people.
        words: Box<str>,
    },
}

/// What a provider's word for a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// On its way inside the provider.
    Enroute,
    /// Taken, handed on.
    Sent,
    /// On the customer's device.
    Delivered,
    /// Seen by the customer.
    Read,
    /// Failed for good.
    Failed,
    /// Says nothing about the part.
    Nothing,
}

impl Report {
    /// What the lattice learns by it.
    pub fn state(self) -> Option<PartState> {
        match self {
            Self::Enroute => Some(PartState::reached(PartStatus::Enroute)),
            Self::Sent => Some(PartState::reached(PartStatus::Sent)),
            Self::Delivered => Some(PartState::reached(PartStatus::Delivered)),
            Self::Read => Some(PartState::reached(PartStatus::Read)),
            Self::Failed => Some(PartState::failure()),
            Self::Nothing => None,
        }
    }

    /// The meaning of a word in a provider's table, in any case.
    pub fn of(table: &[(&str, Self)], word: &str) -> Option<Self> {
        table.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, report)| *report)
    }
}

/// What a webhook brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its items, in order.
    pub events: Vec<InEvent>,
    /// Items of kinds that mean nothing to us.
    pub ignored: usize,
    /// What the webhook is answered with; `None`: 200 without a body.
    pub reply: Option<Reply>,
}

/// One item of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InEvent {
    /// The customer wrote.
    Message(Box<InMessage>),
    /// The provider reports on a part.
    Receipt(Box<InReceipt>),
    /// The customer will take no more messages on this channel, or will again.
    OptOut {
        /// Our own address; empty: the channel's only one.
        did: Arc<str>,
        /// The customer, as the provider spells them.
        customer: Arc<str>,
        /// Whether they opted out.
        out: bool,
        /// What tells it from every other: the provider's id of what brought it, the same in every repetition.
        id: Arc<str>,
    },
    /// Something about our own account: verified, its quality fell, its name was refused, ...
    Account {
        /// What it is about, in the provider's word.
        about: Box<str>,
        /// What it says, for people.
        says: Box<str>,
    },
    /// One item that could not be read: what is wrong.
    Broken(Box<str>),
}

/// A customer's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InMessage {
    /// Our own address, as the provider spells it; empty: the channel's only one.
    pub did: Arc<str>,
    /// The customer, as the provider spells them.
    pub customer: Arc<str>,
    /// Further names of the same customer (a business-scoped user id, a number), as the provider spells them.
    pub aliases: SmallVec<[Arc<str>; 1]>,
    /// The provider's id of the message, the same in every repetition.
    pub id: Arc<str>,
    /// What it says. Files are named by [`media`](Self::media): their addresses are put in later.
    pub content: Content,
    /// The files of it, in the order of the `media:<n>` addresses in `content`.
    pub media: Vec<MediaRef>,
    /// When it was written, if the provider says so.
    pub time: Option<Timestamp>,
    /// The provider's id of the message that it answers.
    pub reply_to: Option<Arc<str>>,
    /// Further facts, as key and value: the customer's profile name as `customerName`, a pressed button's payload
    /// as `payload`, ...
    pub attributes: Vec<Attribute>,
}

/// A further fact about a message: key and value.
pub type Attribute = (Box<str>, Box<str>);

impl InMessage {
    /// A message with only what each has.
    pub fn new(did: &str, customer: &str, id: &str, content: Content) -> Self {
        Self {
            did: did.into(),
            customer: customer.into(),
            aliases: SmallVec::new(),
            id: id.into(),
            content,
            media: Vec::new(),
            time: None,
            reply_to: None,
            attributes: Vec::new(),
        }
    }
}

/// Where a customer's file is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct MediaRef {
    /// Its address, or the provider's id for it.
    pub locator: Box<str>,
    /// Its media type, if the provider says so.
    pub content_type: Option<Box<str>>,
    /// Its file name, if the provider says so.
    pub file_name: Option<Box<str>>,
}

/// What the answers to a fetch so far mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// One more call.
    Next(Request),
    /// The last answer's body is the file.
    Got,
}

/// A provider's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InReceipt {
    /// Our own reference, if the provider echoed it.
    pub reference: Option<Arc<str>>,
    /// The provider's id of the part; empty when only our reference is known.
    pub id: Arc<str>,
    /// What it says.
    pub report: Report,
    /// The provider's code and words, `<code>` or `<code>: <words>`.
    pub code: Box<str>,
    /// Our own address, if known.
    pub did: Arc<str>,
    /// The customer, if known, as the provider spells them.
    pub customer: Arc<str>,
    /// For providers that report "everything up to this time was delivered/read" (Messenger): in milliseconds
    /// since 1970; `id` is then empty.
    pub watermark_ms: Option<i64>,
}

/// What asking for updates brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The items.
    pub received: Received,
    /// What to ask after next time, once these are safe.
    pub cursor: Option<Box<str>>,
}
