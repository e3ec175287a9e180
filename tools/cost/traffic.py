"""Runs a part of a day's traffic: lists, trigger requests and sweeps."""

import argparse
import contextlib
import dataclasses
import functools
import gzip
import itertools
import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from localstack.fakes.pulse_listener import Listener
from localstack.fakes.treeherder import PUSH_IDS, Control
from tests.support.runtime_api import event
from tools.bench.function import lambda_environment
from tools.cost.bill import (
    Amounts,
    receives_a_day,
)
from tools.cost.day import Day, Metered, body_of, say
from tools.cost.ingest import DAY_SECONDS

# The projects of most of the 801 real requests of spring 2016; autoland, new then, took over from mozilla-inbound. The
# same shares are assumed for lists.
PROJECTS = {"try": 68, "mozilla-inbound": 16, "autoland": 8, "fx-team": 5, "mozilla-central": 3}
# The number of jobs in the same requests: the rounded mean of each twentieth of them, in order of size. Their mean is
# 8.3, the mean of these is 8.1; the largest has 328.
SIZES = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 8, 10, 15, 25, 73]
# Of the same requests, 30 % come from a person who made one on the same push before, and 57 % from one who made one for
# the same project within 200 pushes, about as many as try had in a day. A person opens the list for that, and a list
# changes with an ingest.
REPEATS = 60
# Lambda polls the queue with so many requests at once, each of which waits for so long (AWS Lambda Developer Guide,
# "Configuring scaling behavior for SQS event source mappings"; a maximum concurrency does not make them fewer). People
# measure some 15 empty receives a minute, so each waits for the maximum of 20 s.
POLLERS, POLL_SECONDS = 5, 20
# How long functions wait for other services than AWS, in seconds: for Treeherder's answer about a push, and for a new
# connection to Pulse and its confirms.
PUSH_SECONDS, PULSE_SECONDS = 0.2, 0.5
# Bytes that a trigger request sends to Treeherder, or a batch to Pulse: handshakes, a request, headers.
OUTGOING_BYTES = 4096
# Maximum time until a sent message arrives.
DELIVERY_TIMEOUT_SECONDS = 10
PERSON = "someone@mozilla.com"
LIST = "/api/project/{}/runnable_jobs/"


@dataclasses.dataclass
class MadeRequest:
    """A trigger request that was made."""

    project: str
    push: int
    names: list[str]
    status_url: str

    @property
    def id(self) -> str:
        return self.status_url.strip("/").rpartition("/")[2]


class Traffic:
    """A part of a day of lists, trigger requests, and sweeps."""

    def __init__(self, day: Day, options: argparse.Namespace) -> None:
        self.day, self.options = day, options
        self.random = random.Random(1)
        self.numbers = itertools.count()
        fresh = lambda_environment(day.stack, "JOBS_FUNCTION")["RUNNABLE_JOBS_FRESH_SECONDS"]
        # The functions run with a cache time of one second, the minimum above zero, so that a day fits into less time.
        self.speed_up = int(fresh)
        self.seconds = DAY_SECONDS / options.part / self.speed_up
        treeherder_cache = str(60 // self.speed_up)
        self.jobs = day.metered("jobs", {"RUNNABLE_JOBS_FRESH_SECONDS": "1"})
        self.trigger_settings = {
            "RUNNABLE_JOBS_FRESH_SECONDS": "1",
            "RUNNABLE_JOBS_TREEHERDER_CACHE_SECONDS": treeherder_cache,
            # One person makes all requests, and faster than a person may.
            "RUNNABLE_JOBS_TRIGGER_LIMITS": json.dumps({"requests_per_minute": 100_000, "jobs_per_hour": 1_000_000}),
        }
        self.trigger = day.metered("trigger", self.trigger_settings)
        self.sweep, self.forward = day.metered("sweep"), day.metered("forward")
        self.sqs = day.stack.client("sqs")
        self.sign_in = {"authorization": f"Bearer {day.stack.token('--email', PERSON)}"}
        self.bodies, self.tags = read_lists(day)
        # The Buildbot jobs of each project, with the builds that they need.
        self.builds: dict[str, dict[str, str | None]] = {
            project: {
                job["ref_data_name"]: job["upstream"]
                for job in json.loads(self.bodies[project])["results"]
                if job["build_system_type"] == "buildbot"
            }
            for project in PROJECTS
        }
        self.treeherder = Control(day.stack.env["TREEHERDER_URL"])
        self.let_builds_succeed()
        self.heard: list[dict] = []
        self.made: list[MadeRequest] = []
        self.list_requests = Amounts()
        self.list_bytes = 0.0
        # Lists that are answered without a body, in a day.
        self.unchanged = 0.0

    def let_builds_succeed(self) -> None:
        """Make every build of every push succeed, so that no test waits for one."""
        for project, jobs in self.builds.items():
            builds = [{"ref_data_name": name} for name, build in jobs.items() if not build]
            for push in PUSH_IDS:
                self.treeherder.set_jobs(project, push, builds)

    def times(self, a_day: int) -> tuple[int, float]:
        """The number of events to run for the `a_day` events of a day, and how many of those each represents."""
        count = max(round(a_day / self.options.part), 1)
        return count, a_day / count

    def run(self, ends: contextlib.ExitStack) -> None:
        self.listen(ends)
        begin = time.monotonic()
        # Stable: events at the same time keep their order.
        for at, act in sorted(self.plan(), key=lambda planned: planned[0]):
            time.sleep(max(begin + at - time.monotonic(), 0))
            act()
        took = time.monotonic() - begin
        say(f"  it took {took:.0f} s")
        if took > 1.2 * self.seconds:
            say("  too long: lists were checked more often than they would be")
        with self.day.caused_by("sweep"):
            self.day.usage["schedule_events"] += self.options.sweeps
        with self.day.caused_by("polling"):
            self.day.usage["sqs_requests"] += receives_a_day(POLLERS, POLL_SECONDS)

    def plan(self) -> Iterator[tuple[float, Callable[[], object]]]:
        """Each event, with its time in seconds from the start."""
        count, times = self.times(self.options.lists)
        for project, has_list in self.mixed(count):
            act = functools.partial(self.request_list, project, has_list, times)
            yield self.random.uniform(0, self.seconds), self.counted("list", act)
        count, times = self.times(self.options.triggers)
        sizes = sizes_of(count)
        for (project, _), size in zip(self.mixed(count), sizes, strict=False):
            act = functools.partial(self.request_jobs, project, size, times)
            yield self.random.uniform(0, self.seconds), self.counted("trigger", act)
        count, times = self.times(self.options.sweeps)
        for number in range(count):
            swept = functools.partial(self.sweep.invoke, b"{}", times)
            yield number * self.seconds / count, self.counted("sweep", swept)

    def counted(self, cause: str, act: Callable[[], object]) -> Callable[[], None]:
        """The same act, whose usage is counted for its cause."""

        def run() -> None:
            with self.day.caused_by(cause):
                act()

        return run

    def mixed(self, count: int) -> list[tuple[str, bool]]:
        """`count` projects by their shares, each with whether the browser already has its list."""
        chosen = []
        ends = [round(end * count / 100) for end in itertools.accumulate(PROJECTS.values())]
        for project, begin, end in zip(PROJECTS, [0, *ends], ends, strict=False):
            repeats = round((end - begin) * self.options.repeats / 100)
            chosen += [(project, number < repeats) for number in range(end - begin)]
        self.random.shuffle(chosen)
        return chosen

    def request_list(self, project: str, has_list: bool, times: float) -> None:
        before = self.day.usage["bytes_out"]
        if has_list:
            self.unchanged += times
            self.jobs.ask(event(LIST.format(project), if_none_match=self.tags[project]), 304, times)
        else:
            self.jobs.ask(event(LIST.format(project)), 200, times)
        self.list_requests[project] += times
        self.list_bytes += self.day.usage["bytes_out"] - before

    def request_jobs(self, project: str, size: int, times: float) -> None:
        """A person picks jobs of a project on Treeherder's page."""
        names = self.random.sample(list(self.builds[project]), size)
        push = PUSH_IDS[len(self.made) % len(PUSH_IDS)]
        self.made.append(self.request(project, push, names, times, self.trigger, self.forward_batch))

    def request(
        self,
        project: str,
        push: int,
        names: list[str],
        times: float,
        trigger: Metered,
        forward: Callable[[float], None],
        polls: int | None = None,
        **more: str,
    ) -> MadeRequest:
        """A person requests jobs, and the page polls their status; half of the polls are before the request is
        forwarded. `more` are other members of the body.
        """
        path = f"/api/project/{project}/push/{push}/trigger_runnable_jobs/"
        request = event(
            path,
            body=json.dumps({"requested_jobs": names} | more),
            content_type="application/json",
            idempotency_key=f"cost-{next(self.numbers)}",
            **self.sign_in,
        )
        # A browser sends a preflight request first, once for each address.
        trigger.ask(preflight_of(request), 204, times)
        status_url = json.loads(body_of(trigger.ask(request, 202, times, PUSH_SECONDS)))["status_url"]
        self.day.usage["bytes_out"] += OUTGOING_BYTES * times
        poll = event(status_url, **self.sign_in)
        trigger.ask(preflight_of(poll), 204, times)
        polls, tag = self.options.polls if polls is None else polls, None
        for number in range(polls):
            if number == polls // 2:
                forward(times)
            # The status has not changed since the last poll, except at the first one after it was forwarded.
            is_new = number in (0, polls // 2)
            condition: dict[str, str] = {"if_none_match": tag} if tag else {}
            answer = trigger.ask(event(status_url, **condition, **self.sign_in), 200 if is_new else 304, times)
            tag = answer["headers"]["etag"]
        if polls == 0:
            forward(times)
        return MadeRequest(project, push, names, status_url)

    def state(self, made: MadeRequest) -> str:
        """The state of a request. That it is asked for is not counted."""
        answer = self.trigger.ask(event(made.status_url, **self.sign_in), 200, 0)
        body = body_of(answer)
        return json.loads(gzip.decompress(body) if "content-encoding" in answer["headers"] else body)["state"]

    def forward_batch(self, times: float, forward: Metered | None = None) -> None:
        """Forward the one message in the queue, and wait until it arrives."""
        heard = len(self.heard)
        self.deliver(times, forward or self.forward, PULSE_SECONDS)
        deadline = time.monotonic() + DELIVERY_TIMEOUT_SECONDS
        while len(self.heard) == heard:
            if time.monotonic() > deadline:
                raise SystemExit("the listener on Pulse did not receive the message")
            time.sleep(0.005)
        published = sum(len(json.dumps(message["body"])) for message in self.heard[heard:])
        self.day.usage["bytes_out"] += (published + OUTGOING_BYTES) * times

    def deliver(self, times: float, forward: Metered, away_seconds: float) -> None:
        """Receive the one message in the queue, and give it to the forward function as Lambda does."""
        url = self.day.stack.env["QUEUE_URL"]
        [message] = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=DELIVERY_TIMEOUT_SECONDS, AttributeNames=["All"]
        )["Messages"]
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "awsRegion": self.day.stack.env["AWS_REGION"],
            "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{url.rpartition('/')[2]}",
        }
        answer = forward.invoke(json.dumps({"Records": [record]}).encode(), times, away_seconds)
        if answer["batchItemFailures"]:
            raise SystemExit(f"the forward function could not forward {message['Body']}: {answer}")
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        # This receive takes the place of an empty one.
        self.day.usage["sqs_requests"] += times

    def listen(self, ends: contextlib.ExitStack) -> None:
        env = self.day.stack.env
        listener = Listener(env["AMQP_URL"], env["PULSE_NAMESPACE"], "cost", self.heard.append)
        thread = threading.Thread(target=listener.run)
        thread.start()
        ends.callback(thread.join)
        ends.callback(listener.stop)
        if not listener.is_bound.wait(DELIVERY_TIMEOUT_SECONDS):
            raise SystemExit("the listener finds no exchange")


def sizes_of(count: int) -> list[int]:
    """The sizes of `count` requests: if these are fewer than in the table, means of neighbouring sizes."""
    if count == 0:
        return []
    begins = [number * len(SIZES) // count for number in range(count + 1)]
    return [round(statistics.mean(SIZES[begin : max(end, begin + 1)])) for begin, end in itertools.pairwise(begins)]


def read_lists(day: Day) -> tuple[dict[str, bytes], dict[str, str]]:
    """Each project's uncompressed list, and the tag of the compressed one."""
    items = day.tables.items[day.stack.env["CATALOG_TABLE"]].values()
    parts = {(item["pk"]["S"], item["sk"]["S"]): item for item in items}
    bodies, tags = {}, {}
    for (pk, sk), pointer in parts.items():
        kind, _, project = pk.partition("#")
        if kind == "project" and sk == "current":
            etag = pointer["etag"]["S"]
            start = f"list#{etag}#"
            names = [name for name in parts if name[0] == pk and name[1].startswith(start)]
            names = sorted(name for name in names if not name[1].startswith(f"{start}index#"))
            bodies[project] = gzip.decompress(b"".join(bytes(parts[name]["data"]["B"]) for name in names))
            tags[project] = f'"{etag}-gzip"'
    return bodies, tags


def preflight_of(request: bytes) -> bytes:
    """The preflight request that a browser sends before a request."""
    document = json.loads(request)
    document["requestContext"]["http"]["method"] = "OPTIONS"
    document.pop("body", None)
    document["headers"] |= {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    del document["headers"]["authorization"]
    return json.dumps(document).encode()
