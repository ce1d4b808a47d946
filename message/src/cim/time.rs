//! Parses instants and durations as senders of CIM write them: RFC 3339, seconds, `2h 30m`. Never
//! reads the clock.

use crate::id::Timestamp;

/// Parses an RFC 3339 instant. The offset may lack its colon (`+0000`, as Java writes it).
pub(super) fn rfc3339(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let separators_fit = matches!(
        (bytes.get(4)?, bytes.get(7)?, bytes.get(10)?, bytes.get(13)?, bytes.get(16)?),
        (b'-', b'-', b'T' | b't' | b' ', b':', b':')
    );
    if !separators_fit {
        return None;
    }
    let [year, month, day] = [digits(text, 0, 4)?, digits(text, 5, 7)?, digits(text, 8, 10)?];
    let [hour, minute, second] = [digits(text, 11, 13)?, digits(text, 14, 16)?, digits(text, 17, 19)?];
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fits {
        return None;
    }
    let (fraction_ms, zone) = fraction(text.get(19..)?)?;
    let offset_minutes = offset(zone)?;
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    let ms = minutes * 60_000 + second * 1_000 + fraction_ms;
    u64::try_from(ms).ok().map(Timestamp)
}

fn digits(text: &str, from: usize, to: usize) -> Option<i64> {
    let part = text.get(from..to)?;
    part.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    part.parse().ok()
}

/// Returns the milliseconds of a fraction (`.951`), and the rest of the text.
fn fraction(rest: &str) -> Option<(i64, &str)> {
    let Some(rest) = rest.strip_prefix('.') else { return Some((0, rest)) };
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at_checked(end)?;
    let hundreds = [100, 10, 1];
    let ms = digits.bytes().zip(hundreds).map(|(digit, weight)| i64::from(digit - b'0') * weight).sum();
    (!digits.is_empty()).then_some((ms, zone))
}

/// Parses an offset; returns minutes east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.len() {
        4 => (digits(rest, 0, 2)?, digits(rest, 2, 4)?),
        5 if rest.as_bytes().get(2) == Some(&b':') => (digits(rest, 0, 2)?, digits(rest, 3, 5)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Returns the days from 1970-01-01 in the Gregorian calendar. The year is counted from March, so
/// that a leap day is its last day.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// Parses a duration to milliseconds: a bare number of seconds, or a text with units (`2h 30m`).
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000);
    }
    u64::try_from(humantime::parse_duration(text).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_in_all_spellings() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-02-23T11:17:33.951Z", 1_677_151_053_951),
            ("2023-02-23T11:17:33.951+0000", 1_677_151_053_951),
            ("2023-02-23 12:17:33.9519+01:00", 1_677_151_053_951),
            ("2024-02-29t00:00:00z", 1_709_164_800_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(rfc3339(text), Some(Timestamp(ms)), "{text}");
        }
        for text in [
            "",
            "today",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-02-23T24:00:00Z",
            "2023-02-23T11:17:33",
            "2023-02-23T11:17:33.Z",
            "2023-02-23T11:17:33+1",
            "1970-01-01T00:00:00+01:00",
            "２０２３-02-23T11:17:33Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn durations_in_all_spellings() {
        assert_eq!(duration_ms("90"), Some(90_000));
        assert_eq!(duration_ms(" 2h 30m "), Some(9_000_000));
        assert_eq!(duration_ms("soon"), None);
        assert_eq!(duration_ms("18446744073709551615"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}") {
            let _ = (rfc3339(&text), duration_ms(&text));
        }
    }
}
