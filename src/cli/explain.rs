//! `patchbay explain`: what a provider's code means, what usually causes it, and what helps.

use channels::{
    PROVIDERS,
    provider::{self, Explanation},
};
use clap::Args;
use serde_json::{Value, json};

use crate::{console, run::Failure};

const EXAMPLES: &str = "Examples:\n  patchbay explain twilio 21610\n  patchbay explain smpp --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArguments {
    /// The provider, as in `patchbay providers`
    provider: String,
    /// The code, as in `reasonCode` or as the provider writes it; without one, all are listed
    code: Option<String>,
    /// Print the explanation as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn perform(arguments: &ExplainArguments) -> Result<(), Failure> {
    let name = arguments.provider.to_lowercase();
    if channels::provider(&name).is_none() {
        let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
        let known = names.join(", ");
        return Err(Failure::Usage(format!("unknown provider {name:?}; the providers are {known}")));
    }
    match &arguments.code {
        Some(code) => explain(&name, code, arguments.json),
        None => {
            list(&name, arguments.json);
            Ok(())
        }
    }
}

fn view(name: &str, code: &str, about: &Explanation) -> Value {
    json!({
        "provider": name, "code": code, "meaning": about.meaning, "cause": about.cause, "fix": about.fix, "link": about.link,
    })
}

fn explain(name: &str, code: &str, as_json: bool) -> Result<(), Failure> {
    let Some(about) = provider::explain(name, code) else {
        return Err(Failure::Usage(format!(
            "nothing is known about the code {code:?} of {name}; `patchbay explain {name}` lists the known ones"
        )));
    };
    if as_json {
        console::line(view(name, code, &about).to_string());
        return Ok(());
    }
    console::line(format!("{name} {code}"));
    for (what, words) in [("meaning", about.meaning), ("usual cause", about.cause), ("usual fix", about.fix)]
    {
        console::line(format!("{what:12} {words}"));
    }
    if let Some(link) = about.link {
        console::line(format!("{:12} {link}", "more"));
    }
    Ok(())
}

fn list(name: &str, as_json: bool) {
    let known = provider::codes(name).filter_map(|code| Some((code, provider::explain(name, code)?)));
    if as_json {
        let all = known.map(|(code, about)| view(name, code, &about));
        console::line(Value::from_iter(all).to_string());
        return;
    }
    for (code, about) in known {
        console::line(format!("{code:12} {}", about.meaning));
    }
}
