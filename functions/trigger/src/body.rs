//! Reads the body, the path and the parameters of HTTP requests. Each error says what is wrong with the input.

use axum::body::{Body, to_bytes};
use catalog::list::MAX_NAME;
use catalog::list::is_project_name;
use catalog::taskcluster::TaskId;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_api::{BAD_PATH, Caller, Problem, RequestLog};
use requests::email::Email;
use requests::id::RequestId;
use requests::new_request::NewRequest;
use requests::rate_limits::RateLimits;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::error_codes::{
    BAD_BODY, BAD_KEY, BAD_PARAMETER, BODY_TOO_LARGE, NOT_ALLOWED, NOT_JSON, TOO_MANY_JOBS, UNKNOWN_REQUEST,
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest input that an error repeats, in characters.
const MAX_ECHOED: usize = 200;
/// The number of requests on a page: the default, and the most.
const DEFAULT_PAGE_SIZE: usize = 20;
const MAX_PAGE_SIZE: usize = 100;

/// The jobs to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"requested_jobs": ["Linux x86-64 try build"], "decision_task_id": "Ab-_9fIzT8aXVvV2yWqhGQ"}))]
pub(crate) struct TriggerBody {
    /// The jobs' names: builder names or Taskcluster labels, 1 to 1,000 bytes each. Case and blanks are corrected where it
    /// is clear which job is meant.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 1, max_items = 1000, min_length = 1, max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = json!(["Linux x86-64 try build"]))]
    requested_jobs: Option<Vec<String>>,
    /// What `requested_jobs` was called until 2016. Only one of the two may be given.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        nullable = false,
        deprecated,
        min_items = 1,
        max_items = 1000,
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    buildernames: Option<Vec<String>>,
    /// The push's decision task. With it, the jobs are looked up in the push's own list, which has its Taskcluster jobs. An
    /// empty string counts as missing.
    #[serde(default)]
    #[schema(
        example = "Ab-_9fIzT8aXVvV2yWqhGQ",
        pattern = "^([A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw])?$"
    )]
    decision_task_id: Option<String>,
    /// What `decision_task_id` was called from June to September 2016. If both are given, they must be the same.
    #[serde(default, rename = "decisionTaskID")]
    #[schema(deprecated, pattern = "^([A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw])?$")]
    decision_task_id_of_2016: Option<String>,
    /// The e-mail address of the person on whose behalf a service asks. People ask for themselves.
    #[serde(default)]
    #[schema(example = "someone@mozilla.com", format = "email", max_length = 254)]
    requester: Option<String>,
}

/// A list that may be left out. Null is refused.
fn given<'de, D: Deserializer<'de>>(list: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(list).map(Some)
}

/// Reads a request for jobs on a push, which `caller` sends.
///
/// # Errors
/// The body is too long, not JSON, or not what is expected; or the caller may not ask for this requester.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &RateLimits,
    (project, push_id): (String, u64),
    caller: Caller,
    request_log: &RequestLog,
) -> Result<NewRequest, Problem> {
    let (names, decision_task_id, for_person) = parse(&bytes(headers, body, limits).await?, limits)?;
    request_log.record("jobs", names.len());
    let (requester, on_behalf_by) = requester(caller, for_person)?;
    let idempotency_key = idempotency_key(headers)?;
    Ok(NewRequest { project, push_id, names, decision_task_id, requester, on_behalf_by, idempotency_key })
}

async fn bytes(headers: &HeaderMap, body: Body, limits: &RateLimits) -> Result<bytes::Bytes, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = "The body must be JSON, and say so: send the header 'Content-Type: application/json'.";
        return Err(Problem::new(&NOT_JSON, detail));
    }
    let max = limits.body_bytes;
    let too_large =
        || Problem::new(&BODY_TOO_LARGE, format!("The body has more than {max} bytes, the most that are read."));
    to_bytes(body, max).await.map_err(|_| too_large())
}

/// The names of the jobs, the decision task, and the person on whose behalf a service asks.
type Parsed = (Vec<String>, Option<String>, Option<Email>);

/// Reads the body, and checks it against the limits.
fn parse(bytes: &[u8], limits: &RateLimits) -> Result<Parsed, Problem> {
    let bad = |detail: String| Problem::new(&BAD_BODY, detail);
    // A list would be read as the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(bad("The body is not what is expected: a JSON object is.".to_owned()));
    }
    let body: TriggerBody = serde_json::from_slice(bytes)
        .map_err(|error| bad(format!("The body is not what is expected: {}.", shown(&error.to_string()))))?;
    let names = match (body.requested_jobs, body.buildernames) {
        (Some(names), None) | (None, Some(names)) => names,
        (None, None) => return Err(bad("The body names no jobs: 'requested_jobs' is missing.".to_owned())),
        (Some(_), Some(_)) => {
            let detail = "'requested_jobs' and its old name 'buildernames' are both given; one of them is expected.";
            return Err(bad(detail.to_owned()));
        }
    };
    if names.is_empty() {
        return Err(bad("'requested_jobs' is empty: at least one job is expected.".to_owned()));
    }
    if names.len() > limits.jobs_per_request {
        let detail = format!(
            "{} jobs are requested; at most {} are taken in one request.",
            names.len(),
            limits.jobs_per_request
        );
        return Err(Problem::new(&TOO_MANY_JOBS, detail));
    }
    for (name, place) in names.iter().zip(1..) {
        let length = name.len();
        if length == 0 || length > MAX_NAME {
            return Err(bad(format!("Name {place} of the jobs has {length} bytes; 1 to {MAX_NAME} are expected.")));
        }
        if name.chars().any(char::is_control) {
            return Err(bad(format!("Name {place} of the jobs has a control character in it.")));
        }
    }
    let task = |key: &str, id: Option<String>| match id.filter(|id| !id.is_empty()) {
        Some(id) => match id.parse::<TaskId>() {
            Ok(_) => Ok(Some(id)),
            Err(error) => Err(bad(format!("'{key}': {error}."))),
        },
        None => Ok(None),
    };
    let decision_task_id = match (
        task("decision_task_id", body.decision_task_id)?,
        task("decisionTaskID", body.decision_task_id_of_2016)?,
    ) {
        (Some(id), Some(other)) if id != other => {
            let detail = "'decision_task_id' and its old name 'decisionTaskID' differ; one of them is expected.";
            return Err(bad(detail.to_owned()));
        }
        (id, other) => id.or(other),
    };
    let requester = body.requester.map(|requester| requester.parse()).transpose();
    let requester = requester.map_err(|error| bad(format!("'requester': {error}.")))?;
    Ok((names, decision_task_id, requester))
}

/// The person for whom jobs are requested, and the service that asks on their behalf.
fn requester(caller: Caller, named: Option<Email>) -> Result<(Email, Option<String>), Problem> {
    if let Caller::Service { client } = caller {
        let detail = "A service asks on behalf of a person: their e-mail address is expected in 'requester'.";
        return named.map(|named| (named, Some(client))).ok_or_else(|| Problem::new(&BAD_BODY, detail));
    }
    let person = person(caller)?.filter(|person| named.as_ref().is_none_or(|named| named == person));
    let detail = "People ask for themselves: only a service may name another person in 'requester'.";
    person.map(|person| (person, None)).ok_or_else(|| Problem::new(&NOT_ALLOWED, detail).with("rule", "requester"))
}

/// The person who signed in; `None` for a service.
pub(crate) fn person(caller: Caller) -> Result<Option<Email>, Problem> {
    match caller {
        Caller::Service { .. } => Ok(None),
        Caller::Person { email } => email.parse().map(Some).map_err(|_| {
            // The issuer verified the address, but it is not one that this service accepts.
            Problem::new(&NOT_ALLOWED, "Your sign-in has no e-mail address that people are known by here.")
        }),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    match (key.to_str(), keys.next()) {
        (Ok(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(&BAD_KEY, "The Idempotency-Key is wrong: one, in ASCII, is expected.")),
    }
}

/// The name of a project in a path.
///
/// # Errors
/// It is not a valid project name.
pub(crate) fn project(name: &str) -> Result<&str, Problem> {
    if is_project_name(name.as_bytes()) {
        return Ok(name);
    }
    let detail =
        format!("'{}' is not a valid project name: letters, digits, '-', '_' and '.' are expected.", shown(name));
    Err(Problem::new(&BAD_PATH, detail))
}

/// The number of a push in a path.
///
/// # Errors
/// It is not a valid number of a push.
pub(crate) fn push_id(text: &str) -> Result<u64, Problem> {
    // More digits than a database key of Treeherder's has.
    let is_id = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_id).ok_or_else(|| {
        let detail =
            format!("'{}' is not a push: its number in Treeherder is expected, in at most 18 digits.", shown(text));
        Problem::new(&BAD_PATH, detail)
    })
}

/// The id of a request in a path.
///
/// # Errors
/// It is not a valid id, so there is no such request.
pub(crate) fn request_id(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|_| unknown_request(text))
}

pub(crate) fn unknown_request(name: &str) -> Problem {
    let detail =
        format!("There is no trigger request '{}' in this project. Requests are kept for 90 days.", shown(name));
    Problem::new(&UNKNOWN_REQUEST, detail)
}

/// The query parameters of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) is_dry_run: bool,
    pub(crate) is_mine: bool,
    pub(crate) before: Option<RequestId>,
    pub(crate) count: Option<usize>,
}

impl Parameters {
    /// The size of the page.
    pub(crate) fn page(&self) -> usize {
        self.count.unwrap_or(DEFAULT_PAGE_SIZE)
    }

    /// Reads a query string in which only the `known` parameters may occur.
    ///
    /// # Errors
    /// One is unknown, given twice, or wrong.
    pub(crate) fn read(query: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(&name) = known.iter().find(|known| **known == name) else {
                let there_are = match known {
                    [] => "This resource takes none.".to_owned(),
                    _ => format!("There are {}.", known.join(", ")),
                };
                let name = shown(&name);
                return Err(bad(&name, format!("There is no parameter '{name}'. {there_are}")));
            };
            if seen.contains(&name) {
                return Err(bad(name, format!("{name} is given more than once.")));
            }
            seen.push(name);
            let wrong = |expected: &str| bad(name, format!("{name} is '{}': {expected} is expected.", shown(&value)));
            match name {
                "dry_run" => read.is_dry_run = value.parse().map_err(|_| wrong("true or false"))?,
                "requester" if value == "me" => read.is_mine = true,
                "requester" => return Err(wrong("'me'")),
                "before" => read.before = Some(value.parse().map_err(|_| wrong("the name of a request"))?),
                _ => {
                    let count = value.parse().ok().filter(|count| (1..=MAX_PAGE_SIZE).contains(count));
                    read.count = Some(count.ok_or_else(|| wrong("a whole number from 1 to 100"))?);
                }
            }
        }
        Ok(read)
    }
}

fn bad(parameter: &str, detail: String) -> Problem {
    Problem::new(&BAD_PARAMETER, detail).with("parameter", parameter)
}

/// The beginning of a client's input, for an error.
fn shown(text: &str) -> String {
    if text.chars().count() <= MAX_ECHOED {
        return text.to_owned();
    }
    text.chars().take(MAX_ECHOED).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    fn read(body: &str) -> Result<Parsed, String> {
        parse(body.as_bytes(), &RateLimits::default()).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn both_keys_of_the_years_are_read() {
        let expected = |names: &[&str], task: Option<&str>| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            (names, task.map(ToOwned::to_owned), None)
        };
        let task = "Ab-_9fIzT8aXVvV2yWqhGQ";
        let with_task = format!(r#"{{"requested_jobs": ["a"], "decision_task_id": "{task}"}}"#);
        assert_eq!(read(r#"{"requested_jobs": ["a", "b"]}"#).unwrap(), expected(&["a", "b"], None));
        assert_eq!(read(r#"{"buildernames": ["a"]}"#).unwrap(), expected(&["a"], None));
        assert_eq!(read(&with_task).unwrap(), expected(&["a"], Some(task)));
        let keys = ["decision_task_id", "decisionTaskID"];
        for key in keys {
            for none in ["\"\"", "null"] {
                let body = format!(r#"{{"requested_jobs": ["a"], "{key}": {none}}}"#);
                assert_eq!(read(&body).unwrap(), expected(&["a"], None), "{body}");
            }
            let body = format!(r#"{{"requested_jobs": ["a"], "{key}": "{task}"}}"#);
            assert_eq!(read(&body).unwrap(), expected(&["a"], Some(task)), "{body}");
        }
        let both = |one: &str, other: &str| {
            read(&format!(r#"{{"requested_jobs": ["a"], "{}": "{one}", "{}": "{other}"}}"#, keys[0], keys[1]))
        };
        for (one, other) in [(task, task), (task, ""), ("", task)] {
            assert_eq!(both(one, other).unwrap(), expected(&["a"], Some(task)));
        }
        let problem = both(task, "RGxvyxsJRdWoCXCpZAkSTA").unwrap_err();
        assert!(problem.contains("'decision_task_id' and its old name 'decisionTaskID' differ"), "{problem}");
        let problem = both("", "x").unwrap_err();
        assert!(problem.contains("'decisionTaskID': a task id is expected: 22 letters"), "{problem}");
        assert!(both(&"x".repeat(22), "").unwrap_err().contains("'decision_task_id': a task id is expected"));
    }

    #[test]
    fn every_name_that_a_list_can_have_can_be_requested() {
        // The schema counts characters, of which a name has at most as many as it has bytes.
        let schema = serde_json::to_value(TriggerBody::schema()).unwrap();
        for key in ["requested_jobs", "buildernames"] {
            assert_eq!(schema["properties"][key]["items"]["maxLength"], MAX_NAME, "{schema}");
        }
        let named = |name: &str| read(&serde_json::json!({"requested_jobs": [name]}).to_string());
        assert!(named(&"x".repeat(MAX_NAME)).is_ok());
        for long in ["x".repeat(MAX_NAME + 1), "\u{e9}".repeat(MAX_NAME / 2 + 1)] {
            let problem = named(&long).unwrap_err();
            assert!(problem.contains(" bytes; 1 to 1000 are expected."), "{problem}");
        }
    }

    #[test]
    fn pushes_are_numbers_and_projects_are_words() {
        assert_eq!(push_id("0012").unwrap(), 12);
        assert_eq!(push_id("999999999999999999").unwrap(), 999_999_999_999_999_999);
        for wrong in ["", "-1", "+1", "1.0", "0x1", "\u{661}", "1 ", "1000000000000000000"] {
            assert!(push_id(wrong).is_err(), "{wrong}");
        }
        assert!(project("mozilla-inbound").is_ok());
        for wrong in ["", "a/b", "a b", "a%2fb", "tr\u{443}", "a\0"] {
            assert!(project(wrong).is_err(), "{wrong}");
        }
    }
}
