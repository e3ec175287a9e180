"""Runs a part of what a Taskcluster adds to a day: reads of task graphs, lists of pushes, and requests for labels."""

import json
from typing import Any

from localstack.fakes.taskcluster import FULL_TASK_GRAPH, RUNNABLE_JOBS, graph
from localstack.fakes.treeherder import Control
from tests.support.runtime_api import event
from tools.bench.pushes import made_up
from tools.cost.bill import stored_bytes
from tools.cost.day import Day, answer_size, say
from tools.cost.ingest import days_kept, make_older
from tools.cost.item_units import item_size
from tools.cost.outside import CONNECTION_BYTES, Outside
from tools.cost.traffic import LIST, OUTGOING_BYTES, PERSON, MadeRequest, Traffic, sizes_of

PROJECT = "try"
# The rule reads five projects each hour, which are 120 reads of a project. Of these so many find the decision task of
# the last read, as pushes to three of the projects are rare; a new one with the same jobs; and one with other jobs.
SAME, NEW, CHANGED = 48, 62, 10
READS = SAME + NEW + CHANGED
# One label in so many has another name after a change.
RENAMED = 100
# How long a read waits for the Index, the Queue and the graph, of which some 15 MB are sent: to ask, and for all of it.
ASK_SECONDS, GRAPH_SECONDS = 0.4, 3.0
# How long the first use of a push's list waits for the Queue and for the artifact, in seconds.
ARTIFACT_SECONDS = 0.8
# How long an action waits: four questions to prepare it, and the call of the hook.
ACTION_SECONDS = 1.0
# The connections of an action: for the API, for artifacts, and for the call of the hook.
ACTION_CONNECTIONS = 3
# The bytes of a label's task in gecko's full graph: 206 MB for 30,000.
TASK_BYTES = 6_900
FIRST_PUSH = 100_000


class TaskclusterTraffic:
    """A part of a day. `opened` pushes of a day are those whose list is looked at; each leads to a request."""

    def __init__(self, traffic: Traffic, opened: int) -> None:
        self.traffic, self.day, self.opened = traffic, traffic.day, opened
        env = self.day.stack.env
        self.control, self.treeherder = self.day.stack.taskcluster(), Control(env["TREEHERDER_URL"])
        self.control.set_pace(None)
        self.outside = Outside(env["TASKCLUSTER_URL"])
        self.labels = made_up()
        self.made: list[MadeRequest] = []
        # The bytes of the answers with the labels: the grid and the list of a push, and the list of the project.
        self.bytes: dict[str, int] = {}

    def run(self) -> None:
        say(f"Taskcluster: reads, {len(self.labels):,} labels")
        self._read_graphs()
        count, times = self.traffic.times(self.opened)
        say(f"Taskcluster: the lists of {count} pushes, each with a request")
        self._open_pushes(count, times)
        self.outside.stop()

    # Reads.

    def _read_graphs(self) -> None:
        day = self.day
        projects = json.loads(day.stack.env["RUNNABLE_JOBS_TASKCLUSTER_PROJECTS"])
        settings = {
            "RUNNABLE_JOBS_TASKCLUSTER_PROJECTS": json.dumps({PROJECT: projects[PROJECT]}),
            "RUNNABLE_JOBS_TASKCLUSTER_URL": self.outside.url,
        }
        # It starts for each read of all projects.
        etl = day.metered("etl", settings, counted_as="read", starts=24)
        sent = json.dumps({"build_system": "taskcluster"}).encode()

        def read(push: int, document: bytes | None, times: float, away: float) -> dict[str, dict]:
            """Read the latest decision task, which is a new one if it has a document; returns the catalog before it."""
            task = self.control.add_decision_task(PROJECT, push) if document else ""
            if document:
                self.control.set_artifact(task, FULL_TASK_GRAPH, document)
            make_older(day)
            day.tables.read_all()
            before = dict(day.tables.items[day.stack.env["CATALOG_TABLE"]])
            self.outside.taken()
            with day.caused_by("read"):
                etl.invoke(sent, times, away)
                # One connection for the API, and one for the artifact.
                used = self.outside.taken() + (2 if document else 1) * CONNECTION_BYTES
                day.usage["bytes_out"] += used * times
            if document:
                self.control.remove_artifact(task, FULL_TASK_GRAPH)
            return before

        first = full_graph(self.labels)
        start = read(FIRST_PUSH - 3, first, 0, GRAPH_SECONDS)
        read(FIRST_PUSH - 3, None, SAME, ASK_SECONDS)
        read(FIRST_PUSH - 2, first, NEW, GRAPH_SECONDS)
        del first
        renamed = {
            f"{label}-renamed" if number % RENAMED == 0 else label: job
            for number, (label, job) in enumerate(self.labels.items())
        }
        before = read(FIRST_PUSH - 1, full_graph(renamed), CHANGED, GRAPH_SECONDS)
        self._keep_lists(start, before)
        self.bytes["project"] = packed_bytes(day, PROJECT)
        with day.caused_by("read"):
            day.usage["schedule_events"] += 24

    def _keep_lists(self, start: dict[str, dict], before: dict[str, dict]) -> None:
        """Count the storage: by how much longer a list is, for five projects, and what changes leave behind."""
        name = self.day.stack.env["CATALOG_TABLE"]
        self.day.tables.read_all()
        after = self.day.tables.items[name]
        longer = sum(lasting(item) for item in after.values()) - sum(lasting(item) for item in start.values())
        kept = {"dynamodb_bytes": 5.0 * longer}
        for key, item in after.items():
            if "expires_at" in item and "expires_at" not in before.get(key, {}):
                kept["dynamodb_bytes"] += CHANGED * stored_bytes(item_size(item)) * days_kept(item)
        self.day.keep("read", kept)

    # Pushes.

    def _open_pushes(self, count: int, times: float) -> None:
        day, env = self.day, self.day.stack.env
        # People look at a list in one environment, and again in another one.
        first, later = (day.metered("jobs", counted_as="push", starts=0) for _ in range(2))
        trigger = day.metered("trigger", self.traffic.trigger_settings, counted_as="label", starts=0)
        outside = {"RUNNABLE_JOBS_TASKCLUSTER_URL": self.outside.url}
        forward = day.metered("forward", outside, counted_as="action", starts=0)
        artifact = json.dumps(self.labels, indent=2).encode()
        names = sorted(self.labels)
        catalog = env["CATALOG_TABLE"]
        day.tables.read_all()
        before = set(day.tables.items[catalog])
        for number, size in enumerate(sizes_of(count)):
            push = FIRST_PUSH + number
            self.treeherder.set_author(PROJECT, push, PERSON)
            task = self.control.add_decision_task(PROJECT, push)
            self.control.set_artifact(task, RUNNABLE_JOBS, artifact)
            labels = self.traffic.random.sample(names, size)
            # The action needs of the graph only what it runs.
            self.control.set_artifact(task, FULL_TASK_GRAPH, json.dumps(nodes_of(labels)).encode())
            with day.caused_by("push"):
                grid, whole = f"decision_task_id={task}&view=grid", f"decision_task_id={task}"
                path = LIST.format(PROJECT)
                answer = first.ask(event(path, grid), 200, times, ARTIFACT_SECONDS)
                day.usage["bytes_out"] += OUTGOING_BYTES * times
                tag = answer["headers"]["etag"]
                later.ask(event(path, grid), 200, times)
                later.ask(event(path, grid, if_none_match=tag), 304, times)
                self.bytes["grid"] = answer_size(answer)
                self.bytes["list"] = answer_size(later.ask(event(path, whole), 200, times))
            with day.caused_by("label"):

                def act(times: float) -> None:
                    self.outside.taken()
                    self.traffic.deliver(times, forward, ACTION_SECONDS)
                    sent = self.outside.taken() + ACTION_CONNECTIONS * CONNECTION_BYTES + OUTGOING_BYTES
                    day.usage["bytes_out"] += sent * times

                made = self.traffic.request(PROJECT, push, labels, times, trigger, act, decision_task_id=task)
            self.made.append(made)
        day.tables.read_all()
        kept = sum(
            stored_bytes(item_size(item)) * days_kept(item)
            for key, item in day.tables.items[catalog].items()
            if key not in before
        )
        day.keep("push", {"dynamodb_bytes": times * kept})


def packed_bytes(day: Day, project: str) -> int:
    """The bytes of a project's list, packed as it is sent."""
    items = day.tables.items[day.stack.env["CATALOG_TABLE"]].values()
    of_project = {item["sk"]["S"]: item for item in items if item["pk"]["S"] == f"project#{project}"}
    start = f"list#{of_project['current']['etag']['S']}#"
    parts = [item for sk, item in of_project.items() if sk.startswith(start) and "#index#" not in sk]
    return sum(len(bytes(part["data"]["B"])) for part in parts)


def lasting(item: dict) -> int:
    """The stored bytes of an item that does not expire."""
    return 0 if "expires_at" in item else stored_bytes(item_size(item))


def nodes_of(labels: list[str]) -> dict[str, Any]:
    """Nodes of a full graph for labels that depend on nothing."""
    return {
        label: {"kind": "test", "label": label, "attributes": {}, "dependencies": {}, "task": {}} for label in labels
    }


def full_graph(labels: dict[str, dict[str, Any]]) -> bytes:
    """A full graph of the project's usual labels and of these, as long as gecko's."""
    usual = graph.full_task_graph(PROJECT, FIRST_PUSH, 0)
    template = next(node for node in usual.values() if node["kind"] == "test")
    nodes = [f"{json.dumps(label)}: {json.dumps(node, indent=2)}" for label, node in usual.items()]
    for label, job in labels.items():
        treeherder = {
            "symbol": job["symbol"],
            "groupSymbol": job["groupSymbol"],
            "groupName": job["groupName"],
            "collection": job["collection"],
            "machine": {"platform": job["platform"]},
            "tier": 1,
            "jobKind": "test",
        }
        task = template["task"]
        task = task | {"metadata": task["metadata"] | {"name": label}, "extra": {"treeherder": treeherder}}
        node = template | {"label": label, "attributes": {}, "task": task}
        text = json.dumps(node, indent=2)
        filler = json.dumps({"command": ["x" * 80] * ((TASK_BYTES - len(text)) // 85)}, indent=1)
        nodes.append(f'{json.dumps(label)}: {text[:-2]},\n"payload": {filler}\n}}')
    return ("{" + ",\n".join(nodes) + "}").encode()
