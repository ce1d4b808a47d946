//! `patchbay messages`: lists and finds messages, and shows one.

use std::time::Duration;

use actors::seams::Clock;
use channels::url::percent_encode;
use clap::{Args, ValueEnum};
use message::Timestamp;
use serde_json::Value;

use super::{
    admin::{AdminArguments, AdminClient, with_query},
    reason,
    table::{self, at, items, number, short, word},
};
use crate::{console, instant, run::Failure, seams::SystemClock};

const EXAMPLES: &str = "Examples:\n  patchbay messages --list failed --from 1h\n  \
                        patchbay messages --customer +4917600000001 --channel sms\n  patchbay messages order-4711";
/// The largest part of a text that a row shows, in characters.
const TEXT_SHOWN: usize = 48;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MessagesArguments {
    /// Show this message and all that happened to it, instead of a list
    #[arg(conflicts_with_all = ["list", "channel", "status", "customer", "provider_id", "text", "code", "from", "to", "after"])]
    id: Option<String>,
    /// The messages to list
    #[arg(long, value_enum, default_value_t = MessageList::Newest)]
    list: MessageList,
    /// Only messages of this channel
    #[arg(long)]
    channel: Option<String>,
    /// Only messages with this status: QUEUED, ENROUTE, SENT, DELIVERED, READ, FAILED, IN_DOUBT
    #[arg(long)]
    status: Option<String>,
    /// Only messages to or from this customer
    #[arg(long, value_name = "ADDRESS")]
    customer: Option<String>,
    /// Only the message with this id of the provider
    #[arg(long, value_name = "ID")]
    provider_id: Option<String>,
    /// Only messages with these words
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Only messages that failed with this code
    #[arg(long)]
    code: Option<String>,
    /// Only messages since then: a time such as 2h before now, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Option<Timestamp>,
    /// Only messages until then
    #[arg(long, value_name = "WHEN", value_parser = when)]
    to: Option<Timestamp>,
    /// The largest number of messages
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Continue a list: the cursor that it named at its end
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MessageList {
    Newest,
    Failed,
    Waiting,
}

impl MessageList {
    fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

/// Reads an instant, or a time before now.
fn when(text: &str) -> Result<Timestamp, String> {
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
    match humantime::parse_duration(text) {
        Ok(ago) if !is_number => Ok(before(SystemClock.now(), ago)),
        _ => instant::parse(text).map_err(|e| format!("{e}, or a time before now such as 2h")),
    }
}

fn before(now: Timestamp, ago: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

pub(super) async fn perform(arguments: MessagesArguments) -> Result<(), Failure> {
    let admin = arguments.admin.client()?;
    match &arguments.id {
        Some(id) => one(&admin, id, arguments.json).await,
        None => list(&admin, &arguments).await,
    }
}

async fn list(admin: &AdminClient, arguments: &MessagesArguments) -> Result<(), Failure> {
    let instant = |at: Option<Timestamp>| at.map(instant::rfc3339);
    let path = with_query(
        "/api/messages",
        &[
            ("list", Some(arguments.list.name().to_owned())),
            ("channel", arguments.channel.clone()),
            ("status", arguments.status.clone()),
            ("customer", arguments.customer.clone()),
            ("providerId", arguments.provider_id.clone()),
            ("text", arguments.text.clone()),
            ("code", arguments.code.clone()),
            ("from", instant(arguments.from)),
            ("to", instant(arguments.to)),
            ("after", arguments.after.clone()),
            ("limit", Some(arguments.limit.to_string())),
        ],
    );
    let answer = admin.get(&path).await?;
    let next = answer.next();
    if arguments.json {
        console::line(answer.text());
        return Ok(());
    }
    let found: Value = admin.client().read(&answer)?;
    let messages = items(found.get("items").unwrap_or(&Value::Null));
    if !messages.is_empty() {
        let rows: Vec<Vec<String>> = messages.iter().map(row).collect();
        table::print(&["at", "channel", "", "customer", "status", "id", "text"], &rows);
    }
    console::line(told(messages.len(), &found, next.as_deref()));
    Ok(())
}

fn row(message: &Value) -> Vec<String> {
    let arrow = if word(message, "direction").starts_with("in") { "<-" } else { "->" };
    let code = Some(word(message, "reasonCode")).filter(|code| !code.is_empty());
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    vec![
        at(message, "at"),
        word(message, "channel"),
        arrow.to_owned(),
        word(message, "customer"),
        format!("{}{code}", word(message, "status")),
        word(message, "id"),
        short(&word(message, "text"), TEXT_SHOWN),
    ]
}

/// Returns how far the search went, and how to go on.
fn told(count: usize, found: &Value, next: Option<&str>) -> String {
    let back_to = at(found, "searchedBackTo");
    let complete = found.get("complete").and_then(Value::as_bool).unwrap_or(next.is_none());
    let mut words = if count == 0 { "no message".to_owned() } else { console::counted(count, "message") };
    if !complete && !back_to.is_empty() {
        words.push_str(&format!("; searched back to {back_to}, older ones were not looked at"));
    }
    if let Some(next) = next {
        words.push_str(&format!("; more with --after {next}"));
    }
    words
}

async fn one(admin: &AdminClient, id: &str, as_json: bool) -> Result<(), Failure> {
    let answer = admin.get(&format!("/api/messages/{}", percent_encode(id))).await?;
    if as_json {
        console::line(answer.text());
        return Ok(());
    }
    let message: Value = admin.client().read(&answer)?;
    let said = |what: &str, words: &str| console::line(format!("{what:<9} {words}"));
    console::line(format!("{id} {}", word(&message, "status")));
    for (what, key) in
        [("channel", "channel"), ("customer", "customer"), ("own", "did"), ("adapted", "adapted")]
    {
        let words = word(&message, key);
        if !words.is_empty() {
            said(what, &words);
        }
    }
    for (what, words) in reason::lines(&message) {
        said(what, &words);
    }
    for part in items(message.get("parts").unwrap_or(&Value::Null)) {
        let provider_id = word(part, "providerId");
        said("part", &format!("{} {} {provider_id}", number(part, "part"), word(part, "status")));
    }
    for event in items(message.get("events").unwrap_or(&Value::Null)) {
        said("", &format!("{}  {:<13} {}", at(event, "at"), word(event, "event"), word(event, "detail")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_before_now_and_an_instant_are_read() {
        assert_eq!(before(Timestamp(7_200_000), Duration::from_secs(3_600)), Timestamp(3_600_000));
        assert_eq!(when("1760000000123"), Ok(Timestamp(1_760_000_000_123)));
        assert_eq!(when("2025-10-09T08:53:20.123Z"), Ok(Timestamp(1_760_000_000_123)));
        let early = when("2h").unwrap();
        assert!(early < SystemClock.now() && early.0 + 7_300_000 > SystemClock.now().0, "{early:?}");
        assert!(when("yesterday").unwrap_err().contains("2h"));
    }

    #[test]
    fn a_search_says_how_far_it_went() {
        let found = json!({"searchedBackTo": "2026-01-31T12:00:00.000Z", "complete": false});
        assert_eq!(
            told(0, &found, None),
            "no message; searched back to 2026-01-31T12:00:00Z, older ones were not looked at"
        );
        assert_eq!(told(2, &json!({"complete": true}), Some("x1")), "2 messages; more with --after x1");
    }
}
