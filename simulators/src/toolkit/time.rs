//! Dates as providers write them, from milliseconds since 1970. No clock is read here.

use crate::smsc;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: u64,
}

fn civil(seconds: u64) -> Civil {
    let days = seconds / 86_400;
    let (year, month, day) = smsc::civil(days);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    Civil { year, month, day, hour, minute, second, weekday: days % 7 }
}

/// `2026-08-01T10:00:00.123Z`.
pub(crate) fn rfc3339(ms: u64) -> String {
    let c = civil(ms / 1000);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        c.year,
        c.month,
        c.day,
        c.hour,
        c.minute,
        c.second,
        ms % 1000
    )
}

/// `Mon, 21 Sep 2026 10:00:00 +0000`.
pub(crate) fn rfc2822(ms: u64) -> String {
    let c = civil(ms / 1000);
    let name = |names: &[&'static str], index: u64| {
        usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or_default()
    };
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
        name(&DAYS, c.weekday),
        c.day,
        name(&MONTHS, c.month - 1),
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

/// `2026-08-01 10:00:00`.
pub(crate) fn plain(ms: u64) -> String {
    rfc3339(ms).replace('T', " ").get(..19).unwrap_or_default().to_owned()
}

/// `2608011000`.
pub(crate) fn short(ms: u64) -> String {
    let c = civil(ms / 1000);
    format!("{:02}{:02}{:02}{:02}{:02}", c.year % 100, c.month, c.day, c.hour, c.minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc2822(1_789_984_800_000), "Mon, 21 Sep 2026 10:00:00 +0000");
        assert_eq!(plain(1_789_984_800_123), "2026-09-21 10:00:00");
        assert_eq!(short(1_789_984_800_123), "2609211000");
    }
}
