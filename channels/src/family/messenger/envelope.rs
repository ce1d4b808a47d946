//! The envelope of an item: who wrote to whom and when.

use message::{Content, Timestamp};
use serde_json::Value;

use crate::{
    contract::{InEvent, InMessage, InReceipt, Report},
    toolkit::json,
};

/// The sender, recipient and time of an item.
pub(super) struct Envelope<'a> {
    pub(super) item: &'a Value,
    pub(super) customer: String,
    pub(super) did: String,
    pub(super) time: Option<Timestamp>,
}

impl Envelope<'_> {
    pub(super) fn message(&self, id: &str, content: Content) -> InMessage {
        let mut message = InMessage::new(&self.did, &self.customer, id, content);
        message.time = self.time;
        message
    }

    /// Returns an id for an item without one, equal in every repetition.
    pub(super) fn id(&self, of: &str, kind: &str) -> String {
        let at = self.time.map_or(0, |time| time.0);
        format!("{of}#{kind}:{}:{at}", self.customer)
    }

    pub(super) fn receipt(&self, id: &str, report: Report, code: &str, watermark_ms: Option<i64>) -> InEvent {
        InEvent::Receipt(Box::new(InReceipt {
            reference: None,
            id: id.into(),
            report,
            code: code.into(),
            did: self.did.as_str().into(),
            customer: self.customer.as_str().into(),
            watermark_ms,
        }))
    }

    pub(super) fn text(&self, pointer: &str) -> String {
        json::text(self.item, pointer).unwrap_or_default().into_owned()
    }
}

pub(super) fn event(message: InMessage) -> InEvent {
    InEvent::Message(Box::new(message))
}

pub(super) fn with(message: &mut InMessage, key: &str, value: &str) {
    if !value.is_empty() {
        message.attributes.push((key.into(), value.into()));
    }
}

pub(super) fn referral(message: &mut InMessage, referral: Option<&Value>) {
    if let Some(referral) = referral.filter(|referral| referral.is_object()) {
        with(message, "referral", &referral.to_string());
    }
}
