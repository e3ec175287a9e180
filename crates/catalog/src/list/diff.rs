//! The differences between two lists of one project.

use std::cmp::Ordering;

use serde::Serialize;

use crate::list::job::ListedJob;

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

/// Compares two lists of jobs, each in the order of the names.
pub fn compare<'o, 'n>(
    old: impl IntoIterator<Item = ListedJob<'o>>,
    new: impl IntoIterator<Item = ListedJob<'n>>,
) -> ListDiff {
    let mut difference = ListDiff::default();
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return difference,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.name.cmp(new.name),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let had_build = before.as_ref().is_some_and(|before| before.upstream.is_some());
        difference.with_build += usize::from(had_build);
        match (before, after) {
            (Some(before), Some(after)) if before == after => difference.unchanged += 1,
            (Some(before), Some(after)) => {
                if had_build && after.upstream.is_none() {
                    difference.lost_builds.push(before.name.to_owned());
                }
                difference.changed.push(before.name.to_owned());
            }
            (Some(before), None) => difference.removed.push(before.name.to_owned()),
            (None, Some(after)) => difference.added.push(after.name.to_owned()),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildbot::{CatalogJob, listed};

    fn jobs<'j>(jobs: &[(&'j str, Option<&'j str>)]) -> Vec<ListedJob<'j>> {
        let jobs: Vec<CatalogJob<'_>> = jobs.iter().map(|&(name, upstream)| CatalogJob { name, upstream }).collect();
        listed(&jobs, |_| ())
    }

    #[test]
    fn every_job_is_added_removed_changed_or_unchanged() {
        let old = jobs(&[("Linux try build", None), ("Ubuntu VM 12.04 try opt test xpcshell", None), ("a", None)]);
        let new = jobs(&[
            ("Linux try build", None),
            ("Linux x86-64 try build", None),
            ("Ubuntu VM 12.04 try opt test xpcshell", Some("Linux try build")),
        ]);
        let difference = compare(old, new);
        assert_eq!(difference.added, ["Linux x86-64 try build"]);
        assert_eq!(difference.removed, ["a"]);
        assert_eq!(difference.changed, ["Ubuntu VM 12.04 try opt test xpcshell"]);
        assert_eq!((difference.unchanged, difference.before()), (1, 3));
        assert_eq!((difference.with_build, difference.lost_builds.len()), (0, 0));
    }

    #[test]
    fn a_test_that_stays_without_its_build_has_lost_it() {
        let old = jobs(&[("a", Some("x")), ("b", Some("x")), ("c", Some("x")), ("d", None)]);
        let new = jobs(&[("a", None), ("b", Some("y")), ("d", None)]);
        let difference = compare(old, new);
        assert_eq!((difference.with_build, difference.lost_builds), (3, vec!["a".to_owned()]));
    }

    #[test]
    fn a_list_is_the_same_as_itself_and_all_new_against_none() {
        let list = || jobs(&[("a \"quoted\" name", None), ("b", None)]);
        assert!(compare(list(), list()).is_empty());
        assert_eq!(compare([], list()).added, ["a \"quoted\" name", "b"]);
        assert_eq!(compare(list(), []).removed, ["a \"quoted\" name", "b"]);
    }
}
