"""The Pulse listener (`fakes/pulse_listener.py`) as a child process of the running stack: it prints what arrives."""

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from localstack.paths import ROOT, PartFailed, say, tail

PROGRAM = ROOT / "localstack" / "fakes" / "pulse_listener.py"
BOUND_SECONDS = 5
STOP_SECONDS = 5
# The listener prints this when its queue is bound.
BOUND = "listening to "


class PulseListener:
    """A listener whose lines go to `log` and to the terminal. The environment names its broker and its exchange."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.is_bound = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--name", "make-run", "--with-parent"],
            # Closes when this process ends, even by SIGKILL, and with it the listener ends.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C does not reach it: it shows what the functions still send while they end.
            start_new_session=True,
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
        if (code := self.process.poll()) is not None:
            raise PartFailed("Pulse listener", f"ended by itself with code {code}:{tail(self.log)}", self.log)

    def stop(self) -> None:
        """End the listener."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self.process.kill()
        self.process.wait()
        self.thread.join()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
