"""Jobs that a message asks for appear in the fake Treeherder, run, and end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localstack.fakes.buildbot import Buildbot
from localstack.fakes.pushes import PUSH_ID
from localstack.fakes.treeherder import Treeherder
from localstack.process import module_environment
from tests.support.fake_taskcluster import ask

BUILD, TEST = "Linux x86-64 try build", "Ubuntu VM 12.04 x64 try opt test mochitest-1"


def message(number: int, *names: str, field: str = "requested_jobs", envelope: bool = False) -> dict[str, Any]:
    """A message, as the listener describes it."""
    content = {"version": 1, "project": "try", "resultset_id": str(PUSH_ID), field: list(names)}
    return {"message_id": str(number), "body": {"payload": content, "_meta": {}} if envelope else content}


def jobs(treeherder: Treeherder) -> dict[str, tuple[str, str]]:
    """The states and the results of the push's Buildbot jobs."""
    url = f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}&build_system_type=buildbot&count=2000"
    return {job["ref_data_name"]: (job["state"], job["result"]) for job in ask(url).json()["results"]}


def wait_for(treeherder: Treeherder, expected: dict[str, tuple[str, str]]) -> None:
    deadline = time.monotonic() + 10
    while jobs(treeherder) != expected:
        assert time.monotonic() < deadline, jobs(treeherder)
        time.sleep(0.01)


@pytest.fixture
def buildbot(treeherder: Treeherder) -> Iterator[Buildbot]:
    found = Buildbot(treeherder.url, 0.2, {TEST: "testfailed", "a build": "never"})
    yield found
    found.stop()


def test_a_job_appears_runs_and_ends(treeherder: Treeherder, buildbot: Buildbot) -> None:
    buildbot.receive(message(1, BUILD, TEST, "a build"))

    assert jobs(treeherder) == {}
    for states in ("pending", "running"):
        wait_for(treeherder, dict.fromkeys((BUILD, TEST), (states, "unknown")))
    wait_for(treeherder, {BUILD: ("completed", "success"), TEST: ("completed", "testfailed")})


@pytest.mark.parametrize("envelope", [False, True])
@pytest.mark.parametrize("field", ["requested_jobs", "buildernames"])
def test_each_form_of_a_message_is_understood_and_one_that_comes_again_asks_for_nothing(
    treeherder: Treeherder, field: str, envelope: bool
) -> None:
    buildbot = Buildbot(treeherder.url, 0)
    for number in (1, 1, 2):
        buildbot.receive(message(number, BUILD, field=field, envelope=envelope))
    deadline = time.monotonic() + 10
    url = f"{treeherder.url}/api/project/try/jobs/?push_id={PUSH_ID}&build_system_type=buildbot"
    while len(ask(f"{url}&state=completed").json()["results"]) < 2:
        assert time.monotonic() < deadline
    buildbot.stop()

    assert len(ask(url).json()["results"]) == 2


def test_all_jobs_can_have_a_result_and_a_treeherder_that_is_gone_does_not_matter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    treeherder = Treeherder().start()
    buildbot = Buildbot(treeherder.url, 0, {"*": "busted"})
    buildbot.receive(message(1, BUILD))
    wait_for(treeherder, {BUILD: ("completed", "busted")})
    treeherder.stop()
    buildbot.receive(message(2, BUILD))
    deadline = time.monotonic() + 10
    while "does not take a job" not in capsys.readouterr().err:
        assert time.monotonic() < deadline
    assert buildbot.thread.is_alive()
    buildbot.stop()


@pytest.mark.parametrize("command", [["-m", "localstack.fakes.pulse_listener"], ["localstack/fakes/pulse_listener.py"]])
def test_the_listener_refuses_a_result_without_a_name(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command, "--result", "success"],
        env=module_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "'success' is not NAME=RESULT" in done.stderr) == (2, True), done.stderr
