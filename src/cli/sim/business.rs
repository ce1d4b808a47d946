//! `patchbay sim business`: a destination. Prints what arrives, and with `--echo` answers every
//! customer.

use std::{net::SocketAddr, sync::Arc};

use axum::body::Body;
use clap::Args;
use http::{Method, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ports;
use crate::{
    cli::{
        client::{Client, Port},
        table::word,
    },
    config::EdgeLimits,
    console,
    http::{answer, problem::Kind, serve::Listener},
    run::Failure,
};

const EXAMPLES: &str =
    "Examples:\n  patchbay sim business\n  patchbay sim business --echo --url http://127.0.0.1:8080";
/// The port that is tried first.
const USUAL_PORT: u16 = 9000;
/// The prefix of the id of an answer, before the id of the message that it answers: a repeated
/// delivery is answered once.
const ECHO: &str = "echo-";
const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 64,
    body_bytes_max: 4 * 1024 * 1024,
    connections_max: 64,
    ..EdgeLimits::DEFAULT
};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct BusinessArguments {
    /// The address to listen on [default: 127.0.0.1:9000, or the next free port]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The id of the destination in the configuration
    #[arg(long, default_value = "support")]
    id: String,
    /// Answer every customer with the same words
    #[arg(long)]
    echo: bool,
    /// With --echo: the URL of Patchbay's send API
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "PATCHBAY_URL")]
    url: String,
    /// With --echo: the API key to send with
    #[arg(long, env = "PATCHBAY_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Print what arrives as it is, one JSON document per line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The business; clones share their client.
#[derive(Clone)]
struct Business {
    /// Where answers are sent; `None` without `--echo`.
    echo: Option<Arc<Client>>,
    json: bool,
}

pub(super) async fn perform(arguments: BusinessArguments) -> Result<(), Failure> {
    let echo = match arguments.echo {
        true => Some(Arc::new(Client::new(Port::Public, &arguments.url, arguments.api_key)?)),
        false => None,
    };
    let bound = ports::bind(arguments.listen, USUAL_PORT).await?;
    let url = format!("http://{}/cim", bound.address);
    let destination = format!("[[destination]]\nid = {:?}\nurl = {url:?}\n", arguments.id);
    if arguments.json {
        console::line(json!({ "listens": url, "configuration": destination }).to_string());
    } else {
        console::line(format!("simulated business  {url}"));
        if let Some(note) = bound.note {
            console::line(note);
        }
        console::line(format!("\nconfiguration of the destination:\n\n{destination}"));
    }
    let business = Business { echo, json: arguments.json };
    let listener = Listener::of(bound.tcp).map_err(Failure::running)?;
    let (stop, stopping) = watch::channel(false);
    let serve = listener.serve(LIMITS, move |_, request| business.clone().handle(request), stopping);
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => { stop.send_replace(true); }
        () = serve => {}
    }
    Ok(())
}

impl Business {
    /// Handles one POST of the router: a message, or an array of them.
    async fn handle(self, request: hyper::Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), LIMITS.body_bytes_max).collect().await;
        let Ok(body) = body.map(|body| body.to_bytes()) else {
            return answer::error(Kind::IncompleteBody, "the body is incomplete or too large");
        };
        let posted: Value = match serde_json::from_slice(&body) {
            Ok(posted) => posted,
            Err(e) => return answer::error(Kind::MalformedBody, format!("not JSON: {e}")),
        };
        let messages = match &posted {
            Value::Array(messages) => messages.as_slice(),
            one => std::slice::from_ref(one),
        };
        for message in messages {
            console::line(if self.json { message.to_string() } else { told(message) });
            if let Err(why) = self.answer(message).await {
                console::error(format!("not answered: {why}; Patchbay delivers the message again"));
                return answer::error(Kind::Busy, why.to_string());
            }
        }
        Response::new(Body::empty())
    }

    async fn answer(&self, message: &Value) -> Result<(), Failure> {
        let Some(client) = &self.echo else { return Ok(()) };
        let Some(echo) = echo_of(message) else { return Ok(()) };
        let body = echo.to_string().into_bytes();
        match client.ask(Method::POST, "/v1/messages", Some(body)).await? {
            answer if answer.status == 202 => Ok(()),
            answer => Err(client.refused(&answer)),
        }
    }
}

/// Describes a message or notification in one line.
fn told(message: &Value) -> String {
    let empty = Value::Null;
    let (header, body) = (message.get("header").unwrap_or(&empty), message.get("body").unwrap_or(&empty));
    let data = header.get("channelData").unwrap_or(&empty);
    let kind = word(body, "type");
    if kind == "DELIVERYNOTIFICATION" {
        let status = word(body, "status");
        let code = Some(word(body, "reasonCode")).filter(|code| status == "FAILED" && !code.is_empty());
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        let words = Some(word(body, "markdownText")).filter(|words| !words.is_empty());
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        return format!("receipt   {} {}{code}{words}", word(body, "messageId"), status);
    }
    let from = format!("{} -> {}", word(data, "channelCustomerIdentifier"), word(data, "serviceIdentifier"));
    let intent = word(header, "intent");
    if !intent.is_empty() {
        return format!("session   {from}: {intent}");
    }
    let text = ["markdownText", "caption"].iter().map(|key| word(body, key)).find(|text| !text.is_empty());
    let file =
        body.pointer("/attachment/mediaUrl").map(|url| format!(" {}", url.as_str().unwrap_or_default()));
    let kind = if kind == "PLAIN" { String::new() } else { format!("{kind} ") };
    format!("customer  {from}: {kind}{}{}", text.unwrap_or_default(), file.unwrap_or_default())
}

/// Returns the answer to a customer's message; none to notifications and to messages that open or
/// end a session.
fn echo_of(message: &Value) -> Option<Value> {
    let (header, body) = (message.get("header")?, message.get("body")?);
    let kind = word(body, "type");
    if header.get("intent").is_some_and(|intent| !intent.is_null()) || kind.ends_with("NOTIFICATION") {
        return None;
    }
    let data = header.get("channelData")?;
    let text = word(body, "markdownText");
    let words = if text.is_empty() { format!("You sent: {kind}") } else { format!("You wrote: {text}") };
    let mut channel_data = json!({
        "channelCustomerIdentifier": data.get("channelCustomerIdentifier")?,
        "serviceIdentifier": data.get("serviceIdentifier")?,
    });
    if let (Some(map), Some(kind)) = (channel_data.as_object_mut(), data.get("channelTypeCode")) {
        map.insert("channelTypeCode".to_owned(), kind.clone());
    }
    Some(json!({
        "id": format!("{ECHO}{}", word(message, "id")),
        "header": {
            "channelData": channel_data,
            "sender": { "id": "echo", "type": "BOT", "senderName": "patchbay sim business" },
        },
        "body": { "type": "PLAIN", "markdownText": words },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(intent: Option<&str>, body: Value) -> Value {
        json!({
            "id": "m1",
            "header": {
                "channelData": { "channelCustomerIdentifier": "+491", "serviceIdentifier": "5155" },
                "intent": intent,
            },
            "body": body,
        })
    }

    #[test]
    fn what_arrives_is_told_in_one_line_and_only_customers_are_answered() {
        let cases = [
            (
                None,
                json!({"type": "PLAIN", "markdownText": "Hi"}),
                "customer  +491 -> 5155: Hi",
                Some("You wrote: Hi"),
            ),
            (
                None,
                json!({"type": "IMAGE", "caption": "my cat", "attachment": {"mediaUrl": "http://x/1"}}),
                "customer  +491 -> 5155: IMAGE my cat http://x/1",
                Some("You sent: IMAGE"),
            ),
            (Some("END_CHAT"), json!({"type": "PLAIN"}), "session   +491 -> 5155: END_CHAT", None),
            (
                None,
                json!({"type": "DELIVERYNOTIFICATION", "messageId": "m0", "status": "FAILED", "reasonCode": "34"}),
                "receipt   m0 FAILED (34)",
                None,
            ),
        ];
        for (intent, body, line, answer) in cases {
            let message = message(intent, body);
            assert_eq!(told(&message), line);
            let echo = echo_of(&message);
            assert_eq!(echo.as_ref().map(|echo| word(&echo["body"], "markdownText")).as_deref(), answer);
            assert!(echo.is_none_or(|echo| echo["id"] == "echo-m1"));
        }
    }
}
