//! When two requests are the same, so that what is asked twice runs once.
//!
//! Whoever is about to serve a request claims its key first, in the store, on condition that nobody has it. The claim
//! names the request that will come of it and is never completed: the stored request is the completion.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::email::Email;
use crate::request::RequestId;

/// How long an `Idempotency-Key` stands for its first request.
const KEY_TTL: TimeDelta = TimeDelta::hours(24);
/// How long the same request without a key is the same. Seven in a hundred real requests were repeated within it.
const CONTENT_TTL: TimeDelta = TimeDelta::seconds(60);
/// After this time whoever claimed is not at work any more: Lambda ends the function sooner.
const CLAIM_LEASE: TimeDelta = TimeDelta::seconds(30);

/// What is asked for, as far as it tells one request from another.
#[derive(Debug, Clone, Copy)]
pub struct RequestContent<'a> {
    /// Who asks.
    pub requester: &'a Email,
    /// On which project.
    pub project: &'a str,
    /// On which push.
    pub push: u64,
    /// For which jobs.
    pub names: &'a [String],
    /// Of which decision task.
    pub decision_task_id: Option<&'a str>,
}

/// What a request is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Names the claim in the store.
    pub name: String,
    /// What was asked for under it.
    pub fingerprint: String,
    /// How long it stands for its first request.
    ttl: TimeDelta,
}

/// Who claimed a key first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The request that comes of it.
    pub request: RequestId,
    /// What was asked for.
    pub fingerprint: String,
    /// When.
    pub claimed_at: DateTime<Utc>,
    /// From when on it means nothing.
    #[serde(rename = "holds_until")]
    pub valid_until: DateTime<Utc>,
}

/// What an earlier claim means for a later request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimStatus {
    /// It is the same request: its answer is the answer.
    Replay,
    /// The key was used for another request.
    Mismatch,
    /// The first one is still being worked at.
    InProgress,
    /// The earlier claim means nothing (any more): it can be taken over.
    Expired,
}

impl IdempotencyKey {
    /// What a client calls the request, in the header `Idempotency-Key`: a quoted string by the IETF's draft, but often
    /// sent bare.
    ///
    /// # Errors
    /// A sentence that tells what is wrong with it.
    pub fn from_header(header: &str, content: &RequestContent<'_>) -> Result<Self, &'static str> {
        let bare = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(header);
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        if !(1..=255).contains(&bare.len()) || !bare.bytes().all(is_plain) {
            return Err("1 to 255 letters, digits and signs are expected, without spaces and quotes inside");
        }
        let name = hash(["key", content.requester.as_str(), bare]);
        Ok(Self { name, fingerprint: content.fingerprint(), ttl: KEY_TTL })
    }

    /// What a request without a name is recognised by: who asks for what.
    pub fn from_content(content: &RequestContent<'_>) -> Self {
        let fingerprint = content.fingerprint();
        Self { name: hash(["content", &fingerprint]), fingerprint, ttl: CONTENT_TTL }
    }

    /// The claim of the request that is about to be made.
    pub fn claim(&self, request: RequestId, now: DateTime<Utc>) -> Claim {
        Claim { request, fingerprint: self.fingerprint.clone(), claimed_at: now, valid_until: now + self.ttl }
    }
}

impl RequestContent<'_> {
    /// Requests that ask for the same jobs, in whatever order and however often, have the same fingerprint.
    fn fingerprint(&self) -> String {
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let push = self.push.to_string();
        let first = [self.requester.as_str(), self.project, &push, self.decision_task_id.unwrap_or_default()];
        hash(first.into_iter().chain(names))
    }
}

impl Claim {
    /// What it means for a request with this fingerprint; `is_stored`: whether what it claimed came to be. A claim of which
    /// nothing came means nothing, whatever was asked for.
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

    fn key(header: Option<&str>, requester: &str, push: u64, names: &[&str]) -> IdempotencyKey {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let requester = requester.parse().unwrap();
        let content =
            RequestContent { requester: &requester, project: "try", push, names: &names, decision_task_id: None };
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
        let requester = "someone@mozilla.com".parse().unwrap();
        let content =
            RequestContent { requester: &requester, project: "try", push: 1, names: &[], decision_task_id: None };
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
