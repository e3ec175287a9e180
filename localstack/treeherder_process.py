"""The fake Treeherder (`fakes/treeherder.py`) as a child process of the running stack."""

from pathlib import Path

from localstack.paths import PartFailed, tail
from localstack.process import check, end, start_fake

STOP_SECONDS = 5


class TreeherderProcess:
    """A fake Treeherder on a free loopback port: `url`, and `push_id`, a push that it has in every project."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with open(log, "w") as output:
            self.process = start_fake("treeherder", errors=output)
        assert self.process.stdout
        self.url, self.push_id = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.push_id:
            self.stop()
            raise PartFailed("fake Treeherder", f"does not start:{tail(log)}", log)

    def check(self) -> None:
        """Fail if the fake has ended by itself."""
        check(self.process, "fake Treeherder", self.log)

    def stop(self) -> None:
        """End the fake."""
        end(self.process, STOP_SECONDS)
        assert self.process.stdout
        self.process.stdout.close()
