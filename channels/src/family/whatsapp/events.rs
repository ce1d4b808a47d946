//! The events of WhatsApp's webhooks and what becomes of each, by Meta's reference (webhooks
//! overview and message types, August 2026), with the types that its SDKs and resellers add.

use crate::{
    contract::events::{
        EventKind,
        Fate::{Account, Ignored, Inside, Message, Move, Notice, Receipt},
        row,
    },
    family::meta::object::{OBJECT, OTHER_PRODUCT},
};

/// `entry[].changes[].field`.
pub(super) const FIELD: &str = "field";
/// `metadata.phone_number_id`.
pub(super) const NUMBER: &str = "number";
/// A member of `value`.
pub(super) const VALUE: &str = "value";
/// `messages[].type`.
pub(super) const MESSAGE: &str = "message";
/// `messages[].interactive.type`.
pub(super) const INTERACTIVE: &str = "interactive";
/// `messages[].system.type`.
pub(super) const SYSTEM: &str = "system";
/// `user_preferences[].category`.
pub(super) const PREFERENCE: &str = "preference";
/// `calls[].event`.
pub(super) const CALL: &str = "call";
/// `statuses[].status`.
pub(super) const STATUS: &str = "status";

const OWN_APP: &str = "the business wrote it itself, with its app";
const GROUPS: &str = "it manages a group, which is done where the group was made; its messages are delivered";
const OTHER_HANDLER: &str = "another app holds the conversation";

/// The table.
pub const EVENTS: &[EventKind] = &[
    row(FIELD, "messages", Inside),
    row(FIELD, "user_preferences", Inside),
    row(FIELD, "user_id_update", Move),
    row(FIELD, "calls", Inside),
    row(FIELD, "account_alerts", Account),
    row(FIELD, "account_review_update", Account),
    row(FIELD, "account_settings_update", Account),
    row(FIELD, "account_update", Account),
    row(FIELD, "business_capability_update", Account),
    row(FIELD, "business_status_update", Account),
    row(FIELD, "business_username_update", Account),
    row(FIELD, "message_template_components_update", Account),
    row(FIELD, "message_template_quality_update", Account),
    row(FIELD, "message_template_status_update", Account),
    row(FIELD, "partner_solutions", Account),
    row(FIELD, "payment_configuration_update", Account),
    row(FIELD, "phone_number_name_update", Account),
    row(FIELD, "phone_number_quality_update", Account),
    row(FIELD, "security", Account),
    row(FIELD, "template_category_update", Account),
    row(FIELD, "template_correct_category_detection", Account),
    row(FIELD, "flows", Account),
    row(FIELD, "automatic_events", Ignored("it measures advertisements, and tells the customer nothing")),
    row(FIELD, "tracking_events", Ignored("it measures clicks, and tells the customer nothing")),
    row(FIELD, "consumer_profile", Ignored("the profile's name comes with each message")),
    row(FIELD, "group_lifecycle_update", Ignored(GROUPS)),
    row(FIELD, "group_participants_update", Ignored(GROUPS)),
    row(FIELD, "group_settings_update", Ignored(GROUPS)),
    row(FIELD, "group_status_update", Ignored(GROUPS)),
    row(FIELD, "history", Ignored("it was written before the number was connected")),
    row(FIELD, "smb_app_state_sync", Ignored("it copies the address book of the business's app")),
    row(FIELD, "smb_message_echoes", Ignored(OWN_APP)),
    row(FIELD, "message_echoes", Ignored(OWN_APP)),
    row(FIELD, "messaging_handovers", Ignored("conversations are not handed between apps here")),
    row(FIELD, "standby", Ignored(OTHER_HANDLER)),
    row(OBJECT, "another product", Ignored(OTHER_PRODUCT)),
    row(NUMBER, "another", Ignored("it is for another number of the account")),
    row(MESSAGE, "text", Message),
    row(MESSAGE, "image", Message),
    row(MESSAGE, "video", Message),
    row(MESSAGE, "audio", Message),
    row(MESSAGE, "voice", Message),
    row(MESSAGE, "document", Message),
    row(MESSAGE, "sticker", Message),
    row(MESSAGE, "location", Message),
    row(MESSAGE, "contacts", Message),
    row(MESSAGE, "reaction", Message),
    row(MESSAGE, "button", Message),
    row(MESSAGE, "interactive", Inside),
    row(MESSAGE, "order", Message),
    row(MESSAGE, "edit", Message),
    row(MESSAGE, "ephemeral", Message),
    row(MESSAGE, "unsupported", Message),
    row(MESSAGE, "unknown", Message),
    row(MESSAGE, "errors", Message),
    row(MESSAGE, "revoke", Notice),
    row(MESSAGE, "request_welcome", Notice),
    row(MESSAGE, "system", Inside),
    row(INTERACTIVE, "button_reply", Message),
    row(INTERACTIVE, "list_reply", Message),
    row(INTERACTIVE, "nfm_reply", Message),
    row(INTERACTIVE, "call_permission_reply", Notice),
    row(SYSTEM, "user_changed_number", Move),
    row(SYSTEM, "customer_changed_number", Move),
    row(SYSTEM, "user_changed_user_id", Move),
    row(SYSTEM, "user_identity_changed", Notice),
    row(SYSTEM, "customer_identity_changed", Notice),
    row(PREFERENCE, "marketing_messages", Notice),
    row(CALL, "connect", Notice),
    row(CALL, "terminate", Notice),
    row(STATUS, "sent", Receipt),
    row(STATUS, "delivered", Receipt),
    row(STATUS, "read", Receipt),
    row(STATUS, "played", Receipt),
    row(STATUS, "failed", Receipt),
    row(STATUS, "deleted", Ignored("the customer deleted their copy; it was delivered all the same")),
    row(STATUS, "warning", Ignored("it concerns the on-premises API, which Meta has switched off")),
];
