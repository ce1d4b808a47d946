//! `--wait`: follows a message until its status is final, and says why it waits or failed.

use std::time::Duration;

use channels::url::percent_encode;
use http::Method;
use serde_json::Value;

use crate::{
    cli::{
        client::Client,
        exit, reason,
        table::{items, word},
    },
    console,
    run::Failure,
};

/// How often the status is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// When to stop following.
pub(super) struct Ends {
    /// How long to wait.
    pub(super) within: Duration,
    /// The last status that the provider reports.
    pub(super) last: &'static str,
}

/// Prints each new status until it is final.
pub(super) async fn follow(client: &Client, id: &str, ends: &Ends, as_json: bool) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + ends.within;
    let path = format!("/v1/messages/{}", percent_encode(id));
    let mut told = String::new();
    loop {
        let answer = client.expect(Method::GET, &path, None).await?;
        let message: Value = client.read(&answer)?;
        let status = word(&message, "status");
        let is_final = matches!(&*status, "DELIVERED" | "READ" | "FAILED") || status == ends.last;
        let late = tokio::time::Instant::now() + LOOK_EVERY > deadline;
        if as_json && (is_final || late) {
            console::line(answer.text());
        } else if !as_json && status != told {
            let parts = items(message.get("parts").unwrap_or(&Value::Null)).len();
            console::line(format!("{id} {status} ({})", console::counted(parts, "part")));
        }
        if is_final || late {
            return end(&message, &status, (is_final, as_json), ends);
        }
        told = status;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn end(message: &Value, status: &str, (is_final, as_json): (bool, bool), ends: &Ends) -> Result<(), Failure> {
    let (code, headline) = match (is_final, status) {
        (true, "FAILED") => (exit::FAILED, "the message failed".to_owned()),
        (true, _) => return Ok(()),
        (false, _) => {
            let waited = humantime::format_duration(ends.within);
            (exit::NOT_FINAL, format!("the message is {status} after {waited}, which is not final"))
        }
    };
    if as_json {
        return Err(Failure::Coded { code, why: String::new() });
    }
    let reasons: String =
        reason::lines(message).into_iter().map(|(name, words)| format!("\n{name:<8} {words}")).collect();
    Err(Failure::Coded { code, why: format!("{headline}{reasons}") })
}
