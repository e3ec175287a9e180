"""Proxies in front of the broker, the store and Taskcluster: they cut, throttle and lose, and hold a caller at a point
at which it can be killed.
"""

import contextlib
import http.client
import random
import socket
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from localstack.fakes.serving import FakeServer
from tests.support.answering import AnsweringHandler
from tests.support.store_calls import Call, Recorder

# The share of calls that the store always refuses.
THROTTLED = 0.1
# A held call is refused after this time at the latest.
HOLD_SECONDS = 180


class CuttableProxy:
    """Passes connections on to a port of this machine, until they are cut."""

    def __init__(self, to: int) -> None:
        self.to, self.lock = to, threading.Lock()
        self.ends: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    near.close()
                    continue
                with self.lock:
                    self.ends |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(64 * 1024):
                target.sendall(data)
        with self.lock:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            source.close()
            self.ends.discard(source)

    def cut(self) -> int:
        """Cut all connections; returns how many there were."""
        with self.lock:
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            return len(self.ends) // 2

    def stop(self) -> None:
        """Accept no more connections, and cut those that there are."""
        self.listener.close()
        self.cut()


class Hold:
    """Holds the next call that reaches a point, and all calls that repeat it, until their caller has been killed."""

    def __init__(self) -> None:
        self.lock, self.released = threading.Lock(), threading.Event()
        # Which calls are at the point: it returns what identifies a call and those that repeat it, or nothing.
        self.is_at: Callable[[object], str | None] = _nothing
        self.is_after = False
        self.holding = ""
        # What was held.
        self.held: list[str] = []

    def next(self, is_at: Callable[..., str | None], is_after: bool = False) -> None:
        """Hold the next call that is at this point: before it is passed on, or after that, before its answer is."""
        self.released.clear()
        with self.lock:
            self.is_at, self.is_after, self.holding = is_at, is_after, ""

    def release(self) -> None:
        """Go on: the caller has been killed."""
        with self.lock:
            self.is_at, self.holding = _nothing, ""
        self.released.set()

    def holds(self, call: object, is_after: bool) -> bool:
        """Hold a call if it is at the point; returns whether it was held."""
        with self.lock:
            found = self.is_at(call) if is_after == self.is_after else None
            if not found or self.holding not in ("", found):
                return False
            if not self.holding:
                self.holding = found
                self.held.append(found)
        self.released.wait(HOLD_SECONDS)
        return True


def _nothing(_: object) -> None:
    return None


class ThrottlingProxy:
    """The emulator's tables at another address, which refuses a share of the calls as DynamoDB refuses them.

    Its `hold` can hold a call, such as the next one that records a request as forwarded. At that moment the broker has
    confirmed the request's messages: if the forwarder is killed then, another one publishes them again.
    """

    # The errors of throttled calls. A transaction has an error of its own in addition.
    ERRORS = (
        (
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded.",
        ),
        ("com.amazon.coral.availability#ThrottlingException", "Rate of requests exceeds the allowed throughput."),
    )
    CANCELLED = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    CANCELLED_MESSAGE = (
        "Transaction cancelled, please refer cancellation reasons for specific reasons [ThrottlingError, None]"
    )

    def __init__(self, endpoint: str, chance: random.Random) -> None:
        self.share, self.chance = THROTTLED, chance
        self.refused: Counter[str] = Counter()
        self.hold = Hold()
        self.recorder = Recorder(endpoint, self._refuse, self._spoil)
        self.url = self.recorder.url

    def _refuse(self, call: Call) -> dict | None:
        # There is no need to keep the calls that pass.
        self.recorder.calls.clear()
        is_refused = self.hold.holds(call, is_after=False) or self.chance.random() < self.share
        return self._error(call) if is_refused else None

    def _spoil(self, call: Call) -> dict | None:
        return self._error(call) if self.hold.holds(call, is_after=True) else None

    def _error(self, call: Call) -> dict:
        self.refused[call.operation] += 1
        kind, message = self.chance.choice(self.ERRORS)
        if call.operation != "TransactWriteItems" or self.chance.random() < 0.5:
            return {"__type": kind, "message": message}
        reasons = [{"Code": "ThrottlingError", "Message": message}, {"Code": "None"}]
        return {"__type": self.CANCELLED, "Message": self.CANCELLED_MESSAGE, "CancellationReasons": reasons}


def forwarded_request(call: Call) -> str | None:
    """The id of the request that a call records as forwarded, or None for any other call."""
    head = written_head(call)
    return request_of(head) if head.get("state") == {"S": "forwarded"} else None


def written_head(call: Call) -> dict:
    """The head of a request that a call writes; empty for any other call."""
    if call.operation not in ("PutItem", "TransactWriteItems", "UpdateItem"):
        return {}
    content = call.content()
    if call.operation == "UpdateItem":
        # Each placeholder has the name of its attribute.
        values = {name.removeprefix(":"): value for name, value in content["ExpressionAttributeValues"].items()}
        content = {"Item": values | content["Key"]}
    writes = [write.get("Put", {}) for write in content.get("TransactItems", [])] or [content]
    heads = (write.get("Item", {}) for write in writes)
    return next((head for head in heads if head.get("sk") == {"S": "head"}), {})


def request_of(head: dict) -> str:
    """The id of the request of a head."""
    return head["pk"]["S"].removeprefix("request#")


class Exchange(NamedTuple):
    """A request to Taskcluster."""

    method: str
    path: str
    body: bytes


class TaskclusterProxy:
    """The API of Taskcluster at another address, which can go away, refuse, and lose requests and answers."""

    def __init__(self, to: str) -> None:
        self.hold, self.lock = Hold(), threading.Lock()
        self.is_down = False
        # How many of the next calls are refused with 429, are cut before they arrive, and lose their answers.
        self.to_refuse = self.to_cut = self.to_lose = 0
        self.did: Counter[str] = Counter()
        self.server = _TaskclusterServer(to, self)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def takes(self, what: str) -> bool:
        """Whether this happens to the present call: `down`, `refuse`, `cut` or `lose`."""
        with self.lock:
            left = self.is_down if what == "down" else getattr(self, f"to_{what}")
            if left and what != "down":
                setattr(self, f"to_{what}", left - 1)
            self.did[what] += bool(left)
            return bool(left)

    def stop(self) -> None:
        """Stop to answer."""
        self.hold.release()
        self.server.shutdown()
        self.server.server_close()


class _TaskclusterServer(FakeServer):
    def __init__(self, to: str, proxy: TaskclusterProxy) -> None:
        super().__init__(("127.0.0.1", 0), _TaskclusterHandler)
        address = urllib.parse.urlsplit(to)
        self.to, self.proxy = (address.hostname or "", address.port), proxy


class _TaskclusterHandler(AnsweringHandler):
    server: _TaskclusterServer

    def do_GET(self) -> None:
        self._carry()

    def do_POST(self) -> None:
        self._carry()

    def _carry(self) -> None:
        proxy, body = self.server.proxy, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        exchange = Exchange(self.command, self.path, body)
        if proxy.takes("down") or proxy.takes("cut") or proxy.hold.holds(exchange, is_after=False):
            self.close_connection = True
            return
        if proxy.takes("refuse"):
            self.answer(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1", "Content-Type": "text/plain"}, b"Slow down.")
            return
        connection = http.client.HTTPConnection(*self.server.to, timeout=HOLD_SECONDS)
        with contextlib.closing(connection):
            # With `Host` as it was sent: it is signed.
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        if proxy.takes("lose") or proxy.hold.holds(exchange, is_after=True):
            self.close_connection = True
            return
        left_out = ("connection", "content-length", "transfer-encoding", "date", "server")
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in left_out}
        self.answer(answer.status, headers, content)
