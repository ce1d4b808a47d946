//! The registry of simulated REST providers. Each provider is a file or folder of its own and knows no other.

mod bandwidth;
mod facebook;
mod general;
mod instagram;
mod telegram;
mod telnyx;
mod twilio;
mod viber;
mod voipms;
mod whatsapp_360dialog;
mod whatsapp_cloud;

use crate::contract::{About, Provider};

/// All simulated REST providers, ordered by name.
pub(crate) static PROVIDERS: &[&dyn Provider] = &[
    &general::ALHAMBRA,
    &general::ATHENA,
    &bandwidth::BANDWIDTH,
    &facebook::FACEBOOK,
    &general::GENERAL,
    &instagram::INSTAGRAM,
    &general::IXICA,
    &general::NETPLANET,
    &telegram::TELEGRAM,
    &telnyx::TELNYX,
    &twilio::TWILIO,
    &twilio::TWILIO_WHATSAPP,
    &general::VETTA,
    &viber::VIBER,
    &voipms::VOIPMS,
    &whatsapp_360dialog::WHATSAPP_360DIALOG,
    &whatsapp_cloud::WHATSAPP_CLOUD,
];

/// Returns the descriptions of all simulated REST providers, ordered by name.
pub fn providers() -> impl Iterator<Item = &'static About> {
    PROVIDERS.iter().copied().map(|provider| provider.about())
}
