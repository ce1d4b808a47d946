//! From a manifest as written to one that can be used: templates are compiled, references to keys
//! of the account and pointers checked, the description assembled. Every mistake names its line.

use std::sync::Arc;

use message::BodyType;

use super::{
    channel::{self, Manifest, SendTemplates},
    error::ManifestError,
    file::{
        AccountKeyRule, AlgorithmName, AuthRule, ClassName, EncodingName, LongTextName, ManifestFile,
        PresetFile, ReportName, WebhookRule,
    },
    template::{Node, Template, overlay},
    webhook,
};
use crate::{
    contract::{
        Capabilities, EventKind, Protection, Provider, Report,
        capability::LongText,
        events::{Fate, row},
        protection::{Algorithm, Ed25519, Encoding, Hmac, Over, Place, Prefix, SecretKey},
    },
    toolkit::refusals::{RefusalClass, Refusals},
};

/// Maximum length of a manifest. A longer one is refused.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of keys of an account.
const ACCOUNT_KEYS_MAX: usize = 32;
/// The reason for `inbound.unless`.
const OWN: &str = "our own message: some set-ups send it back";
/// Every kind of file that a message may carry.
const FILES: [BodyType; 4] = [BodyType::Image, BodyType::Video, BodyType::Audio, BodyType::File];

/// Loads a manifest; `built_in` returns the text of another one, for presets.
pub(super) fn load(
    name: &str,
    text: &str,
    built_in: impl Fn(&str) -> Option<&'static str>,
) -> Result<&'static Provider, ManifestError> {
    let source = ManifestText { name, text };
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(source.error("", format!("is longer than {MANIFEST_BYTES_MAX} octets")));
    }
    let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(source.error("", "the name of the file must be of a-z, 0-9 and _".into()));
    }
    let is_preset = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("preset"));
    if !is_preset {
        return provider(&source, source.parse()?);
    }
    let preset: PresetFile = source.parse()?;
    let problem = || format!("there is no built-in manifest {:?} to be like", preset.preset);
    let like = built_in(&preset.preset).ok_or_else(|| source.error(&preset.preset, problem()))?;
    let like = ManifestText { name, text: like };
    let mut file: ManifestFile = like.parse()?;
    file.summary = preset.summary.unwrap_or(file.summary);
    file.documentation = preset.documentation.unwrap_or(file.documentation);
    provider(&like, file)
}

/// A manifest's text, for errors that name a line.
struct ManifestText<'a> {
    name: &'a str,
    text: &'a str,
}

impl ManifestText<'_> {
    /// Reads the shape.
    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ManifestError> {
        toml::from_str(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error_at(at, error.message().trim().replace('\n', " "))
        })
    }

    /// Returns an error at the first line that has this text.
    fn error(&self, needle: &str, problem: String) -> ManifestError {
        self.error_at(self.text.find(needle).unwrap_or_default(), problem)
    }

    fn error_at(&self, at: usize, problem: String) -> ManifestError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let key = line.split_once('=').map(|(key, _)| key.trim()).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ManifestError { manifest: self.name.to_owned(), line, key: key.to_owned(), problem }
    }
}

fn provider(source: &ManifestText<'_>, file: ManifestFile) -> Result<&'static Provider, ManifestError> {
    if file.account.len() > ACCOUNT_KEYS_MAX {
        return Err(source.error("[account", format!("has more than {ACCOUNT_KEYS_MAX} keys")));
    }
    for (key, rule) in &file.account {
        if rule.optional && rule.default.is_some() {
            let problem = format!("{key} is optional and has a default; expected one of both");
            return Err(source.error(key, problem));
        }
    }
    check_pointers(source, &file)?;
    let send = send(source, &file)?;
    let protection = protection(source, &file)?;
    let receipt = file.receipt.as_ref();
    let statuses: Vec<(&'static str, Report)> = receipt.map_or_else(Vec::new, |receipt| {
        let words = |(report, words): (&ReportName, &Vec<String>)| {
            words.iter().map(|word| (leak(word), report.report())).collect::<Vec<_>>()
        };
        receipt.statuses.iter().flat_map(words).collect()
    });
    let events = events(&file);
    let capabilities = capabilities(&file);
    let secrets: Vec<&'static str> =
        file.account.iter().filter(|(_, rule)| rule.secret).map(|(key, _)| leak(key)).collect();
    let refusals = refusals(&file);
    let (summary, documentation) = (leak(&file.summary), leak(&file.documentation));
    let channel_types: Vec<&'static str> = file.channel_types.iter().map(|name| leak(name)).collect();
    let manifest = Manifest { file, send, protection, refusals, capabilities };
    let manifest: &'static Manifest = Box::leak(Box::new(manifest));
    let open: &'static crate::contract::OpenChannel = Box::leak(Box::new(move |provider, account| {
        Ok(Arc::new(channel::open(manifest, provider, account)?) as _)
    }));
    Ok(Box::leak(Box::new(Provider {
        name: leak(source.name),
        channel_types: channel_types.leak(),
        summary,
        documentation,
        secrets: secrets.leak(),
        webhook: protection,
        capabilities,
        statuses: statuses.leak(),
        events,
        account: Box::leak(Box::new(move || channel::account_keys(manifest))),
        needs_https: false,
        channel: open,
    })))
}

/// Returns the rows of what a manifest ignores.
fn events(file: &ManifestFile) -> &'static [EventKind] {
    let unless = file.inbound.as_ref().and_then(|inbound| inbound.unless.as_ref());
    let ignored = unless.into_iter().flat_map(|unless| {
        let place = leak(webhook::place(unless));
        unless.is.iter().map(move |word| row(place, leak(word), Fate::Ignored(OWN)))
    });
    ignored.collect::<Vec<_>>().leak()
}

/// Text of a description, which lives as long as the process.
fn leak(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn leak_all(texts: &[String]) -> &'static [&'static str] {
    texts.iter().map(|text| leak(text)).collect::<Vec<_>>().leak()
}

fn capabilities(file: &ManifestFile) -> Capabilities {
    let with_files = |files: bool| -> &'static [BodyType] {
        let files: &[BodyType] = if files { &FILES } else { &[] };
        [&[BodyType::Plain], files].concat().leak()
    };
    let text_characters_max = file.limits.text_characters_max;
    let sends_files = file.send.file.is_some();
    let caption = file.limits.caption_characters_max.unwrap_or(text_characters_max);
    Capabilities {
        native: with_files(sends_files),
        text_characters_max,
        long_text: match file.limits.long_text {
            LongTextName::Cut => LongText::Cut,
            LongTextName::Refuse => LongText::Refuse,
        },
        caption_characters_max: if sends_files { caption } else { 0 },
        inbound_types: match &file.inbound {
            Some(inbound) => with_files(!inbound.media.is_empty()),
            None => &[],
        },
        inbound: file.inbound.is_some(),
        receipts: file.receipt.is_some(),
        read_receipts: file
            .receipt
            .as_ref()
            .is_some_and(|receipt| receipt.statuses.contains_key(&ReportName::Read)),
        ..Capabilities::TEXT
    }
}

fn refusals(file: &ManifestFile) -> Refusals {
    let rules = file.refusals.classes.iter().map(|(class, codes)| (class.class(), codes));
    let pauses = file.refusals.pauses.iter();
    let pauses =
        pauses.map(|rule| (RefusalClass::ThrottledFor(rule.for_s.saturating_mul(1_000)), &rule.codes));
    let mut codes: Vec<(RefusalClass, &'static str)> = Vec::new();
    for (class, rule) in rules.chain(pauses) {
        codes.extend(rule.iter().map(|code| (class, leak(code))));
    }
    // The most precise pattern first.
    codes.sort_by_key(|(_, code)| code.matches('?').count());
    let classes = codes.into_iter().map(|(class, code)| (class, &*vec![code].leak()));
    Refusals {
        code: leak_all(&file.refusals.code),
        words: leak_all(&file.refusals.text),
        classes: classes.collect::<Vec<_>>().leak(),
    }
}

/// Compiles the templates of `[auth]`, `[send]` and `[probe]`.
fn send(source: &ManifestText<'_>, file: &ManifestFile) -> Result<SendTemplates, ManifestError> {
    let mut parse = |text: &str| {
        Template::parse(text, file.account.keys()).map_err(|problem| source.error(text, problem))
    };
    let send = &file.send;
    if send.json.is_some() && send.form.is_some() {
        return Err(source.error("[send", "has json and form; expected one of both".into()));
    }
    let is_json = send.json.is_some();
    let body = send.json.as_ref().or(send.form.as_ref());
    let mut with = |over: &toml::Table| -> Result<Option<Node>, ManifestError> {
        let Some(body) = body else { return Ok(None) };
        let mut table = body.clone();
        overlay(&mut table, over);
        Node::parse(&toml::Value::Table(table), &mut parse).map(Some)
    };
    let text = with(&send.text)?;
    let file_body = send.file.as_ref().map(&mut with).transpose()?.flatten();
    let named = |texts: &std::collections::BTreeMap<String, String>| {
        texts.iter().map(|(name, text)| Ok((name.clone(), parse(text)?))).collect::<Result<Vec<_>, _>>()
    };
    let headers = named(&send.headers)?;
    let query = named(&send.query)?;
    let probe_query = file.probe.as_ref().map(|probe| named(&probe.query)).transpose()?;
    let auth_header = match &file.auth {
        AuthRule::Header { name, value } => Some((name.clone(), parse(value)?)),
        AuthRule::Basic(keys) => {
            for key in keys {
                account_key(source, file, key)?;
            }
            None
        }
        AuthRule::Bearer(key) => account_key(source, file, key).map(|_| None)?,
        AuthRule::None => None,
    };
    Ok(SendTemplates {
        url: parse(&send.url)?,
        headers,
        query,
        is_json,
        text,
        file: file_body,
        auth_header,
        probe: match &file.probe {
            Some(probe) => Some((parse(&probe.url)?, probe_query.unwrap_or_default())),
            None => None,
        },
    })
}

fn account_key<'f>(
    source: &ManifestText<'_>,
    file: &'f ManifestFile,
    key: &str,
) -> Result<&'f AccountKeyRule, ManifestError> {
    let problem = || {
        let known: Vec<&str> = file.account.keys().map(String::as_str).collect();
        format!("[account] has no key {key:?}; expected one of {}", known.join(", "))
    };
    file.account.get(key).ok_or_else(|| source.error(&format!("{key:?}"), problem()))
}

fn protection(source: &ManifestText<'_>, file: &ManifestFile) -> Result<Protection, ManifestError> {
    let secret = |key: &str| -> Result<SecretKey, ManifestError> {
        let rule = account_key(source, file, key)?;
        if !rule.secret {
            let problem = format!("protects webhooks; {key} needs secret = true");
            return Err(source.error(&format!("{key:?}"), problem));
        }
        let key = leak(key);
        Ok(if rule.optional { SecretKey::Optional(key) } else { SecretKey::Required(key) })
    };
    let lower = |name: &str| leak(&name.to_ascii_lowercase());
    Ok(match &file.webhook {
        WebhookRule::None if file.inbound.is_none() && file.receipt.is_none() => Protection::NoWebhooks,
        WebhookRule::None => Protection::Unsigned,
        WebhookRule::Hmac(rule) => Protection::Hmac(Hmac {
            algorithm: match rule.algorithm {
                AlgorithmName::Sha1 => Algorithm::Sha1,
                AlgorithmName::Sha256 => Algorithm::Sha256,
            },
            header: lower(&rule.header),
            prefix: if rule.prefix.is_empty() { Prefix::None } else { Prefix::Required(leak(&rule.prefix)) },
            encoding: match rule.encoding {
                EncodingName::Hex => Encoding::Hex,
                EncodingName::Base64 => Encoding::Base64,
            },
            over: Over::Body,
            secret: secret(&rule.secret)?,
            refusal: 401,
        }),
        WebhookRule::Ed25519(rule) => {
            account_key(source, file, &rule.public_key)?;
            Protection::Ed25519(Ed25519 {
                signature: lower(&rule.signature),
                timestamp: lower(&rule.timestamp),
                separator: leak(&rule.separator),
                age_max_ms: rule.age_max_s.saturating_mul(1_000),
                public_key: leak(&rule.public_key),
            })
        }
        WebhookRule::Basic { user, password } => {
            account_key(source, file, user)?;
            Protection::Basic { user: leak(user), password: secret(password)? }
        }
        WebhookRule::TokenHeader { name, secret: key } => {
            Protection::Token { place: Place::Header(lower(name)), secret: secret(key)? }
        }
        WebhookRule::TokenParameter { name, secret: key } => {
            Protection::Token { place: Place::Parameter(leak(name)), secret: secret(key)? }
        }
    })
}

/// Checks that every pointer is empty or begins with `/`. In a receipt it may also name a parameter
/// of the webhook's address (`?name`), and begin with `@` where the receipt has `each`.
fn check_pointers(source: &ManifestText<'_>, file: &ManifestFile) -> Result<(), ManifestError> {
    let conditions = |condition: &Option<super::file::Condition>| {
        condition.iter().flat_map(|condition| condition.at.clone()).collect::<Vec<_>>()
    };
    let mut pointers =
        [file.answer.id.clone(), file.refusals.code.clone(), file.refusals.text.clone()].concat();
    pointers.extend(conditions(&file.answer.accepted));
    if let Some(inbound) = &file.inbound {
        pointers
            .extend([&inbound.id, &inbound.id_of, &inbound.from, &inbound.to].into_iter().flatten().cloned());
        pointers.extend(inbound.text.iter().chain(&inbound.time).cloned());
        pointers.extend(conditions(&inbound.when));
        pointers.extend(conditions(&inbound.unless));
        pointers.extend(inbound.opt_out.iter().flat_map(|opt_out| opt_out.at.clone()));
        for media in &inbound.media {
            pointers.extend([media.items.clone(), media.url.clone()]);
            pointers.extend(media.content_type.iter().chain(&media.file_name).cloned());
        }
        if inbound.id.is_empty() && inbound.id_of.is_empty() {
            let problem = "needs id, or id_of where the provider sends none".to_owned();
            return Err(source.error("[inbound", problem));
        }
    }
    if let Some(receipt) = &file.receipt {
        let all = [&receipt.id, &receipt.reference, &receipt.status, &receipt.code, &receipt.text];
        let mut of_item: Vec<String> = all.into_iter().flatten().cloned().collect();
        of_item.extend(receipt.from.iter().chain(&receipt.to).cloned());
        if receipt.each.is_some() {
            of_item = of_item.iter().map(|path| path.strip_prefix('@').unwrap_or(path).to_owned()).collect();
        }
        let is_parameter = |path: &str| path.strip_prefix('?').is_some_and(|name| !name.is_empty());
        of_item.retain(|path| !is_parameter(path));
        pointers.extend(of_item);
        pointers.extend(receipt.each.iter().cloned());
        pointers.extend(conditions(&receipt.when));
    }
    match pointers.iter().find(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
        Some(wrong) => {
            let problem = format!("{wrong:?} is not a pointer: expected \"/name\", \"/name/0/name\" or \"\"");
            Err(source.error(&format!("{wrong:?}"), problem))
        }
        None => Ok(()),
    }
}

impl ReportName {
    pub(super) fn report(self) -> Report {
        match self {
            Self::Enroute => Report::Enroute,
            Self::Sent => Report::Sent,
            Self::Delivered => Report::Delivered,
            Self::Read => Report::Read,
            Self::Failed => Report::Failed,
            Self::Nothing => Report::Nothing,
        }
    }
}

impl ClassName {
    fn class(self) -> RefusalClass {
        match self {
            Self::Unavailable => RefusalClass::Unavailable,
            Self::RetryOnce => RefusalClass::RetryOnce,
            Self::Throttled => RefusalClass::Throttled,
            Self::Rejected => RefusalClass::Rejected,
            Self::Unsubscribed => RefusalClass::Unsubscribed,
            Self::CustomerThrottled => RefusalClass::CustomerThrottled,
            Self::Busy => RefusalClass::Busy,
            Self::Forbidden => RefusalClass::Forbidden,
            Self::CredentialsRefused => RefusalClass::CredentialsRefused,
            Self::Unknown => RefusalClass::Unknown,
        }
    }
}
