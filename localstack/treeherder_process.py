"""The fake Treeherder (`fakes/treeherder.py`) as a child process of the running stack."""

import contextlib
import subprocess
import sys
from pathlib import Path

from localstack.paths import ROOT, PartFailed, tail

PROGRAM = ROOT / "localstack" / "fakes" / "treeherder.py"
STOP_SECONDS = 5


class TreeherderProcess:
    """A fake Treeherder on a free loopback port: `url`, and `push_id`, a push that it has in every project."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), "--with-parent"],
                # Closes when this process ends, even by SIGKILL, and with it the fake ends.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                # Ctrl-C does not reach it: the functions may still ask it while they end.
                start_new_session=True,
            )
        assert self.process.stdout
        self.url, self.push_id = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.push_id:
            self.stop()
            raise PartFailed("fake Treeherder", f"does not start:{tail(log)}", log)

    def check(self) -> None:
        """Fail if the fake has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise PartFailed("fake Treeherder", f"ended by itself with code {code}:{tail(self.log)}", self.log)

    def stop(self) -> None:
        """End the fake."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
