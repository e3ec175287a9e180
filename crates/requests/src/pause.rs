//! How often jobs that were forwarded are looked at: less and less often while nothing changes.

use chrono::TimeDelta;

/// The pause between two looks at a request that last changed so long ago.
pub fn pause(since_change: TimeDelta) -> TimeDelta {
    TimeDelta::minutes(match since_change.num_minutes() {
        ..10 => 1,
        10..60 => 2,
        60..240 => 5,
        _ => 15,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_with_the_time_since_the_last_change() {
        let minutes = |minutes| pause(TimeDelta::minutes(minutes)).num_minutes();
        assert_eq!([-1, 0, 9, 10, 59, 60, 239, 240, 100_000].map(minutes), [1, 1, 1, 2, 2, 5, 5, 15, 15]);
    }
}
