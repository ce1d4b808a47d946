//! Wire formats that several providers share. None of them knows a provider.

pub mod messenger;
pub mod meta;
pub mod telnyx_events;
pub mod twilio;
pub mod whatsapp;
