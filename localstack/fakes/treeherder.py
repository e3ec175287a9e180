"""A fake of the part of Treeherder's API that this product reads: pushes and their jobs.

    python3 -m localstack.fakes.treeherder [--host ADDRESS] [--port N] [--with-parent]

It prints its address, and the id of a push that every project has, each on a line of its own. Every project has the
same pushes (`BUSY_PUSH`, `PUSH_IDS`) of several authors, with no job but the decision task, which the fake Taskcluster
knows too. `Control` changes that over HTTP, and makes it fail. It needs only the standard library.

Pages of all origins may read its API, as Treeherder's. The addresses of Treeherder's own page answer with a page that
says what Treeherder would show there.
"""

import http.client
import json
import re
import threading
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from localstack.fakes import serving
from localstack.fakes.pages import page
from localstack.fakes.pushes import PUSH_ID, PUSH_IDS
from localstack.fakes.treeherder_data import Data, Invalid, NotFound

__all__ = ["PUSH_ID", "PUSH_IDS", "Control", "Treeherder"]

PROJECT = re.compile(r"[A-Za-z0-9._-]+")
# How many results Treeherder returns by default, and at most.
DEFAULT_COUNT, MAX_COUNT = 10, 2000

# The addresses of Treeherder's own page.
PAGES = ("/", "/jobs", "/logviewer")
ALLOWED_HEADERS = "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with"

HUGE_BYTES = 64 * 1024 * 1024
CONTROL_SECONDS = 10


class Control:
    """Sets what the fake at `url` answers from now on."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set_author(self, project: str, push: int, author: str) -> None:
        """Set the author of a push, which exists from now on if it did not."""
        self._put(f"/_control/push/{project}/{push}", {"author": author})

    def set_jobs(self, project: str, push: int, jobs: list[dict[str, Any]]) -> None:
        """Give a push these jobs, and no others but its decision task. Each has a `ref_data_name`, and a `state` and a
        `result` if they are not `completed` and `success`. A state is one of `STATES`; a result is any word, as
        Treeherder adds new ones.
        """
        self._put(f"/_control/jobs/{project}/{push}", jobs)

    def add_job(self, project: str, push: int, ref_data_name: str, state: str = "pending", **properties: object) -> int:
        """Add a job to those of a push, or change the one that has its `job_guid`; returns its id, which is larger than
        those of all other jobs. The properties are Treeherder's, such as `result` and `submit_timestamp`.
        """
        content = {"ref_data_name": ref_data_name, "state": state, **properties}
        return self._put(f"/_control/job/{project}/{push}", content)["id"]

    def set_state(self, job_id: int, state: str, result: str = "success") -> None:
        """Move a job that was added or set to another state; the result is that of one that completed."""
        self._put(f"/_control/job-state/{job_id}", {"state": state, "result": result})

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

    def _put(self, path: str, content: Any) -> Any:
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
        return json.loads(body)


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


class _Server(serving.FakeServer):
    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self.data = Data()


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
        query = urllib.parse.parse_qs(url.query)
        if url.path in PAGES:
            return self._send(HTTPStatus.OK, self._page(query), "text/html; charset=utf-8")
        try:
            self._send_json(HTTPStatus.OK, self._found(url.path, query))
        except NotFound as error:
            self._send_json(HTTPStatus.NOT_FOUND, *error.args)
        except ValueError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"detail": str(error)})

    def _found(self, path: str, query: dict[str, list[str]]) -> Any:
        parts = path.split("/")
        match parts:
            case ["", "api", "project", project, ("push" | "jobs"), *_] if not PROJECT.fullmatch(project):
                raise NotFound({"detail": f"No project with name {project}"})
            case ["", "api", "project", project, "push", ""]:
                return self.server.data.pushes(project, {name: values[-1] for name, values in query.items()})
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
        raise NotFound({"detail": "Not found."})

    def _page(self, query: dict[str, list[str]]) -> bytes:
        """What Treeherder's own page would show."""
        asked = {name: values[-1] for name, values in query.items()}
        project, revision = asked.get("repo", ""), asked.get("revision", "")
        lines = [f"{name}: {value}" for name, value in asked.items()]
        for push in self.server.data.pushes(project, {"revision": revision})["results"] if project else []:
            tip = push["revisions"][0]["comments"].splitlines()[0]
            jobs = self.server.data.page_of_jobs(project, push["id"], 0, MAX_COUNT, {})["results"]
            lines.append(f"Push {push['id']} by {push['author']}, {len(jobs)} jobs: {tip}")
            lines += [
                f"Selected: {job['job_type_name']}, {job['state']}, {job['result']}"
                for job in jobs
                if str(job["id"]) == asked.get("selectedJob")
            ]
        return page("Treeherder, a fake", lines)

    def do_OPTIONS(self) -> None:
        self._send(HTTPStatus.OK, b"", "text/html; charset=utf-8")

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
                case ["", "_control", "job", project, push]:
                    self._send_json(HTTPStatus.OK, {"id": data.add_job(project, int(push), content)})
                    return
                case ["", "_control", "job-state", job_id]:
                    data.set_state(int(job_id), content)
                case ["", "_control", "decision", project, push]:
                    data.set_decision(project, int(push), content)
                case ["", "_control", "mode"]:
                    data.set_mode(content)
                case _:
                    self._send_json(HTTPStatus.NOT_FOUND, {"detail": "Not found."})
                    return
        except (ValueError, Invalid) as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"detail": str(error)})
            return
        self._send_json(HTTPStatus.OK, {})

    def _send_json(self, status: HTTPStatus, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self._send_origins()
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_origins(self) -> None:
        """Treeherder's headers for pages of other origins."""
        self.send_header("Access-Control-Allow-Origin", "*")
        if self.command == "OPTIONS":
            self.send_header("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            self.send_header("Access-Control-Allow-Methods", "DELETE, GET, OPTIONS, PATCH, POST, PUT")
            self.send_header("Access-Control-Max-Age", "86400")

    def _send_much(self) -> None:
        self.send_response(HTTPStatus.OK)
        self._send_origins()
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
