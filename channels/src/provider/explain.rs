//! Explanations of codes: meaning, usual cause and usual fix. There is one file for each family of
//! providers in `codes/`, and one for the reasons that Patchbay gives by itself.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use crate::smpp::status;

/// An explanation of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The meaning, in words.
    pub meaning: Cow<'static, str>,
    /// The usual cause.
    pub cause: Cow<'static, str>,
    /// The usual fix.
    pub fix: Cow<'static, str>,
    /// The provider's own page about it.
    pub link: Option<String>,
    /// Whether the code is one that Patchbay gives by itself, on every channel.
    pub is_own: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Codes {
    /// The provider's page; `{code}` stands for the code.
    #[serde(default)]
    link: Option<String>,
    codes: BTreeMap<String, CodeWords>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeWords {
    meaning: String,
    cause: String,
    fix: String,
}

macro_rules! codes {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../codes/", $name, ".toml")))),*]
    };
}

/// Every file of codes.
const FILES: &[(&str, &str)] = codes!["bandwidth" "messenger" "patchbay" "smpp" "telegram" "telnyx" "twilio" "viber" "voipms" "whatsapp"];

/// Reasons of Patchbay's own, which apply to every provider.
const OWN: &str = "patchbay";

static CODES: LazyLock<BTreeMap<&'static str, Codes>> = LazyLock::new(|| {
    let read = |(name, text): &(&'static str, &str)| Some((*name, toml::from_str(text).ok()?));
    FILES.iter().filter_map(read).collect()
});

/// Returns the name of the file with a provider's codes.
fn file_of(provider: &str) -> &str {
    match provider {
        "twilio_whatsapp" => "twilio",
        "whatsapp_cloud" | "whatsapp_360dialog" => "whatsapp",
        "facebook" | "instagram" => "messenger",
        other => other,
    }
}

/// Explains a code of a provider, as it stands in `reasonCode` or as the provider writes it; `None`
/// if nothing is known about it.
pub fn explain(provider: &str, code: &str) -> Option<Explanation> {
    let spellings = spellings(provider, code.trim());
    for spelling in &spellings {
        let known = |file| Some((file, CODES.get(file)?, CODES.get(file)?.codes.get(spelling)?));
        if let Some((file, codes, words)) = known(file_of(provider)).or_else(|| known(OWN)) {
            let code = spelling;
            return Some(Explanation {
                meaning: Cow::Borrowed(&words.meaning),
                cause: Cow::Borrowed(&words.cause),
                fix: Cow::Borrowed(&words.fix),
                link: codes.link.as_ref().map(|link| link.replace("{code}", code)),
                is_own: file == OWN && !spelling.starts_with("http "),
            });
        }
    }
    (provider == "smpp").then(|| status_of(code.trim())).flatten().map(|status| Explanation {
        meaning: format!("ESME_{}: {}.", status.name, status.words).into(),
        cause: "The SMSC refuses what it was sent.".into(),
        fix: "Ask the provider with the time and the number; show it the code.".into(),
        link: CODES.get("smpp").and_then(|codes| codes.link.clone()),
        is_own: false,
    })
}

/// Returns every code that is explained for a provider, without Patchbay's own.
pub fn codes(provider: &str) -> impl Iterator<Item = &'static str> {
    CODES.get(file_of(provider)).into_iter().flat_map(|codes| codes.codes.keys().map(String::as_str))
}

/// Returns the spellings under which a code may be listed: as it is, without a subcode or a
/// vendor's error, and for SMPP as a command status.
fn spellings(provider: &str, code: &str) -> Vec<String> {
    let mut spellings = vec![code.to_owned()];
    if let Some((code, _)) = code.split_once('/') {
        spellings.push(code.to_owned());
    }
    // A bare HTTP status is explained by itself, or with all of its hundred.
    if let Some(class) = code.strip_prefix("http ").and_then(|status| status.get(..1)) {
        spellings.push(format!("http {class}xx"));
    }
    if provider == "smpp" {
        spellings.push(code.to_uppercase());
        spellings.extend(status_of(code).map(|status| format!("0x{:08X}", status.code)));
    }
    spellings
}

/// Finds a command status by its number, in hexadecimal or decimal, or by its name.
fn status_of(code: &str) -> Option<&'static status::Status> {
    let upper = code.to_uppercase();
    let name = upper.strip_prefix("ESME_").unwrap_or(&upper);
    let number = match upper.strip_prefix("0X") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => upper.parse().ok(),
    };
    status::STATUSES.iter().find(|status| status.name == name || Some(status.code) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_and_every_code_says_what_to_do() {
        assert_eq!(CODES.len(), FILES.len());
        for (name, codes) in &*CODES {
            for (code, CodeWords { meaning, cause, fix }) in &codes.codes {
                for words in [meaning, cause, fix] {
                    assert!(words.ends_with('.') && words.len() > 10, "{name} {code}: {words:?}");
                }
            }
        }
    }

    #[test]
    fn a_code_is_found_in_each_of_its_spellings() {
        let password = explain("smpp", "0x0000000E").unwrap();
        assert!(password.meaning.contains("password"));
        for spelling in ["ESME_RINVPASWD", "rinvpaswd", "14", "0x0e"] {
            assert_eq!(explain("smpp", spelling), Some(password.clone()), "{spelling}");
        }
        assert_eq!(explain("smpp", "UNDELIV/034"), explain("smpp", "undeliv"));
        assert!(explain("smpp", "0xC4").unwrap().meaning.contains("optional parameter"));
        let window = explain("facebook", "10/2018278").unwrap();
        assert!(window.meaning.contains("24 hours"));
        assert_ne!(explain("facebook", "10/99"), Some(window));
        let stop = explain("twilio_whatsapp", "21610").unwrap();
        assert_eq!(stop.link.as_deref(), Some("https://www.twilio.com/docs/api/errors/21610"));
        assert_eq!(explain("twilio", "expired"), explain("smpp", "expired"));
        assert_eq!(explain("twilio", "4711"), None);
        let gateway = explain("telnyx", "http 502").unwrap();
        assert!(!gateway.is_own && gateway.meaning.contains("provider"), "{gateway:?}");
        assert_ne!(explain("telnyx", "http 401"), explain("telnyx", "http 410"));
        assert!(explain("twilio", "expired").unwrap().is_own);
    }

    #[test]
    fn each_provider_with_codes_exists() {
        for (file, _) in FILES.iter().filter(|(name, _)| *name != OWN) {
            let known = crate::PROVIDERS.iter().any(|provider| file_of(provider.name) == *file);
            assert!(known, "{file}");
        }
    }
}
