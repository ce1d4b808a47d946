//! Instagram direct messages for a professional account, by Facebook Login (over its page) or
//! Instagram Login: the envelope of Messenger with fewer features. Deliveries are not reported;
//! reads name one message.
//!
//! Unconfirmed, each with the default taken: button templates (`button_template`, on); the text's
//! 1,000 are octets; with Instagram Login webhooks are signed with the Instagram app's secret
//! (which `app_secret` then holds); titles end at 20 characters, taken as 40 octets, as longer ones
//! are cut by Instagram, not refused.

use std::sync::Arc;

use message::BodyType;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    contract::{
        AccountErrors, Capabilities, Channel, Provider, Report,
        capability::{Buttons, DefaultRate, LongText, Opens, Units},
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

/// The description of `instagram`.
pub const PROVIDER: Provider = Provider {
    name: "instagram",
    channel_types: &["INSTAGRAM", "INSTAGRAM_DM"],
    summary: "Instagram direct messages",
    documentation: "https://developers.facebook.com/docs/messenger-platform/instagram",
    secrets: &["access_token", "app_secret", "verify_token"],
    webhook: graph_api::PROTECTION,
    capabilities: capabilities(),
    statuses: STATUSES,
    events: messenger::events::OF_INSTAGRAM,
    account: &keys_of::<InstagramSettings>,
    needs_https: true,
    channel: &channel,
};

const STATUSES: &[(&str, Report)] = &[("read", Report::Read)];

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
        units: Units::Octets,
        text_characters_max: 1_000,
        long_text: LongText::Cut,
        buttons: Buttons {
            max: 3,
            rows_max: 13,
            title_characters_max: 40,
            row_title_characters_max: 40,
            payload_bytes_max: 1_000,
            text_characters_max: 640,
            opens: Opens::Pages,
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
            BodyType::Url,
            BodyType::Comment,
            BodyType::DeletedNotification,
            BodyType::Notification,
        ],
        window_hours: Some(WINDOW_HOURS),
        send_rate: DefaultRate { per_second: 300, basis: "Instagram's limit of texts for an account" },
        typing: true,
        mark_read: true,
        receipts: false,
        read_receipts: true,
        ..Capabilities::TEXT
    }
}

/// Fields to which the account subscribes: everything that is read, except comments, which need a
/// permission of their own.
const FIELDS: [&str; 8] = [
    "messages",
    "messaging_postbacks",
    "messaging_seen",
    "message_reactions",
    "messaging_referral",
    "message_edit",
    "messaging_optins",
    "messaging_handover",
];

/// Field to which the page subscribes with Facebook Login: the account's messages arrive once the
/// page brings anything at all.
const PAGE_FIELDS: [&str; 1] = ["messages"];

/// The way in which the account was connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Login {
    /// Over its page, with the page's token.
    #[default]
    Facebook,
    /// Directly, with its own token.
    Instagram,
}

/// `[channel.account]` of an `instagram` channel.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InstagramSettings {
    /// The token of the page, or with Instagram Login of the account: generate it in the app's
    /// Instagram settings.
    #[schemars(with = "String")]
    access_token: SecretString,
    /// The app's secret, which signs webhooks: it is shown in the app's dashboard, with Instagram
    /// Login under Instagram, API setup.
    #[schemars(with = "String")]
    app_secret: SecretString,
    /// The word Meta repeats when the webhook's address is entered there.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    verify_token: Option<SecretString>,
    /// The professional account, as webhooks name it; without it every entry is read.
    #[serde(default)]
    account_id: Option<Box<str>>,
    /// The page that the account is linked to, with Facebook Login.
    #[serde(default)]
    page_id: Option<Box<str>>,
    /// The app, whose webhook is then set up as well (with Facebook Login).
    #[serde(default)]
    app_id: Option<Box<str>>,
    /// Questions shown before the first message.
    #[serde(default)]
    ice_breakers: Vec<IceBreaker>,
    /// The way in which the account was connected.
    #[serde(default)]
    login: Login,
    /// The version of the Graph API.
    #[serde(default = "default_version")]
    graph_version: Box<str>,
    /// The address of the API; by default Meta's, another one for a proxy or a simulator.
    #[serde(default)]
    base_url: Option<Box<str>>,
    /// Adds `appsecret_proof` to calls, for apps that demand it.
    #[serde(default)]
    appsecret_proof: bool,
    /// The app may answer as a person for 7 days: replies after the window are then sent so.
    #[serde(default)]
    human_agent: bool,
    /// Whether buttons that open pages are sent as button templates, not as words.
    #[serde(default = "default_button_template")]
    button_template: bool,
}

fn default_version() -> Box<str> {
    graph_api::VERSION.into()
}

fn default_button_template() -> bool {
    true
}

fn channel(provider: &'static Provider, table: toml::Table) -> Result<Arc<dyn Channel>, AccountErrors> {
    let settings: InstagramSettings = account(table)?;
    App {
        access_token: &settings.access_token,
        app_secret: &settings.app_secret,
        verify_token: settings.verify_token.as_ref(),
        app_id: settings.app_id.as_deref(),
        proof: settings.appsecret_proof,
    }
    .check(
        "it is shown in the app's dashboard, with Instagram Login under Instagram, API setup",
        "generate it in the app's Instagram settings",
    )?;
    let ids = [("account_id", &settings.account_id), ("page_id", &settings.page_id)];
    AccountErrors::all(ids.map(|(key, id)| {
        graph_api::number(key, id.as_deref(), "it is shown in the app's Instagram settings")
    }))?;
    let host = match settings.login {
        Login::Facebook => graph_api::BASE_URL,
        Login::Instagram => "https://graph.instagram.com",
    };
    let mut capabilities = capabilities();
    if settings.human_agent {
        capabilities.window_hours = Some(HUMAN_AGENT_HOURS);
    }
    if !settings.button_template {
        capabilities.buttons.opens = Opens::No;
    }
    let own_id = settings.account_id;
    let own_id_at = match settings.login {
        Login::Facebook => ("/instagram_business_account/id", "Instagram account id"),
        // `id` is the app's name for the account; webhooks use `user_id`.
        Login::Instagram => ("/user_id", "user_id"),
    };
    let (sender_id, app_subscription, page_fields, probe_fields): (_, _, &[&str], _) = match settings.login {
        Login::Facebook => {
            let subscription = AppSubscription { object: "instagram", fields: &FIELDS };
            (settings.page_id, Some(subscription), &PAGE_FIELDS, "id,name,instagram_business_account")
        }
        Login::Instagram => (own_id.clone(), None, &FIELDS, "id,user_id,username"),
    };
    let account = MessengerAccount {
        provider,
        product: Product::Instagram,
        capabilities,
        access_token: settings.access_token,
        app_secret: settings.app_secret,
        verify_token: settings.verify_token,
        app_id: settings.app_id,
        proof: settings.appsecret_proof,
        get_started: None,
        ice_breakers: settings.ice_breakers,
        own_id,
        sender_id,
        human_agent: settings.human_agent,
        routing_directive: None,
        root: graph_api::root(settings.base_url.as_deref().unwrap_or(host), &settings.graph_version),
        app_subscription,
        page_fields,
        profile_fields: "name,username,profile_pic",
        probe_fields,
        own_id_at,
    };
    account.check_profile()?;
    Ok(Arc::new(account))
}
