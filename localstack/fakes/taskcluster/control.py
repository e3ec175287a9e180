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
        """Set what is wrong with the answers of the API below a path, such as /api/index/; `none` ends it."""
        self._send("PUT", "api-fault", {"prefix": prefix, "kind": kind, **options})

    def requests(self, server: str | None = None) -> list[dict[str, Any]]:
        """The requests so far, of the `api` or to the host of `artifacts`, or both: `server`, `method`, `path` with its
        query, and `headers` by their names in lower case.
        """
        return [each for each in self._send("GET", "requests") if server in (None, each["server"])]

    def forget_requests(self) -> None:
        """Forget the requests so far."""
        self._send("DELETE", "requests")

    def reset(self) -> None:
        """Forget all that was set, and the requests."""
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
