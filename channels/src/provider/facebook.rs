//! Facebook Messenger for a page: JSON over HTTPS, webhooks signed with the app's secret;
//! deliveries and reads are reported up to a time, not by message. Other templates (media, receipt,
//! ...) are sent as CUSTOM, whose `jsonNode` is the message.
//!
//! Left out: sends to `user_ref`, `phone_number` and
//! `notification_messages_token`; uploads for later use (`message_attachments`).
//!
//! Unconfirmed, each with the default taken: the Graph version changes (`graph_version`); titles of
//! quick replies and buttons end at 20 characters; codes 32 and 80006 mean a rate limit; comments
//! carry `from.id`. Tags other than `HUMAN_AGENT` were withdrawn and are never used.

use std::sync::Arc;

use message::BodyType;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    contract::{
        AccountErrors, Capabilities, Channel, Provider, Report,
        capability::{Buttons, DefaultRate, LongText, Opens},
        keys_of,
    },
    family::{
        messenger::{self, AppSubscription, HUMAN_AGENT_HOURS, MessengerAccount, Product, WINDOW_HOURS},
        meta::{
            graph_api::{self, App},
            subscribe::IceBreaker,
        },
    },
    toolkit::account::account,
};

/// The description of `facebook`.
pub const PROVIDER: Provider = Provider {
    name: "facebook",
    channel_types: &["FACEBOOK", "FACEBOOK_MESSENGER", "MESSENGER"],
    summary: "Facebook Messenger for a page",
    documentation: "https://developers.facebook.com/docs/messenger-platform",
    secrets: &["access_token", "app_secret", "verify_token"],
    webhook: graph_api::PROTECTION,
    capabilities: capabilities(),
    statuses: STATUSES,
    events: messenger::events::OF_PAGE,
    account: &keys_of::<FacebookSettings>,
    needs_https: true,
    channel: &channel,
};

const STATUSES: &[(&str, Report)] = &[("delivery", Report::Delivered), ("read", Report::Read)];

const fn capabilities() -> Capabilities {
    Capabilities {
        native: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Button,
            BodyType::Carousel,
            BodyType::Comment,
            BodyType::Custom,
        ],
        text_characters_max: 2_000,
        long_text: LongText::Cut,
        buttons: Buttons {
            max: 3,
            rows_max: 13,
            title_characters_max: 20,
            row_title_characters_max: 20,
            payload_bytes_max: 1_000,
            text_characters_max: 640,
            opens: Opens::PagesAndCalls,
        },
        cards_max: 10,
        card_text_characters_max: 80,
        card_buttons_max: 3,
        inbound_types: &[
            BodyType::Plain,
            BodyType::Image,
            BodyType::Video,
            BodyType::Audio,
            BodyType::File,
            BodyType::Sticker,
            BodyType::Location,
            BodyType::Url,
            BodyType::Comment,
            BodyType::DeletedNotification,
            BodyType::Notification,
        ],
        window_hours: Some(WINDOW_HOURS),
        send_rate: DefaultRate { per_second: 300, basis: "Messenger's limit of texts for a page" },
        typing: true,
        mark_read: true,
        read_receipts: true,
        ..Capabilities::TEXT
    }
}

/// Fields to which the page subscribes: everything that is read, except comments (`feed`), which
/// need a permission of their own.
const FIELDS: [&str; 11] = [
    "messages",
    "messaging_postbacks",
    "message_deliveries",
    "message_reads",
    "message_edits",
    "message_reactions",
    "messaging_referrals",
    "messaging_optins",
    "messaging_account_linking",
    "messaging_handovers",
    "messaging_policy_enforcement",
];

/// The party that may take up a page's chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Directive {
    /// A bot alone, even when it is unsure.
    #[serde(rename = "BOT_ONLY")]
    BotOnly,
}

/// `[channel.account]` of a `facebook` channel.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FacebookSettings {
    /// The page's token: generate it in the app's Messenger settings.
    #[schemars(with = "String")]
    access_token: SecretString,
    /// The app's secret, which signs webhooks: it is shown in the app's dashboard under App
    /// settings, Basic.
    #[schemars(with = "String")]
    app_secret: SecretString,
    /// The word Meta repeats when the webhook's address is entered there.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    verify_token: Option<SecretString>,
    /// The page's id; without it the channel's dids name it, and every entry is read.
    #[serde(default)]
    page_id: Option<Box<str>>,
    /// The app, whose webhook is then set up as well.
    #[serde(default)]
    app_id: Option<Box<str>>,
    /// The payload of the button shown before the first message.
    #[serde(default)]
    get_started: Option<Box<str>>,
    /// Questions shown before the first message.
    #[serde(default)]
    ice_breakers: Vec<IceBreaker>,
    /// The page's name, for people.
    #[serde(default, rename = "page_name")]
    _page_name: Option<Box<str>>,
    /// The version of the Graph API.
    #[serde(default = "default_version")]
    graph_version: Box<str>,
    /// The address of the API; another one for a proxy or a simulator.
    #[serde(default = "default_base_url")]
    base_url: Box<str>,
    /// Adds `appsecret_proof` to calls, for apps that demand it.
    #[serde(default)]
    appsecret_proof: bool,
    /// The app may answer as a person for 7 days: replies after the window are then sent so.
    #[serde(default)]
    human_agent: bool,
    /// The party that may take up the page's chats: added to each inbound message as
    /// `routingDirective`.
    #[serde(default)]
    routing_directive: Option<Directive>,
}

fn default_version() -> Box<str> {
    graph_api::VERSION.into()
}

fn default_base_url() -> Box<str> {
    graph_api::BASE_URL.into()
}

fn channel(provider: &'static Provider, table: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
    let settings: FacebookSettings = account(table)?;
    App {
        access_token: &settings.access_token,
        app_secret: &settings.app_secret,
        verify_token: settings.verify_token.as_ref(),
        app_id: settings.app_id.as_deref(),
        proof: settings.appsecret_proof,
    }
    .check(
        "it is shown in the app's dashboard under App settings, Basic",
        "generate the page's in the app's Messenger settings",
    )?;
    graph_api::number("page_id", settings.page_id.as_deref(), "it is shown in the page's About")?;
    let hours = if settings.human_agent { HUMAN_AGENT_HOURS } else { WINDOW_HOURS };
    let account = MessengerAccount {
        provider,
        product: Product::Page,
        capabilities: Capabilities { window_hours: Some(hours), ..capabilities() },
        access_token: settings.access_token,
        app_secret: settings.app_secret,
        verify_token: settings.verify_token,
        app_id: settings.app_id,
        proof: settings.appsecret_proof,
        get_started: settings.get_started,
        ice_breakers: settings.ice_breakers,
        own_id: settings.page_id.clone(),
        sender_id: settings.page_id,
        human_agent: settings.human_agent,
        routing_directive: settings.routing_directive.map(|Directive::BotOnly| "BOT_ONLY"),
        root: graph_api::root(&settings.base_url, &settings.graph_version),
        app_subscription: Some(AppSubscription { object: "page", fields: &FIELDS }),
        page_fields: &FIELDS,
        profile_fields: "first_name,last_name,profile_pic",
        probe_fields: "id,name",
        own_id_at: ("/id", "page id"),
    };
    account.check_profile()?;
    Ok(Arc::new(account))
}
