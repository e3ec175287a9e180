"""The folders of this checkout, the locks that guard them, and the error that names the part that failed."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
VENV = ROOT / ".venv"
# The folder of the logs and locks of installations, and by default of the checkout's stack.
CHECKOUT_RUN = ROOT / ".run"
# All that a running stack writes: logs, process ids, stack.env, scratch folders. With another folder in this variable
# a second stack can run in the same checkout; the tests do that.
RUN_VARIABLE = "LOCALSTACK_RUN"
RUN = Path(os.environ.get(RUN_VARIABLE, CHECKOUT_RUN)).absolute()
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
    """A signal asked this process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def stop_on_signals() -> None:
    """Raise `Stopped` at a signal to stop from now on, so that context managers clean up."""

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def ignore_signals() -> None:
    """Ignore signals to stop from now on: the process is stopping already."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def shown(path: Path) -> str:
    """`path` as a person in the current folder would type it."""
    return os.path.relpath(path)


def say(line: str) -> None:
    """Print what happens now, without delay even through a pipe."""
    print(line, flush=True)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, to stand inside a message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return indented(text.splitlines()[-lines:])


def indented(lines: Iterable[str]) -> str:
    """Lines to stand inside a message, each on its own."""
    return "".join(f"\n    {line}" for line in lines)


@contextlib.contextmanager
def lock(file: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock file; yields False, holding nothing, if another process holds it and `wait` is false.

    The kernel drops the lock when the process ends, however it ends.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
