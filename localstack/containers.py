"""The same parts in containers, by Docker Compose: LocalStack, RabbitMQ, Treeherder's stand-in (`compose.yaml`).

Needs only the standard library until it starts them: who has no Docker is told so before anything is installed.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import environment
from broker import definitions_of, is_open, make_passwords
from checkout import ROOT, RUN, PartFailed, say, shown
from child import free_ports
from parts import Parts

COMPOSE = ROOT / "localstack" / "compose.yaml"
TESTS = ROOT / "tests"
LOG = RUN / "docker.log"
# Another for each checkout.
PROJECT = f"runnable-jobs-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
# What LocalStack runs a function of the template's runtime in.
FUNCTION_IMAGE = "public.ecr.aws/lambda/provided:al2023"
ANSWER_SECONDS = 30
START_SECONDS = 180
BROKER_CONFIGURATION = """\
listeners.tcp.default = 5672
listeners.ssl.default = 5671
ssl_options.certfile = /pulse/server.pem
ssl_options.keyfile = /pulse/server.key
load_definitions = /pulse/definitions.json
"""
# The template's parameters: services as compose.yaml names them, and their ports inside.
FUNCTIONS_REACH = {
    "EndpointUrl": "http://localstack:4566",
    "PulseUrl": "amqps://broker:5671/%2f",
    "TreeherderUrl": "http://treeherder:8000",
}
# The pages that may use the API: a parameter of the template, and a setting of LocalStack's.
ALLOWED_ORIGINS = "https://treeherder.mozilla.org"


def check() -> None:
    """Fail if Docker is not there."""
    for words in (["version", "--format", "{{.Server.Version}}"], ["compose", "version"]):
        try:
            done = subprocess.run(
                ["docker", *words], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
            reason = done.stderr.strip() if done.returncode != 0 else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if reason:
            raise PartFailed("Docker", f"`docker {words[0]}` fails: {reason}\n  Without DOCKER=1 no Docker is needed.")


def pull() -> None:
    """Fetch all images."""
    check()
    for words in (["compose", "--file", str(COMPOSE), "pull"], ["pull", FUNCTION_IMAGE]):
        if subprocess.run(["docker", *words], env=_environment(RUN, (0, 0, 0)), check=False).returncode != 0:
            raise PartFailed("Docker", f"`docker {' '.join(words)}` failed")


def started(ends: contextlib.ExitStack, folder: Path) -> Parts:
    """Start all; `folder` holds what they are configured with. They end with `ends`; nothing of theirs is kept."""
    from certificates import make as make_certificates

    shutil.rmtree(folder, ignore_errors=True)
    # What is mounted has to be readable by whoever the containers run as; nobody else of this machine gets here.
    folder.mkdir(mode=0o700, parents=True)
    ends.callback(shutil.rmtree, folder, ignore_errors=True)
    passwords = make_passwords()
    (folder / "definitions.json").write_text(definitions_of(passwords))
    (folder / "rabbitmq.conf").write_text(BROKER_CONFIGURATION)
    make_certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key", "broker")
    for file in folder.iterdir():
        file.chmod(0o644)

    ports = tuple(free_ports(3))
    containers = _Containers(_environment(folder, ports), ports)
    # What a killed run could not remove.
    containers.remove()
    ends.callback(containers.remove)
    say("Starting LocalStack, RabbitMQ and Treeherder's stand-in in containers")
    containers.start()
    emulator, broker, treeherder = (f"127.0.0.1:{port}" for port in ports)
    environment.use(environment.settings(f"http://{emulator}"))
    return Parts(
        endpoint=f"http://{emulator}", pulse=f"{broker}/%2f", treeherder=f"http://{treeherder}",
        push_id=containers.said("treeherder").split()[1], passwords=passwords,
        parameters=FUNCTIONS_REACH | {
            "AllowedOrigins": ALLOWED_ORIGINS,
            # Links in answers are for this machine.
            "TreeherderPublicUrl": f"http://{treeherder}",
        },
        has_fronts_in_path=False, scratch=folder, logs=(LOG, LOG, LOG), running=[containers],
        # They were started until they were well.
        wait_for_broker=containers.check,
    )


def _environment(folder: Path, ports: tuple[int, ...]) -> dict[str, str]:
    emulator, broker, treeherder = map(str, ports)
    return os.environ | {
        "COMPOSE_PROJECT_NAME": PROJECT, "FOLDER": str(folder), "TESTS": str(TESTS),
        # LocalStack wants commas between them, the template also takes blanks.
        "ALLOWED_ORIGINS": ",".join(ALLOWED_ORIGINS.replace(",", " ").split()),
        "EMULATOR_PORT": emulator, "BROKER_PORT": broker, "TREEHERDER_PORT": treeherder,
    }


class _Containers:
    """The containers of `compose.yaml`."""

    def __init__(self, variables: dict[str, str], ports: tuple[int, ...]) -> None:
        self.variables, self.ports = variables, ports

    def start(self) -> None:
        """Start them, and wait until their health checks say that they are well."""
        with open(LOG, "w") as log:
            done = self._compose("up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS), stderr=log)
        if done.returncode != 0:
            raise PartFailed("containers", f"do not all start in {START_SECONDS} s", LOG)

    def check(self) -> None:
        """Fail if one has ended by itself: nobody has its port open then."""
        for name, port in zip(("localstack", "broker", "treeherder"), self.ports, strict=True):
            if not is_open(port):
                raise PartFailed(f"container {name}", f"is not there any more; all of them: {shown(LOG)}", LOG)

    def said(self, service: str) -> str:
        """What a container has printed."""
        return self._compose("logs", "--no-log-prefix", service, stdout=subprocess.PIPE).stdout

    def remove(self) -> None:
        """End and remove them, and those that functions run in; what they printed stays in the log."""
        with open(LOG, "a") as log:
            self._compose("logs", "--no-color", stdout=log, stderr=log)
            mine = ["docker", "ps", "--all", "--quiet", "--filter", f"label=runnable-jobs={PROJECT}"]
            found = subprocess.run(mine, capture_output=True, text=True, check=False).stdout.split()
            if found:
                subprocess.run(["docker", "rm", "--force", *found], stdout=log, stderr=log, check=False)
            self._compose("down", "--volumes", "--timeout", "10", stdout=log, stderr=log)

    def _compose(self, *words: str, **streams: object) -> subprocess.CompletedProcess:
        command = ["docker", "compose", "--file", str(COMPOSE), *words]
        return subprocess.run(command, env=self.variables, text=True, check=False, **streams)
