"""The data of the stack between its runs: the data that the last run kept, and the copy that a run works on."""

import contextlib
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

from localstack.environment import REQUIREMENTS
from localstack.paths import PartFailed, say, shown

# The file in the kept data that names the versions that wrote it.
MADE_BY = "made-by"


class Data:
    """The data kept in `folder`, and `running`, the copy for the current run.

    A run works on a copy. After it ends well, its copy replaces the kept data in one step: whatever happens to a run,
    the data that was kept before it stays intact.
    """

    def __init__(self, folder: Path, fresh: bool) -> None:
        self.folder, self.running = folder, folder / "running"
        self.is_reused = False
        was_killed = self.running.exists()
        _remove(self.running)
        if fresh:
            _remove(*self._kept())
        elif was_killed:
            say("The last run did not end by itself: its changes are lost, the data from before it is intact")
        if kept := self._kept():
            if reason := _unusable(kept[-1]):
                say(f"The data in {shown(kept[-1])} {reason}: starting anew")
            else:
                say("Continuing with the data of the last run; FRESH=1 starts anew")
                shutil.copytree(kept[-1], self.running, symlinks=True)
                self.is_reused = True
        self.running.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self) -> None:
        """Keep the data of this run in place of the data from before. All processes that wrote it must have ended."""
        before = self._kept()
        (self.running / MADE_BY).write_text(_version())
        self.running.rename(self.folder / f"kept-{time.time_ns():020}")
        _remove(*before)

    def drop(self) -> None:
        """Delete the data of this run, if it was not kept."""
        _remove(self.running)

    def _kept(self) -> list[Path]:
        """The kept folders. There are several only if a run was killed before it removed the others; use the last."""
        return sorted(self.folder.glob("kept-*"))


def _unusable(kept: Path) -> str:
    """Why this data cannot be used, or nothing."""
    with contextlib.suppress(OSError):
        if (kept / MADE_BY).read_text() != _version():
            return "was written by other versions of the emulator or of Python"
        try:
            for state in kept.glob("emulator/state/*.json"):
                json.loads(state.read_bytes())
            return ""
        except ValueError:
            pass
    return "is damaged"


def _version() -> str:
    requirements = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return f"Python {sys.version_info.major}.{sys.version_info.minor}, {requirements}"


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise PartFailed("kept data", f"{shown(folder)} cannot be removed")
