//! `patchbay dead-letters`: lists the deliveries that were given up, and tries them again.

use channels::url::percent_encode;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    admin::{AdminArguments, AdminClient, ListArguments},
    table::{at, number, word},
};
use crate::{console, run::Failure};

const EXAMPLES: &str =
    "Examples:\n  patchbay dead-letters\n  patchbay dead-letters replay --all --destination support";
const LIST_EXAMPLES: &str =
    "Examples:\n  patchbay dead-letters list\n  patchbay dead-letters list --limit 500 --json";
const REPLAY_EXAMPLES: &str = "Examples:\n  patchbay dead-letters replay 5d0f3c1a9e7b2468-12\n  \
                               patchbay dead-letters replay --all --channel sms";

/// The largest number of pieces in which all dead letters are replayed.
const PIECES_MAX: usize = 10_000;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct DeadLettersArguments {
    #[command(subcommand)]
    order: Option<LetterOrder>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum LetterOrder {
    /// List the dead letters (also without a subcommand)
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArguments),
    /// Deliver dead letters again
    Replay(LetterReplay),
}

#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
struct LetterReplay {
    /// The dead letters, as the list names them
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// With --all: only those of this channel
    #[arg(long, requires = "all", conflicts_with = "ids")]
    channel: Option<String>,
    /// With --all: only those of this destination
    #[arg(long, requires = "all", conflicts_with = "ids")]
    destination: Option<String>,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the answers as JSON
    #[arg(long)]
    json: bool,
}

impl DeadLettersArguments {
    pub(super) fn json(&self) -> bool {
        match &self.order {
            Some(LetterOrder::List(list)) => list.json,
            Some(LetterOrder::Replay(replay)) => replay.json,
            None => self.list.json,
        }
    }
}

pub(super) async fn perform(arguments: DeadLettersArguments) -> Result<(), Failure> {
    match arguments.order {
        None => list(&arguments.list).await,
        Some(LetterOrder::List(list)) => self::list(&list).await,
        Some(LetterOrder::Replay(replay)) => self::replay(&replay).await,
    }
}

async fn list(list: &ListArguments) -> Result<(), Failure> {
    let columns = ["id", "at", "destination", "kind", "reason"];
    let line = |letter: &Value| {
        let text = |key| word(letter, key);
        [text("id"), at(letter, "at"), text("destination"), text("kind"), text("reason")]
    };
    list.show("/api/dead-letters", "no dead letters", columns, line).await
}

async fn replay(replay: &LetterReplay) -> Result<(), Failure> {
    let admin = replay.admin.client()?;
    if replay.all {
        let filters = [("channel", &replay.channel), ("destination", &replay.destination)];
        let order: Map<String, Value> = filters
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())))
            .collect();
        return replay_all(&admin, &order.into(), replay.json).await;
    }
    for id in &replay.ids {
        let answer =
            admin.act(&format!("/api/dead-letters/{}/replay", percent_encode(id)), &json!({})).await?;
        console::line(if replay.json { answer.text() } else { format!("{id} is delivered again") });
    }
    Ok(())
}

/// Replays all dead letters, in bounded pieces.
async fn replay_all(admin: &AdminClient, order: &Value, as_json: bool) -> Result<(), Failure> {
    let mut replayed = 0;
    for _ in 0..PIECES_MAX {
        let answer = admin.act("/api/dead-letters/replay", order).await?;
        if as_json {
            console::line(answer.text());
        }
        let view: Value = admin.client().read(&answer)?;
        replayed += number(&view, "replayed");
        let more = view.get("more").and_then(Value::as_bool).unwrap_or_default();
        if !more || number(&view, "replayed") == 0 {
            break;
        }
    }
    if !as_json {
        let counted = usize::try_from(replayed).unwrap_or(usize::MAX);
        console::line(format!("{} delivered again", console::counted(counted, "dead letter")));
    }
    Ok(())
}
