"""Action tasks: what a hook makes of its payload, and what they create when they run."""

import dataclasses
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from localstack.fakes.pushes import slugid
from localstack.fakes.taskcluster import created
from localstack.fakes.taskcluster.artifacts import Artifact
from localstack.fakes.taskcluster.hooks import Hook
from localstack.fakes.taskcluster.state import State
from localstack.fakes.taskcluster.tasks import Task
from localstack.fakes.taskcluster.times import DAY, timestamp

NAME = "add-new-jobs"
TEXT = "text/plain; charset=utf-8"
LOG, LIVE_LOG = "public/logs/live_backing.log", "public/logs/live.log"
LABELS, FULL_GRAPH = "public/label-to-taskid.json", "public/full-task-graph.json"


class _Failed(Exception):
    """The command of an action fails; holds the last line of its traceback."""


@dataclasses.dataclass
class Round:
    """One of `times` rounds: the labels that were asked for, the task of each label that these need, and those that
    are new, in the order of their dependencies.
    """

    to_run: list[str]
    task_ids: dict[str, str] = dataclasses.field(default_factory=dict)
    new: list[str] = dataclasses.field(default_factory=list)
    # The new tasks, as `task-graph.json` has them.
    nodes: dict[str, Any] = dataclasses.field(default_factory=dict)


class Action:
    """An action: the hook and the payload that it was made from, and what it does."""

    def __init__(self, state: State, task: Task, hook: Hook, payload: dict[str, Any]) -> None:
        self.state, self.task, self.hook, self.payload = state, task, hook, payload
        self.decision: Task | None = None
        self.graph: dict[str, Any] = {}
        self.rounds: list[Round] = []
        self.error = ""
        self.log: list[str] = []
        # The tasks that were created, by their ids.
        self.created: dict[str, str] = {}

    def summary(self) -> dict[str, Any]:
        """What tests want to know."""
        decision, user = self.payload["decision"], self.payload["user"]
        return {
            "task_id": self.task.task_id,
            "name": decision["action"]["name"],
            "hook": self.hook.name,
            "input": user["input"],
            "decision_task_id": decision["action"]["taskGroupId"],
            "project": decision["repository"]["project"],
            "client_id": self.task.definition["extra"]["action"]["context"]["clientId"],
            "state": self.task.state,
            "created": self.created,
        }

    def begin(self) -> None:
        """Read what the push has, and decide what to create."""
        run = len(self.task.runs) - 1
        url = f"https://worker.example.org/{self.task.task_id}/{run}/live"
        self.task.artifacts[LIVE_LOG] = Artifact(storage="reference", url=url, run=run, content_type=TEXT)
        self.rounds, self.error, self.log = [], "", []
        self._say("=== Task Starting ===")
        self._attempt(self._plan)

    def end(self, is_whole: bool) -> bool:
        """Create what is missing, and write the artifacts."""
        if is_whole and not self.error:
            self._attempt(self._create_all)
        is_success = is_whole and not self.error
        if self.error:
            place = '  File "taskgraph/actions/registry.py", line 358, in trigger_action_callback'
            self.log += ["Traceback (most recent call last):", place, self.error]
        self._say(f"=== Task Finished === {'Successful' if is_success else 'Unsuccessful'} task run")
        text = "".join(f"{line}\n" for line in self.log).encode()
        artifacts = self.task.artifacts
        artifacts[LOG] = Artifact(lambda: text, content_type=TEXT)
        artifacts[LIVE_LOG] = Artifact(storage="link", target=LOG, content_type=TEXT)
        if is_success and self.rounds:
            self._combine()
        return is_success

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do a step of the command, which fails for want of what it needs, or because a test gave it nonsense."""
        try:
            step()
        except _Failed as error:
            self.error = str(error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self.error = f"{type(error).__name__}: {error}"

    def _say(self, text: str) -> None:
        self.log.append(f"[taskcluster {timestamp(time.time())}] {text}")

    def _plan(self) -> None:
        decision = self.payload["decision"]
        if decision["action"]["cb_name"] != NAME:
            return
        revision = f"gecko.v2.{decision['repository']['project']}.revision.{decision['push']['revision']}.taskgraph"
        entry = self.state.index.get(f"{revision}.decision")
        self.decision = self.state.tasks.get(entry.task_id) if entry else None
        if not self.decision:
            raise _Failed(f"KeyError: 'index path {revision}.decision not found'")
        self.graph = _content(self.decision, FULL_GRAPH)
        known = dict(_content(self.decision, LABELS))
        # Actions that did not complete are not in the Index.
        for path, entry in self.state.index.items():
            if path.startswith(f"{revision}.actions.") and (task := self.state.tasks.get(entry.task_id)):
                # Other actions have none.
                known |= _content(task, LABELS) if task.latest(LABELS) else {}
        match {"times": 1} | (self.payload["user"]["input"] or {}):
            case {"tasks": [*tasks], "times": int(times)} if all(isinstance(label, str) for label in tasks):
                to_run = list(dict.fromkeys(tasks))
            case {"tasks": _}:
                raise _Failed("TypeError: tasks are labels, and times a number")
            case _:
                raise _Failed("KeyError: 'tasks'")
        for label in to_run:
            if label not in self.graph:
                raise _Failed(f"Exception: {label} was not found in the task-graph")
        self.rounds = [self._round(to_run, known) for _ in range(times)]

    def _round(self, to_run: list[str], known: dict[str, str]) -> Round:
        found, requested = Round(to_run), set(to_run)
        stack = [(label, False) for label in reversed(to_run)]
        while stack:
            label, has_dependencies = stack.pop()
            if has_dependencies:
                found.new.append(label)
            elif label in found.task_ids:
                continue
            elif label in known and label not in requested:
                found.task_ids[label] = known[label]
            else:
                found.task_ids[label] = slugid(secrets.token_hex(16))
                stack.append((label, True))
                stack += [(each, False) for each in self._dependencies(label).values()]
        return found

    def _dependencies(self, label: str) -> dict[str, str]:
        if label not in self.graph:
            raise _Failed(f"KeyError: '{label}'")
        return self.graph[label].get("dependencies", {})

    def _create_all(self) -> None:
        failed: dict[str, str] = {}
        for number, each in enumerate(self.rounds):
            self._write(f"-{number}", each)
            missing: set[str] = set()
            for label in each.new:
                if missing.intersection(self._dependencies(label).values()):
                    missing.add(label)
                elif label in self.state.creation_errors:
                    missing.add(label)
                    failed[label] = self.state.creation_errors[label]
                else:
                    self._create(label, each)
        if failed:
            lines = [f"Could not create '{label}':\n\n{message}\n" for label, message in failed.items()]
            raise _Failed("taskgraph.create.CreateTasksException: \n" + "\n".join(lines))

    def _create(self, label: str, of: Round) -> None:
        assert self.decision
        task_id = of.task_ids[label]
        node = self._node(label, of)
        self.log.append(f"Creating task with taskId {task_id} for {label}")
        self.created[task_id] = label
        self.state.add(Task(task_id, node["task"], runs=[]))

    def _node(self, label: str, of: Round) -> dict[str, Any]:
        """A task, as `task-graph.json` has it."""
        assert self.decision
        if label in of.nodes:
            return of.nodes[label]
        node = self.graph[label]
        dependencies = {name: of.task_ids[each] for name, each in self._dependencies(label).items()}
        own = self.task.task_id
        task = created.definition(
            label, node, self.decision.definition, own, [*dependencies.values(), own], time.time()
        )
        of.nodes[label] = {
            "kind": node.get("kind", "test"),
            "label": label,
            "attributes": node.get("attributes", {}),
            "dependencies": dependencies,
            "task": task,
            "task_id": of.task_ids[label],
        }
        return of.nodes[label]

    def _write(self, suffix: str, *rounds: Round) -> None:
        """Write what rounds made; what the later ones know replaces what the earlier ones do."""
        graph = {each.task_ids[label]: self._node(label, each) for each in rounds for label in each.new}
        task_ids = {label: task_id for each in rounds for label, task_id in each.task_ids.items()}
        contents = {"task-graph": graph, "label-to-taskid": task_ids, "to-run": rounds[0].to_run}
        for name, content in contents.items():
            self.task.artifacts[f"public/{name}{suffix}.json"] = Artifact(_as_json(content))

    def _combine(self) -> None:
        self._write("", *self.rounds)
        # One round: its files are renamed.
        if len(self.rounds) == 1:
            for name in ("task-graph", "label-to-taskid", "to-run"):
                del self.task.artifacts[f"public/{name}-0.json"]


def create(state: State, task_id: str, hook: Hook, payload: dict[str, Any], client_id: str) -> None:
    """Create the action task that a call of a hook makes."""
    task = Task(task_id, _definition(task_id, payload, client_id), runs=[])
    action = Action(state, task, hook, payload)
    task.work = action
    state.actions[task_id] = action
    state.add(task)


def _definition(task_id: str, payload: dict[str, Any], client_id: str) -> dict[str, Any]:
    decision, user, now = payload["decision"], payload["user"], time.time()
    action, push, repository = decision["action"], decision["push"], decision["repository"]
    level, project, revision = repository["level"], repository["project"], push["revision"]
    index = f"index.gecko.v2.{project}"
    return {
        "provisionerId": f"gecko-{level}",
        "workerType": "decision",
        "taskQueueId": f"gecko-{level}/decision",
        "schedulerId": f"gecko-level-{level}",
        "projectId": "none",
        "taskGroupId": action["taskGroupId"],
        "dependencies": [],
        "requires": "all-completed",
        "routes": [
            f"tc-treeherder.v2.{project}.{revision}",
            f"{index}.revision.{revision}.taskgraph.actions.{task_id}",
            f"{index}.pushlog-id.{push['pushlog_id']}.actions.{task_id}",
        ],
        "priority": "lowest",
        "retries": 5,
        "created": timestamp(now),
        "deadline": timestamp(now + DAY),
        "expires": timestamp(now + (28 if level == "1" else 365) * DAY),
        "scopes": [f"assume:repo:{repository['url'].removeprefix('https://')}:action:generic"],
        "payload": {
            "command": ["./mach", "taskgraph", "action-callback"],
            "env": {
                "ACTION_CALLBACK": action["cb_name"],
                "ACTION_INPUT": json.dumps(user["input"]),
                "ACTION_TASK_GROUP_ID": action["taskGroupId"],
                "ACTION_TASK_ID": json.dumps(user["taskId"]),
                "GECKO_HEAD_REV": revision,
            },
            "maxRunTime": 3600,
        },
        "metadata": {
            "name": f"Action: {action['title']}",
            "owner": "mozilla-taskcluster-maintenance@mozilla.com",
            "source": f"{repository['url']}/raw-file/{revision}/.taskcluster.yml",
            "description": f"{action['description']}\n\nAction triggered by clientID `{client_id}`",
        },
        "tags": {
            "createdForUser": push["owner"],
            "kind": "action-callback",
            "project": project,
            "trust-domain": "gecko",
        },
        "extra": {
            "parent": action["taskGroupId"],
            "action": {
                "name": action["name"],
                "context": {
                    "taskGroupId": user["taskGroupId"],
                    "taskId": user["taskId"],
                    "input": user["input"],
                    "clientId": client_id,
                },
            },
            "tasks_for": "action",
            "treeherder": {
                "machine": {"platform": "gecko-decision"},
                "groupName": "action-callback",
                "groupSymbol": "AC",
                "symbol": action["symbol"],
            },
        },
    }


def _content(task: Task, name: str) -> dict[str, Any]:
    """The content of a JSON artifact of a task."""
    if not (artifact := task.latest(name)):
        raise _Failed(f"HTTPError: 404 Client Error: Not Found for {task.task_id} {name}")
    if not isinstance(artifact.parsed, dict):
        raise _Failed(f"ValueError: {name} of {task.task_id}")
    return artifact.parsed


def _as_json(content: Any) -> Callable[[], bytes]:
    return lambda: json.dumps(content, indent=2, sort_keys=True).encode()
