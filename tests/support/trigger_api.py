"""The API of trigger requests on a port of this machine, as a service uses it that makes requests for people."""

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.served import Served
from tests.support.stack import PROGRAMS, Stack

ANSWER_SECONDS = 60


class Order(NamedTuple):
    """Jobs to run on a push for a person. No name is in it twice."""

    project: str
    push: int
    requester: str
    names: list[str]


class TriggerApi:
    """The API beside a stack."""

    def __init__(self, stack: Stack, log: Path) -> None:
        self.served = Served(PROGRAMS.serve(), stack.env, log)
        token = stack.token("--service", "treeherder")
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def request(self, order: Order) -> str:
        """Make a request for an order; returns its id. Fails if not all of it is accepted and queued."""
        path = f"/api/project/{order.project}/push/{order.push}/trigger_runnable_jobs/"
        made = self._ask("POST", path, {"requested_jobs": order.names, "requester": order.requester})
        if made["state"] != "queued" or [job["state"] for job in made["jobs"]] != ["accepted"] * len(order.names):
            raise AssertionError(f"{order} is not queued: {made}")
        return made["request_id"]

    def find(self, project: str, request: str) -> dict:
        """The status of a request."""
        return self._ask("GET", f"/api/project/{project}/trigger_requests/{request}/")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(self.served.host, self.served.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), self.headers)
            answer = connection.getresponse()
            content = answer.read().decode()
        if answer.status not in (200, 202):
            raise AssertionError(f"{method} {path}: {answer.status} {content}")
        return json.loads(content)

    def stop(self) -> None:
        """Stop to serve."""
        self.served.stop()
