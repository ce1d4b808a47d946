//! `patchbay explain`: what a provider's code means, what usually causes it, and what helps.

use channels::{PROVIDERS, provider};
use clap::Args;

use crate::{console, run::Failure};

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The provider, as in `patchbay providers`
    provider: String,
    /// The code, as in `reasonCode` or as the provider writes it; without one, all are listed
    code: Option<String>,
}

pub(super) fn perform(arguments: &ExplainArguments) -> Result<(), Failure> {
    let name = arguments.provider.to_lowercase();
    if channels::provider(&name).is_none() {
        let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
        let known = names.join(", ");
        return Err(Failure::Usage(format!("unknown provider {name:?}; the providers are {known}")));
    }
    match &arguments.code {
        Some(code) => explain(&name, code),
        None => {
            list(&name);
            Ok(())
        }
    }
}

fn explain(name: &str, code: &str) -> Result<(), Failure> {
    let Some(about) = provider::explain(name, code) else {
        return Err(Failure::Usage(format!(
            "nothing is known about the code {code:?} of {name}; `patchbay explain {name}` lists the known ones"
        )));
    };
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

fn list(name: &str) {
    for code in provider::codes(name) {
        if let Some(about) = provider::explain(name, code) {
            console::line(format!("{code:12} {}", about.meaning));
        }
    }
}
