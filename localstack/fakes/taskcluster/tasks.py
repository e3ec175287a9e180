"""Tasks: their definition, their runs, and their artifacts."""

import dataclasses
from typing import Any, Protocol

from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.times import timestamp

STATES = ("unscheduled", "pending", "running", "completed", "failed", "exception")
RESOLVED = ("completed", "failed", "exception")


class Work(Protocol):
    """What a task does when it runs."""

    def begin(self) -> None:
        """It starts to run."""

    def end(self, is_whole: bool) -> bool:
        """It ends, after it did its work if `is_whole`. Returns whether it succeeded."""


@dataclasses.dataclass
class Run:
    """One run of a task. Its times are those of the definition if they are not known."""

    state: str
    reason: str = ""
    has_artifacts: bool = False
    scheduled_at: float | None = None
    started_at: float | None = None
    resolved_at: float | None = None


@dataclasses.dataclass
class Task:
    """A task: its definition, its runs and its artifacts."""

    task_id: str
    definition: dict[str, Any]
    artifacts: dict[str, Artifact] = dataclasses.field(default_factory=dict)
    runs: list[Run] = dataclasses.field(default_factory=lambda: [Run("completed", "completed", True)])
    work: Work | None = None

    @property
    def name(self) -> str:
        """The name: of tasks of a graph, it is their label."""
        return self.definition["metadata"]["name"]

    @property
    def state(self) -> str:
        """The state of the task, which is that of its last run."""
        return self.runs[-1].state if self.runs else "unscheduled"

    def artifacts_of(self, run: int) -> dict[str, Artifact]:
        """The artifacts of a run."""
        if not (0 <= run < len(self.runs) and self.runs[run].has_artifacts):
            return {name: artifact for name, artifact in self.artifacts.items() if artifact.run == run}
        return {name: artifact for name, artifact in self.artifacts.items() if artifact.run in (None, run)}

    def latest(self, name: str) -> Artifact | None:
        """An artifact of the last run."""
        return self.artifacts_of(len(self.runs) - 1).get(name)

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
        found = {
            "runId": number,
            "state": run.state,
            "reasonCreated": "retry" if number else "scheduled",
            "scheduled": self._time(run.scheduled_at),
        }
        if run.state == "pending":
            return found
        worker = {"workerGroup": "us-west-2", "workerId": "i-0123456789abcdef0"}
        found |= worker | {"started": self._time(run.started_at)}
        if run.state == "running":
            return found | {"takenUntil": self.definition["deadline"]}
        return found | {"reasonResolved": run.reason, "resolved": self._time(run.resolved_at)}

    def _time(self, seconds: float | None) -> str:
        return self.definition["created"] if seconds is None else timestamp(seconds)
