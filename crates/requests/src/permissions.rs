//! Who may trigger jobs on a push.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::email::Email;
use crate::push::Push;
use crate::settings::read_object;

/// Who may trigger jobs: a person to whom one of the three rules applies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Whether the author of a push may trigger jobs on it.
    #[serde(default = "yes")]
    author: bool,
    /// The domains whose people may, in lower case. Subdomains are not included.
    #[serde(default)]
    domains: BTreeSet<String>,
    /// The people who may, whatever their domain.
    #[serde(default)]
    allow: BTreeSet<Email>,
    /// The rules of projects that have their own.
    #[serde(default)]
    projects: BTreeMap<String, Override>,
}

/// The rules of a project. A rule that is missing is the general one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    author: Option<bool>,
    domains: Option<BTreeSet<String>>,
    allow: Option<BTreeSet<Email>>,
}

/// The author of a push, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author<'a> {
    /// Treeherder names this author.
    Known(&'a Email),
    /// Treeherder's author is not an e-mail address.
    NotAnEmail,
    /// Treeherder does not answer.
    Unknown,
}

impl<'a> Author<'a> {
    /// The author of a push; `pushed` is `None` if Treeherder did not answer.
    pub fn of(pushed: Option<&'a Push>) -> Self {
        match pushed {
            None => Self::Unknown,
            Some(push) => push.author.as_ref().map_or(Self::NotAnEmail, Self::Known),
        }
    }
}

/// A person may not trigger jobs on a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionDenied {
    /// The rule that refused: `default`, or `projects.NAME` where the project has rules of its own.
    pub rule: String,
    /// Who is allowed, in words.
    pub who_could: String,
    /// Whether the refused person may be the author, which is not known while Treeherder does not answer.
    pub author_is_unknown: bool,
}

fn yes() -> bool {
    true
}

impl Permissions {
    /// Reads rules from JSON.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let permissions: Self = read_object(json)?;
        let own = permissions.projects.values().filter_map(|project| project.domains.as_ref()).flatten();
        let is_domain = |domain: &&String| {
            !domain.is_empty()
                && domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        };
        match permissions.domains.iter().chain(own).find(|domain| !is_domain(domain)) {
            Some(_) => {
                Err("a domain is invalid: lower-case letters, digits, - and . are expected, such as in mozilla.com"
                    .to_owned())
            }
            None => Ok(permissions),
        }
    }

    /// Whether a person may trigger jobs on a push of `project` that `author` wrote.
    ///
    /// # Errors
    /// The person is not allowed.
    pub fn check(&self, project: &str, person: &Email, author: Author<'_>) -> Result<(), PermissionDenied> {
        let own = self.projects.get(project);
        let by_author = own.and_then(|own| own.author).unwrap_or(self.author);
        let domains = own.and_then(|own| own.domains.as_ref()).unwrap_or(&self.domains);
        let allow = own.and_then(|own| own.allow.as_ref()).unwrap_or(&self.allow);
        let is_author = by_author && author == Author::Known(person);
        if is_author || domains.contains(person.domain()) || allow.contains(person) {
            return Ok(());
        }
        let mut who = Vec::new();
        who.extend(by_author.then(|| "the author of the push".to_owned()));
        who.extend(domains.iter().map(|domain| format!("everybody at {domain}")));
        who.extend((!allow.is_empty()).then(|| "those on the allow-list".to_owned()));
        Err(PermissionDenied {
            rule: own.map_or_else(|| "default".to_owned(), |_| format!("projects.{project}")),
            who_could: in_words(&who),
            author_is_unknown: by_author && author == Author::Unknown,
        })
    }
}

fn in_words(who: &[String]) -> String {
    match who {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"{
        "domains": ["mozilla.com"], "allow": ["dev@example.org"],
        "projects": {
            "mozilla-release": {"author": false, "domains": [], "allow": ["release@mozilla.com"]},
            "ash": {"author": false},
            "closed": {"author": false, "domains": [], "allow": []}
        }
    }"#;

    fn email(text: &str) -> Email {
        text.parse().unwrap()
    }

    /// Who asks, on which project, whose push it is, and by which rule that is refused.
    #[test]
    fn the_author_a_domain_and_a_list_may_and_a_project_can_say_otherwise() {
        let permissions = Permissions::read(RULES).unwrap();
        let author = email("author@example.org");
        for (person, project, refused_by) in [
            ("author@example.org", "try", None),
            ("Author@EXAMPLE.org", "try", None),
            ("DEV@example.org", "try", None),
            ("someone@mozilla.com", "try", None),
            ("someone@MOZILLA.com", "try", None),
            ("dev@example.org", "try", None),
            ("other@example.org", "try", Some("default")),
            ("someone@mozilla.com.example.org", "try", Some("default")),
            ("someone@sub.mozilla.com", "try", Some("default")),
            ("someone@m\u{43e}zilla.com", "try", Some("default")),
            ("author@example.org", "ash", Some("projects.ash")),
            ("someone@mozilla.com", "ash", None),
            ("release@mozilla.com", "mozilla-release", None),
            ("someone@mozilla.com", "mozilla-release", Some("projects.mozilla-release")),
            ("dev@example.org", "mozilla-release", Some("projects.mozilla-release")),
            ("author@example.org", "mozilla-release", Some("projects.mozilla-release")),
        ] {
            let found =
                permissions.check(project, &email(person), Author::Known(&author)).map_err(|refusal| refusal.rule);
            assert_eq!(found.err().as_deref(), refused_by, "{person} on {project}");
        }
    }

    #[test]
    fn a_refusal_tells_who_could() {
        let permissions = Permissions::read(RULES).unwrap();
        let refusal = |project| permissions.check(project, &email("x@example.org"), Author::Unknown).unwrap_err();
        let who = "the author of the push, everybody at mozilla.com and those on the allow-list";
        assert_eq!((refusal("try").who_could.as_str(), refusal("try").author_is_unknown), (who, true));
        assert_eq!(refusal("mozilla-release").who_could, "those on the allow-list");
        assert_eq!((refusal("closed").who_could.as_str(), refusal("closed").author_is_unknown), ("nobody", false));
    }

    #[test]
    fn nobody_is_the_author_of_a_push_without_one() {
        let permissions = Permissions::read("{}").unwrap();
        assert!(permissions.check("try", &email("x@example.org"), Author::NotAnEmail).is_err());
    }

    #[test]
    fn rules_that_say_something_else_are_refused() {
        for (wrong, said) in [
            ("", "a JSON object is expected"),
            ("[]", "a JSON object is expected"),
            ("{", "it is not JSON, at line 1, column 1"),
            ("{\"domain\": []}", "a name or a value is not one that is expected, at line 1, column 9"),
            ("{\"allow\": [\"someone\"]}", "a name or a value is not one that is expected, at line 1, column"),
            ("{\"domains\": [\"Mozilla.com\"]}", "a domain is invalid"),
            ("{\"projects\": {\"try\": {\"domains\": [\"@mozilla.com\"]}}}", "a domain is invalid"),
        ] {
            let error = Permissions::read(wrong).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
