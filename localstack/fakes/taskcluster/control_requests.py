"""What control requests do: the other end of `Control`."""

import json
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.decoys import spoil
from localstack.fakes.taskcluster.faults import Fault, Invalid
from localstack.fakes.taskcluster.hooks import Firing
from localstack.fakes.taskcluster.life import Result
from localstack.fakes.taskcluster.state import State


def control(state: State, method: str, url: urllib.parse.SplitResult, body: bytes) -> Any:
    """Do what a control request asks for; returns what it answers."""
    match [method, *url.path.split("/", 5)[2:]]:
        case ["PUT", "task", task_id, "artifacts", name]:
            state.set_artifact(task_id, name, _artifact(body, url.query))
        case ["DELETE", "task", task_id, "artifacts", name]:
            state.set_artifact(task_id, name, None)
        case ["GET", "requests"]:
            with state.lock:
                return list(state.requests)
        case ["DELETE", "requests"]:
            state.forget_requests()
        case ["GET", "calls"]:
            with state.lock:
                return dict(state.calls)
        case ["GET", "triggers"]:
            with state.lock:
                return list(state.triggers)
        case ["GET", "actions"]:
            with state.lock:
                return [action.summary() for action in state.actions.values()]
        case ["DELETE", "task", task_id]:
            state.remove_task(task_id)
        case ["PUT", "reset"]:
            state.reset()
        case [*words]:
            return _with_content(state, words, json.loads(body))
    return {}


def _with_content(state: State, words: list[str], given: Any) -> Any:
    """Do what a control request with JSON asks for."""
    match words:
        case ["PUT", "task", task_id, "fault", name]:
            fault = Fault.read(given)
            state.change_artifact(task_id, name, lambda artifact: setattr(artifact, "fault", fault))
        case ["PUT", "task", task_id, "expiry", name]:
            state.change_artifact(task_id, name, _expiry(given))
        case ["PUT", "task", task_id, "state"]:
            given = {"reason": "", "artifacts": True, "retried": False} | given
            state.set_state(task_id, given["state"], given["reason"], given["artifacts"], given["retried"])
        case ["PUT", "task", task_id, "actions"]:
            _spoil(state, task_id, given["kind"])
        case ["POST", "task"]:
            given = {"push": None, "revision": None, "task_id": None} | given
            added = state.add_decision_task(given["project"], given["push"], given["revision"], given["task_id"])
            return {"task_id": added}
        case ["PUT", "index"]:
            state.pin(given["path"], given["task_id"])
        case ["PUT", "api-fault"]:
            state.set_api_fault(given.pop("prefix"), Fault.read(given))
        case ["PUT", "client"]:
            with state.lock:
                token = state.clients.set_client(given["client_id"], given["scopes"], given["token"])
            return {"access_token": token}
        case ["PUT", "role"]:
            with state.lock:
                state.clients.set_role(given["role"], given["scopes"])
        case ["PUT", "clock"]:
            with state.lock:
                state.clients.ahead = float(given["ahead"])
        case ["PUT", "firing"]:
            with state.lock:
                state.firing = Firing.read(given)
        case ["DELETE", "hook"]:
            with state.lock:
                if not state.hooks.pop(given["hook"], None):
                    raise Invalid(f"there is no hook {given['hook']}")
        case _:
            return _of_life(state, words, given)
    return {}


def _of_life(state: State, words: list[str], given: Any) -> Any:
    """Do what a control request about the life of created tasks asks for."""
    match words:
        case ["PUT", "pace"]:
            state.life.set_pace(given["seconds"])
        case ["POST", "advance"]:
            return {"moved": state.life.advance(given["task_id"])}
        case ["PUT", "result"]:
            with state.lock:
                name = given.pop("name")
                state.life.results[name] = Result(**given)
        case ["PUT", "creation-error"]:
            with state.lock:
                state.creation_errors[given["label"]] = given["message"]
        case _:
            raise Invalid(f"there is no control request {' '.join(words)}")
    return {}


def _artifact(body: bytes, query: str) -> Artifact:
    given: dict[str, Any] = dict(urllib.parse.parse_qsl(query, strict_parsing=bool(query)))
    if "run" in given:
        given["run"] = int(given["run"])
    # A large body takes seconds to pack: not while a client waits for it.
    return Artifact(lambda: body, **given).pack()


def _expiry(content: Any) -> Callable[[Artifact], None]:
    match content:
        case {"at": "queue"}:
            return lambda artifact: setattr(artifact, "expires_at", time.time())
        case {"at": "host"}:
            return lambda artifact: setattr(artifact, "is_gone", True)
    raise Invalid("an artifact expires at the queue or at the host")


def _spoil(state: State, task_id: str, kind: str) -> None:
    with state.lock:
        if not (decision := state.decisions.get(task_id)):
            raise Invalid(f"there is no decision task {task_id}")
        body = json.dumps(spoil(decision.actions(), kind)).encode()
        state.set_artifact(task_id, "public/actions.json", Artifact(lambda: body))
