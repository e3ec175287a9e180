"""The Pulse listener (`fakes/pulse_listener.py`) as a child process of the running stack: it prints what arrives, and
the jobs that are asked for appear in the fake Treeherder.
"""

import subprocess
import threading
from pathlib import Path

from localstack.paths import say
from localstack.process import check, end, start_fake

BOUND_SECONDS = 5
STOP_SECONDS = 5
# The listener prints this when its queue is bound.
BOUND = "listening to "


class PulseListener:
    """A listener whose lines go to `log` and to the terminal. The environment names its broker and its exchange. The
    jobs that are asked for appear in the fake Treeherder at the address `treeherder`, run, and succeed.
    """

    def __init__(self, log: Path, treeherder: str) -> None:
        self.log = log
        self.is_bound = threading.Event()
        self.process = start_fake(
            "pulse_listener", "--name", "make-run", "--treeherder", treeherder, errors=subprocess.STDOUT
        )
        self.thread = threading.Thread(target=self._show, daemon=True)
        self.thread.start()

    def _show(self) -> None:
        assert self.process.stdout
        with open(self.log, "w") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                say(f"pulse: {line.rstrip()}")
                if line.startswith(BOUND):
                    self.is_bound.set()

    def wait_until_bound(self) -> None:
        """Return when its queue is bound, because it misses what is published before; or after some seconds, when the
        log and the terminal show what it waits for.
        """
        self.is_bound.wait(BOUND_SECONDS)
        self.check()

    def check(self) -> None:
        """Fail if the listener has ended by itself."""
        check(self.process, "Pulse listener", self.log)

    def stop(self) -> None:
        """End the listener."""
        end(self.process, STOP_SECONDS)
        self.thread.join()
        assert self.process.stdout
        self.process.stdout.close()
