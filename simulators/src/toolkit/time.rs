//! Dates as providers write them, from milliseconds since 1970. Never reads a clock.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A date and time of the Gregorian calendar, in UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: u64,
}

impl Civil {
    /// Counts in years that begin in March, and in cycles of 400 years.
    fn at(ms: u64) -> Self {
        let seconds = ms / 1_000;
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let (cycle, day_of_cycle) = (shifted / 146_097, shifted % 146_097);
        let year_of_cycle =
            (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: cycle * 400 + year_of_cycle + u64::from(month <= 2),
            month,
            day,
            hour: seconds / 3_600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            weekday: days % 7,
        }
    }
}

/// Writes `2026-08-01T10:00:00.123Z`.
pub(crate) fn rfc3339(ms: u64) -> String {
    format!("{}.{:03}Z", plain(ms).replace(' ', "T"), ms % 1_000)
}

/// Writes `Mon, 21 Sep 2026 10:00:00 +0000`.
pub(crate) fn rfc2822(ms: u64) -> String {
    let c = Civil::at(ms);
    let name = |names: &[&'static str], index: u64| {
        usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or_default()
    };
    let (weekday, month) = (name(&DAYS, c.weekday), name(&MONTHS, c.month - 1));
    format!(
        "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} +0000",
        c.day, c.year, c.hour, c.minute, c.second
    )
}

/// Writes `2026-08-01 10:00:00`.
pub(crate) fn plain(ms: u64) -> String {
    let c = Civil::at(ms);
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// Writes `2608011000`.
pub(crate) fn short(ms: u64) -> String {
    let c = Civil::at(ms);
    format!("{:02}{:02}{:02}{:02}{:02}", c.year % 100, c.month, c.day, c.hour, c.minute)
}

/// Writes `260801100059`.
pub(crate) fn short_with_seconds(ms: u64) -> String {
    format!("{}{:02}", short(ms), ms / 1_000 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc2822(1_789_984_800_000), "Mon, 21 Sep 2026 10:00:00 +0000");
        assert_eq!(plain(1_789_984_800_123), "2026-09-21 10:00:00");
        assert_eq!(short(1_789_984_800_123), "2609211000");
        assert_eq!(short(0), "7001010000");
        assert_eq!(short_with_seconds(951_782_399_000), "000228235959");
        assert_eq!(short(951_782_400_000), "0002290000");
        assert_eq!(short_with_seconds(1_767_225_599_000), "251231235959");
    }
}
