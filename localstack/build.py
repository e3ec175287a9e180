"""Builds programs with cargo, and says in lines that a person can read how far it is."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from localstack.paths import PartFailed, say, shown
from localstack.process import passing_on_signals

# Cargo's progress bar, such as `Building [==>   ] 12/399: serde, syn`: it follows a carriage return or starts a line.
PROGRESS = re.compile(r"^\s*Building \[[=> ]*\] (?P<done>\d+)/(?P<all>\d+)(?:: (?P<crates>.*?))?\s*$")
# Lines that say the same as the progress.
STARTED = re.compile(r"^\s*(Compiling|Fresh) ")
# Where the output is a file or a pipe: the seconds between two lines.
PAUSE = 15.0


def build(words: list[str]) -> None:
    """Run `cargo build` with these options. Its warnings and errors are printed as they are."""
    environment = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "120"}
    command = ["cargo", "build", *words]
    try:
        child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
    except OSError as error:
        raise PartFailed("build", f"cargo does not start: {error.strerror}; https://rustup.rs installs it") from None
    assert child.stderr is not None
    with passing_on_signals(child):
        _Report(sys.stdout).follow(child.stderr)
        code = child.wait()
    if code != 0:
        raise PartFailed("build", f"`{' '.join(command)}` ended with code {code}")


class _Report:
    """The line that says how far a build is: rewritten in a terminal, repeated elsewhere."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._is_terminal = output.isatty()
        self._started = time.monotonic()
        self._last = -PAUSE
        self._is_line_open = False

    def follow(self, cargo: IO[str]) -> None:
        """Read what cargo prints until it ends."""
        # Universal newlines: a carriage return ends a line too, so each state of the progress bar is one.
        for line in cargo:
            if progress := PROGRESS.match(line):
                self._progress(int(progress["done"]), int(progress["all"]), progress["crates"] or "")
            elif line.strip() and not STARTED.match(line):
                self._close_line()
                say(line.rstrip("\n"))
        self._close_line()

    def _progress(self, done: int, steps: int, crates: str) -> None:
        now = time.monotonic()
        if not self._is_terminal and now - self._last < PAUSE:
            return
        self._last = now
        line = f"Building: step {done} of {steps}, {elapsed(now - self._started)}"
        if crates:
            line += f" ({crates})"
        if self._is_terminal:
            width = os.get_terminal_size(self._output.fileno()).columns
            print(f"\r{line[: width - 1]}\033[K", end="", file=self._output, flush=True)
            self._is_line_open = True
        else:
            say(line)

    def _close_line(self) -> None:
        if self._is_line_open:
            print(file=self._output, flush=True)
            self._is_line_open = False


def description(folder: Path) -> str:
    """Which build the programs in one of cargo's folders are, in a line."""
    if folder.name == "debug":
        return f"Running {shown(folder)}: profile dev, hot crates compiled for speed, the rest for build time"
    return f"Running {shown(folder)}: profile {folder.name}"


def elapsed(seconds: float) -> str:
    """A duration as a person reads it: `48 s`, `3 min 5 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
