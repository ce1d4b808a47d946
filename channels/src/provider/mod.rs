//! The registry of providers, one file or folder each.

pub mod bandwidth;
mod describe;
mod explain;
pub mod facebook;
pub mod instagram;
pub mod manifest;
pub mod smpp;
pub mod telegram;
pub mod telnyx;
pub mod twilio;
pub mod twilio_whatsapp;
pub mod viber;
pub mod voipms;
pub mod whatsapp_360dialog;
pub mod whatsapp_cloud;

pub use describe::{
    account_keys, account_schema, adapted, limits, receipts, send_rate, signature, table, words,
};
pub use explain::{Explanation, codes, explain};

use std::sync::LazyLock;

use crate::contract::Provider;

/// Every provider, in the order of the documentation: SMS, those described by a manifest, chats.
pub static PROVIDERS: LazyLock<Vec<&'static Provider>> =
    LazyLock::new(|| [SMS, manifest::providers(), CHATS].concat());

const SMS: &[&Provider] =
    &[&smpp::PROVIDER, &twilio::PROVIDER, &telnyx::PROVIDER, &bandwidth::PROVIDER, &voipms::PROVIDER];

const CHATS: &[&Provider] = &[
    &whatsapp_cloud::PROVIDER,
    &whatsapp_360dialog::PROVIDER,
    &twilio_whatsapp::PROVIDER,
    &facebook::PROVIDER,
    &instagram::PROVIDER,
    &telegram::PROVIDER,
    &viber::PROVIDER,
];

/// Returns the provider of this name.
pub fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|p| p.name == name).copied()
}
