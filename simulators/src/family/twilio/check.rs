//! Twilio's rules for messages, and its error codes for those that break them.

use serde_json::{Map, Value, json};

use crate::toolkit::{
    http::{Fields, Response},
    number::is_e164,
};

const TEXT_MAX: usize = 1_600;
const MEDIA_MAX: usize = 10;

pub(crate) fn error(status: u16, code: u32, message: &str) -> Response {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    Response::json(status, &json!({"code": code, "message": message, "more_info": more, "status": status}))
}

pub(crate) fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|o| o.is_ascii_hexdigit()))
}

/// The prefix of WhatsApp addresses.
pub(crate) const WHATSAPP: &str = "whatsapp:";

/// The product that a simulated Twilio account sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TwilioProduct {
    Sms,
    WhatsApp,
}

impl TwilioProduct {
    fn media_max(self) -> usize {
        match self {
            Self::Sms => MEDIA_MAX,
            Self::WhatsApp => 1,
        }
    }

    /// Returns a valid address without its prefix.
    fn address(self, address: &str) -> Option<&str> {
        let bare = match address.strip_prefix(WHATSAPP) {
            Some(bare) if self == Self::WhatsApp => bare,
            None if self == Self::Sms => address,
            _ => return None,
        };
        // A business-scoped user id: a country, a dot and an opaque name.
        let opaque = self == Self::WhatsApp
            && bare.split_once('.').is_some_and(|(country, id)| country.len() == 2 && !id.is_empty());
        (opaque || is_e164(bare)).then_some(bare)
    }

    fn is_sender(self, from: &str) -> bool {
        let short = (3..=8).contains(&from.len()) && from.bytes().all(|octet| octet.is_ascii_digit());
        let named = (1..=11).contains(&from.len())
            && from.bytes().any(|octet| octet.is_ascii_alphabetic())
            && from.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b' ');
        self.address(from).is_some() || (self == Self::Sms && (short || named))
    }

    /// Returns the refusal of an invalid request.
    pub(crate) fn refusal(self, fields: &Fields, media: usize) -> Option<Response> {
        let (to, from) = (fields.text("To"), fields.text("From"));
        let (words, content) = (fields.text("Body"), fields.text("ContentSid"));
        let service = fields.text("MessagingServiceSid");
        let callback = fields.text("StatusCallback");
        let bad = |code, message: &str| Some(error(400, code, message));
        if to.is_empty() {
            return bad(21604, "A 'To' phone number is required.");
        }
        if from.is_empty() && service.is_empty() {
            return bad(21603, "A 'From' phone number is required.");
        }
        if self.address(to).is_none() {
            return bad(21211, "Invalid 'To' Phone Number");
        }
        if !from.is_empty() && !self.is_sender(from) {
            return if self == Self::WhatsApp || from.starts_with(WHATSAPP) {
                bad(63007, "Twilio could not find a Channel with the specified From address")
            } else {
                bad(21212, "Invalid 'From' Phone Number")
            };
        }
        if !service.is_empty() && !is_sid(service, "MG") {
            return bad(21701, "The Messaging Service does not exist");
        }
        if words.is_empty() && media == 0 && content.is_empty() {
            return bad(21619, "A text message body, media urls or content SID must be specified.");
        }
        if words.chars().count() > TEXT_MAX {
            return bad(21617, "The concatenated message body exceeds the 1600 character limit");
        }
        if media > self.media_max() {
            return bad(21623, "Number of media files exceeds allowed limit");
        }
        if fields.all("MediaUrl").any(|url| !url.starts_with("http")) {
            return bad(21620, "Invalid media URL(s)");
        }
        if !content.is_empty() && (!is_sid(content, "HX") || !words.is_empty() || media > 0) {
            return bad(21655, "The ContentSid is invalid");
        }
        let variables = fields.text("ContentVariables");
        if !variables.is_empty() && serde_json::from_str::<Map<String, Value>>(variables).is_err() {
            return bad(21656, "The ContentVariables parameter is invalid");
        }
        let host = callback.split('/').nth(2).unwrap_or_default();
        if !callback.is_empty() && (!callback.starts_with("http") || host.is_empty() || host.contains('_')) {
            return bad(21609, "The 'StatusCallback' URL is not a valid URL.");
        }
        None
    }
}
