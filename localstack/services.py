"""The services of a stack as child processes: the emulator, the broker, the fakes of Treeherder and Taskcluster."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from localstack import environment
from localstack.broker import Broker
from localstack.emulator import Emulator
from localstack.paths import RUN
from localstack.taskcluster_process import TaskclusterProcess, parameters
from localstack.treeherder_process import TreeherderProcess

BROKER_LOG = RUN / "broker.log"
EMULATOR_LOG = RUN / "emulator.log"
TREEHERDER_LOG = RUN / "treeherder.log"
TASKCLUSTER_LOG = RUN / "taskcluster.log"


class Service(Protocol):
    """A child process or a group of containers."""

    def check(self) -> None:
        """Fail if it has ended by itself."""


@dataclasses.dataclass
class Services:
    """The addresses of all services, and a check that they still run."""

    # As this machine reaches them: the emulator, the broker (HOST:PORT/VHOST), Treeherder.
    endpoint: str
    pulse: str
    treeherder: str
    # A push that Treeherder has in every project.
    push_id: str
    # Taskcluster's root URL and the host of its artifacts, as this machine reaches them, and the decision task of that
    # push of `try`.
    taskcluster: str
    artifacts: str
    decision_task_id: str
    # The passwords of the broker's users.
    passwords: dict[str, str]
    # The client that triggers jobs of Taskcluster, as its parameter has it; empty: they cannot be triggered.
    taskcluster_client: dict[str, str]
    # As the functions reach them: parameters of the template.
    parameters: dict[str, str]
    # Whether the emulator takes the name of an API in the path; otherwise it has to be the host.
    has_fronts_in_path: bool
    # A folder that is needed only while the stack runs.
    scratch: Path
    # The logs of emulator, broker, Treeherder and Taskcluster.
    logs: tuple[Path, Path, Path, Path]
    running: list[Service]
    wait_for_broker: Callable[[], None]
    # The broker by TLS, for `stack.env`, where this machine can reach it so.
    tls: dict[str, str] = dataclasses.field(default_factory=dict)


def start(ends: contextlib.ExitStack, folder: Path) -> tuple[Services, Emulator]:
    """Start all on the data in `folder`; `ends` stops them. The emulator can report afterwards whether it saved."""
    # First, because it takes longest; the others start meanwhile.
    broker = Broker(folder / "broker", BROKER_LOG)
    ends.callback(broker.end)
    record_process(ends, "broker", broker.process.pid)
    emulator = start_emulator(ends, folder / "emulator", EMULATOR_LOG)
    record_process(ends, "emulator", emulator.process.pid)
    treeherder = TreeherderProcess(TREEHERDER_LOG)
    ends.callback(treeherder.stop)
    record_process(ends, "treeherder", treeherder.process.pid)
    taskcluster = TaskclusterProcess(TASKCLUSTER_LOG, treeherder.url)
    ends.callback(taskcluster.stop)
    record_process(ends, "taskcluster", taskcluster.process.pid)
    services = Services(
        endpoint=emulator.endpoint,
        pulse=broker.address,
        treeherder=treeherder.url,
        push_id=treeherder.push_id,
        taskcluster=taskcluster.url,
        artifacts=taskcluster.artifact_url,
        decision_task_id=taskcluster.decision_task_id,
        passwords=broker.passwords,
        taskcluster_client=taskcluster.client(),
        parameters={
            "EndpointUrl": emulator.endpoint,
            "PulseUrl": f"amqp://{broker.address}",
            "TreeherderUrl": treeherder.url,
        }
        | parameters(taskcluster.url, taskcluster.artifact_url),
        has_fronts_in_path=True,
        scratch=emulator.scratch,
        logs=(EMULATOR_LOG, BROKER_LOG, TREEHERDER_LOG, TASKCLUSTER_LOG),
        running=[broker, emulator, treeherder, taskcluster],
        wait_for_broker=broker.wait_until_ready,
        # As `RUNNABLE_JOBS_PULSE_URL`, without a user.
        tls={"PULSE_TLS_URL": f"amqps://{broker.tls_address}", "PULSE_CA": str(broker.certificates)},
    )
    return services, emulator


def start_emulator(ends: contextlib.ExitStack, folder: Path, log: Path) -> Emulator:
    """Start an emulator, and point the AWS clients of this process and its children to it."""
    emulator = Emulator(folder, log)
    ends.callback(emulator.stop)
    emulator.wait_until_ready()
    environment.use(environment.settings(emulator.endpoint))
    return emulator


def record_process(ends: contextlib.ExitStack, name: str, pid: int) -> None:
    """Write a process id to `.run/NAME.pid` for as long as the process runs."""
    file = RUN / f"{name}.pid"
    file.write_text(f"{pid}\n")
    ends.callback(file.unlink, missing_ok=True)
