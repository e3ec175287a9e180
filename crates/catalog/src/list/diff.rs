//! The differences between two lists of one project.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::list::fields::{BadBody, Body, NameFields};

/// The differences between an old list and a new one, by job name and in the order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListDiff {
    /// Jobs that only the new list has.
    pub added: Vec<String>,
    /// Jobs that only the old list has.
    pub removed: Vec<String>,
    /// Jobs that both have, with different details.
    pub changed: Vec<String>,
    /// Number of jobs that are the same in both.
    pub unchanged: usize,
    /// Number of jobs of the old list that have a build that they need.
    pub with_build: usize,
    /// Those of them that have no build in the new list.
    pub lost_builds: Vec<String>,
}

impl ListDiff {
    /// The number of jobs in the old list.
    pub fn before(&self) -> usize {
        self.removed.len() + self.changed.len() + self.unchanged
    }

    /// Whether the lists are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A job: its name, its text, and whether it needs a build.
type JobOf<'b> = (Cow<'b, str>, &'b str, bool);

/// The jobs of a body by name.
fn jobs(body: &[u8]) -> Result<Vec<JobOf<'_>>, BadBody> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let Body { results } = serde_json::from_slice::<Body<&RawValue>>(body)?;
    let mut jobs = Vec::with_capacity(results.len());
    for job in results {
        let NameFields { name, upstream } = serde_json::from_str(job.get())?;
        jobs.push((name, job.get(), upstream.is_some()));
    }
    jobs.sort_unstable();
    Ok(jobs)
}

/// The number of jobs of a body that have a build that they need. No bytes at all stand for a project without a list.
///
/// # Errors
/// The body is not a list of jobs.
pub fn count_with_build(body: &[u8]) -> Result<usize, BadBody> {
    Ok(jobs(body)?.iter().filter(|(_, _, has_build)| *has_build).count())
}

/// Compares two bodies. No bytes at all stand for a project without a list.
///
/// # Errors
/// One of them is not a list of jobs.
pub fn compare(old: &[u8], new: &[u8]) -> Result<ListDiff, BadBody> {
    let (old, new) = (jobs(old)?, jobs(new)?);
    let mut difference = ListDiff::default();
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Ok(difference),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, ..)), Some((new, ..))) => old.cmp(new),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        difference.with_build += usize::from(matches!(before, Some((_, _, true))));
        match (before, after) {
            (Some((_, before, _)), Some((_, after, _))) if before == after => difference.unchanged += 1,
            (Some((name, _, needed_one)), Some((_, _, has_build))) => {
                if needed_one && !has_build {
                    difference.lost_builds.push(name.clone().into_owned());
                }
                difference.changed.push(name.into_owned());
            }
            (Some((name, ..)), None) => difference.removed.push(name.into_owned()),
            (None, Some((name, ..))) => difference.added.push(name.into_owned()),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildbot::{CatalogJob, write_body};

    fn body(jobs: &[(&str, Option<&str>)]) -> Vec<u8> {
        let jobs: Vec<CatalogJob<'_>> =
            jobs.iter().map(|(name, upstream)| CatalogJob { name, upstream: *upstream }).collect();
        let mut body = Vec::new();
        write_body("try", &jobs, &mut body, |_| ());
        body
    }

    #[test]
    fn every_job_is_added_removed_changed_or_unchanged() {
        let old = body(&[("Linux try build", None), ("Ubuntu VM 12.04 try opt test xpcshell", None), ("a", None)]);
        let new = body(&[
            ("Linux try build", None),
            ("Linux x86-64 try build", None),
            ("Ubuntu VM 12.04 try opt test xpcshell", Some("Linux try build")),
        ]);
        let difference = compare(&old, &new).unwrap();
        assert_eq!(difference.added, ["Linux x86-64 try build"]);
        assert_eq!(difference.removed, ["a"]);
        assert_eq!(difference.changed, ["Ubuntu VM 12.04 try opt test xpcshell"]);
        assert_eq!((difference.unchanged, difference.before()), (1, 3));
        assert_eq!((difference.with_build, difference.lost_builds.len()), (0, 0));
    }

    #[test]
    fn a_test_that_stays_without_its_build_has_lost_it() {
        let old = body(&[("a", Some("x")), ("b", Some("x")), ("c", Some("x")), ("d", None)]);
        let new = body(&[("a", None), ("b", Some("y")), ("d", None)]);
        let difference = compare(&old, &new).unwrap();
        assert_eq!((difference.with_build, difference.lost_builds), (3, vec!["a".to_owned()]));
        assert_eq!(
            (count_with_build(&old).unwrap(), count_with_build(&new).unwrap(), count_with_build(b"").unwrap()),
            (3, 1, 0)
        );
    }

    #[test]
    fn a_list_is_the_same_as_itself_and_all_new_against_none() {
        let list = body(&[("a \"quoted\" name", None), ("b", None)]);
        assert!(compare(&list, &list).unwrap().is_empty());
        assert_eq!(compare(b"", &list).unwrap().added, ["a \"quoted\" name", "b"]);
        assert_eq!(compare(&list, b"").unwrap().removed, ["a \"quoted\" name", "b"]);
    }

    #[test]
    fn text_that_is_not_a_body_is_an_error() {
        assert!(compare(b"{}", b"").is_err());
        assert!(compare(b"", b"{\"results\": [1]}").is_err());
    }
}
