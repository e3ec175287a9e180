"""The two servers: the API under the root URL, with the control requests, and the artifact host."""

import gzip
import json
import threading
import urllib.parse
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from localstack.fakes.pages import page
from localstack.fakes.serving import FakeServer
from localstack.fakes.taskcluster import api, hawk
from localstack.fakes.taskcluster.api import Call, Found, Service
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.auth_service import Auth
from localstack.fakes.taskcluster.clients import CLIENT_ID
from localstack.fakes.taskcluster.control import Control
from localstack.fakes.taskcluster.control_requests import control
from localstack.fakes.taskcluster.errors import STATUSES, ApiError, error_content
from localstack.fakes.taskcluster.faults import Answer, Invalid, send
from localstack.fakes.taskcluster.hooks_service import Hooks
from localstack.fakes.taskcluster.index_service import Index
from localstack.fakes.taskcluster.life import PACE
from localstack.fakes.taskcluster.queue_service import Queue
from localstack.fakes.taskcluster.state import State
from localstack.fakes.taskcluster.treeherder_jobs import TreeherderJobs

# The services, by the names that they have in paths.
SERVICES: dict[str, type[Service]] = {"auth": Auth, "hooks": Hooks, "index": Index, "queue": Queue}
TRIGGER_HOOK = "hooks.triggerHook"
# The API packs longer bodies for clients that accept that.
MIN_PACKED = 1024
NOT_FOUND = ({"error": "Not found"}, HTTPStatus.NOT_FOUND)
# The services fail at longer bodies.
MAX_BODY = 10 * 1024 * 1024
NO_KEY = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"""


class Taskcluster(Control):
    """The fake itself, on two ports of the loopback interface by default; port 0 is any free one.

    A created task stays in each state for `pace` seconds; None: until `advance`. `treeherder` is the address of a fake
    Treeherder, which shows those tasks as jobs. The client `client_id` may trigger hooks with `access_token`.
    """

    def __init__(
        self,
        port: int = 0,
        artifact_port: int = 0,
        host: str = "127.0.0.1",
        treeherder: str = "",
        pace: float | None = PACE,
    ) -> None:
        self._state = State(pace)
        self._jobs = TreeherderJobs(treeherder) if treeherder else None
        if self._jobs:
            self._state.report = self._jobs.report
        self.client_id, self.access_token = CLIENT_ID, self._state.token
        self._artifacts = _ArtifactServer(host, artifact_port, self._state)
        self.artifact_url = f"http://127.0.0.1:{self._artifacts.server_port}"
        self._api = _ApiServer(host, port, self._state, self.artifact_url)
        super().__init__(f"http://127.0.0.1:{self._api.server_port}")
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            for server in (self._api, self._artifacts)
        ]
        self._threads.append(threading.Thread(target=self._state.life.run, daemon=True))

    def start(self) -> "Taskcluster":
        """Start answering, in the background."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Stop answering; slow answers are cut short."""
        self._state.end_waits()
        self._state.life.end()
        for server in (self._api, self._artifacts):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        if self._jobs:
            self._jobs.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Send head and body of a small answer in one packet: a second one would wait until the first is acknowledged.
    wbufsize = 64 * 1024

    def record(self, state: State, server: str) -> dict[str, Any]:
        """Add this request to the log; returns the entry."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        return state.record(server, self.command, self.path, headers)

    def read_body(self) -> bytes:
        """The body that was sent."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


class _ApiServer(FakeServer):
    def __init__(self, host: str, port: int, state: State, artifact_url: str) -> None:
        super().__init__((host, port), _ApiHandler)
        self.state = state
        url = f"http://127.0.0.1:{self.server_port}"
        self.services = {name: service(state, url, artifact_url) for name, service in SERVICES.items()}


class _ApiHandler(_Handler):
    server: _ApiServer

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        body = self.read_body()
        if url.path.startswith("/_control/"):
            send(self, self._controlled(url, body))
            return
        state = self.server.state
        if url.path.startswith("/tasks/"):
            send(self, self._page(url.path))
            return
        entry = self.record(state, "api")
        service, found = self._route(url.path)
        if found:
            entry["call"] = f"{service}.{found[0].name}"
            with state.lock:
                state.calls[entry["call"]] += 1
        if is_trigger := entry.get("call") == TRIGGER_HOOK:
            # What a client sent, for a test that verifies it.
            entry = entry | {"headers": list(self.headers.items()), "body": body.decode(errors="replace")}
            state.triggers.append(entry)
        fault = state.api_fault(url.path, entry.get("call", ""))
        if fault and fault.before:
            fault.send(self, Answer(HTTPStatus.OK, {"Content-Type": "application/json"}))
            return
        answer = self._called(*found, url.query, body) if found else api.answer_of(Found(*NOT_FOUND))
        if is_trigger:
            entry |= {"status": answer.status, "answer": answer.body.decode()}
        answer.headers["Access-Control-Allow-Origin"] = "*"
        accepts = self.headers.get("Accept-Encoding", "")
        if "gzip" in accepts and len(answer.body) >= MIN_PACKED:
            answer.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            answer.body = gzip.compress(answer.body, mtime=0)
        fault.send(self, answer) if fault else send(self, answer)

    def _page(self, path: str) -> Answer:
        """What Taskcluster's own page would show of a task."""
        task_id = path.split("/")[-1] if path.startswith("/tasks/groups/") else path.split("/")[2]
        with self.server.state.lock:
            task = self.server.state.find(task_id)
            known = [task.name, task.state] if task else ["The fake does not know this task."]
        body = page("Taskcluster, a fake", [f"Task {task_id}", *known])
        return Answer(HTTPStatus.OK, {"Content-Type": "text/html; charset=utf-8"}, body)

    def _route(self, path: str) -> tuple[str, tuple[api.Route, dict[str, str]] | None]:
        """The service and the route of a path, and the parameters in it."""
        match path.split("/", 4):
            case ["", "api", name, "v1", rest] if service := self.server.services.get(name):
                method = "GET" if self.command == "HEAD" else self.command
                return name, service.find(method, f"/{rest}")
        return "", None

    def _called(self, route: api.Route, parameters: dict[str, str], query: str, body: bytes) -> Answer:
        payload: Any = {}
        state = self.server.state
        try:
            if len(body) > MAX_BODY:
                raise ApiError("InternalServerError", f"Internal Server Error, incidentId {uuid.uuid4()}.")
            with state.lock:
                caller = state.clients.caller(self.headers.get("Authorization"), self._as_signed(body))
            api.check_parameters(parameters)
            read = api.read_query(query, route.query)
            if body:
                try:
                    payload = json.loads(body)
                except ValueError as error:
                    raise ApiError("MalformedPayload", f"Failed to parse JSON: {error}") from None
            with state.lock:
                found, ended = route.answer(Call(parameters, read, payload, caller)), state.ended_waits
            if found.wait_seconds:
                ended.wait(found.wait_seconds)
            if found.at_end:
                with state.lock:
                    found.at_end()
            if found.error:
                raise found.error
        except ApiError as error:
            content = error_content(error, route.name, parameters, payload)
            found = Found(content, STATUSES[error.code])
        return api.answer_of(found)

    def _as_signed(self, body: bytes) -> hawk.Request:
        """This request, as its client signed it."""
        host, _, port = self.headers.get("Host", "").partition(":")
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return hawk.Request(self.command, self.path, host, int(port or 80), content_type, body)

    def _controlled(self, url: urllib.parse.SplitResult, body: bytes) -> Answer:
        try:
            content = control(self.server.state, self.command, url, body)
        except (Invalid, ValueError, TypeError) as error:
            return api.answer_of(Found({"detail": str(error)}, HTTPStatus.BAD_REQUEST))
        return api.answer_of(Found(content))


class _ArtifactServer(FakeServer):
    def __init__(self, host: str, port: int, state: State) -> None:
        super().__init__((host, port), _ArtifactHandler)
        self.state = state


class _ArtifactHandler(_Handler):
    server: _ArtifactServer

    def do_GET(self) -> None:
        state = self.server.state
        self.record(state, "artifacts")
        artifact = self._found(urllib.parse.unquote(urllib.parse.urlsplit(self.path).path))
        if not artifact:
            send(self, Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "application/xml"}, NO_KEY))
            return
        fault = state.counted(artifact.fault)
        if self.headers.get("If-None-Match") == artifact.etag:
            answer = Answer(HTTPStatus.NOT_MODIFIED, {"ETag": artifact.etag})
        else:
            answer = Answer(HTTPStatus.OK, artifact.headers(), artifact.stored)
        fault.send(self, answer) if fault else send(self, answer)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _found(self, path: str) -> Artifact | None:
        match path.removeprefix("/objects").split("/", 3):
            case ["", task_id, run, name] if run.isdecimal():
                with self.server.state.lock:
                    task = self.server.state.find(task_id)
                    artifact = task.artifacts_of(int(run)).get(name) if task else None
                if artifact and artifact.has_body and not artifact.is_expired and not artifact.is_gone:
                    return artifact
        return None
