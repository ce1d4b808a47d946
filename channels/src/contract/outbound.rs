//! Plain outbound data: a part, the calls and answers that submit it, set-up at the provider,
//! fetched files.

use std::sync::Arc;

use message::Content;

use crate::contract::http::Request;

/// A part to be sent.
#[derive(Clone, Copy, Debug)]
pub struct OutPart<'a> {
    /// The customer in the canonical spelling.
    pub customer: &'a str,
    /// The customer as the provider or the business spelled them.
    pub customer_shown: &'a str,
    /// Our own address, as configured.
    pub did: &'a str,
    /// The content to send.
    pub content: &'a Content,
    /// Our own reference for the part, for providers that echo one: up to 64 characters of
    /// `[0-9a-zA-Z-]`.
    pub reference: &'a str,
    /// The public address of this channel's webhook.
    pub webhook_url: &'a str,
    /// The provider's id of the message that this part replies to.
    pub reply_to: Option<&'a str>,
    /// The remaining validity in seconds.
    pub valid_s: Option<u64>,
    /// The current time in milliseconds since 1970.
    pub now_ms: i64,
}

/// The meaning of the answers so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The provider accepted the part.
    Sent(Sent),
    /// A further call is needed.
    Next(Request),
}

/// A part that the provider accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The provider's id as receipts will name it; empty when it is not known.
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

/// The meaning of the answers to a set-up so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUp {
    /// A further call is needed.
    Next(Request),
    /// Every setting is as desired.
    Done {
        /// Whether a setting had to be changed.
        changed: bool,
        /// The result, for people.
        words: Box<str>,
    },
}

/// The meaning of the answers to a fetch so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// A further call is needed.
    Next(Request),
    /// The last answer's body is the file.
    Got,
}

/// Maximum size of a customer's file, in octets; larger ones are cut off and refused.
pub const MEDIA_BYTES_MAX: usize = 32 * 1024 * 1024;
