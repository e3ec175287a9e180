"""A function's calls to the store and the queue: a proxy records them, and they are made again by themselves, to
measure how much of the function's time they take.
"""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localstack.fakes.serving import FakeServer
from tests.support.answering import AnsweringHandler

# The ids of requests, also as shares of a budget have them, and of claims: they differ when a call is made again.
NAME = re.compile(rb"(?<=request#)\w{26}|(?<=idempotency#)\w{64}|(?<=\")\w{10}(?==\d)")
CHANGED_CHARACTERS = 8
# The emulator ends a connection after a thousand calls.
CALLS_A_CONNECTION = 500


class Call(NamedTuple):
    """One call of a client of AWS's JSON protocols."""

    target: str
    path: str
    kind: str
    body: bytes

    @property
    def operation(self) -> str:
        return self.target.rpartition(".")[2]

    def content(self) -> Any:
        return json.loads(self.body)


class Recorder:
    """A proxy at `url` that passes calls on to an endpoint and records them in `calls`. If `refuse` returns the content
    of an error for a call, it is answered with that and status 400; `spoil` does the same once a call was passed on.
    """

    def __init__(
        self,
        endpoint: str,
        refuse: Callable[[Call], dict | None] = lambda _: None,
        spoil: Callable[[Call], dict | None] = lambda _: None,
    ) -> None:
        self.calls: list[Call] = []
        self.server = _Server(urllib.parse.urlsplit(endpoint).netloc, self.calls, refuse, spoil)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Server(FakeServer):
    def __init__(
        self,
        address: str,
        calls: list[Call],
        refuse: Callable[[Call], dict | None],
        spoil: Callable[[Call], dict | None],
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address, self.calls, self.refuse, self.spoil = address, calls, refuse, spoil


class _Handler(AnsweringHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = Call(self.headers["X-Amz-Target"], self.path, self.headers["Content-Type"], body)
        if (error := self.server.refuse(call)) is not None:
            self.answer(400, {"Content-Type": call.kind}, json.dumps(error).encode())
            return
        self.server.calls.append(call)
        with contextlib.closing(http.client.HTTPConnection(self.server.address)) as connection:
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        if (error := self.server.spoil(call)) is not None:
            self.answer(400, {"Content-Type": call.kind}, json.dumps(error).encode())
            return
        headers = {
            name: answer.headers[name]
            for name in ("Content-Type", "x-amz-crc32", "x-amzn-RequestId")
            if name in answer.headers
        }
        self.answer(answer.status, headers, content)


class Bare:
    """Makes recorded calls again, one after the other, signed in advance and as long as they were."""

    def __init__(self, calls: list[Call], times: int, environment: dict[str, str]) -> None:
        """`environment` is the function's: the calls use its role, which the emulator checks."""
        keys = (environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
        self.credentials, self.region = Credentials(*keys), environment["AWS_REGION"]
        self.address = urllib.parse.urlsplit(environment["AWS_ENDPOINT_URL"])
        self.rounds = [[self._signed(call, number) for call in calls] for number in range(times)]
        self._connect()

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def milliseconds(self) -> float:
        """How long the next round takes."""
        requests = self.rounds.pop()
        if self.asked + len(requests) > CALLS_A_CONNECTION:
            self.connection.close()
            self._connect()
        self.asked += len(requests)
        begin = time.perf_counter()
        for request in requests:
            self.connection.sendall(request)
            answer = http.client.HTTPResponse(self.connection, method="POST")
            answer.begin()
            body = answer.read()
            if answer.status != 200:
                raise SystemExit(f"the emulator answers {body!r} to {request!r}")
        return (time.perf_counter() - begin) * 1e3

    def _connect(self) -> None:
        self.connection, self.asked = socket.create_connection((self.address.hostname, self.address.port)), 0
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _signed(self, call: Call, number: int) -> bytes:
        def renamed(name: re.Match) -> bytes:
            return name[0][:-CHANGED_CHARACTERS] + f"{number:0{CHANGED_CHARACTERS}}".encode()

        service = "sqs" if call.target.startswith("AmazonSQS") else "dynamodb"
        headers = {"Content-Type": call.kind, "X-Amz-Target": call.target}
        request = AWSRequest(
            "POST", f"{self.address.geturl().rstrip('/')}{call.path}", headers, NAME.sub(renamed, call.body)
        )
        SigV4Auth(self.credentials, service, self.region).add_auth(request)
        sent = {"Host": self.address.netloc, "Content-Length": str(len(call.body))} | dict(request.headers)
        lines = (f"{name}: {value}" for name, value in sent.items())
        head = "\r\n".join([f"POST {call.path} HTTP/1.1", *lines, "", ""])
        return head.encode() + request.data
