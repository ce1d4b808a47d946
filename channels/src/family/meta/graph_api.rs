//! Meta's Graph API as all its providers share it: the handshake of webhooks, the form of errors,
//! the steps to a file. The meaning of a code is each provider's own.

use message::event::Cause;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::{
    contract::{
        AccountError, AccountErrors, Fetch, Protection, SendError,
        http::{Refused, Reply, Request, Response, Webhook},
        protection::{Hmac, Prefix, SecretKey},
    },
    toolkit::{auth, json},
};

/// The API version unless the account names another.
pub const VERSION: &str = "v25.0";

/// The API's base address.
pub const BASE_URL: &str = "https://graph.facebook.com";

/// Refuses an empty secret; `where_to_find` completes the sentence.
///
/// # Errors
/// The secret is empty.
pub fn not_empty(key: &str, secret: &SecretString, where_to_find: &str) -> Result<(), AccountError> {
    if secret.expose_secret().trim().is_empty() {
        return Err(AccountError { key: key.into(), problem: format!("is empty; {where_to_find}") });
    }
    Ok(())
}

/// Answers Meta's `hub.challenge`; returns `None` for other calls.
///
/// # Errors
/// The caller does not know the token, or none is configured.
pub fn handshake(token: Option<&SecretString>, webhook: &Webhook<'_>) -> Result<Option<Reply>, Refused> {
    let Some(mode) = webhook.parameter("hub.mode").filter(|_| webhook.method == "GET") else {
        return Ok(None);
    };
    let refused = |reason: &str| Err(Refused::forbidden(reason));
    if mode != "subscribe" {
        return refused("hub.mode is not subscribe");
    }
    let Some(token) = token else { return refused("the account has no verify_token") };
    let said = webhook.parameter("hub.verify_token").unwrap_or_default();
    if !auth::equal(said.as_bytes(), token.expose_secret().as_bytes()) {
        return refused("hub.verify_token does not fit verify_token");
    }
    Ok(Some(Reply::text(&webhook.parameter("hub.challenge").unwrap_or_default())))
}

/// The protection of Meta's webhooks: HMAC-SHA-256 over the body as received.
pub const PROTECTION: Protection = Protection::Hmac(Hmac::sha256_hex(
    "x-hub-signature-256",
    Prefix::Required("sha256="),
    SecretKey::Required("app_secret"),
));

/// Returns the API's address with its version.
pub fn root(base_url: &str, version: &str) -> String {
    format!("{}/{version}", base_url.trim_end_matches('/'))
}

/// An account's values of its app.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    /// Sent as a Bearer token.
    pub access_token: &'a SecretString,
    /// Signs webhooks.
    pub app_secret: &'a SecretString,
    /// The word Meta repeats when the webhook's address is entered there.
    pub verify_token: Option<&'a SecretString>,
    /// The app's id, for its own subscriptions.
    pub app_id: Option<&'a str>,
    /// Whether each call proves knowledge of the app's secret, which apps may demand.
    pub proof: bool,
}

impl App<'_> {
    /// Checks that no secret is empty; the arguments complete where to find secret and token.
    ///
    /// # Errors
    /// Names each empty key.
    pub fn check(&self, secret: &str, token: &str) -> Result<(), AccountErrors> {
        let same = "any text, the same as at the webhook in the app's dashboard";
        AccountErrors::all([
            not_empty("app_secret", self.app_secret, secret),
            not_empty("access_token", self.access_token, token),
            self.verify_token.map_or(Ok(()), |token| not_empty("verify_token", token, same)),
            number("app_id", self.app_id, "it is shown at the top of the app's dashboard"),
        ])
    }

    /// Adds authorisation to a call.
    pub fn call(&self, mut request: Request) -> Request {
        let token = self.access_token.expose_secret();
        if self.proof {
            let mac = auth::hmac_sha256(self.app_secret.expose_secret().as_bytes(), token.as_bytes());
            let proof = auth::hex(&mac);
            let mark = if request.url.contains('?') { '&' } else { '?' };
            request.url = format!("{}{mark}appsecret_proof={proof}", request.url);
            request = request.hiding(&proof);
        }
        request.secret_header("Authorization", auth::bearer(token))
    }

    /// Returns a call about the app itself, with the app's token; `None` for an unknown app.
    pub fn of_the_app(&self, request: Request) -> Option<Request> {
        let secret = self.app_secret.expose_secret();
        let token = format!("{}|{secret}", self.app_id?);
        Some(request.hiding(secret).secret_header("Authorization", auth::bearer(&token)))
    }
}

/// Checks that an id, if present, is a number.
///
/// # Errors
/// It is not; `where_to_find` completes the sentence.
pub fn number(key: &str, id: Option<&str>, where_to_find: &str) -> Result<(), AccountError> {
    if id.is_some_and(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit())) {
        return Err(AccountError { key: key.into(), problem: format!("is not a number; {where_to_find}") });
    }
    Ok(())
}

/// An error in Graph's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// Meta's code.
    pub code: i64,
    /// Narrows the code; 0 without a subcode.
    pub subcode: i64,
    /// Whether Meta says that another try may succeed.
    pub transient: bool,
    /// `<code>` or `<code>/<subcode>`, and Meta's words.
    pub cause: Cause,
}

impl GraphError {
    /// Returns the error of an answer (`{"error":{...}}`); `None` without a code.
    pub fn of(said: &Value) -> Option<Self> {
        Self::read(json::at(said, "/error")?)
    }

    /// Parses a bare error object, as in failed statuses.
    pub fn read(error: &Value) -> Option<Self> {
        let code = json::number(error, "/code")?;
        let subcode = json::number(error, "/error_subcode").unwrap_or(0);
        let transient = json::at(error, "/is_transient").and_then(Value::as_bool).unwrap_or(false);
        let words = json::some_text(error, "/message")
            .or_else(|| json::some_text(error, "/title"))
            .unwrap_or_default();
        let details = json::some_text(error, "/error_data/details")
            .or_else(|| json::some_text(error, "/error_user_msg"))
            .unwrap_or_default();
        let reason = if details.is_empty() || details == words {
            words.into_owned()
        } else {
            format!("{words}: {details}").trim_start_matches([':', ' ']).to_owned()
        };
        let name = if subcode == 0 { code.to_string() } else { format!("{code}/{subcode}") };
        Some(Self { code, subcode, transient, cause: Cause::new(name, reason) })
    }

    /// Returns `<code>: <words>`, for receipts.
    pub fn shown(&self) -> String {
        format!("{}: {}", self.cause.code, self.cause.reason)
    }
}

/// Parses the answer to a probe: only the token's own codes (also with status 400) refuse the
/// credentials. A missing permission may be the probe's alone.
///
/// # Errors
/// The credentials are not valid, or their validity is unknown.
pub fn probed(response: &Response) -> Result<(), SendError> {
    if response.is_success() {
        return Ok(());
    }
    let said = json::parse(&response.body).unwrap_or_default();
    let Some(GraphError { code, cause, .. }) = GraphError::of(&said) else {
        let error = SendError::by_status(response);
        return Err(if response.status == 401 { error.of_probe() } else { error });
    };
    Err(match code {
        0 | 102 | 190 => SendError::CredentialsRefused(cause),
        4 | 17 | 32 | 613 | 80_000..=80_014 => {
            SendError::Throttled { after_ms: response.retry_after_ms(), cause }
        }
        3 | 10 | 200..=299 => SendError::Forbidden(cause),
        1 | 2 => SendError::Unavailable(cause),
        _ if response.status == 401 => SendError::CredentialsRefused(cause),
        _ => SendError::of_status(response, cause),
    })
}

/// Returns whether the token may be sent to this address: Meta's own hosts, or the API as
/// configured.
pub fn is_metas(url: &str, base_url: &str) -> bool {
    if url.strip_prefix(base_url).is_some_and(|rest| rest.starts_with(['/', '?'])) {
        return true;
    }
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    [".fbsbx.com", ".facebook.com", ".fbcdn.net", ".whatsapp.net"]
        .iter()
        .any(|domain| host.ends_with(domain) && !host.contains(['@', ':', '\\']))
}

/// Returns the error of a failed look-up or download of a file.
pub fn no_file(response: &Response) -> SendError {
    let said = json::parse(&response.body).unwrap_or_default();
    match GraphError::of(&said) {
        // Customers' files expire; the channel itself stays usable.
        Some(error) if response.status != 401 && response.status < 500 && response.status != 429 => {
            if error.code == 190 {
                SendError::Forbidden(error.cause)
            } else {
                SendError::Rejected(error.cause)
            }
        }
        Some(error) => SendError::of_status(response, error.cause),
        None => SendError::by_status(response),
    }
}

/// Steps from a file's id through its look-up to the file: `address` turns the look-up's result
/// into the call.
///
/// # Errors
/// The file cannot be fetched.
pub fn fetch(
    look_up: impl FnOnce() -> Request,
    address: impl FnOnce(&str) -> Request,
    answers: &[Response],
) -> Result<Fetch, SendError> {
    match answers {
        [] => Ok(Fetch::Next(look_up())),
        [.., last] if !last.is_success() => Err(no_file(last)),
        [first] => {
            let said = json::parse(&first.body).unwrap_or_default();
            match json::some_text(&said, "/url") {
                Some(url) => Ok(Fetch::Next(address(&url))),
                None => {
                    Err(SendError::Rejected(Cause::new("no url", "the look-up of the file names no url")))
                }
            }
        }
        _ => Ok(Fetch::Got),
    }
}

#[cfg(test)]
mod tests {
    use crate::family::meta::graph_api::*;

    #[test]
    fn the_token_is_shown_to_meta_only() {
        let base = "https://graph.facebook.com";
        for url in
            ["https://lookaside.fbsbx.com/a", "https://graph.facebook.com/v25.0/1", "https://x.fbcdn.net"]
        {
            assert!(is_metas(url, base), "{url}");
        }
        for url in [
            "http://lookaside.fbsbx.com/a",
            "https://evilfbsbx.com/",
            "https://a.example/.fbsbx.com",
            "https://a@b.fbsbx.com/",
            "https://a.example\\.fbsbx.com",
            "https://graph.facebook.com.evil.example/",
        ] {
            assert!(!is_metas(url, base), "{url}");
        }
        assert!(is_metas("http://127.0.0.1:9/f", "http://127.0.0.1:9"));
        assert!(!is_metas("http://127.0.0.1:99/f", "http://127.0.0.1:9"));
    }
}
