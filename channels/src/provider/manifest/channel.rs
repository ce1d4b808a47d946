//! A channel by manifest: an account, and the calls and answers that its manifest describes.

use std::{collections::BTreeMap, fmt};

use secrecy::SecretString;
use serde_json::Value;

use super::{
    file::{AccountKeyRule, AuthRule, ManifestFile, WithoutId},
    template::{Message, Node, Template, Values},
    webhook,
};
use crate::{
    contract::{
        AccountError, AccountErrors, AccountKey, AccountValue, Capabilities, HttpChannel, OutPart,
        Protection, Provider, Received, SendError, Sent, Step, account_keys,
        http::{Body, Header, Malformed, Request, Response, Webhook},
        url,
    },
    toolkit::{account, auth, classify, json, refusals::Refusals, text_and_media::TextAndMedia},
};

/// A manifest that was checked.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) file: ManifestFile,
    pub(super) send: SendTemplates,
    pub(super) protection: Protection,
    pub(super) refusals: Refusals,
    pub(super) capabilities: Capabilities,
}

/// Names and templates, in alphabetical order.
pub(super) type NamedTemplates = Vec<(String, Template)>;

/// The templates of a manifest.
#[derive(Debug)]
pub(super) struct SendTemplates {
    pub(super) url: Template,
    pub(super) headers: NamedTemplates,
    pub(super) query: NamedTemplates,
    /// Whether bodies are JSON; otherwise forms.
    pub(super) is_json: bool,
    /// The body of a message without a file.
    pub(super) text: Option<Node>,
    /// The body of a message with a file.
    pub(super) file: Option<Node>,
    pub(super) auth_header: Option<(String, Template)>,
    /// The address and the query that probe the credentials.
    pub(super) probe: Option<(Template, NamedTemplates)>,
}

/// An account at a manifest provider.
pub(super) struct ManifestAccount {
    manifest: &'static Manifest,
    provider: &'static Provider,
    /// Every key that has a value; secrets among them, so that this type has no derived `Debug`.
    values: BTreeMap<&'static str, String>,
}

impl fmt::Debug for ManifestAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = |key: &str| self.manifest.file.account.get(key).is_none_or(|rule| rule.secret);
        let shown = self.values.iter().map(|(key, value)| (key, if is_secret(key) { "***" } else { value }));
        f.debug_map().entries(shown).finish()
    }
}

/// Checks an account and opens its channel.
///
/// # Errors
/// Names each key that is unknown, missing or wrong.
pub(super) fn open(
    manifest: &'static Manifest,
    provider: &'static Provider,
    mut table: toml::Table,
) -> Result<ManifestAccount, AccountErrors> {
    // `voipms` opens the General interface under its own description, so keys are checked here too.
    let problems = account_keys::check(&account_keys(manifest), &table);
    if !problems.is_empty() {
        return Err(AccountErrors(problems));
    }
    let mut values = BTreeMap::new();
    let mut wrong = Vec::new();
    for (key, rule) in &manifest.file.account {
        let mut value: Box<str> = match (table.remove(key), &rule.default) {
            (Some(toml::Value::String(text)), _) => text.into(),
            (Some(other), _) => other.to_string().into(),
            (None, Some(default)) => default.as_str().into(),
            (None, None) => continue,
        };
        let checked = match rule {
            AccountKeyRule { secret: true, .. } => account::filled(key, &SecretString::from(&*value)),
            _ if value.trim().is_empty() => {
                Err(AccountError { key: key.clone(), problem: format!("is empty: {}", rule.doc) })
            }
            AccountKeyRule { url: true, .. } => account::address(key, &mut value),
            _ => Ok(()),
        };
        wrong.push(checked);
        values.insert(key.as_str(), value.into());
    }
    AccountErrors::all(wrong)?;
    Ok(ManifestAccount { manifest, provider, values })
}

/// Returns the keys of an account, as the manifest describes them.
pub(super) fn account_keys(manifest: &Manifest) -> Vec<AccountKey> {
    let rules = manifest.file.account.iter();
    let mut keys: Vec<AccountKey> = rules
        .map(|(name, rule)| AccountKey {
            name: name.as_str().into(),
            about: rule.doc.as_str().into(),
            value: if rule.secret || rule.url { AccountValue::Text } else { AccountValue::TextOrNumber },
            default: rule.default.as_ref().map(|text| Value::from(text.as_str()).to_string().into()),
            is_required: !rule.optional && rule.default.is_none(),
            is_secret: rule.secret,
        })
        .collect();
    keys.sort_by_key(|key| !key.is_required);
    keys
}

impl ManifestAccount {
    fn value(&self, key: &str) -> &str {
        self.values.get(key).map(String::as_str).unwrap_or_default()
    }

    fn rule_keys(&self, which: impl Fn(&AccountKeyRule) -> bool) -> Vec<&'static str> {
        let rules = self.manifest.file.account.iter();
        rules.filter(|(_, rule)| which(rule)).map(|(key, _)| key.as_str()).collect()
    }

    /// Fills in an address and its query; nothing when a key of the account is missing.
    fn url(
        &self,
        template: &Template,
        query: &'static NamedTemplates,
        values: &Values<'_>,
    ) -> Option<String> {
        let urls = self.rule_keys(|rule| rule.url);
        let mut url = template.fill_url(values, &urls)?;
        let fields: Vec<(&str, String)> =
            query.iter().filter_map(|(name, value)| Some((name.as_str(), value.fill(values)?))).collect();
        if !fields.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&url::encode_form(fields.iter().map(|(name, value)| (*name, value.as_str()))));
        }
        Some(url)
    }

    /// Adds the credentials to a call, and hides every secret of the account in it.
    fn authorized(&self, request: Request, values: &Values<'_>) -> Request {
        let request = match &self.manifest.file.auth {
            AuthRule::None => request,
            AuthRule::Basic([user, password]) => {
                request.secret_header("Authorization", auth::basic(self.value(user), self.value(password)))
            }
            AuthRule::Bearer(token) => {
                request.secret_header("Authorization", auth::bearer(self.value(token)))
            }
            AuthRule::Header { .. } => match &self.manifest.send.auth_header {
                Some((name, value)) => {
                    request.secret_header(name.as_str(), value.fill(values).unwrap_or_default())
                }
                None => request,
            },
        };
        let secrets = self.rule_keys(|rule| rule.secret);
        secrets.into_iter().fold(request, |request, key| request.hiding(self.value(key)))
    }

    fn body(&self, values: &Values<'_>, has_file: bool) -> Body {
        let send: &'static SendTemplates = &self.manifest.send;
        let Some(node) = (if has_file { &send.file } else { &send.text }) else { return Body::None };
        if send.is_json {
            return Body::Json(node.json(values).unwrap_or_default().to_string());
        }
        Body::Form(node.form(values))
    }
}

impl HttpChannel for ManifestAccount {
    fn provider(&self) -> &'static Provider {
        self.provider
    }

    fn capabilities(&self) -> Capabilities {
        self.manifest.capabilities
    }

    fn protection(&self) -> Protection {
        self.manifest.protection
    }

    fn credential(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let content = TextAndMedia::of(part.content)?;
        let message = Message { part, text: &content.text, file: content.file.as_deref() };
        let values = Values { account: &self.values, message: Some(message) };
        let send: &'static SendTemplates = &self.manifest.send;
        let Some(url) = self.url(&send.url, &send.query, &values) else { return Err(classify::nothing()) };
        let mut request = Request::post(url, self.body(&values, content.file.is_some()));
        for (name, value) in &send.headers {
            let value = value.fill(&values);
            request.headers.extend(value.map(|value| Header { name, value }));
        }
        Ok(self.authorized(request, &values))
    }

    fn answer(&self, _part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        let Some(response) = answers.last() else { return Err(classify::nothing()) };
        let said = json::parse(&response.body);
        let rule = &self.manifest.file.answer;
        if !response.is_success() {
            return Err(self.manifest.refusals.classify(response, &said.unwrap_or_default()));
        }
        let said = said.unwrap_or_default();
        if let Some(accepted) = &rule.accepted
            && !webhook::holds(accepted, &said)
        {
            let at = accepted.at.join(" or ");
            let is_missing = accepted.at.iter().all(|path| json::text_of(&said, path).is_none());
            return Err(match is_missing {
                true => classify::unreadable(response, &at),
                false => self.refused(response, &said),
            });
        }
        match rule.id.iter().find_map(|path| json::some_text(&said, path)) {
            Some(id) => Ok(Step::Sent(Sent::id(&*id))),
            None if rule.without_id == WithoutId::Sent => Ok(Step::Sent(Sent::id(""))),
            None => Err(classify::unreadable(response, &rule.id.join(" or "))),
        }
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        webhook::receive(&self.manifest.file, webhook)
    }

    fn probe(&self) -> Option<Request> {
        let values = Values { account: &self.values, message: None };
        let (url, query) = self.manifest.send.probe.as_ref()?;
        let url = self.url(url, query, &values)?;
        Some(self.authorized(Request::get(url), &values))
    }
}

impl ManifestAccount {
    /// Classifies a 2xx that says that the message was not taken: by its code, else as rejected.
    fn refused(&self, response: &Response, said: &Value) -> SendError {
        match self.manifest.refusals.classify(response, said) {
            SendError::Unknown(cause) => SendError::Rejected(cause),
            error => error,
        }
    }
}
