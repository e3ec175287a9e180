#!/usr/bin/env python3
"""A fake of the part of Treeherder's API that this product reads: pushes and their jobs.

    treeherder.py [--host ADDRESS] [--port N] [--with-parent]

It prints its address, and the id of a push that every project has, each on a line of its own. Every project has the
same pushes (`PUSH_IDS`) of several authors, without jobs. `Control` changes that over HTTP, and makes it fail. It needs
only the standard library.
"""

import argparse
import hashlib
import http.client
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# The pushes of every project, and one of them.
PUSH_IDS = range(1001, 1011)
PUSH_ID = PUSH_IDS[0]
# Their authors in turn: the first one wrote the first, the fourth, the seventh and the tenth push.
AUTHORS = ("someone@mozilla.com", "dev@example.org", "contributor@example.org")
PROJECT = re.compile(r"[A-Za-z0-9._-]+")
# The time of the first push, 2026-11-02 09:00 UTC. Each is a minute after the one before.
FIRST_PUSHED_AT = 1_793_610_000
# How many results Treeherder returns by default, and at most.
DEFAULT_COUNT, MAX_COUNT = 10, 2000

# Treeherder's states of a job.
STATES = ("unscheduled", "pending", "running", "completed")

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
        """Give a push these jobs, and no others. Each has a `ref_data_name`, and a `state` and a `result` if they are
        not `completed` and `success`. A state is one of `STATES`; a result is any word, as Treeherder adds new ones.
        """
        self._put(f"/_control/jobs/{project}/{push}", jobs)

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

    def push(self, project: str, push: int) -> dict[str, Any]:
        """One push, in Treeherder's shape."""
        with self.lock:
            author = self.authors.get((project, push))
        if author is None and push in PUSH_IDS:
            author = AUTHORS[(push - PUSH_ID) % len(AUTHORS)]
        if author is None:
            raise _NotFound(f"No push with id: {push}")
        revision = hashlib.sha1(f"{project} {push}".encode()).hexdigest()
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
            "push_timestamp": FIRST_PUSHED_AT + 60 * (push - PUSH_ID),
            "repository_id": 1,
        }

    def page_of_jobs(self, project: str, push: int, offset: int, count: int) -> dict[str, Any]:
        """Some of a push's jobs, in Treeherder's shape; an unknown push has none, as in Treeherder."""
        with self.lock:
            jobs = self.jobs.get((project, push), [])
        return {
            "meta": {"repository": project, "offset": offset, "count": count},
            "results": jobs[offset : offset + count],
        }

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


class FakeServer(ThreadingHTTPServer):
    """An HTTP server on threads, which ignores clients that close the connection: some tests are about them."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Server(FakeServer):
    # A client may open many connections at once.
    request_queue_size = 128

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
            case ["", "api", "project", project, "jobs", ""]:
                (push,) = query.get("push_id", ["0"])
                (offset,) = query.get("offset", ["0"])
                (count,) = query.get("count", [str(DEFAULT_COUNT)])
                if int(count) > MAX_COUNT:
                    raise ValueError(f"Specified count exceeds API MAX value: {MAX_COUNT}")
                return self.server.data.page_of_jobs(project, int(push), int(offset), int(count))
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


def _end_with_parent() -> None:
    """End this process when its standard input closes, which happens when its parent ends."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    options = parser.parse_args()

    # Blocked before there are threads, so that no thread receives them: the main thread waits for them below.
    stops = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    treeherder = Treeherder(options.port, options.host).start()
    print(treeherder.url, PUSH_ID, sep="\n", flush=True)
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.sigwait(stops)
    treeherder.stop()


if __name__ == "__main__":
    main()
