"""Shows the tasks that are created as jobs of a fake Treeherder."""

import hashlib
import queue
import sys
import threading
import time
import uuid
from base64 import urlsafe_b64decode
from typing import Any

from localstack.fakes import treeherder
from localstack.fakes.taskcluster.decision import Decision
from localstack.fakes.taskcluster.tasks import RESOLVED, Run, Task

# Treeherder stores no longer names.
MAX_NAME = 139
# Treeherder's words for exceptions.
REASONS = {"canceled": "usercancel", "superseded": "superseded"}


class TreeherderJobs:
    """Sends changes of tasks to the Treeherder at `url`, in the background."""

    def __init__(self, url: str) -> None:
        self.control = treeherder.Control(url)
        self.left: queue.SimpleQueue[tuple[str, int, list[dict[str, Any]]] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._send_all, daemon=True)
        self.thread.start()

    def report(self, task: Task, decision: Decision) -> None:
        """A task of a push is in another state."""
        if jobs := jobs_of(task):
            self.left.put((decision.project, decision.push, jobs))

    def stop(self) -> None:
        """Send what is left."""
        self.left.put(None)
        self.thread.join()

    def _send_all(self) -> None:
        while change := self.left.get():
            project, push, jobs = change
            try:
                for job in jobs:
                    self.control.add_job(project, push, **job)
            except (OSError, ValueError) as error:
                print(f"Treeherder does not take a job: {error}", file=sys.stderr, flush=True)


def jobs_of(task: Task) -> list[dict[str, Any]]:
    """The jobs of a task, one for each run, in Treeherder's form; none if it has no data for Treeherder."""
    data = task.definition["extra"].get("treeherder")
    if not data:
        return []
    runs = task.runs or [Run("unscheduled")]
    return [_job(task, data, number, run, number < len(runs) - 1) for number, run in enumerate(runs)]


def _job(task: Task, data: dict[str, Any], number: int, run: Run, is_retried: bool) -> dict[str, Any]:
    platform = data.get("machine", {}).get("platform") or task.definition["workerType"]
    option = " ".join(data.get("collection", {"opt": True}))
    is_over = run.state in RESOLVED
    return {
        "build_system_type": "taskcluster",
        "build_platform": platform,
        "platform": platform,
        "platform_option": option,
        "job_group_name": data.get("groupName", "unknown"),
        "job_group_symbol": data.get("groupSymbol", "?"),
        "job_guid": f"{uuid.UUID(bytes=urlsafe_b64decode(task.task_id + '=='))}/{number}",
        "job_type_name": task.name[:MAX_NAME],
        "job_type_symbol": str(data["symbol"]),
        # Of a Taskcluster job this is a hash, not the name.
        "ref_data_name": hashlib.sha1(f"{platform} {option} {task.name}".encode()).hexdigest(),
        "state": "completed" if is_over else run.state,
        "result": result_of(run, data.get("jobKind", "other"), is_retried) if is_over else "unknown",
        "tier": data.get("tier", 1),
        "submit_timestamp": int(run.scheduled_at or time.time()),
        "start_timestamp": int(run.started_at or 0),
        "end_timestamp": int(run.resolved_at or 0),
        "task_id": task.task_id,
        "retry_id": number,
    }


def result_of(run: Run, kind: str, is_retried: bool) -> str:
    """Treeherder's word for the result of a run that ended."""
    if is_retried:
        return "retry"
    match run.state:
        case "completed":
            return "success"
        case "failed":
            return "testfailed" if kind == "test" else "busted"
    return REASONS.get(run.reason, "exception")
