//! The message: Treeherder's runnable-job action, version 1, field for field as its listeners expect it.
//!
//! Its schema is `schema/resultset-runnable-job-action-message.json`, written after the last valid one of Treeherder
//! (<https://treeherder.mozilla.org/schemas/v1/resultset-runnable-job-action-message.json#>).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest message that Pulse recommends, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// The format of the message that a project's listeners expect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageFormat {
    /// The format until June 2016: `buildernames` instead of `requested_jobs` and `decision_task_id`.
    #[serde(alias = "of_2015")]
    pub legacy_buildernames: bool,
    /// Wrap the message in the envelope of the mozillapulse library: `payload` and `_meta`.
    pub envelope: bool,
}

/// The jobs to request, and where.
#[derive(Debug, Clone, Copy)]
pub struct MessageContent<'a> {
    /// The project, which is also the routing key.
    pub project: &'a str,
    /// The push, by its number in Treeherder.
    pub push_id: u64,
    /// The e-mail address of the requester.
    pub requester: &'a str,
    /// The push's decision task.
    pub decision_task_id: Option<&'a str>,
    /// The jobs' names.
    pub jobs: &'a [&'a str],
    /// The number of the first of these jobs among all jobs of the request.
    pub first: usize,
    /// When the jobs were requested.
    pub requested_at: DateTime<Utc>,
}

/// A message as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The id. It stays the same when the message is published again, so that a listener can drop the repetition.
    pub id: String,
    /// The project.
    pub routing_key: String,
    /// The body, in JSON.
    pub body: Vec<u8>,
    /// The numbers of the jobs that the message requests.
    pub jobs: std::ops::Range<usize>,
    /// When the jobs were requested.
    pub requested_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Action<'a> {
    version: u32,
    project: &'a str,
    resultset_id: &'a str,
    requester: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    buildernames: Option<&'a [&'a str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_jobs: Option<&'a [&'a str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_task_id: Option<&'a str>,
    timestamp: &'a str,
}

impl Message {
    /// The messages that request all jobs of `content`. Each is valid by itself and under 8 KiB, unless a single name is
    /// longer. The id of each is `prefix`, a dot, and the number of its first job. Equal content makes equal messages; and
    /// the jobs of the later messages alone make the later messages again.
    pub fn all(prefix: &str, exchange: &str, content: &MessageContent<'_>, format: MessageFormat) -> Vec<Self> {
        let mut messages: Vec<Self> = Vec::new();
        let bare = body(exchange, "", content, &[], format).len() + prefix.len() + 16;
        let mut start = 0;
        while start < content.jobs.len() {
            let mut bytes = bare;
            let mut end = start;
            while end < content.jobs.len() {
                // With a comma; serde_json writes a string to memory without fail.
                bytes += serde_json::to_string(content.jobs[end]).map_or(0, |name| name.len()) + 1;
                if bytes > MAX_BYTES && end > start {
                    break;
                }
                end += 1;
            }
            let id = format!("{prefix}.{}", content.first + start);
            messages.push(Self {
                body: body(exchange, &id, content, &content.jobs[start..end], format),
                routing_key: content.project.to_owned(),
                jobs: content.first + start..content.first + end,
                requested_at: content.requested_at,
                id,
            });
            start = end;
        }
        messages
    }
}

fn body(exchange: &str, id: &str, content: &MessageContent<'_>, jobs: &[&str], format: MessageFormat) -> Vec<u8> {
    let (push_id, timestamp) = (content.push_id.to_string(), content.requested_at.timestamp().to_string());
    let new = !format.legacy_buildernames;
    let action = Action {
        version: 1,
        project: content.project,
        resultset_id: &push_id,
        requester: content.requester,
        buildernames: format.legacy_buildernames.then_some(jobs),
        requested_jobs: new.then_some(jobs),
        decision_task_id: new.then_some(content.decision_task_id.unwrap_or_default()),
        timestamp: &timestamp,
    };
    let json = if format.envelope {
        let payload = serde_json::to_value(&action).unwrap_or(Value::Null);
        let sent = content.requested_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        serde_json::to_vec(&json!({
            "payload": payload,
            "_meta": {
                "exchange": exchange,
                "routing_key": content.project,
                "serializer": "json",
                "message_id": id,
                "sent": sent,
            },
        }))
    } else {
        serde_json::to_vec(&action)
    };
    json.expect("strings and numbers can be written to memory")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS_OF_2015: [&str; 6] = ["buildernames", "project", "requester", "resultset_id", "timestamp", "version"];

    /// The fields that a message may have by its schema, in the order of their names. `tests/e2e/test_forward.py`
    /// checks the values, in the messages that a listener gets.
    fn fields_of_the_schema() -> Vec<String> {
        let schema: Value =
            serde_json::from_str(include_str!("../schema/resultset-runnable-job-action-message.json")).expect("JSON");
        let mut fields: Vec<String> = schema["properties"].as_object().expect("fields").keys().cloned().collect();
        fields.sort_unstable();
        fields
    }

    fn content<'a>(jobs: &'a [&'a str]) -> MessageContent<'a> {
        MessageContent {
            project: "try",
            push_id: 87268,
            requester: "someone@mozilla.com",
            decision_task_id: None,
            jobs,
            first: 0,
            requested_at: DateTime::from_timestamp(1_795_413_600, 0).unwrap(),
        }
    }

    fn json(message: &Message) -> Value {
        serde_json::from_slice(&message.body).unwrap()
    }

    fn all(content: &MessageContent<'_>, format: MessageFormat) -> Vec<Message> {
        Message::all("id", "exchange/treeherder/v1/x", content, format)
    }

    #[test]
    fn the_message_is_the_one_that_listeners_know() {
        let jobs = ["Linux x86-64 try build", "b"];
        let [message] = &all(&content(&jobs), MessageFormat::default())[..] else { panic!("one message") };
        let expected = json!({
            "version": 1, "project": "try", "resultset_id": "87268", "requester": "someone@mozilla.com",
            "requested_jobs": jobs, "decision_task_id": "", "timestamp": "1795413600",
        });
        assert_eq!(json(message), expected);
        assert_eq!((message.id.as_str(), message.routing_key.as_str(), &message.jobs), ("id.0", "try", &(0..2)));
        let task = MessageContent { decision_task_id: Some("Ab-_9fIzT8aXVvV2yWqhGQ"), ..content(&jobs) };
        assert_eq!(json(&all(&task, MessageFormat::default())[0])["decision_task_id"], "Ab-_9fIzT8aXVvV2yWqhGQ");
    }

    #[test]
    fn old_listeners_get_the_form_of_2015_and_an_envelope_where_they_want_one() {
        let jobs = ["a"];
        let legacy_buildernames =
            json(&all(&content(&jobs), MessageFormat { legacy_buildernames: true, envelope: false })[0]);
        let expected = json!({
            "version": 1, "project": "try", "resultset_id": "87268", "requester": "someone@mozilla.com",
            "buildernames": jobs, "timestamp": "1795413600",
        });
        assert_eq!(legacy_buildernames, expected);
        let wrapped = json(&all(&content(&jobs), MessageFormat { legacy_buildernames: true, envelope: true })[0]);
        assert_eq!(wrapped["payload"], expected);
        let meta = json!({"exchange": "exchange/treeherder/v1/x", "routing_key": "try", "serializer": "json",
            "message_id": "id.0", "sent": "2026-11-23T06:00:00Z"});
        assert_eq!(wrapped["_meta"], meta);
    }

    #[test]
    fn a_name_that_is_too_long_goes_alone() {
        let long = "x".repeat(9000);
        let jobs = ["a", &long, "b"];
        let parts: Vec<_> =
            all(&content(&jobs), MessageFormat::default()).into_iter().map(|message| message.jobs).collect();
        assert_eq!(parts, [0..1, 1..2, 2..3]);
    }

    #[test]
    fn the_longest_names_that_lists_can_have_fit_into_messages() {
        let (project, requester) = ("p".repeat(100), "r".repeat(254));
        // A name has at most 1,000 bytes. Escaped, control characters are the longest.
        for letter in ["x", "\"", "\u{1f600}", "\u{1}"] {
            let name = letter.repeat(1000 / letter.len());
            let jobs = [name.as_str(); 20];
            let content = MessageContent { project: &project, requester: &requester, ..content(&jobs) };
            let messages = all(&content, MessageFormat { legacy_buildernames: false, envelope: true });
            assert_eq!(messages.iter().map(|message| message.jobs.len()).sum::<usize>(), jobs.len());
            assert!(messages.iter().all(|message| message.body.len() <= MAX_BYTES), "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn every_part_is_valid_and_small_and_together_they_are_all(
            jobs in prop::collection::vec("[ -~\u{e9}\u{1f600}]{1,1000}", 1..60),
            legacy_buildernames: bool,
            envelope: bool,
        ) {
            let names: Vec<&str> = jobs.iter().map(String::as_str).collect();
            let format = MessageFormat { legacy_buildernames, envelope };
            let messages = all(&content(&names), format);
            prop_assert_eq!(&messages, &all(&content(&names), format));
            let mut found = Vec::new();
            for message in &messages {
                prop_assert!(message.body.len() <= MAX_BYTES, "{}", message.body.len());
                prop_assert_eq!(&message.id, &format!("id.{}", found.len()));
                prop_assert_eq!(message.jobs.start, found.len());
                // From any of them on, they are made again as they were.
                let rest = MessageContent { jobs: &names[found.len()..], first: found.len(), ..content(&names) };
                prop_assert_eq!(&all(&rest, format)[0], message);
                let whole = json(message);
                let action = if envelope { &whole["payload"] } else { &whole };
                let fields: Vec<&str> = action.as_object().expect("an object").keys().map(String::as_str).collect();
                if legacy_buildernames {
                    prop_assert_eq!(fields, FIELDS_OF_2015);
                } else {
                    prop_assert_eq!(fields, fields_of_the_schema());
                }
                let list = if legacy_buildernames { "buildernames" } else { "requested_jobs" };
                found.extend(action[list].as_array().expect("a list").iter().map(|name| name.as_str().unwrap_or_default().to_owned()));
            }
            prop_assert_eq!(found, jobs);
        }
    }
}
