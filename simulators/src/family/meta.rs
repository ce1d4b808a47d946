//! The common parts of Meta's APIs: the error object, and webhooks with their handshake and their
//! signature, over JSON that escapes everything beyond ASCII.

use channels::url::percent_encode;
use serde_json::{Value, json};

use crate::{
    contract::{Context, Effect, Fault, Handshake, WebhookConfig, or, put},
    toolkit::{
        http::{Outgoing, Request, Response, escaped, text},
        sign,
    },
};

/// Returns an error; `subcode` 0 is left out.
pub(crate) fn error(status: u16, code: u64, subcode: u64, message: &str, cx: &Context<'_>) -> Response {
    let mut error = json!({
        "message": format!("(#{code}) {message}"), "type": "OAuthException", "code": code,
        "fbtrace_id": cx.hex(5, 12),
    });
    if subcode > 0 {
        put(&mut error, "error_subcode", subcode);
    }
    if code > 100_000 {
        put(&mut error, "error_data", json!({"messaging_product": "whatsapp", "details": message}));
    }
    Response::json(status, &json!({"error": error}))
}

/// Returns the answer to an invalid token.
pub(crate) fn bad_token(cx: &Context<'_>) -> Response {
    error(401, 190, 0, "Invalid OAuth access token - Cannot parse access token", cx)
}

/// Returns the answer about an object that the token does not see.
pub(crate) fn unknown(cx: &Context<'_>) -> Response {
    error(400, 100, 33, "Unsupported request. The object does not exist or cannot be loaded", cx)
}

/// Returns the answer that expresses a fault other than the missing id. Meta sends no
/// `Retry-After`.
pub(crate) fn fault(fault: Fault<'_>, rate_code: u64, reject_code: &str, cx: &Context<'_>) -> Response {
    match fault {
        Fault::Throttled { .. } => error(429, rate_code, 0, "Rate limit hit", cx),
        Fault::Unavailable { status } => error(status, 2, 0, "Service temporarily unavailable", cx),
        Fault::Rejected { code } => {
            // A subcode may follow the code: `10/2018278`.
            let (code, subcode) =
                or(code, reject_code).split_once('/').unwrap_or((or(code, reject_code), "0"));
            let (code, subcode) = (code.parse().unwrap_or(100), subcode.parse().unwrap_or(0));
            let status = match code {
                190 => 401,
                3 | 10 | 200..=299 => 403,
                1 | 2 | 131_000 | 131_016 => 500,
                _ => 400,
            };
            error(status, code, subcode, "Refused on purpose", cx)
        }
        Fault::Credentials | Fault::WithoutId => bad_token(cx),
    }
}

/// Returns whether the request carries this token, in the header or in the query.
pub(crate) fn has_token(request: &Request, token: &str) -> bool {
    request.bearer() == Some(token) || request.query("access_token").is_some_and(|given| given == token)
}

/// Returns the segments of the path without the version.
pub(crate) fn path(request: &Request) -> Vec<String> {
    let mut segments = request.segments();
    let is_version = |text: &String| {
        text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    if segments.first().is_some_and(is_version) {
        segments.remove(0);
    }
    segments
}

/// Returns the handshake, which a webhook must answer with its challenge.
pub(crate) fn handshake(url: &str, verify_token: &str, cx: &Context<'_>) -> Handshake {
    let challenge = (cx.large(6) % 10_000_000_000).to_string();
    let joint = if url.contains('?') { '&' } else { '?' };
    let token = percent_encode(verify_token);
    let query = format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge={challenge}");
    Handshake { request: Outgoing::get(format!("{url}{joint}{query}")), body: Some(challenge) }
}

/// Subscribes a page to these fields; the app's webhook stays.
pub(crate) fn subscribe(fields: impl AsRef<str>, cx: &Context<'_>) -> Effect {
    let answer = Response::json(200, &json!({"success": true}));
    let fields = fields.as_ref().split(',').map(str::to_owned).collect();
    match cx.webhook {
        Some(hook) => {
            let webhook = Some(WebhookConfig { events: Some(fields), ..hook.clone() });
            Effect::SetWebhook { webhook, handshake: None, failed: answer.clone(), answer }
        }
        None => Effect::Answer(answer),
    }
}

/// Returns or changes the app's webhook, by the app's own token; a new one must answer the
/// handshake.
pub(crate) fn subscriptions(request: &Request, object: &str, cx: &Context<'_>) -> Effect {
    let token = format!("{}|{}", cx.credential("app_id"), cx.credential("app_secret"));
    if !has_token(request, &token) {
        return Effect::Answer(bad_token(cx));
    }
    let answer = |data: Value| Effect::Answer(Response::json(200, &data));
    if request.method == http::Method::GET {
        let of = |hook: &WebhookConfig| json!({"object": object, "callback_url": hook.url, "active": true, "fields": hook.events});
        return answer(json!({"data": cx.webhook.map(of).as_slice()}));
    }
    let body = request.json().unwrap_or_default();
    let own = |key: &str| text(&body, key).unwrap_or_default().to_owned();
    if own("/object") != object || !own("/callback_url").starts_with("http") {
        return Effect::Answer(error(400, 100, 0, "object and callback_url are needed", cx));
    }
    let fields = own("/fields").split(',').map(str::to_owned).collect();
    Effect::SetWebhook {
        webhook: Some(WebhookConfig {
            url: own("/callback_url"),
            events: Some(fields),
            ..WebhookConfig::default()
        }),
        handshake: Some(handshake(&own("/callback_url"), &own("/verify_token"), cx)),
        answer: Response::json(200, &json!({"success": true})),
        failed: error(400, 2_200, 0, "Callback verification failed", cx),
    }
}

/// Returns a signed POST.
pub(crate) fn post(url: &str, body: &Value, app_secret: &str) -> Outgoing {
    let body = escaped(body).into_bytes();
    let signature = sign::hmac_sha256_hex(app_secret, &body);
    Outgoing::post(url, "application/json", body)
        .with("user-agent", "facebookexternalua".to_owned())
        .with("x-hub-signature-256", format!("sha256={signature}"))
}
