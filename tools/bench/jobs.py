"""Measures the jobs function on a full-size catalog, beside the local stack, and prints a table with the goals.

    make bench                               # on a sample of 65,888 builders that the ETL makes
    make bench SOURCE=allthethings.json      # on a dump

The function is the one that is deployed, fed through a stand-in of Lambda's Runtime API with the settings and the role
that the template gave it. Times "in the function" are those of its own log; the others include the stand-in. What is
compared alternates. Needs Linux, the builds that `make bench` makes, and that no stack runs in this checkout.
"""

import asyncio
import functools
import json
import os
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.runtime_api import ANSWER_SECONDS, Function, Reply, event, first_answer
from tests.support.stack import GivenStack
from tools.bench.function import (
    cpu_seconds,
    fresh_for,
    lambda_environment,
    measured_stack,
    median_p99,
    on_aws,
    p99,
    programs_in,
    say_units,
)
from tools.bench.source import say, zipped_size
from tools.cost.item_units import eventual_units, item_size

EVENTS = 2000
SEARCHES = 300
# The number of processes of whose first events the median is taken.
STARTS = 15
FIRSTS = 9
LIST = "/api/project/{}/runnable_jobs/"
SEARCH = "search=mochitest+linux64"
SELECTIONS = {
    SEARCH: SEARCH,
    "platform=linux64&option=opt": "platform=linux64&option=opt",
    "offset=100&count=50": "offset=100&count=50",
    "all jobs, 5 fields of each": "fields=ref_data_name,platform,platform_option,job_group_symbol,job_type_symbol",
    f"{SEARCH}, 2 fields": f"{SEARCH}&fields=ref_data_name,platform",
}
RATE = 500
LOAD_SECONDS = 60
SETTLED_SECONDS = 10
LOAD_FRESH_SECONDS = 5
LOAD_PROJECTS = 10
CONNECTIONS = 64
# Shares of the load; half of the lists are of `try`.
MIX = {"list": 60, "held": 30, "search": 10}


def main() -> None:
    with measured_stack(__doc__) as (stack, built):
        function = programs_in(built).function("jobs")
        environment = lambda_environment(stack, "JOBS_FUNCTION")
        projects = by_jobs(function, environment)
        say("projects, jobs of try", f"{len(projects)}, {projects['try']:,}")
        warm(function, environment)
        read_units(stack, function, environment)
        searches(function, environment, list(projects)[1])
        load(programs_in(built).serve(), stack.env, list(projects)[:LOAD_PROJECTS])
        start(function, built / "lambda" / "examples" / "empty_http_function", environment, projects)
        size(function, built / "lambda" / "examples" / "bare_lists", environment)


def list_event(project: str = "try", query: str = "", **headers: str) -> bytes:
    return event(LIST.format(project), query, **headers)


# The measurements.


def by_jobs(binary: Path, environment: dict[str, str]) -> dict[str, int]:
    """The number of jobs of each project: first `try`, then by their number."""
    with Function(binary, environment) as function:
        projects = json.loads(function.ask(event("/api/projects/", accept_encoding="identity")).body())["projects"]
    projects.sort(key=lambda project: (project["name"] != "try", -project["jobs"]))
    return {project["name"]: project["jobs"] for project in projects}


def warm(binary: Path, environment: dict[str, str]) -> None:
    """Measure lists and 304s from memory."""
    with Function(binary, environment | fresh_for(3600)) as function:
        packed = function.ask(list_event())
        held = list_event(if_none_match=packed.answer["headers"]["etag"])
        lists, helds, plains = [], [], []
        for number in range(EVENTS):
            lists.append(function.ask(list_event()))
            helds.append(function.ask(held, 304))
            if number % 20 == 0:
                plains.append(function.ask(list_event(accept_encoding="identity")))
    plain_bytes = plains[0].line["bytes"]
    for what, replies, goals in (
        (f"list of try, gzip ({packed.line['bytes'] / 1e3:.1f} KB)", lists, "at most 1 and 5 ms"),
        ("304", helds, "median at most 0.3 ms"),
        (f"list of try, not packed ({plain_bytes / 1e6:.2f} MB)", plains, ""),
    ):
        # The first uncompressed list has to be decompressed.
        replies = [reply for reply in replies[1:] if reply.line["cache"] == "memory"]
        say(
            f"{what}: median, p99 of {len(replies)} in the function",
            median_p99([reply.milliseconds for reply in replies]),
            goals,
        )
        say("  from the event to the response", median_p99([reply.seconds * 1e3 for reply in replies]))
    say("list of try, not packed: the first in a process, in the function", f"{plains[0].milliseconds:.1f} ms")


def read_units(stack: GivenStack, binary: Path, environment: dict[str, str]) -> None:
    """Measure the units of a first list, of a first search, and of a check whether a list is current."""
    items = stack.client("dynamodb").query(
        TableName=stack.env["CATALOG_TABLE"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "project#try"}},
    )["Items"]
    [pointer] = [item for item in items if item["sk"]["S"] == "current"]
    start = f"list#{pointer['etag']['S']}#"
    parts = [item for item in items if item["sk"]["S"].startswith(start)]
    sizes = [item_size(part) for part in parts if not part["sk"]["S"].startswith(f"{start}index#")]
    index_sizes = [item_size(part) for part in parts if part["sk"]["S"].startswith(f"{start}index#")]
    with Function(binary, environment | fresh_for(0)) as function:
        first, check = function.ask(list_event()), function.ask(list_event())
    with Function(binary, environment | fresh_for(0)) as function:
        search = function.ask(list_event(query=SEARCH))
    if (first.line["cache"], check.line["cache"]) != ("store", "revalidated"):
        raise SystemExit(f"not the lines of a first list and of a check: {first.line}, {check.line}")
    say_units(
        "check whether a list is current: read units",
        eventual_units([item_size(pointer)]),
        check.line["read_units"],
        "0.5",
    )
    say_units(
        f"first list, {sum(sizes):,} bytes in {len(sizes)} items: read units beside a check's",
        eventual_units(sizes),
        first.line["read_units"] - check.line["read_units"],
        "at most 8",
    )
    say_units(
        f"first search, {sum(index_sizes):,} bytes in {len(index_sizes)} items: read units beside a check's",
        eventual_units(index_sizes),
        search.line["read_units"] - check.line["read_units"],
        "at most those of a first list",
    )


def searches(binary: Path, environment: dict[str, str], other: str) -> None:
    """Measure selections from a list: gzip answers from memory."""
    # After a list, the first search reads the index with a client that is in use. The same search again is the later
    # one.
    first: list[float] = []
    later: list[float] = []
    others: list[float] = []
    for _ in range(FIRSTS):
        with Function(binary, environment | fresh_for(3600)) as function:
            function.ask(list_event())
            first.append(function.ask(list_event(query=SEARCH)).milliseconds)
            later.extend(function.ask(list_event(query=SEARCH)).milliseconds for _ in range(FIRSTS))
            function.ask(list_event(other))
            others.append(function.ask(list_event(other, SEARCH)).milliseconds)
    say(
        f"first search in a process, after its list: median of {FIRSTS}, most, in the function",
        f"{statistics.median(first):.1f}, {max(first):.1f} ms",
    )
    say(
        f"  / a later one of the whole list ({statistics.median(later):.2f} ms)",
        f"{statistics.median(first) / statistics.median(later):.1f}",
        "at most 2",
    )
    say(f"  the first of {other} in a process that has searched", f"{statistics.median(others):.1f} ms")
    replies: dict[str, list[Reply]] = {name: [] for name in SELECTIONS}
    with Function(binary, environment | fresh_for(3600)) as function:
        function.ask(list_event(query=SEARCH))
        for _ in range(SEARCHES):
            for name, query in SELECTIONS.items():
                replies[name].append(function.ask(list_event(query=query)))
        found = {
            name: json.loads(function.ask(list_event(query=query, accept_encoding="identity")).body())
            for name, query in SELECTIONS.items()
        }
    for name, answer in found.items():
        say(
            f"  {name} ({len(answer['results']):,} jobs): median, p99",
            median_p99([reply.milliseconds for reply in replies[name]]),
            "" if name.startswith("all jobs") else "at most 5 ms",
        )


def start(binary: Path, empty: Path, environment: dict[str, str], projects: dict[str, int]) -> None:
    """Measure the time from the start of a process until its first response."""
    other = list(projects)[1]
    beat, list_of_try = event("/__lbheartbeat__"), list_event()
    empties, beats, lists, firsts, seconds_ = [], [], [], [], []
    for _ in range(STARTS):
        empties.append(first_answer(empty, environment, beat)[0])
        # This request calls no AWS service.
        beats.append(first_answer(binary, on_aws(environment), beat)[0])
        took, first, second = first_answer(binary, environment, list_of_try, list_event(other))
        lists.append(took)
        firsts.append(first.milliseconds / 1e3)
        seconds_.append(second.milliseconds / 1e3)
    for what, times in (
        ("start to first answer of an empty function", empties),
        ("  of ours, GET /__lbheartbeat__", beats),
        ("  of ours, GET the list of try", lists),
        ("    of that, in the request: the store, and the SDK's first use", firsts),
        (f"    the same reads for {other} with the SDK in use", seconds_),
    ):
        say(what, f"{statistics.median(times) * 1e3:.1f} ms")
    for what, times, goal in (
        ("GET /__lbheartbeat__ / empty function", beats, "at most 1.3"),
        ("GET the list of try / empty function", lists, "at most 5"),
    ):
        say(what, f"{statistics.median(times) / statistics.median(empties):.2f}", goal)


def size(binary: Path, bare: Path, environment: dict[str, str]) -> None:
    """Measure the function as it is uploaded, the API reference's share of it, and what its dependencies take alone."""
    zipped = zipped_size(binary)
    with Function(binary, environment) as function:
        page = sum(
            function.ask(event(f"/api/docs/{name}")).line["bytes"]
            for name in ("swagger-ui-bundle.js", "swagger-ui.css")
        )
    say("zipped function", f"{zipped / 1e6:.2f} MB")
    say("  of that, the packed files of the API reference's page", f"{page / 1e6:.2f} MB")
    say("  without them", f"{(zipped - page) / 1e6:.2f} MB", "at most 3 MB")
    say("  its dependencies alone", f"{zipped_size(bare) / 1e6:.2f} MB")


# The load.


class Request(NamedTuple):
    """A request and its expected answer. `gzip` is None where compression depends on the size of the answer."""

    text: bytes
    status: int
    gzip: bool | None


class Done(NamedTuple):
    """The result of one request of the load."""

    late: float
    seconds: float
    error: str | None


class Connection(asyncio.Protocol):
    """A kept connection with at most one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self.received = bytearray()

    def ask(self, text: bytes) -> "asyncio.Future[tuple[int, bytes, bytes]]":
        """A future of the answer's status, its head, and its body."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(text)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n", 0, 4096)
        if end < 0:
            return
        head = bytes(self.received[:end])
        status = int(head[9:12])
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        whole = end + 4 + (int(length[1]) if length and status != 304 else 0)
        if len(self.received) >= whole:
            body = bytes(self.received[end + 4 : whole])
            del self.received[:whole]
            assert self.answer
            self.answer.set_result((status, head, body))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(error or ConnectionError("closed"))


class Load:
    """An open loop: each request is sent when it is due, whether or not earlier ones are answered."""

    def __init__(self, port: int) -> None:
        self.port, self.connections = port, 0
        self.idle: list[Connection] = []

    async def ask(self, text: bytes) -> tuple[int, bytes, bytes]:
        if not self.idle:
            self.connections += 1
            _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port)
        else:
            connection = self.idle.pop()
        answer = await asyncio.wait_for(connection.ask(text), ANSWER_SECONDS)
        self.idle.append(connection)
        return answer

    async def open(self) -> None:
        """Open the connections in advance, as in the long run."""
        await asyncio.gather(*(self.ask(get("/__lbheartbeat__")) for _ in range(CONNECTIONS)))

    async def one(self, request: Request, due: float) -> Done:
        begin = time.perf_counter()
        error = None
        try:
            status, head, body = await self.ask(request.text)
            if status != request.status:
                error = f"status {status}"
            elif request.gzip not in (None, body.startswith(b"\x1f\x8b")):
                error = "another encoding"
            elif b"\r\nwarning:" in head.lower():
                error = "stale"
        except (OSError, TimeoutError) as broken:
            error = repr(broken)
        return Done(begin - due, time.perf_counter() - begin, error)

    async def run(self, requests: list[Request], times: list[float], settled: Callable[[], None]) -> list[Done]:
        begin, tasks, is_settled = time.perf_counter(), [], False
        for request, at in zip(requests, times, strict=False):
            if (ahead := begin + at - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if not is_settled and at >= SETTLED_SECONDS:
                settled()
                is_settled = True
            tasks.append(asyncio.create_task(self.one(request, begin + at)))
        return await asyncio.gather(*tasks)


def get(path: str, **headers: str) -> bytes:
    sent = {"host": "localhost", "accept-encoding": "gzip, deflate", "origin": "https://treeherder.mozilla.org"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "\r\n".join([f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]).encode()


def load(command: list[str], environment: dict[str, str], projects: list[str]) -> None:
    """Measure a port under a steady load, on a core of its own."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    own, others = cores[:1], cores[1:]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"],
            env=os.environ | environment | fresh_for(LOAD_FRESH_SECONDS),
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=functools.partial(os.sched_setaffinity, 0, own) if others else None,
        )
        try:
            if others:
                os.sched_setaffinity(0, others)
            assert process.stderr
            [port] = map(int, re.findall(r":(\d+)/", process.stderr.readline()))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            memory: list[int] = []
            begin_cpu, done, took = asyncio.run(under_load(port, process.pid, projects, memory))
            memory.append(resident(process.pid))
            used = cpu_seconds(process.pid) - begin_cpu
        finally:
            process.terminate()
            process.wait()
            if others:
                os.sched_setaffinity(0, cores)
        log.seek(0)
        lines = [json.loads(line) for line in log if line.startswith("{")][-len(done) :]
    say_load(done, took, lines, memory, used)


async def under_load(
    port: int, process: int, projects: list[str], memory: list[int]
) -> tuple[float, list[Done], float]:
    """The processor time used before, the result of each request, and the seconds that all took."""
    load_ = Load(port)
    await load_.open()
    tags = {}
    for project in projects:
        status, head, _ = await load_.ask(get(LIST.format(project)))
        if status != 200:
            raise SystemExit(f"the list of {project} is answered with {status}")
        [tag] = re.findall(rb'\r\netag: (".*?")', head, re.IGNORECASE)
        tags[project] = tag.decode()
    chance = random.Random(1)
    requests = list(mixed(chance, projects, tags, RATE * LOAD_SECONDS))
    times = sorted(chance.uniform(0, LOAD_SECONDS) for _ in requests)
    begin_cpu, begin = cpu_seconds(process), time.perf_counter()
    done = await load_.run(requests, times, lambda: memory.append(resident(process)))
    return begin_cpu, done, time.perf_counter() - begin


def mixed(chance: random.Random, projects: list[str], tags: dict[str, str], count: int) -> Iterator[Request]:
    """The requests of the load, half of them for `try`."""
    others = [project for project in projects if project != "try"]
    for kind in chance.choices(list(MIX), list(MIX.values()), k=count):
        project = "try" if chance.random() < 0.5 else chance.choice(others)
        match kind:
            case "list":
                yield Request(get(LIST.format(project)), 200, True)
            case "held":
                yield Request(get(LIST.format(project), if_none_match=tags[project]), 304, False)
            case "search":
                query = chance.choice(
                    [
                        "search=mochitest",
                        "search=linux64+debug",
                        "platform=linux64&count=100",
                        "search=talos&fields=ref_data_name",
                    ]
                )
                yield Request(get(f"{LIST.format(project)}?{query}"), 200, None)


def say_load(done: list[Done], took: float, lines: list[dict], memory: list[int], used: float) -> None:
    errors = Counter(one.error for one in done if one.error)
    settled, end = memory
    caches = Counter(line.get("cache") for line in lines)
    shares = ", ".join(f"{share} % {kind}" for kind, share in MIX.items())
    reached = len(done) / took
    late = [one.late * 1e3 for one in done]
    say(
        f"load: requests ({shares}), a second",
        f"{len(done):,}, {reached:.0f}",
        f"{RATE} a second for {LOAD_SECONDS} s{'' if reached > 0.98 * RATE else ': the client is too slow'}",
    )
    say("  sent late by: median, p99", f"{statistics.median(late):.1f}, {p99(late):.1f} ms")
    say("  errors", str(sum(errors.values())), "0" + "".join(f"; {error}: {count}" for error, count in errors.items()))
    say("  latency: median, p99", median_p99([one.seconds * 1e3 for one in done]))
    say("  in the function: median, p99", median_p99([line["duration_ms"] for line in lines]))
    say(
        "  answered from memory, after a check, from the store, stale",
        ", ".join(str(caches[name]) for name in ("memory", "revalidated", "store", "stale")),
    )
    say(f"  resident after {SETTLED_SECONDS} s, at the end", f"{settled / 1e3:.1f}, {end / 1e3:.1f} MB")
    say("  growth", f"{(end / settled - 1) * 100:+.1f} %", "at most 5 %")
    say("  processor time a request; share of its core", f"{used / len(done) * 1e3:.3f} ms, {used / took * 100:.0f} %")


def resident(process: int) -> int:
    """A process's resident memory, in KB."""
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(kilobytes)


if __name__ == "__main__":
    main()
