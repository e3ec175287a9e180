"""What the fakes have in common as HTTP servers and as programs."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any, Protocol


class FakeServer(ThreadingHTTPServer):
    """An HTTP server on threads, which ignores clients that close the connection: some tests are about them."""

    daemon_threads = True
    # A client may open many connections at once.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Fake(Protocol):
    """A fake that answers."""

    def stop(self) -> None:
        """Stop answering."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all of them have."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    found.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    found.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    return found


def run(start: Callable[[], tuple[Fake, list[object]]], with_parent: bool) -> None:
    """Start a fake, print its lines, and stop it at a signal."""
    # Blocked before there are threads, so that no thread receives them: the main thread waits for them below.
    stops = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    fake, lines = start()
    print(*lines, sep="\n", flush=True)
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.sigwait(stops)
    fake.stop()


def _end_with_parent() -> None:
    """End this process when its standard input closes, which happens when its parent ends."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
