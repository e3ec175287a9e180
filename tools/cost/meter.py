"""Meters the cost of the product on AWS at a day's traffic, and prints a table of a month beside a naive design.

    make cost
    make cost FLAGS='--lists 20000'

A part of a day is run on the local stack: the functions as they are deployed, fed through a stand-in of Lambda's
Runtime API with the settings and the roles that the template gave them, beside a real broker. What AWS would bill is
counted, and multiplied. Time is run faster by as much as `FreshSeconds` is longer than a second, so that lists are
checked as often as they would be; `following` then has a clock of its own. docs/cost.md lists the assumptions. Needs
Linux, a C compiler, the builds that `make cost` makes, and that no other meter runs in this checkout.
"""

import argparse
import contextlib
import functools
import gzip
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from localstack.programs import Programs
from tests.support.stack import Stack
from tests.support.store_calls import Recorder
from tools.bench.source import sample
from tools.cost.bill import (
    DAYS_A_MONTH,
    LINE_OVERHEAD,
    Amounts,
    Asked,
    Naive,
    bill,
    load_prices,
    metric_months,
    month,
    stored_bytes,
)
from tools.cost.day import Day, say
from tools.cost.following import ROUNDS_A_DAY, Following
from tools.cost.ingest import LATE_DAYS, days_kept, ingest
from tools.cost.item_units import index_entry, item_size
from tools.cost.table import print_table, say_what_drives, with_output
from tools.cost.taskcluster import READS, TaskclusterTraffic
from tools.cost.traffic import PERSON, REPEATS, MadeRequest, Traffic

EMAILS_A_MONTH = 30
# The resources of the template that have a price.
RESOURCES = {"alarms": "AWS::CloudWatch::Alarm", "dashboards": "AWS::CloudWatch::Dashboard"}
# What a Taskcluster adds to them.
TASKCLUSTER_ALARMS = ("TaskclusterMissedAlarm",)
# The parts of the bill, each with its causes.
PARTS = {
    "Lists, requests, ingests": ("ingest", "list", "trigger", "sweep", "polling"),
    "Following": ("round", "follow"),
    "Taskcluster": ("read", "push", "label"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    parser.add_argument(
        "--functions",
        type=Path,
        metavar="FOLDER",
        help="the functions' programs, if they are not those that are deployed: their times are too long then",
    )
    whole = functools.partial(parser.add_argument, type=int, metavar="N")
    whole("--lists", default=10_000, help="lists asked for in a day (default: %(default)s)")
    whole(
        "--repeats",
        default=REPEATS,
        help="of a hundred, whose browser has the list already (default: %(default)s)",
    )
    whole("--triggers", default=1_000, help="requests to run jobs (default: %(default)s)")
    whole(
        "--polls",
        default=4,
        help="how often each is asked about, half of it before it is forwarded (default: %(default)s)",
    )
    whole("--sweeps", default=480, help="sweeps in a day (default: %(default)s)")
    whole(
        "--opened",
        default=300,
        help="pushes whose list of Taskcluster's jobs is looked at, each with a request for labels; 0: there is no"
        " Taskcluster (default: %(default)s)",
    )
    whole(
        "--part",
        default=50,
        help="what part of the day is run; an environment lives as long (default: a %(default)sth)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the metered units to this file")
    parser.add_argument("--document", type=Path, metavar="FILE", help="put the output into this document: docs/cost.md")
    options = parser.parse_args()
    built = options.target.absolute()
    programs = Programs(built / "debug", (options.functions or built / "lambda").absolute())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = sample(programs, folder / "sample.json")
        stack = Stack(source, name="cost", programs=programs)
        recorder = Recorder(stack.env["AWS_ENDPOINT_URL"])
        try:
            with contextlib.ExitStack() as ends:
                meter(Day(stack, recorder, programs, options.part, ends), options, source, folder)
        finally:
            recorder.stop()
            stack.stop()


def meter(day: Day, options: argparse.Namespace, source: Path, folder: Path) -> None:
    """Run a part of a day, and print its bill."""
    disable_rules(day)
    say("ingesting, twice, each with 1 % of the builders changed")
    with day.caused_by("ingest"):
        ingest(day, source)
    traffic = Traffic(day, options)
    following = Following(traffic, folder)
    day.ends.callback(following.stop)
    say(f"running a {options.part}th of a day in {traffic.seconds:.0f} s")
    traffic.run(day.ends)
    requests = day.stack.env["REQUESTS_TABLE"]
    # Those of the requests that are counted.
    keys = {"trigger": set(day.tables.items[requests])}
    labels: list[MadeRequest] = []
    sizes: dict[str, int] = {}
    if options.opened:
        taskcluster = TaskclusterTraffic(traffic, options.opened)
        taskcluster.run()
        labels, sizes = taskcluster.made, taskcluster.bytes
        keys["label"] = set(day.tables.items[requests]) - keys["trigger"]
    following.run(labels, options.opened)
    keep_requests(day, traffic, keys)
    show(day, traffic, following, labels, sizes)


def disable_rules(day: Day) -> None:
    """Keep the stack from running functions by itself, at this machine's time."""
    events = day.stack.client("events")
    for rule in events.list_rules()["Rules"]:
        events.disable_rule(Name=rule["Name"])
    say(f"{len(events.list_rules()['Rules'])} rules are disabled")


# The result.


def show(day: Day, traffic: Traffic, following: Following, labels: list[MadeRequest], sizes: dict[str, int]) -> None:
    options = traffic.options
    calls = 3 + options.polls
    expected = {
        "jobs": options.lists,
        "trigger": options.triggers * calls,
        "forward": options.triggers,
        "sweep": options.sweeps,
        "etl": 1,
        "follow": ROUNDS_A_DAY,
    }
    if options.opened:
        opened = options.opened
        expected |= {"read": READS, "push": opened * 4, "label": opened * calls, "action": opened}
    if {name: round(count, 6) for name, count in day.invocations.items()} != expected:
        raise SystemExit(f"in a day there should be {expected} invocations, not {dict(day.invocations)}")
    prices = load_prices()
    parts = {label: part_of(day, label) for label in PARTS}
    usage = Amounts()
    for part in parts.values():
        usage.add(part)
    both = usage_by(day, ("read", "push"))
    naive = naive_of(traffic, following, labels).usage(usage, traffic.list_bytes, both)
    columns = [bill(prices, used, free) for used in (usage, naive) for free in (False, True)]
    subtotals = {label: sum(bill(prices, part, False).values()) for label, part in parts.items()}
    if options.json:
        document = json.dumps(result(day, traffic, following) | {"label_bytes": sizes}, indent=2, sort_keys=True)
        options.json.write_text(document + "\n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_table(prices, usage, naive, columns, subtotals)
        say_what_drives(day, columns, prices, subtotals)
        asked = options.triggers + options.opened
        looks, changes = following.looks / asked, following.changes / asked
        at_a_time = f"{following.followed:.0f} requests at a time"
        print(f"following: {looks:.1f} looks and {changes:.1f} changes of each request, {at_a_time}")
        if sizes:
            grid, of_push, of_project = (sizes[name] / 1e3 for name in ("grid", "list", "project"))
            print(
                f"30,000 labels: the grid of a push has {grid:.0f} KB, its list {of_push:.0f} KB, and the list of a"
                f" project {of_project:.0f} KB"
            )
    print(printed.getvalue(), end="")
    if options.document:
        options.document.write_text(with_output(options.document.read_text(), printed.getvalue()))


def part_of(day: Day, label: str) -> dict[str, float]:
    """A month's usage by one part of the bill."""
    found = usage_by(day, PARTS[label])
    if label == next(iter(PARTS)):
        found |= fixed(day) | {"metrics": metric_months(day.metrics.values())}
    elif label == "Taskcluster" and found["lambda_requests"]:
        found["alarms"] = len(TASKCLUSTER_ALARMS)
    return found


def usage_by(day: Day, causes: Iterable[str]) -> dict[str, float]:
    """A month's usage by these causes."""
    used, kept = Amounts(), Amounts()
    for cause in causes:
        used.add(day.causes.get(cause, {}))
        kept.add(day.kept.get(cause, {}))
    found = dict.fromkeys(load_prices(), 0.0) | month(used) | dict(kept)
    found["dynamodb_recovery_bytes"] = found["dynamodb_bytes"]
    found["log_stored_bytes"] = found["log_bytes"] * log_packed(day) * log_days(day) / DAYS_A_MONTH
    return found


def log_packed(day: Day) -> float:
    """The size of the stored log, as a part of the lines that were printed."""
    return (len(gzip.compress(bytes(day.log), 6)) + day.log.count(b"\n") * LINE_OVERHEAD) / len(day.log)


def result(day: Day, traffic: Traffic, following: Following) -> dict:
    """The metered units, for `tools.cost.scale`: those of a day by their cause, and what is stored."""
    options = traffic.options
    asked = options.triggers + options.opened
    return {
        "events": {
            "ingest": 1,
            "list": options.lists,
            "trigger": options.triggers,
            "sweep": options.sweeps,
            "round": ROUNDS_A_DAY,
            "follow": asked,
            "read": READS if options.opened else 0,
            "push": options.opened,
            "label": options.opened,
        },
        "invocations": dict(day.invocations),
        "causes": {cause: dict(used) for cause, used in day.causes.items()},
        "kept": {cause: dict(used) for cause, used in day.kept.items()},
        "fixed": {name: sum(part_of(day, label)[name] for label in PARTS) for name in (*RESOURCES, "sns_emails")},
        "metrics": metric_months(day.metrics.values()),
        "log_packed": log_packed(day),
        "log_days": log_days(day),
        # The memory of each function, in MB, and how long an invocation takes, in seconds.
        "functions": {
            name: {"memory": memory, "seconds": day.gb_seconds[name] / day.invocations[name] * 1024 / memory}
            for name, memory in day.memory.items()
        },
        # Of each request, followed to its end.
        "index_write_units": {name: units / asked for name, units in day.tables.index_units.items()},
        "followed": {
            "at_a_time": following.followed,
            "looks": following.looks / asked,
            "changes": following.changes / asked,
            "seconds_of_an_empty_round": following.empty["lambda_gb_seconds"] * 1024 / day.memory["follow"],
        },
        # Lists whose browser already has them, in a day.
        "unchanged_lists": traffic.unchanged,
        "try_list_bytes": max(len(gzip.compress(body, 6)) for body in traffic.bodies.values()),
    }


def fixed(day: Day) -> dict[str, float]:
    """The resources that cost the same in each month, whatever happens; without those of a Taskcluster."""
    resources = day.stack.client("cloudformation").describe_stack_resources(StackName="runnable-jobs")["StackResources"]
    kinds = Counter(
        resource["ResourceType"] for resource in resources if resource["LogicalResourceId"] not in TASKCLUSTER_ALARMS
    )
    emails = EMAILS_A_MONTH if kinds["AWS::SNS::Topic"] else 0
    return {"sns_emails": emails, **{name: kinds[kind] for name, kind in RESOURCES.items()}}


def log_days(day: Day) -> int:
    """How long logs are kept."""
    function = day.stack.client("lambda").get_function_configuration(FunctionName=day.stack.env["JOBS_FUNCTION"])
    groups = day.stack.client("logs").describe_log_groups(logGroupNamePrefix=function["LoggingConfig"]["LogGroup"])
    return groups["logGroups"][0]["retentionInDays"]


def keep_requests(day: Day, traffic: Traffic, keys: dict[str, set[str]]) -> None:
    """Count the storage of a day's requests by their cause, each item for as long as it is stored, and with what it has
    at the end.
    """
    name, options = day.stack.env["REQUESTS_TABLE"], traffic.options
    table = day.tables.tables[name]
    day.tables.read_all()
    for cause, of_cause in keys.items():
        _, times = traffic.times(options.triggers if cause == "trigger" else options.opened)
        kept = 0.0
        # Locks and claims may be gone.
        for item in filter(None, map(day.tables.items[name].get, of_cause)):
            entries = [index_entry(table, index, item) for index in table.get("GlobalSecondaryIndexes", [])]
            size = stored_bytes(item_size(item), [item_size(entry) for entry in entries if entry])
            kept += times * size * days_kept(item)
        day.keep(cause, {"dynamodb_bytes": kept})


def naive_of(traffic: Traffic, following: Following, labels: list[MadeRequest]) -> Naive:
    catalog = {
        project: [item_size(naive_item(project, job)) for job in json.loads(body)["results"]]
        for project, body in traffic.bodies.items()
    }
    asked = []
    times = traffic.times(traffic.options.triggers)[1], traffic.times(traffic.options.opened)[1]
    of_day = [(made, times[0]) for made in traffic.made] + [(made, times[1]) for made in labels]
    for made, represented in of_day:
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
        asked.append(Asked(item_size(head), [item_size(job) for job in jobs], represented))
    return Naive(
        catalog,
        {project: len(body) for project, body in traffic.bodies.items()},
        dict(traffic.list_requests),
        asked,
        90 + LATE_DAYS,
        traffic.options.polls,
        following.looks / (traffic.options.triggers + traffic.options.opened),
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
