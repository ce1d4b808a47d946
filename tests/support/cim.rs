//! CIM messages as a business writes them.

use serde_json::{Value, json};

/// The business's number in the stories.
pub(crate) const DID: &str = "5155";

/// A text to a customer.
pub(crate) fn text(id: &str, to: &str, text: &str) -> Value {
    text_from(DID, id, to, text)
}

/// A text from another number of ours.
pub(crate) fn text_from(did: &str, id: &str, to: &str, text: &str) -> Value {
    json!({
        "id": id,
        "header": {
            "channelData": { "channelCustomerIdentifier": to, "serviceIdentifier": did },
            "sender": { "id": "agent-7", "type": "AGENT", "senderName": "Ann" },
            "timestamp": 1_760_000_000_000u64,
        },
        "body": { "type": "PLAIN", "markdownText": text },
    })
}

/// With a key in `channelData`, such as `requestPriority`.
pub(crate) fn with(mut message: Value, key: &str, value: Value) -> Value {
    message["header"]["channelData"][key] = value;
    message
}

/// With an attribute, such as `validityPeriod`.
pub(crate) fn attribute(message: Value, key: &str, value: Value) -> Value {
    with(message, "additionalAttributes", json!([{ "key": key, "type": "String50", "value": value }]))
}

/// The `n`th customer's number.
pub(crate) fn customer(n: usize) -> String {
    format!("+4917{n:08}")
}
