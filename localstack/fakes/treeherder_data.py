"""What the fake Treeherder knows: the pushes and jobs of all projects, in Treeherder's shape."""

import hashlib
import itertools
import operator
import threading
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from localstack.fakes.pushes import ALL_PUSHES, author_of, commits_of, decision_task_id, pushed_at, revision_of

# Treeherder's states of a job, and the times when some of them began.
STATES = ("unscheduled", "pending", "running", "completed")
TIMES = {"running": "start_timestamp", "completed": "end_timestamp"}

# The properties of jobs by which a list of them can be filtered.
FILTERS = ("build_system_type", "job_type_name", "job_type_symbol", "platform", "result", "state")

# How many pushes Treeherder returns by default, and at most; and how many commits of each.
DEFAULT_PUSHES, MAX_PUSHES, MAX_COMMITS = 10, 1000, 20
LONG_REVISION = 40
COMPARISONS = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}

MODES = ("ok", "down", "slow", "garbage", "huge")
# Longer than any client should wait.
SLOW_SECONDS = 60


class NotFound(Exception):
    """The requested object does not exist; holds what Treeherder answers then."""


class Invalid(Exception):
    """A control request is invalid."""


def _filter(name: str, value: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a parameter of a query wants a push. Treeherder ignores parameters that it does not know."""
    match name.split("__"):
        case ["revision"]:
            return lambda push: push["revision"].startswith(value)
        case ["commit_revision"]:
            return lambda push: any(commit["revision"] == value for commit in push["revisions"])
        case ["author"] if value.startswith("-"):
            return lambda push: push["author"] != value[1:]
        case ["author"]:
            return lambda push: push["author"] == value
        case ["id", "in"]:
            ids = _numbers(value.split(","), "Invalid id__in specification")
            return lambda push: push["id"] in ids
        case ["id"]:
            [wanted] = _numbers([value], f"Invalid timestamp specified for {name}")
            return lambda push: push["id"] == wanted
        case [("id" | "push_timestamp") as key, comparison] if compare := COMPARISONS.get(comparison):
            [limit] = _numbers([value], f"Invalid timestamp specified for {name}")
            return lambda push: compare(push[key], limit)
    return bool


def _numbers(texts: list[str], error: str) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise ValueError(error) from None


def _whole(job: dict[str, Any]) -> dict[str, Any]:
    """A job with all properties that Treeherder's jobs have."""
    platform, option = job.get("platform", ""), job.get("platform_option", "opt")
    is_task = job["build_system_type"] == "taskcluster"
    return {
        "build_architecture": "-",
        "build_os": "-",
        "build_platform": platform,
        "end_timestamp": 0,
        "failure_classification_id": 1,
        "job_group_description": "",
        "job_group_name": "unknown",
        "job_group_symbol": "?",
        "job_guid": "",
        "job_type_description": "",
        "job_type_name": job["ref_data_name"],
        "job_type_symbol": "?",
        "machine_name": "",
        "machine_platform_architecture": "-",
        "machine_platform_os": "-",
        "option_collection_hash": hashlib.sha1(str(option).encode()).hexdigest(),
        "platform": platform,
        "platform_option": option,
        "reason": "scheduled",
        "result_set_id": job["push_id"],
        "signature": hashlib.sha1(job["ref_data_name"].encode()).hexdigest(),
        "start_timestamp": 0,
        "tier": 1,
        "who": "",
        # Without a task of Taskcluster, Treeherder has neither.
        **({} if is_task else {"task_id": None, "retry_id": None}),
    } | job


class Data:
    """The pushes and jobs of all projects, and the mode."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.mode = "ok"
        self.is_slow = threading.Condition(self.lock)
        self.authors: dict[tuple[str, int], str] = {}
        self.jobs: dict[tuple[str, int], list[dict[str, Any]]] = {}
        # Of jobs that are added: above those of the jobs that are set together.
        self.ids = itertools.count(1_000_000_000)
        self.decisions: dict[tuple[str, int], dict[str, Any] | None] = {}

    def push(self, project: str, push: int) -> dict[str, Any]:
        """One push, in Treeherder's shape."""
        with self.lock:
            author = self.authors.get((project, push))
        if author is None and push in ALL_PUSHES:
            author = author_of(push)
        if author is None:
            raise NotFound(f"No push with id: {push}")
        commits = [{"result_set_id": push, "repository_id": 1} | commit for commit in commits_of(project, push)]
        return {
            "id": push,
            "revision": revision_of(project, push),
            "author": author,
            # Treeherder shows no more.
            "revisions": commits[:MAX_COMMITS],
            "revision_count": len(commits),
            "push_timestamp": pushed_at(push),
            "repository_id": 1,
        }

    def pushes(self, project: str, query: dict[str, str]) -> dict[str, Any]:
        """The newest pushes that a query asks for, in Treeherder's shape."""
        with self.lock:
            ids = {*ALL_PUSHES, *(push for name, push in self.authors if name == project)}
        meta = {name: query[name] for name in ("revision", "commit_revision") if query.get(name)}
        filters = {name: value for name, value in query.items() if name not in meta}
        wanted = [_filter(name, value) for name, value in query.items() if value]
        found = [self.push(project, push) for push in sorted(ids, key=pushed_at, reverse=True)]
        try:
            count = int(query.get("count", DEFAULT_PUSHES))
        except ValueError:
            raise ValueError("Valid count value required") from None
        if count > MAX_PUSHES:
            raise ValueError(f"Specified count exceeds api limit: {MAX_PUSHES}")
        results = [push for push in found if all(is_wanted(push) for is_wanted in wanted)][:count]
        if "revision" in meta:
            length = "long" if len(meta["revision"]) == LONG_REVISION else "short"
            filters[f"revisions_{length}_revision"] = meta["revision"]
        more = {"count": len(results), "repository": project, "filter_params": filters}
        return {"meta": meta | more, "results": results}

    def page_of_jobs(
        self, project: str, push: int, offset: int, count: int, wanted: dict[str, list[str]]
    ) -> dict[str, Any]:
        """Some of a push's jobs, in Treeherder's shape: those with the `wanted` properties. An unknown push has none,
        as in Treeherder.
        """
        with self.lock:
            jobs = self.jobs.get((project, push), [])
        decision = self.decision_job(project, push)
        jobs = [
            job
            for job in ([decision] if decision else []) + jobs
            if all(str(job.get(name)) in wanted[name] for name in FILTERS if name in wanted)
        ]
        return {
            "meta": {"repository": project, "offset": offset, "count": count},
            "results": [_whole(job) for job in jobs[offset : offset + count]],
        }

    def decision_job(self, project: str, push: int) -> dict[str, Any] | None:
        """The job of a push's decision task, in Treeherder's shape."""
        with self.lock:
            is_known = push in ALL_PUSHES or (project, push) in self.authors
            usual: dict[str, Any] = {"state": "completed", "result": "success", "run": 0}
            found = self.decisions.get((project, push), usual if is_known else None)
        if found is None:
            return None
        task_id, run = found.get("task_id") or decision_task_id(project, push), found["run"]
        signature = hashlib.sha1(f"{project} Gecko Decision Task".encode()).hexdigest()
        return {
            "id": push * 10_000 + 9_999,
            "push_id": push,
            "build_system_type": "taskcluster",
            "build_platform": "gecko-decision",
            "platform": "gecko-decision",
            "platform_option": "opt",
            "job_group_name": "unknown",
            "job_group_symbol": "?",
            "job_guid": f"{uuid.UUID(bytes=urlsafe_b64decode(task_id + '=='))}/{run}",
            "job_type_name": "Gecko Decision Task",
            "job_type_symbol": "D",
            # Of a Taskcluster job this is a hash, not the name.
            "ref_data_name": signature,
            "signature": signature,
            "state": found["state"],
            "result": found["result"] if found["state"] == "completed" else "unknown",
            "tier": 1,
            "submit_timestamp": pushed_at(push),
            "task_id": task_id,
            "retry_id": run,
        }

    def decision_tasks(self, project: str, pushes: str) -> dict[str, Any]:
        """The decision tasks of pushes that succeeded, by push."""
        found = {}
        for push in pushes.split(","):
            job = self.decision_job(project, int(push))
            if job and job["result"] == "success":
                found[str(int(push))] = {"id": job["task_id"], "run": str(job["retry_id"])}
        if not found:
            raise NotFound(f"No decision tasks found for pushes: {pushes}")
        return found

    def set_decision(self, project: str, push: int, content: Any) -> None:
        match content:
            case {"task_id": str() | None as task_id, "state": state, "result": str(), "run": int()}:
                if state not in STATES:
                    raise Invalid(f"a state is one of {', '.join(STATES)}")
                with self.lock:
                    self.decisions[project, push] = None if task_id == "" else content
            case _:
                raise Invalid("a decision task has task_id, state, result and run")

    def set_author(self, project: str, push: int, content: Any) -> None:
        match content:
            case {"author": str(author)} if len(content) == 1:
                with self.lock:
                    self.authors[project, push] = author
            case _:
                raise Invalid('a push is {"author": "..."}')

    def set_jobs(self, project: str, push: int, content: Any) -> None:
        if not isinstance(content, list):
            raise Invalid("jobs are a list")
        jobs = []
        for number, job in enumerate(content):
            if not isinstance(job, dict) or "ref_data_name" not in job:
                raise Invalid(f"job {number} has no ref_data_name")
            state = job.get("state", "completed")
            if state not in STATES:
                raise Invalid(f"job {number}: a state is one of {', '.join(STATES)}")
            jobs.append(
                {
                    "id": push * 10_000 + number,
                    "push_id": push,
                    "build_system_type": "buildbot",
                    "state": state,
                    "result": "success" if state == "completed" else "unknown",
                    "submit_timestamp": int(time.time()),
                }
                | job
            )
        with self.lock:
            self.jobs[project, push] = jobs

    def add_job(self, project: str, push: int, content: Any) -> int:
        """Add a job, or change the one that has its `job_guid`; returns its id."""
        match content:
            case {"ref_data_name": str(), "state": state} if state in STATES:
                pass
            case _:
                raise Invalid(f"a job has a ref_data_name, and a state, which is one of {', '.join(STATES)}")
        now = int(time.time())
        with self.lock:
            jobs = self.jobs.setdefault((project, push), [])
            for job in jobs:
                if "job_guid" in content and job.get("job_guid") == content["job_guid"]:
                    job.update(content)
                    return job["id"]
            usual = {"build_system_type": "buildbot", "result": "unknown", "submit_timestamp": now}
            added = usual | {"job_guid": str(uuid.uuid4())} | content | {"id": next(self.ids), "push_id": push}
            jobs.append(added)
            return added["id"]

    def set_state(self, job_id: int, content: Any) -> None:
        match content:
            case {"state": state, "result": str(result)} if state in STATES:
                pass
            case _:
                raise Invalid(f"a job has a result, and a state, which is one of {', '.join(STATES)}")
        found = {"state": state, "result": result if state == "completed" else "unknown"}
        if state in TIMES:
            found[TIMES[state]] = int(time.time())
        with self.lock:
            jobs = [job for jobs in self.jobs.values() for job in jobs if job["id"] == job_id]
            if not jobs:
                raise Invalid(f"there is no job {job_id}")
            jobs[0].update(found)

    def set_mode(self, content: Any) -> None:
        match content:
            case {"mode": mode} if mode in MODES:
                with self.lock:
                    self.mode = mode
                    self.is_slow.notify_all()
            case _:
                raise Invalid(f"a mode is one of {', '.join(MODES)}")

    def wait_slowly(self) -> None:
        """Return after a minute, or when the mode changes."""
        with self.lock:
            self.is_slow.wait_for(lambda: self.mode != "slow", SLOW_SECONDS)

    def end_slowness(self) -> None:
        """End the waits of slow answers."""
        with self.lock:
            self.mode = "ok"
            self.is_slow.notify_all()
