"""A clock that the meter sets, for processes that are deployed programs: a day of theirs passes in minutes."""

import mmap
import struct
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
NUMBER = struct.Struct("@q")


class Clock:
    """A time of day, ahead of this machine's. Processes with `settings` in their environment have it (Linux only)."""

    def __init__(self, folder: Path) -> None:
        """`folder` gets the library that the processes load."""
        library, path = folder / "clock.so", folder / "clock"
        # Rust needs a C compiler too, to link.
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", library, SOURCE], check=True)
        path.write_bytes(NUMBER.pack(0))
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), NUMBER.size)
        self.settings = {"LD_PRELOAD": str(library), "COST_CLOCK": str(path)}

    @property
    def ahead(self) -> int:
        """How far it is ahead, in seconds."""
        return NUMBER.unpack(self.shared[:])[0]

    def set(self, seconds: float) -> None:
        """Set it to a time, in seconds since 1970."""
        self.shared[:] = NUMBER.pack(round(seconds - time.time()))
