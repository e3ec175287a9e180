"""Meters the cost of the product on AWS at a day's traffic, and prints a table of a month beside a naive design.

    make cost
    make cost FLAGS='--lists 20000'

A part of a day is run on the local stack: the functions as they are deployed, fed through a stand-in of Lambda's
Runtime API with the settings and the roles that the template gave them, beside a real broker. What AWS would bill is
counted, and multiplied. Time is run faster by as much as `FreshSeconds` is longer than a second, so that lists are
checked as often as they would be. docs/cost.md lists the assumptions. Needs Linux, the builds that `make cost` makes,
and that no stack runs in this checkout.
"""

import argparse
import base64
import contextlib
import dataclasses
import functools
import gzip
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from localstack.fakes.pulse_listener import Listener
from localstack.fakes.treeherder import PUSH_IDS, Control
from localstack.programs import Programs
from tests.support.runtime_api import Function, event
from tests.support.stack import Stack
from tests.support.store_calls import Recorder
from tools.bench.function import lambda_environment, programs_in, start_stack
from tools.bench.source import sample
from tools.cost.bill import (
    DAYS_A_MONTH,
    LINE_OVERHEAD,
    Asked,
    Naive,
    bill,
    gb_seconds,
    http_api_requests,
    load_prices,
    metric_months,
    month,
    receives_a_day,
    stored_bytes,
)
from tools.cost.calls import Tables
from tools.cost.item_units import index_entry, item_size
from tools.cost.table import print_table, say_what_drives

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
# How long functions wait for other services than AWS, in seconds: for the dump; for Treeherder's answer about a push;
# for a new connection to Pulse and its confirms. All other time is billed as measured, including the emulator's.
DUMP_SECONDS, PUSH_SECONDS, PULSE_SECONDS = 10, 0.2, 0.5
# The bytes that are sent there for a trigger request or a batch: handshakes, a request, headers.
AWAY_BYTES = 4096
# The bytes of the headers that API Gateway adds to an answer.
FRONT_BYTES = 120
# The lines that Lambda adds to a function's own in its log, with values of their usual length.
ID = "8286a188-ba32-4475-8077-530cd35c09a9"
START_LINE = (
    "INIT_START Runtime Version: provided:al2023.v100\tRuntime Version ARN: "
    f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}\n"
)
LINES = (
    f"START RequestId: {ID} Version: $LATEST\n",
    f"END RequestId: {ID}\n",
    f"REPORT RequestId: {ID}\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\t"
    "Max Memory Used: 38 MB\t\n",
)
# The line of API Gateway in the API's log for each request, in the template's format.
API_LINE = (
    f'{{"api_request_id":"{ID[:16]}","request_id":"{ID}", "method":"POST",'
    '"route":"ANY /api/project/{project}/trigger_requests/{rest+}", "status":"200","lambda_status":"200",'
    ' "error":"-","duration_ms":"123", "bytes":"12345"}\n'
)
# DynamoDB deletes expired items within a few days.
LATE_DAYS = 2
ARCHIVE_DAYS = 30
EMAILS_A_MONTH = 30
DAY_SECONDS = 86_400
# Within this time a sent message arrives.
PATIENCE_SECONDS = 10
PERSON = "someone@mozilla.com"
LIST = "/api/project/{}/runnable_jobs/"
# The resources of the template that have a price.
RESOURCES = {"alarms": "AWS::CloudWatch::Alarm", "dashboards": "AWS::CloudWatch::Dashboard"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    whole = {"type": int, "metavar": "N"}
    parser.add_argument("--lists", default=10_000, **whole, help="lists asked for in a day (default: %(default)s)")
    parser.add_argument(
        "--repeats",
        default=REPEATS,
        **whole,
        help="of a hundred, whose browser has the list already (default: %(default)s)",
    )
    parser.add_argument("--triggers", default=1_000, **whole, help="requests to run jobs (default: %(default)s)")
    parser.add_argument(
        "--polls",
        default=4,
        **whole,
        help="how often each is asked about, half of it before it is forwarded (default: %(default)s)",
    )
    parser.add_argument("--sweeps", default=480, **whole, help="sweeps in a day (default: %(default)s)")
    parser.add_argument(
        "--part",
        default=50,
        **whole,
        help="what part of the day is run; an environment lives as long (default: a %(default)sth)",
    )
    options = parser.parse_args()
    built = options.target.absolute()
    with tempfile.TemporaryDirectory() as folder:
        programs = programs_in(built)
        source = sample(programs, Path(folder) / "sample.json")
        stack = start_stack(built, source)
        recorder = Recorder(stack.env["AWS_ENDPOINT_URL"])
        try:
            with contextlib.ExitStack() as ends:
                day = Day(stack, recorder, programs, options.part, ends)
                say("ingesting, twice, each with 1 % of the builders changed")
                ingest(day, source)
                traffic = Traffic(day, options)
                say(f"running a {options.part}th of a day in {traffic.seconds:.0f} s")
                traffic.run(ends)
                show(day, traffic)
        finally:
            recorder.stop()
            stack.stop()


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


class Day:
    """The usage of a day, by the names of the price file."""

    def __init__(
        self, stack: Stack, recorder: Recorder, programs: Programs, part: int, ends: contextlib.ExitStack
    ) -> None:
        self.stack, self.recorder, self.programs, self.part, self.ends = stack, recorder, programs, part, ends
        self.tables = Tables(stack)
        self.usage: Counter[str] = Counter()
        # Storage, which is not multiplied by the days of a month.
        self.kept: Counter[str] = Counter()
        # The number of lines a day with each metric.
        self.metrics: Counter[str] = Counter()
        self.invocations: Counter[str] = Counter()
        self.gb_seconds: Counter[str] = Counter()
        self.log = bytearray()

    def metered(self, name: str, **settings: str) -> "Metered":
        return Metered(self, name, settings)

    def note_lines(self, lines: bytes, times: float) -> None:
        """Count the lines of one invocation, which represents `times` of a day."""
        platform = "".join(LINES).encode()
        self.usage["log_bytes"] += len(lines + platform) * times
        self.log += lines + platform
        for line in lines.splitlines():
            printed = json.loads(line)
            for group in printed.get("_aws", {}).get("CloudWatchMetrics", []):
                if group["Dimensions"] != [[]]:
                    raise SystemExit(f"a metric with dimensions, whose cost is not known here: {printed}")
                for metric in group["Metrics"]:
                    self.metrics[metric["Name"]] += times


class Metered:
    """A deployed function whose invocations are counted. Its process starts with the first one, as a Lambda environment
    does, and each part of a day has one.
    """

    def __init__(self, day: Day, name: str, settings: dict[str, str]) -> None:
        self.day, self.name = day, name
        # An endpoint in the settings takes precedence.
        self.environment = (
            lambda_environment(day.stack, f"{name.upper()}_FUNCTION")
            | {"AWS_ENDPOINT_URL": day.recorder.url}
            | settings
        )
        self.memory = int(self.environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        self.log = day.ends.enter_context(tempfile.NamedTemporaryFile())
        self.read = open(self.log.name, "rb")
        day.ends.callback(self.read.close)
        self.function: Function | None = None

    def invoke(self, sent: bytes, times: float, away_seconds: float = 0, counts_calls: bool = True) -> dict:
        """The answer to one event, which represents `times` of a day, each with a wait for other services than AWS."""
        day = self.day
        day.recorder.calls.clear()
        if started := not self.function:
            binary = day.programs.function(self.name)
            self.function = day.ends.enter_context(Function(binary, self.environment, sent, self.log))
        else:
            self.function.events.put(sent)
        body, seconds, since_start = self.function.answered()
        billed = times * gb_seconds(seconds, self.memory, away_seconds)
        lines = self.read.read()
        day.note_lines(lines, times)
        if started:
            starts = 1 if self.name == "etl" else day.part
            billed += starts * gb_seconds(since_start - seconds, self.memory)
            day.usage["log_bytes"] += starts * len(START_LINE)
        day.invocations[self.name] += times
        day.gb_seconds[self.name] += billed
        day.usage.update({"lambda_requests": times, "lambda_gb_seconds": billed})
        if counts_calls:
            day.usage.update({name: amount * times for name, amount in day.tables.cost(day.recorder.calls).items()})
        answer = json.loads(body)
        if "errorMessage" in answer:
            raise SystemExit(f"the {self.name} function fails: {answer}")
        return answer

    def ask(self, sent: bytes, status: int, times: float, away_seconds: float = 0) -> dict:
        """The answer to an HTTP event."""
        answer = self.invoke(sent, times, away_seconds)
        if answer["statusCode"] != status:
            raise SystemExit(f"the {self.name} function answers {answer} to {sent}")
        size = answer_size(answer)
        self.day.usage.update(
            {
                "bytes_out": size * times,
                "http_api_requests": http_api_requests(size) * times,
                "log_bytes": len(API_LINE) * times,
            }
        )
        self.day.log += API_LINE.encode()
        return answer


def answer_size(answer: dict) -> int:
    """The bytes of an answer as a client receives it."""
    headers = sum(len(f"{name}: {value}\r\n") for name, value in answer["headers"].items())
    return len("HTTP/1.1 200 OK\r\n\r\n") + headers + FRONT_BYTES + len(body_of(answer))


def body_of(answer: dict) -> bytes:
    body = answer.get("body") or ""
    return base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()


# An ingest.


def ingest(day: Day, source: Path) -> None:
    """Run two ingests, of the next day's dump and of the one after that.

    Time, log and archived dump are counted for the first; the calls to the store for the second, which finds the items
    of the first.
    """
    document = json.loads(source.read_bytes())
    settings = {"RUNNABLE_JOBS_SOURCE": str(source)}
    for number in range(2):
        make_older(day)
        drift(document, number * 50)
        source.write_text(json.dumps(document))
        day.tables.read_all()
        catalog = day.tables.items[day.stack.env["CATALOG_TABLE"]]
        expired_before = {key for key, item in catalog.items() if "expires_at" in item}
        if number == 0:
            function = day.metered("etl", AWS_ENDPOINT_URL=day.stack.env["AWS_ENDPOINT_URL"], **settings)
            report = function.invoke(b"{}", 1, DUMP_SECONDS, counts_calls=False)
        else:
            counted = Day(day.stack, day.recorder, day.programs, day.part, day.ends)
            # The recorder does not pass on calls to S3.
            report = counted.metered("etl", RUNNABLE_JOBS_ARCHIVE_BUCKET="", **settings).invoke(b"{}", 1)
            units = {name: counted.usage[name] for name in ("dynamodb_read_units", "dynamodb_write_units")}
            day.usage.update(units)
            say(f"  units: {units}; the report: {report['read_units']}, {report['write_units']}")
        changed = sum(1 for project in report["projects"].values() if project["added"] or project["removed"])
        say(f"  {changed} of {len(report['projects'])} lists changed")
    day.usage["schedule_events"] += 1
    # The archive first tries to copy the dump onto itself, which fails for a new one, and then uploads it.
    day.usage.update({"s3_writes": 2})
    day.kept["s3_bytes"] += archived_bytes(day) * ARCHIVE_DAYS
    day.tables.read_all()
    now = time.time()
    for key, item in day.tables.items[day.stack.env["CATALOG_TABLE"]].items():
        if "expires_at" not in item:
            day.kept["dynamodb_bytes"] += stored_bytes(item_size(item))
        elif key not in expired_before:
            day.kept["dynamodb_bytes"] += stored_bytes(item_size(item)) * days_kept(item, now)


def archived_bytes(day: Day) -> int:
    """The bytes of the last archived dump."""
    objects = day.stack.client("s3").list_objects_v2(Bucket=day.stack.env["ARCHIVE_BUCKET"], Prefix="allthethings/")[
        "Contents"
    ]
    return max(objects, key=lambda found: found["LastModified"])["Size"]


def days_kept(item: dict, now: float) -> float:
    return (int(item["expires_at"]["N"]) - now) / DAY_SECONDS + LATE_DAYS


def make_older(day: Day) -> None:
    """Make the lists a day older: an ingest does not delete what was written within the last hour."""
    table = day.stack.table
    for item in table.scan(ProjectionExpression="pk, sk, written_at", ConsistentRead=True)["Items"]:
        if "written_at" in item:
            table.update_item(
                Key={"pk": item["pk"], "sk": item["sk"]},
                UpdateExpression="SET written_at = :then",
                ExpressionAttributeValues={":then": item["written_at"] - DAY_SECONDS},
            )


def drift(document: dict, first: int) -> None:
    """Give each hundredth builder, counted from `first`, another name."""
    builders = document["builders"]
    for name in sorted(builders)[first::100]:
        builders[f"{name}-99"] = builders.pop(name)


# The rest of the day.


@dataclasses.dataclass
class Made:
    """A trigger request that was made, as the naive design stores it."""

    project: str
    names: list[str]


class Traffic:
    """A part of a day of lists, trigger requests, and sweeps."""

    def __init__(self, day: Day, options: argparse.Namespace) -> None:
        self.day, self.options = day, options
        self.chance = random.Random(1)
        self.numbers = itertools.count()
        fresh = lambda_environment(day.stack, "JOBS_FUNCTION")["RUNNABLE_JOBS_FRESH_SECONDS"]
        # A list is fresh for a second, the minimum above zero.
        self.faster = int(fresh)
        self.seconds = DAY_SECONDS / options.part / self.faster
        held = str(60 // self.faster)
        self.jobs = day.metered("jobs", RUNNABLE_JOBS_FRESH_SECONDS="1")
        self.trigger = day.metered(
            "trigger", RUNNABLE_JOBS_FRESH_SECONDS="1", RUNNABLE_JOBS_TREEHERDER_CACHE_SECONDS=held
        )
        self.sweep, self.forward = day.metered("sweep"), day.metered("forward")
        self.sqs = day.stack.client("sqs")
        self.sign_in = {"authorization": f"Bearer {day.stack.token('--email', PERSON)}"}
        self.bodies, self.tags = read_lists(day)
        self.names = {
            project: [job["ref_data_name"] for job in json.loads(self.bodies[project])["results"]]
            for project in PROJECTS
        }
        self.have_builds()
        self.heard: list[dict] = []
        self.made: list[Made] = []
        self.asked_for: Counter[str] = Counter()
        self.list_bytes = 0.0

    def have_builds(self) -> None:
        """Make every build of every push succeed, so that no test waits for one."""
        treeherder = Control(self.day.stack.env["TREEHERDER_URL"])
        for project in PROJECTS:
            jobs = json.loads(self.bodies[project])["results"]
            builds = [{"ref_data_name": job["ref_data_name"]} for job in jobs if not job["upstream"]]
            for push in PUSH_IDS:
                treeherder.set_jobs(project, push, builds)

    def times(self, a_day: int) -> tuple[int, float]:
        """How many events of a day's are run, and how many each of them represents."""
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
        self.day.usage.update(
            {"sqs_requests": receives_a_day(POLLERS, POLL_SECONDS), "schedule_events": self.options.sweeps}
        )

    def plan(self) -> Iterator[tuple[float, Callable[[], object]]]:
        """Each event, with its time in seconds from the start."""
        count, times = self.times(self.options.lists)
        for project, held in self.mixed(count):
            yield self.chance.uniform(0, self.seconds), functools.partial(self.ask_for_list, project, held, times)
        count, times = self.times(self.options.triggers)
        sizes = sizes_of(count)
        for (project, _), size in zip(self.mixed(count), sizes, strict=False):
            yield self.chance.uniform(0, self.seconds), functools.partial(self.ask_for_jobs, project, size, times)
        count, times = self.times(self.options.sweeps)
        for number in range(count):
            yield number * self.seconds / count, functools.partial(self.sweep.invoke, b"{}", times)

    def mixed(self, count: int) -> list[tuple[str, bool]]:
        """So many projects by their shares, each with whether the browser already has its list."""
        chosen = []
        ends = [round(end * count / 100) for end in itertools.accumulate(PROJECTS.values())]
        for project, begin, end in zip(PROJECTS, [0, *ends], ends, strict=False):
            held = round((end - begin) * self.options.repeats / 100)
            chosen += [(project, number < held) for number in range(end - begin)]
        self.chance.shuffle(chosen)
        return chosen

    def ask_for_list(self, project: str, held: bool, times: float) -> None:
        before = self.day.usage["bytes_out"]
        if held:
            self.jobs.ask(event(LIST.format(project), if_none_match=self.tags[project]), 304, times)
        else:
            self.jobs.ask(event(LIST.format(project)), 200, times)
        self.asked_for[project] += times
        self.list_bytes += self.day.usage["bytes_out"] - before

    def ask_for_jobs(self, project: str, size: int, times: float) -> None:
        """A person picks jobs on Treeherder's page, which then polls their status."""
        number = next(self.numbers)
        names = self.chance.sample(self.names[project], size)
        path = f"/api/project/{project}/push/{PUSH_IDS[number % len(PUSH_IDS)]}/trigger_runnable_jobs/"
        asked = event(
            path,
            body=json.dumps({"requested_jobs": names}),
            content_type="application/json",
            idempotency_key=f"cost-{number}",
            **self.sign_in,
        )
        # A browser sends a preflight request first, once for each address.
        self.trigger.ask(options_of(asked), 204, times)
        status_url = json.loads(body_of(self.trigger.ask(asked, 202, times, PUSH_SECONDS)))["status_url"]
        self.day.usage["bytes_out"] += AWAY_BYTES * times
        poll = event(status_url, **self.sign_in)
        self.trigger.ask(options_of(poll), 204, times)
        polls, tag = self.options.polls, None
        for number in range(polls):
            if number == polls // 2:
                self.forward_batch(times)
            # The status has not changed since the last poll, except at the first one after it was forwarded.
            is_new = number in (0, polls // 2)
            held = {"if_none_match": tag} if tag else {}
            answer = self.trigger.ask(event(status_url, **held, **self.sign_in), 200 if is_new else 304, times)
            tag = answer["headers"]["etag"]
        if polls == 0:
            self.forward_batch(times)
        self.made.append(Made(project, names))

    def forward_batch(self, times: float) -> None:
        """Receive the one message in the queue, and forward it as Lambda does."""
        url = self.day.stack.env["QUEUE_URL"]
        [message] = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=PATIENCE_SECONDS, AttributeNames=["All"]
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
        heard = len(self.heard)
        answer = self.forward.invoke(json.dumps({"Records": [record]}).encode(), times, PULSE_SECONDS)
        if answer["batchItemFailures"]:
            raise SystemExit(f"the forward function could not forward {message['Body']}: {answer}")
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        # This receive takes the place of an empty one.
        self.day.usage["sqs_requests"] += times
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.heard) == heard:
            if time.monotonic() > deadline:
                raise SystemExit("the listener on Pulse did not receive it")
            time.sleep(0.005)
        published = sum(len(json.dumps(message["body"])) for message in self.heard[heard:])
        self.day.usage["bytes_out"] += (published + AWAY_BYTES) * times

    def listen(self, ends: contextlib.ExitStack) -> None:
        env = self.day.stack.env
        listener = Listener(env["AMQP_URL"], env["PULSE_NAMESPACE"], "cost", self.heard.append)
        thread = threading.Thread(target=listener.run)
        thread.start()
        ends.callback(thread.join)
        ends.callback(listener.stop)
        if not listener.is_bound.wait(PATIENCE_SECONDS):
            raise SystemExit("the listener finds no exchange")


def sizes_of(count: int) -> list[int]:
    """The sizes of so many requests: for fewer than in the table, means of neighbouring ones."""
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
            names = sorted(name for name in parts if name[0] == pk and name[1].startswith(f"list#{etag}#"))
            bodies[project] = gzip.decompress(b"".join(bytes(parts[name]["data"]["B"]) for name in names))
            tags[project] = f'"{etag}-gzip"'
    return bodies, tags


def options_of(asked: bytes) -> bytes:
    """The preflight of a request."""
    document = json.loads(asked)
    document["requestContext"]["http"]["method"] = "OPTIONS"
    document.pop("body", None)
    document["headers"] |= {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    del document["headers"]["authorization"]
    return json.dumps(document).encode()


# The result.


def show(day: Day, traffic: Traffic) -> None:
    options = traffic.options
    expected = {
        "jobs": options.lists,
        "trigger": options.triggers * (3 + options.polls),
        "forward": options.triggers,
        "sweep": options.sweeps,
        "etl": 1,
    }
    if {name: round(count, 6) for name, count in day.invocations.items()} != expected:
        raise SystemExit(f"in a day there should be {expected} invocations, not {dict(day.invocations)}")
    keep_requests(day, traffic)
    usage = month(day.usage) | day.kept | fixed(day)
    usage["dynamodb_recovery_bytes"] = usage["dynamodb_bytes"]
    usage["metrics"] = metric_months(day.metrics.values())
    packed = len(gzip.compress(bytes(day.log), 6)) + day.log.count(b"\n") * LINE_OVERHEAD
    usage["log_stored_bytes"] = usage["log_bytes"] * packed / len(day.log) * log_days(day) / DAYS_A_MONTH
    naive = naive_of(traffic).usage(usage, traffic.list_bytes)
    prices = load_prices()
    columns = [bill(prices, used, free) for used in (usage, naive) for free in (False, True)]
    print_table(prices, usage, naive, columns)
    say_what_drives(day, columns, prices)


def fixed(day: Day) -> dict[str, float]:
    """The resources that cost the same in each month, whatever happens."""
    resources = day.stack.client("cloudformation").describe_stack_resources(StackName="runnable-jobs")
    kinds = Counter(resource["ResourceType"] for resource in resources["StackResources"])
    emails = EMAILS_A_MONTH if kinds["AWS::SNS::Topic"] else 0
    return {name: kinds[kind] for name, kind in RESOURCES.items()} | {"sns_emails": emails, "secrets": 1}


def log_days(day: Day) -> int:
    """How long logs are kept."""
    function = day.stack.client("lambda").get_function_configuration(FunctionName=day.stack.env["JOBS_FUNCTION"])
    groups = day.stack.client("logs").describe_log_groups(logGroupNamePrefix=function["LoggingConfig"]["LogGroup"])
    return groups["logGroups"][0]["retentionInDays"]


def keep_requests(day: Day, traffic: Traffic) -> None:
    """Count the storage of a day's requests, each item for as long as it is stored."""
    name = day.stack.env["REQUESTS_TABLE"]
    table, now = day.tables.tables[name], time.time()
    _, times = traffic.times(traffic.options.triggers)
    day.tables.read_all()
    for item in day.tables.items[name].values():
        entries = [index_entry(table, index, item) for index in table.get("GlobalSecondaryIndexes", [])]
        size = stored_bytes(item_size(item), [item_size(entry) for entry in entries if entry])
        day.kept["dynamodb_bytes"] += times * size * days_kept(item, now)


def naive_of(traffic: Traffic) -> Naive:
    catalog = {
        project: [item_size(naive_item(project, job)) for job in json.loads(body)["results"]]
        for project, body in traffic.bodies.items()
    }
    asked = []
    for made in traffic.made:
        name = {"S": "01KAS4B0MRJ6WJ0RGDX8T0E4JQ"}
        head = {
            "request": name,
            "job": {"S": "-"},
            "project": {"S": made.project},
            "push": {"N": "1001"},
            "requester": {"S": PERSON},
            "state": {"S": "forwarded"},
            "created_at": {"N": "1795415400"},
            "expires_at": {"N": "1803191400"},
        }
        jobs = [
            {"request": name, "job": {"S": job}, "state": {"S": "forwarded"}, "expires_at": {"N": "1803191400"}}
            for job in made.names
        ]
        asked.append(Asked(item_size(head), [item_size(job) for job in jobs]))
    _, times = traffic.times(traffic.options.triggers)
    return Naive(
        catalog,
        {project: len(body) for project, body in traffic.bodies.items()},
        dict(traffic.asked_for),
        asked,
        times,
        90 + LATE_DAYS,
        traffic.options.polls,
    )


def naive_item(project: str, job: dict) -> dict:
    """A job as an item, without the fields that have no value."""
    item = {"project": {"S": project}}
    for name, value in job.items():
        if isinstance(value, str):
            item[name] = {"S": value}
        elif value is not None:
            item[name] = {"N": str(value)}
    return item


if __name__ == "__main__":
    main()
