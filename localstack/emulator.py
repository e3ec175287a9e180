"""The AWS emulator (ministack) as a child process: its settings, its start, and its end.

`python3 -m localstack.emulator` is that child: the emulator, which ends when the process that started it ends.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from localstack.environment import no_proxy
from localstack.paths import PartFailed, indented, tail
from localstack.process import check, end, free_ports, is_free, module_environment

START_SECONDS = 60
# It saves its data when it ends.
STOP_SECONDS = 30
# The services whose state makes up a stack, as the emulator names their files.
STATES = ("apigateway", "cloudformation", "dynamodb", "eventbridge", "iam", "lambda", "s3", "sqs", "ssm")
# It logs one of these when it cannot read a file, and starts without the contents of that file.
UNREAD = re.compile(r"Persistence: failed to load|refusing to load|Failed to (load|restore) persisted")
# Passed on to the emulator, and by it to the functions. On AWS the functions have none of the other variables either.
INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
)


class Emulator:
    """A private emulator on a free loopback port. It works in memory, reads `folder` when it starts, and saves to it
    when it ends; `scratch`, a folder in it, is removed then.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.scratch, self.state = folder / "scratch", folder / "state"
        self.scratch.mkdir(parents=True)
        self.port = self._port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "localstack.emulator"],
                env=self._environment(),
                cwd=self.scratch,
                # Closes when this process ends, even by SIGKILL, and with it the emulator ends.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own: the functions that it starts belong to it, and end with it.
                start_new_session=True,
            )

    def _port(self) -> int:
        """The port of the saved data, so that addresses stay valid; another free one where that is taken."""
        kept = self.folder / "port"
        port = int(kept.read_text()) if kept.exists() else 0
        if not port or not is_free(port):
            [port] = free_ports(1)
        kept.write_text(str(port))
        return port

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return (
            inherited
            | module_environment()
            | {
                "HOME": str(self.scratch),
                "TMPDIR": str(self.scratch),
                # The functions call the other services of this machine.
                "NO_PROXY": no_proxy(),
                "no_proxy": no_proxy(),
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": "127.0.0.1",
                "MINISTACK_HOST": "localhost",
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "PERSIST_STATE": "1",
                "STATE_DIR": str(self.state),
                "S3_PERSIST": "1",
                "S3_DATA_DIR": str(self.folder / "s3"),
                # Enforce the roles of the functions, as AWS does.
                "AUTH": "true",
            }
        )

    def wait_until_ready(self) -> None:
        """Return when the emulator answers; it takes well under a second."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                with opener.open(f"{self.endpoint}/_ministack/health", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        else:
            raise PartFailed("emulator", f"no answer from {self.endpoint} in {START_SECONDS} s", self.log)
        log = self.log.read_text(errors="replace")
        if unread := [line for line in log.splitlines() if UNREAD.search(line)]:
            raise PartFailed("emulator", f"cannot read what it saved:{indented(unread)}", self.log)
        # It has read them. A file that is there when it has ended was saved by it.
        for file in self.state.glob("*.json"):
            file.unlink()

    def check(self) -> None:
        """Fail if the emulator has ended by itself."""
        check(self.process, "emulator", self.log)

    def stop(self) -> None:
        """End the emulator, which saves its state, and every function process that it started."""
        end(self.process, STOP_SECONDS)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def check_saved(self) -> None:
        """Fail if the emulator, which has ended, did not save everything."""
        if missing := [name for name in STATES if not (self.state / f"{name}.json").exists()]:
            raise PartFailed("emulator", f"ended without saving its {', '.join(missing)}:{tail(self.log)}", self.log)


def _serve() -> None:
    """Run the emulator until a signal or the end of the parent ends it, and end the functions with it."""
    from ministack.app import main

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        main()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
