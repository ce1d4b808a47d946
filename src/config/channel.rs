//! The `[[channel]]` table: the keys that all providers share. Passes `[channel.account]` on to the
//! provider, with its secrets resolved.

use std::{sync::Arc, time::Duration};

use actors::config::{ChannelConfig, DestinationConfig, Did, HttpConfig, OnUnknown};
use channels::{
    AccountErrors, Channel, LinkKind, PROVIDERS, Provider, UNSIGNED, address::country::Country,
    nearest::suggestion,
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use toml::de::DeValue;

use super::{
    calls, manifest, pem,
    section::{OrOff, Section, Value, id},
};

/// The key of an account with a file of root certificates.
const ROOTS: &str = "tls_ca";
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
    let country = default_country(&section);
    let channel = provider(&section, account_section.as_ref())
        .and_then(|provider| account(&section, account_section, provider, unsigned, country));
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
        preferred: section.optional("preferred"),
        default_country: country,
    };
    if let (Some(country), Some(channel)) = (country, &channel) {
        check_country(&section, country, &**channel);
    }
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
    preferred: Option<bool>,
    default_country: Option<Country>,
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
            preferred: self.preferred,
            default_country: self.default_country,
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

/// Reads the country of customers' national numbers.
fn default_country(section: &Section<'_>) -> Option<Country> {
    let text: String = section.optional("default_country")?;
    let country = Country::parse(&text);
    if country.is_none() {
        let expected = "expected the two letters of a country, such as \"DE\" (ISO 3166-1)";
        section.problem("default_country", format!("found {text:?}; {expected}"));
    }
    country
}

/// Refuses a country where no numbers are reached, or where the account names another one.
fn check_country(section: &Section<'_>, country: Country, channel: &dyn Channel) {
    let provider = channel.provider();
    if !provider.reaches_numbers() {
        let text = format!("customers of {} are no telephone numbers; remove this key", provider.name);
        section.problem("default_country", text);
    }
    if let LinkKind::Smpp(account) = channel.link()
        && *account.country_code != *country.code
    {
        let text = format!(
            "is {} ({}), but country_code in [channel.account] is {:?}; remove one of them",
            country.iso, country.code, account.country_code
        );
        section.problem("default_country", text);
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

/// Resolves the secrets of an account, then lets the provider read it. All its problems are
/// reported.
fn account(
    section: &Section<'_>,
    account: Option<Section<'_>>,
    provider: &'static Provider,
    unsigned: bool,
    country: Option<Country>,
) -> Option<Arc<dyn Channel>> {
    let Some(account) = account else {
        if section.get("account").is_none() {
            section
                .problem("account", format!("is missing: add [channel.account]; {}", see(section, provider)));
        }
        return None;
    };
    let (mut table, unresolved) = account_table(section, &account, provider);
    // `default_country` is the short form of SMPP's own key.
    if let Some(country) = country
        && provider.account_keys().iter().any(|key| &*key.name == "country_code")
        && !table.contains_key("country_code")
    {
        table.insert("country_code".into(), country.code.into());
    }
    let opened = match unresolved {
        // The secrets that cannot be read are reported; the other keys are checked all the same.
        true => Err(AccountErrors(provider.check_account(&table))),
        false if unsigned => provider.open_unsigned(table),
        false => provider.open(table),
    };
    let errors = match opened {
        Ok(channel) => return Some(channel),
        Err(AccountErrors(errors)) => errors,
    };
    for error in errors {
        if error.key == UNSIGNED {
            section.problem(UNSIGNED, error.problem);
        } else {
            let asks = ["unknown key", "is missing"].iter().any(|word| error.problem.starts_with(word));
            let hint = if asks { format!("; {}", see(section, provider)) } else { String::new() };
            account.problem(&error.key, format!("{}{hint}", error.problem));
        }
    }
    None
}

/// Says where the keys of an account are described.
fn see(section: &Section<'_>, provider: &Provider) -> String {
    match is_own_manifest(section) {
        true => "the manifest's [account] lists its keys".into(),
        false => format!("`patchbay providers {}` lists its keys", provider.name),
    }
}

fn is_own_manifest(section: &Section<'_>) -> bool {
    section.optional::<String>("provider").is_some_and(|name| name == manifest::NAME)
}

/// Returns the table of an account with its secrets, and whether some of them cannot be read: they
/// are reported, and stand in the table as they were written.
fn account_table(section: &Section<'_>, account: &Section<'_>, provider: &Provider) -> (toml::Table, bool) {
    let own_manifest = is_own_manifest(section);
    let mut table = toml::Table::new();
    let mut unresolved = false;
    for (key, value) in account.raw().iter() {
        let name: &str = key.get_ref();
        if name == manifest::KEY && own_manifest {
            continue;
        }
        let secret = provider.secrets.iter().find(|secret| **secret == name);
        let read = match secret.map(|secret| account.secret(secret)) {
            Some(Some(secret)) => Some(toml::Value::String(secret.expose_secret().into())),
            Some(None) => {
                unresolved = true;
                Some(toml::Value::String(String::new()))
            }
            None if name == ROOTS => roots(account).or_else(|| {
                unresolved = true;
                None
            }),
            None => toml::Value::deserialize(toml::de::ValueDeserializer::from(value.clone())).ok(),
        };
        table.extend(read.map(|value| (name.into(), value)));
    }
    (table, unresolved)
}

/// Returns the path of an account's roots if the file can be used; else it is reported.
fn roots(account: &Section<'_>) -> Option<toml::Value> {
    let path = account.path(ROOTS)?;
    if let Err(wrong) = pem::check_roots(ROOTS, &path) {
        account.problem(wrong.key, wrong.problem);
        return None;
    }
    Some(toml::Value::String(path.to_string_lossy().into_owned()))
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
