//! Parses `[channel.account]` into a provider's typed account, and holds the checks that all
//! accounts share.

use secrecy::{ExposeSecret as _, SecretString};

use crate::contract::AccountError;

/// Parses `[channel.account]` into its type.
///
/// # Errors
/// An unknown or missing key, or a wrong type, by name.
pub fn account<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, AccountError> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| AccountError {
        key: String::new(),
        problem: error.message().trim().to_owned(),
    })
}

/// Rejects an empty secret.
///
/// # Errors
/// Names the key.
pub fn filled(key: &str, secret: &SecretString) -> Result<(), AccountError> {
    if secret.expose_secret().trim().is_empty() {
        return Err(AccountError { key: key.into(), problem: "is empty".into() });
    }
    Ok(())
}

/// Checks the base address of an API: it begins with `https://` or `http://`. A trailing `/` is
/// removed, since paths are appended.
///
/// # Errors
/// Names the key of an invalid address.
pub fn address(key: &str, url: &mut Box<str>) -> Result<(), AccountError> {
    let trimmed = url.trim().trim_end_matches('/');
    let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
        let problem = format!("{url:?} is not a valid URL: expected https://...");
        return Err(AccountError { key: key.into(), problem });
    }
    *url = trimmed.into();
    Ok(())
}
