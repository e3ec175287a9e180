"""Sets what the fake answers, over HTTP."""

import contextlib
import http.client
import json
import urllib.parse
from http import HTTPStatus
from pathlib import Path
from typing import Any

# A body of 200 MB takes a while.
SECONDS = 60
RUNNABLE_JOBS = "public/runnable-jobs.json"
FULL_TASK_GRAPH = "public/full-task-graph.json"


class Control:
    """Sets what the fake at `url` answers from now on."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set_state(
        self, task_id: str, state: str, *, reason: str = "", artifacts: bool = True, retried: bool = False
    ) -> None:
        """Set the state of a task. It keeps its artifacts, if it is resolved, unless `artifacts` is false. A task that
        was `retried` has an earlier run, whose worker went away, and its artifacts are in that run alone.

        A task that completes now is the latest one of its project; the Index has no others but completed ones.
        """
        content = {"state": state, "reason": reason, "artifacts": artifacts, "retried": retried}
        self._send("PUT", f"task/{task_id}/state", content)

    def add_decision_task(
        self, project: str, push: int | None = None, revision: str | None = None, task_id: str | None = None
    ) -> str:
        """Add a completed decision task, of a new push if none is named; returns its id. The project may be new."""
        content = {"project": project, "push": push, "revision": revision, "task_id": task_id}
        return self._send("POST", "task", content)["task_id"]

    def remove_task(self, task_id: str) -> None:
        """Forget a task, as when it has expired."""
        self._send("DELETE", f"task/{task_id}")

    def set_index(self, path: str, task_id: str | None) -> None:
        """Set which task the Index has at a path, whatever its routes and its state are; None: no task."""
        self._send("PUT", "index", {"path": path, "task_id": task_id})

    def set_artifact(self, task_id: str, name: str, body: bytes | Path = b"", **properties: object) -> None:
        """Set an artifact of a task, from bytes or from a file.

        Properties: `storage` (s3, object, reference, link, error), `encoding` (gzip, unlabelled, doubled, plain),
        `content_type`, `run` (it is in this run alone), `url` of a reference, `target` of a link, `reason` and
        `message` of an error.
        """
        content = body.read_bytes() if isinstance(body, Path) else body
        self._send("PUT", f"task/{task_id}/artifacts/{name}?{urllib.parse.urlencode(properties)}", content)

    def remove_artifact(self, task_id: str, name: str) -> None:
        """Remove an artifact of a task."""
        self._send("DELETE", f"task/{task_id}/artifacts/{name}")

    def expire_artifact(self, task_id: str, name: str, at: str = "queue") -> None:
        """Expire an artifact: the `queue` knows that it has expired, or only the `host` has lost it."""
        self._send("PUT", f"task/{task_id}/expiry/{name}", {"at": at})

    def set_fault(self, task_id: str, name: str, kind: str, **options: object) -> None:
        """Set what is wrong with the answers of the artifact host for an artifact; `none` ends it.

        The kinds and their options are those of `faults.Fault`.
        """
        self._send("PUT", f"task/{task_id}/fault/{name}", {"kind": kind, **options})

    def set_api_fault(self, prefix: str, kind: str, **options: object) -> None:
        """Set what is wrong with the answers of the API below a path, such as /api/index/, or of a call, such as
        hooks.triggerHook; `none` ends it. With `before=True` the fault comes before the call does anything, else after.
        """
        self._send("PUT", "api-fault", {"prefix": prefix, "kind": kind, **options})

    def requests(self, server: str | None = None) -> list[dict[str, Any]]:
        """The requests so far, of the `api` or to the host of `artifacts`, or both: `server`, `method`, `path` with its
        query, `headers` by their names in lower case, and of the API the `call`, such as queue.statuses.
        """
        return [each for each in self._send("GET", "requests") if server in (None, each["server"])]

    def calls(self) -> dict[str, int]:
        """How often each call of the API was made so far, such as queue.statuses, whatever the answer was."""
        return self._send("GET", "calls")

    def triggers(self) -> list[dict[str, Any]]:
        """The calls of hooks so far, as they arrived: `method`, `path`, the list of `headers`, `body`, and `status` and
        `answer` if the service came to answer.
        """
        return self._send("GET", "triggers")

    def actions(self, request: str | None = None) -> list[dict[str, Any]]:
        """The actions that were created, or those whose input has this marker in `request`: `task_id`, `name`, `hook`,
        `input`, `decision_task_id`, `project`, `client_id`, `state`, and in `created` the labels of new tasks by id.
        """
        found = self._send("GET", "actions")
        return [each for each in found if request is None or (each["input"] or {}).get("request") == request]

    def set_client(self, client_id: str, scopes: list[str] | None, token: str | None = None) -> str:
        """Add a client, or change one; returns its access token. With None for `scopes` there is no such client."""
        content = {"client_id": client_id, "scopes": scopes, "token": token}
        return self._send("PUT", "client", content)["access_token"]

    def set_role(self, role: str, scopes: list[str]) -> None:
        """Set the scopes of a role, such as repo:hg.mozilla.org/try:*."""
        self._send("PUT", "role", {"role": role, "scopes": scopes})

    def set_clock(self, ahead: float) -> None:
        """Set how far the clock that signatures are checked with is ahead of this machine's, in seconds."""
        self._send("PUT", "clock", {"ahead": ahead})

    def remove_hook(self, hook: str) -> None:
        """Remove a hook, named GROUP/ID."""
        self._send("DELETE", "hook", {"hook": hook})

    def set_firing(self, kind: str, **options: object) -> None:
        """Set what calls of hooks end with: one of the kinds of `hooks.Firing`, with its options; `none` ends it."""
        self._send("PUT", "firing", {"kind": kind, **options})

    def spoil_actions(self, decision_task_id: str, kind: str) -> None:
        """Give a decision task a list of actions with which something is wrong: one of `decoys.KINDS`."""
        self._send("PUT", f"task/{decision_task_id}/actions", {"kind": kind})

    def set_pace(self, seconds: float | None) -> None:
        """Set how long created tasks stay in each state; None: until `advance`."""
        self._send("PUT", "pace", {"seconds": seconds})

    def advance(self, task_id: str | None = None) -> int:
        """Move one created task, or all, to their next state; returns how many moved."""
        return self._send("POST", "advance", {"task_id": task_id})["moved"]

    def finish(self) -> None:
        """Move all created tasks until none moves any more."""
        while self.advance():
            pass

    def set_result(self, name: str, result: str, **options: str) -> None:
        """Set what becomes of created tasks of this name, which is a label, the name of an action's task, or `*` for
        all but actions: `success`, `failed`, `exception` (with a `reason`), or that they stay `pending` or `running`,
        or are `retried`.
        """
        self._send("PUT", "result", {"name": name, "result": result, **options})

    def set_creation_error(self, label: str, message: str = "Error: Unknown Server Error") -> None:
        """Make the Queue refuse to create tasks of this label."""
        self._send("PUT", "creation-error", {"label": label, "message": message})

    def forget_requests(self) -> None:
        """Forget the requests so far."""
        self._send("DELETE", "requests")

    def reset(self) -> None:
        """Forget all that was set, the tasks that were created, and the requests."""
        self._send("PUT", "reset")

    def _send(self, method: str, path: str, content: Any = None) -> Any:
        url = urllib.parse.urlsplit(self.url)
        assert url.hostname
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, f"/_control/{path}", body)
            answer = connection.getresponse()
            found = answer.read()
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"{method} {path}: {answer.status} {found.decode(errors='replace')}")
        return json.loads(found)
