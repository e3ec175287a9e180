"""All tasks, the Index, the hooks, the clients, the faults, and the log of requests."""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from localstack.fakes.pushes import PUSH_IDS, decision_task_id, revision_of, slugid
from localstack.fakes.taskcluster import graph
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.clients import Clients, new_token
from localstack.fakes.taskcluster.decision import PROJECTS, Decision, every_decision
from localstack.fakes.taskcluster.faults import Fault, Invalid
from localstack.fakes.taskcluster.hooks import Firing, hooks_of
from localstack.fakes.taskcluster.life import PACE, Life
from localstack.fakes.taskcluster.tasks import RESOLVED, STATES, Run, Task
from localstack.fakes.taskcluster.times import timestamp

# How many requests the log keeps.
MAX_REQUESTS = 10_000
# How many calls of hooks are kept, with their bodies.
MAX_TRIGGERS = 1_000
Counted = TypeVar("Counted", Fault, Firing)


class Action(Protocol):
    """An action that was created."""

    def summary(self) -> dict[str, Any]:
        """What tests want to know."""


@dataclasses.dataclass
class IndexEntry:
    """A task in the Index."""

    task_id: str
    rank: int
    expires: str


class State:
    """All that the fake knows. Hold `lock` to use it."""

    def __init__(self, pace: float | None = PACE) -> None:
        self.lock = threading.RLock()
        self.requests: collections.deque[dict[str, Any]] = collections.deque(maxlen=MAX_REQUESTS)
        self.triggers: collections.deque[dict[str, Any]] = collections.deque(maxlen=MAX_TRIGGERS)
        self.calls: collections.Counter[str] = collections.Counter()
        self.api_faults: dict[str, Fault] = {}
        # The access token of the client that the fake starts with.
        self.token = new_token()
        self.life = Life(self.lock, self.changed, pace)
        # What gets each change of a task, and its decision task.
        self.report: Callable[[Task, Decision], None] = lambda _task, _decision: None
        self.ended_waits = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Forget everything that control requests set, and the tasks that were created."""
        with self.lock:
            self.end_waits()
            self.life.forget_all()
            self.api_faults = {}
            self.forget_requests()
            self.decisions = {decision.task_id: decision for decision in every_decision()}
            # In the order in which they completed.
            self.tasks = {decision.task_id: _task(decision) for decision in self.decisions.values()}
            # The tasks that depend on a task.
            self.dependents: dict[str, list[str]] = {}
            self.actions: dict[str, Action] = {}
            self.hooks = {name: hook for project in PROJECTS for name, hook in hooks_of(project).items()}
            self.clients = Clients(self.token)
            self.firing: Firing | None = None
            # Why createTask refuses labels.
            self.creation_errors: dict[str, str] = {}
            self.pinned: dict[str, str | None] = {}
            self._index_all()

    def forget_requests(self) -> None:
        """Forget the requests so far."""
        with self.lock:
            self.requests.clear()
            self.triggers.clear()
            self.calls.clear()

    def end_waits(self) -> None:
        """End the waits of slow answers."""
        with self.lock:
            artifacts = [each for task in getattr(self, "tasks", {}).values() for each in task.artifacts.values()]
            for fault in (*self.api_faults.values(), *(artifact.fault for artifact in artifacts)):
                if fault:
                    fault.ended.set()
            self.ended_waits.set()
            self.ended_waits = threading.Event()

    def find(self, task_id: str) -> Task | None:
        """A task. Those that decision tasks created are made when they are looked for; all of them completed."""
        if task := self.tasks.get(task_id):
            return task
        for decision in self.decisions.values():
            if label := graph.labels_by_task(decision.project, decision.push).get(task_id):
                self.tasks[task_id] = Task(task_id, decision.created(label))
                return self.tasks[task_id]
        return None

    def task(self, task_id: str) -> Task:
        """A task that a control request names."""
        if not (task := self.find(task_id)):
            raise Invalid(f"there is no task {task_id}")
        return task

    def add(self, task: Task) -> None:
        """Add a task that was created: it waits for the tasks that it depends on."""
        self.tasks[task.task_id] = task
        for each in task.definition["dependencies"]:
            self.dependents.setdefault(each, []).append(task.task_id)
        if not self._schedule(task):
            self._reported(task)

    def changed(self, task: Task) -> None:
        """A task is in another state: the tasks that waited for it may start, and the Index has it if it completed."""
        if task.state == "completed":
            if any(route.startswith("index.") for route in task.definition["routes"]):
                self.tasks[task.task_id] = self.tasks.pop(task.task_id)
                self._index_all()
            for each in self.dependents.get(task.task_id, ()):
                if each in self.tasks:
                    self._schedule(self.tasks[each])
        self._reported(task)

    def _schedule(self, task: Task) -> bool:
        """Make a task pending if all that it depends on completed; a task that is not known did."""
        found = (self.find(each) for each in task.definition["dependencies"])
        if task.runs or any(each and each.state != "completed" for each in found):
            return False
        task.runs.append(Run("pending", scheduled_at=time.time()))
        self.life.begin(task)
        self._reported(task)
        return True

    def _reported(self, task: Task) -> None:
        if decision := self.decisions.get(task.definition["taskGroupId"]):
            self.report(task, decision)

    def add_decision_task(self, project: str, push: int | None, revision: str | None, task_id: str | None) -> str:
        """Add a completed decision task; returns its id."""
        with self.lock:
            push = PUSH_IDS[-1] + 1 if push is None else push
            usual = decision_task_id(project, push)
            if task_id is None:
                task_id = usual if usual not in self.tasks else slugid("another", project, push, len(self.tasks))
            decision = Decision(task_id, project, push, revision or revision_of(project, push))
            self.decisions[task_id] = decision
            self.tasks[task_id] = _task(decision)
            self.hooks = hooks_of(project) | self.hooks
            self._index_all()
            return task_id

    def remove_task(self, task_id: str) -> None:
        """Forget a task, as when it has expired."""
        with self.lock:
            self.task(task_id)
            del self.tasks[task_id]
            self.decisions.pop(task_id, None)
            self.life.forget(task_id)
            self._index_all()

    def set_state(self, task_id: str, state: str, reason: str, has_artifacts: bool, retried: bool) -> None:
        """Set the runs of a task, which stays so; one that completes now is the latest one of its project."""
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
            self.life.forget(task_id)
            self.tasks[task_id] = self.tasks.pop(task_id)
            self._index_all()
            self.changed(task)

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
        """Set what happens to the API's answers below a path, or to those of a call such as `hooks.triggerHook`."""
        with self.lock:
            _end(self.api_faults.pop(prefix, None))
            if fault:
                self.api_faults[prefix] = fault

    def api_fault(self, path: str, call: str) -> Fault | None:
        """The fault of an answer of the API, which counts as one of its times: that of the call, or of the path."""
        with self.lock:
            found = [prefix for prefix in self.api_faults if path.startswith(prefix)]
            fault = self.api_faults.get(call) or (self.api_faults[max(found, key=len)] if found else None)
            return self.counted(fault)

    def counted(self, fault: Counted | None) -> Counted | None:
        """The fault, unless it has happened as often as it should; this is one time more."""
        with self.lock:
            if fault and fault.times is not None:
                if fault.times <= 0:
                    return None
                fault.times -= 1
            return fault

    def record(self, server: str, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """Add a request to the log; returns the entry."""
        with self.lock:
            entry = {"server": server, "method": method, "path": path, "headers": headers}
            self.requests.append(entry)
            return entry

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
