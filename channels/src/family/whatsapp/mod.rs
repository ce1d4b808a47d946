//! WhatsApp as Meta's Cloud API and its resellers implement it: one message format, one webhook
//! format, one table of errors. Addresses, credentials and signatures are each provider's own.

mod events;
mod notices;
mod receive;
mod send;
mod wamid;

use std::sync::Arc;

use message::BodyType;
use serde_json::{Value, json};

use crate::{
    address::number,
    contract::{
        Capabilities, OutPart, Rejection, Report, SendError, Sent, Step,
        capability::{Buttons, DefaultRate, Format, LongText, Opens},
        http::{Body, Request, Response},
    },
    family::meta::graph_api::GraphError,
    toolkit::{classify, json},
};

pub use events::EVENTS;
pub use receive::read;
pub use send::{Conversation, Media};
pub use wamid::token;

/// WhatsApp's words for the state of a message.
pub const STATUSES: &[(&str, Report)] = &[
    ("sent", Report::Sent),
    ("delivered", Report::Delivered),
    ("read", Report::Read),
    ("played", Report::Read),
    ("failed", Report::Failed),
    ("deleted", Report::Nothing),
    ("warning", Report::Nothing),
];

/// Returns WhatsApp's capabilities.
pub const fn capabilities() -> Capabilities {
    Capabilities {
        native: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Contact,
            BodyType::Button,
            BodyType::Template,
            BodyType::Custom,
        ],
        text_characters_max: 4_096,
        long_text: LongText::Cut,
        format: Format::Own,
        caption_characters_max: 1_024,
        captionless: &[BodyType::Audio],
        buttons: Buttons {
            max: 3,
            rows_max: 10,
            title_characters_max: 20,
            row_title_characters_max: 24,
            payload_bytes_max: 256,
            text_characters_max: 1_024,
            opens: Opens::OnePage,
        },
        frame_characters_max: 60,
        inbound_types: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Contact,
            BodyType::Receipt,
            BodyType::DeletedNotification,
            BodyType::Notification,
        ],
        window_hours: Some(24),
        send_rate: DefaultRate { per_second: 80, basis: "WhatsApp's default throughput of a number" },
        typing: true,
        mark_read: true,
        read_receipts: true,
        ..Capabilities::TEXT
    }
}

/// Returns a telephone number, or the business-scoped id (`US.1234`) of a customer who hides the
/// number.
///
/// # Errors
/// The address is neither.
pub fn customer(address: &str) -> Result<Arc<str>, Rejection> {
    let address = address.trim();
    if is_user_id(address) { Ok(address.into()) } else { Ok(number::customer(address)?) }
}

/// Returns whether an address is a business-scoped id: a country, a dot, letters, digits and dots.
fn is_user_id(address: &str) -> bool {
    let Some((country, rest)) = address.split_once('.') else { return false };
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=USER_ID_BYTES_MAX).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

/// Maximum length of a business-scoped id after its country, in octets.
const USER_ID_BYTES_MAX: usize = 150;

/// Pause of the channel when WhatsApp considers it a source of spam, in milliseconds.
const SPAM_PAUSE_MS: u64 = 600_000;

/// Parses the answer to a send; `own` knows errors that are not Meta's.
///
/// # Errors
/// The message was not taken.
pub fn sent(
    part: &OutPart<'_>,
    response: &Response,
    own: impl FnOnce(&Response, &Value) -> SendError,
) -> Result<Step, SendError> {
    let said = json::parse(&response.body).unwrap_or_default();
    if !response.is_success() {
        return Err(match GraphError::of(&said) {
            Some(error) => class(response, error),
            None => own(response, &said),
        });
    }
    let Some(id) = json::some_text(&said, "/messages/0/id") else {
        return Err(classify::unreadable(response, "messages[0].id"));
    };
    let spelled = json::some_text(&said, "/contacts/0/wa_id").filter(|wa_id| *wa_id != part.customer);
    let customer = spelled.filter(|_| !is_user_id(part.customer)).map(|wa_id| (&*wa_id).into());
    Ok(Step::Sent(Sent { id: (&*id).into(), customer }))
}

/// Classifies Meta's codes for WhatsApp.
pub fn class(response: &Response, error: GraphError) -> SendError {
    let GraphError { code, transient, cause, .. } = error;
    match code {
        131_048 => SendError::Throttled { after_ms: response.retry_after_ms().max(SPAM_PAUSE_MS), cause },
        4 | 613 | 80_007 | 130_429 | 133_016 => {
            SendError::Throttled { after_ms: response.retry_after_ms(), cause }
        }
        // The limit of one pair of addresses.
        131_056 => SendError::CustomerThrottled { after_ms: response.retry_after_ms(), cause },
        1 | 2 | 131_000 | 131_016 | 131_053 | 131_057 => SendError::Unavailable(cause),
        // Token and permissions, which the probe checks; a permission may be one object's.
        0 | 3 | 10 | 190 | 200..=299 | 131_005 => SendError::Forbidden(cause),
        // The state of the account or number, which every message would meet.
        368 | 131_031 | 131_037 | 131_042 | 131_045 | 133_010 => SendError::CredentialsRefused(cause),
        131_050 => SendError::Unsubscribed(cause),
        _ if transient => SendError::Unavailable(cause),
        33 | 100 | 130_000..=139_999 if response.status < 500 && response.status != 429 => {
            SendError::Rejected(cause)
        }
        _ => SendError::of_status(response, cause),
    }
}

/// Returns a call that marks a message and those before it as read, optionally with a typing
/// indicator, which lasts 25 s or until something is sent.
pub fn sign(url: String, message_id: &str, typing: bool) -> Request {
    let mut body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": message_id});
    if typing {
        json::set(&mut body, "typing_indicator", json!({"type": "text"}));
    }
    Request::post(url, Body::Json(body.to_string())).harmless()
}
