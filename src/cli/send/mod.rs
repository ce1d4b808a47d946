//! `patchbay send`: sends one message through a running Patchbay, or shows what would be sent.

mod body;
mod follow;
mod plan;

use std::time::Duration;

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use self::body::BodyArguments;
use super::client::{Answer, Client, Port};
use crate::{console, run::Failure};

const HELP: &str = "Exit codes:\n  0  accepted; with --wait, delivered (or sent, where the provider reports no more)\n  \
    1  failure while running, such as a full disk\n  2  bad usage, or refused: the error names what is wrong\n  \
    3  with --wait: the message failed; the reason is printed\n  \
    4  with --wait: the status is not final in time; the reason is printed\n  \
    5  Patchbay cannot be reached\n\n\
    Examples:\n  patchbay send --from 5155 --to +4917600000001 --text Hello --wait 20s\n  \
    patchbay send --from 15550100001 --to +4917600000001 --channel wa --template order_update --value Ann --plan\n  \
    echo '{\"type\": \"IMAGE\", \"attachment\": {\"mediaUrl\": \"https://example.org/a.png\"}}' | \
    patchbay send --from 5155 --to +4917600000001 --body -";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct SendArguments {
    /// The customer's address
    #[arg(long)]
    to: String,
    /// Your own address on the channel (a number, a page id, ...)
    #[arg(long)]
    from: String,
    /// The channel, where several have this address: its id, its provider or its type
    #[arg(long)]
    channel: Option<String>,
    #[command(flatten)]
    body: BodyArguments,
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
    /// Wait for the final status, at most this long; 60s without a TIME
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60s", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Only print what would be sent, over which channel, and why
    #[arg(long, conflicts_with = "wait")]
    plan: bool,
    /// Print answers as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    message_id: String,
    #[serde(default)]
    duplicate: bool,
}

pub(super) async fn perform(arguments: SendArguments) -> Result<(), Failure> {
    let client = Client::new(Port::Public, &arguments.url, arguments.api_key.clone())?;
    let message = message(&arguments)?.to_string().into_bytes();
    if arguments.plan {
        let answer = post(&client, "/v1/messages?plan=true", message).await?;
        return plan::print(&client, &answer, arguments.json);
    }
    let mut planned = None;
    if arguments.wait.is_some() {
        let answer = post(&client, "/v1/messages?plan=true", message.clone()).await?;
        planned = Some(client.read::<plan::Planned>(&answer)?);
    }
    let answer = post(&client, "/v1/messages", message).await?;
    let accepted: Accepted = client.read(&answer)?;
    let over = planned.as_ref().map(|plan| format!(" over {}", plan.channel)).unwrap_or_default();
    match (arguments.json, accepted.duplicate) {
        (true, _) => console::line(answer.text()),
        (false, false) => console::line(format!("{} ACCEPTED{over}", accepted.message_id)),
        (false, true) => {
            console::line(format!("{} was ACCEPTED before; nothing new is sent", accepted.message_id))
        }
    }
    match (arguments.wait, planned) {
        (Some(wait), Some(plan)) => {
            let ends = follow::Ends { within: wait, last: plan.last_status() };
            follow::follow(&client, &accepted.message_id, &ends, arguments.json).await
        }
        _ => Ok(()),
    }
}

fn message(arguments: &SendArguments) -> Result<Value, Failure> {
    let mut channel_data = json!({
        "channelCustomerIdentifier": arguments.to,
        "serviceIdentifier": arguments.from,
    });
    if let Some(map) = channel_data.as_object_mut() {
        map.extend(arguments.priority.map(|priority| ("requestPriority".to_owned(), priority.into())));
        map.extend(arguments.channel.clone().map(|channel| ("channelTypeCode".to_owned(), channel.into())));
    }
    Ok(json!({
        "id": arguments.id,
        "header": {
            "channelData": channel_data,
            "sender": { "id": "patchbay-send", "type": "APP", "senderName": "patchbay send" },
        },
        "body": arguments.body.read()?,
    }))
}

async fn post(client: &Client, path: &str, message: Vec<u8>) -> Result<Answer, Failure> {
    let answer = client.ask(Method::POST, path, Some(message)).await?;
    if (200..300).contains(&answer.status) { Ok(answer) } else { Err(not_sent(client, &answer)) }
}

fn not_sent(client: &Client, answer: &Answer) -> Failure {
    match client.refused(answer) {
        Failure::Usage(why) => Failure::Usage(format!("not sent: {why}")),
        Failure::Running(why) => Failure::Running(format!("not sent: {why}")),
        other => other,
    }
}
