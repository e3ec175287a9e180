"""The Index: the tasks that completed, by names."""

from http import HTTPStatus

from localstack.fakes.taskcluster.api import ApiError, Call, Found, Route, Service, page
from localstack.fakes.taskcluster.queue_service import location_of, resolve
from localstack.fakes.taskcluster.state import IndexEntry


class Index(Service):
    """The calls of `/api/index/v1`."""

    def routes(self) -> tuple[Route, ...]:
        paging = ("limit", "continuationToken")
        return (
            Route("GET /task/<indexPath>", "findTask", self._task),
            Route("GET /task/<indexPath>/artifacts/<name*>", "findArtifactFromTask", self._artifact),
            Route("GET /tasks/<namespace>", "listTasks", self._tasks, paging),
            Route("POST /tasks/indexes", "findTasksAtIndex", self._tasks_at, paging),
        )

    def _entry(self, path: str) -> IndexEntry:
        if not (entry := self.state.index.get(path)):
            raise ApiError("ResourceNotFound", "Indexed task not found")
        return entry

    def _task(self, call: Call) -> Found:
        path = call.parameters["indexPath"]
        return Found(_content(path, self._entry(path)))

    def _artifact(self, call: Call) -> Found:
        entry = self._entry(call.parameters["indexPath"])
        task = self.state.tasks.get(entry.task_id)
        if not task:
            raise ApiError("ResourceNotFound", "Artifact not found")
        name, artifact = resolve(task, len(task.runs) - 1, call.parameters["name"])
        if artifact.storage == "error":
            return Found({"reason": artifact.reason, "message": artifact.message}, HTTPStatus.FAILED_DEPENDENCY)
        url = location_of(self.artifact_url, task, len(task.runs) - 1, name, artifact)
        headers = {"Location": url, "x-taskcluster-artifact-storage-type": artifact.storage}
        return Found(None, HTTPStatus.SEE_OTHER, headers, f"See Other. Redirecting to {url}")

    def _tasks(self, call: Call) -> Found:
        prefix = call.parameters["namespace"] + "."
        paths = sorted(path for path in self.state.index if path.rpartition(".")[0] + "." == prefix)
        return page([_content(path, self.state.index[path]) for path in paths], call.query, "tasks")

    def _tasks_at(self, call: Call) -> Found:
        match call.body:
            case {"indexes": [*paths]}:
                found = [_content(path, self.state.index[path]) for path in paths if path in self.state.index]
                return page(found, call.query, "tasks")
        raise ApiError("InputValidationError", "Schema Validation Failed!\nRejecting Schema: indexes are required")


def _content(path: str, entry: IndexEntry) -> dict[str, object]:
    return {
        "namespace": path,
        "taskId": entry.task_id,
        "rank": entry.rank,
        "data": {},
        "expires": entry.expires,
    }
