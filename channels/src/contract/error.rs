//! The one vocabulary of send errors. The value alone decides what happens next; nothing else may.

use message::event::Cause;

use crate::contract::http::Response;

/// The reason why a part was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Try again later, with backoff; counts as a try.
    #[error("unavailable ({}): {}", .0.code, .0.reason)]
    Unavailable(Cause),
    /// An ambiguous refusal: one more try, then final.
    #[error("ambiguous ({}): {}", .0.code, .0.reason)]
    RetryOnce(Cause),
    /// The provider asks for a lower rate: the whole channel slows down and the part waits; not
    /// counted as a try. A limit that may be one customer's is one of the next two.
    #[error("throttled for {after_ms} ms ({}): {}", .cause.code, .cause.reason)]
    Throttled {
        /// Pause of the channel in milliseconds; 0 means the channel's own growing pause.
        after_ms: u64,
        /// The provider's words.
        cause: Cause,
    },
    /// A limit of this customer alone: only this customer waits; not counted as a try.
    #[error("throttled for this customer for {after_ms} ms ({}): {}", .cause.code, .cause.reason)]
    CustomerThrottled {
        /// Pause of the customer in milliseconds; 0 means a growing pause.
        after_ms: u64,
        /// The provider's words.
        cause: Cause,
    },
    /// A limit of this customer or of the whole channel, which the answer does not tell: the
    /// customer waits, and the channel too when several customers are refused and few accepted; not
    /// counted as a try.
    #[error("busy for {after_ms} ms ({}): {}", .cause.code, .cause.reason)]
    Busy {
        /// Pause in milliseconds; 0 means a growing pause.
        after_ms: u64,
        /// The provider's words.
        cause: Cause,
    },
    /// Final for this message.
    #[error("rejected ({}): {}", .0.code, .0.reason)]
    Rejected(Cause),
    /// Final: the customer opted out.
    #[error("unsubscribed ({}): {}", .0.code, .0.reason)]
    Unsubscribed(Cause),
    /// Access was denied, to the account or to one object or recipient: the link asks the
    /// provider's probe. If the credentials are accepted, the part gets one more try.
    #[error("forbidden ({}): {}", .0.code, .0.reason)]
    Forbidden(Cause),
    /// Proof that the account cannot be used: the channel stops, keeps its queue, and probes with
    /// growing pauses.
    #[error("credentials refused ({}): {}", .0.code, .0.reason)]
    CredentialsRefused(Cause),
    /// In doubt: the part may have been taken.
    #[error("outcome unknown ({}): {}", .0.code, .0.reason)]
    Unknown(Cause),
}

impl SendError {
    /// Classifies a status other than 2xx, for providers whose answer says nothing more precise.
    ///
    /// 401 and 403 may concern the account or one object, so the probe decides; 408, 425 and 5xx
    /// are tried again; 429, and 503 with `Retry-After`, slow the whole channel; other 4xx are
    /// final.
    pub fn by_status(response: &Response) -> Self {
        let code = format!("http {}", response.status);
        Self::of_status(response, Cause::new(code, response.words()))
    }

    /// Classifies a status as [`by_status`](Self::by_status) does, with the provider's own cause.
    pub fn of_status(response: &Response, cause: Cause) -> Self {
        match response.status {
            401 | 403 => Self::Forbidden(cause),
            429 => Self::Throttled { after_ms: response.retry_after_ms(), cause },
            503 if response.retry_after_ms() > 0 => {
                Self::Throttled { after_ms: response.retry_after_ms(), cause }
            }
            408 | 425 | 500..=599 => Self::Unavailable(cause),
            300..=499 => Self::Rejected(cause),
            // A success that the provider could not read, or an answer that is not final.
            _ => Self::Unknown(cause),
        }
    }

    /// Returns the cause if the part itself is sent again after a pause.
    pub fn deferral(&self) -> Option<&Cause> {
        match self {
            Self::Unavailable(cause)
            | Self::RetryOnce(cause)
            | Self::Throttled { cause, .. }
            | Self::CustomerThrottled { cause, .. }
            | Self::Busy { cause, .. } => Some(cause),
            Self::Rejected(_)
            | Self::Unsubscribed(_)
            | Self::Forbidden(_)
            | Self::CredentialsRefused(_)
            | Self::Unknown(_) => None,
        }
    }

    /// Interprets an answer to a probe: a probe concerns nothing but the account, so access denied
    /// to it means refused credentials.
    pub fn of_probe(self) -> Self {
        match self {
            Self::Forbidden(cause) => Self::CredentialsRefused(cause),
            other => other,
        }
    }
}

/// An account that cannot be used. It names the key and the fix, never the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct AccountError {
    /// The key of `[channel.account]`, with the keys above it (`errors.0x58`); empty when the whole
    /// table is meant.
    pub key: String,
    /// The problem and the expected value.
    pub problem: String,
}

/// Every problem of an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct AccountErrors(pub Vec<AccountError>);

impl AccountErrors {
    /// Returns the errors of all checks.
    ///
    /// # Errors
    /// Some check failed.
    pub fn all(checks: impl IntoIterator<Item = Result<(), AccountError>>) -> Result<(), Self> {
        let errors: Vec<_> = checks.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }
}

impl From<AccountError> for AccountErrors {
    fn from(error: AccountError) -> Self {
        Self(vec![error])
    }
}
