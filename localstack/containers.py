"""The same services in containers, by Docker Compose: LocalStack, RabbitMQ, the fakes (`compose.yaml`).

It needs only the standard library until it starts them: a missing Docker is reported before anything is installed.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from localstack import environment
from localstack.broker import definitions_of, is_open, make_passwords
from localstack.paths import ROOT, RUN, PartFailed, say, shown
from localstack.process import free_ports
from localstack.services import Services

COMPOSE = ROOT / "localstack" / "compose.yaml"
FAKES = ROOT / "localstack" / "fakes"
LOG = RUN / "docker.log"
# Different for each checkout.
PROJECT = f"runnable-jobs-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
# LocalStack runs functions of the template's runtime in this image.
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
# Parameters of the template: the names of the services in compose.yaml, and their ports inside. Taskcluster is not
# among them: without TLS, functions read it only on their own machine, and their containers are others.
FUNCTIONS_REACH = {
    "EndpointUrl": "http://localstack:4566",
    "PulseUrl": "amqps://broker:5671/%2f",
    "TreeherderUrl": "http://treeherder:8000",
}
# The pages that may use the API: a parameter of the template, and a setting of LocalStack.
ALLOWED_ORIGINS = "https://treeherder.mozilla.org"


def check() -> None:
    """Fail if Docker does not work."""
    for words in (["version", "--format", "{{.Server.Version}}"], ["compose", "version"]):
        try:
            done = subprocess.run(
                ["docker", *words], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
            )
            reason = done.stderr.strip() if done.returncode != 0 else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if reason:
            raise PartFailed("Docker", f"`docker {words[0]}` fails: {reason}\n  Without DOCKER=1 no Docker is needed.")


def pull() -> None:
    """Fetch all images."""
    check()
    for words in (["compose", "--file", str(COMPOSE), "pull"], ["pull", FUNCTION_IMAGE]):
        if subprocess.run(["docker", *words], env=_environment(RUN, (0, 0, 0, 0, 0)), check=False).returncode != 0:
            raise PartFailed("Docker", f"`docker {' '.join(words)}` failed")


def start(ends: contextlib.ExitStack, folder: Path) -> Services:
    """Start all, with their configuration in `folder`. `ends` stops them; none of their data is kept."""
    from localstack.certificates import make as make_certificates

    shutil.rmtree(folder, ignore_errors=True)
    # The users of the containers have to read the mounted files; other users of this machine cannot enter the folder.
    folder.mkdir(mode=0o700, parents=True)
    ends.callback(shutil.rmtree, folder, ignore_errors=True)
    passwords = make_passwords()
    (folder / "definitions.json").write_text(definitions_of(passwords))
    (folder / "rabbitmq.conf").write_text(BROKER_CONFIGURATION)
    make_certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key", "broker")
    for file in folder.iterdir():
        file.chmod(0o644)

    ports = tuple(free_ports(5))
    containers = _Containers(_environment(folder, ports), ports)
    # Containers that a killed run could not remove.
    containers.remove()
    ends.callback(containers.remove)
    say("Starting LocalStack, RabbitMQ and the fakes in containers")
    containers.start()
    emulator, broker, treeherder, taskcluster, artifacts = (f"127.0.0.1:{port}" for port in ports)
    environment.use(environment.settings(f"http://{emulator}"))
    return Services(
        endpoint=f"http://{emulator}",
        pulse=f"{broker}/%2f",
        treeherder=f"http://{treeherder}",
        push_id=containers.printed_by("treeherder").split()[1],
        taskcluster=f"http://{taskcluster}",
        artifacts=f"http://{artifacts}",
        decision_task_id=containers.printed_by("taskcluster").split()[2],
        passwords=passwords,
        # The functions do not reach Taskcluster here.
        taskcluster_client={},
        parameters=FUNCTIONS_REACH
        | {
            "AllowedOrigins": ALLOWED_ORIGINS,
            # Links in answers are for this machine.
            "TreeherderPublicUrl": f"http://{treeherder}",
        },
        has_fronts_in_path=False,
        scratch=folder,
        logs=(LOG, LOG, LOG, LOG),
        running=[containers],
        # `start` returned when all were healthy.
        wait_for_broker=containers.check,
    )


def _environment(folder: Path, ports: tuple[int, ...]) -> dict[str, str]:
    emulator, broker, treeherder, taskcluster, artifacts = map(str, ports)
    return os.environ | {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "FOLDER": str(folder),
        "FAKES": str(FAKES),
        # LocalStack wants commas between them, the template also accepts spaces.
        "ALLOWED_ORIGINS": ",".join(ALLOWED_ORIGINS.replace(",", " ").split()),
        "EMULATOR_PORT": emulator,
        "BROKER_PORT": broker,
        "TREEHERDER_PORT": treeherder,
        "TASKCLUSTER_PORT": taskcluster,
        "ARTIFACT_PORT": artifacts,
    }


class _Containers:
    """The containers of `compose.yaml`."""

    def __init__(self, variables: dict[str, str], ports: tuple[int, ...]) -> None:
        self.variables, self.ports = variables, ports

    def start(self) -> None:
        """Start them, and wait until their health checks succeed."""
        with open(LOG, "w") as log:
            done = self._compose("up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS), stderr=log)
        if done.returncode != 0:
            raise PartFailed("containers", f"do not all start in {START_SECONDS} s", LOG)

    def check(self) -> None:
        """Fail if one has ended by itself: its port is closed then."""
        names = ("localstack", "broker", "treeherder", "taskcluster", "taskcluster")
        for name, port in zip(names, self.ports, strict=True):
            if not is_open(port):
                raise PartFailed(f"container {name}", f"has ended; all of them: {shown(LOG)}", LOG)

    def printed_by(self, service: str) -> str:
        """The output of a container."""
        return self._compose("logs", "--no-log-prefix", service, stdout=subprocess.PIPE).stdout

    def remove(self) -> None:
        """End and remove them, and the containers of functions; the log keeps their output."""
        with open(LOG, "a") as log:
            self._compose("logs", "--no-color", stdout=log, stderr=log)
            mine = ["docker", "ps", "--all", "--quiet", "--filter", f"label=runnable-jobs={PROJECT}"]
            found = subprocess.run(mine, capture_output=True, text=True, check=False).stdout.split()
            if found:
                subprocess.run(["docker", "rm", "--force", *found], stdout=log, stderr=log, check=False)
            self._compose("down", "--volumes", "--timeout", "10", stdout=log, stderr=log)

    def _compose(self, *words: str, **streams: Any) -> subprocess.CompletedProcess:
        command = ["docker", "compose", "--file", str(COMPOSE), *words]
        return subprocess.run(command, env=self.variables, text=True, check=False, **streams)
