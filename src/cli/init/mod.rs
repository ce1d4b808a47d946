//! `patchbay init`: writes a configuration from flags, and from answers at a terminal. Never
//! overwrites a file.

mod ask;
mod draft;
mod missing;

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use self::{ask::Asker, draft::Draft};
use crate::{config, console, run::Failure};

const HELP: &str = "At a terminal it asks for what the flags leave out. Secrets are written as they are given: the value itself, \
    \"env:NAME\" or \"file:PATH\". Only you can read the file.\n\n\
    Examples:\n  patchbay init\n  patchbay init --channel sms=smpp:5155 --set sms.host=smpp.example.net --set sms.system_id=shop \
    --set sms.password=env:SMPP_PASSWORD\n  \
    patchbay init -c my.toml --channel tg=telegram:example_shop_bot --set tg.token=env:TELEGRAM_TOKEN \
    --set tg.secret_token=env:TELEGRAM_SECRET --public-url https://chat.example.org";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct InitArguments {
    /// The file to write
    #[arg(short, long, default_value = "config.toml", env = "PATCHBAY_CONFIG")]
    config: PathBuf,
    /// A channel (repeatable): its id, its provider (as in `patchbay providers`) and your own
    /// address there
    #[arg(long = "channel", value_name = "ID=PROVIDER:ADDRESS")]
    channels: Vec<String>,
    /// A key of a channel's account (repeatable)
    #[arg(long = "set", value_name = "ID.KEY=VALUE")]
    settings: Vec<String>,
    /// The URL of your service, to which messages and notifications are posted [default:
    /// http://127.0.0.1:9000/cim]
    #[arg(long, value_name = "URL")]
    destination: Option<String>,
    /// The URL at which providers reach Patchbay
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn perform(arguments: &InitArguments) -> Result<(), Failure> {
    let file = &arguments.config;
    if file.exists() {
        return Err(exists(file));
    }
    let mut draft = from_flags(arguments)?;
    if io::stdin().is_terminal() && !arguments.json {
        let mut stdin = io::stdin().lock();
        let mut asker = Asker::new(&mut stdin);
        ask(&mut draft, arguments, &mut asker)?;
    } else {
        complete(&mut draft)?;
    }
    write(file, &draft.text())?;
    tell(file, &draft, arguments.json);
    Ok(())
}

fn exists(file: &Path) -> Failure {
    Failure::Usage(format!(
        "{} exists already and is never overwritten; name another file with --config",
        file.display()
    ))
}

fn from_flags(arguments: &InitArguments) -> Result<Draft, Failure> {
    let mut draft = Draft::default();
    for text in &arguments.channels {
        draft.add_channel(text)?;
    }
    for text in &arguments.settings {
        draft.set(text)?;
    }
    if let Some(url) = &arguments.destination {
        draft.destination.clone_from(url);
    }
    draft.public_url.clone_from(&arguments.public_url);
    Ok(draft)
}

/// Asks for what is missing.
fn ask(draft: &mut Draft, arguments: &InitArguments, asker: &mut Asker<'_>) -> Result<(), Failure> {
    if arguments.destination.is_none() {
        asker.say("Your service, to which Patchbay posts messages and notifications; `patchbay sim business` plays one.");
        draft.destination = asker.text("its URL", Some(&draft.destination))?;
    }
    if arguments.channels.is_empty() {
        loop {
            let more = if draft.channels.is_empty() { "" } else { "; empty: no more" };
            asker.say(&format!("A channel. `patchbay providers` lists the providers{more}."));
            let default = (!draft.channels.is_empty()).then_some("");
            let provider = asker.checked("its provider", default, draft::provider)?;
            if provider.is_empty() {
                break;
            }
            let own = asker.text("your own address there (a number, a page id, a bot's name)", None)?;
            let id = asker.checked("a short id for it", Some(&draft.free_id(&provider)), draft::id)?;
            draft.add(id, provider, own)?;
            ask_account(draft, asker)?;
        }
    }
    ask_account(draft, asker)
}

/// Asks for the missing keys of accounts, and for the public URL where one is needed.
fn ask_account(draft: &mut Draft, asker: &mut Asker<'_>) -> Result<(), Failure> {
    // Each turn gives one key; no account has more required ones.
    for _ in 0..missing::KEYS_MAX {
        match missing::first(draft)? {
            None => break,
            Some(missing::Missing::PublicUrl) => {
                draft.public_url = Some(asker.text("the URL at which this provider reaches Patchbay", None)?);
            }
            Some(missing::Missing::Key { channel, key, secret }) => {
                let default = secret.then(|| draft::variable(&channel, &key));
                let kind = if secret { " (a secret: env:NAME, file:PATH or the value itself)" } else { "" };
                let value = asker.text(&format!("{channel}: {key}{kind}"), default.as_deref())?;
                draft.put(&channel, &key, &value)?;
            }
        }
    }
    Ok(())
}

/// Completes a draft without questions: what is missing and cannot be guessed is an error.
fn complete(draft: &mut Draft) -> Result<(), Failure> {
    if draft.channels.is_empty() {
        return Err(Failure::Usage(
            "without a terminal, name at least one channel: --channel sms=smpp:5155 --set sms.host=..."
                .into(),
        ));
    }
    let mut lacking = Vec::new();
    for _ in 0..missing::KEYS_MAX {
        match missing::first(draft)? {
            None => break,
            Some(missing::Missing::PublicUrl) => {
                lacking.push("--public-url https://...".to_owned());
                draft.public_url = Some("https://example.org".into());
            }
            Some(missing::Missing::Key { channel, key, secret }) => {
                if secret {
                    draft.put(&channel, &key, &draft::variable(&channel, &key))?;
                } else {
                    lacking.push(format!("--set {channel}.{key}=..."));
                    draft.put(&channel, &key, draft::PLACEHOLDER)?;
                }
            }
        }
    }
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(Failure::Usage(format!(
            "missing: {}; `patchbay providers NAME` explains the keys",
            lacking.join(", ")
        )))
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => exists(file),
        _ => Failure::Running(format!("{} cannot be written: {e}", file.display())),
    };
    let mut opened =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    opened.write_all(text.as_bytes()).map_err(failed)
}

fn tell(file: &Path, draft: &Draft, as_json: bool) {
    let shown = file.display().to_string();
    let problems: Vec<String> = match config::load(file) {
        Ok(_) => Vec::new(),
        Err(e) => e.problems.into_iter().map(|(_, problem)| problem).collect(),
    };
    if as_json {
        let channels: Vec<&str> = draft.channels.iter().map(|channel| &*channel.id).collect();
        console::line(json!({ "file": shown, "channels": channels, "problems": problems }).to_string());
        return;
    }
    console::line(format!("{shown} is written"));
    for problem in &problems {
        console::line(format!("  first    {problem}"));
    }
    let option = if shown == "config.toml" { String::new() } else { format!(" -c {shown}") };
    console::line(format!("  then     patchbay check{option} --probe"));
    console::line(format!("           patchbay run{option}"));
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn answered(answers: &str) -> Result<Draft, Failure> {
        let mut input = Cursor::new(answers.as_bytes().to_vec());
        let arguments = InitArguments {
            config: "config.toml".into(),
            channels: Vec::new(),
            settings: Vec::new(),
            destination: None,
            public_url: None,
            json: false,
        };
        let mut draft = from_flags(&arguments)?;
        ask(&mut draft, &arguments, &mut Asker::new(&mut input))?;
        Ok(draft)
    }

    #[test]
    fn answers_become_a_valid_configuration() {
        // A wrong provider is asked for again. The secrets are values, so that nothing is unset.
        let answers = "\nsmppp\nsmpp\n5155\nsms\nsmpp.example.net\nsesame\nshop\n\
                       telegram\nexample_shop_bot\n\nsecret\n123456:bot\nhttps://chat.example.org\n\n";
        let draft = answered(answers).unwrap_or_else(|e| panic!("{e}"));
        let text = draft.text();
        let settings =
            config::parse(&text, "written.toml", Path::new(".")).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let ids: Vec<&str> = settings.router.channels.iter().map(|channel| channel.id.as_str()).collect();
        assert_eq!(ids, ["sms", "telegram"], "{text}");
        assert_eq!(&*settings.router.destinations[0].url, "http://127.0.0.1:9000/cim");
        assert!(text.lines().filter(|line| line.contains('#')).count() > 5, "comments:\n{text}");
    }

    #[test]
    fn a_terminal_that_closes_ends_it_with_an_error() {
        for answers in ["", "\n", "\nsmpp\n5155\n", "\nsmpp\n5155\nsms\nhost\n"] {
            assert!(answered(answers).map(drop).unwrap_err().to_string().contains("ended"), "{answers:?}");
        }
        let wrong = format!("\n{}", "nobody\n".repeat(20));
        assert!(answered(&wrong).map(drop).unwrap_err().to_string().contains("unknown provider \"nobody\""));
    }
}
