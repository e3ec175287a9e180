"""All tasks, the Index, the faults, and the log of requests."""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

from localstack.fakes.pushes import PUSH_IDS, decision_task_id, revision_of, slugid
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.decision import Decision, every_decision, timestamp
from localstack.fakes.taskcluster.faults import Fault, Invalid

STATES = ("unscheduled", "pending", "running", "completed", "failed", "exception")
RESOLVED = ("completed", "failed", "exception")
# How many requests the log keeps.
MAX_REQUESTS = 10_000


@dataclasses.dataclass
class Run:
    """One run of a task."""

    state: str
    reason: str = ""
    has_artifacts: bool = False


@dataclasses.dataclass
class Task:
    """A task: its definition, its runs and its artifacts."""

    task_id: str
    definition: dict[str, Any]
    artifacts: dict[str, Artifact]
    runs: list[Run] = dataclasses.field(default_factory=lambda: [Run("completed", "completed", True)])

    @property
    def state(self) -> str:
        """The state of the task, which is that of its last run."""
        return self.runs[-1].state if self.runs else "unscheduled"

    def artifacts_of(self, run: int) -> dict[str, Artifact]:
        """The artifacts of a run."""
        if not (0 <= run < len(self.runs) and self.runs[run].has_artifacts):
            return {name: artifact for name, artifact in self.artifacts.items() if artifact.run == run}
        return {name: artifact for name, artifact in self.artifacts.items() if artifact.run in (None, run)}

    def status(self) -> dict[str, Any]:
        """The status, as `queue.status` returns it."""
        taken = ("provisionerId", "workerType", "taskQueueId", "schedulerId", "projectId", "taskGroupId")
        return {
            "taskId": self.task_id,
            **{name: self.definition[name] for name in (*taken, "deadline", "expires")},
            "retriesLeft": self.definition["retries"] - max(len(self.runs) - 1, 0),
            "state": self.state,
            "runs": [self._run(number, run) for number, run in enumerate(self.runs)],
        }

    def _run(self, number: int, run: Run) -> dict[str, Any]:
        created = self.definition["created"]
        found = {
            "runId": number,
            "state": run.state,
            "reasonCreated": "retry" if number else "scheduled",
            "scheduled": created,
        }
        if run.state == "pending":
            return found
        found |= {"workerGroup": "us-west-2", "workerId": "i-0123456789abcdef0", "started": created}
        if run.state == "running":
            return found | {"takenUntil": self.definition["deadline"]}
        return found | {"reasonResolved": run.reason, "resolved": created}


@dataclasses.dataclass
class IndexEntry:
    """A task in the Index."""

    task_id: str
    rank: int
    expires: str


class State:
    """All that the fake knows. Hold `lock` to use it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.requests: collections.deque[dict[str, Any]] = collections.deque(maxlen=MAX_REQUESTS)
        self.api_faults: dict[str, Fault] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything that control requests set."""
        with self.lock:
            self.end_waits()
            self.api_faults = {}
            self.requests.clear()
            # In the order in which they completed.
            self.tasks = {decision.task_id: _task(decision) for decision in every_decision()}
            self.pinned: dict[str, str | None] = {}
            self._index_all()

    def end_waits(self) -> None:
        """End the waits of slow answers."""
        with self.lock:
            artifacts = [each for task in getattr(self, "tasks", {}).values() for each in task.artifacts.values()]
            for fault in (*self.api_faults.values(), *(artifact.fault for artifact in artifacts)):
                if fault:
                    fault.ended.set()

    def task(self, task_id: str) -> Task:
        """A task that a control request names."""
        if not (task := self.tasks.get(task_id)):
            raise Invalid(f"there is no task {task_id}")
        return task

    def add_decision_task(self, project: str, push: int | None, revision: str | None, task_id: str | None) -> str:
        """Add a completed decision task; returns its id."""
        with self.lock:
            push = PUSH_IDS[-1] + 1 if push is None else push
            usual = decision_task_id(project, push)
            if task_id is None:
                task_id = usual if usual not in self.tasks else slugid("another", project, push, len(self.tasks))
            decision = Decision(task_id, project, push, revision or revision_of(project, push))
            self.tasks[task_id] = _task(decision)
            self._index_all()
            return task_id

    def remove_task(self, task_id: str) -> None:
        """Forget a task, as when it has expired."""
        with self.lock:
            self.task(task_id)
            del self.tasks[task_id]
            self._index_all()

    def set_state(self, task_id: str, state: str, reason: str, has_artifacts: bool, retried: bool) -> None:
        """Set the runs of a task; a task that completes now is the latest one of its project."""
        if state not in STATES:
            raise Invalid(f"a state is one of {', '.join(STATES)}")
        with self.lock:
            task = self.task(task_id)
            if not reason and state in RESOLVED:
                reason = "deadline-exceeded" if state == "exception" else state
            task.runs = [Run("exception", "worker-shutdown", has_artifacts)] if retried else []
            if state != "unscheduled":
                is_done = state in RESOLVED
                task.runs.append(Run(state, reason if is_done else "", has_artifacts and is_done and not retried))
            self.tasks[task_id] = self.tasks.pop(task_id)
            self._index_all()

    def pin(self, path: str, task_id: str | None) -> None:
        """Set what the Index has at a path: a task, or nothing."""
        with self.lock:
            if task_id is not None:
                self.task(task_id)
            self.pinned[path] = task_id
            self._index_all()

    def set_artifact(self, task_id: str, name: str, artifact: Artifact | None) -> None:
        """Set an artifact of a task, or remove it."""
        with self.lock:
            task = self.task(task_id)
            if old := task.artifacts.pop(name, None):
                _end(old.fault)
            if artifact:
                task.artifacts[name] = artifact

    def change_artifact(self, task_id: str, name: str, change: Callable[[Artifact], None]) -> None:
        """Change an artifact that a task has."""
        with self.lock:
            if not (artifact := self.task(task_id).artifacts.get(name)):
                raise Invalid(f"{task_id} has no artifact {name}")
            _end(artifact.fault)
            change(artifact)

    def set_api_fault(self, prefix: str, fault: Fault | None) -> None:
        """Set what happens to the API's answers below a path."""
        with self.lock:
            _end(self.api_faults.pop(prefix, None))
            if fault:
                self.api_faults[prefix] = fault

    def api_fault(self, path: str) -> Fault | None:
        """The fault of an answer of the API, which counts as one of its times."""
        with self.lock:
            found = [prefix for prefix in self.api_faults if path.startswith(prefix)]
            return self.counted(self.api_faults[max(found, key=len)]) if found else None

    def counted(self, fault: Fault | None) -> Fault | None:
        """The fault, unless it has happened as often as it should; this is one time more."""
        with self.lock:
            if fault and fault.times is not None:
                if fault.times <= 0:
                    return None
                fault.times -= 1
            return fault

    def record(self, server: str, method: str, path: str, headers: dict[str, str]) -> None:
        """Add a request to the log."""
        with self.lock:
            self.requests.append({"server": server, "method": method, "path": path, "headers": headers})

    def _index_all(self) -> None:
        """The Index, of the completed tasks in the order in which they completed."""
        self.index: dict[str, IndexEntry] = {}
        for task in self.tasks.values():
            if task.state != "completed":
                continue
            rank = task.definition["extra"].get("index", {}).get("rank", 0)
            for route in task.definition["routes"]:
                path = route.removeprefix("index.")
                if path != route and ((old := self.index.get(path)) is None or old.rank <= rank):
                    self.index[path] = IndexEntry(task.task_id, rank, task.definition["expires"])
        for path, task_id in self.pinned.items():
            self.index.pop(path, None)
            if task_id is not None:
                self.index[path] = IndexEntry(task_id, 0, timestamp(time.time() + 86_400))


def _task(decision: Decision) -> Task:
    return Task(decision.task_id, decision.definition(), decision.artifacts())


def _end(fault: Fault | None) -> None:
    if fault:
        fault.ended.set()
