//! Reading `[channel.account]` into a provider's typed account, and the checks that all accounts share.

use secrecy::{ExposeSecret as _, SecretString};

use crate::contract::AccountError;

/// Reads `[channel.account]` into its type.
///
/// # Errors
/// Names what is wrong: an unknown or missing key, a wrong type.
pub fn account<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, AccountError> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| AccountError {
        key: String::new(),
        problem: error.message().trim().to_owned(),
    })
}

/// Checks that a secret says something.
///
/// # Errors
/// Names its key when it is empty.
pub fn filled(key: &str, secret: &SecretString) -> Result<(), AccountError> {
    if secret.expose_secret().trim().is_empty() {
        return Err(AccountError { key: key.into(), problem: "is empty".into() });
    }
    Ok(())
}

/// Checks the address of an API: it begins with `https://` or `http://`. What follows is put behind it, so a `/`
/// at its end is taken away.
///
/// # Errors
/// Names its key when it is none.
pub fn address(key: &str, url: &mut Box<str>) -> Result<(), AccountError> {
    let trimmed = url.trim().trim_end_matches('/');
    let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
        let problem = format!("{url:?} is no address: expected https://...");
        return Err(AccountError { key: key.into(), problem });
    }
    *url = trimmed.into();
    Ok(())
}
