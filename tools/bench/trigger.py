"""Measures the trigger function beside the local stack with a full-size catalog, and prints a table with the goals.

    make bench                               # on a sample of 65,888 builders that the ETL makes
    make bench SOURCE=allthethings.json      # on a dump

As `jobs.py` does: the function that is deployed, fed through a stand-in of Lambda's Runtime API with the settings
and the role that the template gave it, but for its limits, as one person asks for everything. Times are "in the
function", those of its own log, unless stated otherwise; write units follow AWS's rules. Where it waits for the
store, the same calls are made beside it with nothing around them: most of the time is the emulator's, which DynamoDB
does not share. Needs Linux, the builds that `make bench` makes, and that no stack runs in this checkout.
"""

import itertools
import json
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.runtime_api import Function, Reply, event, first_answer
from tests.support.stack import GivenStack
from tests.support.store_calls import Bare, Call, Recorder
from tools.bench.function import (
    cpu_seconds,
    fresh_for,
    lambda_environment,
    measured_stack,
    median_p99,
    on_aws,
    programs_in,
    say_units,
)
from tools.bench.source import say, zipped_size
from tools.cost.item_units import eventual_units, from_wire, item_size, write_units

# A usual request, and the largest real one.
FEW, MANY = 16, 328
# The maximum of a request: names, and bytes of its body.
MOST_NAMES, MOST_BYTES = 1000, 256 * 1024
FEW_TIMES, MANY_TIMES, UNKNOWN_TIMES = 300, 100, 30
POLLS = 1000
# The number of processes of whose first events the median is taken.
STARTS = 15
FIRSTS = 15
PERSON = "bench@mozilla.com"
PATH = "/api/project/{}/push/{}/trigger_runnable_jobs/"
LIMITS = {"requests_per_minute": 1_000_000, "jobs_per_hour": 1_000_000_000}
# Caches do not expire meanwhile.
WARM = fresh_for(3600) | {"RUNNABLE_JOBS_TREEHERDER_CACHE_SECONDS": "3600"}


def main() -> None:
    with measured_stack(__doc__) as (stack, built):
        function = programs_in(built).function("trigger")
        environment = lambda_environment(stack, "TRIGGER_FUNCTION")
        environment["RUNNABLE_JOBS_TRIGGER_LIMITS"] = json.dumps(LIMITS)
        person = Person(stack)
        say("jobs of try", f"{len(person.names):,}")
        first(function, environment, person, Person(stack, largest_but_try(stack)))
        few = triggered(stack, function, environment, person, FEW, FEW_TIMES, "at most 15 ms", "at most 8")
        many = triggered(stack, function, environment, person, MANY, MANY_TIMES, "at most 40 ms")
        checked(function, environment, person)
        unknown(function, environment, person)
        for count, path in ((FEW, few), (MANY, many)):
            followed(stack, function, environment, person, count, path)
        start(function, built / "lambda" / "examples" / "empty_http_function", environment, few)
        say("zipped function", f"{zipped_size(function) / 1e6:.2f} MB")


class Person:
    """A person who triggers jobs on one push of a project. Each event is a different request."""

    def __init__(self, stack: GivenStack, project: str = "try") -> None:
        self.sign_in = {"authorization": f"Bearer {stack.token('--email', PERSON)}"}
        self.project, self.path = project, PATH.format(project, stack.env["PUSH_ID"])
        self.names = [job["ref_data_name"] for job in stack.jobs(project)]
        self.chance, self.numbers = random.Random(1), itertools.count()

    def some(self, count: int) -> list[str]:
        """So many jobs that exist."""
        return self.chance.sample(self.names, count)

    def triggers(self, names: list[str], query: str = "") -> bytes:
        return event(
            self.path,
            query,
            json.dumps({"requested_jobs": names}),
            content_type="application/json",
            idempotency_key=f"bench-{self.project}-{next(self.numbers)}",
            **self.sign_in,
        )

    def follows(self, path: str, **headers: str) -> bytes:
        return event(path, **self.sign_in, **headers)


def said(reply: Reply) -> Any:
    return json.loads(reply.body())


def medians(what: str, replies: list[Reply], goal: str = "") -> None:
    say(f"{what}: median, p99 of {len(replies):,}", median_p99([reply.milliseconds for reply in replies]), goal)
    say("  from the event to the response", median_p99([reply.seconds * 1e3 for reply in replies]))


def largest_but_try(stack: GivenStack) -> str:
    """The project that has the most jobs beside `try`."""
    jobs = {project["name"]: project["jobs"] for project in stack.ask("GET", "/api/projects/").json()["projects"]}
    return max(jobs.keys() - {"try"}, key=jobs.__getitem__)


def first(binary: Path, environment: dict[str, str], person: Person, other: Person) -> None:
    """Measure the first request of a process, which waits for the list, the push, the connections and the SDK's first
    use; a later one; and the first one for another project, which waits for another list and push alone.
    """
    firsts: list[float] = []
    laters: list[float] = []
    others: list[float] = []
    for _ in range(FIRSTS):
        with Function(binary, environment | WARM) as function:
            for who, times in ((person, firsts), (person, laters), (other, others)):
                times.append(function.ask(who.triggers(who.some(FEW)), 202).milliseconds)
    say(
        f"{FEW} jobs, the first request in a process: median of {FIRSTS}, most",
        f"{statistics.median(firsts):.1f}, {max(firsts):.1f} ms",
    )
    first, later, another = map(statistics.median, (firsts, laters, others))
    say("  the next one", f"{later:.1f} ms")
    say(f"  the first one for {other.project}, with {len(other.names):,} jobs", f"{another:.1f} ms")
    say("  first / next", f"{first / later:.2f}", "at most 1.8")
    say("  first / next, without what the other list and push cost", f"{(first - (another - later)) / later:.2f}")


def triggered(
    stack: GivenStack,
    binary: Path,
    environment: dict[str, str],
    person: Person,
    count: int,
    times: int,
    goal: str,
    units_goal: str = "",
) -> str:
    """Measure requests for so many jobs that exist; returns the address of the last one's status."""
    calls = recorded(binary, environment, person, count)
    replies, bares = [], []
    with Bare(calls, times, environment) as bare, Function(binary, environment | WARM) as function:
        function.ask(person.triggers(person.some(count)), 202)
        begin_cpu = cpu_seconds(function.process.pid)
        for _ in range(times):
            replies.append(function.ask(person.triggers(person.some(count)), 202))
            bares.append(bare.milliseconds())
        used = cpu_seconds(function.process.pid) - begin_cpu
    medians(f"{count} jobs", replies, f"median {goal}")
    median, bare_median = statistics.median(reply.milliseconds for reply in replies), statistics.median(bares)
    # This includes the time of a client in Python: the share is at most this.
    say("  the same calls to the emulator with nothing around them: median", f"{bare_median:.3f} ms")
    say("  share of that; what is left", f"{bare_median / median * 100:.0f} %, {median - bare_median:.3f} ms")
    say("  processor time a request, of the whole process", f"{used / times * 1e3:.2f} ms")
    sends = Counter(call.operation for call in calls)["SendMessage"]
    operations = {reply.line["store_operations"] for reply in replies}
    if operations != {len(calls) - sends}:
        raise SystemExit(f"{len(calls)} calls, {sends} of them to the queue: the log has {operations} to the store")
    say("  store operations, sends to the queue", f"{len(calls) - sends}, {sends}", "at most 6 together")
    charged, sizes = charged_units(stack, calls)
    say_units(
        f"  write units ({sizes})",
        charged,
        statistics.median(reply.line["write_units"] for reply in replies),
        units_goal,
    )
    return said(replies[-1])["status_url"]


def recorded(binary: Path, environment: dict[str, str], person: Person, count: int) -> list[Call]:
    """The calls of a warm function to the store and the queue for a request of so many jobs."""
    recorder = Recorder(environment["AWS_ENDPOINT_URL"])
    try:
        with Function(binary, environment | WARM | {"AWS_ENDPOINT_URL": recorder.url}) as function:
            function.ask(person.triggers(person.some(count)), 202)
            recorder.calls.clear()
            function.ask(person.triggers(person.some(count)), 202)
    finally:
        recorder.stop()
    return recorder.calls


def charged_units(stack: GivenStack, calls: list[Call]) -> tuple[int, str]:
    """The units that AWS charges for these calls, and the sizes of the written items."""
    dynamodb, name = stack.client("dynamodb"), stack.env["REQUESTS_TABLE"]
    table = dynamodb.describe_table(TableName=name)["Table"]
    written: dict[str, dict] = {}
    units, sizes = 0, []
    for call in calls:
        content = call.content()
        match call.operation:
            case "PutItem":
                item = from_wire(content["Item"])
                key = json.dumps([item["pk"], item["sk"]])
                units += write_units(table, item, written.get(key))
                written[key] = item
            case "UpdateItem":
                # A counter, or the head of a request that is queued: neither changes an entry of an index.
                item = dynamodb.get_item(TableName=name, Key=content["Key"])["Item"]
                units += write_units(table, item, item)
            case "SendMessage":
                continue
            case other:
                raise SystemExit(f"the units of {other} are not known here")
        sizes.append(f"{item['sk']['S']} {item_size(item):,}")
    return units, ", ".join(sizes)


def checked(binary: Path, environment: dict[str, str], person: Person) -> None:
    """Measure dry runs."""
    with Function(binary, environment | WARM) as function:

        def check() -> Reply:
            return function.ask(person.triggers(person.some(FEW), "dry_run=true"))

        check()
        medians(f"a dry run of {FEW} jobs", [check() for _ in range(FEW_TIMES)])


def unknown(binary: Path, environment: dict[str, str], person: Person) -> None:
    """Measure requests with the maximum of names that do not exist: the closest name to each is searched."""
    known = set(person.names)
    # Some names with one more letter exist: tsvg, tsvgx.
    typos = [typo for name in person.some(len(person.names)) if (typo := f"{name}x") not in known][:MOST_NAMES]
    # At the maximum distance of the search: this uses up the budget of a request.
    # The words of a label have hyphens between them. A few names are one word.
    between = {name: " " if " " in name else "-" for name in person.some(len(person.names))}
    far = [name.replace(space, f"{space}elsewhere{space}", 1) for name, space in between.items() if space in name]
    far = far[:MOST_NAMES]
    with Function(binary, environment | WARM) as function:
        function.ask(person.triggers(typos), 422)
        for what, names in (
            (f"{MOST_NAMES:,} unknown names, a letter too many in each", typos),
            (f"{len(far):,} unknown names, a word too many in each", far),
        ):
            medians(what, [function.ask(person.triggers(names), 422) for _ in range(UNKNOWN_TIMES)])


def followed(
    stack: GivenStack, binary: Path, environment: dict[str, str], person: Person, count: int, path: str
) -> None:
    """Measure polls for the status of a request of so many jobs, with and without the last answer."""
    name = path.rstrip("/").rpartition("/")[2]
    key = {"pk": {"S": f"request#{name}"}, "sk": {"S": "head"}}
    head = stack.client("dynamodb").get_item(TableName=stack.env["REQUESTS_TABLE"], Key=key)["Item"]
    with Function(binary, environment | WARM) as function:
        full = function.ask(person.follows(path))
        held = person.follows(path, if_none_match=full.answer["headers"]["etag"])
        helds, fulls = [], []
        for _ in range(POLLS):
            helds.append(function.ask(held, 304))
            fulls.append(function.ask(person.follows(path)))
    medians(f"poll of {count} jobs, 304", helds)
    say_units(
        f"  read units: head {item_size(head):,}",
        eventual_units([item_size(head)]),
        statistics.median(reply.line["read_units"] for reply in helds),
        "0.5",
    )
    medians(f"status of {count} jobs, {full.line['bytes']:,} bytes", fulls)


def start(binary: Path, empty: Path, environment: dict[str, str], path: str) -> None:
    """Measure the time from the start of a process until its first response, which needs neither store nor issuer."""
    asked = event(path)
    empties, ours = [], []
    for _ in range(STARTS):
        empties.append(first_answer(empty, environment, asked)[0])
        ours.append(first_answer(binary, on_aws(environment), asked, status=401)[0])
    empties, ours = (statistics.median(times) * 1e3 for times in (empties, ours))
    say("start to first answer of an empty function", f"{empties:.1f} ms")
    say("  of ours, GET without a sign-in (401)", f"{ours:.1f} ms")
    say("  ours / empty function", f"{ours / empties:.2f}")


if __name__ == "__main__":
    main()
