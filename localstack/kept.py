"""The data of the stack between its runs: what the last run kept, and the copy of it that a run works on."""

import contextlib
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

from checkout import PartFailed, say, shown
from environment import REQUIREMENTS

# The version of what made it, inside what is kept.
MADE_BY = "made-by"


class Data:
    """What is kept in `folder`, and `running`, the folder that a run has for itself.

    A run works on a copy. When it ended well, its copy becomes what is kept, in one step: whatever happens to a run,
    what was kept before it is whole.
    """

    def __init__(self, folder: Path, fresh: bool) -> None:
        self.folder, self.running = folder, folder / "running"
        self.is_reused = False
        was_killed = self.running.exists()
        _remove(self.running)
        if fresh:
            _remove(*self._kept())
        elif was_killed:
            say("The last run did not end by itself: what it did is gone, what was kept before it is there")
        if kept := self._kept():
            if reason := _unusable(kept[-1]):
                say(f"What was kept in {shown(kept[-1])} {reason}: beginning anew")
            else:
                say("Going on with the data of the last run; FRESH=1 begins anew")
                shutil.copytree(kept[-1], self.running)
                self.is_reused = True
        self.running.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self) -> None:
        """Keep what this run made, in place of what was kept before. Everything that wrote it has ended."""
        before = self._kept()
        (self.running / MADE_BY).write_text(_version())
        self.running.rename(self.folder / f"kept-{time.time_ns():020}")
        _remove(*before)

    def drop(self) -> None:
        """Forget what this run made, if it was not kept."""
        _remove(self.running)

    def _kept(self) -> list[Path]:
        """What is kept: more than one only where a run was killed before it removed the others. The last counts."""
        return sorted(self.folder.glob("kept-*"))


def _unusable(kept: Path) -> str:
    """Why this cannot be gone on with, or nothing."""
    with contextlib.suppress(OSError):
        if (kept / MADE_BY).read_text() != _version():
            return "was made by other versions of the emulator or of Python"
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
