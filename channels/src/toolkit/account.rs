//! Parses `[channel.account]` into a provider's typed account, and holds the checks that all
//! accounts share.

use secrecy::{ExposeSecret as _, SecretString};

use crate::contract::AccountError;

/// Parses `[channel.account]` into its type. The keys and types were checked before
/// ([`crate::Provider::check_account`]); what remains are values that only the type understands.
///
/// # Errors
/// Names the key with those above it, and what is expected.
pub fn account<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, AccountError> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { String::new() } else { path };
        let problem: toml::de::Error = error.into_inner();
        AccountError { key, problem: problem.message().trim().to_owned() }
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
