//! Words that several views share: how long something lasts, its cause, and what helps.

use channels::provider;
use message::{ChannelId, event::Cause};

/// Returns a time in words, rounded up.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..=119_999 => format!("{} s", ms.div_ceil(1_000)),
        120_000..=7_199_999 => format!("{} min", ms.div_ceil(60_000)),
        7_200_000..=172_799_999 => format!("{} h", ms.div_ceil(3_600_000)),
        _ => format!("{} days", ms.div_ceil(86_400_000)),
    }
}

/// Returns `1 part` or `3 parts`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Returns the words of a cause with its code.
pub(crate) fn cause(cause: &Cause) -> String {
    match (&*cause.reason, &*cause.code) {
        (reason, "") => reason.to_owned(),
        ("", code) => code.to_owned(),
        (reason, code) => format!("{reason} ({code})"),
    }
}

/// Returns a link's reason without the time of its next try, which is told by itself.
pub(crate) fn without_next_try(reason: &str) -> &str {
    reason.split_once("; next try in").map_or(reason, |(reason, _)| reason)
}

/// Returns what helps against refused credentials: what is known about the code, and the keys that
/// hold them.
pub(crate) fn against_refusal(provider: &str, channel: &ChannelId, code: &str) -> String {
    let secrets =
        provider::provider(provider).map_or("", |known| known.secrets.first().copied().unwrap_or(""));
    let known = provider::explain(provider, code).map(|known| known.fix);
    match (known, secrets) {
        (Some(fix), "") => fix.into_owned(),
        (Some(fix), key) => format!("{fix} The key is {key} in [channel.account] of channel {channel}."),
        (None, "") => format!("Correct [channel.account] of channel {channel} and reload."),
        (None, key) => format!("Correct {key} in [channel.account] of channel {channel} and reload."),
    }
}

/// Returns what helps against a provider that cannot be reached.
pub(crate) fn against_silence(provider: &str, channel: &ChannelId) -> String {
    let keys = if provider == "smpp" { "host and port" } else { "base_url" };
    format!(
        "Check {keys} in [channel.account] of channel {channel}, the firewall and the provider's state; \
         `patchbay check --probe` tries it."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_people() {
        let spans = [0, 1, 27_000, 119_999, 120_000, 7_000_000, 7_200_000, 200_000_000];
        let words: Vec<String> = spans.into_iter().map(span).collect();
        assert_eq!(words, ["0 s", "1 s", "27 s", "120 s", "2 min", "117 min", "2 h", "3 days"]);
        assert_eq!((counted(1, "part"), counted(0, "part")), ("1 part".into(), "0 parts".into()));
        assert_eq!(cause(&Cause::new("0x1", "no")), "no (0x1)");
        assert_eq!((cause(&Cause::new("", "no")), cause(&Cause::new("7", ""))), ("no".into(), "7".into()));
        let refused = against_refusal("smpp", &"sms".into(), "0x0000000E");
        assert!(refused.contains("password in [channel.account] of channel sms"), "{refused}");
        let unknown = against_refusal("telnyx", &"t".into(), "4711");
        assert_eq!(unknown, "Correct api_key in [channel.account] of channel t and reload.");
    }
}
