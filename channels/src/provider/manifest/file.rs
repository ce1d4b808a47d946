//! A manifest as it is written: the shape only. Unknown keys are refused here; `checked.rs` checks
//! what the values say.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A file of `manifests/`, or a user's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestFile {
    pub(super) summary: String,
    pub(super) documentation: String,
    /// Names that a business may use for its channels beside the provider's.
    #[serde(default = "sms")]
    pub(super) channel_types: Vec<String>,
    pub(super) account: BTreeMap<String, AccountKeyRule>,
    #[serde(default)]
    pub(super) limits: LimitRules,
    #[serde(default)]
    pub(super) auth: AuthRule,
    pub(super) send: SendRule,
    #[serde(default)]
    pub(super) answer: AnswerRule,
    #[serde(default)]
    pub(super) refusals: RefusalRules,
    pub(super) probe: Option<ProbeRule>,
    #[serde(default)]
    pub(super) webhook: WebhookRule,
    pub(super) inbound: Option<InboundRule>,
    pub(super) receipt: Option<ReceiptRule>,
}

/// Another manifest under a name of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PresetFile {
    /// The name of a built-in manifest.
    pub(super) preset: String,
    pub(super) summary: Option<String>,
    pub(super) documentation: Option<String>,
}

fn sms() -> Vec<String> {
    vec!["SMS".to_owned()]
}

/// A key of `[channel.account]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountKeyRule {
    /// Its meaning, for people.
    pub(super) doc: String,
    /// Whether its value must never be shown.
    #[serde(default)]
    pub(super) secret: bool,
    /// Whether it is an address: checked, and put into other addresses as it is.
    #[serde(default)]
    pub(super) url: bool,
    /// Whether it may be left out.
    #[serde(default)]
    pub(super) optional: bool,
    pub(super) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitRules {
    pub(super) text_characters_max: usize,
    /// Maximum length of the words beside a file; by default that of a text.
    pub(super) caption_characters_max: Option<usize>,
    pub(super) long_text: LongTextName,
}

impl Default for LimitRules {
    fn default() -> Self {
        Self { text_characters_max: 1_600, caption_characters_max: None, long_text: LongTextName::Cut }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LongTextName {
    Cut,
    Refuse,
}

/// Credentials in a header. Credentials in fields belong into the templates of `[send]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuthRule {
    #[default]
    None,
    /// The keys of user and password.
    Basic([String; 2]),
    /// The key of the token.
    Bearer(String),
    Header {
        name: String,
        value: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendRule {
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// The body as JSON. Without `json` and `form` the body is empty.
    pub(super) json: Option<toml::Table>,
    /// The body as a form.
    pub(super) form: Option<toml::Table>,
    /// Laid over the body of a message without a file.
    #[serde(default)]
    pub(super) text: toml::Table,
    /// Laid over the body of a message with a file; left out: files go as links.
    pub(super) file: Option<toml::Table>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AnswerRule {
    /// Pointers to the id; the first that exists counts.
    pub(super) id: Vec<String>,
    /// The condition on a 2xx that took the message; any other is a refusal.
    pub(super) accepted: Option<Condition>,
    pub(super) without_id: WithoutId,
}

/// The meaning of a 2xx without an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WithoutId {
    /// The message was taken; its receipts are matched by other means.
    #[default]
    Sent,
    /// The message is in doubt.
    Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RefusalRules {
    pub(super) code: Vec<String>,
    pub(super) text: Vec<String>,
    /// The codes of each class.
    pub(super) classes: BTreeMap<ClassName, Vec<String>>,
    /// Codes that throttle the channel for a fixed time.
    pub(super) pauses: Vec<PauseRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClassName {
    Unavailable,
    RetryOnce,
    Throttled,
    CustomerThrottled,
    Busy,
    Rejected,
    Unsubscribed,
    Forbidden,
    CredentialsRefused,
    Unknown,
}

/// Codes that throttle the channel for a fixed time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseRule {
    pub(super) codes: Vec<String>,
    pub(super) for_s: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeRule {
    pub(super) url: String,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
}

/// The protection of webhooks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WebhookRule {
    #[default]
    None,
    Hmac(HmacRule),
    Ed25519(Ed25519Rule),
    Basic {
        user: String,
        password: String,
    },
    TokenHeader {
        name: String,
        secret: String,
    },
    TokenParameter {
        name: String,
        secret: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HmacRule {
    pub(super) header: String,
    #[serde(default)]
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) algorithm: AlgorithmName,
    #[serde(default)]
    pub(super) encoding: EncodingName,
    pub(super) secret: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AlgorithmName {
    Sha1,
    #[default]
    Sha256,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EncodingName {
    #[default]
    Hex,
    Base64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ed25519Rule {
    pub(super) signature: String,
    pub(super) timestamp: String,
    pub(super) separator: String,
    pub(super) age_max_s: u64,
    pub(super) public_key: String,
}

/// How a webhook's fields are read. Fields of a form or query become members of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PayloadFormat {
    Json,
    Form,
    Query,
}

/// Holds when the first value that exists is among the texts, in any case; a missing value is the
/// empty text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    pub(super) at: Vec<String>,
    pub(super) is: Vec<String>,
}

/// A customer's message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundRule {
    #[serde(default = "json")]
    pub(super) formats: Vec<PayloadFormat>,
    pub(super) when: Option<Condition>,
    /// Our own messages that come back, and the like.
    pub(super) unless: Option<Condition>,
    #[serde(default)]
    pub(super) id: Vec<String>,
    /// Where no id comes: fields whose hash is the id.
    #[serde(default)]
    pub(super) id_of: Vec<String>,
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) text: Vec<String>,
    #[serde(default)]
    pub(super) time: Vec<String>,
    /// Files: the first list that has any counts.
    #[serde(default)]
    pub(super) media: Vec<MediaRule>,
    pub(super) opt_out: Option<OptOutRule>,
    /// The body of the answer, for providers that want one.
    pub(super) reply: Option<String>,
}

fn json() -> Vec<PayloadFormat> {
    vec![PayloadFormat::Json]
}

/// A list of files. The pointers are relative to an item.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MediaRule {
    /// The list, or one item.
    pub(super) items: String,
    /// Empty: the item is the address itself.
    #[serde(default)]
    pub(super) url: String,
    pub(super) content_type: Option<String>,
    pub(super) file_name: Option<String>,
}

/// Words by which a customer opts out and in again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptOutRule {
    pub(super) at: Vec<String>,
    pub(super) out: Vec<String>,
    #[serde(default, rename = "in")]
    pub(super) back: Vec<String>,
}

/// A report on a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptRule {
    pub(super) when: Option<Condition>,
    /// A list of which each item is a receipt; pointers that begin with `@` are relative to the
    /// item.
    pub(super) each: Option<String>,
    #[serde(default)]
    pub(super) id: Vec<String>,
    /// Our own reference, where the provider echoes it; `?name` reads a parameter of the address
    /// that the message gave for its receipts.
    #[serde(default)]
    pub(super) reference: Vec<String>,
    pub(super) status: Vec<String>,
    #[serde(default)]
    pub(super) code: Vec<String>,
    #[serde(default)]
    pub(super) text: Vec<String>,
    /// Our own address.
    #[serde(default)]
    pub(super) from: Vec<String>,
    /// The customer.
    #[serde(default)]
    pub(super) to: Vec<String>,
    /// Codes of failures that mean that the customer has opted out.
    #[serde(default)]
    pub(super) opted_out: Vec<String>,
    /// The provider's words for each status, or patterns with `*` at their ends; the longest that
    /// matches counts.
    pub(super) statuses: BTreeMap<ReportName, Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportName {
    Enroute,
    Sent,
    Delivered,
    Read,
    Failed,
    Nothing,
}
