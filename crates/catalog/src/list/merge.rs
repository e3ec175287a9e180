//! The jobs of all build systems in one list.

use crate::list::job::ListedJob;
use crate::list::listing::Listing;

/// The jobs of a project's new list, in the order of their names: the new jobs of one build system, and those of the
/// others from the old list.
///
/// A name is there once. If two build systems have the same name, the job of the system that comes first in the alphabet
/// stays, whichever was read last: the list does not change with the order of the ingests. Of two new jobs with one name,
/// the first stays.
pub fn merge<'a, 'n: 'a>(
    old: Option<&'a Listing>,
    build_system: &str,
    new: impl Iterator<Item = ListedJob<'n>>,
) -> Vec<ListedJob<'a>> {
    let kept = old.into_iter().flat_map(Listing::jobs).filter(|job| job.build_system != build_system);
    let mut jobs: Vec<ListedJob<'a>> = new.collect();
    jobs.extend(kept);
    in_order(&mut jobs);
    jobs
}

/// Sorts jobs by name, and drops those whose name is there already.
fn in_order(jobs: &mut Vec<ListedJob<'_>>) {
    // Both parts are in order already, which the sort makes use of.
    jobs.sort_by(|one, other| (one.name, one.build_system).cmp(&(other.name, other.build_system)));
    jobs.dedup_by(|later, earlier| later.name == earlier.name);
}
