//! `patchbay providers`: the supported providers and what each of them needs. Reads descriptions
//! only: no configuration, no network.

use channels::{PROVIDERS, Provider, Report, provider};
use clap::Args;

use crate::{console, run::Failure};

const EXAMPLES: &str = "Examples:\n  patchbay providers\n  patchbay providers telegram --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ProvidersArguments {
    /// The provider to describe; without one, all are listed
    name: Option<String>,
    /// Print the keys of [channel.account] as JSON Schema
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn perform(arguments: &ProvidersArguments) -> Result<(), Failure> {
    match &arguments.name {
        None if arguments.json => console::line(as_json().to_string()),
        None => list(),
        Some(name) => {
            let known = channels::provider(&name.to_lowercase()).ok_or_else(|| unknown(name))?;
            match arguments.json {
                true => console::line(pretty(&provider::account_schema(known))),
                false => all_about(known),
            }
        }
    }
    Ok(())
}

fn as_json() -> serde_json::Value {
    let one = |about: &&'static Provider| {
        serde_json::json!({
            "name": about.name, "summary": about.summary, "documentation": about.documentation,
            "channelTypes": about.channel_types, "account": provider::account_schema(about),
        })
    };
    PROVIDERS.iter().map(one).collect()
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn unknown(name: &str) -> Failure {
    let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    Failure::Usage(format!("unknown provider {name:?}; the providers are {}", names.join(", ")))
}

fn list() {
    let width = PROVIDERS.iter().map(|provider| provider.name.len()).max().unwrap_or_default();
    for provider in PROVIDERS.iter() {
        console::line(format!("{:width$}  {}", provider.name, provider.summary));
    }
}

fn all_about(about: &'static Provider) {
    let capabilities = about.capabilities;
    let said = |what: &str, words: &str| console::line(format!("{what:14} {words}"));
    said("provider", about.name);
    said("", about.summary);
    said("documentation", about.documentation);
    said("channel types", &about.channel_types.join(", "));
    for (n, key) in provider::account_keys(about).iter().enumerate() {
        said(if n == 0 { "account" } else { "" }, key);
    }
    said("webhooks", &provider::signature(about.signature()));
    said("goes out", &provider::words(capabilities.native));
    said(
        "comes in",
        &if capabilities.inbound { provider::words(capabilities.inbound_types) } else { "nothing".into() },
    );
    said("receipts", provider::receipts(&capabilities));
    for (n, limit) in provider::limits(&capabilities).iter().enumerate() {
        said(if n == 0 { "limits" } else { "" }, limit);
    }
    said("send rate", &provider::send_rate(&capabilities));
    for (n, rule) in provider::adapted(&capabilities).iter().enumerate() {
        said(if n == 0 { "adapted" } else { "" }, rule);
    }
    for (n, (word, report)) in about.statuses.iter().enumerate() {
        said(if n == 0 { "states" } else { "" }, &format!("{word}: {}", meaning(*report)));
    }
    for (n, kind) in about.events.iter().enumerate() {
        said(
            if n == 0 { "events" } else { "" },
            &format!("{} {}: {}", kind.place, kind.name, kind.fate.words()),
        );
    }
}

fn meaning(report: Report) -> &'static str {
    match report {
        Report::Enroute => "ENROUTE",
        Report::Sent => "SENT",
        Report::Delivered => "DELIVERED",
        Report::Read => "READ",
        Report::Failed => "FAILED",
        Report::Nothing => "says nothing",
    }
}
