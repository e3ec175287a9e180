//! The names of a list's jobs: whether a name is there, whether it is a label of Taskcluster, which build its job needs,
//! and which name an unknown one means.

use std::sync::OnceLock;

use crate::list::columns::{BUILD_SYSTEM, Row};
use crate::list::fields::{BadBody, Body, NameFields};
use crate::list::index::{BadIndex, read_index};
use crate::list::words::Words;
use crate::suggest::{Index, SearchBudget};
use crate::taskcluster;

/// The names of a list's jobs.
#[derive(Debug, Default)]
pub struct Names {
    /// In the order of their bytes.
    known: Words,
    facts: Vec<Facts>,
    /// Built at the first look-up of an unknown name.
    index: OnceLock<Index>,
}

/// What is known about a job, in four bytes: a list has tens of thousands of jobs.
#[derive(Debug, Clone, Copy)]
struct Facts(u32);

impl Facts {
    /// The bit of labels; the others are the place of the build plus one, or 0 without a build.
    const LABEL: u32 = 1 << 31;

    /// A job with this build among the known names. A build that the list does not have is left out.
    fn new(known: &Words, build: Option<&str>, is_label: bool) -> Self {
        Self::with_place(build.and_then(|build| known.find(build)), is_label)
    }

    fn with_place(build: Option<usize>, is_label: bool) -> Self {
        // Names of one byte each would fill two gigabytes before a place is too large.
        let build = build.and_then(|place| u32::try_from(place + 1).ok()).filter(|place| *place < Self::LABEL);
        Self(build.unwrap_or_default() | if is_label { Self::LABEL } else { 0 })
    }

    fn build(self) -> Option<usize> {
        (self.0 & !Self::LABEL).checked_sub(1).map(|place| place as usize)
    }

    fn is_label(self) -> bool {
        self.0 & Self::LABEL != 0
    }
}

impl Names {
    /// The names of Buildbot jobs, each with the build that the job needs.
    pub fn new<N: AsRef<str>>(jobs: impl IntoIterator<Item = (N, Option<N>)>) -> Self {
        Self::of(jobs.into_iter().map(|(name, build)| (name, build, false)))
    }

    /// The names of jobs, each with the build that the job needs, and whether it is a label.
    fn of<N: AsRef<str>>(jobs: impl IntoIterator<Item = (N, Option<N>, bool)>) -> Self {
        let jobs: Vec<(N, Option<N>, bool)> = jobs.into_iter().collect();
        let mut jobs: Vec<(&str, Option<&str>, bool)> = jobs
            .iter()
            .map(|(name, build, is_label)| (name.as_ref(), build.as_ref().map(AsRef::as_ref), *is_label))
            .collect();
        // A list has them in order, which the sort finds out in one pass.
        jobs.sort_unstable();
        jobs.dedup_by(|one, other| one.0 == other.0);
        let mut known = Words::default();
        for (name, ..) in &jobs {
            known.push(name);
        }
        let facts = jobs.iter().map(|(_, build, is_label)| Facts::new(&known, *build, *is_label)).collect();
        Self { known, facts, index: OnceLock::new() }
    }

    /// The names of a body.
    ///
    /// # Errors
    /// The body is not a list of jobs.
    pub fn read(body: &[u8]) -> Result<Self, BadBody> {
        let Body { results } = serde_json::from_slice::<Body<NameFields<'_>>>(body)?;
        Ok(Self::of(results.into_iter().map(|job| {
            let is_label = is_taskcluster(&job.build_system);
            (job.name, job.upstream, is_label)
        })))
    }

    /// The names of the index of the list with this ETag.
    ///
    /// # Errors
    /// The index is malformed, of another list, or of another version.
    pub fn from_index(index: &[u8], etag: &str) -> Result<Self, BadIndex> {
        let (_, columns) = read_index(index, etag)?;
        let kinds = 0..columns.kinds.len();
        let labels: Vec<bool> = kinds.map(|kind| is_taskcluster(columns.kinds.get(BUILD_SYSTEM, kind))).collect();
        if !columns.names.is_sorted() {
            let jobs = columns.names.iter().zip(&columns.rows);
            return Ok(Self::of(jobs.map(|(name, row)| (name, columns.upstream(*row), labels[row.kind()]))));
        }
        // Many tests need the same build: it is looked up once.
        let builds: Vec<Option<usize>> = columns.upstreams().map(|build| columns.names.find(build)).collect();
        let facts = |row: &Row| Facts::with_place(row.upstream().and_then(|build| builds[build]), labels[row.kind()]);
        let facts = columns.rows.iter().map(facts).collect();
        Ok(Self { known: columns.names, facts, index: OnceLock::new() })
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.len() == 0
    }

    /// Whether a job has this name.
    pub fn contains(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Whether a job has this name and is run by Taskcluster: the name is a label.
    pub fn is_label(&self, name: &str) -> bool {
        self.place(name).is_some_and(|place| self.facts[place].is_label())
    }

    /// The build that the job of this name needs; `None` if it needs no build, or one that the list does not have.
    pub fn build_of(&self, name: &str) -> Option<&str> {
        let build = self.facts[self.place(name)?].build()?;
        Some(self.known.get(build))
    }

    /// Bytes of memory that they use or will use, roughly.
    pub fn bytes(&self) -> usize {
        self.known.bytes() + size_of_val(&*self.facts) + self.known.iter().map(Index::bytes_of).sum::<usize>()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.known.find(name)
    }

    /// The only name that differs from this at most in case and blanks. `None` if there is no such name, or several.
    pub fn same(&self, name: &str) -> Option<&str> {
        self.index().same(name).map(|place| self.known.get(place))
    }

    /// The name that is nearest to an unknown one, if one is near.
    pub fn suggest(&self, name: &str, budget: &mut SearchBudget) -> Option<&str> {
        let place = self.index().suggest(name, 1, budget).pop();
        place.map(|place| self.known.get(place))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::new(self.known.iter()))
    }
}

fn is_taskcluster(build_system: &str) -> bool {
    build_system == taskcluster::BUILD_SYSTEM
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(
            [
                "Windows 7 32-bit try opt test mochitest-2",
                "Linux x86-64 try build",
                "Windows 7 32-bit try debug test mochitest-1",
                "Windows 7 32-bit try opt test mochitest-1",
                "test-linux64/opt-mochitest-1",
            ]
            .map(|name| (name, None)),
        )
    }

    #[test]
    fn names_are_found_to_the_letter() {
        let names = names();
        assert_eq!(names.len(), 5);
        assert!(names.contains("Linux x86-64 try build") && names.contains("test-linux64/opt-mochitest-1"));
        for other in ["", "Linux x86-64 try buil", "Linux x86-64 try builds", "linux x86-64 try build"] {
            assert!(!names.contains(other), "{other}");
        }
    }

    #[test]
    fn the_closest_name_has_the_fewest_errors() {
        let names = names();
        for (asked, meant) in [
            ("Windows 7 32-bit try opt test mochitest-3", Some("Windows 7 32-bit try opt test mochitest-1")),
            ("Windows 7 32-bit try debug test mochitst-1", Some("Windows 7 32-bit try debug test mochitest-1")),
            ("WINDOWS 7 32-bit try opt test MOCHITEST-2", Some("Windows 7 32-bit try opt test mochitest-2")),
            ("Linux x86-64 mozilla-inbound build", None),
            ("Linux x86-64 beta build", Some("Linux x86-64 try build")),
            ("something else", None),
            ("try", None),
            ("", None),
        ] {
            assert_eq!(names.suggest(asked, &mut SearchBudget::default()), meant, "{asked}");
        }
    }

    #[test]
    fn case_and_blanks_do_not_make_another_name() {
        let names = names();
        for same in ["Linux x86-64 try build ", "\u{a0}linux  X86-64 TRY build", "Linux x86-64 try build"] {
            assert_eq!(names.same(same), Some("Linux x86-64 try build"), "{same}");
        }
        for other in ["Linux x86-64 trybuild", "", "Linux x86-64 try"] {
            assert_eq!(names.same(other), None, "{other}");
        }
        let alike = Names::new(["a b", "A b", "c"].map(|name| (name, None)));
        assert_eq!((alike.same("A  B"), alike.same("C")), (None, Some("c")));
        assert_eq!(alike.suggest("A  B", &mut SearchBudget::default()), Some("A b"));
    }

    #[test]
    fn they_are_read_from_a_lists_body() {
        let body = br#"{"meta": {}, "results": [{"platform": "x", "ref_data_name": "b \"q\"", "upstream": "a"},
                {"ref_data_name": "c", "upstream": "not in the list"}, {"ref_data_name": "a", "upstream": null}]}"#;
        let names = Names::read(body).unwrap();
        assert!(names.len() == 3 && names.contains("b \"q\"") && names.contains("a"));
        assert_eq!(["a", "b \"q\"", "c", "d"].map(|name| names.build_of(name)), [None, Some("a"), None, None]);
        assert!(["a", "b \"q\"", "c", "d"].iter().all(|name| !names.is_label(name)));
        assert!(Names::read(b"{}").is_err() && !Names::read(br#"{"results": []}"#).unwrap().contains(""));
    }

    #[test]
    fn a_label_is_known_as_one_and_has_its_build() {
        let body = br#"{"results": [{"ref_data_name": "a", "build_system_type": "taskcluster"},
            {"ref_data_name": "b", "build_system_type": "taskcluster", "upstream": "a"},
            {"ref_data_name": "c", "build_system_type": "buildbot", "upstream": "a"}]}"#;
        let names = Names::read(body).unwrap();
        assert_eq!(["a", "b", "c", "d"].map(|name| names.is_label(name)), [true, true, false, false]);
        assert_eq!(["a", "b", "c", "d"].map(|name| names.build_of(name)), [None, Some("a"), Some("a"), None]);
    }
}
