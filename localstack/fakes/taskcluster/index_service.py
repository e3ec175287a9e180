"""The Index: the tasks that completed, by names."""

import contextlib
import urllib.parse
from http import HTTPStatus

from localstack.fakes.taskcluster.api import Call, Found, Route, Service, page
from localstack.fakes.taskcluster.errors import ApiError
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
        """Redirects to an artifact with an address of its own, and otherwise to the Queue, which says what is wrong."""
        entry, name = self._entry(call.parameters["indexPath"]), call.parameters["name"]
        quoted = urllib.parse.quote(name, safe="")
        url = f"{self.root_url}/api/queue/v1/task/{entry.task_id}/artifacts/{quoted}"
        if task := self.state.tasks.get(entry.task_id):
            with contextlib.suppress(ApiError):
                run = len(task.runs) - 1
                found, artifact = resolve(task, run, name)
                if artifact.storage in ("s3", "reference"):
                    url = location_of(self.artifact_url, task, run, found, artifact)
        return Found(None, HTTPStatus.SEE_OTHER, {"Location": url}, f"See Other. Redirecting to {url}")

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
