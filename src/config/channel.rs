//! The `[[channel]]` table: the keys that all providers share. Passes `[channel.account]` on to the
//! provider, with its secrets resolved.

use std::{sync::Arc, time::Duration};

use actors::config::{ChannelConfig, DestinationConfig, Did, HttpConfig, OnUnknown};
use channels::{Channel, PROVIDERS, Provider, UNSIGNED};
use secrecy::ExposeSecret;
use serde::Deserialize;
use toml::de::DeValue;

use super::{
    calls, manifest,
    problem::suggestion,
    section::{OrOff, Section, Value, id},
};

/// The largest number of parts per second that may be configured.
const SEND_RATE_MAX: f64 = 100_000.0;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn read(
    section: Section<'_>,
    destinations: &[DestinationConfig],
    public_url: Option<&str>,
) -> Option<ChannelConfig> {
    let id = id(&section);
    let name: Option<String> = section.optional("name");
    let account_section = section.table("account");
    let unsigned = section.or(UNSIGNED, false);
    let channel = provider(&section, account_section.as_ref())
        .and_then(|provider| account(&section, account_section, provider, unsigned));
    let dids = dids(&section, destinations, channel.as_deref());
    let send_rate = send_rate(&section, channel.as_deref());
    let common = Common {
        inactivity_timeout: section.or("inactivity_timeout", OrOff(Some(DAY))).0,
        on_unknown: on_unknown(&section),
        doubt_grace: section.or("doubt_grace", OrOff(Some(Duration::from_secs(10)))).0.unwrap_or_default(),
        validity: section.or("validity", OrOff(Some(2 * DAY))).0,
        tries_max: u16::try_from(section.number("tries_max", 1..=10_000, 20)).unwrap_or(u16::MAX),
        backoff: section.or("backoff", Duration::from_secs(1)),
        backoff_max: section.or("backoff_max", Duration::from_secs(300)),
        receipt_timeout: section.or("receipt_timeout", 3 * DAY),
        reassembly_timeout: section.or("reassembly_timeout", Duration::from_secs(2 * 3600)),
        unsigned,
    };
    let http = match (&id, &channel) {
        (Some(id), Some(channel)) => calls::read(&section, id, &**channel, public_url),
        // The table is not checked yet: its keys depend on the provider, which is unknown.
        _ => section.get("http").map(|_| HttpConfig::default()).unwrap_or_default(),
    };
    section.finish();
    let (id, channel) = (id?, channel?);
    let name = name.unwrap_or_else(|| id.clone());
    Some(common.into_config(id, name, channel, dids?, send_rate, http))
}

struct Common {
    inactivity_timeout: Option<Duration>,
    on_unknown: OnUnknown,
    doubt_grace: Duration,
    validity: Option<Duration>,
    tries_max: u16,
    backoff: Duration,
    backoff_max: Duration,
    receipt_timeout: Duration,
    reassembly_timeout: Duration,
    unsigned: bool,
}

impl Common {
    fn into_config(
        self,
        id: String,
        name: String,
        channel: Arc<dyn Channel>,
        dids: Vec<Did>,
        send_rate: Option<f64>,
        http: HttpConfig,
    ) -> ChannelConfig {
        ChannelConfig {
            id: message::ChannelId::new(id),
            name: name.into(),
            channel,
            dids,
            send_rate,
            inactivity_timeout: self.inactivity_timeout,
            on_unknown: self.on_unknown,
            doubt_grace: self.doubt_grace,
            validity: self.validity,
            tries_max: self.tries_max,
            backoff: self.backoff,
            backoff_max: self.backoff_max,
            receipt_timeout: self.receipt_timeout,
            reassembly_timeout: self.reassembly_timeout,
            http,
            unsigned: self.unsigned,
        }
    }
}

/// Reads the send rate; without one the provider's own limit holds, and SMPP has none.
fn send_rate(section: &Section<'_>, channel: Option<&dyn Channel>) -> Option<f64> {
    let Some(rate) = section.optional::<f64>("send_rate") else {
        let default = channel?.capabilities().send_rate.per_second;
        return (default > 0).then(|| f64::from(default));
    };
    if !(rate > 0.0 && rate <= SEND_RATE_MAX) {
        section.problem(
            "send_rate",
            format!("found {rate}; expected parts per second, above 0 and at most {SEND_RATE_MAX}"),
        );
    }
    Some(rate)
}

fn on_unknown(section: &Section<'_>) -> OnUnknown {
    let word: String = section.or("on_unknown", "resend".into());
    match word.as_str() {
        "resend" => OnUnknown::Resend,
        "hold" => OnUnknown::Hold,
        _ => {
            let text = format!("found {word:?}; expected \"resend\" (never lost) or \"hold\" (never twice)");
            section.problem("on_unknown", text);
            OnUnknown::Resend
        }
    }
}

fn provider(section: &Section<'_>, account: Option<&Section<'_>>) -> Option<&'static Provider> {
    let name: String = section.required("provider")?;
    if name == manifest::NAME {
        if section.get("account").is_none() {
            section.problem("account", "is missing; its key manifest names the manifest file");
        }
        return manifest::provider(account);
    }
    let found = channels::provider(&name);
    if found.is_none() {
        let hint = suggestion(&name, PROVIDERS.iter().map(|p| p.name));
        section.problem("provider", format!("unknown provider {name:?}{hint}"));
    }
    found
}

/// Resolves the secrets of an account, then lets the provider read it.
fn account(
    section: &Section<'_>,
    account: Option<Section<'_>>,
    provider: &'static Provider,
    unsigned: bool,
) -> Option<Arc<dyn Channel>> {
    let Some(account) = account else {
        if section.get("account").is_none() {
            section.problem("account", format!("is missing; see {}", provider.documentation));
        }
        return None;
    };
    let own_manifest = section.optional::<String>("provider").is_some_and(|name| name == manifest::NAME);
    let mut table = toml::Table::new();
    let mut whole = true;
    for (key, value) in account.raw().iter() {
        let name: &str = key.get_ref();
        if name == manifest::KEY && own_manifest {
            continue;
        }
        let read = match provider.secrets.iter().find(|s| **s == name) {
            Some(secret) => account.secret(secret).map(|s| toml::Value::String(s.expose_secret().into())),
            None => toml::Value::deserialize(toml::de::ValueDeserializer::from(value.clone())).ok(),
        };
        match read {
            Some(value) => _ = table.insert(name.into(), value),
            None => whole = false,
        }
    }
    if !whole {
        return None;
    }
    let opened = if unsigned { provider.open_unsigned(table) } else { provider.open(table) };
    match opened {
        Ok(channel) => Some(channel),
        Err(error) if error.key == UNSIGNED => {
            section.problem(UNSIGNED, error.problem);
            None
        }
        Err(error) => {
            let (key, problem) = explained(error.key, error.problem);
            account.problem(&key, problem);
            None
        }
    }
}

/// Rewrites serde's message about an unknown or missing key in our own words.
fn explained(key: String, problem: String) -> (String, String) {
    let mut quoted = problem.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(found) if problem.contains("unknown field") => {
            let hint = suggestion(found, quoted);
            (found.into(), format!("unknown key{hint}"))
        }
        Some(missing) if problem.contains("missing field") => (missing.into(), "is missing".into()),
        _ => (key, problem.trim_end().into()),
    }
}

fn dids(
    section: &Section<'_>,
    destinations: &[DestinationConfig],
    channel: Option<&dyn Channel>,
) -> Option<Vec<Did>> {
    let Some(value) = section.get("dids") else {
        let text = "is missing; expected your own numbers or names on this channel: [{ number = \"5155\", destination = \"...\" }]";
        section.problem("dids", text);
        return None;
    };
    let Some(items) = value.get_ref().as_array().filter(|items| !items.is_empty()) else {
        section.wrong("dids", value, "a list such as [{ number = \"5155\", destination = \"...\" }]");
        return None;
    };
    let checked = |item: &toml::Spanned<DeValue<'_>>| {
        let did = did(section, item, destinations)?;
        let problem = channel.and_then(|channel| channel.check_did(&did.number).err());
        if let Some(problem) = problem {
            section.problem_at(&item.span(), "dids", problem);
            return None;
        }
        Some(did)
    };
    let dids: Vec<Option<Did>> = items.iter().map(checked).collect();
    let all: Option<Vec<Did>> = dids.into_iter().collect();
    let canonical = |number: &Arc<str>| channel.map_or_else(|| number.clone(), |c| c.did(number));
    let mut numbers: Vec<_> = all.iter().flatten().map(|d| (canonical(&d.number), &*d.number)).collect();
    numbers.sort_unstable();
    let is_twice = |pair: &&[(Arc<str>, &str)]| matches!(pair, [(a, _), (b, _)] if a == b);
    if let Some([(_, one), (_, other)]) = numbers.windows(2).find(is_twice) {
        let text = match one == other {
            true => format!("{one:?} is listed twice"),
            false => format!("{one:?} and {other:?} are one address; remove one of them"),
        };
        section.problem("dids", text);
        return None;
    }
    all
}

fn did(
    section: &Section<'_>,
    item: &toml::Spanned<DeValue<'_>>,
    destinations: &[DestinationConfig],
) -> Option<Did> {
    let text = |value: &toml::Spanned<DeValue<'_>>| String::read(value.get_ref());
    let Some(table) = item.get_ref().as_table() else {
        // The short form: only a number, which is enough when there is one destination.
        let number = text(item);
        return match (number, destinations) {
            (Some(number), [only]) => Some(Did { number: number.into(), destination: only.id.clone() }),
            (Some(number), []) => {
                let text = format!("messages to {number:?} need a [[destination]]; add one");
                section.problem("dids", text);
                None
            }
            _ => {
                section.wrong("dids", item, "{ number = \"5155\", destination = \"...\" }");
                None
            }
        };
    };
    for (key, _) in table.iter() {
        let name: &str = key.get_ref();
        if !matches!(name, "number" | "destination") {
            let hint = suggestion(name, ["number", "destination"]);
            section.problem("dids", format!("unknown key {name:?}{hint}"));
            return None;
        }
    }
    let Some(number) = table.get("number").and_then(text) else {
        section.wrong("dids", item, "number = \"...\" in each entry");
        return None;
    };
    let destination = match (table.get("destination").map(text), destinations) {
        (Some(name), _) => name.unwrap_or_default(),
        (None, [only]) => only.id.as_str().to_owned(),
        (None, _) => {
            section.problem("dids", format!("{number:?} has no destination; expected destination = \"...\""));
            return None;
        }
    };
    let Some(found) = destinations.iter().find(|d| d.id.as_str() == destination) else {
        let hint = match destinations {
            [] => "; no [[destination]] is valid".into(),
            _ => suggestion(&destination, destinations.iter().map(|d| d.id.as_str())),
        };
        section.problem("dids", format!("{number:?} names the unknown destination {destination:?}{hint}"));
        return None;
    };
    Some(Did { number: number.into(), destination: found.id.clone() })
}
