//! Writes the body of a list.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use crate::list::fields::{EntryForm, begin_entry, end_entry, put_kind, put_label, put_name, put_option_hash};
use crate::list::job::{ListedJob, ListedPlatform, UNKNOWN};
use crate::list::pack::{MAX_PLATFORMS, Summary};

/// Appends the body of a project's list to `body`, and returns what the list holds.
///
/// `jobs` are in the order of their names.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn write_body<'j>(
    project: &str,
    mut jobs: impl ExactSizeIterator<Item = ListedJob<'j>>,
    body: &mut Vec<u8>,
) -> Summary {
    let count = jobs.len();
    write_jobs(project, count, &mut jobs, body)
}

/// Not generic, so that it is compiled with this crate's optimisation and not with that of its callers.
fn write_jobs(
    project: &str,
    count: usize,
    jobs: &mut dyn Iterator<Item = ListedJob<'_>>,
    body: &mut Vec<u8>,
) -> Summary {
    let mut platforms = BTreeSet::new();
    let mut build_systems: BTreeMap<&str, usize> = BTreeMap::new();
    body.extend_from_slice(b"{\"meta\":{\"repository\":");
    put(body, project);
    body.extend_from_slice(b",\"offset\":0,\"count\":");
    put(body, &count);
    body.extend_from_slice(b"},\"results\":[");
    // Neighbours by name mostly run in the same place: its text is then copied, not made again. That is half the body.
    let mut last_place: Option<(ListedPlatform<'_>, Range<usize>)> = None;
    for (number, job) in jobs.enumerate() {
        if number > 0 {
            body.push(b',');
        }
        let start = body.len();
        match &last_place {
            Some((platform, text)) if *platform == job.platform => body.extend_from_within(text.clone()),
            _ => {
                let is_known = job.platform.os != UNKNOWN && !job.platform.name.is_empty();
                if is_known && platforms.len() < MAX_PLATFORMS {
                    platforms.insert(job.platform.name);
                }
                begin_entry(body, job.platform);
            }
        }
        last_place = Some((job.platform, start..body.len()));
        let form = EntryForm::of(job.platform);
        put_label(body, form, &job);
        put_option_hash(body, form, job.option);
        put_name(body, job.name);
        put_kind(body, form, &job);
        end_entry(body, job.upstream);
        *build_systems.entry(job.build_system).or_default() += 1;
    }
    body.extend_from_slice(b"]}");
    Summary {
        jobs: count,
        build_systems: build_systems.into_iter().map(|(name, jobs)| (name.to_owned(), jobs)).collect(),
        platforms: platforms.into_iter().map(ToOwned::to_owned).collect(),
    }
}

/// Appends a value as JSON.
pub(super) fn put<T: Serialize + ?Sized>(body: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(body, value).expect("strings and numbers can be written to memory");
}
