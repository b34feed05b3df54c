//! Dates without a clock: civil days and the forms other programs want.

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` before 1970 or for an impossible month or day. After Howard
/// Hinnant's days_from_civil.
pub fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let era_days = year * 365 + year / 4 - year / 100 + year / 400;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    (era_days + day_of_year).checked_sub(719_468)
}

/// Year, month, day, hours, minutes, seconds of an epoch in UTC.
fn civil(epoch: u64) -> [u64; 6] {
    let days = epoch / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let seconds = epoch % 86_400;
    [year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60]
}

/// `2026-11-20T13:50:41Z`.
pub fn iso8601(epoch: u64) -> String {
    let [year, month, day, hours, minutes, seconds] = civil(epoch);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// `2026112013504100`, the form of xorriso's --modification-date.
pub fn compact(epoch: u64) -> String {
    let [year, month, day, hours, minutes, seconds] = civil(epoch);
    format!("{year:04}{month:02}{day:02}{hours:02}{minutes:02}{seconds:02}00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_over_leap_years() {
        for (epoch, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_825_599, "2000-02-29T11:59:59Z"),
            (1_582_979_696, "2020-02-29T12:34:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso8601(epoch), text);
            let [year, month, day, ..] = civil(epoch);
            assert_eq!(days_from_civil(year, month, day), Some(epoch / 86_400));
        }
        assert_eq!(compact(1_582_979_696), "2020022912345600");
    }

    #[test]
    fn impossible_dates_are_none() {
        assert_eq!(days_from_civil(1969, 12, 31), None);
        assert_eq!(days_from_civil(2026, 13, 1), None);
        assert_eq!(days_from_civil(2026, 1, 0), None);
    }
}
