//! Growing pauses between the attempts at an operation.

use std::time::Duration;

/// The pauses between the attempts at one operation: each pause is twice the one before. They have no jitter, because
/// the operations that use them have few callers at a time.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    next_pause: Duration,
    retries_left: u32,
}

impl Backoff {
    /// Allows this number of retries after the first attempt. The first pause is `first_pause` long.
    pub const fn new(first_pause: Duration, max_retries: u32) -> Self {
        Self { next_pause: first_pause, retries_left: max_retries }
    }

    /// Pauses before the next attempt. Returns `false`, without a pause, if no retry is left.
    pub async fn pause(&mut self) -> bool {
        let Some(pause) = self.take_pause() else { return false };
        tokio::time::sleep(pause).await;
        true
    }

    /// The pause before the next attempt. `None` if no retry is left.
    fn take_pause(&mut self) -> Option<Duration> {
        self.retries_left = self.retries_left.checked_sub(1)?;
        let pause = self.next_pause;
        self.next_pause = pause.saturating_mul(2);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses_ms(first_ms: u64, max_retries: u32) -> Vec<u128> {
        let mut backoff = Backoff::new(Duration::from_millis(first_ms), max_retries);
        std::iter::from_fn(|| backoff.take_pause()).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn each_pause_is_twice_the_one_before() {
        assert_eq!(pauses_ms(50, 8), [50, 100, 200, 400, 800, 1600, 3200, 6400]);
        assert_eq!(pauses_ms(1000, 2), [1000, 2000]);
    }

    #[test]
    fn without_retries_there_is_no_pause() {
        assert_eq!(pauses_ms(50, 0), [0_u128; 0]);
    }

    #[test]
    fn a_pause_is_never_too_long_to_compute() {
        let mut backoff = Backoff::new(Duration::MAX, 2);
        assert_eq!((backoff.take_pause(), backoff.take_pause()), (Some(Duration::MAX), Some(Duration::MAX)));
    }

    #[tokio::test]
    async fn an_operation_is_attempted_once_more_than_it_is_retried() {
        let mut backoff = Backoff::new(Duration::from_millis(1), 3);
        let mut attempts = 1;
        while backoff.pause().await {
            attempts += 1;
        }
        assert_eq!(attempts, 4);
        assert!(!backoff.pause().await);
    }
}
