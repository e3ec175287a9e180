"""RabbitMQ in place of Pulse, as a child process: its users have the rights that they have on Pulse.

It listens on one port without TLS and on another with TLS, as Pulse does; the certificates are made for it.

`python3 -m localstack.broker` is that child: it runs the broker and its port mapper (epmd), and ends when the process
that started it ends. SIGUSR1 stops the broker and SIGUSR2 starts it again on its data, for tests of an outage.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

from localstack import apt
from localstack.paths import PartFailed, tail
from localstack.process import check, end, free_ports, module_environment

# Debian's program itself. The script in its PATH would change the user and drop our variables.
DEBIANS = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
VHOST = "/"
# In the folder of its plugins, the applications with most of its own modules.
MODULES = ("rabbit", "rabbit_common", "rabbitmq_prelaunch", "ra", "osiris", "ranch", "cuttlefish")
# The user that publishes, as Treeherder did, and the user that listens. The name of the first is also the namespace of
# its exchanges.
PUBLISHER, LISTENER = "treeherder", "listener"
# Other Erlang nodes can reach it from this machine alone.
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
START_SECONDS = 90
STOP_SECONDS = 30
END_SECONDS = 5
EPMD_SECONDS = 10
STOP, START = signal.SIGUSR1, signal.SIGUSR2
INHERITED = ("PATH", "LANG", "LC_ALL")
# The interval of heartbeats; the broker drops a client that misses two or three. Its default is a minute, for which a
# test would have to wait.
HEARTBEAT_SECONDS = 5


class Broker:
    """A private broker on a free loopback port, which it keeps until its end. Its data stays in `folder`; its passwords
    are new each time.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        server = program()
        self.folder, self.log = folder, log
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.port, self.tls_port, distribution, mapper = free_ports(4)
        self.certificates = folder / "ca.pem"
        self.passwords = make_passwords()
        self._configure()
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "localstack.broker", server],
                env=self._environment(distribution, mapper) | self._without_plugins(Path(server)),
                cwd=folder,
                # Closes when this process ends, even by SIGKILL, and with it the broker ends.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own: the broker belongs to it, and ends with it.
                start_new_session=True,
            )

    def url(self, user: str) -> str:
        """The broker's URL, with a user and the password."""
        return f"amqp://{user}:{self.passwords[user]}@{self.address}"

    def tls_url(self, user: str) -> str:
        """The same by TLS."""
        return f"amqps://{user}:{self.passwords[user]}@{self.tls_address}"

    @property
    def address(self) -> str:
        """Host, port and virtual host, as in a URL."""
        return f"127.0.0.1:{self.port}/%2f"

    @property
    def tls_address(self) -> str:
        """The same by TLS; the authority in `certificates` signed the server's certificate."""
        return f"127.0.0.1:{self.tls_port}/%2f"

    def _configure(self) -> None:
        definitions = self.folder / "definitions.json"
        definitions.write_text(definitions_of(self.passwords))
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        # Only here: it imports packages of `.venv`, which the child process does not need.
        from localstack.certificates import make as make_certificates

        make_certificates(self.certificates, certificate, key, "127.0.0.1")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.certfile = {certificate}\n"
            f"ssl_options.keyfile = {key}\n"
            f"heartbeat = {HEARTBEAT_SECONDS}\n"
            f"load_definitions = {definitions}\n"
            "log.console = true\n"
            "log.console.use_colors = off\n"
            "log.file = false\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")
        # It admits other Erlang nodes; the one that Erlang makes itself can be guessed.
        cookie = self.folder / ".erlang.cookie"
        cookie.unlink(missing_ok=True)
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)

    def _environment(self, distribution: int, mapper: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return (
            inherited
            | module_environment()
            | {
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder),
                "RABBITMQ_NODENAME": "runnable-jobs@localhost",
                "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
                # Neither file exists: without these variables RabbitMQ would read the system's.
                "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
                "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
                "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
                "RABBITMQ_LOG_BASE": str(self.folder / "log"),
                "RABBITMQ_PID_FILE": str(self.folder / "broker.pid"),
                "RABBITMQ_DIST_PORT": str(distribution),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "ERL_EPMD_PORT": str(mapper),
            }
        )

    def _without_plugins(self, server: Path) -> dict[str, str]:
        """Variables with which Debian's program starts in half the time. None of its plugins is enabled, but it would
        search the folders of all of them for each of its modules, and read the schemas of all their settings.
        """
        if server != DEBIANS or not (found := sorted(DEBIANS.parent.parent.glob("lib/rabbitmq_server-*/plugins"))):
            return {}
        plugins = self.folder / "plugins"
        plugins.mkdir(exist_ok=True)
        for link in plugins.iterdir():
            link.unlink()
        # It counts as one of them, because its own schema is there.
        for itself in found[-1].glob("rabbit-*"):
            (plugins / itself.name).symlink_to(itself)
        first = [f"-pa {folder}" for name in MODULES for folder in found[-1].glob(f"{name}-[0-9]*/ebin")]
        return {
            "RABBITMQ_PLUGINS_DIR": str(plugins),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join([LOOPBACK, *first]),
        }

    def wait_until_ready(self) -> None:
        """Return when the listener can sign in; it takes some seconds."""
        import amqp  # only here: the child process does not need it

        user, deadline = LISTENER, time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError, amqp.AMQPError):
                amqp.Connection(
                    f"127.0.0.1:{self.port}",
                    user,
                    self.passwords[user],
                    virtual_host=VHOST,
                    connect_timeout=5,
                    read_timeout=5,
                    write_timeout=5,
                ).connect()
                return
            time.sleep(0.2)
        raise PartFailed("broker", f"does not accept sign-ins at {self.address} within {START_SECONDS} s", self.log)

    def check(self) -> None:
        """Fail if the broker has ended by itself."""
        check(self.process, "broker", self.log)

    def stop(self) -> None:
        """Stop the broker for a while; its data on disk stays."""
        self.process.send_signal(STOP)
        deadline = time.monotonic() + STOP_SECONDS
        while is_open(self.port):
            if time.monotonic() > deadline:
                raise PartFailed("broker", f"does not stop in {STOP_SECONDS} s", self.log)
            time.sleep(0.05)

    def start(self) -> None:
        """Start the stopped broker again."""
        self.process.send_signal(START)
        self.wait_until_ready()

    def end(self) -> None:
        """End the broker and all that it started; the data in its folder is complete."""
        if self.process.poll() is None and is_open(self.port):
            with contextlib.suppress(PartFailed):
                self.stop()
        end(self.process, END_SECONDS)


def make_passwords() -> dict[str, str]:
    """A new password for each user."""
    return {user: secrets.token_urlsafe(24) for user in (PUBLISHER, LISTENER)}


def definitions_of(passwords: dict[str, str]) -> str:
    """The users with these passwords, and their rights, as RabbitMQ loads them when it starts."""
    return json.dumps(
        {
            "vhosts": [{"name": VHOST}],
            "users": [
                {
                    "name": user,
                    "password_hash": _hashed(password),
                    "tags": "",
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                }
                for user, password in passwords.items()
            ],
            "permissions": [_rights(PUBLISHER), _rights(LISTENER, "exchange/.*")],
        },
        indent=2,
    )


def is_open(port: int) -> bool:
    """Whether a server listens on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _rights(user: str, *readable: str) -> dict[str, str]:
    """A user's rights on Pulse: to make and write objects under their name, and to read these and `readable`."""
    own = (f"exchange/{user}/.*", f"queue/{user}/.*")
    mine, theirs = (f"^({'|'.join(names)})$" for names in (own, own + readable))
    return {"user": user, "vhost": VHOST, "configure": mine, "write": mine, "read": theirs}


def _hashed(password: str) -> str:
    """A password as RabbitMQ stores it (https://www.rabbitmq.com/docs/passwords)."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def program() -> str:
    """The path of RabbitMQ's server, which is installed if it is missing and this process may do that."""
    if not (found := _find()):
        _install()
        found = _find()
    if not found:
        raise PartFailed("broker", f"installed, but not found:{tail(apt.LOG)}", apt.LOG)
    return found


def _find() -> str | None:
    return str(DEBIANS) if DEBIANS.exists() else shutil.which("rabbitmq-server")


def _install() -> None:
    if not apt.is_usable():
        raise PartFailed(
            "broker",
            "RabbitMQ is not installed. On Debian and Ubuntu: `sudo apt-get install rabbitmq-server`;"
            " with Homebrew: `brew install rabbitmq`",
        )
    apt.install("broker", "RabbitMQ", "rabbitmq-server")


def _serve(program: str) -> int:
    """Run the broker until it ends by itself, a signal comes, or the parent ends; returns the exit code."""
    signalled, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for handled in (STOP, START, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(handled, lambda *_: None)
    mapper = _start_port_mapper()
    broker: subprocess.Popen | None = _start(program)
    while True:
        ready, _, _ = select.select([sys.stdin, signalled], [], [])
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
            return 1
        for number in os.read(signalled, 64) if signalled in ready else b"":
            if number == signal.SIGTERM:
                # At once: there is nothing left to save.
                _end(broker, signal.SIGKILL)
                mapper.kill()
                mapper.wait()
                return 0
            if number == STOP:
                _end(broker, signal.SIGTERM)
                broker = None
            elif number == START:
                broker = broker or _start(program)
        if broker and broker.poll() is not None:
            return broker.returncode or 1


def _start(program: str) -> subprocess.Popen:
    Path(os.environ["RABBITMQ_PID_FILE"]).unlink(missing_ok=True)
    return subprocess.Popen([program], stdin=subprocess.DEVNULL)


def _end(broker: subprocess.Popen | None, number: int) -> None:
    """Send a signal that ends it to the broker, if it runs, and wait until it has ended."""
    if broker:
        # Not to the script that started it: that would start another program to pass it on.
        os.kill(int(Path(os.environ["RABBITMQ_PID_FILE"]).read_text()), number)
        broker.wait()


def _start_port_mapper() -> subprocess.Popen:
    """Start epmd, and return when it answers. If Erlang started it, it would leave the process group and outlive it."""
    if not (found := shutil.which("epmd")):
        sys.exit("there is no epmd, Erlang's port mapper, in the PATH")
    if is_open(int(os.environ["ERL_EPMD_PORT"])):
        sys.exit("epmd, Erlang's port mapper, does not start: its port is already in use")
    mapper = subprocess.Popen([found], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + EPMD_SECONDS
    while not is_open(int(os.environ["ERL_EPMD_PORT"])):
        if mapper.poll() is not None or time.monotonic() > deadline:
            sys.exit("epmd, Erlang's port mapper, does not start")
        time.sleep(0.05)
    return mapper


def _main() -> None:
    code = 1
    try:
        code = _serve(sys.argv[1])
    # Reported now: nothing else will do it after the kill below.
    except SystemExit as stopped:
        print(stopped.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        if code != 0:
            # All processes of the group that are left, this one included.
            os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _main()
