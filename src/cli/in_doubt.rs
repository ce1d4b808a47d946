//! `patchbay in-doubt`: lists the parts in doubt, and decides them.

use channels::url::percent_encode;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    admin::{AdminArguments, AdminClient, ListArguments},
    table::{items, number, word},
};
use crate::{console, run::Failure};

const EXAMPLES: &str = "Examples:\n  patchbay in-doubt\n  patchbay in-doubt resend order-4711\n  patchbay in-doubt fail order-4711 --part 2";
const LIST_EXAMPLES: &str =
    "Examples:\n  patchbay in-doubt list\n  patchbay in-doubt list --limit 500 --json";
const DECIDE_EXAMPLES: &str =
    "Examples:\n  patchbay in-doubt resend order-4711\n  patchbay in-doubt sent order-4711 --part 2 --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct InDoubtArguments {
    #[command(subcommand)]
    order: Option<DoubtOrder>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum DoubtOrder {
    /// List the parts in doubt (also without a subcommand)
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArguments),
    /// Send them again: never lost, but the customer may get them twice
    Resend(Decision),
    /// Let them fail: never twice, but the customer may get nothing
    Fail(Decision),
    /// Take them as sent: the provider says that it has them
    Sent(Decision),
}

#[derive(Debug, Args)]
#[command(after_help = DECIDE_EXAMPLES)]
struct Decision {
    /// The message's id
    id: String,
    /// Only this part, from 1; without it, all parts of the message that are in doubt
    #[arg(long)]
    part: Option<u16>,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print what was decided as JSON
    #[arg(long)]
    json: bool,
}

impl InDoubtArguments {
    pub(super) fn json(&self) -> bool {
        match &self.order {
            Some(DoubtOrder::List(list)) => list.json,
            Some(DoubtOrder::Resend(decision) | DoubtOrder::Fail(decision) | DoubtOrder::Sent(decision)) => {
                decision.json
            }
            None => self.list.json,
        }
    }
}

pub(super) async fn perform(arguments: InDoubtArguments) -> Result<(), Failure> {
    match arguments.order {
        None => list(&arguments.list).await,
        Some(DoubtOrder::List(list)) => self::list(&list).await,
        Some(DoubtOrder::Resend(decision)) => decide(&decision, "resend").await,
        Some(DoubtOrder::Fail(decision)) => decide(&decision, "fail").await,
        Some(DoubtOrder::Sent(decision)) => decide(&decision, "sent").await,
    }
}

async fn list(list: &ListArguments) -> Result<(), Failure> {
    let columns = ["message", "part", "channel", "customer", "state", "resent"];
    let line = |part: &Value| {
        let held = part.get("held").and_then(Value::as_bool).unwrap_or_default();
        [
            word(part, "messageId"),
            number(part, "part").to_string(),
            word(part, "channel"),
            word(part, "customer"),
            if held { "held: decide with resend, fail or sent" } else { "sent again" }.to_owned(),
            number(part, "resent").to_string(),
        ]
    };
    list.show("/api/in-doubt", "no part is in doubt", columns, line).await
}

async fn decide(decision: &Decision, action: &str) -> Result<(), Failure> {
    let admin = decision.admin.client()?;
    let parts = match decision.part {
        Some(part) => vec![u64::from(part)],
        None => parts_of(&admin, &decision.id).await?,
    };
    for part in &parts {
        let order = json!({ "messageId": decision.id, "part": part, "action": action });
        admin.act("/api/in-doubt", &order).await?;
        if decision.json {
            console::line(order.to_string());
        } else {
            console::line(format!("part {part} of {}: {action}", decision.id));
        }
    }
    Ok(())
}

/// Returns the parts of a message that are in doubt.
async fn parts_of(admin: &AdminClient, id: &str) -> Result<Vec<u64>, Failure> {
    let message = admin.view(&format!("/api/messages/{}", percent_encode(id))).await?;
    let parts = items(message.get("parts").unwrap_or(&Value::Null)).iter();
    let parts: Vec<u64> =
        parts.filter(|part| word(part, "status") == "IN_DOUBT").map(|part| number(part, "part")).collect();
    if parts.is_empty() {
        return Err(Failure::Usage(format!(
            "no part of {id} is in doubt: it is {}; `patchbay in-doubt` lists those that are",
            word(&message, "status")
        )));
    }
    Ok(parts)
}
