"""Child processes of a stack: free ports for them, and their end with the parent."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from localstack.paths import ROOT, PartFailed, Stopped, tail

# The programs in place of other people's services.
FAKES = ROOT / "localstack" / "fakes"
# How servers report that another program has their port.
TAKEN = re.compile(r"already in use|eaddrinuse|dist_port_already_used", re.IGNORECASE)
# Below the ports that systems give to outgoing connections: none of those can take a port before its server binds it.
PORTS = range(20_000, 32_000)


def module_environment() -> dict[str, str]:
    """The variables with which a child process in another folder can import this package."""
    return {"PYTHONPATH": str(ROOT)}


def free_ports(count: int) -> list[int]:
    """Different loopback ports that no program has."""
    found: list[int] = []
    while len(found) < count:
        if (port := random.choice(PORTS)) not in found and is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether a server could bind a loopback port."""
    with socket.socket() as probe:
        # As servers do: connections that ended a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def ended(code: int, log: Path) -> str:
    """Why a child that should still run does not: its exit code, and the end of its log."""
    text = log.read_text(errors="replace")
    taken = " (another program took its port a moment before: start again)" if TAKEN.search(text) else ""
    return f"ended by itself with code {code}{taken}:{tail(log)}"


def start_fake(name: str, *words: str, errors: int | IO[str]) -> subprocess.Popen[str]:
    """Start one of the programs in `fakes`, whose output can be read. It ends with this process."""
    return start_module(f"localstack.fakes.{name}", *words, errors=errors)


def start_module(name: str, *words: str, errors: int | IO[str]) -> subprocess.Popen[str]:
    """Start a module as a program, whose output can be read. It ends with this process."""
    return subprocess.Popen(
        [sys.executable, "-m", name, *words, "--with-parent"],
        env=os.environ | module_environment(),
        # Closes when this process ends, even by SIGKILL, and with it the program ends.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        # Ctrl-C does not reach it: the functions may still use it while they end.
        start_new_session=True,
    )


def check(process: subprocess.Popen, part: str, log: Path) -> None:
    """Fail if a child has ended by itself."""
    if (code := process.poll()) is not None:
        raise PartFailed(part, ended(code, log), log)


@contextlib.contextmanager
def passing_on_signals(process: subprocess.Popen) -> Iterator[None]:
    """While this process waits for a child in the foreground: a signal to stop stops the child first."""
    try:
        yield
    except Stopped as stopped:
        process.send_signal(stopped.number)
        process.wait()
        raise


def end(process: subprocess.Popen, seconds: float) -> None:
    """Ask a child that leads a process group to end, and kill the whole group if it has not after `seconds`."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    # Processes of the group that ignored the signal. (Without any: "no such process", on macOS "not permitted".)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
