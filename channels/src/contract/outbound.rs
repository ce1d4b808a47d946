//! Plain data of what goes out: a part, the calls and answers that submit it, set-up at the provider, fetched files.

use std::sync::Arc;

use message::Content;

use crate::contract::http::Request;

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
pub struct WebhookUrls<'a> {
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

/// What the answers to a fetch so far mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// One more call.
    Next(Request),
    /// The last answer's body is the file.
    Got,
}

/// The most octets of a customer's file.
pub const MEDIA_BYTES_MAX: usize = 32 * 1024 * 1024;
