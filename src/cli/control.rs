//! `patchbay channel`, `destination` and `reload`: an operator's orders to a running Patchbay.

use channels::url::percent_encode;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    admin::AdminArguments,
    table::{items, number},
};
use crate::{console, run::Failure};

const CHANNEL_EXAMPLES: &str = "Examples:\n  patchbay channel pause sms\n  patchbay channel resume sms";
const PAUSE_EXAMPLES: &str = "Examples:\n  patchbay channel pause sms\n  patchbay channel pause sms --json";
const RESUME_EXAMPLES: &str =
    "Examples:\n  patchbay channel resume sms\n  patchbay channel resume sms --json";
const RESTART_EXAMPLES: &str =
    "Examples:\n  patchbay channel restart sms\n  patchbay channel restart sms --json";
const TRY_EXAMPLES: &str = "Examples:\n  patchbay channel try-now sms\n  patchbay channel try-now sms --json";
const CANCEL_EXAMPLES: &str =
    "Examples:\n  patchbay channel cancel-queued sms\n  patchbay channel cancel-queued sms --json";
const DESTINATION_EXAMPLES: &str =
    "Examples:\n  patchbay destination try-now support\n  patchbay destination try-now support --json";
const RELOAD_EXAMPLES: &str = "Examples:\n  patchbay reload --plan\n  patchbay reload";

/// The largest number of pieces in which an order is carried out.
const PIECES_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
#[command(after_help = CHANNEL_EXAMPLES)]
pub(super) enum ChannelCommand {
    /// Send nothing more over a channel until it is resumed; messages wait
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(One),
    /// Send again over a paused channel
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(One),
    /// Close the connections of a channel and open them again
    #[command(after_help = RESTART_EXAMPLES)]
    Restart(One),
    /// Connect at once, instead of waiting for the next try
    #[command(after_help = TRY_EXAMPLES)]
    TryNow(One),
    /// Cancel all messages of a channel of which no part was sent
    #[command(after_help = CANCEL_EXAMPLES)]
    CancelQueued(One),
}

#[derive(Debug, Subcommand)]
#[command(after_help = DESTINATION_EXAMPLES)]
pub(super) enum DestinationCommand {
    /// Deliver at once, instead of waiting for the next try
    #[command(after_help = DESTINATION_EXAMPLES)]
    TryNow(One),
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// Its id in the configuration
    id: String,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = RELOAD_EXAMPLES)]
pub(super) struct ReloadArguments {
    /// Only print what would change
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the plan as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl ChannelCommand {
    fn parts(&self) -> (&'static str, &One) {
        match self {
            Self::Pause(one) => ("pause", one),
            Self::Resume(one) => ("resume", one),
            Self::Restart(one) => ("restart", one),
            Self::TryNow(one) => ("try-now", one),
            Self::CancelQueued(one) => ("cancel-queued", one),
        }
    }

    pub(super) fn json(&self) -> bool {
        self.parts().1.json
    }
}

impl DestinationCommand {
    pub(super) fn json(&self) -> bool {
        let Self::TryNow(one) = self;
        one.json
    }
}

pub(super) async fn channel(command: ChannelCommand) -> Result<(), Failure> {
    let (order, one) = command.parts();
    act("channels", order, one).await
}

pub(super) async fn destination(command: DestinationCommand) -> Result<(), Failure> {
    let DestinationCommand::TryNow(one) = &command;
    act("destinations", "try-now", one).await
}

async fn act(kind: &str, order: &str, one: &One) -> Result<(), Failure> {
    let admin = one.admin.client()?;
    let path = format!("/api/{kind}/{}/{order}", percent_encode(&one.id));
    let mut count = 0;
    // An order about many messages is carried out in bounded pieces.
    for _ in 0..PIECES_MAX {
        let answer = admin.act(&path, &json!({})).await?;
        if one.json {
            console::line(answer.text());
        }
        let view: Value = admin.client().read(&answer)?;
        let of_this =
            ["cancelled", "messages"].iter().map(|key| number(&view, key)).max().unwrap_or_default();
        count += of_this;
        let more = view.get("more").and_then(Value::as_bool).unwrap_or_default();
        if !more || of_this == 0 {
            break;
        }
    }
    if !one.json {
        let about = if count > 0 { format!(", {count} messages") } else { String::new() };
        console::line(format!("{}: {order} done{about}", one.id));
    }
    Ok(())
}

pub(super) async fn reload(arguments: ReloadArguments) -> Result<(), Failure> {
    let admin = arguments.admin.client()?;
    let answer = admin.act("/api/reload", &json!({ "plan": arguments.plan })).await?;
    if arguments.json {
        console::line(answer.text());
        return Ok(());
    }
    let view: Value = admin.client().read(&answer)?;
    let steps = items(view.get("text").unwrap_or(&Value::Null));
    if steps.is_empty() {
        console::line("nothing differs");
    }
    for step in steps {
        console::line(step.as_str().unwrap_or_default());
    }
    for (name, key) in [("note", "remarks"), ("WARNING", "warnings")] {
        for words in items(view.get(key).unwrap_or(&Value::Null)) {
            console::line(format!("{name}: {}", words.as_str().unwrap_or_default()));
        }
    }
    Ok(())
}
