//! The events of the Messenger Platform and what becomes of each, by Meta's references of the
//! page's and the Instagram account's webhooks (2026).

use super::product::Product;
use crate::{
    contract::events::{
        EventKind,
        Fate::{Account, Ignored, Inside, Message, Notice, Receipt},
        row,
    },
    family::meta::object::{OBJECT, OTHER_PRODUCT},
};

/// A member of an item of `entry[].messaging`.
pub const ITEM: &str = "item";
/// `entry[].changes[].field`.
pub const FIELD: &str = "field";
/// A member of `entry[]`.
pub const ENTRY: &str = "entry";
/// `message.attachments[].type`.
pub const ATTACHMENT: &str = "attachment";
/// An item of the field `feed`.
pub const FEED: &str = "feed";
/// `message.mid`.
pub const MID: &str = "mid";
/// `sender.id`, or who wrote a comment.
pub const SENDER: &str = "sender";
/// A flag of `message`.
pub const FLAG: &str = "flag";

const OWN_WORDS: &str = "the business wrote it itself";
const NO_SHOP: &str = "Meta has ended payments and games in conversations";
const POSTS: &str = "it is about posts, and concerns no conversation";

/// Members of a message's item that say who wrote and when.
pub const FRAME: [&str; 7] =
    ["sender", "recipient", "timestamp", "hop_context", "prior_message", "is_self", "is_echo"];

/// The rows that both products share.
pub const ITEMS: &[EventKind] = &[
    row(ENTRY, "messaging", Inside),
    row(ENTRY, "changes", Inside),
    row(ENTRY, "standby", Ignored("another app holds the conversation")),
    row(ENTRY, "another id", Ignored("it is for another page or account")),
    row(OBJECT, "another product", Ignored(OTHER_PRODUCT)),
    row(MID, "random_mid", Ignored("the test button of the app's dashboard")),
    row(SENDER, "own", Ignored(OWN_WORDS)),
    row(ITEM, "message", Inside),
    row(ITEM, "postback", Message),
    row(ITEM, "delivery", Receipt),
    row(ITEM, "read", Receipt),
    row(ITEM, "reaction", Message),
    row(ITEM, "message_edit", Message),
    row(ITEM, "referral", Notice),
    row(ITEM, "optin", Notice),
    row(ITEM, "account_linking", Notice),
    row(ITEM, "pass_thread_control", Notice),
    row(ITEM, "take_thread_control", Notice),
    row(ITEM, "request_thread_control", Notice),
    row(ITEM, "app_roles", Account),
    row(ITEM, "policy_enforcement", Account),
    row(ITEM, "policy-enforcement", Account),
    row(ITEM, "response_feedback", Notice),
    row(ITEM, "messaging_feedback", Notice),
    row(ITEM, "messaging_customer_information", Notice),
    row(ITEM, "order", Notice),
    row(ITEM, "game_play", Ignored(NO_SHOP)),
    row(ITEM, "payment", Ignored(NO_SHOP)),
    row(ITEM, "pre_checkout", Ignored(NO_SHOP)),
    row(ITEM, "checkout_update", Ignored(NO_SHOP)),
    row(FLAG, "is_echo", Ignored(OWN_WORDS)),
    row(FLAG, "is_self", Ignored(OWN_WORDS)),
    row(FLAG, "is_deleted", Notice),
    row(FLAG, "is_unsupported", Message),
    row(ATTACHMENT, "image", Message),
    row(ATTACHMENT, "video", Message),
    row(ATTACHMENT, "audio", Message),
    row(ATTACHMENT, "file", Message),
    row(ATTACHMENT, "sticker", Message),
    row(ATTACHMENT, "location", Message),
    row(ATTACHMENT, "fallback", Message),
    row(ATTACHMENT, "template", Message),
    row(ATTACHMENT, "share", Message),
    row(ATTACHMENT, "post", Message),
    row(ATTACHMENT, "reel", Message),
    row(ATTACHMENT, "ig_post", Message),
    row(ATTACHMENT, "ig_reel", Message),
    row(ATTACHMENT, "ig_story", Message),
    row(ATTACHMENT, "story_mention", Message),
    row(ATTACHMENT, "like_heart", Message),
    row(ATTACHMENT, "ephemeral", Message),
    row(ATTACHMENT, "media", Message),
    row(ATTACHMENT, "appointment_booking", Message),
    row(ATTACHMENT, "unsupported_type", Message),
];

/// Every field that an app can subscribe to for a page.
pub const PAGE_FIELDS: &[EventKind] = &[
    row(FIELD, "feed", Message),
    row(FEED, "no new comment", Ignored(POSTS)),
    row(FIELD, "business_integrity", Account),
    row(FIELD, "inbox_labels", Ignored("labels are the agents' own notes")),
    row(FIELD, "conversations", Ignored("it repeats what the messages say")),
    row(FIELD, "message_context", Ignored("it comes with the message")),
    row(FIELD, "message_mention", Ignored("it is about group conversations, which pages are not in")),
    row(FIELD, "mention", Ignored(POSTS)),
    row(FIELD, "ratings", Ignored(POSTS)),
    row(FIELD, "videos", Ignored(POSTS)),
    row(FIELD, "live_videos", Ignored(POSTS)),
    row(FIELD, "group_feed", Ignored(POSTS)),
    row(FIELD, "leadgen", Ignored("a form is not a conversation")),
    row(FIELD, "calls", Ignored("calls are not carried")),
    row(FIELD, "call_permission_reply", Ignored("calls are not carried")),
    row(FIELD, "call_settings_update", Ignored("calls are not carried")),
    row(FIELD, "marketing_message_delivery_failed", Account),
    row(FIELD, "name", Ignored("it is about the page")),
    row(FIELD, "picture", Ignored("it is about the page")),
];

/// The fields of an Instagram account. With Instagram Login, items come as changes, too.
pub const INSTAGRAM_FIELDS: &[EventKind] = &[
    row(FIELD, "comments", Message),
    row(FIELD, "live_comments", Message),
    row(FIELD, "messages", Inside),
    row(FIELD, "messaging_postbacks", Inside),
    row(FIELD, "messaging_seen", Inside),
    row(FIELD, "messaging_referral", Inside),
    row(FIELD, "messaging_optins", Inside),
    row(FIELD, "messaging_handover", Inside),
    row(FIELD, "message_reactions", Inside),
    row(FIELD, "message_edit", Inside),
    row(FIELD, "standby", Ignored("another app holds the conversation")),
    row(FIELD, "mentions", Ignored(POSTS)),
    row(FIELD, "story_insights", Ignored(POSTS)),
    row(FIELD, "creator_marketplace_invited_creator_onboarding", Ignored(POSTS)),
    row(FIELD, "creator_marketplace_projects", Ignored(POSTS)),
];

/// Every row of a page.
pub const OF_PAGE: &[EventKind] = &joined::<{ ITEMS.len() + PAGE_FIELDS.len() }>(ITEMS, PAGE_FIELDS);
/// Every row of an Instagram account.
pub const OF_INSTAGRAM: &[EventKind] =
    &joined::<{ ITEMS.len() + INSTAGRAM_FIELDS.len() }>(ITEMS, INSTAGRAM_FIELDS);

#[allow(clippy::indexing_slicing, reason = "runs while compiling, where a wrong place is an error")]
const fn joined<const N: usize>(first: &[EventKind], second: &[EventKind]) -> [EventKind; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

/// Returns the fields of a product.
pub const fn fields(product: Product) -> &'static [EventKind] {
    match product {
        Product::Page => PAGE_FIELDS,
        Product::Instagram => INSTAGRAM_FIELDS,
    }
}
