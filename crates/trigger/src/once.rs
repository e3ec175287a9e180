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
const KEYS_HOLD: TimeDelta = TimeDelta::hours(24);
/// How long the same request without a key is the same. Seven in a hundred real requests were repeated within it.
const CONTENT_HOLDS: TimeDelta = TimeDelta::seconds(60);
/// After this time whoever claimed is not at work any more: Lambda ends the function sooner.
const AT_WORK: TimeDelta = TimeDelta::seconds(30);

/// What is asked for, as far as it tells one request from another.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
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
pub struct Key {
    /// Names the claim in the store.
    pub name: String,
    /// What was asked for under it.
    pub fingerprint: String,
    /// How long it stands for its first request.
    holds: TimeDelta,
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
    pub holds_until: DateTime<Utc>,
}

/// What an earlier claim means for a later request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the same request: its answer is the answer.
    Same,
    /// The key was used for another request.
    Other,
    /// The first one is still being worked at.
    InProgress,
    /// The earlier claim means nothing (any more): it can be taken over.
    Void,
}

impl Key {
    /// What a client calls the request, in the header `Idempotency-Key`: a quoted string by the IETF's draft, but often
    /// sent bare.
    ///
    /// # Errors
    /// A sentence that tells what is wrong with it.
    pub fn given(header: &str, asked: &Asked<'_>) -> Result<Self, &'static str> {
        let bare = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(header);
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        if !(1..=255).contains(&bare.len()) || !bare.bytes().all(is_plain) {
            return Err("1 to 255 letters, digits and signs are expected, without spaces and quotes inside");
        }
        let name = hash(["key", asked.requester.as_str(), bare]);
        Ok(Self { name, fingerprint: asked.fingerprint(), holds: KEYS_HOLD })
    }

    /// What a request without a name is recognised by: who asks for what.
    pub fn of_content(asked: &Asked<'_>) -> Self {
        let fingerprint = asked.fingerprint();
        Self { name: hash(["content", &fingerprint]), fingerprint, holds: CONTENT_HOLDS }
    }

    /// The claim of the request that is about to be made.
    pub fn claim(&self, request: RequestId, now: DateTime<Utc>) -> Claim {
        Claim { request, fingerprint: self.fingerprint.clone(), claimed_at: now, holds_until: now + self.holds }
    }
}

impl Asked<'_> {
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
    pub fn verdict(&self, fingerprint: &str, now: DateTime<Utc>, is_stored: bool) -> Verdict {
        let is_at_work = now - self.claimed_at < AT_WORK;
        match () {
            () if self.holds_until <= now => Verdict::Void,
            () if !is_stored && !is_at_work => Verdict::Void,
            () if self.fingerprint != fingerprint => Verdict::Other,
            () if is_stored => Verdict::Same,
            () => Verdict::InProgress,
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

    fn key(header: Option<&str>, requester: &str, push: u64, names: &[&str]) -> Key {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let requester = requester.parse().unwrap();
        let asked = Asked { requester: &requester, project: "try", push, names: &names, decision_task_id: None };
        header.map_or_else(|| Key::of_content(&asked), |header| Key::given(header, &asked).unwrap())
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
        let asked = Asked { requester: &requester, project: "try", push: 1, names: &[], decision_task_id: None };
        for wrong in ["", "\"\"", "a b", "\"a\"b\"", "\u{e9}", &"x".repeat(256)] {
            assert!(Key::given(wrong, &asked).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_earlier_claim_means_what_came_of_it() {
        let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        let key = key(Some("k"), "someone@mozilla.com", 1, &["a"]);
        let claim = key.claim(RequestId::new(now, 1), now);
        let later = |seconds| now + TimeDelta::seconds(seconds);
        for (fingerprint, seconds, is_stored, expected) in [
            (key.fingerprint.as_str(), 1, true, Verdict::Same),
            (&key.fingerprint, 86_399, true, Verdict::Same),
            (&key.fingerprint, 86_400, true, Verdict::Void),
            (&key.fingerprint, 29, false, Verdict::InProgress),
            (&key.fingerprint, 30, false, Verdict::Void),
            ("other", 1, true, Verdict::Other),
            ("other", 29, false, Verdict::Other),
            ("other", 30, false, Verdict::Void),
            ("other", 86_400, true, Verdict::Void),
        ] {
            assert_eq!(claim.verdict(fingerprint, later(seconds), is_stored), expected, "{seconds} s, {is_stored}");
        }
    }
}
