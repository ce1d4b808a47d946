//! Providers described by a manifest file: no code, only `manifests/<name>.toml`. A manifest tells
//! how a message is sent, what an answer means and how webhooks are read;
//! `docs/provider-by-manifest.md` documents it. Built-in manifests are embedded; a user's own is
//! handed in as text. Nothing here reads files.

mod channel;
mod checked;
mod error;
mod file;
mod template;
mod webhook;

use std::sync::LazyLock;

pub use checked::MANIFEST_BYTES_MAX;
pub use error::ManifestError;

use crate::contract::Provider;

/// Name and text of every built-in manifest, by name.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// The providers of the built-in manifests. A test loads each; one with a mistake would be missing
/// here.
static PROVIDERS: LazyLock<Vec<&'static Provider>> =
    LazyLock::new(|| BUILT_IN.iter().filter_map(|(name, text)| load(name, text).ok()).collect());

/// Returns the providers of the built-in manifests, by name.
pub fn providers() -> &'static [&'static Provider] {
    &PROVIDERS
}

/// Returns the provider of a built-in manifest.
pub fn built_in(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name).copied()
}

/// Loads a manifest. Its description is leaked: it lives as long as the process, which reads its
/// configuration once.
///
/// # Errors
/// Names the line, the key and the fix.
pub fn load(name: &str, text: &str) -> Result<&'static Provider, ManifestError> {
    let built_in = |wanted: &str| BUILT_IN.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    checked::load(name, text, built_in)
}

#[cfg(test)]
mod tests {
    use message::Content;

    use super::*;
    use crate::contract::{LinkKind, OutPart, http::Body};

    #[test]
    fn every_built_in_manifest_can_be_loaded() {
        for (name, text) in BUILT_IN {
            let loaded = load(name, text).unwrap_or_else(|error| panic!("manifests/{error}"));
            assert_eq!(loaded.name, *name);
        }
        assert_eq!(PROVIDERS.len(), BUILT_IN.len());
    }

    const ACME: &str = r#"summary = "SMS by Acme"
documentation = "https://acme.example/docs"
auth = { bearer = "token" }
[account]
token = { doc = "the token", secret = true }
region = { doc = "a part of the address", optional = true }
[send]
url = "https://api.acme.example/{region}/messages"
json = { to = "{to}", text = "{text}" }
[webhook.hmac]
header = "X-Acme"
secret = "token"
[inbound]
id = ["/id"]
from = ["/from"]
to = ["/to"]
text = ["/text"]
"#;

    /// Loads `ACME` with one text replaced, and returns the error.
    fn refused(from: &str, to: &str) -> String {
        assert!(ACME.contains(from), "{from}");
        load("acme", &ACME.replace(from, to)).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_told_with_line_key_and_fix() {
        assert!(load("acme", ACME).is_ok());
        for (from, to, expected) in [
            ("summary =", "sumary =", &["acme.toml, line 1", "sumary", "expected one of", "`summary`"][..]),
            ("url = \"h", "url = 5 #", &["line 8", "url", "expected a string"]),
            ("{region}", "{regio}", &["line 8", "url: ", "{regio}", "expected one of", "region"]),
            ("{region}", "{region", &["line 8", "url: ", "closing"]),
            ("[\"/from\"]", "[\"from\"]", &["line 15", "from: ", "not a pointer", "expected \"/name\""]),
            (
                "secret = \"token\"",
                "secret = \"key\"",
                &["line 12", "secret: ", "\"key\"", "expected one of region, token"],
            ),
            ("secret = \"token\"", "secret = \"region\"", &["line 12", "secret = true"]),
            ("id = [\"/id\"]", "", &["line 13", "id_of"]),
            ("json =", "form = {}\njson =", &["line 7", "json and form"]),
            ("bearer = \"token\"", "bearer = \"tokn\"", &["line 3", "auth: ", "tokn"]),
            (
                "[inbound]",
                "[receipt]\nreference = [\"?\"]\nstatus = [\"/s\"]\nstatuses = {}\n[inbound]",
                &["line 14", "reference: ", "not a pointer"],
            ),
            ("optional = true", "optional = true, default = \"eu\"", &["line 6", "optional", "default"]),
        ] {
            let error = refused(from, to);
            for word in expected {
                assert!(error.contains(word), "{to:?}: {word:?} is not in {error}");
            }
        }
    }

    #[test]
    fn an_address_for_receipts_is_left_out_when_none_is_known() {
        let text = ACME.replace("text = \"{text}\"", "dlr = \"{webhook_url}?part={reference}\"");
        let account = toml::toml! {
            token = "t"
            region = "eu"
        };
        let channel = load("acme", &text).unwrap().open(account).unwrap();
        let LinkKind::Http(http) = channel.link() else { panic!("no link over HTTP") };
        let body = |webhook_url| {
            let part = OutPart {
                customer: "+15550100002",
                customer_shown: "+15550100002",
                did: "+15550100001",
                content: &Content::Text("hello".into()),
                reference: "ref-1",
                webhook_url,
                reply_to: None,
                valid_s: None,
                now_ms: 0,
            };
            let Body::Json(body) = http.send(&part).unwrap().body else { panic!("no JSON") };
            body
        };
        assert_eq!(body(""), r#"{"to":"+15550100002"}"#);
        assert_eq!(
            body("https://p.example/webhooks/acme"),
            r#"{"dlr":"https://p.example/webhooks/acme?part=ref-1","to":"+15550100002"}"#
        );
    }

    #[test]
    fn a_manifest_is_bounded_and_has_a_plain_name() {
        let long = format!("{ACME}#{}", "x".repeat(MANIFEST_BYTES_MAX));
        assert!(load("acme", &long).unwrap_err().to_string().contains("longer than 65536 octets"));
        for name in ["", "Acme", "a/b", "../a"] {
            assert!(load(name, ACME).unwrap_err().to_string().contains("a-z"), "{name:?}");
        }
    }

    #[test]
    fn a_preset_is_another_manifest_under_its_own_name() {
        let preset = "preset = \"general\"\nsummary = \"SMS by Acme\"\n";
        let acme = load("acme", preset).unwrap();
        assert_eq!((acme.name, acme.summary), ("acme", "SMS by Acme"));
        assert_eq!(acme.secrets, built_in("general").unwrap().secrets);
        let error = load("acme", "preset = \"genral\"\n").unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("genral"), "{error}");
    }

    #[test]
    fn no_change_of_a_manifest_makes_it_panic() {
        let general = BUILT_IN.iter().find(|(name, _)| *name == "general").unwrap().1;
        for at in (0..general.len()).step_by(3) {
            for octets in ["", "\"", "{", "]"] {
                if general.is_char_boundary(at) && general.is_char_boundary(at + 1) {
                    let text = format!("{}{octets}{}", &general[..at], &general[at + 1..]);
                    _ = load("general", &text);
                }
            }
        }
    }
}
