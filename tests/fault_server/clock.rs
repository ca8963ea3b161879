//! The server's clock, which a script may shift, and the three ways S3 writes a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: i64 = 86_400;

pub fn shifted(seconds: i64) -> SystemTime {
    let now = SystemTime::now();
    let shift = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now - shift } else { now + shift }
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// `2026-01-31T12:00:00.000Z`, as in lists.
pub fn iso(time: SystemTime) -> String {
    let seconds = unix_seconds(time);
    let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_A_DAY));
    let of_day = seconds.rem_euclid(SECONDS_A_DAY);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Seconds by which an `x-amz-date` (`20260131T120000Z`) is away from `time`.
pub fn distance(amz_date: &str, time: SystemTime) -> Option<u64> {
    let number = |from: usize, to: usize| amz_date.get(from..to)?.parse::<i64>().ok();
    let days = days_since_epoch(number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let asked = days * SECONDS_A_DAY + number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?;
    Some(asked.abs_diff(unix_seconds(time)))
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse, `days_from_civil`.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
