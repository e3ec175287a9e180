"""What a function asks of the store and the queue: recorded on its way, and asked again with nothing around it, to tell
how much of the function's time is the store's."""

import contextlib
import http.client
import json
import re
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

# What names a request or a claim, and must be another where the same is asked again.
NAME = re.compile(rb"(?<=request#)\w{26}|(?<=idempotency#)\w{64}")
TOLD_APART = 8
# The emulator ends a connection after a thousand calls.
CALLS_A_CONNECTION = 500


class Call(NamedTuple):
    """One call: what a client of AWS's JSON protocols sends."""

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
    """Passes calls on to an endpoint and notes them in `calls`; but those that `refuse` answers, with the content of an
    error of status 400. Its own address is `url`.
    """

    def __init__(self, endpoint: str, refuse: Callable[[Call], dict | None] = lambda _: None) -> None:
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.address = urllib.parse.urlsplit(endpoint).netloc
        self.server.calls = self.calls = []
        self.server.refuse = refuse
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client: object) -> None:
        """A client that went away is no error: some are killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave together.
    wbufsize = 64 * 1024

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = Call(self.headers["X-Amz-Target"], self.path, self.headers["Content-Type"], body)
        if (error := self.server.refuse(call)) is not None:
            return self._answer(400, {"Content-Type": call.kind}, json.dumps(error).encode())
        self.server.calls.append(call)
        with contextlib.closing(http.client.HTTPConnection(self.server.address)) as connection:
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        told = {name: answer.headers[name] for name in ("Content-Type", "x-amz-crc32", "x-amzn-RequestId")
                if name in answer.headers}
        self._answer(answer.status, told, content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Bare:
    """Asks recorded calls again, one after the other, signed ahead and byte by byte as long as they were."""

    def __init__(self, calls: list[Call], times: int, environment: dict[str, str]) -> None:
        """`environment` is the function's: the calls are made with its role, as the emulator looks at that."""
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
                raise SystemExit(f"the emulator answers {body} to {request}")
        return (time.perf_counter() - begin) * 1e3

    def _connect(self) -> None:
        self.connection, self.asked = socket.create_connection((self.address.hostname, self.address.port)), 0
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _signed(self, call: Call, number: int) -> bytes:
        def another(name: re.Match) -> bytes:
            return name[0][:-TOLD_APART] + f"{number:0{TOLD_APART}}".encode()

        service = "sqs" if call.target.startswith("AmazonSQS") else "dynamodb"
        headers = {"Content-Type": call.kind, "X-Amz-Target": call.target}
        request = AWSRequest("POST", f"{self.address.geturl().rstrip('/')}{call.path}", headers,
                             NAME.sub(another, call.body))
        SigV4Auth(self.credentials, service, self.region).add_auth(request)
        sent = {"Host": self.address.netloc, "Content-Length": str(len(call.body))} | dict(request.headers)
        lines = (f"{name}: {value}" for name, value in sent.items())
        head = "\r\n".join([f"POST {call.path} HTTP/1.1", *lines, "", ""])
        return head.encode() + request.data
