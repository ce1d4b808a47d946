//! `patchbay send`: sends one message through a running Patchbay.

use std::time::Duration;

use channels::url::percent_encode;
use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::{Answer, Client};
use crate::{console, run::Failure};

/// How often the status is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct SendArguments {
    /// The customer's address
    #[arg(long)]
    to: String,
    /// Your own address on the channel (a number, a page id, ...)
    #[arg(long)]
    from: String,
    /// The text to send
    #[arg(long)]
    text: String,
    /// An id for the message; an id is sent only once
    #[arg(long)]
    id: Option<String>,
    /// The priority, from 0 (bulk) to 10 (most urgent)
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=10))]
    priority: Option<u8>,
    /// The URL of Patchbay's send API
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "PATCHBAY_URL")]
    url: String,
    /// The API key to send with
    #[arg(long, env = "PATCHBAY_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Wait for the final status, at most this long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60s", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Only print what would be sent
    #[arg(long, conflicts_with = "wait")]
    plan: bool,
    /// Print answers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    message_id: String,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Plan {
    provider: String,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    parts: Vec<serde_json::Value>,
}

pub(super) async fn perform(arguments: SendArguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.url, arguments.api_key.clone())?;
    let mut channel_data = json!({
        "channelCustomerIdentifier": arguments.to,
        "serviceIdentifier": arguments.from,
    });
    if let (Some(priority), Some(map)) = (arguments.priority, channel_data.as_object_mut()) {
        map.insert("requestPriority".into(), priority.into());
    }
    let message = json!({
        "id": arguments.id,
        "header": {
            "channelData": channel_data,
            "sender": { "id": "patchbay-send", "type": "APP", "senderName": "patchbay send" },
        },
        "body": { "type": "PLAIN", "markdownText": arguments.text },
    });
    let message = message.to_string().into_bytes();
    if arguments.plan {
        return plan(&arguments, &post(&client, "/v1/messages?plan=true", message).await?.body);
    }
    let mut last = "DELIVERED";
    if arguments.wait.is_some() {
        let planned = post(&client, "/v1/messages?plan=true", message.clone()).await?;
        last = last_of(&planned.body)?;
    }
    let answer = post(&client, "/v1/messages", message).await?;
    let accepted: Accepted = serde_json::from_slice(&answer.body).map_err(Failure::running)?;
    match (arguments.json, accepted.duplicate) {
        (true, _) => console::line(answer.text()),
        (false, false) => console::line(format!("{} ACCEPTED", accepted.message_id)),
        (false, true) => {
            console::line(format!("{} was ACCEPTED before; nothing new is sent", accepted.message_id))
        }
    }
    match arguments.wait {
        Some(wait) => follow(&client, &accepted.message_id, wait, last, arguments.json).await,
        None => Ok(()),
    }
}

async fn post(client: &Client, path: &str, message: Vec<u8>) -> Result<Answer, Failure> {
    let answer = client.ask(Method::POST, path, Some(message)).await?;
    if (200..300).contains(&answer.status) {
        Ok(answer)
    } else {
        Err(Failure::Running(format!("not sent: {}", answer.problem())))
    }
}

/// Returns the status to wait for, by a plan: some providers report nothing after accepting a
/// message.
fn last_of(plan: &[u8]) -> Result<&'static str, Failure> {
    let plan: Plan = serde_json::from_slice(plan).map_err(Failure::running)?;
    let known = channels::provider(&plan.provider);
    let tells = known.is_none_or(|provider| provider.capabilities.receipts);
    Ok(if tells { "DELIVERED" } else { "SENT" })
}

fn plan(arguments: &SendArguments, body: &[u8]) -> Result<(), Failure> {
    if arguments.json {
        console::line(String::from_utf8_lossy(body));
        return Ok(());
    }
    let plan: serde_json::Value = serde_json::from_slice(body).map_err(Failure::running)?;
    for (key, value) in plan.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        console::line(format!("{key:<16} {text}"));
    }
    Ok(())
}

/// Prints each new status until it is final. A failed message is an error.
async fn follow(client: &Client, id: &str, wait: Duration, last: &str, as_json: bool) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + wait;
    let path = format!("/v1/messages/{}", percent_encode(id));
    let mut told = String::new();
    loop {
        let answer = client.ask(Method::GET, &path, None).await?;
        if answer.status != 200 {
            return Err(Failure::Running(answer.problem()));
        }
        let seen: Status = serde_json::from_slice(&answer.body).map_err(Failure::running)?;
        let status = seen.status.as_str();
        let is_final = matches!(status, "DELIVERED" | "READ" | "FAILED") || status == last;
        if status != told {
            if as_json && is_final {
                console::line(answer.text());
            } else if !as_json {
                console::line(format!("{id} {status} ({})", console::counted(seen.parts.len(), "part")));
            }
            status.clone_into(&mut told);
        }
        if is_final {
            let failed = Failure::Running(format!(
                "message {id} failed; for the reason see GET {path} or the admin page"
            ));
            return if told == "FAILED" { Err(failed) } else { Ok(()) };
        }
        if tokio::time::Instant::now() + LOOK_EVERY > deadline {
            let waited = wait.as_secs();
            return Err(Failure::Running(format!(
                "message {id} is {told} after {waited} s; for the reason see GET {path} or the admin page"
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
