//! `patchbay status`: whether all is well, and if not, what is wrong and the fix.

use clap::Args;
use serde_json::{Value, json};

use super::{
    admin::AdminArguments,
    exit,
    table::{self, at, items, number, time, word},
};
use crate::{console, run::Failure};

const EXAMPLES: &str = "Exits with 0 when all is well or there are only warnings, with 1 when there is an error, and with 5 when \
                        Patchbay cannot be reached.\n\n\
                        Examples:\n  patchbay status\n  patchbay status --url http://127.0.0.1:9090 --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the status, the channels and the destinations as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn perform(arguments: StatusArguments) -> Result<(), Failure> {
    let admin = arguments.admin.client()?;
    let status = admin.view("/api/status").await?;
    let channels = admin.view("/api/channels").await?;
    let destinations = admin.view("/api/destinations").await?;
    let problems = items(status.get("problems").unwrap_or(&Value::Null));
    let errors = problems.iter().filter(|problem| word(problem, "severity") != "warning").count();
    if arguments.json {
        let all = json!({ "status": status, "channels": channels, "destinations": destinations });
        console::line(all.to_string());
    } else {
        console::line(verdict(problems.len(), errors));
        for problem in problems {
            show(problem, admin.client().base());
        }
        console::line(format!("\n{}", summary(&status, admin.client().base())));
        show_channels(items(&channels));
        show_destinations(items(&destinations));
    }
    if errors > 0 { Err(Failure::Coded { code: exit::NOT_WELL, why: String::new() }) } else { Ok(()) }
}

fn verdict(problems: usize, errors: usize) -> String {
    let counted = |number, word| (number > 0).then(|| console::counted(number, word));
    let told: Vec<String> =
        [counted(errors, "error"), counted(problems - errors, "warning")].into_iter().flatten().collect();
    if told.is_empty() { "all is well".into() } else { format!("not well: {}", told.join(", ")) }
}

fn show(problem: &Value, base: &str) {
    let severity = word(problem, "severity").to_uppercase();
    let place = ["channel", "destination"].iter().find_map(|kind| {
        let id = word(problem, kind);
        (!id.is_empty()).then(|| format!("{kind} {id}: "))
    });
    let code = Some(word(problem, "code")).filter(|code| !code.is_empty());
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let since = Some(at(problem, "since")).filter(|since| !since.is_empty());
    let since = since.map(|since| format!(", since {since}")).unwrap_or_default();
    let reason = word(problem, "reason");
    console::line(format!("  {severity:<8} {}{reason}{code}{since}", place.unwrap_or_default()));
    let fix = word(problem, "fix");
    if !fix.is_empty() {
        console::line(format!("           fix: {fix}"));
    }
    let link = word(problem, "link");
    if link.starts_with('/') {
        console::line(format!("           see: {base}{link}"));
    } else if !link.is_empty() {
        console::line(format!("           see: {link}"));
    }
}

fn summary(status: &Value, base: &str) -> String {
    let waiting = number(status, "messagesWaiting");
    let oldest = match (waiting, number(status, "oldestWaitingSeconds")) {
        (0, _) => String::new(),
        (_, seconds) => format!(", the oldest for {}", time(seconds)),
    };
    let counted = usize::try_from(waiting).unwrap_or(usize::MAX);
    format!(
        "Patchbay {} at {base}, up for {}; {} {}{oldest}",
        word(status, "version"),
        time(number(status, "uptimeSeconds")),
        console::counted(counted, "message"),
        if waiting == 1 { "waits" } else { "wait" },
    )
}

fn show_channels(channels: &[Value]) {
    let rows: Vec<Vec<String>> = channels
        .iter()
        .map(|channel| {
            let count = |key: &str| {
                channel.get("counts").map(|counts| number(counts, key)).unwrap_or_default().to_string()
            };
            let waiting =
                ["messagesWaiting", "sessionsWaiting"].iter().find(|key| channel.get(**key).is_some());
            vec![
                word(channel, "id"),
                word(channel, "provider"),
                word(channel, "status"),
                count("submitted"),
                count("rejected"),
                count("received"),
                waiting.map(|key| number(channel, key)).unwrap_or_default().to_string(),
                word(channel, "dids"),
            ]
        })
        .collect();
    console::line("");
    table::print(
        &["channel", "provider", "status", "sent", "rejected", "received", "waiting", "own addresses"],
        &rows,
    );
}

fn show_destinations(destinations: &[Value]) {
    let rows: Vec<Vec<String>> = destinations
        .iter()
        .map(|destination| {
            vec![
                word(destination, "id"),
                word(destination, "status"),
                number(destination, "taken").to_string(),
                number(destination, "failed").to_string(),
                number(destination, "sessionsWaiting").to_string(),
                word(destination, "url"),
            ]
        })
        .collect();
    console::line("");
    table::print(&["destination", "status", "taken", "failed", "waiting", "url"], &rows);
}
