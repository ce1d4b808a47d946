//! Verifies webhooks by their provider's [`Protection`]: the one place where a secret from outside
//! is compared, in constant time. Reads nothing of the webhook's content.

use std::{borrow::Cow, collections::BTreeSet};

use crate::contract::{
    auth,
    http::{Refused, Webhook},
    protection::{Algorithm, Ed25519, Encoding, Hmac, Over, Place, Prefix, Protection, SecretKey},
};

/// Asks for credentials: some providers send theirs only after it.
const CHALLENGE: &str = "Basic realm=\"patchbay\"";

/// Verifies a webhook. `credential` looks up a key of the account.
///
/// # Errors
/// When its proof is missing or wrong, and when the account has no secret that could prove it.
pub(super) fn verify<'a>(
    protection: &Protection,
    credential: &dyn Fn(&str) -> Option<&'a str>,
    webhook: &Webhook<'_>,
) -> Result<(), Refused> {
    if is_proved(protection, credential, webhook)? {
        return Ok(());
    }
    Err(Refused::new("nothing proves who sent it"))
}

/// Checks every proof for which the account has the secret; returns whether there is one.
fn is_proved<'a>(
    protection: &Protection,
    credential: &dyn Fn(&str) -> Option<&'a str>,
    webhook: &Webhook<'_>,
) -> Result<bool, Refused> {
    match protection {
        Protection::NoWebhooks | Protection::Unsigned => Ok(false),
        Protection::Hmac(scheme) => match secret(scheme.secret, credential)? {
            Some(secret) => hmac(scheme, secret, webhook).map(|()| true),
            None => Ok(false),
        },
        Protection::Ed25519(scheme) => {
            let key = secret(SecretKey::Required(scheme.public_key), credential)?;
            ed25519(scheme, key.unwrap_or_default(), webhook).map(|()| true)
        }
        Protection::Basic { user, password } => match secret(*password, credential)? {
            Some(secret) => {
                basic((user, credential(user)), (password.name(), secret), webhook).map(|()| true)
            }
            None => Ok(false),
        },
        Protection::Token { place, secret: key } => match secret(*key, credential)? {
            Some(secret) => token(*place, (key.name(), secret), credential, webhook).map(|()| true),
            None => Ok(false),
        },
        Protection::Both(first, second) => {
            let is_first_proved = is_proved(first, credential, webhook)?;
            Ok(is_proved(second, credential, webhook)? || is_first_proved)
        }
        Protection::ByMethod { get, .. } if webhook.method == "GET" => is_proved(get, credential, webhook),
        Protection::ByMethod { other, .. } => is_proved(other, credential, webhook),
    }
}

/// Looks up a secret. An empty one never proves anything.
fn secret<'a>(
    key: SecretKey,
    credential: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<Option<&'a str>, Refused> {
    match (credential(key.name()), key) {
        (Some(secret), _) if !secret.trim().is_empty() => Ok(Some(secret)),
        (None, SecretKey::Optional(_)) => Ok(None),
        _ => Err(Refused::new(format!("the account has no {}", key.name()))),
    }
}

fn hmac(scheme: &Hmac, secret: &str, webhook: &Webhook<'_>) -> Result<(), Refused> {
    let name = scheme.header;
    let refused = |reason: String| Refused { status: scheme.refusal, ..Refused::new(reason) };
    let given = webhook.header(name).ok_or_else(|| refused(format!("{name} is missing")))?.trim();
    let encoded = match scheme.prefix {
        Prefix::None => Some(given),
        Prefix::Required(prefix) => after(given, prefix),
        Prefix::Optional(prefix) => after(given, prefix).or(Some(given)),
    };
    let mac = encoded.and_then(|encoded| match scheme.encoding {
        Encoding::Hex => auth::unhex(encoded),
        Encoding::Base64 => auth::unbase64(encoded),
    });
    let messages = match scheme.over {
        Over::Body => vec![Cow::Borrowed(webhook.body)],
        Over::UrlAndForm => url_and_form(webhook).map_err(|reason| refused(reason.to_owned()))?,
    };
    let matches = |mac: &[u8]| {
        messages.iter().any(|message| {
            let expected = match scheme.algorithm {
                Algorithm::Sha1 => auth::hmac_sha1(secret.as_bytes(), message),
                Algorithm::Sha256 => auth::hmac_sha256(secret.as_bytes(), message),
            };
            auth::equal(mac, &expected)
        })
    };
    if mac.is_some_and(|mac| matches(&mac)) {
        return Ok(());
    }
    let public_url = if scheme.over == Over::UrlAndForm { " and public_url" } else { "" };
    Err(refused(format!("{name} does not match {}{public_url}", scheme.secret.name())))
}

/// Returns the text after a prefix in any case.
fn after<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Returns the texts that Twilio may have signed: it is not consistent about the port in the
/// address.
fn url_and_form<'w>(webhook: &Webhook<'w>) -> Result<Vec<Cow<'w, [u8]>>, &'static str> {
    let fields = match webhook.parameter("bodySHA256") {
        Some(hash) => {
            let expected = auth::sha256(webhook.body);
            if !auth::unhex(&hash).is_some_and(|hash| auth::equal(&hash, &expected)) {
                return Err("bodySHA256 does not match the body");
            }
            String::new()
        }
        None if webhook.method == "GET" => String::new(),
        // Sorted by name; each value of a repeated name once, sorted.
        None => {
            let fields: BTreeSet<(String, String)> = webhook.form().into_iter().collect();
            fields.into_iter().map(|(name, value)| name + &value).collect()
        }
    };
    let url = webhook.url.split('#').next().unwrap_or_default();
    let signed = |url: String| Cow::Owned(format!("{url}{fields}").into_bytes());
    Ok(spellings(url).map(signed).into())
}

/// Returns an address without a port, and with its own or its scheme's.
fn spellings(url: &str) -> [String; 2] {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port),
        _ => (authority, if scheme == "http" { "80" } else { "443" }),
    };
    [format!("{scheme}://{host}{path}"), format!("{scheme}://{host}:{port}{path}")]
}

fn ed25519(scheme: &Ed25519, key: &str, webhook: &Webhook<'_>) -> Result<(), Refused> {
    let header = |name: &str| webhook.header(name).ok_or_else(|| Refused::new(format!("{name} is missing")));
    let given = header(scheme.signature)?;
    let timestamp = header(scheme.timestamp)?;
    let at_ms = timestamp.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
    if at_ms.is_none_or(|at| webhook.now_ms.abs_diff(at) > scheme.age_max_ms) {
        let minutes = scheme.age_max_ms / 60_000;
        return Err(Refused::new(format!("{} is more than {minutes} minutes from now", scheme.timestamp)));
    }
    let signed = [timestamp.as_bytes(), scheme.separator.as_bytes(), webhook.body].concat();
    let key = auth::unbase64(key).unwrap_or_default();
    if auth::unbase64(given).is_some_and(|signature| auth::ed25519(&key, &signed, &signature)) {
        return Ok(());
    }
    Err(Refused::new(format!("{} does not match {}", scheme.signature, scheme.public_key)))
}

fn basic(
    (user_key, user): (&str, Option<&str>),
    (password_key, password): (&str, &str),
    webhook: &Webhook<'_>,
) -> Result<(), Refused> {
    let refused = |reason: String| Err(Refused::new(reason).challenging(CHALLENGE));
    let Some(given) = webhook.header("authorization") else {
        return refused("authorization is missing".to_owned());
    };
    // The name of the scheme is not case-sensitive, the credentials are.
    let credentials = after(given.trim(), "basic ").unwrap_or_default().trim();
    let expected = auth::base64(format!("{}:{password}", user.unwrap_or_default()).as_bytes());
    if auth::equal(credentials.as_bytes(), expected.as_bytes()) {
        return Ok(());
    }
    refused(format!("authorization does not match {user_key} and {password_key}"))
}

fn token<'a>(
    place: Place,
    (key, secret): (&str, &str),
    credential: &dyn Fn(&str) -> Option<&'a str>,
    webhook: &Webhook<'_>,
) -> Result<(), Refused> {
    let (what, given) = match place {
        Place::Header(name) => (name.to_owned(), webhook.header(name).map(str::to_owned)),
        Place::HeaderNamedBy(named_by) => {
            let name = credential(named_by).unwrap_or_default().to_ascii_lowercase();
            let given = webhook.header(&name).map(str::to_owned);
            (name, given)
        }
        Place::Parameter(name) => {
            let given = webhook.parameters().into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            (format!("the parameter {name}"), given.map(|(_, value)| value.trim().to_owned()))
        }
    };
    let Some(given) = given else { return Err(Refused::new(format!("{what} is missing"))) };
    if auth::equal(given.as_bytes(), secret.as_bytes()) {
        return Ok(());
    }
    Err(Refused::new(format!("{what} does not match {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "{\"text\":\"grüß dich\"}";
    const NOW_MS: i64 = 1_795_219_200_000;

    type Header<'a> = (&'a str, &'a str);

    /// Verifies a POST of `BODY` with these headers; the account has every key, with the value
    /// `secret`.
    fn verified(protection: &Protection, headers: &[Header<'_>]) -> Result<(), String> {
        let headers: Vec<(Box<str>, Box<str>)> =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let url = "https://example.org/webhooks/ch1";
        let body = BODY.as_bytes();
        let webhook = Webhook { method: "POST", url, query: "", headers: &headers, body, now_ms: NOW_MS };
        verify(protection, &|_| Some("secret"), &webhook).map_err(|refused| refused.to_string())
    }

    fn with_prefix(prefix: Prefix) -> Protection {
        Protection::Hmac(Hmac::sha256_hex("x-mac", prefix, SecretKey::Required("key")))
    }

    #[test]
    fn a_hash_is_accepted_in_any_case_and_with_the_prefix_that_belongs_to_it() {
        let mac = auth::hex(&auth::hmac_sha256(b"secret", BODY.as_bytes()));
        let (upper, prefixed) = (mac.to_uppercase(), format!("sha256={mac}"));
        let (none, required, optional) =
            (Prefix::None, Prefix::Required("sha256="), Prefix::Optional("sha256="));
        for (prefix, given, good) in [
            (none, &mac, true),
            (none, &upper, true),
            (none, &prefixed, false),
            (required, &prefixed, true),
            (required, &format!("SHA256={upper}"), true),
            (required, &mac, false),
            (required, &"00".to_owned(), false),
            (required, &"sha256=".to_owned(), false),
            (optional, &prefixed, true),
            (optional, &mac, true),
        ] {
            let got = verified(&with_prefix(prefix), &[("x-mac", given)]);
            assert_eq!(got.is_ok(), good, "{prefix:?} {given}: {got:?}");
        }
        let missing = verified(&with_prefix(none), &[]);
        assert_eq!(missing, Err("x-mac is missing".to_owned()));
    }

    #[test]
    fn an_empty_or_missing_secret_proves_nothing() {
        let mac = auth::hex(&auth::hmac_sha256(b"", BODY.as_bytes()));
        let headers = [("x-mac".into(), mac.into())];
        let webhook = Webhook {
            method: "POST",
            url: "https://example.org",
            query: "",
            headers: &headers,
            body: BODY.as_bytes(),
            now_ms: 0,
        };
        for (key, secret, good) in [
            (SecretKey::Required("key"), None, false),
            (SecretKey::Required("key"), Some(""), false),
            (SecretKey::Optional("key"), Some(" "), false),
            (SecretKey::Optional("key"), None, false),
        ] {
            let protection = Protection::Hmac(Hmac::sha256_hex("x-mac", Prefix::None, key));
            let got = verify(&protection, &|_| secret, &webhook);
            assert_eq!(got.is_ok(), good, "{key:?} {secret:?}: {got:?}");
        }
    }

    #[test]
    fn an_ed25519_signature_covers_time_separator_and_body() {
        use ed25519_dalek::{Signer as _, SigningKey};
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = auth::base64(&key.verifying_key().to_bytes());
        let scheme = Ed25519 {
            signature: "x-signature",
            timestamp: "x-time",
            separator: "|",
            age_max_ms: 300_000,
            public_key: "public_key",
        };
        let verified = |signed: String, seconds: &str| {
            let signature = auth::base64(&key.sign(signed.as_bytes()).to_bytes());
            let headers: [(Box<str>, Box<str>); 2] =
                [("x-signature".into(), signature.into()), ("x-time".into(), seconds.into())];
            let (url, body) = ("https://example.org", BODY.as_bytes());
            let webhook = Webhook { method: "POST", url, query: "", headers: &headers, body, now_ms: NOW_MS };
            verify(&Protection::Ed25519(scheme), &|_| Some(public.as_str()), &webhook).is_ok()
        };
        assert!(verified(format!("1795219200|{BODY}"), "1795219200"));
        assert!(verified(format!("1795219500|{BODY}"), "1795219500"), "five minutes are near enough");
        assert!(!verified(format!("1795219200.{BODY}"), "1795219200"), "another separator");
        assert!(!verified(format!("1795219200|{BODY}"), "1795219201"), "another time than the signed one");
        assert!(!verified(format!("1795219501|{BODY}"), "1795219501"), "too far from now");
        assert!(!verified(format!("soon|{BODY}"), "soon"));
    }

    #[test]
    fn an_address_is_signed_with_and_without_its_port() {
        for (url, without, with) in [
            ("https://example.org/a?b=c", "https://example.org/a?b=c", "https://example.org:443/a?b=c"),
            ("http://example.org", "http://example.org", "http://example.org:80"),
            ("https://example.org:8443/a", "https://example.org/a", "https://example.org:8443/a"),
        ] {
            assert_eq!(spellings(url), [without.to_owned(), with.to_owned()]);
        }
    }
}
