"""The life of created tasks: each goes from state to state after a pause, or when a control request says so."""

import dataclasses
import math
import threading
import time
from collections.abc import Callable

from localstack.fakes.taskcluster.faults import Invalid
from localstack.fakes.taskcluster.tasks import Run, Task

# How long a task stays in each state, in seconds.
PACE = 0.3
# What becomes of a task. `pending` and `running`: it stays so. `retried`: its worker goes away, and the next run
# succeeds.
RESULTS = ("success", "failed", "exception", "pending", "running", "retried")
# All tasks but actions.
EVERY = "*"


@dataclasses.dataclass(frozen=True)
class Result:
    """What becomes of a task; `reason` is the `reasonResolved` of an exception."""

    result: str = "success"
    reason: str = "malformed-payload"

    def __post_init__(self) -> None:
        if self.result not in RESULTS:
            raise Invalid(f"a result is one of {', '.join(RESULTS)}")


class Life:
    """Moves tasks on. All of it happens while `lock` is held; `changed` is called after each step of a task."""

    def __init__(self, lock: threading.RLock, changed: Callable[[Task], None], pace: float | None) -> None:
        self.wake = threading.Condition(lock)
        self.changed, self.usual_pace = changed, pace
        self.is_ended = False
        self.forget_all()

    def forget_all(self) -> None:
        """As at the start."""
        with self.wake:
            self.pace = self.usual_pace
            self.results: dict[str, Result] = {}
            # The tasks that are alive, by their ids, and when they take their next step.
            self.tasks: dict[str, Task] = {}
            self.due: dict[str, float] = {}
            self.later: list[tuple[float, Callable[[], None]]] = []

    def begin(self, task: Task) -> None:
        """A task is pending, and takes its steps from now on."""
        self.tasks[task.task_id], self.due[task.task_id] = task, self._next()
        self.wake.notify_all()

    def forget(self, task_id: str) -> None:
        """A task takes no more steps."""
        self.tasks.pop(task_id, None)
        self.due.pop(task_id, None)

    def set_pace(self, pace: float | None) -> None:
        """Set how long a task stays in each state; None: until `advance`."""
        if pace is not None and pace < 0:
            raise Invalid("a pace is a number of seconds")
        with self.wake:
            self.pace = pace
            self.due = dict.fromkeys(self.due, self._next())
            self.wake.notify_all()

    def do_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something after some seconds, or with the next `advance`."""
        self.later.append((time.monotonic() + seconds, call))
        self.wake.notify_all()

    def advance(self, task_id: str | None = None) -> int:
        """Move one task, or all, one step; returns how many moved."""
        with self.wake:
            # What is made now takes its first step the next time.
            tasks = [task for task in self.tasks.values() if task_id in (None, task.task_id)]
            calls, self.later = self.later, []
            for _, call in calls:
                call()
            return len(calls) + sum(self._step(task) for task in tasks)

    def run(self) -> None:
        """Move tasks when it is their time, until `end`."""
        with self.wake:
            while not self.is_ended:
                self._tick(time.monotonic())
                times = [*self.due.values(), *(at for at, _ in self.later)]
                first = min(times, default=math.inf)
                self.wake.wait(None if first == math.inf else max(first - time.monotonic(), 0.001))

    def end(self) -> None:
        """Make `run` return."""
        with self.wake:
            self.is_ended = True
            self.wake.notify_all()

    def _tick(self, now: float) -> None:
        calls = [call for at, call in self.later if at <= now]
        self.later = [each for each in self.later if each[0] > now]
        for call in calls:
            call()
        for task_id in [task_id for task_id, at in self.due.items() if at <= now]:
            if task := self.tasks.get(task_id):
                self._step(task)

    def _next(self) -> float:
        return math.inf if self.pace is None else time.monotonic() + self.pace

    def _step(self, task: Task) -> bool:
        """Move a task to its next state; returns whether it has one."""
        usual = Result() if task.work else self.results.get(EVERY, Result())
        found, run, now = self.results.get(task.name, usual), task.runs[-1], time.time()
        self.due[task.task_id] = self._next()
        match run.state, found.result:
            case ("pending", "pending") | ("running", "running"):
                return False
            case ("pending", _):
                run.state, run.started_at = "running", now
                if task.work:
                    task.work.begin()
            case (_, "retried") if len(task.runs) == 1:
                run.state, run.reason, run.resolved_at = "exception", "worker-shutdown", now
                task.runs.append(Run("pending", scheduled_at=now))
            case _:
                self._resolve(task, run, found, now)
                self.forget(task.task_id)
        self.changed(task)
        return True

    def _resolve(self, task: Task, run: Run, found: Result, now: float) -> None:
        run.resolved_at = now
        if found.result == "exception":
            run.state, run.reason = "exception", found.reason
            return
        run.has_artifacts = True
        is_whole = found.result != "failed"
        is_success = task.work.end(is_whole) if task.work else is_whole
        run.state = run.reason = "completed" if is_success else "failed"
