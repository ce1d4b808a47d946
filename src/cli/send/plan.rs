//! The plan of a message, in an order for people: where, why, what, how much.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::{
        client::{Answer, Client},
        table::{items, number, word},
    },
    console,
    run::Failure,
};

/// The fields of a plan that `--wait` needs.
#[derive(Deserialize)]
pub(super) struct Planned {
    pub(super) channel: String,
    provider: String,
}

impl Planned {
    /// Returns the status to wait for: some providers report nothing after accepting a message.
    pub(super) fn last_status(&self) -> &'static str {
        let known = channels::provider(&self.provider);
        let tells = known.is_none_or(|provider| provider.capabilities.receipts);
        if tells { "DELIVERED" } else { "SENT" }
    }
}

pub(super) fn print(client: &Client, answer: &Answer, as_json: bool) -> Result<(), Failure> {
    if as_json {
        console::line(answer.text());
        return Ok(());
    }
    for (name, words) in lines(&client.read(answer)?) {
        for (n, line) in words.lines().enumerate() {
            console::line(format!("{:<14} {line}", if n == 0 { name } else { "" }));
        }
    }
    Ok(())
}

fn lines(plan: &Value) -> Vec<(&'static str, String)> {
    let messages = items(plan.get("messages").unwrap_or(&Value::Null));
    let open = plan.get("sessionOpen").and_then(Value::as_bool).unwrap_or_default();
    let state = if open { "open" } else { "would be opened" };
    let mut lines = vec![
        ("channel", format!("{} ({})", word(plan, "channel"), word(plan, "provider"))),
        ("because", word(plan, "because")),
        ("from", word(plan, "did")),
        ("to", word(plan, "customer")),
    ];
    if messages.is_empty() {
        lines.push(("text", word(plan, "text")));
    }
    for (at, message) in messages.iter().enumerate() {
        let sms = message
            .get("smsSegments")
            .map(|_| format!(" ({} SMS, {})", number(message, "smsSegments"), word(message, "smsAlphabet")));
        let kind = word(message, "type");
        let words = format!("{kind}{}: {}", sms.unwrap_or_default(), word(message, "content"));
        lines.push((if at == 0 { "sends" } else { "and" }, words));
    }
    lines.push(("parts", format!("{}, joined by: {}", number(plan, "parts"), word(plan, "concatenation"))));
    lines.push(("alphabet", word(plan, "alphabet")));
    for note in items(plan.get("adapted").unwrap_or(&Value::Null)) {
        lines.push(("adapted", note.as_str().unwrap_or_default().to_owned()));
    }
    let choice = |choice: &Value| format!("{} {}", word(choice, "label"), word(choice, "title"));
    let choices = items(plan.get("choices").unwrap_or(&Value::Null)).iter();
    let choices: Vec<String> = choices.map(choice).collect();
    if !choices.is_empty() {
        lines.push(("choices", choices.join(", ")));
    }
    lines.push(("priority", number(plan, "priority").to_string()));
    lines.push(("notifies", word(plan, "destination")));
    lines.push(("session", format!("{} ({state})", word(plan, "sessionId"))));
    if number(plan, "aheadInSession") > 0 {
        lines.push(("after", format!("{} messages of this session", number(plan, "aheadInSession"))));
    }
    lines.retain(|(_, words)| !words.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_told_from_where_to_how_much() {
        let plan = json!({
            "adapted": ["numbered-list: 2 buttons"], "aheadInSession": 2, "alphabet": "GSM-7",
            "because": "it has the address", "channel": "sms", "choices": [{"label": "1", "title": "Yes"}],
            "concatenation": "none", "customer": "+491", "destination": "support", "did": "5155",
            "messages": [{"type": "PLAIN", "content": "Hi\n1. Yes", "smsAlphabet": "GSM-7", "smsSegments": 1}],
            "parts": 1, "priority": 5, "provider": "smpp", "sessionId": "s-1", "sessionOpen": false, "text": "Hi",
        });
        let told: Vec<String> =
            lines(&plan).into_iter().map(|(name, words)| format!("{name}: {words}")).collect();
        assert_eq!(
            told,
            [
                "channel: sms (smpp)",
                "because: it has the address",
                "from: 5155",
                "to: +491",
                "sends: PLAIN (1 SMS, GSM-7): Hi\n1. Yes",
                "parts: 1, joined by: none",
                "alphabet: GSM-7",
                "adapted: numbered-list: 2 buttons",
                "choices: 1 Yes",
                "priority: 5",
                "notifies: support",
                "session: s-1 (would be opened)",
                "after: 2 messages of this session",
            ]
        );
    }
}
