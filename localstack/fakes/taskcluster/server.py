"""The two servers: the API under the root URL, with the control requests, and the artifact host."""

import gzip
import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from localstack.fakes.serving import FakeServer
from localstack.fakes.taskcluster import api
from localstack.fakes.taskcluster.api import ApiError, Call, Found, Service
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.control import Control
from localstack.fakes.taskcluster.faults import Answer, Fault, Invalid, send
from localstack.fakes.taskcluster.index_service import Index
from localstack.fakes.taskcluster.queue_service import Queue
from localstack.fakes.taskcluster.state import State

# The services, by the names that they have in paths.
SERVICES: dict[str, type[Service]] = {"index": Index, "queue": Queue}
# The API packs longer bodies for clients that accept that.
MIN_PACKED = 1024
NO_KEY = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"""


class Taskcluster(Control):
    """The fake itself, on two ports of the loopback interface by default; port 0 is any free one."""

    def __init__(self, port: int = 0, artifact_port: int = 0, host: str = "127.0.0.1") -> None:
        self._state = State()
        self._artifacts = _ArtifactServer(host, artifact_port, self._state)
        self.artifact_url = f"http://127.0.0.1:{self._artifacts.server_port}"
        self._api = _ApiServer(host, port, self._state, self.artifact_url)
        super().__init__(f"http://127.0.0.1:{self._api.server_port}")
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            for server in (self._api, self._artifacts)
        ]

    def start(self) -> "Taskcluster":
        """Start answering, in the background."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Stop answering; slow answers are cut short."""
        self._state.end_waits()
        for server, thread in zip((self._api, self._artifacts), self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Send head and body of a small answer in one packet: a second one would wait until the first is acknowledged.
    wbufsize = 64 * 1024

    def record(self, state: State, server: str) -> None:
        """Add this request to the log."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        state.record(server, self.command, self.path, headers)

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
        self.record(state, "api")
        fault = state.api_fault(url.path)
        answer = self._found(url, body)
        answer.headers["Access-Control-Allow-Origin"] = "*"
        accepts = self.headers.get("Accept-Encoding", "")
        if "gzip" in accepts and len(answer.body) >= MIN_PACKED:
            answer.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            answer.body = gzip.compress(answer.body, mtime=0)
        fault.send(self, answer) if fault else send(self, answer)

    def _found(self, url: urllib.parse.SplitResult, body: bytes) -> Answer:
        match url.path.split("/", 4):
            case ["", "api", name, "v1", rest] if service := self.server.services.get(name):
                method = "GET" if self.command == "HEAD" else self.command
                if found := service.find(method, f"/{rest}"):
                    return self._called(*found, url.query, body)
        return api.answer_of(Found({"error": "Not found"}, HTTPStatus.NOT_FOUND))

    def _called(self, route: api.Route, parameters: dict[str, str], query: str, body: bytes) -> Answer:
        payload: Any = {}
        try:
            if authorization := self.headers.get("Authorization"):
                # No client is known, whatever the call needs.
                raise ApiError("AuthenticationFailed", f"Unauthorized: Bad credentials: {authorization.split(' ')[0]}")
            api.check_parameters(parameters)
            read = api.read_query(query, route.query)
            if body:
                try:
                    payload = json.loads(body)
                except ValueError as error:
                    raise ApiError("MalformedPayload", f"Failed to parse JSON: {error}") from None
            with self.server.state.lock:
                found = route.answer(Call(parameters, read, payload))
        except ApiError as error:
            content = api.error_content(error, route.name, parameters, payload)
            found = Found(content, api.STATUSES[error.code])
        return api.answer_of(found)

    def _controlled(self, url: urllib.parse.SplitResult, body: bytes) -> Answer:
        try:
            content = _control(self.server.state, self.command, url, body)
        except (Invalid, ValueError, TypeError) as error:
            return api.answer_of(Found({"detail": str(error)}, HTTPStatus.BAD_REQUEST))
        return api.answer_of(Found(content))


def _control(state: State, method: str, url: urllib.parse.SplitResult, body: bytes) -> Any:
    """Do what a control request asks for; returns what it answers."""
    match [method, *url.path.split("/", 5)[2:]]:
        case ["PUT", "task", task_id, "artifacts", name]:
            state.set_artifact(task_id, name, _artifact(body, url.query))
        case ["DELETE", "task", task_id, "artifacts", name]:
            state.set_artifact(task_id, name, None)
        case ["PUT", "task", task_id, "fault", name]:
            fault = Fault.read(json.loads(body))
            state.change_artifact(task_id, name, lambda artifact: setattr(artifact, "fault", fault))
        case ["PUT", "task", task_id, "expiry", name]:
            state.change_artifact(task_id, name, _expiry(json.loads(body)))
        case ["PUT", "task", task_id, "state"]:
            given = {"reason": "", "artifacts": True, "retried": False} | json.loads(body)
            state.set_state(task_id, given["state"], given["reason"], given["artifacts"], given["retried"])
        case ["POST", "task"]:
            given = {"push": None, "revision": None, "task_id": None} | json.loads(body)
            added = state.add_decision_task(given["project"], given["push"], given["revision"], given["task_id"])
            return {"task_id": added}
        case ["DELETE", "task", task_id]:
            state.remove_task(task_id)
        case ["PUT", "index"]:
            given = json.loads(body)
            state.pin(given["path"], given["task_id"])
        case ["PUT", "api-fault"]:
            given = json.loads(body)
            state.set_api_fault(given.pop("prefix"), Fault.read(given))
        case ["GET", "requests"]:
            with state.lock:
                return list(state.requests)
        case ["DELETE", "requests"]:
            state.requests.clear()
        case ["PUT", "reset"]:
            state.reset()
        case _:
            raise Invalid(f"there is no control request {method} {url.path}")
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
                    task = self.server.state.tasks.get(task_id)
                    artifact = task.artifacts_of(int(run)).get(name) if task else None
                if artifact and artifact.has_body and not artifact.is_expired and not artifact.is_gone:
                    return artifact
        return None
