"""Where things live in this checkout, the locks that guard them, and the error that says which part failed."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
VENV = ROOT / ".venv"
# Everything that a running stack writes: logs, process ids, stack.env, scratch folders.
RUN = ROOT / ".run"
STACK_ENV = RUN / "stack.env"


class PartFailed(Exception):
    """One part of the stack failed: which, why, and where its log is."""

    def __init__(self, part: str, reason: str, log: Path | None = None) -> None:
        super().__init__(part, reason, log)
        self.part, self.reason, self.log = part, reason, log

    def __str__(self) -> str:
        where = f"\n  its log: {shown(self.log)}" if self.log else ""
        return f"{self.part}: {self.reason}{where}"


class Stopped(BaseException):
    """Somebody asked us to stop, with this signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def stop_on_signals() -> None:
    """From now on a signal to stop raises `Stopped`, and what is open is closed on the way out."""
    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)
    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def ignore_signals() -> None:
    """From now on a signal to stop does nothing: we are stopping."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def shown(path: Path) -> str:
    """`path` as a person in the current folder would type it."""
    return os.path.relpath(path)


def say(line: str) -> None:
    """Tell the person what happens now, at once even through a pipe."""
    print(line, flush=True)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, to stand inside a message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return indented(text.splitlines()[-lines:])


def indented(lines: Iterable[str]) -> str:
    """Lines that stand inside a message, each on its own."""
    return "".join(f"\n    {line}" for line in lines)


@contextlib.contextmanager
def lock(name: str, wait: bool) -> Iterator[bool]:
    """Hold `.run/<name>`; yields False, holding nothing, if it is held elsewhere and `wait` is false.

    The kernel drops the lock with the process, however that ends.
    """
    RUN.mkdir(exist_ok=True)
    with open(RUN / name, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
