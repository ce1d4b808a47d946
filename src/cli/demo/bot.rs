//! The business of the demo: an HTTP destination that answers every customer on any channel. It
//! answers 200 only after its reply was accepted, and derives the reply's id from the message's, so
//! that a repeated delivery sends nothing twice.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use channels::url::percent_encode;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    channel::Channel,
    fact::{Fact, Heard, Picture},
    provider::Provider,
};
use crate::{
    cli::client::{Client, Port},
    config::EdgeLimits,
    http::{answer, problem::Kind},
    run::Failure,
};

pub(super) const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 64,
    body_bytes_max: 1024 * 1024,
    connections_max: 64,
    header_timeout: Duration::from_secs(30),
    ..EdgeLimits::DEFAULT
};

/// The prefix of button payloads, by which the bot recognises an answer to its question.
pub(super) const DAY: &str = "day:";

/// The bot; clones share their state.
#[derive(Clone)]
pub(super) struct Bot {
    router: Arc<Client>,
    /// The URL below which customers' files are served.
    public_url: Arc<str>,
    providers: Arc<[Provider]>,
    tell: mpsc::Sender<Fact>,
}

/// The parts of a CIM message that the bot reads.
#[derive(Deserialize)]
struct Cim {
    id: String,
    header: Header,
    body: Value,
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
    pub(super) fn new(
        public_url: &str,
        providers: &[Provider],
        tell: mpsc::Sender<Fact>,
    ) -> Result<Self, Failure> {
        let router = Arc::new(Client::new(Port::Public, public_url, None)?);
        Ok(Self { router, public_url: public_url.into(), providers: providers.into(), tell })
    }

    /// Handles one POST of the router.
    pub(super) async fn handle(self, request: hyper::Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), LIMITS.body_bytes_max).collect().await;
        let Ok(body) = body.map(|b| b.to_bytes()) else {
            return answer::error(Kind::IncompleteBody, "the body is incomplete");
        };
        let cim: Cim = match serde_json::from_slice(&body) {
            Ok(cim) => cim,
            Err(e) => {
                let why = format!("the bot could not read what the router posted: {e}");
                self.tell(Fact::BotFailed { why: why.clone() }).await;
                return answer::error(Kind::MalformedBody, why);
            }
        };
        match self.react(&cim).await {
            Ok(()) => Response::new(Body::empty()),
            Err(why) => {
                let why = why.to_string();
                self.tell(Fact::BotFailed { why: why.clone() }).await;
                answer::error(Kind::Busy, why)
            }
        }
    }

    async fn react(&self, cim: &Cim) -> Result<(), Failure> {
        let did = &cim.header.channel_data.service_identifier;
        let Some(provider) = self.providers.iter().find(|provider| provider.is_own(did)) else {
            return Err(Failure::Running(format!("the bot has no channel with the address {did:?}")));
        };
        let channel = provider.channel;
        let text = |path: &str| cim.body.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text("/type");
        if kind == "DELIVERYNOTIFICATION" {
            let (id, status) = (text("/messageId"), text("/status"));
            self.tell(Fact::BotTold { channel, id, status, reason: text("/markdownText") }).await;
            return Ok(());
        }
        // Messages that open or end a session have no text.
        if matches!(cim.header.intent.as_deref(), Some("START_CHAT" | "END_CHAT")) {
            return Ok(());
        }
        let mut heard = Heard {
            id: cim.id.clone(),
            customer: cim.header.channel_data.channel_customer_identifier.clone(),
            text: text("/markdownText"),
            payload: text("/additionalDetails/payload"),
            picture: None,
        };
        let reply = match kind.as_str() {
            "PLAIN" if heard.payload.starts_with(DAY) => format!("Booked for you: {}.", heard.text),
            "PLAIN" => format!("You wrote: {}", heard.text),
            "IMAGE" => {
                heard.text = text("/caption");
                let picture = self.fetched(text("/attachment/mediaUrl")).await?;
                let words = format!("Thank you for the picture ({} bytes).", picture.bytes);
                heard.picture = Some(picture);
                words
            }
            _ => return Ok(()),
        };
        self.reply(channel, heard, &reply, did).await
    }

    async fn reply(&self, channel: Channel, heard: Heard, words: &str, did: &str) -> Result<(), Failure> {
        let body = json!({ "type": "PLAIN", "markdownText": words });
        let message = message(&answer_to(&heard.id), did, &heard.customer, &body);
        self.tell(Fact::BotHeard { channel, heard }).await;
        self.send(message).await
    }

    /// Sends a message through the router.
    pub(super) async fn send(&self, message: Value) -> Result<(), Failure> {
        let body = Some(message.to_string().into_bytes());
        match self.router.ask(Method::POST, "/v1/messages", body).await? {
            answer if answer.status == 202 => Ok(()),
            answer => Err(Failure::Running(answer.problem())),
        }
    }

    /// Asks the router for a message.
    pub(super) async fn message(&self, id: &str) -> Result<Value, Failure> {
        let path = format!("/v1/messages/{}", percent_encode(id));
        let answer = self.router.ask(Method::GET, &path, None).await?;
        if answer.status != 200 {
            return Err(Failure::Running(format!("message {id}: {}", answer.problem())));
        }
        serde_json::from_slice(&answer.body).map_err(Failure::running)
    }

    /// Fetches a customer's file from the router.
    async fn fetched(&self, url: String) -> Result<Picture, Failure> {
        let failed = |why: &dyn std::fmt::Display| Failure::Running(format!("the file at {url:?}: {why}"));
        let path = url.strip_prefix(&*self.public_url).ok_or_else(|| failed(&"not a URL of this router"))?;
        let answer = self.router.open(Method::GET, path, None).await?;
        let status = answer.status();
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let body = Limited::new(answer.into_body(), LIMITS.body_bytes_max).collect().await;
        let bytes = body.map_err(|e| failed(&e))?.to_bytes().len();
        if status != StatusCode::OK {
            return Err(failed(&status));
        }
        Ok(Picture { url, kind, bytes })
    }

    async fn tell(&self, fact: Fact) {
        // The receiver is gone once the demo ends.
        _ = self.tell.send(fact).await;
    }
}

/// Returns the id of the bot's reply to a message.
pub(super) fn answer_to(id: &str) -> String {
    format!("re-{id}")
}

/// Returns a CIM message to a customer.
pub(super) fn message(id: &str, did: &str, customer: &str, body: &Value) -> Value {
    json!({
        "id": id,
        "header": {
            "channelData": { "channelCustomerIdentifier": customer, "serviceIdentifier": did },
            "sender": { "id": "echo", "type": "BOT", "senderName": "Echo bot" },
        },
        "body": body,
    })
}
