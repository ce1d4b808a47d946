//! Failures as the business and the operator see them: the code, the words of the side that failed
//! the message, and what is known about the code.

use std::borrow::Cow;

use channels::provider;
use message::{FailedBy, Failure, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::session::window;

/// Why a message or a part failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureView {
    /// The provider's own code wherever it gave one, else one of Patchbay's.
    pub reason_code: Box<str>,
    /// The words of the side that failed it.
    pub reason: Box<str>,
    /// That side: `provider`, `smsc`, `patchbay`, `expiry`, `business` or `operator`.
    pub failed_by: &'static str,
    /// When it failed.
    pub failed_at: Timestamp,
    /// The explanation of the code, where there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub explained: Option<ExplainedView>,
}

/// The explanation of a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedView {
    /// The meaning of the code.
    pub meaning: Cow<'static, str>,
    /// The reason for which providers mostly give it.
    pub usual_cause: Cow<'static, str>,
    /// The remedy that works in most cases.
    pub fix: Cow<'static, str>,
    /// The provider's page about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// The number of messages that failed with one code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedCodeView {
    /// The code; `other` for those beyond what is told apart.
    pub code: Box<str>,
    /// The number of messages since start.
    pub messages: u64,
}

impl FailureView {
    /// Describes a failure on a channel of a provider; the name is empty where it is not known.
    pub(crate) fn of(provider: &str, failure: &Failure) -> Self {
        let explained = provider::explain(provider, &failure.cause.code);
        // Some codes of ours are a provider's as well: its own table decides.
        let is_providers = explained.as_ref().is_some_and(|explained| !explained.is_own);
        let failed_by = match failure.by {
            FailedBy::Provider if provider == SMPP => "smsc",
            FailedBy::Provider => "provider",
            FailedBy::Patchbay if is_providers => "provider",
            FailedBy::Patchbay => "patchbay",
            FailedBy::Expiry => "expiry",
            FailedBy::Business => "business",
            FailedBy::Operator => "operator",
        };
        Self {
            reason_code: reason_code(&failure.cause.code).into(),
            reason: failure.cause.reason.clone(),
            failed_by,
            failed_at: failure.at,
            explained: explained.map(ExplainedView::from),
        }
    }
}

impl From<provider::Explanation> for ExplainedView {
    fn from(known: provider::Explanation) -> Self {
        Self { meaning: known.meaning, usual_cause: known.cause, fix: known.fix, link: known.link }
    }
}

/// The provider whose messages an SMSC takes.
const SMPP: &str = "smpp";

/// Returns the `reasonCode` of a failure: the code of its cause. A message whose window is closed
/// has 400, as one that can never be sent.
fn reason_code(code: &str) -> &str {
    match code {
        window::WINDOW => "400",
        "" => "500",
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use message::event::Cause;

    use super::*;

    #[test]
    fn a_failure_says_who_failed_it_and_what_helps() {
        use FailedBy::{Business, Expiry, Operator, Patchbay, Provider};
        for (provider, code, by, shown, side, fix) in [
            ("smpp", "UNDELIV/034", Provider, "UNDELIV/034", "smsc", true),
            ("smpp", "0x0000000B", Provider, "0x0000000B", "smsc", true),
            ("smpp", "no_answer", Patchbay, "no_answer", "patchbay", true),
            ("smpp", "cancelled", Business, "cancelled", "business", true),
            ("twilio", "21610", Provider, "21610", "provider", true),
            ("twilio", "4711", Provider, "4711", "provider", false),
            ("twilio", "", Provider, "500", "provider", false),
            ("telnyx", "http 500", Provider, "http 500", "provider", true),
            ("whatsapp_cloud", "window", Patchbay, "400", "patchbay", true),
            ("whatsapp_cloud", "400", Patchbay, "400", "patchbay", true),
            // Telegram answers with 400 itself.
            ("telegram", "400", Patchbay, "400", "provider", true),
            ("telegram", "expired", Expiry, "expired", "expiry", true),
            ("", "in_doubt", Operator, "in_doubt", "operator", true),
        ] {
            let failure = Failure { cause: Cause::new(code, "words"), by, at: Timestamp(7) };
            let view = FailureView::of(provider, &failure);
            let told = (&*view.reason_code, view.failed_by, view.explained.is_some());
            assert_eq!(told, (shown, side, fix), "{provider} {code}");
        }
    }
}
