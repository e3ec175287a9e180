"""The calls to the store that forwarding a batch makes, with nothing around them."""

import http.client
import selectors
import socket
import time

from tests.support.store_calls import Bare, Call

# The number of characters at the end of keys that differ from repetition to repetition.
CHANGED_CHARACTERS = 8


class BatchCalls(Bare):
    """The calls of a batch, made one after the other, or as the function makes them."""

    def __init__(self, calls: list[Call], requests: int, times: int, environment: dict[str, str]) -> None:
        """`calls` first read all `requests`, which have their jobs in the same item, and then write them."""
        super().__init__(calls, times, environment)
        self.connections = [self._connected() for _ in range(requests)]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for connection in self.connections:
            connection.close()

    def milliseconds_at_once(self) -> float:
        """The time of the next round if all requests are read at once, and then all are written at once."""
        calls, requests = self.rounds.pop(), len(self.connections)
        reads, writes = calls[:requests], calls[requests:]
        begin = time.perf_counter()
        self._ask(reads)
        self._ask(writes)
        return (time.perf_counter() - begin) * 1e3

    def _ask(self, calls: list[bytes]) -> None:
        """Make all calls at once, each on a connection of its own."""
        with selectors.DefaultSelector() as selector:
            for opened, call in zip(self.connections, calls, strict=True):
                opened.sendall(call)
                selector.register(opened, selectors.EVENT_READ)
            while selector.get_map():
                for ready, _ in selector.select():
                    connection = ready.fileobj
                    assert isinstance(connection, socket.socket)
                    answer = http.client.HTTPResponse(connection, method="POST")
                    answer.begin()
                    body = answer.read()
                    if answer.status != 200:
                        raise SystemExit(f"the emulator answers {body.decode()}")
                    selector.unregister(connection)

    def _connected(self) -> socket.socket:
        connection = socket.create_connection((self.address.hostname, self.address.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
