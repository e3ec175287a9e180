"""Runs in every state on one push of the running stack, for people and tests that look at the page.

A push that a person selects jobs for has hundreds of runs. They are made up from the list of the project, and are the
same in each run of the stack.
"""

import hashlib
import itertools
import json
import random
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

from localstack.deployment import Deployment
from localstack.fakes.pushes import BUSY_PUSH, pushed_at, slugid
from localstack.fakes.taskcluster import PROJECTS
from localstack.fakes.treeherder import Control

# How many tests have runs.
TESTS = 260
# The runs of a build, and of a test whose build succeeded, oldest first. The words are Treeherder's results, and its
# states of jobs that are not over; CLASSIFIED is a failure whose cause a person named, COALESCED one that another run
# stands for.
CLASSIFIED, COALESCED = "classified", "coalesced"
BUILDS = (
    *[("success",)] * 8,
    ("busted",),
    ("success",),
    ("busted", "success"),
    ("running",),
    ("pending",),
    ("exception", "running"),
    ("usercancel",),
)
ENDINGS = (
    *[("success",)] * 9,
    ("testfailed",),
    ("success", "success"),
    ("running",),
    (CLASSIFIED,),
    ("testfailed", "success"),
    ("pending",),
    ("retry", "success"),
    ("testfailed", "testfailed", "success", "testfailed"),
    ("exception",),
    ("usercancel",),
    ("success",),
    ("superseded",),
    (COALESCED,),
    ("skipped",),
    ("busted",),
    ("testfailed", "running"),
    ("retry", "retry", "pending"),
    ("unscheduled",),
    ("success", "testfailed"),
)
STATES = ("unscheduled", "pending", "running")
# Not classified, fixed by a commit, intermittent, infrastructure.
FAILED, CAUSES = 1, (2, 4, 5)
# Jobs that ran and are not in the list of any project.
UNLISTED = (
    (
        "taskcluster",
        "linux2404-64",
        "opt",
        "test-linux2404-64/opt-mochitest-that-was-renamed-1",
        "M",
        "1",
        "testfailed",
    ),
    ("taskcluster", "linux2404-64", "debug", "test-linux2404-64/debug-xpcshell-that-was-renamed", "X", "X", "success"),
    ("taskcluster", "lint", "opt", "source-test-that-is-gone", "?", "gone", "success"),
    ("taskcluster", "gecko-decision", "opt", "Action: Backfill", "AC", "Bk", "success"),
    ("buildbot", "linux64", "opt", "Linux x86-64 job that is gone", "?", "N", "busted"),
)


def fill(deployment: Deployment, base_url: str, treeherder: Control) -> None:
    """Add the runs to the push of each project that Taskcluster knows. (All other lists have Buildbot jobs alone, and
    reading them would take seconds.)
    """
    for project in PROJECTS:
        listed = deployment.ask("jobs", f"{base_url}/api/project/{project}/runnable_jobs/")
        treeherder.set_jobs(project, BUSY_PUSH, runs(project, json.loads(listed)["results"]))


def runs(project: str, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs, as jobs of Treeherder, of some jobs in a list."""
    chance = random.Random(f"the runs of {project}")
    found: list[dict[str, Any]] = []
    builds = [job for job in listed if not job["upstream"] and "build" in job["ref_data_name"].lower()]
    builds.sort(key=lambda job: job["ref_data_name"])
    is_built: set[str] = set()
    for job, results in zip(builds, itertools.cycle(BUILDS), strict=False):
        found += _runs(project, job, results, chance)
        if results[-1] == "success":
            is_built.add(job["ref_data_name"])
    tests = [job for job in listed if job["upstream"]]
    tests.sort(key=lambda job: job["ref_data_name"])
    ending = itertools.cycle(ENDINGS)
    for job in chance.sample(tests, min(TESTS, len(tests))):
        results = next(ending) if job["upstream"] in is_built else ("unscheduled",)
        found += _runs(project, job, results, chance)
    for system, platform, option, name, group, symbol, result in UNLISTED:
        job = {
            "build_system_type": system,
            "build_platform": platform,
            "platform": platform,
            "platform_option": option,
            "job_group_name": "unknown" if group == "?" else group,
            "job_group_symbol": group,
            "job_type_name": name,
            "job_type_symbol": symbol,
            "ref_data_name": name,
        }
        found += _runs(project, job, (result,), chance)
    return found


def _runs(
    project: str, listed: dict[str, Any], results: tuple[str, ...], chance: random.Random
) -> Iterator[dict[str, Any]]:
    """The runs of one job with these results."""
    name = listed["ref_data_name"]
    job = {key: value for key, value in listed.items() if key != "upstream"}
    is_task = listed["build_system_type"] == "taskcluster"
    if is_task:
        # Treeherder has a hash in place of the name of a task.
        job["ref_data_name"] = job["signature"] = hashlib.sha1(f"{project} {name}".encode()).hexdigest()
    submitted = pushed_at(BUSY_PUSH) + chance.randrange(120, 1200)
    task, retries = slugid("run", project, name, 0), 0
    for number, result in enumerate(results):
        started = submitted + chance.randrange(5, 400)
        is_over = result not in STATES
        ended = started + chance.randrange(60, 3600) if is_over else 0
        identity = {"job_guid": str(uuid.UUID(bytes=chance.randbytes(16)))}
        if is_task:
            identity["job_guid"] = f"{uuid.UUID(bytes=urlsafe_b64decode(task + '=='))}/{retries}"
        yield (
            job
            | identity
            | ({"task_id": task, "retry_id": retries} if is_task else {})
            | {
                "state": "completed" if is_over else result,
                "result": {CLASSIFIED: "testfailed", COALESCED: "superseded"}.get(result, result)
                if is_over
                else "unknown",
                "failure_classification_id": chance.choice(CAUSES) if result == CLASSIFIED else FAILED,
                "job_coalesced_to_guid": str(uuid.UUID(bytes=chance.randbytes(16))) if result == COALESCED else None,
                "submit_timestamp": submitted,
                "start_timestamp": started if is_over or result == "running" else 0,
                "end_timestamp": ended,
            }
        )
        submitted = (ended or started) + 60
        # A task that is retried keeps its id; one that a person starts again is another task.
        if result == "retry":
            retries += 1
        else:
            task, retries = slugid("run", project, name, number + 1), 0
