//! Hooks and Auth: a hook of the form of gecko's makes action tasks, and the next calls may meet a fate.

use std::collections::VecDeque;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::{FakeTaskcluster, State, Task, json_answer, lock, not_found, status};
use crate::store::http::Message;

/// The hook of the fake's decision tasks.
pub const HOOK: &str = "project-gecko/in-tree-action-1-generic/0123abcdef";

/// What happens to a call of a hook.
#[derive(Debug, Clone)]
pub enum HookFate {
    /// A task is made, and the answer is lost.
    AnswerLost,
    /// The connection is cut, and no task is made.
    RequestLost,
    /// This is answered, and no task is made.
    Answered(Message),
    /// This is answered, and a task is made all the same.
    AnsweredWithTask(Message),
}

/// What the fake knows of its hook.
#[derive(Default)]
pub(super) struct Hooks {
    fates: VecDeque<HookFate>,
    /// The calls: the header `Authorization`, and the payload.
    calls: Vec<(String, Value)>,
    /// The tasks that were made, oldest first.
    made: Vec<String>,
    /// When each was made, in seconds since 1970: the time of the signature of its call.
    made_at: Vec<i64>,
}

/// What a service answers.
pub(super) enum Answer {
    /// This.
    Message(Message),
    /// Nothing: the connection is cut.
    Cut,
    /// Another service answers.
    OtherService,
}

/// The list of actions of a push, in gecko's form.
pub fn actions_file() -> Value {
    let (group, id) = HOOK.split_once('/').expect("a hook");
    json!({"version": 1, "variables": {}, "actions": [{
        "kind": "hook", "name": "add-new-jobs", "title": "Add new jobs", "description": "Adds jobs.", "context": [],
        "hookGroupId": group, "hookId": id, "extra": {"actionPerm": "generic"},
        "schema": {"type": "object", "properties": {
            "tasks": {"type": "array", "items": {"type": "string"}},
            "times": {"type": "integer", "default": 1, "minimum": 1, "maximum": 100}}},
        "hookPayload": {
            "decision": {"action": {"name": "add-new-jobs"}, "repository": {"project": "try", "level": "1"},
                "push": {"pushlog_id": "1001"}},
            "user": {"input": {"$eval": "input"}, "taskId": {"$eval": "taskId"}, "taskGroupId": {"$eval": "taskGroupId"}}}
    }]})
}

impl FakeTaskcluster {
    /// The next call of a hook that has no fate yet meets this one.
    pub fn next_call(&self, fate: HookFate) {
        lock(&self.state).hooks.fates.push_back(fate);
    }

    /// The calls of hooks so far: the header `Authorization`, and the payload.
    pub fn hook_calls(&self) -> Vec<(String, Value)> {
        lock(&self.state).hooks.calls.clone()
    }

    /// The action tasks that hooks made, oldest first.
    pub fn action_tasks(&self) -> Vec<String> {
        lock(&self.state).hooks.made.clone()
    }
}

/// Answers calls of Hooks and Auth, and those of the Queue that have a body.
pub(super) fn answer(state: &mut State, path: &str, request: &Message) -> Answer {
    if path == "/api/auth/v1/scopes/expand" {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        return Answer::Message(json_answer("200 OK", &json!({"scopes": body["scopes"]})));
    }
    if path.starts_with("/api/queue/v1/tasks/status") {
        return Answer::Message(statuses(state, request));
    }
    let Some(call) = path.strip_prefix("/api/hooks/v1/hooks/") else { return Answer::OtherService };
    let call = call.replace("%2F", "/");
    let call = call.split('?').next().unwrap_or_default();
    match call.strip_prefix(HOOK) {
        Some("/trigger") => trigger(state, request),
        Some("/last-fires") => Answer::Message(last_fires(state)),
        _ => Answer::Message(not_found("No such hook")),
    }
}

fn statuses(state: &State, request: &Message) -> Message {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let ids = body["taskIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let known = ids.filter_map(|id| Some((id, state.tasks.get(id)?)));
    let found: Vec<Value> = known.map(|(id, task)| json!({"taskId": id, "status": status(id, task)})).collect();
    json_answer("200 OK", &json!({"statuses": found}))
}

fn trigger(state: &mut State, request: &Message) -> Answer {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let input = payload["user"]["input"].clone();
    let authorization = request.header("authorization").unwrap_or_default().to_owned();
    let signed_at = authorization.split("ts=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
    state.hooks.calls.push((authorization, payload));
    let fate = state.hooks.fates.pop_front();
    if matches!(fate, None | Some(HookFate::AnswerLost | HookFate::AnsweredWithTask(_))) {
        let id = format!("{:08}TPSVFNUvaOlinQ", state.hooks.made.len());
        state.tasks.insert(id.clone(), Task { input: Some(input), ..Task::in_state("pending") });
        state.hooks.made.push(id);
        state.hooks.made_at.push(signed_at.unwrap_or_default());
    }
    match fate {
        Some(HookFate::AnswerLost | HookFate::RequestLost) => Answer::Cut,
        Some(HookFate::Answered(message) | HookFate::AnsweredWithTask(message)) => Answer::Message(message),
        None => {
            let id = state.hooks.made.last().cloned().unwrap_or_default();
            Answer::Message(json_answer("200 OK", &json!({"taskId": id, "status": {"taskId": id}})))
        }
    }
}

fn last_fires(state: &State) -> Message {
    let fire = |(id, at): (&String, &i64)| {
        let at = DateTime::from_timestamp(*at, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true);
        json!({"hookGroupId": "project-gecko", "hookId": "in-tree-action-1-generic/0123abcdef",
            "firedBy": "triggerHook", "taskId": id, "taskCreateTime": at, "result": "success",
            "error": "", "taskState": "pending"})
    };
    match &state.hooks.made[..] {
        [] => not_found("No such hook or never fired"),
        made => {
            let fires = made.iter().zip(&state.hooks.made_at).rev().map(fire);
            json_answer("200 OK", &json!({"lastFires": fires.collect::<Vec<_>>()}))
        }
    }
}
