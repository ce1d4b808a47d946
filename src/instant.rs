//! Instants as text: RFC 3339 out; RFC 3339 or milliseconds since 1970 in.

use message::Timestamp;

/// Formats an instant as RFC 3339 with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| at.0.to_string(), |t| format!("{t:.3}"))
}

/// Parses an instant: milliseconds since 1970 or RFC 3339.
///
/// # Errors
/// Names the forms that are accepted.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(Timestamp(ms));
    }
    // In a query, an unescaped plus sign arrives as a space.
    let text = text.replace(' ', "+");
    let instant: Option<jiff::Timestamp> = text.parse().ok();
    let ms = instant.and_then(|t| u64::try_from(t.as_millisecond()).ok());
    ms.map(Timestamp).ok_or_else(|| {
        format!("not an instant: {text:?}; expected milliseconds since 1970 or e.g. 2026-01-31T12:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_back_as_it_was_written() {
        let text = "2025-10-09T08:53:20.123Z";
        assert_eq!(rfc3339(Timestamp(1_760_000_000_123)), text);
        assert_eq!(parse(text), Ok(Timestamp(1_760_000_000_123)));
        assert_eq!(parse("1760000000123"), Ok(Timestamp(1_760_000_000_123)));
        assert_eq!(rfc3339(Timestamp(u64::MAX)), u64::MAX.to_string());
    }
}
