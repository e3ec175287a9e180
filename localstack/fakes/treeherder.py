"""A fake of the part of Treeherder's API that this product reads: pushes and their jobs.

    python3 -m localstack.fakes.treeherder [--host ADDRESS] [--port N] [--with-parent]

It prints its address, and the id of a push that every project has, each on a line of its own. Every project has the
same pushes (`PUSH_IDS`) of several authors, with no job but the decision task, which the fake Taskcluster knows too.
`Control` changes that over HTTP, and makes it fail. It needs only the standard library.
"""

import hashlib
import http.client
import json
import re
import threading
import time
import urllib.parse
import uuid
from base64 import urlsafe_b64decode
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from localstack.fakes import serving
from localstack.fakes.pushes import PUSH_ID, PUSH_IDS, author_of, decision_task_id, pushed_at, revision_of

__all__ = ["PUSH_ID", "PUSH_IDS", "Control", "Treeherder"]

PROJECT = re.compile(r"[A-Za-z0-9._-]+")
# How many results Treeherder returns by default, and at most.
DEFAULT_COUNT, MAX_COUNT = 10, 2000

# Treeherder's states of a job.
STATES = ("unscheduled", "pending", "running", "completed")

# The properties of jobs by which a list of them can be filtered.
FILTERS = ("build_system_type", "job_type_name", "job_type_symbol", "platform", "result", "state")

MODES = ("ok", "down", "slow", "garbage", "huge")
# Longer than any client should wait.
SLOW_SECONDS = 60
HUGE_BYTES = 64 * 1024 * 1024
CONTROL_SECONDS = 10


class Control:
    """Sets what the fake at `url` answers from now on."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set_author(self, project: str, push: int, author: str) -> None:
        """Set the author of a push, which exists from now on if it did not."""
        self._put(f"/_control/push/{project}/{push}", {"author": author})

    def set_jobs(self, project: str, push: int, jobs: list[dict[str, str]]) -> None:
        """Give a push these jobs, and no others but its decision task. Each has a `ref_data_name`, and a `state` and a
        `result` if they are not `completed` and `success`. A state is one of `STATES`; a result is any word, as
        Treeherder adds new ones.
        """
        self._put(f"/_control/jobs/{project}/{push}", jobs)

    def set_decision_task(
        self,
        project: str,
        push: int,
        task_id: str | None = None,
        *,
        state: str = "completed",
        result: str = "success",
        run: int = 0,
    ) -> None:
        """Set which decision task a push has: the usual one, another one, or none (an empty `task_id`); its state, its
        result, and its run.
        """
        content = {"task_id": task_id, "state": state, "result": result, "run": run}
        self._put(f"/_control/decision/{project}/{push}", content)

    def set_mode(self, mode: str) -> None:
        """Make it answer correctly (`ok`), with an error (`down`), after a minute (`slow`), with invalid JSON
        (`garbage`) or with an excessive body (`huge`).
        """
        self._put("/_control/mode", {"mode": mode})

    def _put(self, path: str, content: Any) -> None:
        url = urllib.parse.urlsplit(self.url)
        assert url.hostname
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=CONTROL_SECONDS)
        try:
            connection.request("PUT", path, json.dumps(content), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"PUT {path}: {answer.status} {body.decode(errors='replace')}")


class Treeherder(Control):
    """The fake itself, on a port of the loopback interface by default; port 0 is any free one."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._server = _Server(host, port)
        super().__init__(f"http://127.0.0.1:{self._server.server_port}")
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self) -> "Treeherder":
        """Start answering, in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering; slow answers are cut short."""
        self._server.data.end_slowness()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _NotFound(Exception):
    """The requested object does not exist; holds what Treeherder answers then."""


class _Invalid(Exception):
    """A control request is invalid."""


class _Data:
    """The pushes and jobs of all projects, and the mode."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.mode = "ok"
        self.is_slow = threading.Condition(self.lock)
        self.authors: dict[tuple[str, int], str] = {}
        self.jobs: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self.decisions: dict[tuple[str, int], dict[str, Any] | None] = {}

    def push(self, project: str, push: int) -> dict[str, Any]:
        """One push, in Treeherder's shape."""
        with self.lock:
            author = self.authors.get((project, push))
        if author is None and push in PUSH_IDS:
            author = author_of(push)
        if author is None:
            raise _NotFound(f"No push with id: {push}")
        revision = revision_of(project, push)
        return {
            "id": push,
            "revision": revision,
            "author": author,
            "revisions": [
                {
                    "result_set_id": push,
                    "repository_id": 1,
                    "revision": revision,
                    "author": author,
                    "comments": f"Push {push} of {project}",
                }
            ],
            "revision_count": 1,
            "push_timestamp": pushed_at(push),
            "repository_id": 1,
        }

    def page_of_jobs(
        self, project: str, push: int, offset: int, count: int, wanted: dict[str, list[str]]
    ) -> dict[str, Any]:
        """Some of a push's jobs, in Treeherder's shape: those with the `wanted` properties. An unknown push has none,
        as in Treeherder.
        """
        with self.lock:
            jobs = self.jobs.get((project, push), [])
        decision = self.decision_job(project, push)
        jobs = [
            job
            for job in ([decision] if decision else []) + jobs
            if all(str(job.get(name)) in wanted[name] for name in FILTERS if name in wanted)
        ]
        return {
            "meta": {"repository": project, "offset": offset, "count": count},
            "results": jobs[offset : offset + count],
        }

    def decision_job(self, project: str, push: int) -> dict[str, Any] | None:
        """The job of a push's decision task, in Treeherder's shape."""
        with self.lock:
            is_known = push in PUSH_IDS or (project, push) in self.authors
            usual: dict[str, Any] = {"state": "completed", "result": "success", "run": 0}
            found = self.decisions.get((project, push), usual if is_known else None)
        if found is None:
            return None
        task_id, run = found.get("task_id") or decision_task_id(project, push), found["run"]
        signature = hashlib.sha1(f"{project} Gecko Decision Task".encode()).hexdigest()
        return {
            "id": push * 10_000 + 9_999,
            "push_id": push,
            "build_system_type": "taskcluster",
            "build_platform": "gecko-decision",
            "platform": "gecko-decision",
            "platform_option": "opt",
            "job_group_name": "unknown",
            "job_group_symbol": "?",
            "job_guid": f"{uuid.UUID(bytes=urlsafe_b64decode(task_id + '=='))}/{run}",
            "job_type_name": "Gecko Decision Task",
            "job_type_symbol": "D",
            # Of a Taskcluster job this is a hash, not the name.
            "ref_data_name": signature,
            "signature": signature,
            "state": found["state"],
            "result": found["result"] if found["state"] == "completed" else "unknown",
            "tier": 1,
            "submit_timestamp": pushed_at(push),
            "task_id": task_id,
            "retry_id": run,
        }

    def decision_tasks(self, project: str, pushes: str) -> dict[str, Any]:
        """The decision tasks of pushes that succeeded, by push."""
        found = {}
        for push in pushes.split(","):
            job = self.decision_job(project, int(push))
            if job and job["result"] == "success":
                found[str(int(push))] = {"id": job["task_id"], "run": str(job["retry_id"])}
        if not found:
            raise _NotFound(f"No decision tasks found for pushes: {pushes}")
        return found

    def set_decision(self, project: str, push: int, content: Any) -> None:
        match content:
            case {"task_id": str() | None as task_id, "state": state, "result": str(), "run": int()}:
                if state not in STATES:
                    raise _Invalid(f"a state is one of {', '.join(STATES)}")
                with self.lock:
                    self.decisions[project, push] = None if task_id == "" else content
            case _:
                raise _Invalid("a decision task has task_id, state, result and run")

    def set_author(self, project: str, push: int, content: Any) -> None:
        match content:
            case {"author": str(author)} if len(content) == 1:
                with self.lock:
                    self.authors[project, push] = author
            case _:
                raise _Invalid('a push is {"author": "..."}')

    def set_jobs(self, project: str, push: int, content: Any) -> None:
        if not isinstance(content, list):
            raise _Invalid("jobs are a list")
        jobs = []
        for number, job in enumerate(content):
            if not isinstance(job, dict) or "ref_data_name" not in job:
                raise _Invalid(f"job {number} has no ref_data_name")
            state = job.get("state", "completed")
            if state not in STATES:
                raise _Invalid(f"job {number}: a state is one of {', '.join(STATES)}")
            jobs.append(
                {
                    "id": push * 10_000 + number,
                    "push_id": push,
                    "build_system_type": "buildbot",
                    "state": state,
                    "result": "success" if state == "completed" else "unknown",
                    "submit_timestamp": int(time.time()),
                }
                | job
            )
        with self.lock:
            self.jobs[project, push] = jobs

    def set_mode(self, content: Any) -> None:
        match content:
            case {"mode": mode} if mode in MODES:
                with self.lock:
                    self.mode = mode
                    self.is_slow.notify_all()
            case _:
                raise _Invalid(f"a mode is one of {', '.join(MODES)}")

    def wait_slowly(self) -> None:
        """Return after a minute, or when the mode changes."""
        with self.lock:
            self.is_slow.wait_for(lambda: self.mode != "slow", SLOW_SECONDS)

    def end_slowness(self) -> None:
        """End the waits of slow answers."""
        with self.lock:
            self.mode = "ok"
            self.is_slow.notify_all()


class _Server(serving.FakeServer):
    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self.data = _Data()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Send head and body of a small answer in one packet: a second one would wait until the first is acknowledged.
    wbufsize = 64 * 1024

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        data = self.server.data
        match data.mode:
            case "down":
                return self._send(HTTPStatus.SERVICE_UNAVAILABLE, b"<h1>Service Unavailable</h1>", "text/html")
            case "garbage":
                return self._send(HTTPStatus.OK, b'{"id": 1001, "revis', "application/json")
            case "huge":
                return self._send_much()
            case "slow":
                data.wait_slowly()
        try:
            self._send_json(HTTPStatus.OK, self._found(url.path, urllib.parse.parse_qs(url.query)))
        except _NotFound as error:
            self._send_json(HTTPStatus.NOT_FOUND, *error.args)
        except ValueError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"detail": str(error)})

    def _found(self, path: str, query: dict[str, list[str]]) -> Any:
        parts = path.split("/")
        match parts:
            case ["", "api", "project", project, ("push" | "jobs"), *_] if not PROJECT.fullmatch(project):
                raise _NotFound({"detail": f"No project with name {project}"})
            case ["", "api", "project", project, "push", push, ""] if push.isdecimal():
                return self.server.data.push(project, int(push))
            case ["", "api", "project", project, "push", "decisiontask", ""]:
                (pushes,) = query.get("push_ids", [""])
                return self.server.data.decision_tasks(project, pushes)
            case ["", "api", "project", project, "jobs", ""]:
                (push,) = query.pop("push_id", ["0"])
                (offset,) = query.pop("offset", ["0"])
                (count,) = query.pop("count", [str(DEFAULT_COUNT)])
                if int(count) > MAX_COUNT:
                    raise ValueError(f"Specified count exceeds API MAX value: {MAX_COUNT}")
                return self.server.data.page_of_jobs(project, int(push), int(offset), int(count), query)
        raise _NotFound({"detail": "Not found."})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = self.server.data
        try:
            content = json.loads(body)
            match self.path.split("/"):
                case ["", "_control", "push", project, push]:
                    data.set_author(project, int(push), content)
                case ["", "_control", "jobs", project, push]:
                    data.set_jobs(project, int(push), content)
                case ["", "_control", "decision", project, push]:
                    data.set_decision(project, int(push), content)
                case ["", "_control", "mode"]:
                    data.set_mode(content)
                case _:
                    self._send_json(HTTPStatus.NOT_FOUND, {"detail": "Not found."})
                    return
        except (ValueError, _Invalid) as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"detail": str(error)})
            return
        self._send_json(HTTPStatus.OK, {})

    def _send_json(self, status: HTTPStatus, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_much(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(HUGE_BYTES))
        self.end_headers()
        spaces = b" " * (1024 * 1024)
        for _ in range(HUGE_BYTES // len(spaces)):
            self.wfile.write(spaces)


def main() -> None:
    options = serving.parser(__doc__).parse_args()

    def start() -> tuple[Treeherder, list[object]]:
        treeherder = Treeherder(options.port, options.host).start()
        return treeherder, [treeherder.url, PUSH_ID]

    serving.run(start, options.with_parent)


if __name__ == "__main__":
    main()
