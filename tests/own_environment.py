"""Python environments inside the checkout for tools whose own dependencies would not go with the rest of `.venv`."""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"


def made_from(requirements: Path) -> Path:
    """The folder of the programs that `requirements` installs: `.venv-<its name>/bin`, made now if it has to be."""
    venv = ROOT / f".venv-{requirements.stem}"
    # Written last: an environment without it was interrupted, and is made again.
    stamp = venv / "made-from"
    # The scripts in it hold its path: a checkout that was moved needs a new one.
    wanted = f"{venv} {hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    RUN.mkdir(exist_ok=True)
    # The kernel drops the lock with the process, however that ends.
    with open(RUN / f"{venv.name.lstrip('.')}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(venv, requirements)
            stamp.write_text(wanted)
    return venv / "bin"


def _install(venv: Path, requirements: Path) -> None:
    log = RUN / f"{venv.name.lstrip('.')}.log"
    base = getattr(sys, "_base_executable", sys.executable)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    with open(log, "w") as output:
        for step in ([base, "-m", "venv", "--clear", str(venv)], [*pip, "--requirement", str(requirements)]):
            if subprocess.run(step, stdout=output, stderr=subprocess.STDOUT, check=False).returncode != 0:
                raise AssertionError(f"`{' '.join(step)}` failed; its log: {log}\n{log.read_text()[-2000:]}")
