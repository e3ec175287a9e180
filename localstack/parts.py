"""What a stack is deployed to, as child processes of ours: the emulator, the broker, Treeherder's stand-in."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import environment
from broker import Broker
from checkout import RUN
from emulator import Emulator
from standin import Treeherder

BROKER_LOG = RUN / "broker.log"
EMULATOR_LOG = RUN / "emulator.log"
TREEHERDER_LOG = RUN / "treeherder.log"


class Part(Protocol):
    """Something that runs beside us."""

    def check(self) -> None:
        """Fail if it has ended by itself."""


@dataclasses.dataclass
class Parts:
    """Where everything is, and that it still is."""

    # As this machine reaches them: the emulator, the broker (HOST:PORT/VHOST), Treeherder.
    endpoint: str
    pulse: str
    treeherder: str
    # A push that Treeherder has in every project.
    push_id: str
    # Who may sign in to the broker.
    passwords: dict[str, str]
    # As the functions reach them: parameters of the template.
    parameters: dict[str, str]
    # Whether the emulator takes the name of an API in the path; else it has to be the host.
    has_fronts_in_path: bool
    # A folder for what is needed only now.
    scratch: Path
    # The logs of emulator, broker and Treeherder.
    logs: tuple[Path, Path, Path]
    # Each with what to call to see that it is there.
    running: list[Part]
    wait_for_broker: Callable[[], None]
    # The broker by TLS, for `stack.env`, where this machine reaches it so.
    tls: dict[str, str] = dataclasses.field(default_factory=dict)


def started(ends: contextlib.ExitStack, folder: Path) -> tuple[Parts, Emulator]:
    """Start all, on the data in `folder`; they end with `ends`. The emulator can tell afterwards whether it saved."""
    # First, because it takes longest; the others start meanwhile.
    broker = Broker(folder / "broker", BROKER_LOG)
    ends.callback(broker.end)
    record_process(ends, "broker", broker.process.pid)
    emulator = started_emulator(ends, folder / "emulator", EMULATOR_LOG)
    record_process(ends, "emulator", emulator.process.pid)
    treeherder = Treeherder(TREEHERDER_LOG)
    ends.callback(treeherder.stop)
    record_process(ends, "treeherder", treeherder.process.pid)
    return Parts(
        endpoint=emulator.endpoint, pulse=broker.address, treeherder=treeherder.url, push_id=treeherder.push_id,
        passwords=broker.passwords,
        parameters={
            "EndpointUrl": emulator.endpoint, "PulseUrl": f"amqp://{broker.address}", "TreeherderUrl": treeherder.url,
        },
        has_fronts_in_path=True, scratch=emulator.scratch, logs=(EMULATOR_LOG, BROKER_LOG, TREEHERDER_LOG),
        running=[broker, emulator, treeherder], wait_for_broker=broker.wait_until_ready,
        # As `RUNNABLE_JOBS_PULSE_URL`, without a user.
        tls={"PULSE_TLS_URL": f"amqps://{broker.tls_address}", "PULSE_CA": str(broker.certificates)},
    ), emulator


def started_emulator(ends: contextlib.ExitStack, folder: Path, log: Path) -> Emulator:
    """Start an emulator, and make it the one that this process's AWS clients and its children talk to."""
    emulator = Emulator(folder, log)
    ends.callback(emulator.stop)
    emulator.wait_until_ready()
    environment.use(environment.settings(emulator.endpoint))
    return emulator


def record_process(ends: contextlib.ExitStack, name: str, pid: int) -> None:
    """Write a process id to `.run/NAME.pid` for as long as it runs."""
    file = RUN / f"{name}.pid"
    file.write_text(f"{pid}\n")
    ends.callback(file.unlink, missing_ok=True)
