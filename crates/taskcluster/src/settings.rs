//! The settings: `RUNNABLE_JOBS_TASKCLUSTER_*` environment variables.

use std::collections::BTreeMap;

use catalog::list::is_project_name;
use fetch::{Host, Url, is_loopback};
use runtime::settings::{SettingsError, Variables};
use serde::Deserialize;
use serde_json::Value;

/// The names of the variables.
pub mod variables {
    /// Taskcluster's root URL.
    pub const TASKCLUSTER_URL: &str = "RUNNABLE_JOBS_TASKCLUSTER_URL";
    /// The projects, and where the Index has their decision tasks.
    pub const TASKCLUSTER_PROJECTS: &str = "RUNNABLE_JOBS_TASKCLUSTER_PROJECTS";
    /// The hosts that hold artifacts.
    pub const TASKCLUSTER_ARTIFACT_HOSTS: &str = "RUNNABLE_JOBS_TASKCLUSTER_ARTIFACT_HOSTS";
    /// The projects whose jobs can be triggered, and their levels.
    pub const TASKCLUSTER_TRIGGER: &str = "RUNNABLE_JOBS_TASKCLUSTER_TRIGGER";
}

/// Firefox CI's host of artifacts.
pub const DEFAULT_ARTIFACT_HOSTS: &str = "firefoxci.taskcluster-artifacts.net";

/// The projects whose Taskcluster jobs can be triggered unless the settings say otherwise, with their levels.
pub const DEFAULT_TRIGGER: &str = r#"{"try": 1}"#;

const TRIGGER: &str = r#"JSON with projects and their levels from 1 to 3, such as {"try": 1},"#;
const PROJECTS: &str = r#"JSON with projects and their paths in the Index, such as {"try": "gecko.v2.try"},"#;
/// Stands for the revision in a path.
const REVISION: &str = "{revision}";
/// Maximum number of projects. Firefox CI has some 100.
const MAX_PROJECTS: usize = 1000;
/// Maximum number of artifact hosts.
const MAX_HOSTS: usize = 20;
/// Maximum length of a path in the Index, in bytes.
const MAX_PATH: usize = 255;

/// A Taskcluster and what is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskclusterSettings {
    /// The root URL: a host with https, or with http on this machine.
    pub root_url: Url,
    /// The projects, and where the Index has their decision tasks.
    pub projects: BTreeMap<String, IndexPaths>,
    /// The hosts that hold artifacts.
    pub artifact_hosts: Vec<Host>,
    /// The projects whose jobs can be triggered, and their levels: a hook of another level is refused.
    pub trigger: BTreeMap<String, u8>,
}

/// Where the Index has the decision tasks of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPaths {
    /// The path of the decision task that completed last.
    pub latest: String,
    /// The path of a push's decision task, with `{revision}`. `None` if pushes cannot be found by their revision.
    pub revision: Option<String>,
}

impl IndexPaths {
    /// The path of the decision task of the push with this revision. `None` if there is none, or if the revision is not
    /// hexadecimal.
    pub fn of_revision(&self, revision: &str) -> Option<String> {
        let is_revision = (1..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = self.revision.as_ref().filter(|_| is_revision)?;
        Some(path.replace(REVISION, revision))
    }
}

/// A project's paths in the variable, unless it has their prefix.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BothPaths {
    latest: String,
    #[serde(default)]
    revision: Option<String>,
}

impl TaskclusterSettings {
    /// Reads the settings with `lookup`, which returns the value of a variable. An empty value counts as unset. Without
    /// a root URL there is no Taskcluster: `None`, whatever the other variables hold.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let read = Variables::new(lookup);
        let Some(root_url) = read.parsed(variables::TASKCLUSTER_URL, root_url)? else { return Ok(None) };
        let projects = read.parsed(variables::TASKCLUSTER_PROJECTS, projects)?;
        let missing = SettingsError::Missing { variable: variables::TASKCLUSTER_PROJECTS, expected: PROJECTS };
        let hosts = read.parsed(variables::TASKCLUSTER_ARTIFACT_HOSTS, hosts)?;
        let levels = read.parsed(variables::TASKCLUSTER_TRIGGER, levels)?;
        Ok(Some(Self {
            root_url,
            projects: projects.ok_or(missing)?,
            artifact_hosts: hosts.map_or_else(|| hosts_of(DEFAULT_ARTIFACT_HOSTS), Ok).unwrap_or_default(),
            trigger: levels.map_or_else(|| self::levels(DEFAULT_TRIGGER), Ok).unwrap_or_default(),
        }))
    }
}

fn root_url(value: &str) -> Result<Url, &'static str> {
    let expected = "the root URL is expected: a host with https:// and nothing else, for example \
                    https://firefox-ci-tc.services.mozilla.com; http:// only for this machine";
    let url = Url::parse(value).map_err(|_| expected)?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    let has_scheme = url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url);
    if is_bare && has_scheme { Ok(url) } else { Err(expected) }
}

fn projects(value: &str) -> Result<BTreeMap<String, IndexPaths>, String> {
    let parsed: BTreeMap<String, Value> = serde_json::from_str(value).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        format!("{PROJECTS} is expected ({place})")
    })?;
    if parsed.len() > MAX_PROJECTS {
        return Err(format!("at most {MAX_PROJECTS} projects are expected"));
    }
    let mut projects = BTreeMap::new();
    for (at, (name, paths)) in (1..).zip(parsed) {
        // The names are not repeated: each is a part of the value.
        if !is_project_name(name.as_bytes()) {
            return Err(format!("the name of project {at} in alphabetical order is not a valid project name"));
        }
        let paths = index_paths(paths).ok_or_else(|| {
            format!(
                "the value of project {at} in alphabetical order is not valid: the beginning of its paths, such as \
                 \"gecko.v2.try\", or {{\"latest\": PATH, \"revision\": PATH}} is expected, of at most {MAX_PATH} \
                 letters, digits, '-', '_' and '.', with one {REVISION} in the second path"
            )
        })?;
        projects.insert(name, paths);
    }
    Ok(projects)
}

fn levels(value: &str) -> Result<BTreeMap<String, u8>, String> {
    let parsed: BTreeMap<String, u8> = serde_json::from_str(value).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        format!("{TRIGGER} is expected ({place})")
    })?;
    let is_good = |(name, level): (&String, &u8)| is_project_name(name.as_bytes()) && (1..=3).contains(level);
    if parsed.len() <= MAX_PROJECTS && parsed.iter().all(is_good) {
        Ok(parsed)
    } else {
        Err(format!("{TRIGGER} is expected, of at most {MAX_PROJECTS} projects"))
    }
}

fn index_paths(paths: Value) -> Option<IndexPaths> {
    let BothPaths { latest, revision } = match paths {
        // At least a trust domain and a project.
        Value::String(prefix) if prefix.contains('.') => BothPaths {
            latest: format!("{prefix}.latest.taskgraph.decision"),
            revision: Some(format!("{prefix}.revision.{REVISION}.taskgraph.decision")),
        },
        Value::Object(_) => serde_json::from_value(paths).ok()?,
        _ => return None,
    };
    let is_template = |path: &String| {
        path.len() <= MAX_PATH && path.matches(REVISION).count() == 1 && is_index_path(&path.replace(REVISION, "0"))
    };
    (is_index_path(&latest) && revision.iter().all(is_template)).then_some(IndexPaths { latest, revision })
}

/// Whether this is a path of the Index: words between dots.
pub(crate) fn is_index_path(path: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    path.len() <= MAX_PATH && path.split('.').all(is_word)
}

fn hosts(value: &str) -> Result<Vec<Host>, String> {
    hosts_of(value)
}

fn hosts_of(value: &str) -> Result<Vec<Host>, String> {
    let hosts: Vec<Host> = value.split(',').map(|host| host.trim().parse()).collect::<Result<_, _>>()?;
    if hosts.len() > MAX_HOSTS { Err(format!("at most {MAX_HOSTS} hosts are expected")) } else { Ok(hosts) }
}

#[cfg(test)]
mod tests {
    use super::variables::{TASKCLUSTER_ARTIFACT_HOSTS, TASKCLUSTER_PROJECTS, TASKCLUSTER_TRIGGER, TASKCLUSTER_URL};
    use super::*;

    const ROOT: (&str, &str) = (TASKCLUSTER_URL, "https://tc.example.org");
    const TRY: (&str, &str) = (TASKCLUSTER_PROJECTS, r#"{"try": "gecko.v2.try"}"#);

    fn read(set: &[(&str, &str)]) -> Result<Option<TaskclusterSettings>, SettingsError> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        TaskclusterSettings::read(find)
    }

    fn wrong(set: &[(&str, &str)]) -> String {
        read(set).unwrap_err().to_string()
    }

    #[test]
    fn without_a_root_url_there_is_no_taskcluster() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(TASKCLUSTER_URL, ""), (TASKCLUSTER_PROJECTS, "wrong")]), Ok(None));
    }

    #[test]
    fn a_root_url_and_projects_are_enough() {
        let settings = read(&[ROOT, TRY]).unwrap().unwrap();
        assert_eq!(settings.root_url.as_str(), "https://tc.example.org/");
        assert_eq!(settings.artifact_hosts, ["firefoxci.taskcluster-artifacts.net".parse().unwrap()]);
        let paths = &settings.projects["try"];
        assert_eq!(paths.latest, "gecko.v2.try.latest.taskgraph.decision");
        let of_push = paths.of_revision("0123abcd");
        assert_eq!(of_push.as_deref(), Some("gecko.v2.try.revision.0123abcd.taskgraph.decision"));
        for revision in ["", "0123.latest", "../x", "undefined", &"0".repeat(65)] {
            assert_eq!(paths.of_revision(revision), None, "{revision}");
        }
    }

    #[test]
    fn a_project_can_name_its_paths() {
        let both = r#"{"fenix": {"latest": "mobile.v2.fenix.branch.main.latest.taskgraph.decision",
                                 "revision": "mobile.v2.fenix.revision.{revision}.taskgraph.decision"},
                       "docs": {"latest": "a.b"}}"#;
        let settings = read(&[ROOT, (TASKCLUSTER_PROJECTS, both)]).unwrap().unwrap();
        assert_eq!(settings.projects["fenix"].latest, "mobile.v2.fenix.branch.main.latest.taskgraph.decision");
        let of_push = settings.projects["fenix"].of_revision("ab");
        assert_eq!(of_push.as_deref(), Some("mobile.v2.fenix.revision.ab.taskgraph.decision"));
        assert_eq!(settings.projects["docs"].of_revision("ab"), None);
        assert_eq!(read(&[ROOT, (TASKCLUSTER_PROJECTS, "{}")]).unwrap().unwrap().projects.len(), 0);
    }

    #[test]
    fn an_error_names_the_variable_and_the_expected_value() {
        assert_eq!(
            wrong(&[ROOT]),
            "RUNNABLE_JOBS_TASKCLUSTER_PROJECTS is not set: JSON with projects and their paths in the Index, such as \
             {\"try\": \"gecko.v2.try\"}, is expected"
        );
        for value in [
            "[]",
            "{",
            r#"{"try": 1}"#,
            r#"{"a/b": "gecko.v2.try"}"#,
            r#"{"..": "gecko.v2.try"}"#,
            r#"{"try": ""}"#,
            r#"{"try": "try"}"#,
            r#"{"try": "gecko..try"}"#,
            r#"{"try": "gecko/v2"}"#,
            r#"{"try": "gecko.{revision}"}"#,
            r#"{"try": {"latest": "a", "revision": "b"}}"#,
            r#"{"try": {"latest": "a", "revision": "{revision}.{revision}"}}"#,
            r#"{"try": {"revision": "{revision}"}}"#,
            r#"{"try": {"latest": "a", "other": "b"}}"#,
        ] {
            let error = wrong(&[ROOT, (TASKCLUSTER_PROJECTS, value)]);
            assert!(error.starts_with("RUNNABLE_JOBS_TASKCLUSTER_PROJECTS is wrong: "), "{error}");
        }
        let long = format!(r#"{{"try": "{}"}}"#, "a".repeat(300));
        assert!(wrong(&[ROOT, (TASKCLUSTER_PROJECTS, &long)]).contains("at most 255 letters"));
        let many: Vec<_> = (0..=MAX_PROJECTS).map(|at| format!(r#""p{at}": "a.b""#)).collect();
        let many = format!("{{{}}}", many.join(","));
        assert!(wrong(&[ROOT, (TASKCLUSTER_PROJECTS, &many)]).ends_with("at most 1000 projects are expected"));
    }

    #[test]
    fn a_root_url_is_a_host_with_https_or_this_machine() {
        let parse = |value| read(&[(TASKCLUSTER_URL, value), TRY]).map(|_| ());
        for value in [
            "https://tc.example.org/",
            "https://tc.example.org:8443",
            "http://127.0.0.1:1",
            "http://localhost",
            "http://[::1]:1",
        ] {
            assert_eq!(parse(value), Ok(()), "{value}");
        }
        for value in [
            "tc.example.org",
            "http://tc.example.org",
            "https://someone@tc.example.org",
            "https://tc.example.org/api",
            "https://tc.example.org/?a",
            "https://tc.example.org/#a",
            "file:///",
            "http://10.0.0.1",
        ] {
            assert!(parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn artifact_hosts_are_separated_by_commas() {
        let set = [ROOT, TRY, (TASKCLUSTER_ARTIFACT_HOSTS, "a.example.net, B.example.net:8443")];
        let hosts: Vec<_> = read(&set).unwrap().unwrap().artifact_hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["a.example.net", "b.example.net:8443"]);
        for value in ["a,", "https://a", "a/b", ","] {
            assert!(read(&[ROOT, TRY, (TASKCLUSTER_ARTIFACT_HOSTS, value)]).is_err(), "{value}");
        }
    }

    #[test]
    fn only_try_can_be_triggered_unless_the_settings_say_otherwise() {
        let trigger = |set: &[(&str, &str)]| read(set).unwrap().unwrap().trigger;
        let levels = |levels: &[(&str, u8)]| levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        assert_eq!(trigger(&[ROOT, TRY]), levels(&[("try", 1)]));
        assert_eq!(trigger(&[ROOT, TRY, (TASKCLUSTER_TRIGGER, "{}")]), BTreeMap::new());
        let some = r#"{"autoland": 3, "try": 1}"#;
        assert_eq!(trigger(&[ROOT, TRY, (TASKCLUSTER_TRIGGER, some)]), levels(&[("autoland", 3), ("try", 1)]));
        let refused = [r#"{"try": 0}"#, r#"{"try": 4}"#, r#"{"try": "1"}"#, r#"{"try": 1.5}"#, r#"{"": 1}"#, "[]", "{"];
        for value in refused {
            let error = wrong(&[ROOT, TRY, (TASKCLUSTER_TRIGGER, value)]);
            assert!(
                error.contains(r#"projects and their levels from 1 to 3, such as {"try": 1}, is expected"#),
                "{error}"
            );
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        const SECRET: &str = "c0rrect-Horse";
        for variable in [TASKCLUSTER_URL, TASKCLUSTER_PROJECTS, TASKCLUSTER_ARTIFACT_HOSTS, TASKCLUSTER_TRIGGER] {
            for value in runtime::settings::wrong_values(SECRET) {
                // The secret alone could be the name of a host.
                if (variable, value.as_str()) == (TASKCLUSTER_ARTIFACT_HOSTS, SECRET) {
                    continue;
                }
                // It could also be the name of a project.
                if variable == TASKCLUSTER_TRIGGER && levels(&value).is_ok() {
                    continue;
                }
                // The first one counts.
                let error = wrong(&[(variable, value.as_str()), ROOT, TRY]);
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
            }
        }
    }
}
