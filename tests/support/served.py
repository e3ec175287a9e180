"""A program that serves HTTP on a port of this machine."""

import contextlib
import re
import signal
import subprocess
from pathlib import Path

from tests.support.stack import STOP_SECONDS, until

SERVING = re.compile(r"http://(127\.0\.0\.1):(\d+)/")


class Served:
    """A command line that serves in the background; `url` is its address, without a slash at the end.

    Its output, a line for each request, stays in `log`.
    """

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [*command, "--listen", "127.0.0.1:0"]
        with open(log, "w") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            found = until(self._address)
        except AssertionError:
            self.stop()
            raise AssertionError(f"{command[0]} does not serve; its log, {log}:\n{log.read_text()}") from None
        self.host, self.port = found[1], int(found[2])
        self.url = f"http://{self.host}:{self.port}"

    def _address(self) -> re.Match[str] | None:
        assert self.process.poll() is None
        return SERVING.search(self.log.read_text())

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_SECONDS)
