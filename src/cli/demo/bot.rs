//! The demo's business: an HTTP destination that answers every customer. It answers 200 only after its own answer
//! was accepted, and names it after the message it answers, so that a repeated delivery sends nothing twice.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::story::{Happening, digits};
use crate::{cli::client::Client, config::EdgeLimits, http::answer, run::Failure};

pub(super) const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 64,
    body_bytes_max: 1024 * 1024,
    connections_max: 64,
    header_timeout: Duration::from_secs(30),
};

/// The bot.
#[derive(Clone)]
pub(super) struct Bot {
    router: Arc<Client>,
    tell: mpsc::Sender<Happening>,
}

/// What the bot reads of a CIM message.
#[derive(Deserialize)]
struct Cim {
    id: String,
    header: Header,
    body: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    channel_data: ChannelData,
    intent: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChannelData {
    channel_customer_identifier: String,
    service_identifier: String,
}

impl Bot {
    pub(super) fn new(router_url: &str, tell: mpsc::Sender<Happening>) -> Result<Self, Failure> {
        Ok(Self { router: Arc::new(Client::new(router_url, None)?), tell })
    }

    /// Takes one POST of the router's.
    pub(super) async fn handle(self, request: hyper::Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), LIMITS.body_bytes_max).collect().await;
        let Ok(body) = body.map(|b| b.to_bytes()) else {
            return answer::error(StatusCode::BAD_REQUEST, "the body did not arrive whole");
        };
        let cim: Cim = match serde_json::from_slice(&body) {
            Ok(cim) => cim,
            Err(e) => {
                let why = format!("the bot could not read what the router posted: {e}");
                _ = self.tell.send(Happening::BotFailed { why: why.clone() }).await;
                return answer::error(StatusCode::BAD_REQUEST, &why);
            }
        };
        match self.react(&cim).await {
            Ok(()) => Response::new(Body::empty()),
            Err(why) => {
                let why = why.to_string();
                _ = self.tell.send(Happening::BotFailed { why: why.clone() }).await;
                answer::error(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
        }
    }

    async fn react(&self, cim: &Cim) -> Result<(), Failure> {
        let text = |key: &str| cim.body.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        match text("type").as_str() {
            "DELIVERYNOTIFICATION" => {
                let (id, status) = (text("messageId"), text("status"));
                self.tell(Happening::BotTold { id, status, reason: text("markdownText") }).await;
                Ok(())
            }
            "PLAIN" if cim.header.intent.is_none() => self.reply(cim, &text("markdownText")).await,
            _ => Ok(()),
        }
    }

    async fn reply(&self, cim: &Cim, text: &str) -> Result<(), Failure> {
        let addresses = &cim.header.channel_data;
        let customer = digits(&addresses.channel_customer_identifier).to_owned();
        self.tell(Happening::BotHeard { from: customer.clone(), text: text.into() }).await;
        let id = format!("re-{}", cim.id);
        let message = json!({
            "id": id,
            "header": {
                "channelData": {
                    "channelCustomerIdentifier": addresses.channel_customer_identifier,
                    "serviceIdentifier": addresses.service_identifier,
                },
                "sender": { "id": "echo", "type": "BOT", "senderName": "Echo bot" },
            },
            "body": { "type": "PLAIN", "markdownText": format!("You wrote: {text}") },
        });
        let answer =
            self.router.ask(Method::POST, "/v1/messages", Some(message.to_string().into_bytes())).await?;
        if answer.status != 202 {
            return Err(Failure::Running(answer.problem()));
        }
        self.tell(Happening::BotAnswered { to: customer, id }).await;
        Ok(())
    }

    async fn tell(&self, happening: Happening) {
        // Nobody listens any more when the demo ends.
        _ = self.tell.send(happening).await;
    }
}
