"""The forwarders that are killed."""

import subprocess
from pathlib import Path

from tests.support.stack import PROGRAMS

FORWARDERS = 3


class Forwarders:
    """Several `forward` at the queue; one that ends is started again, as Lambda starts another environment."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment, self.log = environment, open(log, "w+")
        self.processes = [self._start() for _ in range(FORWARDERS)]
        # The exit codes of those that were not killed.
        self.ended: list[int] = []

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(PROGRAMS.forward(), env=self.environment, stdout=self.log, stderr=self.log)

    def kill(self, *places: int) -> None:
        """Kill some with SIGKILL, and start as many others."""
        for place in places:
            self.processes[place].kill()
        for place in places:
            self.processes[place].wait()
            self.processes[place] = self._start()

    def restart_ended(self) -> None:
        """Start those again that ended by themselves."""
        for place, process in enumerate(self.processes):
            if (code := process.poll()) is not None:
                self.ended.append(code)
                self.processes[place] = self._start()

    def stop(self) -> None:
        """Kill all of them."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.log.close()
