"""One push of a running stack has runs in every state, the same ones each time."""

import collections
from typing import Any

import pytest

from localstack import busy_push
from localstack.fakes.pushes import BUSY_PUSH
from localstack.fakes.treeherder import Treeherder
from tests.support.fake_taskcluster import ask


def listed(system: str, name: str, upstream: str | None) -> dict[str, Any]:
    """A job as the API lists it."""
    return {
        "build_platform": "linux64",
        "build_system_type": system,
        "job_group_name": "Mochitest",
        "job_group_symbol": "M",
        "job_type_name": name if system == "taskcluster" else "Mochitest",
        "job_type_symbol": "1",
        "platform": "linux64",
        "platform_option": "opt",
        "ref_data_name": name,
        "state": "runnable",
        "result": "runnable",
        "upstream": upstream,
    }


LISTED = [
    job
    for system in ("buildbot", "taskcluster")
    for number in range(30)
    for build in [f"{system} build {number}"]
    for job in (
        listed(system, build, None),
        *(listed(system, f"{system} test {number}.{each}", build) for each in range(8)),
    )
]


@pytest.fixture
def shown(treeherder: Treeherder) -> list[dict[str, Any]]:
    """The runs, as Treeherder shows them: without the decision task."""
    treeherder.set_jobs("try", BUSY_PUSH, busy_push.runs("try", LISTED))
    found = ask(f"{treeherder.url}/api/project/try/jobs/?push_id={BUSY_PUSH}&count=2000").json()["results"]
    return [job for job in found if job["job_type_symbol"] != "D"]


def name_of(run: dict[str, Any]) -> str:
    return run["job_type_name"] if run["build_system_type"] == "taskcluster" else run["ref_data_name"]


def by_job(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = collections.defaultdict(list)
    for run in runs:
        found[name_of(run)].append(run)
    return found


def status(run: dict[str, Any]) -> str:
    return run["result"] if run["state"] == "completed" else run["state"]


def test_runs_of_both_systems_are_in_every_state(shown: list[dict[str, Any]]) -> None:
    assert 300 < len(shown) < 600
    for system in ("buildbot", "taskcluster"):
        runs = [run for run in shown if run["build_system_type"] == system]
        assert {status(run) for run in runs} == {
            *("success", "testfailed", "busted", "exception", "retry", "usercancel", "superseded", "skipped"),
            *("running", "pending", "unscheduled"),
        }
        assert any(run["job_coalesced_to_guid"] for run in runs)
    causes = {run["failure_classification_id"] for run in shown if status(run) == "testfailed"}
    assert 1 in causes
    assert causes & {2, 4, 5}


def test_the_runs_are_the_same_each_time_and_differ_between_projects() -> None:
    assert busy_push.runs("try", LISTED) == busy_push.runs("try", LISTED[::-1])
    names = [[name_of(run) for run in busy_push.runs(project, LISTED)] for project in ("try", "autoland")]
    assert names[0] != names[1]


def test_some_jobs_have_several_runs_and_some_are_not_in_the_list(shown: list[dict[str, Any]]) -> None:
    jobs = by_job(shown)
    known = {job["ref_data_name"] for job in LISTED}

    assert max(len(runs) for runs in jobs.values()) >= 4
    assert 3 <= len(jobs.keys() - known) <= 10
    assert len(known - jobs.keys()) > 50
    guids = [run["job_guid"] for run in shown]
    assert len(set(guids)) == len(guids)
    # A run that is retried and the next one are of one task.
    retried = [runs for runs in jobs.values() if status(runs[0]) == "retry" and runs[0]["task_id"]]
    assert retried
    for first, second, *_ in retried:
        assert (first["task_id"], first["retry_id"] + 1) == (second["task_id"], second["retry_id"])


def test_tests_wait_for_builds_that_have_not_succeeded(shown: list[dict[str, Any]]) -> None:
    jobs = by_job(shown)
    upstream = {job["ref_data_name"]: job["upstream"] for job in LISTED}
    builds = {status(runs[-1]) for name, runs in jobs.items() if name in upstream and not upstream[name]}

    assert builds >= {"success", "busted", "running", "pending"}
    for name, runs in jobs.items():
        if (build := upstream.get(name)) and status(jobs[build][-1]) != "success":
            assert [status(run) for run in runs] == ["unscheduled"]
