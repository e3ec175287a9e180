"""Measures the forward function and its publisher beside the local stack, whose broker is a RabbitMQ, and prints a
table with the goals.

    make bench                               # on a sample of 65,888 builders that the ETL makes
    make bench SOURCE=allthethings.json      # on a dump

As in `trigger.py`: the function that is deployed, with the settings and the role that the template gave it, but
for how much it may publish a second. Requests are made by the trigger function, and their messages taken from the
queue. A listener's queue is bound, which keeps little. Times are from the event to the answer: the runtime and its
stand-in, which is in Python, are in them. The function is held against what it waits for: a confirm that a program of
nothing but lapin gets, and its own calls to the store with nothing around them. The runs of what is compared alternate.
Needs Linux, the builds that `make bench` makes, and that no stack runs in this checkout.
"""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import NamedTuple

from kombu import Connection, Exchange, Queue

from localstack.fakes.treeherder import Control
from tests.support.runtime_api import Function
from tests.support.stack import Stack
from tests.support.store_calls import Call, Recorder
from tools.bench.batch_calls import CHANGED_CHARACTERS, BatchCalls
from tools.bench.function import cpu_seconds, lambda_environment, measured_stack, median_p99, programs_in
from tools.bench.source import say, zipped_size
from tools.bench.trigger import LIMITS, WARM, Person

# A usual batch: the maximum that the queue gives out at once, of usual requests.
TICKETS, JOBS = 10, 16
BATCHES = 100
SUSTAINED_BATCHES = 100
ASKING_BATCHES = 30
# How many confirms a bare publisher gets beside each batch, after its first.
CONFIRMS = 10
STARTS = 41
# The number of processes of whose first events the median is taken.
FIRSTS = 15
# How many messages the publisher publishes alone, and after how many its memory is first measured.
MESSAGES, MESSAGES_A_BATCH, FIRST_LOOK = 100_000, 100, 10_000
TEN_TIMES = 300
PUSH_JOBS = 2000
# How many messages the broker keeps for the listener.
KEPT = 1000
# No rate limit, so that its waits are not measured.
NO_RATE_LIMIT = {"RUNNABLE_JOBS_PULSE_RATE": "100000"}


def main() -> None:
    with measured_stack(__doc__) as (stack, built):
        bench = Bench(stack, built)
        bench.listen()
        bench.batch()
        bench.sustained()
        bench.asking()
        bench.publisher()
        bench.start()
        say("zipped function", f"{zipped_size(bench.binary) / 1e6:.2f} MB", "at most 3 MB")


class Turn(NamedTuple):
    """The result of an event: the seconds from handing it out to its answer, and the lines that were logged for it."""

    seconds: float
    lines: list[dict]


class Bench:
    """The forward function beside a stack, and the requests for it."""

    def __init__(self, stack: Stack, built: Path) -> None:
        self.stack, self.binary = stack, programs_in(built).function("forward")
        self.examples = built / "lambda" / "examples"
        self.environment = lambda_environment(stack, "FORWARD_FUNCTION") | NO_RATE_LIMIT
        self.trigger = programs_in(built).function("trigger")
        self.trigger_environment = (
            lambda_environment(stack, "TRIGGER_FUNCTION") | WARM | {"RUNNABLE_JOBS_TRIGGER_LIMITS": json.dumps(LIMITS)}
        )
        self.person = Person(stack)
        jobs = [job for job in stack.jobs() if job["build_system_type"] == "buildbot"]
        self.builds = [job["ref_data_name"] for job in jobs if not job["upstream"]]
        self.tests = {job["ref_data_name"]: job["upstream"] for job in jobs if job["upstream"]}
        # As the user that publishes.
        stored = stack.client("ssm").get_parameter(
            Name=self.environment["RUNNABLE_JOBS_PULSE_PARAMETER"], WithDecryption=True
        )
        user = json.loads(stored["Parameter"]["Value"])
        scheme, address = self.environment["RUNNABLE_JOBS_PULSE_URL"].split("://")
        self.pulse = os.environ | {
            "PULSE_URL": f"{scheme}://{user['username']}:{user['password']}@{address}",
            "PULSE_NAMESPACE": self.environment["RUNNABLE_JOBS_PULSE_NAMESPACE"],
        }
        say("Buildbot jobs of try, of which need no build", f"{len(jobs):,}, {len(self.builds):,}")

    def listen(self) -> None:
        """Bind a listener's queue, which keeps few messages."""
        namespace = self.environment["RUNNABLE_JOBS_PULSE_NAMESPACE"]
        exchange = Exchange(f"exchange/{namespace}/v1/resultset-runnable-job-actions", type="topic", passive=True)
        queue = Queue("queue/listener/bench", exchange, routing_key="#", durable=True, max_length=KEPT)
        with Connection(self.stack.env["AMQP_URL"], connect_timeout=5) as connection:
            queue(connection.default_channel).declare()

    def queued(self, batches: int, names: list[str], tickets: int = TICKETS) -> list[list[dict]]:
        """Make requests, and receive their messages from the queue in batches."""
        sqs, url = self.stack.client("sqs"), self.stack.env["QUEUE_URL"]
        with Function(self.trigger, self.trigger_environment) as function:
            for _ in range(batches * tickets):
                function.ask(self.person.triggers(self.person.chance.sample(names, JOBS)), 202)
        taken: list[dict] = []
        while len(taken) < batches * tickets:
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages")
            if not found:
                raise SystemExit(f"{batches * tickets - len(taken)} requests are not in the queue")
            sqs.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]} for place, message in enumerate(found)
                ],
            )
            taken += found
        return [taken[place : place + tickets] for place in range(0, len(taken), tickets)]

    def event(self, batch: list[dict]) -> bytes:
        """The event that Lambda makes of messages of the queue."""
        return json.dumps(
            {
                "Records": [
                    {
                        "messageId": message["MessageId"],
                        "receiptHandle": message["ReceiptHandle"],
                        "body": message["Body"],
                        "attributes": {
                            "ApproximateReceiveCount": "1",
                            "SentTimestamp": "1795415400000",
                            "SenderId": "AIDAEXAMPLE",
                            "ApproximateFirstReceiveTimestamp": "1795415400001",
                        },
                        "messageAttributes": {},
                        "md5OfBody": message["MD5OfBody"],
                        "eventSource": "aws:sqs",
                        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:requests",
                        "awsRegion": "us-east-1",
                    }
                    for message in batch
                ]
            }
        ).encode()

    def forwarded(self, function: Function, tickets: int = TICKETS) -> Turn:
        """The answer to an event of so many messages. Fails if not all of their jobs were forwarded."""
        body, seconds, _ = function.answered()
        if json.loads(body) != {"batchItemFailures": []}:
            raise SystemExit(f"{self.binary} answers {body.decode()}")
        return Turn(seconds, self.logged(function, tickets))

    def logged(self, function: Function, tickets: int) -> list[dict]:
        output = function.process.stdout
        assert output
        lines = [json.loads(output.readline()) for _ in range(tickets)]
        if {line["forwarded"] for line in lines} != {JOBS}:
            raise SystemExit(f"not all jobs were forwarded: {lines}")
        return lines

    def forward(self, function: Function, batch: list[dict]) -> Turn:
        function.events.put(self.event(batch))
        return self.forwarded(function, len(batch))

    def confirms(self) -> list[float]:
        """The milliseconds of confirms that lapin alone gets, without the first."""
        return [microseconds / 1e3 for microseconds in self.published("bare_publisher", CONFIRMS)[1:]]

    def published(self, example: str, *words: int) -> list[int]:
        """The microseconds that a publisher prints."""
        command = [str(self.examples / example), *map(str, words)]
        return list(map(int, subprocess.check_output(command, env=self.pulse, text=True).split()))

    def batch(self) -> None:
        """Measure batches, beside what they wait for."""
        first, recorded, another, *batches = self.queued(3 + BATCHES, self.builds)
        items = self.items(recorded)
        calls = self.recorded(first, recorded)
        # Each round has requests of its own, which can be changed once.
        self.copy(items, 2 * BATCHES)
        turns, confirms, one_by_one, at_once = [], [], [], []
        bare = BatchCalls(calls, TICKETS, 2 * BATCHES, self.environment)
        with bare, Function(self.binary, self.environment) as function:
            self.forward(function, another)
            begin_cpu = cpu_seconds(function.process.pid)
            for batch in batches:
                turns.append(self.forward(function, batch))
                one_by_one.append(bare.milliseconds())
                confirms += self.confirms()
                at_once.append(bare.milliseconds_at_once())
            used = cpu_seconds(function.process.pid) - begin_cpu
        took = [turn.seconds * 1e3 for turn in turns]
        median, confirm = statistics.median(took), statistics.median(confirms)
        serial, concurrent = statistics.median(one_by_one), statistics.median(at_once)
        say(f"a batch of {TICKETS} requests of {JOBS} jobs: median, p99 of {BATCHES}", median_p99(took))
        published = statistics.median(turn.lines[0]["confirm_ms"] for turn in turns)
        say("  of which publishing all until the last confirm, by its log", f"{published:g} ms")
        say("  processor time, of the whole process", f"{used / BATCHES * 1e3:.1f} ms")
        say(f"  a confirm of nothing but lapin: median, p99 of {len(confirms):,}", median_p99(confirms))
        say("  its calls to the store with nothing around them, as it makes them", f"{concurrent:.1f} ms")
        say("  the same one after the other", f"{serial:.1f} ms")
        say(
            "  the batch / (a confirm + the calls as it makes them)",
            f"{median / (confirm + concurrent):.2f}",
            "at most 1.3",
        )
        say("  the batch / (a confirm + the calls one after the other)", f"{median / (confirm + serial):.2f}")

    def items(self, batch: list[dict]) -> list[dict]:
        """The stored items of the requests of a batch."""
        dynamodb, found = self.stack.client("dynamodb"), []
        for message in batch:
            name = json.loads(message["Body"])["request_id"]
            found += dynamodb.query(
                TableName=self.stack.env["REQUESTS_TABLE"],
                KeyConditionExpression="pk = :pk",
                ConsistentRead=True,
                ExpressionAttributeValues={":pk": {"S": f"request#{name}"}},
            )["Items"]
        if len(found) != len(batch):
            raise SystemExit(f"{len(batch)} requests have {len(found)} items")
        return found

    def copy(self, items: list[dict], times: int) -> None:
        """Put as many copies of items, named as `Bare` names them."""
        dynamodb, table = self.stack.client("dynamodb"), self.stack.env["REQUESTS_TABLE"]
        for number in range(times):
            names = [f"{item['pk']['S'][:-CHANGED_CHARACTERS]}{number:0{CHANGED_CHARACTERS}}" for item in items]
            copies = [item | {"pk": {"S": name}} for item, name in zip(items, names, strict=True)]
            dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in copies]})

    def recorded(self, first: list[dict], batch: list[dict]) -> list[Call]:
        """The calls of a warm function to the store for a batch, in the order that `BatchCalls` needs."""
        recorder = Recorder(self.environment["AWS_ENDPOINT_URL"])
        try:
            with Function(self.binary, self.environment | {"AWS_ENDPOINT_URL": recorder.url}) as function:
                self.forward(function, first)
                recorder.calls.clear()
                self.forward(function, batch)
        finally:
            recorder.stop()
        calls: dict[str, list[Call]] = {"GetItem": [], "PutItem": []}
        for call in recorder.calls:
            if call.operation not in calls:
                raise SystemExit(f"{call.operation} is not among the calls that are known here")
            calls[call.operation].append(call)
        counts = {name: len(made) for name, made in calls.items()}
        if set(counts.values()) != {TICKETS}:
            raise SystemExit(f"{TICKETS} requests make other calls than one of each: {counts}")
        say("  calls to the store a request", f"{len(recorder.calls) / TICKETS:g}")
        return calls["GetItem"] + calls["PutItem"]

    def sustained(self) -> None:
        """Measure one instance that always has another batch."""
        first, *batches = self.queued(1 + SUSTAINED_BATCHES, self.builds)
        parts = {name: self.stack.services[name] for name in ("emulator", "broker")}
        with Function(self.binary, self.environment) as function:
            self.forward(function, first)
            memory = []
            before = {name: group_cpu(group) for name, group in parts.items()}
            own = cpu_seconds(function.process.pid)
            begin = time.perf_counter()
            for batch in batches:
                function.events.put(self.event(batch))
            for _ in batches:
                self.forwarded(function)
                memory.append(resident(function.process.pid))
            seconds = time.perf_counter() - begin
            own = cpu_seconds(function.process.pid) - own
            used = {name: group_cpu(parts[name]) - before[name] for name in before}
            peak = resident(function.process.pid, "VmHWM")
        requests = SUSTAINED_BATCHES * TICKETS
        say(f"one instance, {requests:,} requests: requests a second", f"{requests / seconds:.0f}", "at least 150")
        say(
            "  processor time in a second of the emulator, broker, function",
            ", ".join(f"{value / seconds:.2f}" for value in (used["emulator"], used["broker"], own)),
        )
        tenth = SUSTAINED_BATCHES // 10
        say_memory(
            f"  its resident memory after {tenth * TICKETS}, {requests:,} requests", memory[tenth - 1], memory[-1], peak
        )

    def asking(self) -> None:
        """Measure batches of tests, whose builds are looked up on the push, beside batches of other jobs."""
        builds = sorted(set(self.tests.values()))
        # The push has the builds, and enough other jobs to be a large one.
        others = (*self.tests, *(f"another job {number}" for number in range(PUSH_JOBS)))
        # One more is its decision task.
        on_push = [{"ref_data_name": name} for name in (*builds, *others)[: PUSH_JOBS - 1]]
        push = self.stack.env["PUSH_ID"]
        control = Control(self.stack.env["TREEHERDER_URL"])
        control.set_jobs("try", int(push), on_push)
        with_builds = self.queued(1 + ASKING_BATCHES, list(self.tests))
        without = self.queued(1 + ASKING_BATCHES, self.builds)
        all_asked, all_plain, all_bare = [], [], []
        with Function(self.binary, self.environment) as function:
            for tests, jobs in zip(with_builds, without, strict=False):
                all_asked.append(self.forward(function, tests).seconds * 1e3)
                all_plain.append(self.forward(function, jobs).seconds * 1e3)
                all_bare.append(self.asked(push))
        asked, plain, bare = (statistics.median(times[1:]) for times in (all_asked, all_plain, all_bare))
        say(f"a batch whose jobs need builds, {PUSH_JOBS:,} jobs on the push", f"{asked:.1f} ms")
        say("  a batch whose jobs need none, beside it", f"{plain:.1f} ms")
        say("  the stand-in's answers with nothing around them", f"{bare:.1f} ms")

    def asked(self, push: str) -> float:
        """The milliseconds that the fake Treeherder takes for the jobs of a push: two pages, one of them empty."""
        address = urllib.parse.urlsplit(self.stack.env["TREEHERDER_URL"]).netloc
        begin = time.perf_counter()
        with contextlib.closing(http.client.HTTPConnection(address)) as connection:
            for offset, expected in ((0, PUSH_JOBS), (PUSH_JOBS, 0)):
                path = f"/api/project/try/jobs/?push_id={push}&count={PUSH_JOBS}&offset={offset}"
                connection.request("GET", path)
                body = connection.getresponse().read()
                if body.count(b'"ref_data_name"') != expected:
                    raise SystemExit(f"{path}: not {expected} jobs")
        return (time.perf_counter() - begin) * 1e3

    def publisher(self) -> None:
        """Measure the publisher alone, without a store."""
        tens, confirms = [], []
        for _ in range(10):
            tens += self.published("publisher", TEN_TIMES // 10, TICKETS)[1:]
            confirms += self.confirms()
        say(
            f"the publisher alone, batches of {TICKETS}: median, p99 of {len(tens)}",
            median_p99([microseconds / 1e3 for microseconds in tens]),
        )
        say("  a confirm of nothing but lapin, beside it", f"{statistics.median(confirms):.3f} ms")
        # One more batch than is measured, so that the process still runs at the last measurement.
        batches = MESSAGES // MESSAGES_A_BATCH
        command = [str(self.examples / "publisher"), str(batches + 1), str(MESSAGES_A_BATCH)]
        times, early = [], 0.0
        with subprocess.Popen(command, env=self.pulse, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            for count in range(MESSAGES_A_BATCH, MESSAGES + 1, MESSAGES_A_BATCH):
                times.append(int(process.stdout.readline()))
                if count == FIRST_LOOK:
                    early = resident(process.pid)
            late, peak = resident(process.pid), resident(process.pid, "VmHWM")
            process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{command} ends with {process.returncode}")
        say(
            f"the publisher alone, {MESSAGES:,} in batches of {MESSAGES_A_BATCH}: messages a second",
            f"{MESSAGES / sum(times) * 1e6:,.0f}",
            "at least 1,000",
        )
        say_memory(f"  its resident memory after {FIRST_LOOK:,}, {MESSAGES:,} messages", early, late, peak)

    def start(self) -> None:
        """Measure the time from the start of a process until its first confirm, or its first answer."""
        ours, bares, empties, functions = [], [], [], []
        for _ in range(STARTS):
            bares.append(self.first_line("bare_publisher"))
            ours.append(self.first_line("publisher"))
        our, bare = statistics.median(ours), statistics.median(bares)
        say("start to the first confirmed message: publisher, bare lapin", f"{our:.1f}, {bare:.1f} ms")
        say("  publisher / bare lapin", f"{our / bare:.2f}", "at most 1.5")
        for batch in self.queued(FIRSTS, self.builds, tickets=1):
            empties.append(self.first_answer(self.examples / "empty_function", batch))
            functions.append(self.first_answer(self.binary, batch))
        function, empty = statistics.median(functions), statistics.median(empties)
        say("start to the answer to a batch of one: the function, an empty one", f"{function:.1f}, {empty:.1f} ms")

    def first_line(self, example: str) -> float:
        """The milliseconds from a publisher's start until it reports its first message."""
        begin = time.perf_counter()
        with subprocess.Popen([self.examples / example], env=self.pulse, stdout=subprocess.PIPE) as process:
            assert process.stdout
            line = process.stdout.readline()
            seconds = time.perf_counter() - begin
        if process.returncode != 0 or not line:
            raise SystemExit(f"{example} ends with {process.returncode}")
        return seconds * 1e3

    def first_answer(self, binary: Path, batch: list[dict]) -> float:
        """The milliseconds from a function's start until its answer; our function has forwarded the batch by then."""
        with Function(binary, self.environment, self.event(batch)) as function:
            _, _, since_start = function.answered()
            if binary == self.binary:
                self.logged(function, len(batch))
        return since_start * 1e3


def resident(process: int, what: str = "VmRSS") -> float:
    """The resident memory of a process, or its peak (`VmHWM`), in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    [kilobytes] = re.findall(rf"{what}:\s+(\d+) kB", status)
    return int(kilobytes) * 1024 / 1e6


def say_memory(what: str, early: float, late: float, peak: float) -> None:
    say(what, f"{early:.1f}, {late:.1f} MB", f"at most 1.1 times: {late / early:.2f} (peak {peak:.1f} MB)")


def group_cpu(group: int) -> float:
    """The processor time that a group of processes has used."""
    used = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        # Some have ended meanwhile.
        with contextlib.suppress(OSError):
            if os.getpgid(int(folder.name)) == group:
                used += cpu_seconds(int(folder.name))
    return used


if __name__ == "__main__":
    main()
