"""The definition and the artifacts of a push's decision task."""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from localstack.fakes.pushes import ALL_PUSHES, author_of, decision_task_id, pushed_at, revision_of
from localstack.fakes.taskcluster import created, graph
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.hooks import GROUP, hook_id
from localstack.fakes.taskcluster.times import DAY, timestamp

# The projects that have a decision task for each push.
PROJECTS = ("try", "autoland", "mozilla-central")
ACTIONS: tuple[tuple[str, str, list[Any], str], ...] = (
    # Name, title, context, input; as in a real file some names stand there several times.
    ("retrigger", "Retrigger", [{"kind": "decision-task"}, {"kind": "action-callback"}], "nothing"),
    ("retrigger", "Retrigger", [{"retrigger": "true"}], "nothing"),
    ("retrigger", "Retrigger (disabled)", [{}], "nothing"),
    ("add-new-jobs", "Add new jobs", [], "tasks"),
    ("backfill", "Backfill", [{}], "nothing"),
    ("rerun", "Rerun", [{}], "nothing"),
    ("cancel-all", "Cancel All", [], "nothing"),
    ("retrigger-multiple", "Retrigger", [], "requests"),
)
SCHEMAS: dict[str, Any] = {
    "nothing": {"type": "object", "properties": {}},
    "tasks": {
        "type": "object",
        "properties": {
            "tasks": {"type": "array", "description": "An array of task labels", "items": {"type": "string"}},
            "times": {
                "type": "integer",
                "default": 1,
                "minimum": 1,
                "maximum": 100,
                "title": "Times",
                "description": "How many times to run each task.",
            },
        },
    },
    "requests": {
        "type": "object",
        "properties": {
            "requests": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "tasks": {"type": "array", "items": {"type": "string"}},
                        "times": {"type": "integer", "minimum": 1, "maximum": 100},
                    },
                    "required": ["tasks", "times"],
                },
            }
        },
    },
}


class Decision(NamedTuple):
    """Of which push a decision task is."""

    task_id: str
    project: str
    push: int
    revision: str

    @property
    def pushlog_id(self) -> int:
        """The push's number in Mercurial, which is not Treeherder's."""
        return 200_000 + self.push

    def definition(self) -> dict[str, Any]:
        """The definition, as `queue.task` returns it."""
        created_at = pushed_at(self.push)
        level, repository = graph.level_of(self.project), graph.repository_of(self.project)
        index = f"index.gecko.v2.{self.project}"
        owner = author_of(self.push)
        return {
            "provisionerId": f"gecko-{level}",
            "workerType": "decision",
            "taskQueueId": f"gecko-{level}/decision",
            "schedulerId": f"gecko-level-{level}",
            "projectId": "none",
            "taskGroupId": self.task_id,
            "dependencies": [],
            "requires": "all-completed",
            "routes": [
                f"tc-treeherder.v2.{self.project}.{self.revision}.{self.pushlog_id}",
                f"{index}.latest.taskgraph.decision",
                f"{index}.revision.{self.revision}.taskgraph.decision",
                f"{index}.pushlog-id.{self.pushlog_id}.decision",
            ],
            "priority": "medium",
            "retries": 5,
            "created": timestamp(created_at),
            "deadline": timestamp(created_at + DAY),
            "expires": timestamp(time.time() + 365 * DAY),
            "scopes": [f"assume:repo:{repository.removeprefix('https://')}:branch:default"],
            "payload": {
                "command": ["/builds/worker/bin/run-task", "--", "bash", "-cx", "./mach taskgraph decision"],
                "env": {
                    "GECKO_HEAD_REPOSITORY": repository,
                    "GECKO_HEAD_REV": self.revision,
                    "HG_STORE_PATH": "/builds/worker/checkouts/hg-store",
                },
                "maxRunTime": 3600,
            },
            "metadata": {
                "name": "Gecko Decision Task",
                "owner": "mozilla-taskcluster-maintenance@mozilla.com",
                "source": f"{repository}/raw-file/{self.revision}/.taskcluster.yml",
                "description": "The task that creates all of the other tasks in the task graph",
            },
            "tags": {
                "createdForUser": owner,
                "kind": "decision-task",
                "project": self.project,
                "trust-domain": "gecko",
            },
            "extra": {
                "tasks_for": "hg-push",
                "treeherder": {"machine": {"platform": "gecko-decision"}, "symbol": "D"},
            },
        }

    def created(self, label: str) -> dict[str, Any]:
        """The definition of a task that it created."""
        task = graph.labels(self.project, self.push)[label]
        node = graph.node(label, task, self.project, self.push, self.pushlog_id)
        task_ids = graph.label_to_taskid(self.project, self.push)
        dependencies = [task_ids[each] for each in node["dependencies"].values() if each in task_ids]
        return created.definition(
            label, node, self.definition(), self.task_id, [*dependencies, self.task_id], pushed_at(self.push)
        )

    def artifacts(self) -> dict[str, Artifact]:
        """Its artifacts by name. Their content is made when it is first needed."""
        project, push = self.project, self.push
        log = f"Decision task of push {push} of {project}\n"
        return {
            "public/actions.json": Artifact(_as_json(self.actions)),
            "public/full-task-graph.json": Artifact(
                _as_json(lambda: graph.full_task_graph(project, push, self.pushlog_id))
            ),
            "public/label-to-taskid.json": Artifact(_as_json(lambda: graph.label_to_taskid(project, push))),
            "public/parameters.yml": Artifact(self.parameters, content_type="application/x-yaml"),
            "public/runnable-jobs.json": Artifact(_as_json(lambda: graph.runnable_jobs(project, push))),
            "public/target-tasks.json": Artifact(_as_json(lambda: graph.target_tasks(project, push))),
            "public/logs/live_backing.log": Artifact(log.encode, content_type="text/plain; charset=utf-8"),
            "public/logs/live.log": Artifact(
                storage="link", target="public/logs/live_backing.log", content_type="text/plain; charset=utf-8"
            ),
        }

    def parameters(self) -> bytes:
        """The content of `parameters.yml`, cut short."""
        repository = graph.repository_of(self.project)
        lines = {
            "head_repository": repository,
            "head_rev": self.revision,
            "level": f"'{graph.level_of(self.project)}'",
            "moz_build_date": f"'{time.strftime('%Y%m%d%H%M%S', time.gmtime(pushed_at(self.push)))}'",
            "owner": author_of(self.push),
            "project": self.project,
            "pushdate": pushed_at(self.push),
            "pushlog_id": f"'{self.pushlog_id}'",
            "tasks_for": "hg-push",
        }
        return "".join(f"{name}: {value}\n" for name, value in lines.items()).encode()

    def actions(self) -> dict[str, Any]:
        """The content of `actions.json`."""
        level = graph.level_of(self.project)
        hook = hook_id(level, self.project)
        return {"version": 1, "variables": {}, "actions": [self._action(hook, level, *each) for each in ACTIONS]}

    def _action(self, hook: str, level: str, name: str, title: str, context: list[Any], schema: str) -> dict[str, Any]:
        description = "Add new jobs using task labels." if name == "add-new-jobs" else f"{title} these tasks."
        return {
            "kind": "hook",
            "name": name,
            "title": title,
            "description": description,
            "context": context,
            "schema": SCHEMAS[schema],
            "hookGroupId": GROUP,
            "hookId": hook,
            "extra": {"actionPerm": "generic"},
            "hookPayload": {
                "decision": {
                    "action": {
                        "name": name,
                        "title": title,
                        "description": description,
                        "taskGroupId": self.task_id,
                        "cb_name": name,
                        "symbol": {"add-new-jobs": "add-new", "backfill": "Bk"}.get(name, name[:2]),
                    },
                    "repository": {
                        "url": graph.repository_of(self.project),
                        "project": self.project,
                        "level": level,
                    },
                    "push": {
                        "owner": "mozilla-taskcluster-maintenance@mozilla.com",
                        "pushlog_id": str(self.pushlog_id),
                        "revision": self.revision,
                        "base_revision": revision_of(self.project, self.push - 1),
                    },
                },
                "user": {
                    "input": {"$eval": "input"},
                    "taskId": {"$eval": "taskId"},
                    "taskGroupId": {"$eval": "taskGroupId"},
                },
            },
        }


def every_decision() -> list[Decision]:
    """The decision tasks that the fake starts with, in the order in which they completed."""
    return [
        Decision(decision_task_id(project, push), project, push, revision_of(project, push))
        for push in ALL_PUSHES
        for project in PROJECTS
    ]


def _as_json(content: Callable[[], Any]) -> Callable[[], bytes]:
    # As taskgraph writes its artifacts.
    return lambda: json.dumps(content(), indent=2, sort_keys=True).encode()
