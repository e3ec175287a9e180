"""Counts what functions send to services that are not AWS."""

import contextlib
import socket
import threading
import urllib.parse

# What a client sends to open a connection, in bytes: its part of the handshakes of TCP and TLS.
CONNECTION_BYTES = 1500


class Outside:
    """A relay at `url` to a service, which counts the bytes that are `sent` to it."""

    def __init__(self, url: str) -> None:
        address = urllib.parse.urlsplit(url)
        assert address.hostname
        assert address.port
        self.address = address.hostname, address.port
        self.sent = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> int:
        """The bytes that were sent since the last call."""
        with self.lock:
            sent, self.sent = self.sent, 0
            return sent

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                service = socket.create_connection(self.address)
                for ends in ((client, service, True), (service, client, False)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_sent: bool) -> None:
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_sent:
                    with self.lock:
                        self.sent += len(data)
                target.sendall(data)
        # The other direction may still be in use.
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
