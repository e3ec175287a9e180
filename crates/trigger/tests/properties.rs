//! What holds for any request.

use std::collections::HashSet;

use catalog::names::Names;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use trigger::judge::{Renames, judge};
use trigger::limits::{Limits, Spent, Window};
use trigger::once::{Asked, Key, Verdict};
use trigger::request::{Asking, Job, JobState, Request, RequestId, State, count};

/// Names of few words, so that many are equal, near, or renamed.
fn name() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Linux",
        "Rev5 MacOSX Yosemite 10.10",
        "Rev7 MacOSX Yosemite 10.10.5",
        "try",
        "opt",
        "test",
        "mochitest-1",
        "mochitest-2",
        "\u{e9}",
    ]);
    prop::collection::vec(word, 1..4).prop_map(|words| words.join(" "))
}

fn start() -> DateTime<Utc> {
    "2026-11-23T06:00:00Z".parse().expect("a time")
}

fn request(jobs: &[Job]) -> Request {
    let asking = Asking {
        project: "try".to_owned(),
        push_id: 1,
        pushed: None,
        requester: "someone@mozilla.com".parse().expect("an address"),
        on_behalf_by: None,
        decision_task_id: None,
    };
    Request::new(RequestId::new(start(), 1), asking, jobs, start())
}

/// What can happen to a request.
#[derive(Debug, Clone)]
enum Happens {
    Queued,
    PutOff,
    Ends(Vec<JobState>),
    Retried,
}

fn happens() -> impl Strategy<Value = Happens> {
    let state = prop::sample::select(vec![JobState::Forwarded, JobState::Failed, JobState::Unroutable]);
    prop_oneof![
        Just(Happens::Queued),
        Just(Happens::PutOff),
        prop::collection::vec(state, 3).prop_map(Happens::Ends),
        Just(Happens::Retried),
    ]
}

proptest! {
    #[test]
    fn each_name_is_judged_once_and_what_is_accepted_exists(
        known in prop::collection::vec(name(), 0..8),
        asked in prop::collection::vec(name(), 1..12),
    ) {
        let names = Names::new(known.clone());
        let jobs = judge(&asked, &names, &Renames::default());
        let distinct: HashSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        prop_assert_eq!(distinct.len(), jobs.len());
        for job in &jobs {
            let exists = known.contains(&job.name);
            prop_assert_eq!(exists, job.state == JobState::Accepted);
            prop_assert!(asked.contains(job.asked_as.as_ref().unwrap_or(&job.name)));
            prop_assert!(job.closest.as_ref().is_none_or(|closest| known.contains(closest)));
        }
        for name in &asked {
            let is_told = |job: &Job| job.name == *name || job.asked_as.as_ref() == Some(name);
            // Or a name before it is the same job.
            let is_other_name = jobs.iter().any(|job| name.replace("Rev5 MacOSX Yosemite 10.10", "Rev7 MacOSX Yosemite 10.10.5") == job.name);
            prop_assert!(jobs.iter().any(is_told) || is_other_name, "{}", name);
        }
    }

    #[test]
    fn the_same_names_in_any_order_are_the_same_request(
        mut names in prop::collection::vec(name(), 1..6),
        other in name(),
    ) {
        let requester = "someone@mozilla.com".parse().expect("an address");
        let key = |names: &[String]| {
            Key::of_content(&Asked { requester: &requester, project: "try", push: 1, names, decision_task_id: None })
        };
        let first = key(&names);
        names.reverse();
        names.push(names[0].clone());
        prop_assert_eq!(&first, &key(&names));
        if !names.contains(&other) {
            names.push(other);
            prop_assert_ne!(first, key(&names));
        }
    }

    #[test]
    fn a_claim_never_means_two_things_and_ends(after in 0_i64..200_000, is_stored: bool, is_other: bool) {
        let requester = "someone@mozilla.com".parse().expect("an address");
        let asked = Asked { requester: &requester, project: "try", push: 1, names: &[], decision_task_id: None };
        let key = Key::given("k", &asked).expect("a key");
        let claim = key.claim(RequestId::new(start(), 1), start());
        let fingerprint = if is_other { "other" } else { &key.fingerprint };
        let verdict = claim.verdict(fingerprint, start() + TimeDelta::seconds(after), is_stored);
        let expected = match () {
            () if after >= 86_400 => Verdict::Void,
            () if is_other => Verdict::Other,
            () if is_stored => Verdict::Same,
            () if after < 30 => Verdict::InProgress,
            () => Verdict::Void,
        };
        prop_assert_eq!(verdict, expected);
    }

    #[test]
    fn nobody_gets_more_than_the_limits(requests in prop::collection::vec((0_u32..4000, 0_i64..7200), 1..60)) {
        let limits = Limits::default();
        let mut requests = requests;
        requests.sort_by_key(|(_, second)| *second);
        let (mut spent, mut last) = (Spent::default(), Window::at(start()));
        for (jobs, second) in requests {
            let window = Window::at(start() + TimeDelta::seconds(second));
            if window.hour != last.hour {
                spent = Spent::default();
            } else if window.minute != last.minute {
                spent.requests = 0;
            }
            last = window;
            match limits.check(spent, jobs, window) {
                Ok(()) => spent = Spent { jobs: spent.jobs + jobs, requests: spent.requests + 1 },
                Err(exceeded) => prop_assert!((1..=3600).contains(&exceeded.retry_after)),
            }
            prop_assert!(spent.jobs <= 3000 && spent.requests <= 30);
        }
    }

    #[test]
    fn whatever_happens_versions_rounds_and_history_only_grow(events in prop::collection::vec(happens(), 0..20)) {
        let mut jobs = ["a", "b", "c"].map(Job::accepted).to_vec();
        let mut now = start();
        let mut request = request(&jobs);
        for event in events {
            now += TimeDelta::seconds(1);
            let before = request.clone();
            let next = match event {
                Happens::Queued => request.queued(now),
                Happens::PutOff => Some(request.put_off(now)),
                Happens::Ends(states) if request.state == State::Queued => {
                    for (job, state) in jobs.iter_mut().zip(states) {
                        job.state = state;
                    }
                    Some(Request { version: request.version + 1, state: State::Forwarded, jobs: count(&jobs), ..before.clone() })
                }
                Happens::Ends(_) => None,
                Happens::Retried => {
                    let again: Vec<Job> = jobs
                        .iter()
                        .map(|job| if job.state.can_be_retried() { Job::accepted(&job.name) } else { job.clone() })
                        .collect();
                    let next = request.retried(&again, None, now);
                    if next.is_some() {
                        jobs = again;
                    }
                    next
                }
            };
            let Some(next) = next else { continue };
            prop_assert_eq!(next.version, before.version + 1);
            prop_assert!(next.round == before.round || (next.round == before.round + 1 && next.state == State::Accepted));
            prop_assert!(next.history.starts_with(&before.history));
            prop_assert_eq!(next.jobs.values().sum::<u32>(), 3);
            prop_assert_eq!(next.created_at(), Some(start()));
            request = next;
        }
    }
}
