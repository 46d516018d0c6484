//! Dates for people, from seconds since the Unix epoch.
//!
//! Sources: the algorithm `civil_from_days` of Howard Hinnant ("chrono-Compatible Low-Level Date Algorithms"); time zones as POSIX writes
//! them in `TZ` (IEEE Std 1003.1, 8.3), with rules of the form `M`.

/// An offset from UTC, and when it is another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zone {
    /// Seconds east of UTC.
    standard: i64,
    summer: Option<Summer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summer {
    offset: i64,
    begins: Change,
    ends: Change,
}

/// The `week`th `day` of a month (5 = the last; 0 = Sunday), so many seconds after midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    month: i64,
    week: i64,
    day: i64,
    time: i64,
}

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl Zone {
    /// Reads `UTC`, `+02:00`, or a POSIX zone such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "UTC" || text == "Z" {
            return Some(Self::default());
        }
        if text.starts_with(['+', '-']) {
            let (offset, rest) = seconds(text)?;
            return (rest.is_empty() && text.len() == 6).then_some(Self {
                standard: offset,
                summer: None,
            });
        }
        let (standard, rest) = named_offset(text)?;
        if rest.is_empty() {
            return Some(Self {
                standard,
                summer: None,
            });
        }
        let (names, rules) = rest.split_once(',')?;
        let (offset, after) = match named_offset(names) {
            Some(found) => found,
            None => (standard.checked_add(HOUR)?, name(names)?.1),
        };
        let (begins, ends) = rules.split_once(',')?;
        let summer = Summer {
            offset,
            begins: Change::parse(begins)?,
            ends: Change::parse(ends)?,
        };
        after.is_empty().then_some(Self {
            standard,
            summer: Some(summer),
        })
    }

    /// Seconds east of UTC at `now`.
    fn offset(&self, now: i64) -> i64 {
        let Some(summer) = &self.summer else {
            return self.standard;
        };
        let (year, ..) = civil(now.saturating_add(self.standard).div_euclid(DAY));
        // Each change is told in the time that is left.
        let begins = summer.begins.at(year).saturating_sub(self.standard);
        let ends = summer.ends.at(year).saturating_sub(summer.offset);
        let is_summer = if begins < ends {
            (begins..ends).contains(&now)
        } else {
            !(ends..begins).contains(&now)
        };
        if is_summer {
            summer.offset
        } else {
            self.standard
        }
    }
}

/// A name of a zone, `CET` or `<+03>`, and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>');
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (name.len() >= 3).then_some((name, rest))
}

/// A name with an offset, which POSIX counts west of UTC.
fn named_offset(text: &str) -> Option<(i64, &str)> {
    let (_, rest) = name(text)?;
    let (west, rest) = seconds(rest)?;
    Some((west.checked_neg()?, rest))
}

/// `[+-]hh[:mm[:ss]]`, and what follows.
fn seconds(text: &str) -> Option<(i64, &str)> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mut total, mut unit) = (0_i64, HOUR);
    loop {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end)?;
        let number: i64 = digits.parse().ok()?;
        let most = if unit == HOUR { 24 } else { 59 };
        if !(0..=most).contains(&number) {
            return None;
        }
        total = total.checked_add(number.checked_mul(unit)?)?;
        unit = unit.checked_div(60)?;
        match after.strip_prefix(':') {
            Some(next) if unit > 0 => rest = next,
            Some(_) => return None,
            None => return Some((total.checked_mul(sign)?, after)),
        }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('/') {
            Some((date, time)) => {
                let (time, rest) = seconds(time)?;
                rest.is_empty().then_some((date, time))?
            }
            None => (text, HOUR.checked_mul(2)?),
        };
        let mut parts = date.strip_prefix('M')?.split('.');
        let mut next = |most: i64, least: i64| {
            let number: i64 = parts.next()?.parse().ok()?;
            (least..=most).contains(&number).then_some(number)
        };
        let change = Self {
            month: next(12, 1)?,
            week: next(5, 1)?,
            day: next(6, 0)?,
            time,
        };
        parts.next().is_none().then_some(change)
    }

    /// Seconds since the epoch in local time.
    fn at(&self, year: i64) -> i64 {
        let first = days(year, self.month, 1);
        let ahead = self.day.saturating_sub(weekday(first)).rem_euclid(7);
        let weeks = self.week.saturating_sub(1).saturating_mul(7);
        let mut day = first.saturating_add(ahead).saturating_add(weeks);
        let (next_year, next_month) = match self.month {
            12 => (year.saturating_add(1), 1),
            month => (year, month.saturating_add(1)),
        };
        if day >= days(next_year, next_month, 1) {
            day = day.saturating_sub(7);
        }
        day.saturating_mul(DAY).saturating_add(self.time)
    }
}

/// Day of the week of a day since the epoch; 0 = Sunday.
fn weekday(day: i64) -> i64 {
    day.saturating_add(4).rem_euclid(7)
}

/// Days since the epoch.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year.saturating_sub(i64::from(month <= 2));
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = month.saturating_add(9).rem_euclid(12);
    let of_year = from_march
        .saturating_mul(153)
        .saturating_add(2)
        .div_euclid(5)
        .saturating_add(day)
        .saturating_sub(1);
    let leaps = of_era.div_euclid(4).saturating_sub(of_era.div_euclid(100));
    era.saturating_mul(146_097)
        .saturating_add(of_era.saturating_mul(365))
        .saturating_add(leaps)
        .saturating_add(of_year)
        .saturating_sub(719_468)
}

/// Year, month, day of a day since the epoch.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day.saturating_add(719_468);
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let of_era_years = of_era
        .saturating_sub(of_era.div_euclid(1460))
        .saturating_add(of_era.div_euclid(36_524))
        .saturating_sub(of_era.div_euclid(146_096))
        .div_euclid(365);
    let before = of_era_years
        .saturating_mul(365)
        .saturating_add(of_era_years.div_euclid(4))
        .saturating_sub(of_era_years.div_euclid(100));
    let of_year = of_era.saturating_sub(before);
    let from_march = of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
    let first = from_march
        .saturating_mul(153)
        .saturating_add(2)
        .div_euclid(5);
    let month = from_march
        .saturating_add(2)
        .rem_euclid(12)
        .saturating_add(1);
    let year = era.saturating_mul(400).saturating_add(of_era_years);
    (
        year.saturating_add(i64::from(month <= 2)),
        month,
        of_year.saturating_sub(first).saturating_add(1),
    )
}

/// A moment as people in a time zone write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    day: i64,
    second: i64,
}

impl Civil {
    /// `now`: seconds since the Unix epoch.
    #[must_use]
    pub fn at(now: u64, zone: &Zone) -> Self {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let local = now.saturating_add(zone.offset(now));
        Self {
            day: local.div_euclid(DAY),
            second: local.rem_euclid(DAY),
        }
    }

    /// `2026-11-21`
    #[must_use]
    pub fn date(&self) -> String {
        let (year, month, day) = civil(self.day);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `14:05`
    #[must_use]
    pub fn time(&self) -> String {
        let minutes = self.second.div_euclid(60);
        format!(
            "{:02}:{:02}",
            minutes.div_euclid(60),
            minutes.rem_euclid(60)
        )
    }

    /// `Saturday`
    #[must_use]
    pub fn weekday(&self) -> &'static str {
        let at = usize::try_from(weekday(self.day)).unwrap_or_default();
        WEEKDAYS.get(at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: u64, zone: &str) -> String {
        let civil = Civil::at(now, &Zone::parse(zone).unwrap());
        format!("{} {} {}", civil.weekday(), civil.date(), civil.time())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(at(0, "UTC"), "Thursday 1970-01-01 00:00");
        assert_eq!(at(951_782_400, "UTC"), "Tuesday 2000-02-29 00:00");
        assert_eq!(at(1_795_271_100, "UTC"), "Saturday 2026-11-21 14:25");
        assert_eq!(at(4_107_542_399, "UTC"), "Sunday 2100-02-28 23:59");
        assert_eq!(at(4_107_542_400, "UTC"), "Monday 2100-03-01 00:00");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(-1);
        for day in 0..150_000 {
            let (year, month, number) = civil(day);
            assert_eq!(days(year, month, number), day);
            assert!((year, month, number) > before && number <= 31);
            before = (year, month, number);
        }
    }

    #[test]
    fn offsets_go_over_midnight() {
        assert_eq!(at(1_795_271_100, "+14:00"), "Sunday 2026-11-22 04:25");
        assert_eq!(at(1_795_271_100, "-09:30"), "Saturday 2026-11-21 04:55");
        assert_eq!(at(1_795_271_100, "IST-5:30"), "Saturday 2026-11-21 19:55");
        assert_eq!(at(1_795_271_100, "<-03>3"), "Saturday 2026-11-21 11:25");
    }

    #[test]
    fn summer_begins_and_ends_by_the_rule() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(at(1_774_745_999, berlin), "Sunday 2026-03-29 01:59");
        assert_eq!(at(1_774_746_000, berlin), "Sunday 2026-03-29 03:00");
        assert_eq!(at(1_792_889_999, berlin), "Sunday 2026-10-25 02:59");
        assert_eq!(at(1_792_890_000, berlin), "Sunday 2026-10-25 02:00");
        let sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        assert_eq!(at(1_767_225_600, sydney), "Thursday 2026-01-01 11:00");
        assert_eq!(at(1_783_987_200, sydney), "Tuesday 2026-07-14 10:00");
        let new_york = "EST5EDT,M3.2.0,M11.1.0";
        assert_eq!(at(1_772_953_200, new_york), "Sunday 2026-03-08 03:00");
    }

    #[test]
    fn what_is_no_zone_is_none() {
        for text in [
            "",
            "Europe/Berlin",
            "+2",
            "+02",
            "+25:00",
            "+02:60",
            "CET",
            "CE-1",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,J60,J300",
            "CET-1CEST,M3.5.0,M10.5.0,x",
            "+02:00x",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }
}
