"""Treeherder's stand-in (`tests/treeherder.py`) as a child process of the running stack."""

import contextlib
import subprocess
import sys
from pathlib import Path

from checkout import ROOT, PartFailed, tail

PROGRAM = ROOT / "tests" / "treeherder.py"
STOP_SECONDS = 5


class Treeherder:
    """A stand-in on a free loopback port: `url`, and `push_id`, a push that it has in every project."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), "--with-parent"],
                # Closes when we end, even by SIGKILL, and with it ends the stand-in.
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True,
                # Ctrl-C is for us alone: the functions may still ask it while they end.
                start_new_session=True,
            )
        self.url, self.push_id = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.push_id:
            self.stop()
            raise PartFailed("Treeherder's stand-in", f"does not start:{tail(log)}", log)

    def check(self) -> None:
        """Fail if the stand-in has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise PartFailed(
                "Treeherder's stand-in", f"ended by itself with code {code}:{tail(self.log)}", self.log)

    def stop(self) -> None:
        """End the stand-in."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
