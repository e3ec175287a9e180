//! When two requests are the same, so that jobs that are requested twice run once.
//!
//! The service claims the key of a request in the store before it creates the request, on condition that the key is free.
//! The claim names the request that it is for, and is never completed: the stored request is the completion.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::RequestId;
use crate::new_request::NewRequest;

/// How long an `Idempotency-Key` belongs to its first request.
const KEY_TTL: TimeDelta = TimeDelta::hours(24);
/// How long an equal request without a key counts as a repetition. 7% of recorded requests were repeated within it.
const CONTENT_TTL: TimeDelta = TimeDelta::seconds(60);
/// After this time the claimant no longer runs: Lambda ends the function sooner.
const CLAIM_LEASE: TimeDelta = TimeDelta::seconds(30);

/// The key by which a repeated request is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The name of the claim in the store.
    pub name: String,
    /// A hash of what was asked for.
    pub fingerprint: String,
    /// How long the key belongs to its first request.
    ttl: TimeDelta,
}

/// The claim of a key by a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The request that the claim is for.
    pub request: RequestId,
    /// A hash of what was asked for.
    pub fingerprint: String,
    /// When the key was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When the claim expires.
    #[serde(rename = "holds_until")]
    pub valid_until: DateTime<Utc>,
}

/// The meaning of an earlier claim for a later request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimStatus {
    /// The later request repeats the earlier one, and gets its answer.
    Replay,
    /// The key was used for another request.
    Mismatch,
    /// The earlier request is still being processed.
    InProgress,
    /// The earlier claim has no effect: the later request can take the key over.
    Expired,
}

impl IdempotencyKey {
    /// The key of a request: the client's `Idempotency-Key` if there is one, or else a hash of what is asked for.
    ///
    /// # Errors
    /// As [`from_header`](Self::from_header).
    pub fn of(new_request: &NewRequest) -> Result<Self, &'static str> {
        match &new_request.idempotency_key {
            Some(header) => Self::from_header(header, new_request),
            None => Ok(Self::from_content(new_request)),
        }
    }

    /// The key that the client sent in the header `Idempotency-Key`. The IETF's draft defines it as a quoted string; many
    /// clients send it bare.
    ///
    /// # Errors
    /// The key is malformed: the error says what is expected.
    pub fn from_header(header: &str, new_request: &NewRequest) -> Result<Self, &'static str> {
        let bare = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(header);
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        if !(1..=255).contains(&bare.len()) || !bare.bytes().all(is_plain) {
            return Err("1 to 255 letters, digits and signs are expected, without spaces and quotes inside");
        }
        let name = hash(["key", new_request.requester.as_str(), bare]);
        Ok(Self { name, fingerprint: fingerprint(new_request), ttl: KEY_TTL })
    }

    /// The key of a request without an `Idempotency-Key`: a hash of what is asked for, and by whom.
    pub fn from_content(new_request: &NewRequest) -> Self {
        let fingerprint = fingerprint(new_request);
        Self { name: hash(["content", &fingerprint]), fingerprint, ttl: CONTENT_TTL }
    }

    /// A claim of the key for the request that is about to be created.
    pub fn claim(&self, request: RequestId, now: DateTime<Utc>) -> Claim {
        Claim { request, fingerprint: self.fingerprint.clone(), claimed_at: now, valid_until: now + self.ttl }
    }
}

/// A hash of what is asked for. It does not depend on the order of the job names, nor on repetitions.
fn fingerprint(new_request: &NewRequest) -> String {
    let mut names: Vec<&str> = new_request.names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let push = new_request.push_id.to_string();
    let task = new_request.decision_task_id.as_deref().unwrap_or_default();
    let first = [new_request.requester.as_str(), &new_request.project, &push, task];
    hash(first.into_iter().chain(names))
}

impl Claim {
    /// The meaning of the claim for a request with this fingerprint. `is_stored` says whether the claim's own request was
    /// stored; if it was not, the claim expires with its lease.
    pub fn status(&self, fingerprint: &str, now: DateTime<Utc>, is_stored: bool) -> ClaimStatus {
        let is_leased = now - self.claimed_at < CLAIM_LEASE;
        match () {
            () if self.valid_until <= now => ClaimStatus::Expired,
            () if !is_stored && !is_leased => ClaimStatus::Expired,
            () if self.fingerprint != fingerprint => ClaimStatus::Mismatch,
            () if is_stored => ClaimStatus::Replay,
            () => ClaimStatus::InProgress,
        }
    }
}

/// A hash of words, each with its length, so that no two lists of words are the same bytes.
fn hash<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let mut hasher = Sha256::new();
    for word in words {
        hasher.update((word.len() as u64).to_be_bytes());
        hasher.update(word);
    }
    let mut name = String::with_capacity(64);
    for byte in hasher.finalize() {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_request(requester: &str, push: u64, names: &[&str]) -> NewRequest {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        NewRequest::new("try", push, requester.parse().unwrap(), names)
    }

    fn key(header: Option<&str>, requester: &str, push: u64, names: &[&str]) -> IdempotencyKey {
        let content = new_request(requester, push, names);
        header.map_or_else(
            || IdempotencyKey::from_content(&content),
            |header| IdempotencyKey::from_header(header, &content).unwrap(),
        )
    }

    #[test]
    fn without_a_key_the_same_jobs_of_the_same_push_are_the_same_request() {
        let first = key(None, "someone@mozilla.com", 1, &["a", "b"]);
        assert_eq!(first, key(None, "Someone@Mozilla.com", 1, &["b", "a", "b"]));
        for other in [
            key(None, "other@mozilla.com", 1, &["a", "b"]),
            key(None, "someone@mozilla.com", 2, &["a", "b"]),
            key(None, "someone@mozilla.com", 1, &["ab"]),
            key(Some("k"), "someone@mozilla.com", 1, &["a", "b"]),
        ] {
            assert_ne!(first.name, other.name);
        }
    }

    #[test]
    fn a_key_is_its_owners_and_the_same_quoted_or_bare() {
        let first = key(Some("\"k-1\""), "someone@mozilla.com", 1, &["a"]);
        assert_eq!(first, key(Some("k-1"), "someone@mozilla.com", 1, &["a"]));
        assert_ne!(first.name, key(Some("k-1"), "other@mozilla.com", 1, &["a"]).name);
        let other_body = key(Some("k-1"), "someone@mozilla.com", 1, &["b"]);
        assert_eq!(first.name, other_body.name);
        assert_ne!(first.fingerprint, other_body.fingerprint);
    }

    #[test]
    fn keys_that_could_not_be_told_apart_are_refused() {
        let content = new_request("someone@mozilla.com", 1, &[]);
        for wrong in ["", "\"\"", "a b", "\"a\"b\"", "\u{e9}", &"x".repeat(256)] {
            assert!(IdempotencyKey::from_header(wrong, &content).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_earlier_claim_means_what_came_of_it() {
        let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        let key = key(Some("k"), "someone@mozilla.com", 1, &["a"]);
        let claim = key.claim(RequestId::new(now, 1), now);
        let later = |seconds| now + TimeDelta::seconds(seconds);
        for (fingerprint, seconds, is_stored, expected) in [
            (key.fingerprint.as_str(), 1, true, ClaimStatus::Replay),
            (&key.fingerprint, 86_399, true, ClaimStatus::Replay),
            (&key.fingerprint, 86_400, true, ClaimStatus::Expired),
            (&key.fingerprint, 29, false, ClaimStatus::InProgress),
            (&key.fingerprint, 30, false, ClaimStatus::Expired),
            ("other", 1, true, ClaimStatus::Mismatch),
            ("other", 29, false, ClaimStatus::Mismatch),
            ("other", 30, false, ClaimStatus::Expired),
            ("other", 86_400, true, ClaimStatus::Expired),
        ] {
            assert_eq!(claim.status(fingerprint, later(seconds), is_stored), expected, "{seconds} s, {is_stored}");
        }
    }
}
