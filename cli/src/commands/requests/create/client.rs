//! A client of the service's HTTP API.

use std::time::Duration;

use super::plan::{self, Job};
use crate::failure::Failure;
use crate::output::time;
use chrono::TimeDelta;
use fetch::{FetchError, Fetcher, Url, is_loopback};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use runtime::Clock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Maximum time of an answer. The first use of a push's list, and the plan of a thousand labels, take seconds.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum size of an answer, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// The number of jobs that are read at a time: some 2 MB.
const PAGE_JOBS: usize = 10_000;
/// How many seconds to wait, one time after the other, for a request that is in progress. After 30 s it was stored, or
/// the service takes its key for free.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];
/// The longest pause that the service can ask for instead.
const MAX_PAUSE: u64 = 30;
/// The error code of a request whose key belongs to one that is in progress.
const IN_PROGRESS: &str = "request_in_progress";
/// The error code of a request whose key belongs to another one.
const KEY_REUSED: &str = "idempotency_key_reused";

/// What the service says of itself in `config.json`, as far as it is used here.
#[derive(Deserialize)]
struct PageConfig {
    /// The base of the trigger function's API; null if the service triggers no jobs.
    trigger_url: Option<String>,
    treeherder_url: String,
}

/// A page of a list.
#[derive(Deserialize)]
struct ListPage {
    meta: ListMeta,
    results: Vec<ListedName>,
}

#[derive(Deserialize)]
struct ListMeta {
    total: usize,
}

/// A job of a list.
#[derive(Debug, Deserialize)]
pub(super) struct ListedName {
    pub(super) ref_data_name: String,
    /// The build that the job needs.
    #[serde(default)]
    pub(super) upstream: Option<String>,
}

/// An error of the API.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    /// The jobs that the service does not know or cannot run.
    #[serde(default)]
    jobs: Vec<Job>,
}

/// Why there is no usable answer to a request for jobs.
pub(super) struct SendFailure {
    pub(super) failure: Failure,
    pub(super) arrival: Arrival,
}

/// Whether a request that failed may have requested jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It requested nothing.
    Refused,
    /// The failure says what is known.
    Explained,
    /// It is not known.
    Unknown,
}

impl From<Failure> for SendFailure {
    /// The failure of a request that was not sent.
    fn from(failure: Failure) -> Self {
        Self { failure, arrival: Arrival::Refused }
    }
}

/// A service that can trigger jobs.
pub(super) struct Service {
    fetcher: Fetcher,
    clock: Clock,
    /// The address of its page. Ends with a slash.
    page: Url,
    /// The base of the trigger function's API. Ends with a slash.
    trigger: Url,
    /// The value of the header that signs in.
    authorization: HeaderValue,
    /// Treeherder's address, without a slash at the end.
    pub(super) treeherder_url: String,
}

/// Reads the address of a page. Its `config.json` says where the token is sent, so it is read over https too, or from
/// this machine.
///
/// # Errors
/// It is not one. The message does not repeat it.
pub(super) fn address(text: &str) -> Result<Url, &'static str> {
    let expected = "the address of the page is expected, for example https://runnable-jobs.example.org/";
    let mut url: Url = text.parse().map_err(|_| expected)?;
    if !["http", "https"].contains(&url.scheme()) || !url.username().is_empty() || url.password().is_some() {
        return Err(expected);
    }
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err("https is expected: over http, others in the network could have the token sent to them");
    }
    // An address that was copied from a browser has the state of the page.
    url.set_query(None);
    url.set_fragment(None);
    Ok(as_folder(url))
}

fn as_folder(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

impl Service {
    /// Asks the service where its parts are.
    ///
    /// # Errors
    /// There is no such service, it triggers no jobs, or the token would be sent unprotected.
    pub(super) async fn open(page: Url, token: &str, clock: Clock) -> Result<Self, Failure> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Failure::Usage(format!("{} has characters that no token has", super::TOKEN)))?;
        authorization.set_sensitive(true);
        let fetcher = Fetcher::new(TIMEOUT, MAX_BYTES);
        let answer = get(&fetcher, &page, "config.json", &[]).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            let reason = format!("{page} has no config.json: the address of the service's page is expected");
            return Err(Failure::Refused(reason));
        }
        let config: PageConfig = read(&answer, &clock)?;
        let Some(trigger) = config.trigger_url else {
            return Err(Failure::Refused("this service triggers no jobs: it has no trigger function".to_owned()));
        };
        let trigger = page.join(&trigger).map(as_folder).map_err(|_| unusable("trigger_url is not an address"))?;
        if trigger.scheme() != "https" && !is_loopback(&trigger) {
            let reason = "the token is sent over https only, and the service's trigger_url has http".to_owned();
            return Err(Failure::Refused(reason));
        }
        let treeherder_url =
            treeherder::address(&config.treeherder_url).map_err(|_| unusable("treeherder_url is not an address"))?;
        Ok(Self { fetcher, clock, page, trigger, authorization, treeherder_url })
    }

    /// The jobs that match a query, of the push with this decision task or, without one, of the project.
    ///
    /// # Errors
    /// The service refuses, or does not answer.
    pub(super) async fn search(
        &self,
        project: &str,
        query: &str,
        decision_task: Option<&str>,
    ) -> Result<Vec<ListedName>, Failure> {
        let path = format!("api/project/{project}/runnable_jobs/");
        let mut found = Vec::new();
        loop {
            let (offset, count) = (found.len().to_string(), PAGE_JOBS.to_string());
            let mut parameters =
                vec![("search", query), ("fields", "ref_data_name,upstream"), ("offset", &offset), ("count", &count)];
            parameters.extend(decision_task.map(|task| ("decision_task_id", task)));
            let page: ListPage = read(&get(&self.fetcher, &self.page, &path, &parameters).await?, &self.clock)?;
            let is_last = page.results.is_empty() || found.len() + page.results.len() >= page.meta.total;
            found.extend(page.results);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Requests jobs under a key or, without one, checks what would be requested. If the connection breaks, the same
    /// request is sent once more: its key keeps it from running twice. While the service says that it is in progress,
    /// it is sent again after a pause.
    ///
    /// # Errors
    /// The service refuses, or does not answer.
    pub(super) async fn send(
        &self,
        project: &str,
        push_id: u64,
        names: &[String],
        decision_task: Option<&str>,
        key: Option<&str>,
    ) -> Result<Value, SendFailure> {
        let request = self.request_for_jobs(project, push_id, names, decision_task, key)?;
        let mut pauses = PAUSES.into_iter();
        let mut is_broken = false;
        let answer = loop {
            match self.fetcher.send(request.clone()).await {
                Ok(answer) => {
                    let wanted = retry_after_seconds(answer.headers()).unwrap_or_default();
                    match pauses.next().filter(|_| is_in_progress(&answer) && wanted <= MAX_PAUSE) {
                        Some(pause) => tokio::time::sleep(Duration::from_secs(pause.max(wanted))).await,
                        None => break answer,
                    }
                }
                Err(error) if is_broken || matches!(error, FetchError::TooLarge(_)) => {
                    let failure = Failure::Unreachable(format!("the service does not answer: {error}"));
                    return Err(SendFailure { failure, arrival: Arrival::Unknown });
                }
                Err(_) => is_broken = true,
            }
        };
        let status = answer.status();
        read(&answer, &self.clock).map_err(|failure| {
            let is_unexplained = status.is_server_error() && problem(&answer).is_none();
            let arrival = match () {
                () if status.is_success() => Arrival::Explained,
                () if is_broken || is_unexplained => Arrival::Unknown,
                () if status.is_client_error() && !is_in_progress(&answer) => Arrival::Refused,
                () => Arrival::Explained,
            };
            SendFailure { failure, arrival }
        })
    }

    /// The request that requests jobs, or checks what would be requested.
    fn request_for_jobs(
        &self,
        project: &str,
        push_id: u64,
        names: &[String],
        decision_task: Option<&str>,
        key: Option<&str>,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let path = format!("api/project/{project}/push/{push_id}/trigger_runnable_jobs/");
        let parameters: &[_] = if key.is_none() { &[("dry_run", "true")] } else { &[] };
        let mut body = json!({"requested_jobs": names});
        if let Some(task) = decision_task {
            body["decision_task_id"] = task.into();
        }
        let mut request = request(Method::POST, &self.trigger, &path, parameters, body.to_string().into_bytes())?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = key {
            let key = HeaderValue::try_from(key).map_err(|error| Failure::Internal(error.to_string()))?;
            headers.insert("idempotency-key", key);
        }
        Ok(request)
    }

    /// The address at which the page watches a request.
    pub(super) fn page(&self, project: &str, push_id: u64, request: &str) -> Url {
        let mut url = self.page.clone();
        let push = push_id.to_string();
        url.query_pairs_mut().extend_pairs([("project", project), ("push", &push), ("request", request)]);
        url
    }
}

async fn get(
    fetcher: &Fetcher,
    base: &Url,
    path: &str,
    parameters: &[(&str, &str)],
) -> Result<Response<Vec<u8>>, Failure> {
    let request = request(Method::GET, base, path, parameters, Vec::new())?;
    let answer = fetcher.send(request).await;
    answer.map_err(|error| Failure::Unreachable(format!("the service does not answer: {error}")))
}

fn request(
    method: Method,
    base: &Url,
    path: &str,
    parameters: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Request<Vec<u8>>, Failure> {
    let mut url = base.join(path).map_err(|_| unusable("its address is too long"))?;
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    let request = Request::builder().method(method).uri(url.as_str()).body(body);
    request.map_err(|error| Failure::Internal(format!("the request cannot be made: {error}")))
}

/// Reads an answer, or the error that it is.
fn read<T: DeserializeOwned>(answer: &Response<Vec<u8>>, clock: &Clock) -> Result<T, Failure> {
    if !answer.status().is_success() {
        return Err(failure(answer, clock));
    }
    serde_json::from_slice(answer.body()).map_err(|error| unusable(&error.to_string()))
}

pub(super) fn unusable(reason: &str) -> Failure {
    Failure::Internal(format!("the service's answer cannot be used: {reason}"))
}

/// The error that an answer is, if it is one of the API.
fn problem(answer: &Response<Vec<u8>>) -> Option<Problem> {
    serde_json::from_slice(answer.body()).ok().filter(|_| !answer.status().is_success())
}

/// Whether a request with the same key is in progress.
fn is_in_progress(answer: &Response<Vec<u8>>) -> bool {
    problem(answer).is_some_and(|problem| problem.code == IN_PROGRESS)
}

/// What an error of the API says, and what to do.
fn failure(answer: &Response<Vec<u8>>, clock: &Clock) -> Failure {
    let status = answer.status();
    let problem = problem(answer);
    let has_code = |code| problem.as_ref().is_some_and(|problem| problem.code == code);
    let is_unavailable = status.is_server_error() || has_code(IN_PROGRESS);
    let mut text = match &problem {
        // The API's own sentence says to use a new key, under which jobs would be requested twice.
        Some(_) if has_code(KEY_REUSED) => {
            "Other jobs were requested under this key before, so these were not requested: give the push, the query \
             and the jobs of that time. The page shows what was requested."
                .to_owned()
        }
        Some(problem) => problem.detail.clone(),
        None => format!("The service answers with {status} and gives no reason."),
    };
    match status {
        StatusCode::UNAUTHORIZED => {
            text += " Set RUNNABLE_JOBS_TOKEN to an ID token of the sign-in that the page uses. Tokens expire, most \
                     within hours.";
        }
        StatusCode::FORBIDDEN if !has_code("email_not_verified") => {
            text += " Use the token of a person who is allowed, or ask the operators of the service for a rule.";
        }
        _ => text += &retry_after(answer.headers(), clock),
    }
    if let Some(problem) = problem.filter(|problem| problem.code == "no_known_jobs") {
        text = format!("{text}\n{}", plan::refused(&problem.jobs));
        text.truncate(text.trim_end().len());
    }
    if is_unavailable { Failure::Unreachable(text) } else { Failure::Refused(text) }
}

/// When to try again, if the answer says so.
fn retry_after(headers: &HeaderMap, clock: &Clock) -> String {
    let seconds = retry_after_seconds(headers).and_then(|seconds| i64::try_from(seconds).ok());
    let Some(pause) = seconds.and_then(TimeDelta::try_seconds) else { return String::new() };
    let at = clock().checked_add_signed(pause).map(|at| format!(", at {}", time(at))).unwrap_or_default();
    format!(" Try again in {} s{at}.", pause.num_seconds())
}

fn retry_after_seconds(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_page_is_read_over_https_or_from_this_machine() {
        for (text, read) in [
            ("https://runnable-jobs.example.org", "https://runnable-jobs.example.org/"),
            ("https://example.org/jobs?project=try#x", "https://example.org/jobs/"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/"),
            ("http://[::1]:8000/", "http://[::1]:8000/"),
            ("http://localhost/a/", "http://localhost/a/"),
        ] {
            assert_eq!(address(text).unwrap().as_str(), read);
        }
        for text in ["http://runnable-jobs.example.org/", "http://10.0.0.1/", "http://localhost.example.org/"] {
            assert!(address(text).unwrap_err().starts_with("https is expected"), "{text}");
        }
        for text in ["example.org", "ftp://example.org/", "https://someone@example.org/", "https://a:b@example.org/"] {
            assert!(address(text).unwrap_err().starts_with("the address of the page"), "{text}");
        }
    }
}
