//! `object`, which names the product that a webhook of Meta is about.

use serde_json::Value;

use crate::{
    contract::{Received, events::note_unknown},
    toolkit::json,
};

/// The place of the rows about it.
pub(in crate::family) const OBJECT: &str = "object";
/// The reason for `object another product`.
pub(in crate::family) const OTHER_PRODUCT: &str = "it is for a channel of another product of the app";

const PRODUCTS: [&str; 3] = ["page", "instagram", "whatsapp_business_account"];

/// Notes a webhook of which nothing was read: one of another product, or of an unknown form.
pub(in crate::family) fn unread(said: &Value, is_ours: bool, received: &mut Received) {
    let object = json::text(said, "/object").unwrap_or("missing".into());
    let has_updates = !json::items(said, "/entry").is_empty();
    if !has_updates {
        note_unknown(&mut received.unknown, OBJECT, &format!("{object} without entry"));
    } else if is_ours {
        note_unknown(&mut received.unknown, OBJECT, &format!("{object} with empty entries"));
    } else if PRODUCTS.contains(&&*object) {
        received.ignored += 1;
    } else {
        note_unknown(&mut received.unknown, OBJECT, &object);
    }
}
