"""The calls to the store that forwarding a batch makes, with nothing around them."""

import http.client
import re
import selectors
import socket
import time

from tests.support.store_calls import Bare, Call

# The token by which the store recognizes a repeated transaction.
TOKEN = re.compile(rb'(?<="ClientRequestToken":")[0-9a-f-]{36}')
# The number of characters at the end of keys and tokens that differ from repetition to repetition.
CHANGED_CHARACTERS = 8


class BatchCalls(Bare):
    """The calls of a batch, made one after the other, or as the function makes them."""

    def __init__(self, calls: list[Call], requests: int, times: int, environment: dict[str, str]) -> None:
        """`calls` first read the heads of all `requests`, then their jobs, and then write both."""
        super().__init__(calls, times, environment)
        self.connections = [self._connected() for _ in range(requests)]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for connection in self.connections:
            connection.close()

    def milliseconds_at_once(self) -> float:
        """The time of the next round if all requests are read at once, and then all are written at once."""
        calls, requests = self.rounds.pop(), len(self.connections)
        heads, jobs, writes = (calls[place : place + requests] for place in range(0, 3 * requests, requests))
        begin = time.perf_counter()
        self._ask(list(zip(heads, jobs, strict=False)))
        self._ask([(write,) for write in writes])
        return (time.perf_counter() - begin) * 1e3

    def _ask(self, chains: list[tuple[bytes, ...]]) -> None:
        """Make each chain's calls one after the other on a connection of its own, all chains at once."""
        with selectors.DefaultSelector() as selector:
            for opened, (first, *others) in zip(self.connections, chains, strict=False):
                opened.sendall(first)
                selector.register(opened, selectors.EVENT_READ, others)
            while selector.get_map():
                for ready, _ in selector.select():
                    connection, others = ready.fileobj, ready.data
                    assert isinstance(connection, socket.socket)
                    answer = http.client.HTTPResponse(connection, method="POST")
                    answer.begin()
                    body = answer.read()
                    if answer.status != 200:
                        raise SystemExit(f"the emulator answers {body.decode()}")
                    if others:
                        connection.sendall(others.pop(0))
                    else:
                        selector.unregister(connection)

    def _connected(self) -> socket.socket:
        connection = socket.create_connection((self.address.hostname, self.address.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _signed(self, call: Call, number: int) -> bytes:
        def another(token: re.Match) -> bytes:
            return token[0][:-CHANGED_CHARACTERS] + f"{number:0{CHANGED_CHARACTERS}}".encode()

        return super()._signed(call._replace(body=TOKEN.sub(another, call.body)), number)
