//! Wire forms that two or more providers share. A provider's file only describes how it differs.

pub(crate) mod described;
pub(crate) mod messenger;
pub(crate) mod meta;
pub(crate) mod twilio;
pub(crate) mod whatsapp;
