"""Chromium, in which tests look at the page: the system's, or the program that the variable CHROMIUM names."""

import os
import shutil

from localstack import apt
from localstack.paths import PartFailed, tail

VARIABLE = "CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without a sandbox, which needs rights that containers and root lack, and without requests to hosts of its maker.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program() -> str:
    """The path of the program, which is installed with a font if it is missing and this process may do that."""
    if named := os.environ.get(VARIABLE):
        if not (path := shutil.which(named)):
            raise PartFailed("Chromium", f"{VARIABLE} names {named}, which is no program")
        return path
    if found := _find():
        return found
    if not apt.is_usable():
        raise PartFailed(
            "Chromium",
            "Chromium is not installed. On Debian: `sudo apt-get install chromium fonts-dejavu-core`;"
            f" or name another build of it in the variable {VARIABLE}",
        )
    apt.install("Chromium", "Chromium", "chromium", "fonts-dejavu-core")
    if not (found := _find()):
        raise PartFailed("Chromium", f"installed, but not found:{tail(apt.LOG)}", apt.LOG)
    return found


def _find() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
