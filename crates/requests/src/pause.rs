//! How often jobs that were forwarded are looked at: less and less often while nothing changes.

use chrono::{DateTime, TimeDelta, Utc};

/// While the pause is the shortest one, a change need not be remembered: it would move an entry of an index for nothing.
const SHORTEST_PAUSE_FOR: TimeDelta = TimeDelta::minutes(10);

/// The time of the last change that is remembered, after a change now.
pub(crate) fn remembered(changed_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if now - changed_at < SHORTEST_PAUSE_FOR { changed_at } else { now }
}

/// The pause between two looks at a request that last changed so long ago.
pub fn pause(since_change: TimeDelta) -> TimeDelta {
    if since_change < SHORTEST_PAUSE_FOR {
        return TimeDelta::minutes(1);
    }
    TimeDelta::minutes(match since_change.num_minutes() {
        ..60 => 2,
        60..240 => 5,
        _ => 15,
    })
}

/// Whether it is the turn of a request that last changed at `changed_at`. Turns are aligned to the minutes of the clock, so
/// that the requests on a push are looked at together, and that no look has to be stored.
pub fn is_due(changed_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now.timestamp().div_euclid(60) % pause(now - changed_at).num_minutes() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_with_the_time_since_the_last_change() {
        let minutes = |minutes| pause(TimeDelta::minutes(minutes)).num_minutes();
        assert_eq!([-1, 0, 9, 10, 59, 60, 239, 240, 100_000].map(minutes), [1, 1, 1, 2, 2, 5, 5, 15, 15]);
    }

    #[test]
    fn changes_that_follow_each_other_closely_move_no_entry() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let changes = [3, 9, 10, 12, 25];
        let remembered: Vec<_> = changes
            .iter()
            .scan(at(0), |last, change| {
                *last = remembered(*last, at(*change));
                Some((*last - at(0)).num_minutes())
            })
            .collect();
        assert_eq!(remembered, [0, 0, 10, 10, 25]);
    }

    #[test]
    fn the_turns_of_requests_are_minutes_of_the_clock() {
        let at = |time: &str| format!("2026-11-23T{time}Z").parse::<DateTime<Utc>>().unwrap();
        let minutes_of_turns = |changed_at: &str, from: &str, count: i64| {
            let minutes = (0..count).filter(|minute| {
                let now = at(from) + TimeDelta::minutes(*minute);
                is_due(at(changed_at), now)
            });
            minutes.collect::<Vec<_>>()
        };
        assert_eq!(minutes_of_turns("06:00:30", "06:00:31", 14), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]);
        // Two requests with the same pause have the same turns.
        assert_eq!(minutes_of_turns("05:01:00", "06:02:59", 12), [3, 8]);
        assert_eq!(minutes_of_turns("04:13:10", "06:02:01", 12), [3, 8]);
        assert_eq!(minutes_of_turns("01:00:00", "06:00:00", 60), [0, 15, 30, 45]);
    }
}
