//! Twilio's SMS and WhatsApp products.

use crate::family::twilio::{Twilio, check::Product, twilio};

pub(crate) static TWILIO: Twilio = twilio("twilio", "Twilio SMS", Product::Sms);
pub(crate) static TWILIO_WHATSAPP: Twilio = twilio("twilio_whatsapp", "Twilio WhatsApp", Product::WhatsApp);
