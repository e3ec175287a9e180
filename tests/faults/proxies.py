"""Proxies in front of the broker and the store: the connections of one can be cut, the other one throttles."""

import contextlib
import random
import socket
import threading
from collections import Counter

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


class ThrottlingProxy:
    """The emulator's tables at another address, which refuses a share of the calls as DynamoDB refuses them.

    It can also hold the next call that records a request as forwarded, and all calls that repeat it. At that moment the
    broker has confirmed the request's messages: if the forwarder is killed then, another one publishes them again.
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
        # Whether the next such call is to be held, and the request whose calls are held.
        self.is_holding, self.holding = False, ""
        # The requests whose record was held.
        self.held: list[str] = []
        self.lock, self.released = threading.Lock(), threading.Event()
        self.recorder = Recorder(endpoint, self._refuse)
        self.url = self.recorder.url

    def hold_next_record(self) -> None:
        """Hold the next call that records a request as forwarded."""
        self.released.clear()
        with self.lock:
            self.is_holding = True

    def release(self) -> None:
        """Refuse the held calls: their caller has been killed."""
        with self.lock:
            self.holding = ""
        self.released.set()

    def _refuse(self, call: Call) -> dict | None:
        # There is no need to keep the calls that pass.
        self.recorder.calls.clear()
        request = forwarded_request(call)
        with self.lock:
            if request and self.is_holding:
                self.is_holding, self.holding = False, request
                self.held.append(request)
            is_held = bool(request) and request == self.holding
        if is_held:
            self.released.wait(HOLD_SECONDS)
        elif self.chance.random() >= self.share:
            return None
        self.refused[call.operation] += 1
        kind, message = self.chance.choice(self.ERRORS)
        if call.operation != "TransactWriteItems" or self.chance.random() < 0.5:
            return {"__type": kind, "message": message}
        reasons = [{"Code": "ThrottlingError", "Message": message}, {"Code": "None"}]
        return {"__type": self.CANCELLED, "Message": self.CANCELLED_MESSAGE, "CancellationReasons": reasons}


def forwarded_request(call: Call) -> str | None:
    """The id of the request that a call records as forwarded, or None for any other call."""
    if call.operation != "TransactWriteItems":
        return None
    for write in call.content()["TransactItems"]:
        item = write.get("Put", {}).get("Item", {})
        if item.get("state") == {"S": "forwarded"}:
            return item["pk"]["S"].removeprefix("request#")
    return None
