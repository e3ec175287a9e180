"""Measures the lists of pushes: the first use of one, beside the fetch of its task graph alone, and later uses.

    make bench PART=pushes

The graph is made up, of 30,000 labels. The function is the one that is deployed, fed through a stand-in of Lambda's
Runtime API; Taskcluster is a fake on this machine, so that the fetch alone takes far less time than from the real one.
What is compared alternates.
"""

import gzip
import itertools
import json
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localstack.fakes.taskcluster import RUNNABLE_JOBS, Control
from tests.support.runtime_api import Function, event
from tools.bench.function import fresh_for, lambda_environment, measured_stack, median_p99, programs_in
from tools.bench.source import say

LABELS = 30_000
FIRSTS = 9
LATER = 300
LIST = "/api/project/try/runnable_jobs/"
SEARCH = "search=linux2404+mochitest+debug"


def main() -> None:
    with measured_stack(__doc__) as (stack, built):
        control = Control(stack.env["TASKCLUSTER_URL"])
        artifact = json.dumps(made_up(), indent=2).encode()
        say("labels, bytes of the artifact", f"{len(json.loads(artifact)):,}, {len(artifact) / 1e6:.1f} MB")
        function = programs_in(built).function("jobs")
        environment = lambda_environment(stack, "JOBS_FUNCTION") | fresh_for(3600)
        measure(function, environment, control, artifact)


def measure(binary: Path, environment: dict[str, str], control: Control, artifact: bytes) -> None:
    """Measure first and later uses."""
    tasks = list(itertools.islice(decision_tasks(control, artifact), FIRSTS + 1))
    # Beside the first use, not before it: both need the artifact, and a busy machine slows both.
    fetches, firsts = [], []
    with Function(binary, environment) as function:
        function.ask(event(LIST))
        # One that is not measured: the connections are open then.
        function.ask(of_push(tasks.pop()))
        for task in tasks:
            fetches.append(fetch(control.url, task))
            reply = function.ask(of_push(task))
            firsts.append(reply.milliseconds)
        alone, first = statistics.median(fetches), statistics.median(firsts)
        say(f"first use of a push's list: median of {FIRSTS}, in the function", f"{first:.0f} ms")
        say(f"  / the fetch of the artifact alone ({alone:.0f} ms)", f"{first / alone:.1f}", "at most 1.3")
        say("  beyond the fetch", f"{first - alone:.0f} ms")
        later: dict[str, list[float]] = {"project": [], "push": [], "search": [], "grid": []}
        events = {
            "project": event(LIST),
            "push": of_push(tasks[0]),
            "search": of_push(tasks[0], SEARCH),
            "grid": of_push(tasks[0], "view=grid"),
        }
        for name, sent in [*events.items()] * (LATER + 1):
            later[name].append(function.ask(sent).milliseconds)
    for name, what, goal in (
        ("project", "the project's list, from memory", ""),
        ("push", "a push's list, from memory", "at most 1 ms"),
        ("search", f"{SEARCH} in a push's list", "at most 15 ms"),
        ("grid", "the grid of a push's list", "at most 1 ms"),
    ):
        say(f"{what}: median, p99 of {LATER}, in the function", median_p99(later[name][1:]), goal)
    other_process(binary, environment, tasks[0])


def other_process(binary: Path, environment: dict[str, str], task: str) -> None:
    """Measure the first answers of a process that finds the list in the store."""
    found: dict[str, list[Any]] = {"": [], SEARCH: [], "view=grid": []}
    for query, replies in found.items():
        for _ in range(FIRSTS):
            with Function(binary, environment) as function:
                function.ask(event("/__lbheartbeat__"))
                replies.append(function.ask(of_push(task, query)))
    for query, replies in found.items():
        milliseconds = statistics.median(reply.milliseconds for reply in replies)
        units = replies[0].line["read_units"]
        what = query or "the whole list"
        say(f"a kept list in another process, {what}: first answer, read units", f"{milliseconds:.0f} ms, {units}")


def of_push(task: str, query: str = "") -> bytes:
    return event(LIST, "&".join(filter(None, (f"decision_task_id={task}", query))))


def decision_tasks(control: Control, artifact: bytes) -> Iterator[str]:
    """Decision tasks of new pushes, with this artifact."""
    while True:
        task = control.add_decision_task("try")
        control.set_artifact(task, RUNNABLE_JOBS, artifact)
        yield task


def fetch(url: str, task: str) -> float:
    """How many milliseconds it takes to fetch a task's artifact and to unpack it."""
    start = time.perf_counter()
    with urllib.request.urlopen(f"{url}/api/queue/v1/task/{task}/artifacts/{RUNNABLE_JOBS}") as answer:
        body = answer.read()
    if answer.headers.get("Content-Encoding") == "gzip":
        gzip.decompress(body)
    return (time.perf_counter() - start) * 1e3


def made_up() -> dict[str, dict[str, Any]]:
    """A graph in gecko's form."""
    systems = ("linux2404-64", "linux1804-64-qr", "windows11-64-24h2", "windows11-32-24h2", "macosx1470-64")
    suites = (("mochitest-browser-chrome", "M", "bc"), ("web-platform-tests", "W", "wpt"), ("xpcshell", "X", "X"))
    variants = ("", "-swr", "-spi-nw", "-a11y-checks", "-1proc")
    graph: dict[str, dict[str, Any]] = {}
    for chunk in itertools.count(1):
        jobs = itertools.product(systems, ("opt", "debug", "asan", "tsan"), suites, variants)
        for system, option, (suite, group, symbol), variant in jobs:
            graph[f"test-{system}/{option}-{suite}{variant}-{chunk}"] = {
                "symbol": f"{symbol}{chunk}",
                "groupSymbol": group + variant,
                "groupName": suite.replace("-", " "),
                "collection": {option: True},
                "platform": system,
            }
        if len(graph) >= LABELS:
            break
    return graph


if __name__ == "__main__":
    main()
