"""The checkout's own Python environments, and the variables that keep AWS clients at the emulator."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from localstack.paths import CHECKOUT_RUN, ROOT, VENV, PartFailed, lock, say, shown, tail

PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "localstack" / "requirements.txt"
OLDEST_PYTHON = (3, 11)
REGION = "us-east-1"

# Variables of a person's own AWS set-up that would lead a client past the emulator, or make it fail.
MISLEADING = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
# The Makefile sets this one for the compiler; all others with its prefix are settings of the programs.
COMMIT = "RUNNABLE_JOBS_COMMIT"


def enter() -> None:
    """Make `.venv` if it is absent or out of date, and continue inside it: returns only there."""
    _make(VENV, REQUIREMENTS)
    if sys.prefix != str(VENV):
        os.execv(PYTHON, [str(PYTHON), "-m", "localstack", *sys.argv[1:]])


def install(requirements: Path) -> None:
    """Make `.venv-NAME` from NAME.txt if it is absent or out of date: tools whose dependencies conflict with those
    of `.venv`.
    """
    _make(ROOT / f".venv-{requirements.stem}", requirements)


def _make(venv: Path, requirements: Path) -> None:
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        raise PartFailed("Python environment", f"Python {wanted} or newer is needed, this is {found}")
    name = venv.name.lstrip(".")
    # Written last: an environment without it was interrupted, and is made again.
    stamp = venv / "made-from"
    with lock(CHECKOUT_RUN / f"{name}.lock", wait=True):
        # The scripts in it contain its path: a checkout that was moved needs a new one.
        wanted = f"{venv} {hashlib.sha256(requirements.read_bytes()).hexdigest()}"
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(venv, requirements, CHECKOUT_RUN / f"{name}.log")
            stamp.write_text(wanted)


def _install(venv: Path, requirements: Path, log: Path) -> None:
    # `venv --clear` would empty the folder behind a link, which another checkout may use.
    if venv.is_symlink():
        venv.unlink()
    say(f"Installing {shown(requirements)} into {shown(venv)} (once, about a minute)")
    base = getattr(sys, "_base_executable", sys.executable)
    # pip refuses a package whose file has changed since it was pinned. The file lists all that is needed; older
    # versions of pip would choose another version of what is required with extras. Python compiles a module when it is
    # first imported, and most never are.
    pip = ["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--no-compile"]
    steps = (
        [base, "-m", "venv", "--clear", str(venv)],
        [str(venv / "bin" / "python"), *pip, "--requirement", str(requirements)],
        # Whether the file lists all that its packages need.
        [str(venv / "bin" / "python"), "-m", "pip", "check", "--disable-pip-version-check"],
    )
    with open(log, "w") as output:
        for step in steps:
            if subprocess.run(step, stdout=output, stderr=subprocess.STDOUT, check=False).returncode != 0:
                raise PartFailed("Python environment", f"`{' '.join(step)}` failed:{tail(log)}", log)


def settings(endpoint: str) -> dict[str, str]:
    """The variables with which AWS clients use the emulator at `endpoint`, and nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": no_proxy(),
    }


def no_proxy() -> str:
    """The hosts that a person's own set-up reaches without its proxy, and this machine."""
    hosts = [host for host in (os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")).split(",") if host]
    return ",".join([*hosts, *sorted({"127.0.0.1", "localhost"} - set(hosts))])


def use(variables: dict[str, str]) -> None:
    """Put `variables` into this process's environment, for its AWS clients and its children alike."""
    for name in list(os.environ):
        if name in MISLEADING or (name.startswith(("AWS_ENDPOINT_URL", "RUNNABLE_JOBS_")) and name != COMMIT):
            del os.environ[name]
    os.environ.update(variables)
    os.environ["no_proxy"] = os.environ["NO_PROXY"]
