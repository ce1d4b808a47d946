//! The `[simulator]` table of a fixture file, read and checked. `docs/provider-by-manifest.md`
//! documents its keys. It says how a provider answers; nothing here answers anything.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A provider as its fixture file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) title: String,
    /// The business's own address, unless the simulator is told another one.
    pub(super) number: String,
    /// The customer who writes, unless told otherwise.
    pub(super) customer: String,
    /// Templates of further lines of `[channel.account]`.
    #[serde(default)]
    pub(super) account: BTreeMap<String, String>,
    /// Keys of credentials that are not lines of `[channel.account]`.
    #[serde(default)]
    pub(super) secrets: Vec<String>,
    /// Credentials by key, with their defaults.
    #[serde(default)]
    pub(super) credentials: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) auth: Auth,
    pub(super) send: SendRules,
    #[serde(default)]
    pub(super) refusal: RefusalRules,
    #[serde(default)]
    pub(super) route: Vec<Route>,
    pub(super) inbound: Option<InboundRules>,
    pub(super) receipt: Option<ReceiptRules>,
    #[serde(default)]
    pub(super) webhook: WebhookRules,
}

/// Where a request's fields stand, and how an event is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    #[default]
    Json,
    Form,
    Query,
}

/// An answer whose body is a template: a text goes out as it is, anything else as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerTemplate {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) body: Value,
}

/// How a request proves who sends it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "AuthTable")]
pub(super) struct Auth {
    pub(super) scheme: AuthScheme,
    pub(super) refused: Option<AnswerTemplate>,
}

/// The part of a request that must match a credential; all names are keys of credentials.
#[derive(Clone, Debug, Default)]
pub(super) enum AuthScheme {
    #[default]
    Open,
    Basic {
        user: String,
        password: String,
    },
    Bearer(String),
    Header(NamedCredential),
    /// Fields of the request, each with the credential it must equal.
    Fields(BTreeMap<String, String>),
}

/// A header or query parameter and the credential that it carries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedCredential {
    pub(super) name: String,
    pub(super) credential: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthTable {
    basic: Option<(String, String)>,
    bearer: Option<String>,
    header: Option<NamedCredential>,
    fields: Option<BTreeMap<String, String>>,
    refused: Option<AnswerTemplate>,
}

impl TryFrom<AuthTable> for Auth {
    type Error = &'static str;

    fn try_from(table: AuthTable) -> Result<Self, &'static str> {
        let basic = table.basic.map(|(user, password)| AuthScheme::Basic { user, password });
        let mut schemes = basic
            .into_iter()
            .chain(table.bearer.map(AuthScheme::Bearer))
            .chain(table.header.map(AuthScheme::Header))
            .chain(table.fields.map(AuthScheme::Fields));
        let scheme = schemes.next().unwrap_or_default();
        match schemes.next() {
            None => Ok(Self { scheme, refused: table.refused }),
            Some(_) => Err("[simulator.auth] takes only one of basic, bearer, header and fields"),
        }
    }
}

/// The forms in which an API takes phone numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NumberForm {
    /// `+` and 7 to 15 digits.
    E164,
    /// 7 to 15 digits without `+`.
    Digits,
}

/// The request that sends a message, where its fields stand, and the answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendRules {
    #[serde(default = "post")]
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) format: Format,
    pub(super) to: String,
    /// Left out: the API does not name a sender.
    pub(super) from: Option<String>,
    pub(super) text: String,
    pub(super) media: Option<String>,
    /// The field with the address of this message's receipts.
    pub(super) callback: Option<String>,
    pub(super) numbers: NumberForm,
    pub(super) text_characters_max: usize,
    #[serde(default)]
    pub(super) required: Vec<String>,
    /// Fields that must hold exactly this text.
    #[serde(default)]
    pub(super) equal: BTreeMap<String, String>,
    pub(super) answer: AnswerTemplate,
    pub(super) without_id: Option<AnswerTemplate>,
    #[serde(default = "uuid")]
    pub(super) id: String,
}

fn post() -> String {
    "POST".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn uuid() -> String {
    "{uuid}".to_owned()
}

/// The body of every refusal, and the status of each kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RefusalRules {
    pub(super) body: Value,
    pub(super) rejected: u16,
    pub(super) throttled: u16,
    /// The status of a body that cannot be read.
    pub(super) malformed: u16,
    /// Left out: the status that the fault asks for.
    pub(super) unavailable: Option<u16>,
    /// Whether the code of the fault `reject` is an HTTP status.
    pub(super) code_is_status: bool,
}

impl Default for RefusalRules {
    fn default() -> Self {
        Self {
            body: Value::String("{reason}".to_owned()),
            rejected: 422,
            throttled: 429,
            malformed: 400,
            unavailable: None,
            code_is_status: false,
        }
    }
}

/// A further address of the API, which only answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    #[serde(default = "get")]
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default = "yes")]
    pub(super) auth: bool,
    pub(super) answer: AnswerTemplate,
}

fn yes() -> bool {
    true
}

/// The call-back that carries a customer's message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundRules {
    #[serde(default)]
    pub(super) format: Format,
    pub(super) event: Value,
    /// Laid over the event of a message with a file; left out: customers cannot send files.
    pub(super) with_file: Option<Value>,
}

/// The call-back that reports on a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptRules {
    #[serde(default)]
    pub(super) format: Format,
    pub(super) event: Value,
    /// The provider's word for `sent`, `delivered`, `read` and `failed`; a status without one is
    /// not reported.
    pub(super) words: BTreeMap<String, String>,
    /// Laid over the event, by status.
    #[serde(default)]
    pub(super) with: BTreeMap<String, Value>,
    /// The code of a failure that was not given one.
    #[serde(default)]
    pub(super) code: String,
}

/// How call-backs prove who posts them, and how they are retried.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "WebhookTable")]
pub(super) struct WebhookRules {
    pub(super) scheme: WebhookScheme,
    pub(super) tries: u32,
    pub(super) factor: u64,
    pub(super) answers: bool,
    pub(super) obeys: bool,
}

/// The proof that a call-back carries; all `credential`s are keys.
#[derive(Clone, Debug, Default)]
pub(super) enum WebhookScheme {
    #[default]
    Unsigned,
    Hmac(HmacRules),
    Basic {
        user: String,
        password: String,
    },
    TokenHeader(NamedCredential),
    TokenQuery(NamedCredential),
}

/// An HMAC over the body, in a header. An empty secret leaves call-backs unsigned.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HmacRules {
    pub(super) algorithm: HmacAlgorithm,
    pub(super) header: String,
    #[serde(default)]
    pub(super) prefix: String,
    pub(super) encoding: HmacEncoding,
    pub(super) credential: String,
}

/// The hash under an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HmacAlgorithm {
    Sha256,
    Sha1,
}

/// The spelling of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HmacEncoding {
    Hex,
    Base64,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WebhookTable {
    hmac: Option<HmacRules>,
    basic: Option<(String, String)>,
    token: Option<TokenTable>,
    tries: u32,
    factor: u64,
    answers: bool,
    obeys: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    header: Option<String>,
    query: Option<String>,
    credential: String,
}

impl Default for WebhookTable {
    fn default() -> Self {
        Self { hmac: None, basic: None, token: None, tries: 3, factor: 2, answers: true, obeys: false }
    }
}

impl TryFrom<WebhookTable> for WebhookRules {
    type Error = &'static str;

    fn try_from(table: WebhookTable) -> Result<Self, &'static str> {
        let scheme = match (table.hmac, table.basic, table.token) {
            (None, None, None) => WebhookScheme::Unsigned,
            (Some(hmac), None, None) => WebhookScheme::Hmac(hmac),
            (None, Some((user, password)), None) => WebhookScheme::Basic { user, password },
            (None, None, Some(TokenTable { header: Some(name), query: None, credential })) => {
                WebhookScheme::TokenHeader(NamedCredential { name, credential })
            }
            (None, None, Some(TokenTable { header: None, query: Some(name), credential })) => {
                WebhookScheme::TokenQuery(NamedCredential { name, credential })
            }
            (None, None, Some(_)) => return Err("token takes exactly one of header and query"),
            _ => return Err("[simulator.webhook] takes only one of hmac, basic and token"),
        };
        let WebhookTable { tries, factor, answers, obeys, .. } = table;
        Ok(Self { scheme, tries, factor, answers, obeys })
    }
}
