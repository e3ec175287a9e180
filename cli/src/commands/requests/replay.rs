//! Resolves recorded requests against the catalog.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use requests::email::Email;
use requests::id::RequestId;
use requests::idempotency::IdempotencyKey;
use requests::job::{JobCode, RequestedJob};
use requests::new_request::NewRequest;
use requests::resolve::resolve_names;
use requests::state::JobState;
use serde::{Deserialize, Serialize};
use trigger_api::call_log::CallLog;
use trigger_api::error::TriggerError;
use trigger_api::outcome::OutcomeKind;
use trigger_api::service::TriggerService;

use super::{Operator, Replay};
use crate::failure::Failure;
use crate::output::{new_table, print_json_line, print_text, table_text};

/// Maximum number of unknown names in the summary.
const MAX_SHOWN: usize = 10;

/// A recorded request, as Treeherder sent it to Pulse.
#[derive(Debug, Deserialize)]
struct Recorded {
    project: String,
    requester: Email,
    #[serde(alias = "push_id")]
    resultset_id: PushId,
    #[serde(alias = "buildernames")]
    requested_jobs: Vec<String>,
    #[serde(default)]
    decision_task_id: Option<String>,
}

/// The number of a push. Treeherder sent it as a string.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PushId {
    Text(String),
    Number(u64),
}

/// The outcome of a recorded request.
#[derive(Debug, Serialize)]
struct Replayed {
    /// The line of the record in the file.
    line: usize,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    known: usize,
    renamed: usize,
    corrected: usize,
    unknown: usize,
    /// Names that the request has more than once.
    repeated: usize,
}

/// The outcomes of all recorded requests.
#[derive(Debug, Default, Serialize)]
struct Summary {
    requests: usize,
    outcomes: BTreeMap<String, usize>,
    known: usize,
    renamed: usize,
    /// Names in another case or with other blanks.
    corrected: usize,
    unknown: usize,
    /// Names that a request had more than once.
    repeated: usize,
    /// Unknown names for which a similar name exists.
    #[serde(rename = "with_closest")]
    with_suggestion: usize,
    /// The most frequent unknown names.
    most_unknown: Vec<(String, usize)>,
}

pub(super) async fn replay(operator: &Operator<'_>, command: &Replay) -> Result<(), Failure> {
    let service = operator.service().await?;
    let mut summary = Summary::default();
    let mut seen_keys = HashSet::new();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for (text, line) in open(&command.file)?.lines().zip(1..) {
        let text =
            text.map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", command.file.display())))?;
        if text.trim().is_empty() {
            continue;
        }
        let (mut replayed, jobs) = match read_request(&text) {
            Err(detail) => (Replayed::new(line, "malformed", Some(detail), &[], 0), Vec::new()),
            Ok(request) if command.submit => submit(&service, request, line).await?,
            Ok(request) => check(&service, &request, line, &mut seen_keys).await?,
        };
        for job in jobs.iter().filter(|job| !job.exists()) {
            *unknown.entry(job.name.clone()).or_default() += 1;
            summary.with_suggestion += usize::from(job.suggestion.is_some());
        }
        summary.requests += 1;
        *summary.outcomes.entry(replayed.outcome.clone()).or_default() += 1;
        summary.known += replayed.known;
        summary.renamed += replayed.renamed;
        summary.corrected += replayed.corrected;
        summary.unknown += replayed.unknown;
        summary.repeated += replayed.repeated;
        if command.json {
            print_json_line(&replayed)?;
        } else if let Some(detail) = replayed.detail.take() {
            print_text(&format!("line {line}: {}: {detail}\n", replayed.outcome))?;
        }
    }
    let mut most_common: Vec<(String, usize)> = unknown.into_iter().collect();
    most_common
        .sort_by(|(one, one_count), (other, other_count)| other_count.cmp(one_count).then_with(|| one.cmp(other)));
    most_common.truncate(MAX_SHOWN);
    summary.most_unknown = most_common;
    if command.json { print_json_line(&summary) } else { print_text(&summary.text()) }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file =
        File::open(path).map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

fn read_request(text: &str) -> Result<NewRequest, String> {
    let recorded: Recorded = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let push_id = match recorded.resultset_id {
        PushId::Number(number) => number,
        PushId::Text(text) => text.parse().map_err(|_| format!("resultset_id is '{text}', which is not a number"))?,
    };
    if recorded.requested_jobs.is_empty() {
        return Err("it names no jobs".to_owned());
    }
    Ok(NewRequest {
        decision_task_id: recorded.decision_task_id.filter(|id| !id.is_empty()),
        ..NewRequest::new(recorded.project, push_id, recorded.requester, recorded.requested_jobs)
    })
}

/// Resolves the names of a request. Records have no time, so a request that equals an earlier one counts as its
/// repetition.
async fn check(
    service: &TriggerService,
    request: &NewRequest,
    line: usize,
    seen_keys: &mut HashSet<String>,
) -> Result<(Replayed, Vec<RequestedJob>), Failure> {
    let task = request.decision_task_id.as_deref();
    let names = match service.catalog.names_for(&request.project, task, &CallLog::default()).await {
        Ok(names) => names,
        Err(error) => return Ok((refused(error, line, request.names.len())?, Vec::new())),
    };
    let jobs = resolve_names(&request.names, &names, &service.renames);
    let is_new = seen_keys.insert(IdempotencyKey::from_content(request).name);
    let is_rejected = |job: &RequestedJob| job.state == JobState::Rejected;
    let outcome = match () {
        () if jobs.iter().all(is_rejected) => "no_known_jobs",
        () if !is_new => "repeated",
        () if jobs.iter().any(is_rejected) => "accepted in part",
        () => "accepted",
    };
    Ok((Replayed::new(line, outcome, None, &jobs, request.names.len()), jobs))
}

/// Submits a request as if a client had sent it.
async fn submit(
    service: &TriggerService,
    request: NewRequest,
    line: usize,
) -> Result<(Replayed, Vec<RequestedJob>), Failure> {
    let count = request.names.len();
    let outcome = match service.accept(request, None, &CallLog::default()).await {
        Ok(outcome) => outcome,
        Err(error) => return Ok((refused(error, line, count)?, Vec::new())),
    };
    let is_rejected = |job: &RequestedJob| job.state == JobState::Rejected;
    let word = match (outcome.kind, &outcome.request) {
        (OutcomeKind::Duplicate(_), _) => "repeated".to_owned(),
        (_, Some(request)) if outcome.jobs.iter().any(is_rejected) => format!("{} in part", request.state.as_str()),
        (_, Some(request)) => request.state.as_str().to_owned(),
        (_, None) => "checked".to_owned(),
    };
    let mut replayed = Replayed::new(line, &word, None, &outcome.jobs, count);
    replayed.request_id = outcome.request.map(|request| request.id);
    Ok((replayed, outcome.jobs))
}

/// The outcome of a refused request. An unavailable store ends the replay.
fn refused(error: TriggerError, line: usize, count: usize) -> Result<Replayed, Failure> {
    if error.is_unavailable() {
        return Err(error.into());
    }
    Ok(Replayed::new(line, error.code(), Some(error.to_string()), &[], count))
}

impl Replayed {
    fn new(line: usize, outcome: &str, detail: Option<String>, jobs: &[RequestedJob], name_count: usize) -> Self {
        let count = |code| jobs.iter().filter(|job| job.code == code).count();
        Self {
            line,
            outcome: outcome.to_owned(),
            detail,
            request_id: None,
            known: count(None),
            renamed: count(Some(JobCode::Renamed)),
            corrected: count(Some(JobCode::Corrected)),
            unknown: count(Some(JobCode::UnknownJob)),
            repeated: if jobs.is_empty() { 0 } else { name_count - jobs.len() },
        }
    }
}

impl Summary {
    fn text(&self) -> String {
        let mut table = new_table(["REQUESTS", ""]);
        table.add_row(["all".to_owned(), self.requests.to_string()]);
        for (outcome, count) in &self.outcomes {
            table.add_row([outcome.clone(), count.to_string()]);
        }
        let mut text = table_text(&table);
        text.push('\n');
        let mut table = new_table(["JOBS", ""]);
        for (name, count) in [
            ("known", self.known),
            ("renamed", self.renamed),
            ("corrected in case or blanks", self.corrected),
            ("unknown", self.unknown),
            ("... with a name that was probably meant", self.with_suggestion),
            ("asked for twice in one request", self.repeated),
        ] {
            table.add_row([name.to_owned(), count.to_string()]);
        }
        text += &table_text(&table);
        if !self.most_unknown.is_empty() {
            text.push('\n');
            let mut table = new_table(["MOST ASKED FOR AND UNKNOWN", ""]);
            for (name, count) in &self.most_unknown {
                table.add_row([name.clone(), count.to_string()]);
            }
            text += &table_text(&table);
        }
        text
    }
}
