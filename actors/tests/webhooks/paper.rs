//! A provider on paper: its webhooks are arrays of items in plain words, signed with one word.

use std::sync::Arc;

use actors::webhook::WebhookCall;
use channels::{
    Capabilities, Channel, Fetch, HttpChannel, InEvent, InMessage, InMove, InReceipt, MediaRef, OutPart,
    Protection, Provider, Received, Report, SendError, Sent, Step,
    http::{Body, Malformed, Refused, Reply, Request, Response, Webhook},
    protection::{Place, SecretKey},
};
use message::{BodyType, Content, Timestamp, event::Cause};
use serde_json::{Value, json};
use smallvec::SmallVec;

pub(crate) const PROVIDER: Provider = Provider {
    name: "paper",
    channel_types: &[],
    summary: "a provider on paper",
    documentation: "https://example.org",
    secrets: &[],
    webhook: Protection::Token { place: Place::Header("x-word"), secret: SecretKey::Required("key") },
    capabilities: Capabilities::TEXT,
    statuses: &[],
    events: &[],
    account: &Vec::new,
    needs_https: false,
    channel: &|_, _| Ok(Arc::new(Paper::default())),
};

/// The account.
#[derive(Debug)]
pub(crate) struct Paper {
    pub(crate) capabilities: Capabilities,
    /// Its id at the shared address.
    pub(crate) shared: Option<&'static str>,
    /// The word that signs.
    pub(crate) word: &'static str,
    /// Whether answers name the customer otherwise.
    pub(crate) renames: bool,
}

impl Default for Paper {
    fn default() -> Self {
        Self { capabilities: Capabilities::TEXT, shared: None, word: "good", renames: false }
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
        self.capabilities
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, channels::Rejection> {
        if address.starts_with("user-") {
            Ok(address.into())
        } else {
            Ok(channels::address::number::customer(address)?)
        }
    }

    fn send(&self, part: &OutPart<'_>) -> Result<Request, SendError> {
        let text = match part.content {
            Content::Text(text) => text.to_string(),
            Content::Rich { json, .. } => json.to_string(),
            other => format!("{other:?}"),
        };
        let said = json!({
            "to": part.customer_shown, "canonical": part.customer, "text": text, "reference": part.reference,
            "replyTo": part.reply_to,
        });
        Ok(Request::post("https://paper.example/send", Body::Json(said.to_string())))
    }

    fn answer(&self, part: &OutPart<'_>, answers: &[Response]) -> Result<Step, SendError> {
        if matches!(part.content, Content::Text(text) if text.starts_with("lost")) {
            return Err(SendError::Unknown(Cause::new("silence", "nobody knows")));
        }
        let id = String::from_utf8_lossy(&answers[0].body).into_owned();
        let customer = self.renames.then(|| format!("user-{}", part.customer).into());
        Ok(Step::Sent(Sent { id: id.into(), customer }))
    }

    fn message_token(&self, id: &str) -> Option<Box<str>> {
        // `p-1` and `q-1` are one message.
        id.strip_prefix("p-").or_else(|| id.strip_prefix("q-")).map(Into::into)
    }

    fn shared_ids(&self) -> SmallVec<[&str; 2]> {
        self.shared.iter().copied().collect()
    }

    fn fetch(&self, media: &MediaRef, answers: &[Response]) -> Result<Fetch, SendError> {
        match answers {
            [] => Ok(Fetch::Next(Request::get(&*media.locator).hiding("hush"))),
            [.., last] if last.is_success() => Ok(Fetch::Got),
            [.., last] => Err(channels::SendError::by_status(last)),
        }
    }

    fn mark_read(&self, did: &str, customer: &str, provider_id: &str) -> Option<Request> {
        let said = json!({ "read": provider_id, "did": did, "to": customer });
        Some(Request::post("https://paper.example/read", Body::Json(said.to_string())).harmless())
    }

    fn typing(&self, did: &str, customer: &str, last_id: Option<&str>, on: bool) -> Option<Request> {
        let said = json!({ "typing": on, "did": did, "to": customer, "last": last_id });
        Some(Request::post("https://paper.example/typing", Body::Json(said.to_string())).harmless())
    }

    fn handshake(&self, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
        Ok(webhook.parameter("challenge").map(|challenge| Reply::text(&challenge)))
    }

    fn verify(&self, webhook: &Webhook<'_>) -> Result<(), Refused> {
        match webhook.header("x-signature") {
            Some(word) if word == self.word => Ok(()),
            Some(_) => Err(Refused::forbidden("x-signature does not fit")),
            None => Err(Refused::new("x-signature is missing")),
        }
    }

    fn receive(&self, webhook: &Webhook<'_>) -> Result<Received, Malformed> {
        let said: Value =
            serde_json::from_slice(webhook.body).map_err(|_| Malformed::new("the body is not JSON"))?;
        let items = said.pointer("/entry/0/messaging").unwrap_or(&said);
        let items = items.as_array().ok_or_else(|| Malformed::new("the body is not an array"))?;
        let events = items.iter().map(event).collect();
        Ok(Received { events, reply: Some(Reply::json("{\"taken\":true}")), ..Received::default() })
    }
}

fn event(item: &Value) -> InEvent {
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    if item["broken"] == true {
        return InEvent::Broken("it has no sender".into());
    }
    if let Some(says) = item["says"].as_str() {
        return InEvent::Account { about: text("about").into(), says: says.into() };
    }
    if let Some(out) = item["optOut"].as_bool() {
        return InEvent::OptOut { did: "".into(), customer: text("from").into(), out, id: text("id").into() };
    }
    if let Some(report) = item["report"].as_str() {
        let report = match report {
            "sent" => Report::Sent,
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
    if item["moved"].is_object() {
        let all = |key: &str| {
            let names = item["moved"][key].as_array().into_iter().flatten();
            names.map(|name| Arc::from(name.as_str().unwrap())).collect::<Vec<Arc<str>>>()
        };
        let names = all("to");
        let mut notice = InMessage::notice("", &names[0], text("id"), "moved", json!({"moved": true}));
        notice.time = item["at"].as_u64().map(Timestamp);
        return InEvent::Moved(Box::new(InMove {
            previous: all("from").into(),
            names: names.into(),
            released: all("free").into(),
            notice,
        }));
    }
    let content = match item["body"].as_str() {
        Some(json) => Content::Rich { body_type: BodyType::Image, json: json.into() },
        None => Content::Text(text("text").into()),
    };
    let mut message = InMessage::new("", text("from"), text("id"), content);
    message.aliases =
        item["aliases"].as_array().into_iter().flatten().map(|a| a.as_str().unwrap().into()).collect();
    let files = item["files"].as_array().into_iter().flatten();
    let file = |locator: &Value| MediaRef {
        locator: locator.as_str().unwrap().into(),
        content_type: None,
        file_name: Some("shelf.png".into()),
    };
    message.media = files.map(file).collect();
    message.time = item["at"].as_u64().map(Timestamp);
    message.reply_to = item["replyTo"].as_str().map(Into::into);
    if let Some(payload) = item["payload"].as_str() {
        message.attributes.push(("payload".into(), payload.into()));
    }
    InEvent::Message(Box::new(message))
}

/// A signed call with items.
pub(crate) fn call(items: &[Value]) -> WebhookCall {
    signed("good", serde_json::to_vec(items).unwrap())
}

pub(crate) fn signed(signature: &str, body: Vec<u8>) -> WebhookCall {
    let headers = match signature {
        "" => Vec::new(),
        signature => vec![("x-signature".into(), signature.into())],
    };
    WebhookCall {
        method: "POST".into(),
        url: "https://example.org/webhooks/paper".into(),
        query: "".into(),
        headers,
        body: body.into(),
    }
}
