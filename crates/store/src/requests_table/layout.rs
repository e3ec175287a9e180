//! The items of the requests table: their keys, and how a request, its jobs and a claim are written and read.

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

/// The key of a request without its jobs.
pub(super) fn head_key(id: RequestId) -> Item {
    key(&format!("request#{id}"), "head")
}

/// The key of a request's jobs.
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

/// A request without its jobs, as it is stored.
pub(super) fn head_item(request: &Request, now: DateTime<Utc>) -> Result<Item, StoreError> {
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

/// Reads a stored head. Attributes that only the store needs are ignored.
pub(super) fn read_head(item: Item) -> Result<Request, StoreError> {
    let id = match item.get("id") {
        Some(AttributeValue::S(id)) => id.clone(),
        _ => "without an id".to_owned(),
    };
    serde_dynamo::from_item(item).map_err(|error| StoreError::DamagedRequest { id, what: error.to_string() })
}

/// The jobs of a request, as they are stored.
pub(super) fn jobs_item(id: RequestId, jobs: &[RequestedJob], now: DateTime<Utc>) -> Result<Item, StoreError> {
    let json = serde_json::to_vec(&stored_form(jobs)).map_err(|error| damaged(id, error))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(|error| damaged(id, error))?;
    let packed = encoder.finish().map_err(|error| damaged(id, error))?;
    let mut item = jobs_key(id);
    item.insert("data".to_owned(), AttributeValue::B(Blob::new(packed)));
    item.insert("digest".to_owned(), AttributeValue::S(digest(jobs)));
    item.insert("expires_at".to_owned(), number((now + REQUEST_RETENTION).timestamp()));
    Ok(item)
}

/// The jobs of a request as they were read, still packed.
pub(super) struct PackedJobs {
    gzip: Vec<u8>,
    /// The digest of the jobs; earlier versions stored none.
    digest: Option<String>,
}

impl PackedJobs {
    pub(super) fn read(id: RequestId, mut item: Item) -> Result<Self, StoreError> {
        let digest = match item.remove("digest") {
            Some(AttributeValue::S(digest)) => Some(digest),
            _ => None,
        };
        match item.remove("data") {
            Some(AttributeValue::B(gzip)) => Ok(Self { gzip: gzip.into_inner(), digest }),
            _ => Err(damaged(id, "its jobs are missing")),
        }
    }

    pub(super) fn unpack(&self, id: RequestId) -> Result<Vec<RequestedJob>, StoreError> {
        let mut json = Vec::new();
        GzDecoder::new(&*self.gzip).read_to_end(&mut json).map_err(|error| damaged(id, error))?;
        serde_json::from_slice(&json).map_err(|error| damaged(id, error))
    }

    /// Whether these are the jobs of this version of the request. `jobs` are the unpacked jobs.
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
