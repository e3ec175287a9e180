"""What the programs that run beside us have in common: a free port of this machine, and an end when ours comes."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from checkout import tail

# How those who listen say that somebody else has their port.
TAKEN = re.compile(r"already in use|eaddrinuse|dist_port_already_used", re.IGNORECASE)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody has, each another."""
    with contextlib.ExitStack() as probes:
        taken = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in taken:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in taken]


def is_free(port: int) -> bool:
    """Whether nobody has a loopback port."""
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


def end(process: subprocess.Popen, seconds: float) -> None:
    """Ask a child that leads a process group to end, and end the whole group after `seconds` if it has not."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    # Who ignored the signal. (Nobody left: "no such process", or on macOS "not permitted".)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
