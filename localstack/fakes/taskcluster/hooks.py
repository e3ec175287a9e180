"""The hooks of in-tree actions, in the form that gecko's have, and what became of their calls."""

import dataclasses
import hashlib
from typing import Any

from localstack.fakes.taskcluster.faults import Invalid
from localstack.fakes.taskcluster.times import timestamp

GROUP = "project-gecko"
LEVELS = ("1", "3")


def _object(optional: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted(properties.keys() - set(optional)),
        "properties": properties,
    }


def _strings(*names: str) -> dict[str, Any]:
    return {name: {"type": "string"} for name in names}


TRIGGER_SCHEMA = _object(
    decision=_object(
        ("parameters",),
        action=_object(**_strings("name", "title", "description", "taskGroupId", "cb_name", "symbol")),
        push=_object(
            ("base_revision", "branch", "base_branch"),
            **_strings("owner", "revision", "base_revision", "pushlog_id", "branch", "base_branch"),
        ),
        repository=_object(("base_url",), **_strings("url", "project", "level", "base_url")),
        parameters={"type": "object"},
    ),
    user=_object(
        input={"anyOf": [{"type": "object"}, {"const": None}]},
        taskId={"anyOf": [{"type": "string"}, {"const": None}]},
        taskGroupId={"type": "string"},
    ),
)


@dataclasses.dataclass
class Fire:
    """A call of a hook that ended."""

    task_id: str
    begun_at: float
    error: str = ""


@dataclasses.dataclass
class Hook:
    """A hook: its group and its id, the level of the projects that it is for, and its calls, the oldest first."""

    group: str
    hook_id: str
    level: str
    fires: list[Fire] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        """The name in scopes and roles."""
        return f"{self.group}/{self.hook_id}"

    def definition(self) -> dict[str, Any]:
        """The definition, as `hooks.hook` returns it. Its task is only hinted at: it embeds .taskcluster.yml."""
        return {
            "hookGroupId": self.group,
            "hookId": self.hook_id,
            "metadata": {
                "name": self.name,
                "description": f"Action task generic at level {self.level}",
                "owner": "taskcluster-notifications@mozilla.com",
                "emailOnError": True,
            },
            "task": {"$let": {"tasks_for": "action"}, "in": {}},
            "bindings": [],
            "schedule": [],
            "triggerSchema": TRIGGER_SCHEMA,
        }

    def last_fires(self, states: dict[str, str]) -> list[dict[str, Any]]:
        """Its calls, the newest first; `states` are those of their tasks, as far as these exist."""
        newest_first = sorted(self.fires, key=lambda fire: fire.begun_at, reverse=True)
        return [
            {
                "hookGroupId": self.group,
                "hookId": self.hook_id,
                "firedBy": "triggerHook",
                "taskId": fire.task_id,
                "taskCreateTime": timestamp(fire.begun_at),
                "result": "error" if fire.error else "success",
                "error": fire.error,
                "taskState": states.get(fire.task_id, "unknown"),
            }
            for fire in newest_first
        ]


# What a call of a hook ends with instead of a task.
FIRINGS = ("declined", "hanging", "refused", "rendering", "creation", "queue_down")


@dataclasses.dataclass
class Firing:
    """What happens to calls of hooks. To `times` calls, if that is given; then they are as they should be.

    `declined`: the template makes no task. `refused`: the role of the hook lacks scopes. `rendering`, `creation`: the
    template or createTask fails, with `message`. `queue_down`: the Queue does not answer. `hanging`: it answers too
    late: 400 after `seconds`, and the task is there after `later` seconds more.
    """

    kind: str
    times: int | None = None
    seconds: float = 1.0
    later: float = 0.5
    message: str = ""

    def __post_init__(self) -> None:
        if self.kind not in FIRINGS:
            raise Invalid(f"what happens to calls of hooks is one of {', '.join(FIRINGS)}")

    @staticmethod
    def read(content: Any) -> "Firing | None":
        """That of a control request; none if its kind is `none`."""
        names = {field.name for field in dataclasses.fields(Firing)}
        if not isinstance(content, dict) or "kind" not in content or not names.issuperset(content):
            raise Invalid(f"this is an object with kind and some of {', '.join(sorted(names - {'kind'}))}")
        return None if content["kind"] == "none" else Firing(**content)

    def error(self, hook: str) -> str:
        """What the service says, of those that make no task."""
        match self.kind:
            case "rendering":
                return f"While firing hook: {self.message or 'InterpreterError: unknown context value input'}"
            case "creation":
                return f"While calling createTask: {self.message or 'Error: Task definition is not valid'}"
            case "queue_down":
                return "While firing hook: Error: Unknown Server Error"
        return (
            f"The role `hook-id:{hook}` does not have sufficient scopes to create the task:\n\n"
            f"Client ID hooks does not have sufficient scopes{': ' + self.message if self.message else ''}"
        )


def hash_of(project: str) -> str:
    """The part of a hook's id that is a hash of the project's .taskcluster.yml."""
    return hashlib.sha256(project.encode()).hexdigest()[:10]


def hook_id(level: str, project: str) -> str:
    """The id of the hook of a project's actions, or of one for another level."""
    return f"in-tree-action-{level}-generic/{hash_of(project)}"


def hooks_of(project: str) -> dict[str, Hook]:
    """The hooks, one for each level, by their names."""
    found = [Hook(GROUP, hook_id(level, project), level) for level in LEVELS]
    return {hook.name: hook for hook in found}
