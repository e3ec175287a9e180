"""The definitions of the tasks that decision tasks and actions create."""

import json
import re
from typing import Any

from localstack.fakes.taskcluster.times import DAY, timestamp

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": DAY, "month": 30 * DAY, "year": 365 * DAY}


def definition(
    label: str, node: dict[str, Any], decision: dict[str, Any], parent: str, dependencies: list[str], now: float
) -> dict[str, Any]:
    """The definition of a task of a graph, in the group of its decision task, whose definition is given."""
    task = json.loads(json.dumps(node.get("task", {})))
    times = {
        name: timestamp(now + _seconds(task.get(name), usual))
        for name, usual in (("created", 0), ("deadline", DAY), ("expires", 28 * DAY))
    }
    provisioner = task.get("provisionerId", decision["provisionerId"])
    queue = f"{provisioner}/{task.get('workerType', 'b-linux')}"
    return {
        "workerType": "b-linux",
        "payload": {},
        "priority": "very-low",
        "routes": [],
        "scopes": [],
        **task,
        "provisionerId": provisioner,
        "taskQueueId": queue,
        "schedulerId": decision["schedulerId"],
        "projectId": "none",
        "taskGroupId": decision["taskGroupId"],
        "dependencies": dependencies,
        "requires": "all-completed",
        "retries": 5,
        **times,
        "metadata": {"owner": "dev@example.org", "description": label, "source": "https://hg.mozilla.org/"}
        | task.get("metadata", {})
        | {"name": label},
        "tags": {"label": label, "project": decision["tags"]["project"]} | task.get("tags", {}),
        "extra": task.get("extra", {}) | {"parent": parent},
    }


def _seconds(given: Any, usual: int) -> int:
    """The seconds of a time such as `{"relative-datestamp": "1 day"}`."""
    match given:
        case {"relative-datestamp": str(text)} if found := re.fullmatch(r"(\d+) ([a-z]+?)s?", text):
            return int(found[1]) * SECONDS[found[2]]
    return usual
