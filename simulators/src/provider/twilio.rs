//! The descriptions of Twilio's two products; their wire form is in `family/twilio`.

use crate::family::twilio::{Twilio, check::TwilioProduct, twilio};

pub(crate) static TWILIO: Twilio = twilio("twilio", "Twilio SMS", TwilioProduct::Sms);
pub(crate) static TWILIO_WHATSAPP: Twilio =
    twilio("twilio_whatsapp", "Twilio WhatsApp", TwilioProduct::WhatsApp);
