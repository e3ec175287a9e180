"""A fake of the part of Lambda's Runtime API that a function's process needs, and events of an HTTP API for it."""

import base64
import contextlib
import json
import queue
import random
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path
from typing import IO, NamedTuple, Self

# The timeout of the forward function, which starts only work that fits into the time that is left.
ANSWER_SECONDS = 75


# The environment of the jobs function for events that do not need the store.
WITHOUT_STORE = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_LAMBDA_FUNCTION_NAME": "jobs",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "RUNNABLE_JOBS_CATALOG_TABLE": "catalog",
}


class Reply(NamedTuple):
    """A function's answer to one event, its own line about it, and how long it took from handing out the event."""

    answer: dict
    line: dict
    seconds: float

    @property
    def milliseconds(self) -> float:
        """By the function's own clock."""
        return self.line["duration_ms"]

    def body(self) -> bytes:
        body = self.answer["body"]
        return base64.b64decode(body) if self.answer["isBase64Encoded"] else body.encode()


class Function:
    """A function's process with the Runtime API before it, which hands out one event at a time."""

    def __init__(
        self,
        binary: Path,
        environment: dict[str, str],
        first: bytes | None = None,
        log: IO | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Starts the process; `first` is an event that waits for it. With a `log`, all that it prints goes there, and
        `ask` is not to be used. The function believes that it has `seconds` for an event."""
        self.binary, self.seconds = binary, seconds
        self.arn = f"arn:aws:lambda:us-east-1:000000000000:function:{environment['AWS_LAMBDA_FUNCTION_NAME']}"
        self.events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[tuple[bytes, float, float]] = queue.SimpleQueue()
        self.handed = 0.0
        # How far the process's clock is ahead, in seconds.
        self.ahead = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        if first:
            self.events.put(first)
        address = "{}:{}".format(*self.listener.getsockname())
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [binary], env=environment | {"AWS_LAMBDA_RUNTIME_API": address}, stdout=log or subprocess.PIPE, stderr=log
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.events.put(None)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def hand_out(self) -> None:
        """Note that an event is handed out now."""
        self.handed = time.perf_counter()

    def ask(self, event: bytes, status: int = 200) -> Reply:
        self.events.put(event)
        body, seconds, _ = self.answered()
        answer = json.loads(body)
        if answer["statusCode"] != status:
            raise SystemExit(f"{self.binary} answers {answer} to {event!r}")
        return Reply(answer, self.next_line(), seconds)

    def next_line(self) -> dict:
        """The next line that the process logs."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def answered(self) -> tuple[bytes, float, float]:
        """The next answer, the seconds since its event was handed out, and since the process was started."""
        try:
            return self.answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise SystemExit(f"{self.binary} does not answer") from None

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # The process is ended when it is no longer needed, whatever it waits for.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while request := stream.readline():
                length = 0
                while header := stream.readline().strip():
                    name, value = header.split(b":", 1)
                    if name.lower() == b"content-length":
                        length = int(value)
                body = stream.read(length)
                now = time.perf_counter()
                if request.startswith(b"POST"):
                    self.answers.put((body, now - self.handed, now - self.begun))
                    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                elif event := self.events.get():
                    deadline = int((time.time() + self.ahead + self.seconds) * 1000)
                    head = "\r\n".join(
                        [
                            "HTTP/1.1 200 OK",
                            "Content-Type: application/json",
                            f"Content-Length: {len(event)}",
                            f"Lambda-Runtime-Aws-Request-Id: {random.getrandbits(64):016x}",
                            f"Lambda-Runtime-Deadline-Ms: {deadline}",
                            f"Lambda-Runtime-Invoked-Function-Arn: {self.arn}",
                            "",
                            "",
                        ]
                    )
                    self.hand_out()
                    connection.sendall(head.encode() + event)


def event(path: str, query: str = "", body: str | None = None, **headers: str) -> bytes:
    """A GET, or with a body a POST, as an HTTP API sends it (payload format 2.0). Header names are given with
    underscores."""
    method = "GET" if body is None else "POST"
    host, agent = "abcdefghij.execute-api.us-east-1.amazonaws.com", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": agent}
    sent = {
        "accept": "application/json, text/plain, */*",
        "accept-encoding": "gzip, deflate, br, zstd",
        "content-length": str(len((body or "").encode())),
        "host": host,
        "origin": "https://treeherder.mozilla.org",
        "user-agent": agent,
        "x-amzn-trace-id": "Root=1-674252c0-3b1d0f5a6c7d8e9f01234567",
        "x-forwarded-for": "192.0.2.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    document = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": sent,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdefghij",
            "domainName": host,
            "domainPrefix": "abcdefghij",
            "http": http,
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "23/Nov/2026:06:30:00 +0000",
            "timeEpoch": 1795415400000,
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        document["body"] = body
    if query:
        document["queryStringParameters"] = {
            name: ",".join(values) for name, values in urllib.parse.parse_qs(query).items()
        }
    return json.dumps(document).encode()


def first_answer(binary: Path, environment: dict[str, str], first: bytes, *more: bytes, status: int = 200) -> tuple:
    """The seconds from the start of a process until its first answer; if there are more events, all replies too."""
    with Function(binary, environment, first) as function:
        body, seconds, since_start = function.answered()
        if json.loads(body)["statusCode"] != status:
            raise SystemExit(f"{binary} answers {body!r}")
        if not more:
            return (since_start,)
        reply = Reply(json.loads(body), function.next_line(), seconds)
        return since_start, reply, *(function.ask(event) for event in more)
