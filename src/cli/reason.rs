//! Why a message waits or failed, in lines for people.

use serde_json::Value;

use super::table::{at, number, word};

/// Returns the lines about a message that waits or failed; none for others.
pub(super) fn lines(message: &Value) -> Vec<(&'static str, String)> {
    if let Some(waiting) = message.get("waitingFor").filter(|waiting| waiting.is_object()) {
        return vec![("waits", waits(waiting))];
    }
    if word(message, "status") != "FAILED" {
        return Vec::new();
    }
    let (code, reason) = (word(message, "reasonCode"), word(message, "reason"));
    let by = Some(word(message, "failedBy")).filter(|by| !by.is_empty()).map(|by| format!(", by {by}"));
    let failed = match (reason.is_empty(), code.is_empty()) {
        (false, false) => format!("{reason} ({code})"),
        (false, true) => reason,
        (true, false) => code,
        (true, true) => last_event(message),
    };
    let mut lines = vec![("reason", format!("{failed}{}", by.unwrap_or_default()))];
    for (name, key) in [("meaning", "meaning"), ("fix", "fix"), ("more", "link")] {
        let words = word(message, key);
        if !words.is_empty() {
            lines.push((name, words));
        }
    }
    lines
}

fn waits(waiting: &Value) -> String {
    let mut words = word(waiting, "text");
    if words.is_empty() {
        words = word(waiting, "reason");
    }
    let mut more = Vec::new();
    let (since, eta) = (at(waiting, "since"), at(waiting, "eta"));
    if !since.is_empty() {
        more.push(format!("since {since}"));
    }
    if number(waiting, "ahead") > 0 {
        more.push(format!("{} ahead of it", number(waiting, "ahead")));
    }
    if !eta.is_empty() {
        more.push(format!("expected to go at {eta}"));
    }
    if more.is_empty() { words } else { format!("{words} ({})", more.join(", ")) }
}

/// Returns the words of the newest event that can be the reason of a failure.
fn last_event(message: &Value) -> String {
    let events = message.get("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let tells = |event: &&Value| {
        matches!(
            word(event, "event").as_str(),
            "failed" | "receipt" | "expired" | "cancelled" | "doubt_settled"
        )
    };
    let found = events.iter().rev().find(tells);
    found.map_or_else(
        || "no reason is known".to_owned(),
        |event| format!("{} {}", word(event, "event"), word(event, "detail")),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_that_waits_or_failed_says_why() {
        let cases = [
            (json!({"status": "DELIVERED"}), vec![]),
            (
                json!({"status": "QUEUED", "waitingFor": {"reason": "notConnected", "text": "the channel is not connected",
                    "since": "2026-01-31T12:00:00.000Z", "ahead": 3, "eta": null}}),
                vec!["waits the channel is not connected (since 2026-01-31T12:00:00Z, 3 ahead of it)"],
            ),
            (
                json!({"status": "FAILED", "reasonCode": "34", "reason": "undeliverable", "failedBy": "provider",
                    "meaning": "m", "fix": "f", "link": "https://x"}),
                vec!["reason undeliverable (34), by provider", "meaning m", "fix f", "more https://x"],
            ),
            (
                json!({"status": "FAILED", "events": [{"event": "submitted", "detail": "x"},
                    {"event": "receipt", "detail": "FAILED (UNDELIV/034)"}, {"event": "settled", "detail": "y"}]}),
                vec!["reason receipt FAILED (UNDELIV/034)"],
            ),
        ];
        for (message, expected) in cases {
            let told: Vec<String> =
                lines(&message).into_iter().map(|(name, words)| format!("{name} {words}")).collect();
            assert_eq!(told, expected, "{message}");
        }
    }
}
