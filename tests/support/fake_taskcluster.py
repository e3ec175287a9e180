"""What tests of the fake Taskcluster share: requests to it, signed by mohawk or not, and its form of errors."""

import gzip
import http.client
import json
import re
import time
from contextlib import closing
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

import mohawk

from localstack.fakes.pushes import PUSH_ID, decision_task_id, slugid
from localstack.fakes.taskcluster import RUNNABLE_JOBS

TASK = decision_task_id("try", PUSH_ID)
UNKNOWN = slugid("unknown")
LATEST = "gecko.v2.try.latest.taskgraph.decision"
INDEX, QUEUE, HOOKS, AUTH = (f"/api/{service}/v1" for service in ("index", "queue", "hooks", "auth"))


class Running(Protocol):
    """A fake that runs, in this process or in another."""

    url: str
    client_id: str
    access_token: str


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(url: str, method: str = "GET", body: Any = None, seconds: float = 30, **headers: str) -> Answer:
    """One request, whose answer is neither followed nor unpacked. A body that is not bytes is sent as JSON."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    with closing(connection):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        given = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, given, sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def get(fake: Running, path: str) -> Answer:
    return ask(fake.url + path)


def artifact_path(name: str = RUNNABLE_JOBS, task: str = TASK, run: int | None = None) -> str:
    return f"{QUEUE}/task/{task}/{'' if run is None else f'runs/{run}/'}artifacts/{name}"


def fetch(fake: Running, name: str = RUNNABLE_JOBS, task: str = TASK) -> Answer:
    """An artifact as the artifact host sends it."""
    found = get(fake, artifact_path(name, task))
    assert found.status == 303, found.body
    return ask(found.headers["Location"])


def content(fake: Running, name: str = RUNNABLE_JOBS, task: str = TASK) -> Any:
    """The content of a JSON artifact."""
    return json.loads(gzip.decompress(fetch(fake, name, task).body))


def assert_error(answer: Answer, status: int, code: str, message: str) -> None:
    found = answer.json()
    assert (answer.status, found["code"]) == (status, code)
    text, _, details = found["message"].partition("\n\n---\n\n")
    assert re.search(message, text), text
    assert re.fullmatch(
        rf"\* method:     (\w+)\n\* errorCode:  {code}\n\* statusCode: {status}\n\* time:       \S+Z", details
    ), details
    assert found["requestInfo"].keys() == {"method", "params", "payload", "time"}


def signed(
    url: str,
    method: str = "GET",
    body: bytes = b"",
    *,
    client_id: str,
    token: str,
    ext: str | None = None,
    is_hashed: bool = False,
    skew: float = 0,
) -> str:
    """The header `Authorization` with which mohawk signs a request."""
    hashed = {"content": body, "content_type": "application/json"} if is_hashed else {}
    sender = mohawk.Sender(
        {"id": client_id, "key": token, "algorithm": "sha256"},
        url,
        method,
        always_hash_content=is_hashed,
        ext=ext,
        _timestamp=int(time.time() + skew),
        **hashed,
    )
    return sender.request_header


def action_of(fake: Running, decision: str = TASK) -> dict[str, Any]:
    """The action that adds jobs, of a decision task."""
    found = content(fake, "public/actions.json", decision)["actions"]
    [action] = [action for action in found if action["name"] == "add-new-jobs"]
    return action


def payload_of(fake: Running, *labels: str, decision: str = TASK, **options: object) -> dict[str, Any]:
    """The payload of a decision task's hook that adds jobs."""
    payload = action_of(fake, decision)["hookPayload"]
    payload["user"] = {"input": {"tasks": list(labels), **options}, "taskId": None, "taskGroupId": decision}
    return payload


def hook_path(fake: Running, decision: str = TASK) -> str:
    """The path of the hook of a decision task's actions."""
    action = action_of(fake, decision)
    return f"{HOOKS}/hooks/{action['hookGroupId']}/{quote(action['hookId'], safe='')}"


def trigger(fake: Running, payload: Any, decision: str = TASK, path: str = "", **how: Any) -> Answer:
    """Call a hook with the fake's own client, or with what `how` says instead."""
    url = f"{fake.url}{path or hook_path(fake, decision)}/trigger"
    body = json.dumps(payload).encode()
    how = {"client_id": fake.client_id, "token": fake.access_token} | how
    header = signed(url, "POST", body, **how)
    return ask(url, "POST", body, Authorization=header, Content_Type="application/json")


def add_jobs(fake: Running, *labels: str, decision: str = TASK, **options: object) -> str:
    """Trigger the action that adds jobs; returns the id of its task."""
    found = trigger(fake, payload_of(fake, *labels, decision=decision, **options), decision)
    assert found.status == 200, found.body
    return found.json()["taskId"]


def state_of(fake: Running, task: str) -> str:
    return get(fake, f"{QUEUE}/task/{task}/status").json()["status"]["state"]
