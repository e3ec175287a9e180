"""What all of Taskcluster's services have in common: routes, their parameters, and the form of errors."""

import dataclasses
import json
import re
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from localstack.fakes.taskcluster.clients import Caller
from localstack.fakes.taskcluster.errors import ApiError
from localstack.fakes.taskcluster.faults import Answer
from localstack.fakes.taskcluster.state import State

SLUGID = re.compile(r"[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]")
NAMESPACE = re.compile(r"([a-zA-Z0-9_!~*'()%-]+\.)*[a-zA-Z0-9_!~*'()%-]+")
# The forms of parameters in paths and queries, by their names.
PARAMETERS = {
    "taskId": SLUGID,
    "runId": re.compile(r"0*[0-9]{1,4}"),
    "name": re.compile(r"[\x20-\x7e]+"),
    "indexPath": NAMESPACE,
    "namespace": NAMESPACE,
    "hookGroupId": re.compile(r"[a-zA-Z0-9_-]*"),
    "hookId": re.compile(r"[a-zA-Z0-9_/-]*"),
    "limit": re.compile(r"[0-9]+"),
    "continuationToken": re.compile(r"[0-9]+"),
}
# The maximum of results in a page.
MAX_PAGE = 1000


class Call(NamedTuple):
    """A call of a service. `body` is what a POST sent."""

    parameters: dict[str, str]
    query: dict[str, str]
    body: Any
    caller: Caller


@dataclasses.dataclass
class Found:
    """The JSON that answers a call, or another answer: after a while, when `at_end` is done, perhaps with an error."""

    content: Any
    status: int = HTTPStatus.OK
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    text: str | None = None
    wait_seconds: float = 0
    at_end: Callable[[], None] | None = None
    error: ApiError | None = None


class Route:
    """A call that a service knows, as `GET /task/<taskId>`; `<name*>` may contain slashes."""

    def __init__(self, route: str, name: str, answer: Callable[[Call], Found], query: tuple[str, ...] = ()) -> None:
        self.method, path = route.split(" ")
        pattern = re.sub(r"<(\w+)(\*?)>", lambda found: f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})", path)
        self.pattern = re.compile(pattern + "/?")
        self.name, self.answer, self.query = name, answer, query


class Service:
    """A service: its routes, over the state that all services share."""

    def __init__(self, state: State, root_url: str, artifact_url: str) -> None:
        self.state, self.root_url, self.artifact_url = state, root_url, artifact_url

    def routes(self) -> tuple[Route, ...]:
        """The calls that it knows."""
        raise NotImplementedError

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a path below `/api/SERVICE/v1`, and its parameters. The path is as it was sent."""
        for route in self.routes():
            if route.method == method and (found := route.pattern.fullmatch(path)):
                return route, {name: urllib.parse.unquote(value) for name, value in found.groupdict().items()}
        return None


def page(results: list[Any], query: dict[str, str], name: str) -> Found:
    """A page of results, and the token of the next one."""
    first = int(query.get("continuationToken", 0))
    last = first + min(max(int(query.get("limit", MAX_PAGE)), 1), MAX_PAGE)
    token = {"continuationToken": str(last)} if last < len(results) else {}
    return Found({name: results[first:last]} | token)


def check_parameters(parameters: dict[str, str]) -> None:
    """Refuse malformed parameters of a path."""
    errors = [
        f"URL parameter '{name}' given as '{value}' must match regular expression: '/^{PARAMETERS[name].pattern}$/'"
        for name, value in parameters.items()
        if not PARAMETERS[name].fullmatch(value)
    ]
    if errors:
        raise ApiError("InvalidRequestArguments", "\n".join(["Invalid URL patterns:", *errors]))


def read_query(text: str, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters of a query; refuses unknown and malformed ones."""
    query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    for name, value in query.items():
        if name not in known:
            message = f"Query-string parameter: {name} is not supported by this end-point"
            raise ApiError("InvalidRequestArguments", message)
        if not PARAMETERS[name].fullmatch(value):
            message = f"Query-string parameter: {name}='{value}' does not match '/^{PARAMETERS[name].pattern}$/'"
            raise ApiError("InvalidRequestArguments", message)
    return query


def answer_of(found: Found) -> Answer:
    """The answer to send, before it is packed."""
    if found.text is not None:
        return Answer(found.status, {"Content-Type": "text/plain; charset=utf-8", **found.headers}, found.text.encode())
    body = json.dumps(found.content).encode()
    return Answer(found.status, {"Content-Type": "application/json; charset=utf-8", **found.headers}, body)
