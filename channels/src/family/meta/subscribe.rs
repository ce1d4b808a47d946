//! Subscriptions at Meta: of an app, of a page or account, and the Messenger profile. Current
//! settings are asked for first; fields that others subscribed to stay.
//!
//! Unconfirmed: the app's own subscriptions and the Messenger profile follow Meta's documentation
//! and were not observed; both are set up only when an account has the keys for it.

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    contract::{
        AccountError, SendError, WebhookUrls,
        http::{Body, Request, Response},
    },
    family::meta::graph_api::{App, GraphError},
    toolkit::{
        json,
        set_up::{self, Desired},
    },
};

/// Parses an answer.
///
/// # Errors
/// The answer is an error.
pub fn read(response: &Response) -> Result<Value, SendError> {
    let said = json::parse(&response.body).unwrap_or_default();
    if response.is_success() {
        return Ok(said);
    }
    Err(match GraphError::of(&said) {
        // A permission that is missing here may not matter for messages.
        Some(error) if error.code != 190 && (400..500).contains(&response.status) => {
            SendError::Rejected(error.cause)
        }
        Some(error) => SendError::of_status(response, error.cause),
        None => SendError::by_status(response),
    })
}

/// Returns the address for the app's webhooks: the shared one when this account is known there by
/// an id.
pub fn callback<'a>(ours: WebhookUrls<'a>, is_shared: bool) -> &'a str {
    if is_shared { ours.shared_url } else { ours.webhook_url }
}

/// Returns the app's desired subscription to these fields of one kind of object. Needs the
/// account's app and its `verify_token`, which Meta repeats to us during the change.
pub fn app<'a>(
    app: App<'a>,
    root: &str,
    object: &'static str,
    fields: &'static [&'static str],
    (ours, url): (WebhookUrls<'a>, &'a str),
) -> Option<Desired<'a>> {
    let (id, token) = (app.app_id?, app.verify_token?.expose_secret());
    if url.is_empty() {
        return None;
    }
    let address = format!("{root}/{id}/subscriptions");
    let known = move |found: &Value| {
        let items = json::items(found, "/data");
        items.iter().find(|item| json::text(item, "/object").is_some_and(|kind| kind == object)).cloned()
    };
    Some(Desired {
        what: "the app's webhook",
        ask: app.of_the_app(Request::get(&*address))?,
        holds: Box::new(move |found| {
            known(found).is_some_and(|item| {
                let set = json::text(&item, "/callback_url").unwrap_or_default();
                let is_off = item.get("active").and_then(Value::as_bool) == Some(false);
                (set == ours.shared_url || set == ours.webhook_url)
                    && !is_off
                    && set_up::has_all(item.get("fields"), fields)
            })
        }),
        change: Box::new(move |found| {
            let item = known(found).unwrap_or_default();
            let all = set_up::with_all(item.get("fields"), fields).join(",");
            let body = json!({"object": object, "callback_url": url, "verify_token": token, "fields": all});
            let call = Request::post(&*address, Body::Json(body.to_string())).harmless().hiding(token);
            app.of_the_app(call.clone()).unwrap_or(call)
        }),
    })
}

/// Returns the desired subscription of a page or account.
pub fn page<'a>(app: App<'a>, address: String, fields: &'static [&'static str]) -> Desired<'a> {
    // Only its id identifies our app; without one, an app with all fields suffices.
    let is_ours =
        move |item: &&Value| app.app_id.is_none_or(|id| json::text(item, "/id").is_some_and(|of| of == id));
    Desired {
        what: "the page's subscription",
        ask: app.call(Request::get(&*address)),
        holds: Box::new(move |found| {
            let mut apps = json::items(found, "/data").iter().filter(is_ours);
            apps.any(|item| set_up::has_all(item.get("subscribed_fields"), fields))
        }),
        change: Box::new(move |found| {
            let mut apps = json::items(found, "/data").iter().filter(is_ours);
            let only = apps.next().filter(|_| apps.next().is_none());
            let all = set_up::with_all(only.and_then(|item| item.get("subscribed_fields")), fields).join(",");
            app.call(Request::post(format!("{address}?subscribed_fields={all}"), Body::None)).harmless()
        }),
    }
}

/// A question shown before the first message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IceBreaker {
    /// The words to tap.
    pub question: Box<str>,
    /// The payload that arrives as `payload`.
    pub payload: Box<str>,
}

/// Maximum number of ice breakers; more are refused.
const ICE_BREAKERS_MAX: usize = 4;
/// Maximum length of a question, in characters; a longer one is refused.
const QUESTION_CHARACTERS_MAX: usize = 80;
/// Maximum length of a payload, in octets; a longer one is refused.
const PAYLOAD_BYTES_MAX: usize = 1_000;

/// The desired Messenger profile; an empty one is left alone.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// The payload of the Get Started button.
    pub get_started: Option<&'a str>,
    /// Questions shown before the first message.
    pub ice_breakers: &'a [IceBreaker],
    /// `instagram`, where the profile does not belong to a page.
    pub platform: Option<&'static str>,
}

impl<'a> Profile<'a> {
    /// Checks the values against Meta's limits.
    ///
    /// # Errors
    /// Names the key that Meta would refuse.
    pub fn check(&self) -> Result<(), AccountError> {
        let wrong = |key: &str, problem: String| Err(AccountError { key: key.into(), problem });
        let fits = |payload: &str| (1..=PAYLOAD_BYTES_MAX).contains(&payload.len());
        if self.get_started.is_some_and(|payload| !fits(payload)) {
            return wrong("get_started", format!("expected a payload of 1 to {PAYLOAD_BYTES_MAX} octets"));
        }
        if self.ice_breakers.len() > ICE_BREAKERS_MAX {
            return wrong("ice_breakers", format!("expected at most {ICE_BREAKERS_MAX}"));
        }
        let good = |one: &IceBreaker| {
            (1..=QUESTION_CHARACTERS_MAX).contains(&one.question.chars().count()) && fits(&one.payload)
        };
        if !self.ice_breakers.iter().all(good) {
            let problem = format!(
                "expected questions of 1 to {QUESTION_CHARACTERS_MAX} characters with payloads of 1 to {PAYLOAD_BYTES_MAX} octets"
            );
            return wrong("ice_breakers", problem);
        }
        Ok(())
    }

    /// Returns the desired profile; `None` when it is empty.
    pub fn desired(self, app: App<'a>, address: &str) -> Option<Desired<'a>> {
        let mut wanted = json!({});
        if let Some(payload) = self.get_started {
            json::set(&mut wanted, "get_started", json!({"payload": payload}));
        }
        if !self.ice_breakers.is_empty() {
            let actions: Vec<Value> = self
                .ice_breakers
                .iter()
                .map(|one| json!({"question": &*one.question, "payload": &*one.payload}))
                .collect();
            let shown = json!([{"call_to_actions": actions, "locale": "default"}]);
            json::set(&mut wanted, "ice_breakers", shown);
        }
        if wanted.as_object().is_none_or(serde_json::Map::is_empty) {
            return None;
        }
        let platform = self.platform.map(|platform| format!("&platform={platform}")).unwrap_or_default();
        let ask = format!("{address}?fields=get_started,ice_breakers{platform}");
        let mut body = wanted.clone();
        if let Some(platform) = self.platform {
            json::set(&mut body, "platform", platform);
        }
        let change = app.call(Request::post(address, Body::Json(body.to_string()))).harmless();
        Some(Desired {
            what: "the profile",
            ask: app.call(Request::get(ask)),
            holds: Box::new(move |found| {
                let shown = json::at(found, "/data/0").unwrap_or(&Value::Null);
                let is_shown = |(key, value): (&String, &Value)| shown.get(key) == Some(value);
                wanted.as_object().is_some_and(|wanted| wanted.iter().all(is_shown))
            }),
            change: Box::new(move |_| change.clone()),
        })
    }
}

/// Returns the desired subscription of a WhatsApp Business Account to the app; with `ours`, to that
/// address alone, whatever the app's own webhook is.
pub fn business_account<'a>(app: App<'a>, address: String, ours: Option<WebhookUrls<'a>>) -> Desired<'a> {
    let is_ours = move |item: &&Value| {
        app.app_id
            .is_none_or(|id| json::text(item, "/whatsapp_business_api_data/id").is_some_and(|of| of == id))
    };
    Desired {
        what: "the business account's subscription",
        ask: app.call(Request::get(&*address)),
        holds: Box::new(move |found| {
            let mut apps = json::items(found, "/data").iter().filter(is_ours);
            apps.any(|item| {
                ours.is_none_or(|ours| {
                    let set = json::text(item, "/override_callback_uri").unwrap_or_default();
                    set == ours.shared_url || set == ours.webhook_url
                })
            })
        }),
        change: Box::new(move |_| {
            let token = app.verify_token.map(|token| token.expose_secret());
            let call = match (ours, token) {
                (Some(ours), Some(token)) => {
                    let body = json!({"override_callback_uri": ours.shared_url, "verify_token": token});
                    Request::post(&*address, Body::Json(body.to_string())).hiding(token)
                }
                _ => Request::post(&*address, Body::None),
            };
            app.call(call).harmless()
        }),
    }
}
