"""How an answer can be spoiled: slow, cut, too large, redirected in a circle, or not the service's own."""

import dataclasses
import functools
import struct
import threading
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

MEGABYTE = 1024 * 1024
# What a body of excessive size has: as many bytes as it is sent with (`huge`), and when it is unpacked (`bomb`).
HUGE_BYTES, BOMB_BYTES = 64 * MEGABYTE, 1024 * MEGABYTE
# Longer than any client should wait.
SLOW_SECONDS = 60.0
JSON, TEXT = {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}
KINDS = (
    "slow",
    "stalled",
    "cut",
    "closed",
    "garbage",
    "huge",
    "bomb",
    "redirect",
    "redirect_loop",
    "html",
    "too_many_requests",
    "unavailable",
)
HTML = b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>Bad Gateway</h1></body>\n</html>\n"


class Invalid(Exception):
    """A control request is invalid."""


@dataclasses.dataclass
class Answer:
    """An answer that is ready to be sent."""

    status: int
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""


@dataclasses.dataclass
class Fault:
    """What happens to answers. Of `times` answers, if that is given; then they are as they should be.

    `slow`: the answer comes after `seconds`. `stalled`: its first half comes at once, the rest after `seconds`. `cut`:
    the connection ends after the first half. `closed`: it ends without an answer. `garbage`: a document that breaks
    off. `huge`: 64 MB of blanks in an object. `bomb`: a gzipped body of 1 MB that unpacks to 1 GB. `redirect`: to
    `location`. `redirect_loop`: to itself. `html`: a proxy's page, with `status` (502). `too_many_requests`: 429, with
    `retry_after` seconds. `unavailable`: `status` (503), with `retry_after` seconds if that is given. With `before`,
    the fault happens before the call does anything, and what is sent of its answer is empty.
    """

    kind: str
    times: int | None = None
    seconds: float = SLOW_SECONDS
    status: int | None = None
    retry_after: int | None = None
    location: str = ""
    before: bool = False
    ended: threading.Event = dataclasses.field(default_factory=threading.Event, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise Invalid(f"a fault is one of {', '.join(KINDS)}")
        if self.kind == "redirect" and not self.location:
            raise Invalid("a redirect has a location")

    @staticmethod
    def read(content: Any) -> "Fault | None":
        """The fault of a control request; none if its kind is `none`."""
        names = {field.name for field in dataclasses.fields(Fault)} - {"ended"}
        if not isinstance(content, dict) or "kind" not in content or not names.issuperset(content):
            raise Invalid(f"a fault is an object with kind and some of {', '.join(sorted(names - {'kind'}))}")
        return None if content["kind"] == "none" else Fault(**content)

    def send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        """Send `answer` with this fault."""
        half = len(answer.body) // 2
        match self.kind:
            case "slow":
                self.ended.wait(self.seconds)
                send(handler, answer)
            case "stalled":
                send_head(handler, answer, len(answer.body))
                handler.wfile.write(answer.body[:half])
                handler.wfile.flush()
                self.ended.wait(self.seconds)
                handler.wfile.write(answer.body[half:])
            case "cut":
                handler.close_connection = True
                send_head(handler, answer, len(answer.body))
                handler.wfile.write(answer.body[:half])
            case "closed":
                handler.close_connection = True
            case "huge":
                _send_huge(handler)
            case _:
                send(handler, self._instead(handler))

    def _instead(self, handler: BaseHTTPRequestHandler) -> Answer:
        """What is sent instead of the answer."""
        wait = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        match self.kind:
            case "garbage":
                return Answer(HTTPStatus.OK, JSON, b'{"test-linux2404-64/opt-xpcshell-1": {"symb')
            case "bomb":
                return Answer(HTTPStatus.OK, JSON | {"Content-Encoding": "gzip"}, gzip_bomb())
            case "redirect":
                return Answer(self.status or HTTPStatus.FOUND, {"Location": self.location})
            case "redirect_loop":
                here = f"http://{handler.headers['Host']}{handler.path}"
                return Answer(self.status or HTTPStatus.FOUND, {"Location": here})
            case "html":
                return Answer(self.status or HTTPStatus.BAD_GATEWAY, {"Content-Type": "text/html"}, HTML)
            case "too_many_requests":
                return Answer(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "30"} | wait | TEXT, b"Slow down.\n")
        return Answer(self.status or HTTPStatus.SERVICE_UNAVAILABLE, wait | TEXT, b"upstream connect error\n")


def send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    """Send an answer as it is."""
    send_head(handler, answer, len(answer.body))
    if handler.command != "HEAD":
        handler.wfile.write(answer.body)


def send_head(handler: BaseHTTPRequestHandler, answer: Answer, length: int) -> None:
    """Send everything before the body."""
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    # An answer of this status has no body and says nothing about one.
    if answer.status != HTTPStatus.NOT_MODIFIED:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _send_huge(handler: BaseHTTPRequestHandler) -> None:
    send_head(handler, Answer(HTTPStatus.OK, dict(JSON)), HUGE_BYTES)
    blanks = b" " * MEGABYTE
    handler.wfile.write(b"{" + blanks[1:])
    for _ in range(HUGE_BYTES // MEGABYTE - 2):
        handler.wfile.write(blanks)
    handler.wfile.write(blanks[1:] + b"}")


@functools.cache
def gzip_bomb(size: int = BOMB_BYTES) -> bytes:
    """A gzipped object of `size` bytes, whole megabytes, made of copies of one compressed block."""
    blanks = b" " * MEGABYTE
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(b"{" + blanks[1:]) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block depends on nothing before it: all these blocks are the same bytes.
    block = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(blanks[1:] + b"}") + packer.flush(zlib.Z_FINISH)
    count = size // MEGABYTE - 2
    checksum = zlib.crc32(b"{" + blanks[1:])
    for _ in range(count):
        checksum = zlib.crc32(blanks, checksum)
    checksum = zlib.crc32(blanks[1:] + b"}", checksum)
    head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    return head + first + block * count + last + struct.pack("<II", checksum, size % 2**32)
