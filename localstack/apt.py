"""Debian's packages, which are installed where one is missing and this process may do that."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from localstack.paths import RUN, PartFailed, say, tail

LOG = RUN / "apt.log"
# Debian runs this to decide whether a package may start its service; exit code 101 forbids it.
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")


def is_usable() -> bool:
    """Whether this process can install packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(part: str, what: str, *packages: str) -> None:
    """Install packages, whose services are not started: `what` they are, for `part` of the stack."""
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", *packages]
    say(f"Installing {what} (apt-get install {' '.join(packages)}): once, about a minute")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with _no_services(), open(LOG, "w") as log:

        def run(*command: str) -> int:
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            return subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode

        if run(*install) != 0:
            # The list of packages is missing or out of date.
            say("Fetching the list of packages (apt-get update)")
            if run("apt-get", "update") != 0 or run(*install) != 0:
                raise PartFailed(part, f"`{' '.join(install)}` failed:{tail(LOG)}", LOG)
        if shutil.which("systemctl"):
            # Not at the next start of the machine either.
            for package in packages:
                run("systemctl", "disable", package)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting their services meanwhile. A policy that the machine already has stays in place."""
    try:
        with open(os.open(SERVICE_POLICY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755), "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        yield
    finally:
        SERVICE_POLICY.unlink(missing_ok=True)
