//! Resolves the requested names: which jobs they mean, where each goes, which build it needs, and what to suggest for the
//! other names.

use std::collections::{BTreeMap, HashSet};

use catalog::list::Names;
use catalog::suggest::{SearchBudget, normal_form};

use crate::destination::Destination;
use crate::job::{JobCode, RequestedJob};
use crate::settings::read_object;
use crate::state::JobState;

/// The renames of jobs: old and new beginnings of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renames(BTreeMap<String, String>);

impl Default for Renames {
    /// The known renames (`data/renames.table`).
    fn default() -> Self {
        let lines = include_str!("../data/renames.table").lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once(" -> "));
        Self(pairs.map(|(old, new)| (old.to_owned(), new.to_owned())).collect())
    }
}

impl Renames {
    /// Reads renames from a JSON object of old and new beginnings.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let renames: BTreeMap<String, String> = read_object(json)?;
        if renames.iter().any(|(old, new)| old.is_empty() || new.is_empty()) {
            return Err("a name is empty".to_owned());
        }
        Ok(Self(renames))
    }

    /// The new name: the longest renamed beginning of whole words decides.
    fn apply(&self, name: &str) -> Option<String> {
        let ends = name.match_indices(' ').map(|(end, _)| end).chain([name.len()]);
        ends.rev().find_map(|end| self.0.get(&name[..end]).map(|new| format!("{new}{}", &name[end..])))
    }

    /// As `apply`, but ignores case and blanks. `None` if two beginnings that differ in these alone have different new
    /// beginnings.
    fn apply_to_form(&self, name: &str) -> Option<String> {
        let form = normal_form(name);
        let rest = |old: &str| {
            let rest = form.strip_prefix(&normal_form(old))?;
            (rest.is_empty() || rest.starts_with(' ')).then(|| rest.to_owned())
        };
        let mut renamed: Vec<(String, &str)> =
            self.0.iter().filter_map(|(old, new)| Some((rest(old)?, new.as_str()))).collect();
        // The longest beginning leaves the shortest rest.
        renamed.sort_unstable_by_key(|(rest, new)| (rest.len(), *new));
        renamed.dedup();
        match &renamed[..] {
            [(rest, _), (other, _), ..] if rest.len() == other.len() => None,
            [(rest, new), ..] => Some(format!("{new}{rest}")),
            [] => None,
        }
    }
}

/// Looks each name up in the catalog. A job that is requested twice, even by its old and its new name, is one job. Jobs are
/// in the order of the request.
///
/// A name that no job has may be a former name, or may differ in case and blanks from the name of exactly one job: it means
/// that job. Otherwise the job is rejected, with the closest name if there is one.
pub fn resolve_names(asked: &[String], names: &Names, renames: &Renames) -> Vec<RequestedJob> {
    let (mut asked_before, mut seen) = (HashSet::new(), HashSet::new());
    let mut jobs = Vec::with_capacity(asked.len());
    let mut budget = SearchBudget::default();
    for name in asked {
        if !asked_before.insert(name.as_str()) {
            continue;
        }
        let accepted = |name: &str| RequestedJob {
            build: names.build_of(name).map(ToOwned::to_owned),
            destination: if names.is_label(name) { Destination::Taskcluster } else { Destination::Pulse },
            ..RequestedJob::accepted(name)
        };
        let meant = |meant: &str| RequestedJob { requested_name: Some(name.clone()), ..accepted(meant) };
        let job = if names.contains(name) {
            accepted(name)
        } else if let Some(new) = renames.apply(name).filter(|new| names.contains(new)) {
            meant(&new)
        } else if let Some(same) = names.same(name) {
            meant(same)
        } else if let Some(new) = renames.apply_to_form(name).and_then(|new| names.same(&new).map(ToOwned::to_owned)) {
            meant(&new)
        } else {
            let suggestion = names.suggest(name, &mut budget).map(ToOwned::to_owned);
            RequestedJob {
                state: JobState::Rejected,
                code: Some(JobCode::UnknownJob),
                suggestion,
                ..RequestedJob::accepted(name)
            }
        };
        let job = RequestedJob { code: job.code.or_else(|| job.name_change_code()), ..job };
        if seen.insert(job.name.clone()) {
            jobs.push(job);
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(
            [
                "Linux x86-64 try build",
                "Rev5 MacOSX Mountain Lion 10.8 try opt test xpcshell",
                "Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1",
                "Ubuntu VM 12.04 x64 try opt test mochitest-1",
            ]
            .map(|name| (name, name.starts_with("Ubuntu").then_some("Linux x86-64 try build"))),
        )
    }

    fn resolved(asked: &[&str]) -> Vec<RequestedJob> {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        resolve_names(&asked, &names(), &Renames::default())
    }

    #[test]
    fn known_names_are_accepted_in_the_order_they_were_asked_for_and_once() {
        let asked = ["Ubuntu VM 12.04 x64 try opt test mochitest-1", "Linux x86-64 try build"];
        let [first, second] = asked;
        let jobs = resolved(&[first, second, first]);
        let test = RequestedJob { build: Some(second.to_owned()), ..RequestedJob::accepted(first) };
        assert_eq!(jobs, [test, RequestedJob::accepted(second)]);
    }

    #[test]
    fn a_label_goes_to_taskcluster_and_has_its_build() {
        let body = br#"{"results": [{"ref_data_name": "build-linux64/opt", "build_system_type": "taskcluster"},
            {"ref_data_name": "test-linux64/opt-xpcshell", "build_system_type": "taskcluster",
             "upstream": "build-linux64/opt"},
            {"ref_data_name": "Linux x86-64 try build", "build_system_type": "buildbot"}]}"#;
        let asked = ["TEST-linux64/opt-xpcshell", "Linux x86-64 try build", "test-linux64/opt-xpcshel"];
        let jobs = resolve_names(&asked.map(str::to_owned), &Names::read(body).unwrap(), &Renames::default());
        let test = RequestedJob {
            requested_name: Some(asked[0].to_owned()),
            code: Some(JobCode::Corrected),
            build: Some("build-linux64/opt".to_owned()),
            ..RequestedJob::accepted_label("test-linux64/opt-xpcshell")
        };
        assert_eq!(jobs[..2], [test, RequestedJob::accepted(asked[1])]);
        assert_eq!((jobs[2].state, jobs[2].destination), (JobState::Rejected, Destination::Pulse));
    }

    #[test]
    fn a_renamed_job_runs_under_its_new_name_and_says_so() {
        let (old, new) = (
            "Rev5 MacOSX Yosemite 10.10 try opt test mochitest-1",
            "Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1",
        );
        let [job] = &resolved(&[old])[..] else { panic!("one job") };
        assert_eq!((job.name.as_str(), job.requested_name.as_deref(), job.state), (new, Some(old), JobState::Accepted));
        assert_eq!(job.code, Some(JobCode::Renamed));
        assert_eq!(resolved(&[old, new]).len(), 1);
        assert_eq!(resolved(&[new, old]), [RequestedJob::accepted(new)]);
    }

    #[test]
    fn a_rename_that_leads_nowhere_is_not_applied() {
        let jobs = resolved(&["Rev5 MacOSX Yosemite 10.10 try opt test mochitest-2"]);
        assert_eq!((jobs[0].state, jobs[0].code), (JobState::Rejected, Some(JobCode::UnknownJob)));
        // The beginning of a word is not a word.
        assert_eq!(Renames::default().apply("Rev5 MacOSX Yosemite 10.10.3 try opt test mochitest-1"), None);
    }

    #[test]
    fn an_unknown_name_does_not_stop_the_others_and_gets_the_closest() {
        let jobs = resolved(&["Ubuntu VM 12.04 x64 try opt test mochitset-1", "Linux x86-64 try build", "qqq"]);
        let states: Vec<JobState> = jobs.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Rejected, JobState::Accepted, JobState::Rejected]);
        assert_eq!(jobs[0].suggestion.as_deref(), Some("Ubuntu VM 12.04 x64 try opt test mochitest-1"));
        assert_eq!(jobs[2].suggestion, None);
    }

    #[test]
    fn a_name_in_another_case_or_with_other_blanks_is_the_one_job_that_is_meant() {
        let [test, build] = ["Ubuntu VM 12.04 x64 try opt test mochitest-1", "Linux x86-64 try build"];
        for sent in [" Linux x86-64 try build", "Linux x86-64  try build\u{a0}", "linux X86-64 try build"] {
            let [job] = &resolved(&[sent])[..] else { panic!("one job") };
            assert_eq!((job.name.as_str(), job.requested_name.as_deref()), (build, Some(sent)));
            assert_eq!((job.state, job.code), (JobState::Accepted, Some(JobCode::Corrected)));
        }
        let jobs = resolved(&["UBUNTU VM 12.04 x64 try opt test mochitest-1", test, " Linux x86-64 try build", build]);
        assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), [test, build]);
        assert_eq!(jobs[0].build.as_deref(), Some(build));
    }

    #[test]
    fn a_former_name_in_another_case_is_renamed() {
        let new = "Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1";
        let jobs = resolved(&["rev5 macosx yosemite  10.10 try opt test MOCHITEST-1"]);
        assert_eq!((jobs[0].name.as_str(), jobs[0].code), (new, Some(JobCode::Renamed)));
        let alike = Renames::read(r#"{"A": "X", "a": "Y", "A B": "Z"}"#).unwrap();
        assert_eq!(alike.apply_to_form("a  C"), None);
        assert_eq!(alike.apply_to_form("a  B c").as_deref(), Some("Z c"));
        assert_eq!(alike.apply_to_form("ab"), None);
    }

    #[test]
    fn it_is_not_guessed_which_of_two_jobs_is_meant() {
        let names = Names::new(["Linux try build", "linux try build"].map(|name| (name, None)));
        let resolved = |name: &str| resolve_names(&[name.to_owned()], &names, &Renames::default()).remove(0);
        let job = resolved("LINUX try build");
        assert_eq!(
            (job.state, job.code, job.requested_name.is_none()),
            (JobState::Rejected, Some(JobCode::UnknownJob), true)
        );
        assert!(job.suggestion.is_some());
        assert_eq!(resolved("linux try build"), RequestedJob::accepted("linux try build"));
    }

    #[test]
    fn every_unknown_name_of_a_request_gets_the_closest() {
        let asked: Vec<String> = (0..1000).map(|number| format!("Linux x86-64 try build{number}")).collect();
        let jobs = resolve_names(&asked, &names(), &Renames::default());
        assert!(
            jobs.len() == 1000 && jobs.iter().all(|job| job.suggestion.as_deref() == Some("Linux x86-64 try build"))
        );
    }

    #[test]
    fn the_longest_beginning_decides() {
        let renames = Renames::read(r#"{"A": "X", "A B": "Y"}"#).unwrap();
        assert_eq!(renames.apply("A B C").as_deref(), Some("Y C"));
        assert_eq!(renames.apply("A C").as_deref(), Some("X C"));
        assert_eq!(renames.apply("A").as_deref(), Some("X"));
        assert_eq!(renames.apply("AB"), None);
        assert!(Renames::read("[]").unwrap_err().starts_with("a JSON object"));
        assert!(Renames::read(r#"{"A": ""}"#).is_err());
    }
}
