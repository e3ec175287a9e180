"""Measures the jobs function on a full-size catalog, beside the local stack, and prints a table with the goals.

    make bench                               # on a sample of 65,888 builders that the ETL makes itself
    make bench SOURCE=allthethings.json      # on a dump

The function is the one that is deployed, fed through a stand-in of Lambda's Runtime API with the settings and the role
that the template gave it. Times "in the function" are those of its own log; the others include the stand-in. What is
compared alternates. Needs Linux, the builds that `make bench` makes, and that no stack runs in this checkout.
"""

import argparse
import asyncio
import base64
import contextlib
import functools
import json
import math
import os
import queue
import random
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench_source import sample, say

EVENTS = 2000
SEARCHES = 300
# Of what happens once in a process's life, from so many processes the median.
STARTS = 25
FIRSTS = 9
ANSWER_SECONDS = 20
ARN = "arn:aws:lambda:us-east-1:000000000000:function:jobs"
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
# Shares of the load; `try` has half of the lists, the other projects the rest.
MIX = {"list": 60, "held": 30, "search": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    parser.add_argument("--source", type=Path, help="an allthethings.json, uncompressed")
    options = parser.parse_args()
    built = options.target.absolute()
    function = built / "lambda" / "jobs-function"
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or sample(built / "release" / "etl", Path(folder) / "sample.json")
        stack = start_stack(built, source)
        try:
            environment = lambda_environment(stack)
            projects = by_jobs(function, environment)
            say("projects, jobs of try", f"{len(projects)}, {projects['try']:,}")
            warm(function, environment)
            read_units(stack, function, environment)
            searches(function, environment)
            load(built / "release" / "jobs", stack.env, list(projects)[:LOAD_PROJECTS])
            start(function, built / "lambda" / "examples" / "empty_http_function", environment, projects)
            size(function, environment)
        finally:
            stack.stop()


# The stack, and what the function knows of it.


def start_stack(built: Path, source: Path):
    """The stack of the tests, with the function as it is deployed."""
    # The module takes the binaries from these as it is imported.
    os.environ["ETL_BIN"] = str(built / "release" / "etl")
    os.environ["ETL_FUNCTION_BIN"] = str(built / "lambda" / "etl-function")
    for name in ("JOBS", "TRIGGER", "SWEEP"):
        os.environ[f"{name}_FUNCTION_BIN"] = str(built / "lambda" / f"{name.lower()}-function")
    from running_stack import STACK_ENV, Stack

    if STACK_ENV.exists():
        raise SystemExit(f"{STACK_ENV} is there: a stack runs in this checkout; end it first")
    return Stack(source.absolute())


def lambda_environment(stack) -> dict[str, str]:
    """All that the deployed function's process has in its environment."""
    deployed = stack.client("lambda").get_function_configuration(FunctionName=stack.env["JOBS_FUNCTION"])
    role = stack.as_role_of(stack.env["JOBS_FUNCTION"])
    return deployed["Environment"]["Variables"] | {name.upper(): value for name, value in role.items()} | {
        "AWS_REGION": stack.env["AWS_REGION"], "AWS_LAMBDA_FUNCTION_NAME": stack.env["JOBS_FUNCTION"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed["MemorySize"]), "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "bench", "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    }


def fresh_for(seconds: int) -> dict[str, str]:
    return {"RUNNABLE_JOBS_FRESH_SECONDS": str(seconds)}


# Lambda, as much of it as a function needs.


class Reply(NamedTuple):
    """A function's answer to one event, its own line about it, and how long it took from handing out the event."""

    answer: dict
    line: dict
    seconds: float

    @property
    def milliseconds(self) -> float:
        """By the function's own clock."""
        return self.line["duration_ms"]

    def body(self) -> bytes:
        body = self.answer["body"]
        return base64.b64decode(body) if self.answer["isBase64Encoded"] else body.encode()


class Function:
    """A function's process with the Runtime API before it, which hands out one event at a time."""

    def __init__(self, binary: Path, environment: dict[str, str], first: bytes | None = None) -> None:
        """Starts the process; `first` is an event that waits for it."""
        self.binary = binary
        self.events, self.answers = queue.SimpleQueue(), queue.SimpleQueue()
        self.handed = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        if first:
            self.events.put(first)
        address = "{}:{}".format(*self.listener.getsockname())
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [binary], env=environment | {"AWS_LAMBDA_RUNTIME_API": address}, stdout=subprocess.PIPE)

    def __enter__(self) -> "Function":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.events.put(None)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def ask(self, event: bytes, status: int = 200) -> Reply:
        self.events.put(event)
        body, seconds, _ = self.answered()
        answer = json.loads(body)
        if answer["statusCode"] != status:
            raise SystemExit(f"{self.binary} answers {answer} to {event}")
        return Reply(answer, json.loads(self.process.stdout.readline()), seconds)

    def answered(self) -> tuple[bytes, float, float]:
        """The next answer, the seconds since its event was handed out, and since the process was started."""
        try:
            return self.answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise SystemExit(f"{self.binary} does not answer") from None

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # The process is ended when it is no longer needed, whatever it waits for.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while request := stream.readline():
                length = 0
                while header := stream.readline().strip():
                    name, value = header.split(b":", 1)
                    if name.lower() == b"content-length":
                        length = int(value)
                body = stream.read(length)
                now = time.perf_counter()
                if request.startswith(b"POST"):
                    self.answers.put((body, now - self.handed, now - self.begun))
                    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                elif event := self.events.get():
                    deadline = int((time.time() + ANSWER_SECONDS) * 1000)
                    head = "\r\n".join([
                        "HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(event)}",
                        f"Lambda-Runtime-Aws-Request-Id: {random.getrandbits(64):016x}",
                        f"Lambda-Runtime-Deadline-Ms: {deadline}",
                        f"Lambda-Runtime-Invoked-Function-Arn: {ARN}", "", ""])
                    self.handed = time.perf_counter()
                    connection.sendall(head.encode() + event)


def event(path: str, query: str = "", **headers: str) -> bytes:
    """A GET as an HTTP API sends it (payload format 2.0). Header names are given with underscores."""
    host, agent = "abcdefghij.execute-api.us-east-1.amazonaws.com", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": agent}
    sent = {
        "accept": "application/json, text/plain, */*", "accept-encoding": "gzip, deflate, br, zstd",
        "content-length": "0", "host": host, "origin": "https://treeherder.mozilla.org", "user-agent": agent,
        "x-amzn-trace-id": "Root=1-674252c0-3b1d0f5a6c7d8e9f01234567", "x-forwarded-for": "192.0.2.7",
        "x-forwarded-port": "443", "x-forwarded-proto": "https",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    document = {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": sent,
        "requestContext": {
            "accountId": "000000000000", "apiId": "abcdefghij", "domainName": host, "domainPrefix": "abcdefghij",
            "http": http, "requestId": "JKJaXmPLvHcESHA=", "routeKey": "$default", "stage": "$default",
            "time": "23/Nov/2026:06:30:00 +0000", "timeEpoch": 1795415400000,
        },
        "isBase64Encoded": False,
    }
    if query:
        document["queryStringParameters"] = {
            name: ",".join(values) for name, values in urllib.parse.parse_qs(query).items()}
    return json.dumps(document).encode()


def list_event(project: str = "try", query: str = "", **headers: str) -> bytes:
    return event(LIST.format(project), query, **headers)


# What is measured.


def p99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1]


def median_p99(values: list[float]) -> str:
    return f"{statistics.median(values):.3f}, {p99(values):.3f} ms"


def by_jobs(binary: Path, environment: dict[str, str]) -> dict[str, int]:
    """How many jobs each project has: `try`, and then those with the most jobs first."""
    with Function(binary, environment) as function:
        projects = json.loads(function.ask(event("/api/projects/", accept_encoding="identity")).body())["projects"]
    projects.sort(key=lambda project: (project["name"] != "try", -project["jobs"]))
    return {project["name"]: project["jobs"] for project in projects}


def warm(binary: Path, environment: dict[str, str]) -> None:
    """Lists and 304s from memory."""
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
        # The first unpacked list unpacks.
        replies = [reply for reply in replies[1:] if reply.line["cache"] == "memory"]
        say(f"{what}: median, p99 of {len(replies)} in the function",
            median_p99([reply.milliseconds for reply in replies]), goals)
        say("  from the event to the response", median_p99([reply.seconds * 1e3 for reply in replies]))
    say("list of try, not packed: the first in a process, in the function", f"{plains[0].milliseconds:.1f} ms")


def read_units(stack, binary: Path, environment: dict[str, str]) -> None:
    """What the store charges for a first list and for a check whether it is current."""
    items = stack.client("dynamodb").query(
        TableName=stack.env["CATALOG_TABLE"], KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "project#try"}})["Items"]
    [pointer] = [item for item in items if item["sk"]["S"] == "current"]
    parts = [item for item in items if item["sk"]["S"].startswith(f"list#{pointer['etag']['S']}#")]
    sizes = [item_size(part) for part in parts]
    with Function(binary, environment | fresh_for(0)) as function:
        first, check = function.ask(list_event()), function.ask(list_event())
    if (first.line["cache"], check.line["cache"]) != ("store", "revalidated"):
        raise SystemExit(f"not the lines of a first list and of a check: {first.line}, {check.line}")
    say_units("check whether a list is current: read units", [item_size(pointer)], check.line["read_units"], "0.5")
    say_units(f"first list, {sum(sizes):,} bytes in {len(sizes)} items: read units beside a check's", sizes,
              first.line["read_units"] - check.line["read_units"], "at most 8")


def say_units(what: str, sizes: list[int], told: float, goal: str) -> None:
    # The emulator charges the same for items of any size, or nothing.
    say(what, f"{eventual_units(sizes):g}", f"{goal} (computed from the size; the emulator says {told:g})")


def eventual_units(sizes: Iterable[int]) -> float:
    """What reading items of these sizes one by one costs with eventual consistency."""
    return sum(math.ceil(size / 4096) * 0.5 for size in sizes)


def item_size(item: dict) -> int:
    """An item's bytes as DynamoDB counts them."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: dict) -> int:
    [(kind, held)] = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "B":
            return len(held)
        case "N":
            return math.ceil(len(held.strip("-").replace(".", "").strip("0")) / 2) + 1
        case "SS":
            return sum(len(word.encode()) for word in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_size(inner) for name, inner in held.items())
    raise SystemExit(f"an item has a value of the kind {kind}, whose size is not known here")


def searches(binary: Path, environment: dict[str, str]) -> None:
    """What is made of a list on request: answers for clients that take gzip, from memory."""
    first = []
    for _ in range(FIRSTS):
        with Function(binary, environment | fresh_for(3600)) as function:
            function.ask(list_event())
            first.append(function.ask(list_event(query=SEARCH)).milliseconds)
    say(f"first search: median of {FIRSTS}, most, in the function",
        f"{statistics.median(first):.1f}, {max(first):.1f} ms")
    replies: dict[str, list[Reply]] = {name: [] for name in SELECTIONS}
    with Function(binary, environment | fresh_for(3600)) as function:
        function.ask(list_event(query=SEARCH))
        for _ in range(SEARCHES):
            for name, query in SELECTIONS.items():
                replies[name].append(function.ask(list_event(query=query)))
        found = {name: json.loads(function.ask(list_event(query=query, accept_encoding="identity")).body())
                 for name, query in SELECTIONS.items()}
    for name, answer in found.items():
        say(f"  {name} ({len(answer['results']):,} jobs): median, p99",
            median_p99([reply.milliseconds for reply in replies[name]]), "" if name.startswith("all jobs") else "at most 5 ms")


def start(binary: Path, empty: Path, environment: dict[str, str], projects: dict[str, int]) -> None:
    """From the start of a process until its first response is posted."""
    other = list(projects)[1]
    beat, list_of_try = event("/__lbheartbeat__"), list_event()
    # Without another endpoint the function gets ready for AWS's own, as it does there; this request asks none.
    on_aws = {name: value for name, value in environment.items() if name != "AWS_ENDPOINT_URL"}
    empties, beats, lists, firsts, seconds_ = [], [], [], [], []
    for _ in range(STARTS):
        empties.append(first_answer(empty, environment, beat)[0])
        beats.append(first_answer(binary, on_aws, beat)[0])
        took, first, second = first_answer(binary, environment, list_of_try, list_event(other))
        lists.append(took)
        firsts.append(first.milliseconds / 1e3)
        seconds_.append(second.milliseconds / 1e3)
    for what, times in (
        ("start to first answer of an empty function", empties),
        ("  of ours, GET /__lbheartbeat__", beats),
        ("  of ours, GET the list of try, with this machine's certificates", lists),
        ("    of that, in the request: the store, and the SDK's first use", firsts),
        (f"    the same reads for {other} with the SDK in use", seconds_),
    ):
        say(what, f"{statistics.median(times) * 1e3:.1f} ms")
    say("GET /__lbheartbeat__ / empty function", f"{statistics.median(beats) / statistics.median(empties):.2f}",
        "at most 1.3")


def first_answer(binary: Path, environment: dict[str, str], first: bytes, *more: bytes) -> tuple:
    """The seconds from the start of a process until its first answer; if there are more events, all replies too."""
    with Function(binary, environment, first) as function:
        body, seconds, since_start = function.answered()
        if json.loads(body)["statusCode"] != 200:
            raise SystemExit(f"{binary} answers {body}")
        if not more:
            return (since_start,)
        reply = Reply(json.loads(body), json.loads(function.process.stdout.readline()), seconds)
        return since_start, reply, *(function.ask(event) for event in more)


def size(binary: Path, environment: dict[str, str]) -> None:
    """The function as it is uploaded, and the API reference's share of it."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        zipped = file.tell()
    with Function(binary, environment) as function:
        page = sum(function.ask(event(f"/api/docs/{name}")).line["bytes"]
                   for name in ("swagger-ui-bundle.js", "swagger-ui.css"))
    say("zipped function", f"{zipped / 1e6:.2f} MB")
    say("  of that, the packed files of the API reference's page", f"{page / 1e6:.2f} MB")
    say("  without them", f"{(zipped - page) / 1e6:.2f} MB", "at most 3 MB")


# The load.


class Request(NamedTuple):
    """What is sent, and how it should be answered: whether it should be packed depends on the size where it is made."""

    text: bytes
    status: int
    gzip: bool | None


class Done(NamedTuple):
    """One request of the load."""

    late: float
    seconds: float
    error: str | None


class Connection(asyncio.Protocol):
    """A connection that is kept, with at most one request under way."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport, self.answer = transport, None
        self.received = bytearray()

    def ask(self, text: bytes) -> asyncio.Future:
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
            body = bytes(self.received[end + 4:whole])
            del self.received[:whole]
            self.answer.set_result((status, head, body))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(error or ConnectionError("closed"))


class Load:
    """An open loop: a request is sent when it is due, whatever became of those before it."""

    def __init__(self, port: int) -> None:
        self.port, self.idle, self.connections = port, [], 0

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
        """Opens the connections ahead, as they would be in the long run."""
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
        begin, tasks = time.perf_counter(), []
        for request, at in zip(requests, times):
            if (ahead := begin + at - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if settled and at >= SETTLED_SECONDS:
                settled()
                settled = None
            tasks.append(asyncio.create_task(self.one(request, begin + at)))
        return await asyncio.gather(*tasks)


def get(path: str, **headers: str) -> bytes:
    sent = {"host": "localhost", "accept-encoding": "gzip, deflate", "origin": "https://treeherder.mozilla.org"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "\r\n".join([f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]).encode()


def load(binary: Path, environment: dict[str, str], projects: list[str]) -> None:
    """A port under a steady load, on a core of its own."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    own, others = cores[:1], cores[1:]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [binary, "--listen", "127.0.0.1:0"], env=os.environ | environment | fresh_for(LOAD_FRESH_SECONDS),
            stdout=log, stderr=subprocess.PIPE, text=True,
            preexec_fn=functools.partial(os.sched_setaffinity, 0, own) if others else None)
        try:
            if others:
                os.sched_setaffinity(0, others)
            port = int(re.search(r":(\d+)/", process.stderr.readline())[1])
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
        lines = [json.loads(line) for line in log if line.startswith("{")][-len(done):]
    say_load(done, took, lines, memory, used)


async def under_load(
    port: int, process: int, projects: list[str], memory: list[int]
) -> tuple[float, list[Done], float]:
    """The processor time used before, what became of each request, and the seconds that all took."""
    load_ = Load(port)
    await load_.open()
    tags = {}
    for project in projects:
        status, head, _ = await load_.ask(get(LIST.format(project)))
        if status != 200:
            raise SystemExit(f"the list of {project} is answered with {status}")
        tags[project] = re.search(rb'\r\netag: (".*?")', head, re.IGNORECASE)[1].decode()
    chance = random.Random(1)
    requests = list(mixed(chance, projects, tags, RATE * LOAD_SECONDS))
    times = sorted(chance.uniform(0, LOAD_SECONDS) for _ in requests)
    begin_cpu, begin = cpu_seconds(process), time.perf_counter()
    done = await load_.run(requests, times, lambda: memory.append(resident(process)))
    return begin_cpu, done, time.perf_counter() - begin


def mixed(chance: random.Random, projects: list[str], tags: dict[str, str], count: int) -> Iterator[Request]:
    """Requests as they come: half of them for `try`."""
    others = [project for project in projects if project != "try"]
    for kind in chance.choices(list(MIX), list(MIX.values()), k=count):
        project = "try" if chance.random() < 0.5 else chance.choice(others)
        match kind:
            case "list":
                yield Request(get(LIST.format(project)), 200, True)
            case "held":
                yield Request(get(LIST.format(project), if_none_match=tags[project]), 304, False)
            case "search":
                query = chance.choice(["search=mochitest", "search=linux64+debug", "platform=linux64&count=100",
                                       "search=talos&fields=ref_data_name"])
                yield Request(get(f"{LIST.format(project)}?{query}"), 200, None)


def say_load(done: list[Done], took: float, lines: list[dict], memory: list[int], used: float) -> None:
    errors = Counter(one.error for one in done if one.error)
    settled, end = memory
    caches = Counter(line.get("cache") for line in lines)
    shares = ", ".join(f"{share} % {kind}" for kind, share in MIX.items())
    reached = len(done) / took
    late = [one.late * 1e3 for one in done]
    say(f"load: requests ({shares}), a second", f"{len(done):,}, {reached:.0f}",
        f"{RATE} a second for {LOAD_SECONDS} s{'' if reached > 0.98 * RATE else ': the client is too slow'}")
    say("  sent late by: median, p99", f"{statistics.median(late):.1f}, {p99(late):.1f} ms")
    say("  errors", str(sum(errors.values())), "0" + "".join(f"; {error}: {count}" for error, count in errors.items()))
    say("  latency: median, p99", median_p99([one.seconds * 1e3 for one in done]))
    say("  in the function: median, p99", median_p99([line["duration_ms"] for line in lines]))
    say("  answered from memory, after a check, from the store, stale",
        ", ".join(str(caches[name]) for name in ("memory", "revalidated", "store", "stale")))
    say(f"  resident after {SETTLED_SECONDS} s, at the end", f"{settled / 1e3:.1f}, {end / 1e3:.1f} MB")
    say("  growth", f"{(end / settled - 1) * 100:+.1f} %", "at most 5 %")
    say("  processor time a request; share of its core", f"{used / len(done) * 1e3:.3f} ms, {used / took * 100:.0f} %")


def resident(process: int) -> int:
    """A process's resident memory, in KB."""
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())[1])


def cpu_seconds(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
