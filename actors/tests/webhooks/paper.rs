//! A provider on paper: its webhooks are arrays of items in plain words, signed with one word.

use std::sync::Arc;

use actors::webhook::Call;
use channels::{
    Capabilities, Channel,
    error::SendError,
    http::{Malformed, Refused, Reply, Request, Response, Webhook},
    provider::{
        HttpChannel, InEvent, InMessage, InReceipt, OutPart, Provider, Received, Report, Sent, Signature,
        Step,
    },
};
use message::{BodyType, Content};
use serde_json::Value;

pub(crate) const PROVIDER: Provider = Provider {
    name: "paper",
    channel_types: &[],
    summary: "a provider on paper",
    documentation: "https://example.org",
    secrets: &[],
    signature: Signature::Required("key"),
    capabilities: || Capabilities::TEXT,
    statuses: &[],
    channel: |_| Ok(Arc::new(Paper::default())),
};

/// The account.
#[derive(Debug)]
pub(crate) struct Paper(pub(crate) Capabilities);

impl Default for Paper {
    fn default() -> Self {
        Self(Capabilities::TEXT)
    }
}

impl Paper {
    pub(crate) fn channel(self) -> Arc<dyn Channel> {
        Arc::new(self)
    }
}

impl HttpChannel for Paper {
    fn provider(&self) -> &'static Provider {
        &PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        self.0.clone()
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, channels::Rejection> {
        if address.starts_with("user-") { Ok(address.into()) } else { channels::number::customer(address) }
    }

    fn send(&self, _part: &OutPart<'_>) -> Result<Request, SendError> {
        Ok(Request::get("http://127.0.0.1:1/"))
    }

    fn answer(&self, _part: &OutPart<'_>, _answers: &[Response]) -> Result<Step, SendError> {
        Ok(Step::Sent(Sent { id: "p-1".into(), customer: None }))
    }

    fn handshake(&self, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        Ok(webhook.parameter("challenge").map(|challenge| Reply::text(&challenge)))
    }

    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused> {
        match webhook.header("x-signature") {
            Some("good") => Ok(()),
            Some(_) => Err(Refused { status: 403, reason: "x-signature does not fit".into() }),
            None => Err(Refused::new("x-signature is missing")),
        }
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let items: Vec<Value> =
            serde_json::from_slice(webhook.body).map_err(|_| Malformed::new("the body is no array"))?;
        let events = items.iter().map(event).collect();
        Ok(Received { events, ignored: 0, reply: Some(Reply::json("{\"taken\":true}")) })
    }
}

fn event(item: &Value) -> InEvent {
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    if item["broken"] == true {
        return InEvent::Broken("it has no sender".into());
    }
    if let Some(report) = item["report"].as_str() {
        let report = match report {
            "delivered" => Report::Delivered,
            "read" => Report::Read,
            "failed" => Report::Failed,
            _ => Report::Nothing,
        };
        return InEvent::Receipt(Box::new(InReceipt {
            reference: item["reference"].as_str().map(Into::into),
            id: text("id").into(),
            report,
            code: text("code").into(),
            did: "".into(),
            customer: text("from").into(),
            watermark_ms: item["watermark"].as_i64(),
        }));
    }
    let content = match item["body"].as_str() {
        Some(json) => Content::Rich { body_type: BodyType::Image, json: json.into() },
        None => Content::Text(text("text").into()),
    };
    let mut message = InMessage::new("", text("from"), text("id"), content);
    message.aliases =
        item["aliases"].as_array().into_iter().flatten().map(|a| a.as_str().unwrap().into()).collect();
    message.reply_to = item["replyTo"].as_str().map(Into::into);
    if let Some(payload) = item["payload"].as_str() {
        message.attributes.push(("payload".into(), payload.into()));
    }
    InEvent::Message(Box::new(message))
}

/// A signed call with items.
pub(crate) fn call(items: &[Value]) -> Call {
    signed("good", serde_json::to_vec(items).unwrap())
}

pub(crate) fn signed(signature: &str, body: Vec<u8>) -> Call {
    let headers = match signature {
        "" => Vec::new(),
        signature => vec![("x-signature".into(), signature.into())],
    };
    Call {
        method: "POST".into(),
        url: "https://example.org/webhooks/paper".into(),
        query: "".into(),
        headers,
        body: body.into(),
    }
}
