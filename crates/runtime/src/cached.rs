//! A value of another service that is kept in memory: it is loaded again when it is no longer fresh, and stays in use
//! while the service fails.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::Clock;

/// A cached value. When several callers need it at the same time, one loads it and the others wait for the result.
/// Callers for whom the value is fresh never wait.
#[derive(Debug)]
pub struct Cached<T> {
    pauses: RetryPauses,
    state: Mutex<CacheState<T>>,
    /// Held by the caller that loads.
    loading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct CacheState<T> {
    entry: Option<CacheEntry<T>>,
    /// When the last successful load ended.
    loaded_at: Option<DateTime<Utc>>,
    failure: Cooldown,
}

/// How long to wait after a load before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPauses {
    /// After a successful load, even if the value is not fresh.
    pub after_success: TimeDelta,
    /// After a failed load, while an older value can be used.
    pub after_failure: TimeDelta,
    /// After a failed load, while there is no value.
    pub while_empty: TimeDelta,
}

/// After failures 5 seconds: each caller that waits for a failing service waits for seconds.
impl Default for RetryPauses {
    fn default() -> Self {
        let pause = TimeDelta::seconds(5);
        Self { after_success: TimeDelta::zero(), after_failure: pause, while_empty: pause }
    }
}

/// A value and its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry<T> {
    /// The value.
    pub value: T,
    /// When its load started.
    pub at: DateTime<Utc>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheStatus {
    /// It was in memory and fresh.
    Hit,
    /// It was loaded now.
    Loaded,
    /// It was in memory and may be out of date, because it cannot be loaded now.
    Stale {
        /// Why, for the log.
        reason: String,
    },
}

impl CacheStatus {
    /// Whether the value may be out of date.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }
}

/// There is no value, and it cannot be loaded now. Holds the reason, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// What a cache answers with.
type Lookup<T> = Result<(CacheEntry<T>, CacheStatus), Unavailable>;

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self::with_pauses(RetryPauses::default())
    }
}

impl<T> Cached<T> {
    /// An empty cache with these pauses between loads.
    pub fn with_pauses(pauses: RetryPauses) -> Self {
        let state = CacheState { entry: None, loaded_at: None, failure: Cooldown::default() };
        Self { pauses, state: Mutex::new(state), loading: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, CacheState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Cached<T> {
    /// Returns the value in memory if `is_fresh` accepts it or a load is not allowed yet, and otherwise the result of
    /// `load`.
    ///
    /// # Errors
    /// The value cannot be loaded, and there is none in memory.
    pub async fn get<E: fmt::Display>(
        &self,
        clock: &Clock,
        is_fresh: impl Fn(&CacheEntry<T>, DateTime<Utc>) -> bool,
        load: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<(CacheEntry<T>, CacheStatus), Unavailable> {
        if let Some(found) = self.get_without_load(clock(), &is_fresh) {
            return found;
        }
        let _guard = self.loading.lock().await;
        let now = clock();
        // Another caller may have loaded the value meanwhile.
        if let Some(found) = self.get_without_load(now, &is_fresh) {
            return found;
        }
        let loaded = load().await;
        // The load took time, and pauses start at its end.
        let ended_at = clock();
        let mut state = self.state();
        match loaded {
            Ok(value) => {
                let entry = CacheEntry { value, at: now };
                *state =
                    CacheState { entry: Some(entry.clone()), loaded_at: Some(ended_at), failure: Cooldown::default() };
                Ok((entry, CacheStatus::Loaded))
            }
            Err(error) => {
                let reason = error.to_string();
                state.failure.start(ended_at, &reason);
                state
                    .entry
                    .clone()
                    .map(|entry| (entry, CacheStatus::Stale { reason: reason.clone() }))
                    .ok_or(Unavailable(reason))
            }
        }
    }

    /// The answer of `get` where it takes no load; `None` where a load is needed and allowed.
    pub fn get_without_load(
        &self,
        now: DateTime<Utc>,
        is_fresh: impl Fn(&CacheEntry<T>, DateTime<Utc>) -> bool,
    ) -> Option<Lookup<T>> {
        let state = self.state();
        let Some(entry) = &state.entry else {
            return state
                .failure
                .reason(now, self.pauses.while_empty)
                .map(|reason| Err(Unavailable(reason.to_owned())));
        };
        if is_fresh(entry, now) {
            return Some(Ok((entry.clone(), CacheStatus::Hit)));
        }
        let is_recent = |at: DateTime<Utc>| (now - at).abs() < self.pauses.after_success;
        let unrefreshed = |reason: &str| Ok((entry.clone(), CacheStatus::Stale { reason: reason.to_owned() }));
        match state.failure.reason(now, self.pauses.after_failure) {
            Some(reason) => Some(unrefreshed(reason)),
            None => state.loaded_at.is_some_and(is_recent).then(|| unrefreshed("it was loaded a moment ago")),
        }
    }

    /// The value in memory, fresh or not.
    pub fn peek(&self) -> Option<CacheEntry<T>> {
        self.state().entry.clone()
    }
}

/// The pause after a failure.
#[derive(Debug, Clone, Default)]
pub struct Cooldown {
    failure: Option<(DateTime<Utc>, String)>,
}

impl Cooldown {
    /// Records a failure.
    pub fn start(&mut self, at: DateTime<Utc>, reason: impl Into<String>) {
        self.failure = Some((at, reason.into()));
    }

    /// Why not to try again yet, if the last failure is less than `pause` ago. A clock that was set back does not
    /// prolong the pause.
    pub fn reason(&self, now: DateTime<Utc>, pause: TimeDelta) -> Option<&str> {
        let recent = self.failure.as_ref().filter(|(at, _)| (now - *at).abs() < pause);
        recent.map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use super::*;

    /// A cache that is fresh for 10 seconds, its clock, and a service that counts its calls.
    struct Fixture {
        cached: Cached<u32>,
        seconds: Arc<AtomicI64>,
        calls: AtomicU32,
    }

    impl Fixture {
        fn new(pauses: RetryPauses) -> Self {
            let (seconds, calls) = (Arc::default(), AtomicU32::new(0));
            Self { cached: Cached::with_pauses(pauses), seconds, calls }
        }

        fn wait(&self, seconds: i64) {
            self.seconds.fetch_add(seconds, Ordering::SeqCst);
        }

        async fn get(&self, is_up: bool) -> Result<(u32, CacheStatus), Unavailable> {
            let seconds = self.seconds.clone();
            let clock: Clock =
                Arc::new(move || DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds.load(Ordering::SeqCst)));
            let load = async || {
                let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                if is_up { Ok(call) } else { Err("down") }
            };
            let is_fresh = |entry: &CacheEntry<u32>, now| now - entry.at < TimeDelta::seconds(10);
            self.cached.get(&clock, is_fresh, load).await.map(|(entry, status)| (entry.value, status))
        }
    }

    fn stale(reason: &str) -> CacheStatus {
        CacheStatus::Stale { reason: reason.to_owned() }
    }

    #[tokio::test]
    async fn a_fresh_value_is_not_loaded_again() {
        let fixture = Fixture::new(RetryPauses::default());
        assert_eq!(fixture.get(true).await, Ok((1, CacheStatus::Loaded)));
        fixture.wait(9);
        assert_eq!(fixture.get(true).await, Ok((1, CacheStatus::Hit)));
        fixture.wait(1);
        assert_eq!(fixture.get(true).await, Ok((2, CacheStatus::Loaded)));
    }

    #[tokio::test]
    async fn a_stale_value_stays_in_use_and_a_failing_service_gets_a_pause() {
        let fixture = Fixture::new(RetryPauses::default());
        assert_eq!(fixture.get(false).await, Err(Unavailable("down".to_owned())));
        fixture.wait(4);
        assert_eq!(fixture.get(true).await, Err(Unavailable("down".to_owned())));
        fixture.wait(1);
        assert_eq!(fixture.get(true).await, Ok((2, CacheStatus::Loaded)));
        fixture.wait(10);
        assert_eq!(fixture.get(false).await, Ok((2, stale("down"))));
        assert_eq!(fixture.get(true).await, Ok((2, stale("down"))));
        fixture.wait(5);
        assert_eq!(fixture.get(true).await, Ok((4, CacheStatus::Loaded)));
    }

    #[tokio::test]
    async fn a_value_can_have_a_minimum_interval_between_loads() {
        let thirty = TimeDelta::seconds(30);
        let pauses = RetryPauses { after_success: thirty, after_failure: thirty, while_empty: TimeDelta::seconds(5) };
        let fixture = Fixture::new(pauses);
        fixture.get(true).await.unwrap();
        fixture.wait(29);
        assert_eq!(fixture.get(true).await, Ok((1, stale("it was loaded a moment ago"))));
        fixture.wait(1);
        assert_eq!(fixture.get(false).await, Ok((1, stale("down"))));
        fixture.wait(29);
        assert_eq!(fixture.get(true).await, Ok((1, stale("down"))));
        fixture.wait(1);
        assert_eq!(fixture.get(true).await, Ok((3, CacheStatus::Loaded)));
    }

    #[tokio::test]
    async fn of_several_callers_one_loads() {
        let fixture = Fixture::new(RetryPauses::default());
        let (one, other) = tokio::join!(fixture.get(true), fixture.get(true));
        assert_eq!((one, other), (Ok((1, CacheStatus::Loaded)), Ok((1, CacheStatus::Hit))));
        assert_eq!(fixture.calls.load(Ordering::SeqCst), 1);
    }
}
