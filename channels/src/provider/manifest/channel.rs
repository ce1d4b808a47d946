//! A channel by manifest: an account, and the calls and answers that its manifest describes.

use std::{collections::BTreeMap, fmt};

use secrecy::SecretString;
use serde_json::Value;

use super::{
    file::{AuthRule, ManifestFile, WithoutId},
    template::{Message, Node, Template, Values},
    webhook,
};
use crate::{
    contract::{
        AccountError, Capabilities, HttpChannel, OutPart, Protection, Provider, Received, SendError, Sent,
        Step,
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
/// Names the key that is unknown, missing or wrong.
pub(super) fn open(
    manifest: &'static Manifest,
    provider: &'static Provider,
    mut table: toml::Table,
) -> Result<ManifestAccount, AccountError> {
    let rules = &manifest.file.account;
    if let Some(unknown) = table.keys().find(|key| !rules.contains_key(*key)) {
        let known: Vec<String> = rules.keys().map(|key| format!("`{key}`")).collect();
        let problem = format!("unknown field `{unknown}`, expected one of {}", known.join(", "));
        return Err(AccountError { key: String::new(), problem });
    }
    let mut values = BTreeMap::new();
    for (key, rule) in rules {
        let error = |problem: String| AccountError { key: key.clone(), problem };
        let mut value: Box<str> = match (table.remove(key), &rule.default) {
            (Some(toml::Value::String(text)), _) => text.into(),
            (Some(toml::Value::Integer(number)), _) => number.to_string().into(),
            (Some(_), _) => return Err(error("expected a text".to_owned())),
            (None, Some(default)) => default.as_str().into(),
            (None, None) if rule.optional => continue,
            (None, None) => {
                let problem = format!("missing field `{key}`: {}", rule.doc);
                return Err(AccountError { key: String::new(), problem });
            }
        };
        if rule.secret {
            account::filled(key, &SecretString::from(&*value))?;
        } else if value.trim().is_empty() {
            return Err(error(format!("is empty: {}", rule.doc)));
        }
        if rule.url {
            account::address(key, &mut value)?;
        }
        values.insert(key.as_str(), value.into());
    }
    Ok(ManifestAccount { manifest, provider, values })
}

impl ManifestAccount {
    fn value(&self, key: &str) -> &str {
        self.values.get(key).map(String::as_str).unwrap_or_default()
    }

    fn rule_keys(&self, which: impl Fn(&super::file::AccountKeyRule) -> bool) -> Vec<&'static str> {
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
