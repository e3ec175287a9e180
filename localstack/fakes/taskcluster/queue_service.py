"""The Queue: tasks, their state and their artifacts."""

import urllib.parse
from http import HTTPStatus
from typing import Any

from localstack.fakes.taskcluster.api import SLUGID, Call, Found, Route, Service, page
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.errors import ApiError
from localstack.fakes.taskcluster.tasks import Task
from localstack.fakes.taskcluster.times import timestamp

NO_TASK = "`{}` does not correspond to a task that exists.\nAre you sure this task has already been submitted?"
NO_ARTIFACT = "Artifact not found"
PUBLIC = "public/"


class Queue(Service):
    """The calls of `/api/queue/v1`."""

    def routes(self) -> tuple[Route, ...]:
        paging = ("limit", "continuationToken")
        task, run = "/task/<taskId>", "/task/<taskId>/runs/<runId>"
        return (
            Route(f"GET {task}", "task", self._task),
            Route(f"GET {task}/status", "status", self._status),
            Route("POST /tasks/status", "statuses", self._statuses, paging),
            Route(f"GET {task}/dependents", "listDependentTasks", self._dependents, paging),
            Route(f"GET {task}/artifacts", "listLatestArtifacts", self._list, paging),
            Route(f"GET {task}/artifacts/<name*>", "getLatestArtifact", self._artifact),
            Route(f"GET {task}/artifact-info/<name*>", "latestArtifactInfo", self._info),
            Route(f"GET {task}/artifact-content/<name*>", "latestArtifact", self._content),
            Route(f"GET {run}/artifacts", "listArtifacts", self._list, paging),
            Route(f"GET {run}/artifacts/<name*>", "getArtifact", self._artifact),
            Route(f"GET {run}/artifact-info/<name*>", "artifactInfo", self._info),
            Route(f"GET {run}/artifact-content/<name*>", "artifact", self._content),
        )

    def _found(self, call: Call) -> Task:
        task_id = call.parameters["taskId"]
        if not (task := self.state.find(task_id)):
            raise ApiError("ResourceNotFound", NO_TASK.format(task_id))
        return task

    def _task(self, call: Call) -> Found:
        return Found(self._found(call).definition)

    def _status(self, call: Call) -> Found:
        return Found({"status": self._found(call).status()})

    def _statuses(self, call: Call) -> Found:
        match call.body:
            case {"taskIds": [*ids]} if all(isinstance(each, str) and SLUGID.fullmatch(each) for each in ids):
                tasks = [task for task in map(self.state.find, ids) if task]
                found = [{"taskId": task.task_id, "status": task.status()} for task in tasks]
                return page(found, call.query, "statuses")
        raise ApiError("InputValidationError", "Schema Validation Failed!\nRejecting Schema: taskIds are required")

    def _dependents(self, call: Call) -> Found:
        task = self._found(call)
        found = map(self.state.find, self.state.dependents.get(task.task_id, ()))
        dependents = [{"status": each.status(), "task": each.definition} for each in found if each]
        return Found({"taskId": task.task_id} | page(dependents, call.query, "tasks").content)

    def _run(self, call: Call, missing: str = "Task not found") -> tuple[Task, int]:
        """The task and the run of a call; without a run, the latest one."""
        task = self.state.find(call.parameters["taskId"])
        if not task:
            raise ApiError("ResourceNotFound", missing if "runId" in call.parameters else "Task not found")
        if not task.runs:
            raise ApiError("ResourceNotFound", "Task doesn't have any runs")
        return task, int(call.parameters.get("runId", len(task.runs) - 1))

    def _list(self, call: Call) -> Found:
        task, run = self._run(call)
        if run >= len(task.runs):
            raise ApiError("ResourceNotFound", f"Task with taskId: `{task.task_id}` has no run with runId: {run}")
        found = [_info(name, artifact) for name, artifact in sorted(task.artifacts_of(run).items())]
        return page(found, call.query, "artifacts")

    def _info(self, call: Call) -> Found:
        task, run = self._run(call, NO_ARTIFACT)
        name = call.parameters["name"]
        return Found(_info(name, find(task, run, name)))

    def _artifact(self, call: Call) -> Found:
        task, run = self._run(call, NO_ARTIFACT)
        name, artifact = resolve(task, run, call.parameters["name"])
        kind = {"x-taskcluster-artifact-storage-type": artifact.storage}
        if artifact.storage == "error":
            content = {"reason": artifact.reason, "message": artifact.message}
            return Found(content, HTTPStatus.FAILED_DEPENDENCY, kind)
        url = location_of(self.artifact_url, task, run, name, artifact)
        return Found({"storageType": artifact.storage, "url": url}, HTTPStatus.SEE_OTHER, kind | {"Location": url})

    def _content(self, call: Call) -> Found:
        task, run = self._run(call, NO_ARTIFACT)
        name, artifact = resolve(task, run, call.parameters["name"])
        match artifact.storage:
            case "error":
                return Found({"storageType": "error", "reason": artifact.reason, "message": artifact.message})
            case "object":
                return Found({"storageType": "object", "name": f"t/{task.task_id}/{run}/{name}", "credentials": {}})
        return Found(
            {"storageType": artifact.storage, "url": location_of(self.artifact_url, task, run, name, artifact)}
        )


def find(task: Task, run: int, name: str) -> Artifact:
    """An artifact of a run."""
    if not name.startswith(PUBLIC):
        message = f"This request requires Taskcluster credentials that satisfy the scope queue:get-artifact:{name}"
        raise ApiError("InsufficientScopes", message)
    if not (artifact := task.artifacts_of(run).get(name)):
        raise ApiError("ResourceNotFound", NO_ARTIFACT)
    if artifact.is_expired:
        raise ApiError("ResourceExpired", "Artifact expired")
    return artifact


def resolve(task: Task, run: int, name: str) -> tuple[str, Artifact]:
    """An artifact of a run; of a link, the one that it leads to."""
    seen: set[str] = set()
    while (artifact := find(task, run, name)).storage == "link":
        if name in seen:
            raise ApiError("InputError", "Artifact leads to a link cycle")
        seen.add(name)
        name = artifact.target
    return name, artifact


def location_of(artifact_url: str, task: Task, run: int, name: str, artifact: Artifact) -> str:
    """Where an artifact can be fetched."""
    if artifact.storage == "reference":
        return artifact.url
    folder = "/objects" if artifact.storage == "object" else ""
    return f"{artifact_url}{folder}/{task.task_id}/{run}/{urllib.parse.quote(name)}"


def _info(name: str, artifact: Artifact) -> dict[str, Any]:
    return artifact.info(name, timestamp(artifact.expires_at))
