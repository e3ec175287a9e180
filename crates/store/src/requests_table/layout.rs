//! The items of the requests table: their keys, and how a request, its jobs and a claim are written and read.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use requests::id::RequestId;
use requests::idempotency::Claim;
use requests::job::{RequestedJob, count_jobs, digest, stored_form};
use requests::request::Request;
use requests::state::RequestState;

use crate::StoreError;
use crate::items::{Item, key, number};

/// How long requests are stored.
const REQUEST_RETENTION: TimeDelta = TimeDelta::days(90);
/// How long claims and budgets are stored after they have ended.
pub(super) const CLEANUP_GRACE: TimeDelta = TimeDelta::hours(1);
/// The partition of the index `open` with the open requests: few, in the order in which they are due.
pub(super) const OPEN: &str = "open";
/// The partition of the index `open` with the requests whose jobs are followed, in the order of their last change.
pub(super) const FOLLOWED: &str = "followed";

/// How large a request may be, in bytes, to be stored with its jobs in one item. Each change of such a request costs a write
/// unit a kilobyte, and a poll of its state half a read unit up to 4 KB: the rest is left for what changes of the head add.
const MAX_WHOLE_BYTES: usize = 3000;
/// The attribute with the packed jobs.
const DATA: &str = "data";
/// The attributes of a head that its `push` has too.
const IN_PUSH: [&str; 2] = ["project", "push_id"];
/// The attributes that not every head has.
const OPTIONAL: [&str; 9] = [
    "actions",
    "decision_task_id",
    "events_left_out",
    "jobs_digest",
    "label_wait",
    "on_behalf_by",
    "open",
    "progress",
    "pushed",
];

/// The key of a request's head.
pub(super) fn head_key(id: RequestId) -> Item {
    key(&format!("request#{id}"), "head")
}

/// The key of jobs that are stored apart.
pub(super) fn jobs_key(id: RequestId) -> Item {
    key(&format!("request#{id}"), "jobs")
}

/// The key of the claim of this name.
pub(super) fn claim_key(name: &str) -> Item {
    key(&format!("idempotency#{name}"), "claim")
}

/// The value of a push in the index `by_push`.
pub(super) fn push_value(project: &str, push_id: u64) -> String {
    format!("{project}#{push_id}")
}

/// A request with its jobs, as it is stored.
pub(super) enum RequestItems {
    /// One item: the head holds the jobs.
    One(Item),
    /// The head, and the jobs apart.
    Two { head: Item, jobs: Item },
}

impl RequestItems {
    /// The items of a request. The jobs are stored with the head if both are small enough.
    pub(super) fn new(request: &Request, jobs: &[RequestedJob], now: DateTime<Utc>) -> Result<Self, StoreError> {
        let mut head = head_item(request, now)?;
        let packed = pack(request.id, jobs)?;
        if item_size(&head) + packed.len() <= MAX_WHOLE_BYTES {
            head.insert(DATA.to_owned(), AttributeValue::B(Blob::new(packed)));
            // An earlier version would write the head without its jobs. It cannot read one without a project.
            head.retain(|name, _| !IN_PUSH.contains(&name.as_str()));
            return Ok(Self::One(head));
        }
        let mut jobs_item = jobs_key(request.id);
        jobs_item.insert(DATA.to_owned(), AttributeValue::B(Blob::new(packed)));
        jobs_item.insert("digest".to_owned(), AttributeValue::S(digest(jobs)));
        jobs_item.insert("expires_at".to_owned(), number((now + REQUEST_RETENTION).timestamp()));
        Ok(Self::Two { head, jobs: jobs_item })
    }
}

/// A request without its jobs, as it is stored.
fn head_item(request: &Request, now: DateTime<Utc>) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(request).map_err(|error| damaged(request.id, error))?;
    item.extend(head_key(request.id));
    item.insert("push".to_owned(), AttributeValue::S(push_value(&request.project, request.push_id)));
    let partition = match request.state {
        state if state.is_open() => Some(OPEN),
        RequestState::Forwarded => Some(FOLLOWED),
        _ => None,
    };
    if let Some(partition) = partition {
        item.insert("open".to_owned(), AttributeValue::S(partition.to_owned()));
    }
    item.insert("expires_at".to_owned(), number((now + REQUEST_RETENTION).timestamp()));
    Ok(item)
}

/// The update that changes a head and leaves the jobs where they are.
pub(super) struct HeadUpdate {
    pub(super) expression: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl HeadUpdate {
    pub(super) fn new(request: &Request, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let mut item = head_item(request, now)?;
        // These do not change, and a head with its jobs has no project.
        item.retain(|name, _| !["pk", "sk"].contains(&name.as_str()) && !IN_PUSH.contains(&name.as_str()));
        let removed = OPTIONAL.iter().filter(|name| !item.contains_key(**name)).copied();
        let removed: Vec<String> = removed.map(str::to_owned).collect();
        let names = item.keys().chain(&removed).map(|name| (format!("#{name}"), name.clone())).collect();
        let set: Vec<String> = item.keys().map(|name| format!("#{name} = :{name}")).collect();
        let mut expression = format!("SET {}", set.join(", "));
        if !removed.is_empty() {
            let removed: Vec<String> = removed.iter().map(|name| format!("#{name}")).collect();
            let _ = write!(expression, " REMOVE {}", removed.join(", "));
        }
        let values = item.into_iter().map(|(name, value)| (format!(":{name}"), value)).collect();
        Ok(Self { expression, names, values })
    }
}

/// Reads a stored head. Attributes that only the store needs are ignored.
pub(super) fn read_head(mut item: Item) -> Result<Request, StoreError> {
    let id = match item.get("id") {
        Some(AttributeValue::S(id)) => id.clone(),
        _ => "without an id".to_owned(),
    };
    let push = item.get("push").and_then(|push| push.as_s().ok()?.rsplit_once('#'));
    if let Some((project, push_id)) = push.map(|(project, push_id)| (project.to_owned(), push_id.to_owned())) {
        item.entry("project".to_owned()).or_insert(AttributeValue::S(project));
        item.entry("push_id".to_owned()).or_insert(AttributeValue::N(push_id));
    }
    serde_dynamo::from_item(item).map_err(|error| StoreError::DamagedRequest { id, what: error.to_string() })
}

/// The jobs of a request, packed.
fn pack(id: RequestId, jobs: &[RequestedJob]) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(&stored_form(jobs)).map_err(|error| damaged(id, error))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(|error| damaged(id, error))?;
    encoder.finish().map_err(|error| damaged(id, error))
}

/// The bytes of an item, as the store counts them.
fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        AttributeValue::M(values) => {
            3 + values.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>()
        }
        // A head has no sets.
        _ => 1,
    }
}

/// Whether a head has the jobs. Otherwise they are stored apart.
pub(super) fn has_jobs(head: &Item) -> bool {
    head.contains_key(DATA)
}

/// The jobs of a request as they were read, still packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackedJobs {
    gzip: Vec<u8>,
    /// The digest of jobs that are stored apart; earlier versions stored none.
    digest: Option<String>,
}

impl PackedJobs {
    /// Takes the jobs that are stored with a head. `None` if they are stored apart.
    pub(super) fn take_from(head: &mut Item) -> Option<Self> {
        let data = head.remove(DATA)?;
        // A value of another kind cannot be unpacked, like bytes that are not gzip.
        let gzip = if let AttributeValue::B(gzip) = data { gzip.into_inner() } else { Vec::new() };
        Some(Self { gzip, digest: None })
    }

    /// Reads the item of jobs that are stored apart.
    pub(super) fn read(id: RequestId, mut item: Item) -> Result<Self, StoreError> {
        let digest = match item.remove("digest") {
            Some(AttributeValue::S(digest)) => Some(digest),
            _ => None,
        };
        match item.remove(DATA) {
            Some(AttributeValue::B(gzip)) => Ok(Self { gzip: gzip.into_inner(), digest }),
            _ => Err(damaged(id, "its jobs are missing")),
        }
    }

    pub(super) fn unpack(&self, id: RequestId) -> Result<Vec<RequestedJob>, StoreError> {
        let mut json = Vec::new();
        GzDecoder::new(&*self.gzip).read_to_end(&mut json).map_err(|error| damaged(id, error))?;
        serde_json::from_slice(&json).map_err(|error| damaged(id, error))
    }

    /// Whether these jobs, which are stored apart, are those of this version of the request. `jobs` are the unpacked jobs.
    pub(super) fn belongs_to(&self, request: &Request, jobs: &[RequestedJob]) -> bool {
        match &self.digest {
            Some(digest) if !request.jobs_digest.is_empty() => *digest == request.jobs_digest,
            // An earlier version stored one of the two without a digest: the counts of the head are compared.
            _ => count_jobs(jobs) == request.job_counts,
        }
    }
}

/// The claim of this name, as it is stored.
pub(super) fn claim_item(name: &str, claim: &Claim) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(claim).map_err(|error| damaged(claim.request, error))?;
    item.extend(claim_key(name));
    item.insert("expires_at".to_owned(), number((claim.valid_until + CLEANUP_GRACE).timestamp()));
    Ok(item)
}

/// Reads a stored claim.
pub(super) fn read_claim(name: &str, item: Item) -> Result<Claim, StoreError> {
    let damaged =
        |error: serde_dynamo::Error| StoreError::DamagedClaim { name: name.to_owned(), what: error.to_string() };
    serde_dynamo::from_item(item).map_err(damaged)
}

/// The error for a stored request that cannot be read, or cannot be written.
#[allow(clippy::needless_pass_by_value)] // Errors are shown and done with.
pub(super) fn damaged(id: RequestId, what: impl ToString) -> StoreError {
    StoreError::DamagedRequest { id: id.to_string(), what: what.to_string() }
}

#[cfg(test)]
mod tests;
